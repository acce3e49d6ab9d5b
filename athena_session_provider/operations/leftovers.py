"""Sessions of interrupted creates: find them, and end them.

A leftover is a live session whose mark has the stack's identity and whose tag says that its create
has not finished, while no create for it is running. A create that finishes changes the tag, so a
session that a state names, or has named, is never a leftover: not one of another stack, one that
was retained, adopted elsewhere or removed from the state by hand, nor the old one of a replacement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from athena_session_provider.service.api import session_arn
from athena_session_provider.service.errors import (
    AccessDeniedError,
    SessionNotFoundError,
)
from athena_session_provider.service.lifecycle import SessionLifecycle
from athena_session_provider.service.ownership import (
    CREATE_TAG,
    STARTED,
    is_identity,
    parse_mark,
)
from athena_session_provider.service.states import Phase
from athena_session_provider.service.waiting import Deadline, retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from athena_session_provider.operations.run import Run
    from athena_session_provider.service.api import Athena, SessionStatus
    from athena_session_provider.service.ownership import Mark

LISTING_SECONDS = 10.0
"""How old the listing may be in which leftovers are looked for.

They are older than this process, and so than any listing that it made.
"""


def end_leftovers(
    athena: Athena,
    work_group: str,
    identity: str,
    run: Run,
    deadline: Deadline,
    *,
    warn: Callable[[str], None],
    only: Callable[[Mark], bool] = lambda _mark: True,
    must_list: bool = False,
) -> list[str]:
    """Terminate what interrupted creates of a stack have left in a work group.

    Args:
        athena: The service.
        work_group: The work group.
        identity: The stack's identity there.
        run: What this command knows.
        deadline: When to give up a call.
        warn: Receives a sentence for each session that was ended, or could not be.
        only: Which marks to look at.
        must_list: Whether to raise if the sessions cannot be listed; they are skipped otherwise.

    Returns:
        The ids of the sessions for which TerminateSession was called.

    Raises:
        AthenaSessionError: A call failed. A denied ListTagsForResource or TerminateSession is a
            warning instead.
    """
    if not is_identity(identity):
        return []
    ended = []
    for status, mark in _candidates(
        athena, work_group, identity, run, deadline, must_list=must_list
    ):
        if not only(mark):
            continue
        session_id = status.session_id
        resource = mark.urn or "a resource of this stack"
        try:
            if not is_unfinished(athena, work_group, session_id, deadline):
                run.know(session_id)
                continue
            lifecycle = SessionLifecycle(athena, work_group, run.pollers, deadline)
            lifecycle.request_termination(session_id)
        except SessionNotFoundError:
            continue
        except AccessDeniedError as exc:
            warn(
                f"Session {session_id} may be left over from an interrupted create of {resource}. "
                f"{exc} If it is, end it with `aws athena terminate-session --session-id "
                f"{session_id} --region {athena.region}`."
            )
            continue
        run.know(session_id)
        ended.append(session_id)
        warn(
            f"Session {session_id} was left over from an interrupted create of {resource}. It has "
            "been terminated."
        )
    return ended


def _candidates(
    athena: Athena,
    work_group: str,
    identity: str,
    run: Run,
    deadline: Deadline,
    *,
    must_list: bool,
) -> Iterator[tuple[SessionStatus, Mark]]:
    since = deadline.clock.monotonic() - LISTING_SECONDS
    listing = run.pollers.of(athena, work_group).recent_listing(since)
    listed = list((listing or {}).values())
    if listing is None and must_list:
        listed = retry(lambda: athena.list_sessions(work_group), deadline)
    for status in listed:
        mark = parse_mark(status.description)
        if (
            mark is not None
            and mark.identity == identity
            and status.phase is not Phase.DEAD
            and not run.knows(status.session_id)
            and not run.is_starting(mark)
        ):
            yield status, mark


def is_unfinished(athena: Athena, work_group: str, session_id: str, deadline: Deadline) -> bool:
    """Return whether the tag of a session says that its create has not finished."""
    arn = session_arn(athena, work_group, session_id)
    if arn is None:
        return False
    tags = retry(lambda: athena.list_tags(str(arn)), deadline)
    return tags.get(CREATE_TAG) == STARTED
