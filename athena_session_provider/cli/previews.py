"""Preview environments: stacks that come with a pull request and go with it.

A stack is a preview environment if it carries the tag ``athena-sessions:expires``. Tags are on
every backend, files and buckets included, and are there from the moment the stack is: a run that
is killed before its first update leaves no history to read anything from.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from athena_session_provider.cli.failures import (
    CommandFailedError,
    InterruptedRunError,
    NotAPreviewError,
    NotSetUpError,
)
from athena_session_provider.cli.sessions import (
    NamedSession,
    marked_sessions,
    named_sessions,
    unfinished_starts,
)
from athena_session_provider.cli.stacks import PARALLEL, Stack, stack_names
from athena_session_provider.service.errors import AthenaSessionError, SessionNotFoundError
from athena_session_provider.service.lifecycle import SessionLifecycle
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.waiting import Deadline, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pulumi.automation import LocalWorkspace

    from athena_session_provider.cli.progress import Reporter

EXPIRES = "athena-sessions:expires"
OWNER = "athena-sessions:owner"
COMMIT = "athena-sessions:commit"
CREATED = "athena-sessions:created"
BASE = "athena-sessions:from-stack"

DEFAULT_LOCK_PATIENCE = timedelta(minutes=15)
"""How long `down` waits for the run that holds the lock: as long as a start and an end may take."""

TERMINATE_SECONDS = 120.0
JOBS = 4
MILLISECONDS_PER_HOUR = 3_600_000
MAXIMUM_TAG_CHARACTERS = 256

_NAME = re.compile(r"(?:[\w.-]+/){0,2}[\w.-]{1,100}")


def utc_now() -> datetime:
    """Give the present time, to the second: what tags store."""
    return datetime.now(timezone.utc).replace(microsecond=0)


@dataclass(frozen=True)
class Preview:
    """What the tags of a preview environment's stack say."""

    name: str
    expires: datetime | None
    """None where somebody wrote something else into the tag."""
    created: datetime | None = None
    owner: str = ""
    commit: str = ""
    base: str = ""

    @classmethod
    def from_tags(cls, name: str, tags: Mapping[str, str]) -> Preview:
        """Read it."""
        return cls(
            name=name,
            expires=_moment(tags[EXPIRES]),
            created=_moment(tags.get(CREATED, "")),
            owner=tags.get(OWNER, ""),
            commit=tags.get(COMMIT, ""),
            base=tags.get(BASE, ""),
        )

    def tags(self) -> dict[str, str]:
        """Give the tags to write; the one that makes it a preview environment first."""
        tags = {
            EXPIRES: self.expires.isoformat() if self.expires else "",
            CREATED: self.created.isoformat() if self.created else "",
            OWNER: self.owner,
            COMMIT: self.commit,
            BASE: self.base,
        }
        return {key: value[:MAXIMUM_TAG_CHARACTERS] for key, value in tags.items() if value}

    def expired(self, now: datetime) -> bool:
        """Whether its time is up."""
        return self.expires is not None and self.expires <= now


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def check_name(name: str) -> str:
    """Refuse what is no name of a stack. Raises ValueError."""
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name for a stack: it takes letters, digits, hyphens, _ and dots"
        raise ValueError(message)
    return name


@dataclass(frozen=True)
class Up:
    """What `up` is to do."""

    name: str
    base: str | None
    ttl: timedelta
    config: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    """Empty: whoever made it, which is ``user`` for a new one."""
    user: str = ""
    commit: str = ""
    parallel: int = PARALLEL
    secrets_provider: str | None = None
    lock_patience: timedelta = timedelta(0)
    break_lock_older_than: timedelta | None = None


@dataclass(frozen=True)
class UpResult:
    """What `up` has done."""

    preview: Preview
    created: bool
    sessions: Sequence[NamedSession]


def up(
    workspace: LocalWorkspace,
    wanted: Up,
    reporter: Reporter,
    clock: Callable[[], datetime] = utc_now,
) -> UpResult:
    """Create the preview environment, or bring it to the present program and configuration."""
    stack = Stack(wanted.name, workspace, reporter)
    reporter.status(f"{wanted.name}: looking for the stack")
    tags = stack.tags()
    created = tags is None and stack.create(wanted.base, wanted.secrets_provider)
    if not created:
        tags = stack.tags() if tags is None else tags
        _require_preview(stack, tags or {})
        if wanted.base:
            stack.copy_config_from(wanted.base)
    now = clock()
    preview = Preview(
        name=wanted.name,
        expires=now + wanted.ttl,
        created=_moment((tags or {}).get(CREATED, "")) or now,
        owner=wanted.owner or (tags or {}).get(OWNER, "") or wanted.user,
        commit=wanted.commit,
        base=wanted.base or "",
    )
    # Before anything is started, so that a run that is killed now is swept like any other.
    stack.set_tags(_changed(preview.tags(), tags or {}))
    stack.set_config(wanted.config)
    reporter.status(f"{wanted.name}: pulumi up")
    stack.when_unlocked(
        lambda: stack.up(wanted.parallel),
        patience=wanted.lock_patience,
        break_older_than=wanted.break_lock_older_than,
    )
    sessions = [session for session in named_sessions(stack.deployment()) if session.owned]
    return UpResult(preview, created, sessions)


