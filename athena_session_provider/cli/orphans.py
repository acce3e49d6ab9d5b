"""Live sessions that this package started and that no stack names.

A session is recognized by its mark (see `athena_session_provider.service.ownership`), which has the
identity of its stack. Stacks keep that identity in their state, so a session is compared with the
stack that started it, whatever other stacks have the same name. Sessions without a mark are never
shown and never terminated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from athena_session_provider.cli.sessions import (
    end_session,
    identities,
    marked_sessions,
    named_sessions,
    pending_starts,
    tags_of,
    unfinished_starts,
)
from athena_session_provider.cli.stacks import Stack, stack_names
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.ownership import CREATE_TAG, STARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from pulumi.automation import LocalWorkspace

    from athena_session_provider.cli.progress import Reporter
    from athena_session_provider.cli.sessions import MarkedSession
    from athena_session_provider.service.api import Athena

CREATE_MAY_TAKE = timedelta(hours=1)
"""Age up to which a session whose create has not finished may still be in that create.

Applies if the state of its stack cannot be read. The default timeout of a create is 10 minutes, and
``custom_timeouts`` may be longer.
"""


@dataclass(frozen=True)
class Orphan:
    """A live session that no stack names."""

    session_id: str
    work_group: str
    state: str
    started_at: datetime | None
    urn: str
    """The resource that it was started for; "" if the mark does not say."""
    known_stack: bool
    """Whether the state of the stack that started it was read. If not, that stack was removed, or
    is in another backend, where its state may name the session."""
    terminated: bool = False
    error: str = ""


def find_orphans(
    athena: Athena,
    work_groups: Iterable[str],
    workspaces: Sequence[LocalWorkspace],
    reporter: Reporter,
    *,
    now: datetime,
    older_than: timedelta = timedelta(0),
) -> list[Orphan]:
    """Return the orphans in work groups.

    Args:
        athena: The service.
        work_groups: Names of the work groups.
        workspaces: One workspace for each backend whose stacks are read.
        reporter: Shows progress, and a warning for each session whose tags cannot be read.
        now: The present time.
        older_than: Sessions that are younger are omitted.

    Raises:
        CommandFailedError: The stacks cannot be read.
        AthenaSessionError: The sessions cannot be listed.
    """

    def on_unreadable(session_id: str, reason: str) -> None:
        reporter.say(f"warning: the tags of session {session_id} cannot be read: {reason}")

    def in_create(session: MarkedSession) -> bool:
        """Return whether the create that started the session has not finished, or may not have."""
        try:
            tags = tags_of(athena, session.work_group, session.session_id)
        except AthenaSessionError as exc:
            on_unreadable(session.session_id, str(exc))
            return True
        return tags.get(CREATE_TAG) == STARTED

    # First the sessions, then the states: a session that is started meanwhile is not in the list.
    candidates = [
        session
        for work_group in work_groups
        for session in marked_sessions(athena, work_group, on_unreadable)
        if _age(session, now) >= older_than
    ]
    left, known = _without_named(candidates, workspaces, reporter, in_create)
    return [
        Orphan(
            session.session_id,
            session.work_group,
            session.status.state.value,
            session.status.started_at,
            session.mark.urn,
            known_stack=session.mark.identity in known,
        )
        for session in left
        if session.mark.identity in known
        or _age(session, now) >= CREATE_MAY_TAKE
        or not in_create(session)
    ]


def _age(session: MarkedSession, now: datetime) -> timedelta:
    started_at = session.status.started_at
    return now - started_at if started_at else timedelta.max


def _without_named(
    candidates: list[MarkedSession],
    workspaces: Iterable[LocalWorkspace],
    reporter: Reporter,
    in_create: Callable[[MarkedSession], bool],
) -> tuple[list[MarkedSession], set[str]]:
    """Drop the sessions that a state names or that are in a create; return the identities, too."""
    known: set[str] = set()
    for workspace in workspaces:
        if not candidates:
            break
        names = stack_names(workspace, "--all", "--fully-qualify-stack-names")
        for name in _likely_first(names, candidates):
            reporter.status(f"reading the state of stack {name}")
            deployment = Stack(name, workspace, reporter).deployment()
            known |= identities(deployment)
            ids = {session.session_id for session in named_sessions(deployment)}
            # A create under way has no id in the state yet. If the state has the resource, the
            # create is one of a replacement, or has been completed: the session's tag says which.
            unfinished = unfinished_starts(deployment)
            pending = pending_starts(deployment)
            candidates = [
                session
                for session in candidates
                if session.session_id not in ids
                and not any(session.mark.is_for(start.urn) for start in unfinished)
                and not (
                    any(session.mark.is_for(start.urn) for start in pending) and in_create(session)
                )
            ]
            if not candidates:
                break
    return candidates, known


def _likely_first(names: Iterable[str], candidates: Iterable[MarkedSession]) -> list[str]:
    """Put the stacks that the candidates were started for first.

    Most often they name all of them, and the search ends. Otherwise all stacks are searched: a
    stack may have been renamed, or another one may have adopted the session.
    """
    likely = {
        session.mark.urn.split("::", 1)[0].removeprefix("urn:pulumi:") for session in candidates
    }
    return sorted(names, key=lambda name: name.rsplit("/", 1)[-1] not in likely)


def terminate(
    athena: Athena, orphans: Iterable[Orphan], reporter: Reporter, *, unknown_stacks: bool
) -> Iterator[Orphan]:
    """Terminate orphans one by one and yield the results; a failure does not stop the others.

    Those of unknown stacks are terminated only with ``unknown_stacks``.
    """
    for orphan in orphans:
        if not (orphan.known_stack or unknown_stacks):
            yield orphan
            continue
        reporter.status(f"ending session {orphan.session_id}")
        try:
            end_session(athena, orphan.session_id, orphan.work_group)
        except AthenaSessionError as exc:
            yield replace(orphan, error=str(exc))
        else:
            yield replace(orphan, terminated=True)
