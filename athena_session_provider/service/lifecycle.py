"""Start or take up a session, wait for it, and end it.

The rule that makes a start safe: ``client_request_token`` gives the same token for the same
resource, request and generation, in every process. So whoever starts a session asks what the
token gave: a session that is alive is ours, from a start that was interrupted or whose answer
was lost; one that is dead has used its token up, and the next generation is tried.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from athena_session_provider.service.api import Athena, SessionDetails, SessionStatus, session_arn
from athena_session_provider.service.errors import (
    AdoptionError,
    AthenaSessionError,
    EndpointUnreachableError,
    InternalServiceError,
    ServiceError,
    SessionDiedError,
    SessionNotFoundError,
    WaitTimeoutError,
    WrongAccountError,
)
from athena_session_provider.service.poller import LISTING_SECONDS, PollerPool, StatusPoller
from athena_session_provider.service.states import ENDED, PHASES, Phase, SessionState
from athena_session_provider.service.token import Identity, client_request_token
from athena_session_provider.service.waiting import Deadline, is_transient, poll_interval, retry

if TYPE_CHECKING:
    from athena_session_provider.service.api import StartedSession

GENERATION_TAG = "athena-session-provider:generation"
"""Tag of the first session of a resource, long dead, that tells how far the tokens are used up:
the generation of the last session that was started, and its id.

It spares a resource that is made for the hundredth time from asking about ninety-nine dead
sessions. It is a hint only: without it, or without permission for tags, the dead are counted.
"""

CLEANUP_SECONDS = 60.0
"""How long a start that is given up waits for its session to be terminated."""

NEW_SESSION_SECONDS = 3.0
"""How long a session id that StartSession gave may be unknown to GetSessionStatus."""

DEAD_STARTS = 5
"""How many sessions that a create itself seems to have started may be dead when it looks.

One can have been ended by somebody else. A service that ends them all must not make us start
session after session, of which each costs money.
"""

_FAILURES = (SessionState.FAILED, SessionState.DEGRADED)

# The Date header has whole seconds.
_HTTP_DATE_RESOLUTION = dt.timedelta(seconds=2)

SESSION_MAY_BE_RUNNING = (
    "A session may have been started all the same: run `pulumi up` again, which takes it up, or "
    "it runs until its idle timeout."
)
"""Outcome of a StartSession that was never answered, so that its session's id is not known."""

Progress = Callable[[str], None]
"""Told, in a few words, what is being waited for."""