def _changed(tags: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if old.get(key) != value}


def _require_preview(stack: Stack, tags: Mapping[str, str]) -> None:
    """Leave every other stack alone.

    A run that was killed right after it had made the stack left it without a tag. Such a one is
    empty, and unlike a stack that only keeps the configuration of others, nobody has a file for it.
    """
    if EXPIRES in tags:
        return
    deployment = stack.deployment()
    empty = not deployment.get("resources") and not deployment.get("pending_operations")
    if stack.has_config_file or not empty:
        raise NotAPreviewError(
            f"Stack {stack.name} was not made by `preview-env up`: it has no tag {EXPIRES}. It is "
            f"left alone. To make it a preview environment all the same, set the tag: `pulumi "
            f"stack tag set {EXPIRES} {utc_now().isoformat()} --stack {stack.name}`."
        )


@dataclass(frozen=True)
class Down:
    """How `down` is to do it."""

    parallel: int = PARALLEL
    config: Mapping[str, str] = field(default_factory=dict)
    lock_patience: timedelta = DEFAULT_LOCK_PATIENCE
    break_lock_older_than: timedelta | None = None


@dataclass(frozen=True)
class DownResult:
    """What `down` has done."""

    name: str
    existed: bool
    ended: Sequence[str] = ()
    """Ids of the sessions that its state named."""
    ended_unnamed: Sequence[str] = ()
    """Ids of sessions that a killed run had started and the state did not name."""


def down(workspace: LocalWorkspace, name: str, how: Down, reporter: Reporter) -> DownResult:
    """End everything of a preview environment and remove its stack.

    To do it again, or twice at once, is no error: whoever comes second finds nothing to do.
    """
    stack = Stack(name, workspace, reporter)
    reporter.status(f"{name}: looking for the stack")
    tags = stack.tags()
    if tags is None:
        return DownResult(name, existed=False)
    _require_preview(stack, tags)
    try:
        return stack.when_unlocked(
            lambda: _take_down(stack, tags, how, reporter),
            patience=how.lock_patience,
            break_older_than=how.break_lock_older_than,
        )
    except (CommandFailedError, KeyError, ValueError) as exc:
        if isinstance(exc, InterruptedRunError) or stack.tags() is not None:
            raise
        # Somebody else was faster; whatever it was that failed, failed for that.
        return DownResult(name, existed=False)


def _take_down(stack: Stack, tags: Mapping[str, str], how: Down, reporter: Reporter) -> DownResult:
    stack.restore_config(tags.get(BASE))
    stack.set_config(how.config)
    before = stack.deployment()
    sessions = [session for session in named_sessions(before) if session.owned]
    unfinished = unfinished_starts(before)
    reporter.status(f"{stack.name}: pulumi destroy")
    stack.destroy(how.parallel)
    # `destroy` ends what the state names. A start whose run was killed has a URN there, and no id.
    unnamed = _end_unfinished(stack, unfinished, reporter) if unfinished else []
    stack.remove()
    return DownResult(
        stack.name,
        existed=True,
        ended=[session.session_id for session in sessions],
        ended_unnamed=unnamed,
    )


def _end_unfinished(
    stack: Stack, unfinished: Iterable[NamedSession], reporter: Reporter
) -> list[str]:
    config = stack.config()
    ended = []
    for start in unfinished:
        athena = start.athena(config)
        found = marked_sessions(
            athena,
            start.work_group,
            lambda session_id, reason: reporter.say(
                f"warning: cannot tell who started session {session_id}: {reason}"
            ),
        )
        for status, urn in list(found):
            if urn == start.urn or urn == start.urn.replace("$", "_"):
                reporter.status(f"{stack.name}: ending session {status.session_id}")
                deadline = Deadline.after(TERMINATE_SECONDS, SystemClock())
                SessionLifecycle(
                    athena, start.work_group, PollerPool(time.monotonic), deadline
                ).terminate(status.session_id)
                ended.append(status.session_id)
    return ended


