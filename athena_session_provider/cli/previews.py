"""The commands on preview environments: up, down, list and sweep."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from athena_session_provider.cli.failures import (
    CommandFailedError,
    InterruptedRunError,
    NotAPreviewError,
    NotSetUpError,
)
from athena_session_provider.cli.preview import (
    BASE,
    EXPIRES,
    Down,
    DownResult,
    Listed,
    Preview,
    SessionReport,
    SweepResult,
    Up,
    UpResult,
    due,
    is_preview,
)
from athena_session_provider.cli.sessions import (
    NamedSession,
    end_session,
    identities,
    marked_sessions,
    named_sessions,
    unfinished_starts,
)
from athena_session_provider.cli.stacks import Stack, stack_names
from athena_session_provider.cli.times import utc_now
from athena_session_provider.service.errors import AthenaSessionError, SessionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from pulumi.automation import LocalWorkspace

    from athena_session_provider.cli.progress import Reporter
    from athena_session_provider.service.api import Athena

JOBS = 4
"""Stacks that are read or taken down at once."""

MILLISECONDS_PER_HOUR = 3_600_000


def up(
    workspace: LocalWorkspace,
    options: Up,
    reporter: Reporter,
    clock: Callable[[], datetime] = utc_now,
) -> UpResult:
    """Create the preview environment, or update it to the present program and configuration."""
    stack = Stack(options.name, workspace, reporter)
    reporter.status(f"{options.name}: looking for the stack")
    tags = stack.tags()
    created = tags is None and stack.create(options.base, options.secrets_provider)
    if not created:
        tags = stack.tags() if tags is None else tags
        _require_preview(stack, tags or {})
        if options.base:
            stack.copy_config_from(options.base)
    preview = options.preview(tags or {}, clock())
    # Before anything is started: a run that is killed from here on is swept like any other.
    stack.set_tags(_changed(preview.tags(), tags or {}))
    stack.set_config(options.config)
    reporter.status(f"{options.name}: pulumi up")
    stack.when_unlocked(
        lambda: stack.up(options.parallel),
        patience=options.lock_patience,
        break_older_than=options.break_lock_older_than,
    )
    sessions = [session for session in named_sessions(stack.deployment()) if session.owned]
    return UpResult(preview, created, sessions)


def _changed(tags: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if old.get(key) != value}


def _require_preview(stack: Stack, tags: Mapping[str, str]) -> None:
    """Raise NotAPreviewError for every other stack."""
    if EXPIRES in tags or is_preview(
        tags, stack.deployment(), has_config_file=stack.has_config_file
    ):
        return
    raise NotAPreviewError(
        f"Stack {stack.name} was not created by `preview-env up`, because it has no tag {EXPIRES}. "
        "It was not changed. To make it a preview environment, set the tag: `pulumi stack tag set "
        f"{EXPIRES} {utc_now().isoformat()} --stack {stack.name}`."
    )


def down(workspace: LocalWorkspace, name: str, options: Down, reporter: Reporter) -> DownResult:
    """End everything in a preview environment and remove its stack.

    It may be repeated, also concurrently: a stack that is gone is a success.
    """
    stack = Stack(name, workspace, reporter)
    reporter.status(f"{name}: looking for the stack")
    tags = stack.tags()
    if tags is None:
        return DownResult(name, existed=False)
    _require_preview(stack, tags)
    try:
        return stack.when_unlocked(
            lambda: _take_down(stack, tags, options, reporter),
            patience=options.lock_patience,
            break_older_than=options.break_lock_older_than,
        )
    except InterruptedRunError:
        raise
    except CommandFailedError:
        if stack.tags() is not None:
            raise
        # Another run has removed the stack meanwhile, and this one failed because of that.
        return DownResult(name, existed=False)


def _take_down(
    stack: Stack, tags: Mapping[str, str], options: Down, reporter: Reporter
) -> DownResult:
    stack.restore_config(tags.get(BASE))
    stack.set_config(options.config)
    before = stack.deployment()
    sessions = [session for session in named_sessions(before) if session.owned]
    unnamed = _unnamed_sessions(stack, before, reporter)
    reporter.status(f"{stack.name}: pulumi destroy")
    stack.destroy(options.parallel)
    # `destroy` ends leftovers of interrupted creates, but not if it may not read tags, nor those
    # whose create has finished and whose id did not reach the state. Ending one twice is harmless.
    for session_id, (athena, work_group) in unnamed.items():
        reporter.status(f"{stack.name}: ending session {session_id}")
        end_session(athena, session_id, work_group)
    stack.remove()
    return DownResult(
        stack.name,
        existed=True,
        ended=[session.session_id for session in sessions],
        ended_unnamed=list(unnamed),
    )


def _unnamed_sessions(
    stack: Stack, deployment: Mapping[str, Any], reporter: Reporter
) -> dict[str, tuple[Athena, str]]:
    """Return the sessions of starts whose run was killed: clients and work groups by id."""
    unfinished = unfinished_starts(deployment)
    if not unfinished:
        return {}
    config = stack.config()
    own = identities(deployment)
    found: dict[str, tuple[Athena, str]] = {}
    for start in unfinished:
        athena = start.athena(config)
        for session in marked_sessions(
            athena,
            start.work_group,
            lambda session_id, reason: reporter.say(
                f"warning: cannot determine who started session {session_id}: {reason}"
            ),
        ):
            # The stack's own identity: another stack may have the same URN.
            if session.mark.identity in own and session.mark.is_for(start.urn):
                found[session.session_id] = (athena, start.work_group)
    return found


def previews(workspace: LocalWorkspace, reporter: Reporter) -> list[Preview]:
    """Return the preview environments of the project."""
    names = stack_names(workspace, "--tag", EXPIRES)

    def read(name: str) -> Preview | None:
        tags = Stack(name, workspace, reporter).tags()
        return Preview.from_tags(name, tags) if tags and EXPIRES in tags else None

    with ThreadPoolExecutor(JOBS) as pool:
        return [preview for preview in pool.map(read, names) if preview is not None]


def listed(workspace: LocalWorkspace, reporter: Reporter) -> list[Listed]:
    """Return the preview environments with the states of their sessions."""
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
    """Return the service's answer about a session; an error becomes part of the report."""
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


def sweep(
    workspace: LocalWorkspace,
    reporter: Reporter,
    *,
    open_names: Iterable[str] | None,
    dry_run: bool,
    options: Down,
    now: datetime | None = None,
) -> list[SweepResult]:
    """Take down the preview environments that are due; one failure does not stop the others."""
    todo = due(previews(workspace, reporter), open_names, now or utc_now())
    if dry_run:
        return [SweepResult(preview, reason) for preview, reason in todo]

    def take_down(item: tuple[Preview, str]) -> SweepResult:
        preview, reason = item
        try:
            return SweepResult(preview, reason, down(workspace, preview.name, options, reporter))
        except InterruptedRunError:
            raise
        except (CommandFailedError, AthenaSessionError) as exc:
            return SweepResult(preview, reason, error=str(exc))

    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(take_down, todo))