def no_progress(_message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Token:
    """A ClientRequestToken that gave a live session."""

    client_request_token: str
    session_id: str
    state: SessionState
    """Of the session when it was first asked for."""


def start_session(
    athena: Athena,
    identity: Identity,
    request: Mapping[str, Any],
    *,
    poller: StatusPoller,
    deadline: Deadline,
    progress: Progress = no_progress,
    on_started: Callable[[str], None] = lambda _session_id: None,
) -> Token:
    """Start a session, or take up the one that was started for this resource and still lives.

    ``on_started`` is told the id of each session that the service gives, before anything else is
    done with it, so that no error leaves a session behind that nobody knows.

    Raises SessionDiedError where the session that it started failed at once, CapacityError where
    the service had no room until the deadline, and every other ServiceError as it is.
    """
    generation = 0
    first: str | None = None
    dead_starts = 0
    while True:
        token = client_request_token(identity, request, generation)
        began = deadline.clock.monotonic()
        started = _start(athena, request, token, deadline, progress)
        on_started(started.session_id)
        took = dt.timedelta(seconds=deadline.clock.monotonic() - began)
        status = _status_of_new(poller, started.session_id, deadline)
        if status is not None and PHASES[status.state] is not Phase.DEAD:
            if first is not None:
                _remember(athena, request["WorkGroup"], first, generation, started.session_id)
            return Token(token, started.session_id, status.state)
        if status is not None and status.state is SessionState.DEGRADED:
            # Of no use, and still paid for.
            retry(lambda: athena.terminate_session(started.session_id), deadline)  # noqa: B023
        if status is None or _started_just_now(status, started, took):
            failed = status is not None and status.state in _FAILURES
            dead_starts += 1
            if failed or dead_starts == DEAD_STARTS:
                raise SessionDiedError(
                    started.session_id,
                    region=athena.region,
                    state=status.state.value if status else "not known to the service",
                    reason=status.reason if status else "",
                )
        deadline.clock.sleep(0)  # raises CancelledError, however many sessions are dead
        if first is None:
            first = started.session_id
            generation = _first_unused(athena, request["WorkGroup"], first)
        else:
            generation += 1


def _start(
    athena: Athena,
    request: Mapping[str, Any],
    token: str,
    deadline: Deadline,
    progress: Progress,
) -> StartedSession:
    def waiting(error: AthenaSessionError) -> None:
        detail = error.answer.message if isinstance(error, ServiceError) else "no answer"
        progress(f"waiting to start: {detail}")

    return retry(lambda: athena.start_session(request, token), deadline, waiting)


def _status_of_new(
    poller: StatusPoller, session_id: str, deadline: Deadline
) -> SessionStatus | None:
    """Ask for the state of a session that may be so new that not every answer knows of it.

    None where the service has forgotten the session that it gave for the token.
    """
    asked_at = deadline.clock.monotonic()
    known_by = Deadline.after(NEW_SESSION_SECONDS, deadline.clock)
    while True:
        try:
            status = retry(lambda: poller.status(session_id, asked_at), deadline)
        except SessionNotFoundError:
            if known_by.passed():
                return None
            deadline.clock.sleep(poll_interval(0))
        else:
            if status is not None:
                return status
            deadline.clock.sleep(poll_interval(0, shared=True))


def _started_just_now(status: SessionStatus, started: StartedSession, took: dt.timedelta) -> bool:
    """Tell a session that we started from one of an earlier run.

    Both times are the service's own, so that this machine's clock does not matter.
    """
    if status.started_at is None or started.answered_at is None:
        return True
    return status.started_at >= started.answered_at - took - _HTTP_DATE_RESOLUTION


def _first_unused(athena: Athena, work_group: str, first: str) -> int:
    """Give the first generation that is not known to be used up, by the tag of the first one."""
    arn = session_arn(athena, work_group, first)
    if arn is None:
        return 1
    try:
        tag = athena.list_tags(arn).get(GENERATION_TAG, "")
    except AthenaSessionError:
        return 1
    generation, _, session_id = tag.partition(":")
    if not (generation.isascii() and generation.isdigit()):
        return 1
    try:
        # Asking for the session by its id spares the StartSession that would tell the id.
        ended = bool(session_id) and athena.get_session_status(session_id).state in ENDED
    except AthenaSessionError:
        ended = False
    return int(generation) + ended


def _remember(
    athena: Athena, work_group: str, first: str, generation: int, session_id: str
) -> None:
    arn = session_arn(athena, work_group, first)
    if arn is None:
        return
    try:
        athena.tag_resource(arn, {GENERATION_TAG: f"{generation}:{session_id}"})
    except AthenaSessionError:
        # Merely slower next time; a role without athena:TagResource is a good role.
        return


def wait_until_ready(
    athena: Athena,
    session_id: str,
    state: SessionState,
    *,
    poller: StatusPoller,
    deadline: Deadline,
    progress: Progress = no_progress,
) -> None:
    """Wait until a session takes calculations: IDLE, or BUSY with one.

    ``state`` is the state that it was in just now.

    Raises SessionDiedError, WaitTimeoutError, CancelledError.
    """
    began = deadline.clock.monotonic()
    reason = ""
    while PHASES[state] is not Phase.READY:
        if PHASES[state] is Phase.DEAD:
            raise SessionDiedError(
                session_id, region=athena.region, state=state.value, reason=reason
            )
        if deadline.passed():
            raise WaitTimeoutError(
                session_id,
                region=athena.region,
                wanted=SessionState.IDLE.value,
                state=state.value,
                timeout_seconds=deadline.timeout_seconds,
                reason=reason,
            )
        waited = deadline.clock.monotonic() - began
        progress(f"{state.value} for {waited:.0f}s")
        deadline.sleep(poll_interval(waited, shared=poller.shared))
        try:
            status = poller.status(session_id, since=began - LISTING_SECONDS)
        except AthenaSessionError as exc:
            if not is_transient(exc):
                raise
            reason = str(exc)
        else:
            if status is not None:
                state, reason = status.state, status.reason


def terminate_session(
    athena: Athena,
    session_id: str,
    work_group: str,
    *,
    pollers: PollerPool,
    deadline: Deadline,
    progress: Progress = no_progress,
    account_id: str | None = None,
) -> None:
    """Terminate a session and wait until it has ended. One that is gone already is a success.

    ``account_id`` is the account that the session was started in, if known.

    Raises WaitTimeoutError, CancelledError, WrongAccountError, and ServiceError as it is.
    """
    poller = pollers.of(athena, work_group)
    try:
        with poller.waiting():
            retry(lambda: athena.terminate_session(session_id), deadline)
            _wait_until_ended(athena, session_id, poller, deadline, progress)
    except SessionNotFoundError:
        require_account(athena, session_id, account_id)


def _wait_until_ended(
    athena: Athena,
    session_id: str,
    poller: StatusPoller,
    deadline: Deadline,
    progress: Progress,
) -> None:
    began = deadline.clock.monotonic()
    state = SessionState.TERMINATING
    while True:
        now = deadline.clock.monotonic()
        status = retry(lambda: poller.status(session_id, began, terminated=True), deadline)
        if status is not None:
            state = status.state
            if state in ENDED:
                return
        if deadline.passed():
            raise WaitTimeoutError(
                session_id,
                region=athena.region,
                wanted=SessionState.TERMINATED.value,
                state=state.value,
                timeout_seconds=deadline.timeout_seconds,
                reason=status.reason if status else "",
            )
        progress(f"{state.value} for {now - began:.0f}s")
        deadline.sleep(poll_interval(now - began, shared=poller.shared))


def require_account(athena: Athena, session_id: str, account_id: str | None) -> None:
    """Make sure that "not found" was said by the account that the session was started in.

    Raises WrongAccountError. Where either account is not known, the answer is believed.
    """
    if account_id is not None and athena.account_id not in (None, account_id):
        raise WrongAccountError(session_id, expected=account_id, actual=str(athena.account_id))


def create(
    athena: Athena,
    identity: Identity,
    request: Mapping[str, Any],
    *,
    pollers: PollerPool,
    deadline: Deadline,
    cleanup: Callable[[], Deadline | None],
    progress: Progress = no_progress,
) -> tuple[Token, SessionDetails]:
    """Start a session and wait until it takes calculations.

    If that cannot be had, the session is terminated before the error is raised, since nobody
    else would know of it. ``cleanup`` gives the deadline of that, or None where somebody else may
    have taken the session up already.
    """
    work_group = request["WorkGroup"]
    poller = pollers.of(athena, work_group)
    started: list[str] = []
    try:
        with poller.waiting():
            token = start_session(
                athena,
                identity,
                request,
                poller=poller,
                deadline=deadline,
                progress=progress,
                on_started=started.append,
            )
            wait_until_ready(
                athena,
                token.session_id,
                token.state,
                poller=poller,
                deadline=deadline,
                progress=progress,
            )
        return token, retry(lambda: athena.get_session(token.session_id), deadline)
    except AthenaSessionError as exc:
        if started:
            exc.outcome = _give_up(athena, started[-1], work_group, pollers, cleanup())
        elif _may_have_started(exc):
            exc.outcome = SESSION_MAY_BE_RUNNING
        raise
    except BaseException:
        if started:
            _give_up(athena, started[-1], work_group, pollers, cleanup())
        raise


def _may_have_started(error: AthenaSessionError) -> bool:
    return isinstance(error, InternalServiceError) or (
        isinstance(error, EndpointUnreachableError) and error.may_have_acted
    )


def _give_up(
    athena: Athena, session_id: str, work_group: str, pollers: PollerPool, deadline: Deadline | None
) -> str:
    """Terminate the session of a start that failed; tell what came of it in a sentence."""
    if deadline is None:
        return SESSION_MAY_BE_RUNNING
    try:
        terminate_session(athena, session_id, work_group, pollers=pollers, deadline=deadline)
    except WaitTimeoutError as exc:
        if exc.state == SessionState.TERMINATING:
            return f"Session {session_id} is being terminated."
        failure = str(exc)
    except AthenaSessionError as exc:
        failure = str(exc)
    else:
        return f"Session {session_id} was terminated."
    return (
        f"Session {session_id} could not be terminated: {failure} End it with `aws athena "
        f"terminate-session --session-id {session_id} --region {athena.region}`, or run "
        "`pulumi up` again, which takes it up."
    )


def adopt_session(
    athena: Athena,
    session_id: str,
    work_group: str,
    *,
    pollers: PollerPool,
    deadline: Deadline,
    progress: Progress = no_progress,
) -> SessionDetails:
    """Take over a session that runs already. It is left alone if that cannot be done.

    Raises AdoptionError where it is unknown, dead or in another work group.
    """
    try:
        details = retry(lambda: athena.get_session(session_id), deadline)
    except SessionNotFoundError as exc:
        message = f"adopt_session_id names a session that does not exist: {exc}"
        raise AdoptionError(message) from exc
    if details.work_group != work_group:
        message = (
            f"Session {session_id} runs in work group {details.work_group}, not in {work_group}: "
            "set work_group to where it runs."
        )
        raise AdoptionError(message)
    if PHASES[details.status.state] is Phase.DEAD:
        message = (
            f"Session {session_id} cannot be taken over, since it is {details.status.state.value} "
            f"({details.status.reason or 'no reason given'}). Remove adopt_session_id to start a "
            "new one."
        )
        raise AdoptionError(message)
    if PHASES[details.status.state] is Phase.READY:
        return details
    poller = pollers.of(athena, work_group)
    with poller.waiting():
        wait_until_ready(
            athena,
            session_id,
            details.status.state,
            poller=poller,
            deadline=deadline,
            progress=progress,
        )
    return retry(lambda: athena.get_session(session_id), deadline)