@dataclass(frozen=True)
class SessionReport:
    """A session of a preview environment, as the service describes it."""

    session_id: str
    work_group: str
    region: str
    state: str
    dpu_hours: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class Listed:
    """A preview environment and what it costs."""

    preview: Preview
    sessions: Sequence[SessionReport]
    unfinished: bool
    """Whether a run was killed, or works, on it."""

    @property
    def dpu_hours(self) -> float:
        """DPU-hours of its present sessions."""
        return sum(session.dpu_hours for session in self.sessions)


def previews(workspace: LocalWorkspace, reporter: Reporter) -> list[Preview]:
    """List the preview environments of the project."""
    names = stack_names(workspace, "--tag", EXPIRES)

    def read(name: str) -> Preview | None:
        tags = Stack(name, workspace, reporter).tags()
        return Preview.from_tags(name, tags) if tags and EXPIRES in tags else None

    with ThreadPoolExecutor(JOBS) as pool:
        return [preview for preview in pool.map(read, names) if preview is not None]


def listed(workspace: LocalWorkspace, reporter: Reporter) -> list[Listed]:
    """Describe the preview environments, with the states of their sessions."""
    found = previews(workspace, reporter)
    configs: dict[str, dict[str, str]] = {}
    for base in {preview.base for preview in found}:
        configs[base] = _config_of(workspace, base, reporter)

    def describe(preview: Preview) -> Listed:
        deployment = Stack(preview.name, workspace, reporter).deployment()
        reports = [
            report(session, configs[preview.base])
            for session in named_sessions(deployment)
            if session.owned
        ]
        return Listed(preview, reports, bool(unfinished_starts(deployment)))

    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(describe, found))


def _config_of(workspace: LocalWorkspace, base: str, reporter: Reporter) -> dict[str, str]:
    if not base:
        return {}
    try:
        return Stack(base, workspace, reporter).config()
    except NotSetUpError as exc:
        reporter.say(f"warning: the AWS settings of stack {base} cannot be read: {exc}")
        return {}


def report(session: NamedSession, config: Mapping[str, str]) -> SessionReport:
    """Ask the service about one session; what it refuses to say becomes part of the report."""
    facts = (session.session_id, session.work_group, session.region)
    try:
        details = session.athena(config).get_session(session.session_id)
    except SessionNotFoundError:
        return SessionReport(*facts, state="UNKNOWN", problem="the service does not know it")
    except AthenaSessionError as exc:
        return SessionReport(*facts, state="?", problem=str(exc))
    return SessionReport(
        *facts,
        state=details.status.state.value,
        dpu_hours=details.dpu_milliseconds / MILLISECONDS_PER_HOUR,
        problem=details.status.reason,
    )


@dataclass(frozen=True)
class SweepResult:
    """What `sweep` did, or would do, about one preview environment."""

    preview: Preview
    reason: str
    outcome: DownResult | None = None
    error: str = ""


def due(
    found: Iterable[Preview], open_names: Iterable[str] | None, now: datetime
) -> list[tuple[Preview, str]]:
    """Tell which preview environments are to be taken down, and why.

    ``open_names`` are the ones whose pull request is open; None where that is not known.
    """
    names = None if open_names is None else set(open_names)
    result = []
    for preview in found:
        if names is not None and not {preview.name, preview.name.rsplit("/", 1)[-1]} & names:
            result.append((preview, "its name is not among the open ones"))
        elif preview.expired(now):
            result.append((preview, f"it expired {preview.expires:%Y-%m-%d %H:%M} UTC"))
        elif preview.expires is None:
            result.append((preview, "its expiry cannot be read"))
    return result


def sweep(
    workspace: LocalWorkspace,
    reporter: Reporter,
    *,
    open_names: Iterable[str] | None,
    dry_run: bool,
    how: Down,
    now: datetime | None = None,
) -> list[SweepResult]:
    """Take down what is due. A failure of one leaves the others to be taken down."""
    todo = due(previews(workspace, reporter), open_names, now or utc_now())
    if dry_run:
        return [SweepResult(preview, reason) for preview, reason in todo]

    def take_down(item: tuple[Preview, str]) -> SweepResult:
        preview, reason = item
        try:
            return SweepResult(preview, reason, down(workspace, preview.name, how, reporter))
        except InterruptedRunError:
            raise
        except (CommandFailedError, AthenaSessionError) as exc:
            return SweepResult(preview, reason, error=str(exc))

    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(take_down, todo))
