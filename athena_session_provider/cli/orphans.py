"""Live sessions that this package started and no stack names.

A session is recognized by its mark (see `athena_session_provider.service.ownership`): the default
description, or a tag where the user chose a description. Sessions without the mark are never
shown and never touched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from athena_session_provider.cli.sessions import (
    marked_sessions,
    named_sessions,
    unfinished_starts,
)
from athena_session_provider.cli.stacks import Stack, stack_names
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.lifecycle import SessionLifecycle
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.waiting import Deadline, SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pulumi.automation import LocalWorkspace

    from athena_session_provider.cli.progress import Reporter
    from athena_session_provider.service.api import Athena

TERMINATE_SECONDS = 120.0


@dataclass(frozen=True)
class Orphan:
    """A session that costs money for nobody."""

    session_id: str
    work_group: str
    state: str
    started_at: datetime | None
    urn: str
    """The resource that it was started for."""
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
    """List them. ``workspaces`` has one workspace for each backend that may name a session."""
    # The sessions first, the states after: a session that starts meanwhile is not in the list.
    candidates = [
        Orphan(status.session_id, work_group, status.state.value, status.started_at, urn)
        for work_group in work_groups
        for status, urn in marked_sessions(
            athena,
            work_group,
            lambda session_id, reason: reporter.say(
                f"warning: session {session_id} is left alone, its tags cannot be read: {reason}"
            ),
        )
        if status.started_at is None or now - status.started_at >= older_than
    ]
    for workspace in workspaces:
        candidates = _unnamed(candidates, workspace, reporter)
    return candidates


def _unnamed(
    candidates: list[Orphan], workspace: LocalWorkspace, reporter: Reporter
) -> list[Orphan]:
    """Drop those that a stack of the backend names."""
    if not candidates:
        return []
    names = stack_names(workspace, "--all", "--fully-qualify-stack-names")
    for name in _likely_first(names, candidates):
        reporter.status(f"reading the state of stack {name}")
        deployment = Stack(name, workspace, reporter).deployment()
        ids = {session.session_id for session in named_sessions(deployment)}
        # A start under way has no id yet; its session is not an orphan either.
        urns = {_plain(start.urn) for start in unfinished_starts(deployment)}
        candidates = [
            candidate
            for candidate in candidates
            if candidate.session_id not in ids and _plain(candidate.urn) not in urns
        ]
        if not candidates:
            return []
    return candidates


def _likely_first(names: Iterable[str], candidates: Iterable[Orphan]) -> list[str]:
    """Put the stacks that the candidates were started for before all others.

    Most often that is the end of the search. It goes through all, because a stack may have been
    renamed, or another one may have taken the session over.
    """
    homes = {
        candidate.urn.split("::", 1)[0].removeprefix("urn:pulumi:") for candidate in candidates
    }
    return sorted(names, key=lambda name: name.rsplit("/", 1)[-1] not in homes)


def _plain(urn: str) -> str:
    # In a tag, the "$" between the types of a URN is written as "_".
    return urn.replace("$", "_")


def terminate(athena: Athena, orphans: Iterable[Orphan], reporter: Reporter) -> Iterator[Orphan]:
    """End them one by one; a failure of one leaves the others to be ended."""
    pollers = PollerPool(time.monotonic)
    for orphan in orphans:
        reporter.status(f"ending session {orphan.session_id}")
        deadline = Deadline.after(TERMINATE_SECONDS, SystemClock())
        try:
            SessionLifecycle(athena, orphan.work_group, pollers, deadline).terminate(
                orphan.session_id
            )
        except AthenaSessionError as exc:
            yield replace(orphan, error=str(exc))
        else:
            yield replace(orphan, terminated=True)
