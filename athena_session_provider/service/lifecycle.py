"""Start or adopt a session, wait for it, and terminate it.

``client_request_token`` returns the same token for the same resource, request and generation in
every process. So a start that was interrupted, or whose answer was lost, is repeated safely: the
service returns the session that it started for the token. If that session is dead, the token is
used up and the next generation is tried.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from athena_session_provider.service.api import Athena, SessionDetails, SessionStatus, session_arn
from athena_session_provider.service.errors import (
    AccessDeniedError,
    AdoptionError,
    AthenaSessionError,
    EndpointUnreachableError,
    InternalServiceError,
    InvalidRequestError,
    ServiceError,
    SessionDiedError,
    SessionNotFoundError,
    TokenReusedError,
    WaitTimeoutError,
    WrongAccountError,
)
from athena_session_provider.service.ownership import (
    CREATE_TAG,
    FINISHED,
    STARTED,
    parse_mark,
    with_create_tag,
    without_own_tags,
)
from athena_session_provider.service.poller import LISTING_SECONDS
from athena_session_provider.service.states import ENDED, Phase, SessionState
from athena_session_provider.service.token import (
    Identity,
    client_request_token,
    generation_of,
)
from athena_session_provider.service.waiting import Deadline, is_transient, poll_interval, retry

if TYPE_CHECKING:
    from athena_session_provider.service.api import StartedSession
    from athena_session_provider.service.poller import PollerPool

CLEANUP_SECONDS = 60.0
"""How long a create that failed waits until the session that it started has ended."""

NEW_SESSION_SECONDS = 3.0
"""How long a session id that StartSession returned may be unknown to GetSessionStatus."""

ENDPOINT_SECONDS = 180.0
"""How long GetSessionEndpoint of a CREATED session may take to return a token.

dbt-adapters waits as long.
"""

DEAD_STARTS = 5
"""How many sessions that a create itself started may be dead when it asks for their state.

A user can have ended one. If the service ends them all, a create must not start session after
session, because each costs money.
"""

UNKNOWN_STARTS = 50
"""How many sessions that StartSession returned may be unknown to the service.

It may forget ended sessions before it forgets their tokens.
"""

DEFAULT_IDLE_TIMEOUT_MINUTES = 20
"""The service's default of SessionIdleTimeoutInMinutes (Athena user guide)."""

# StateChangeReason after an idle timeout and after TerminateSession alike: Athena user guide,
# "Troubleshoot session errors".
_TERMINATED_PER_REQUEST = re.compile(r"terminated per request", re.IGNORECASE)

_FAILURES = (SessionState.FAILED, SessionState.DEGRADED)

# The Date header has whole seconds.
_HTTP_DATE_RESOLUTION = dt.timedelta(seconds=2)

SESSION_MAY_BE_RUNNING = (
    "A session may be running: the next command of this stack that creates or deletes a session "
    "finds it, or it runs until its idle timeout."
)
"""Outcome of a StartSession that was never answered, so that its session's id is not known."""

Progress = Callable[[str], None]
"""Takes a few words about what is being waited for, or a warning."""

T = TypeVar("T")


def ignore(_message: str) -> None:
    """Drop a message."""


@dataclass(frozen=True)
class Created:
    """A session that is ready."""

    client_request_token: str
    status: SessionStatus


class _Outcome(Enum):
    ALIVE = "the session of the token is alive"
    USED_UP = "the token belongs to a session that ended before this create"
    DEAD_START = "this create started the session, and it is dead already"
    UNKNOWN = "the service does not know the session that it returned for the token"


@dataclass(frozen=True)
class _Attempt:
    """One generation of the token, tried."""

    outcome: _Outcome
    token: str
    request: Mapping[str, Any]
    """As it was sent."""
    session_id: str = ""
    status: SessionStatus | None = None
    """None if the service does not know the session."""


_LIMITS = {_Outcome.DEAD_START: DEAD_STARTS, _Outcome.UNKNOWN: UNKNOWN_STARTS}


class SessionLifecycle:
    """The operations on sessions of one work group, until one deadline."""

    def __init__(
        self,
        athena: Athena,
        work_group: str,
        pollers: PollerPool,
        deadline: Deadline,
        *,
        progress: Progress = ignore,
        warn: Progress = ignore,
    ) -> None:
        """Prepare; nothing is called yet.

        Args:
            athena: The service.
            work_group: The sessions' work group.
            pollers: The pollers of this process, so that several waits share their calls.
            deadline: When to give up. Its clock raises CancelledError on cancellation.
            progress: Receives what is being waited for.
            warn: Receives sentences that the user must see.
        """
        self._athena = athena
        self._work_group = work_group
        self._pollers = pollers
        self._poller = pollers.of(athena, work_group)
        self._deadline = deadline
        self._progress = progress
        self._warn = warn

    # -- create ---------------------------------------------------------------------------------

    def create(
        self,
        identity: Identity,
        request: Mapping[str, Any],
        *,
        previous_token: str = "",
        cleanup: Callable[[], Deadline | None],
        on_started: Callable[[str], None] = ignore,
        may_adopt: Callable[[str], bool] | None = None,
    ) -> Created:
        """Start a session and wait until it is ready. On failure, terminate it.

        Args:
            identity: The resource that the session is for.
            request: StartSession's parameters, with the mark, without the token.
            previous_token: The token of the session that is being replaced, if known. Its
                generation is used up.
            cleanup: Returns the deadline for terminating the session of a create that failed, or
                None if another process may have adopted the session already.
            on_started: Receives each session id as soon as StartSession returns it.
            may_adopt: Returns whether a session that an earlier create started may become the
                resource's; it is left as it is otherwise. None if every such session may.

        Returns:
            The session, in a state that its users can rely on.

        Raises:
            AthenaSessionError: With the outcome for the session in its text.
        """
        started: list[str] = []

        def remember(session_id: str) -> None:
            started.append(session_id)
            on_started(session_id)

        def start(request: Mapping[str, Any]) -> tuple[_Attempt, SessionStatus]:
            with self._poller.waiting():
                attempt, status = self._start(
                    identity, request, previous_token, remember, may_adopt
                )
                return attempt, self.wait_until_ready(status)

        tagged = with_create_tag(request) if self._arn("id") else request
        try:
            attempt, status = start(tagged)
            try:
                self._finish(status.session_id, attempt.request)
            except ServiceError as exc:
                # As it is tagged, a later command would take it for a leftover.
                self.terminate(status.session_id)
                self._warn(
                    f"Session {status.session_id} is started again without tags, because its tag "
                    f"{CREATE_TAG} cannot be changed. {exc}"
                )
                attempt, status = start(without_own_tags(request))
            if not status.engine_version or status.started_at is None:
                status = self._retry(lambda: self._athena.get_session(status.session_id)).status
        except AthenaSessionError as exc:
            if started:
                exc.outcome, ended = self._give_up(started[-1], cleanup())
                exc.left_running = "" if ended else started[-1]
            elif _may_have_started(exc):
                exc.outcome = SESSION_MAY_BE_RUNNING
            raise
        except BaseException:
            if started:
                self._give_up(started[-1], cleanup())
            raise
        return Created(attempt.token, status)

    def _start(
        self,
        identity: Identity,
        request: Mapping[str, Any],
        previous_token: str,
        on_started: Callable[[str], None],
        may_adopt: Callable[[str], bool] | None,
    ) -> tuple[_Attempt, SessionStatus]:
        """Find the first generation with a live session, starting one if there is none."""
        used_up = generation_of(previous_token, identity, request)
        generation = 0 if used_up is None else used_up + 1
        outcomes: Counter[_Outcome] = Counter()
        while True:
            attempt = self._try(identity, request, generation, on_started, may_adopt)
            if attempt.outcome is _Outcome.ALIVE and attempt.status is not None:
                return attempt, attempt.status
            outcomes[attempt.outcome] += 1
            failed = attempt.status is not None and attempt.status.state in _FAILURES
            if attempt.outcome in _LIMITS and (
                outcomes[attempt.outcome] >= _LIMITS[attempt.outcome] or failed
            ):
                raise self._died(attempt.status or attempt.session_id)
            request = attempt.request
            generation += 1
            self._deadline.clock.sleep(0)  # raises CancelledError, however many are dead

    def _try(
        self,
        identity: Identity,
        request: Mapping[str, Any],
        generation: int,
        on_started: Callable[[str], None],
        may_adopt: Callable[[str], bool] | None,
    ) -> _Attempt:
        token = client_request_token(identity, request, generation)
        began = self._deadline.clock.monotonic()
        try:
            started, token, request = self._start_session(identity, request, generation, token)
        except TokenReusedError:
            live = self._marked_like(request)
            if live is None or not (may_adopt is None or may_adopt(live.session_id)):
                return _Attempt(_Outcome.USED_UP, token, request)
            on_started(live.session_id)
            return _Attempt(_Outcome.ALIVE, token, request, live.session_id, live)
        if may_adopt is None:
            on_started(started.session_id)
        took = dt.timedelta(seconds=self._deadline.clock.monotonic() - began)
        status = self._status_of_new(started.session_id)
        ours = status is None or _started_just_now(status, started, took)
        if may_adopt is not None:
            if not ours and not may_adopt(started.session_id):
                return _Attempt(_Outcome.USED_UP, token, request, started.session_id)
            on_started(started.session_id)
        if status is None:
            # If the service does know it after all, it must not run.
            with contextlib.suppress(SessionNotFoundError):
                self._retry(lambda: self._athena.terminate_session(started.session_id))
            return _Attempt(_Outcome.UNKNOWN, token, request, started.session_id)
        if status.phase is not Phase.DEAD:
            return _Attempt(_Outcome.ALIVE, token, request, started.session_id, status)
        if status.state is SessionState.DEGRADED:
            # Unusable, and still paid for.
            self._retry(lambda: self._athena.terminate_session(started.session_id))
        outcome = _Outcome.DEAD_START if ours else _Outcome.USED_UP
        return _Attempt(outcome, token, request, started.session_id, status)

    def _start_session(
        self, identity: Identity, request: Mapping[str, Any], generation: int, token: str
    ) -> tuple[StartedSession, str, Mapping[str, Any]]:
        """Call StartSession, without this package's tags if the service refuses them."""
        try:
            started = self._retry(
                lambda: self._athena.start_session(request, token), "waiting to start"
            )
        except (InvalidRequestError, AccessDeniedError) as refused:
            plain = without_own_tags(request)
            if plain == request or plain.get("Tags"):
                raise
            token = client_request_token(identity, plain, generation)
            try:
                started = self._retry(
                    lambda: self._athena.start_session(plain, token), "waiting to start"
                )
            except (InvalidRequestError, AccessDeniedError):
                # The tags were not the reason.
                raise refused from None
            self._warn(
                f"Session {started.session_id} was started without tags, because they were "
                f"refused ({refused.answer.message.rstrip('.')}). If this command is cut off, the "
                "next one may not be able to end the session."
            )
            return started, token, plain
        return started, token, request

    def _marked_like(self, request: Mapping[str, Any]) -> SessionStatus | None:
        """Return the live session that was started with this very request, if it is listed."""
        mark = parse_mark(request.get("Description", ""))
        if mark is None or not mark.identity:
            return None
        listing = self._poller.recent_listing(self._deadline.clock.monotonic()) or {}
        return next(
            (
                status
                for status in listing.values()
                if status.phase is not Phase.DEAD and status.description == request["Description"]
            ),
            None,
        )

    def _status_of_new(self, session_id: str) -> SessionStatus | None:
        """Return the status of a session that may be too new to be known everywhere.

        None if the service does not know the session.
        """
        asked_at = self._deadline.clock.monotonic()
        known_by = Deadline.after(NEW_SESSION_SECONDS, self._deadline.clock)
        while True:
            try:
                return self._status(session_id, asked_at)
            except SessionNotFoundError:
                if known_by.passed():
                    return None
                self._deadline.clock.sleep(poll_interval(0))

    def _finish(self, session_id: str, request: Mapping[str, Any]) -> None:
        """Tag the session as one whose create has finished: it is never cleaned up from now on."""
        if any(tag["Key"] == CREATE_TAG for tag in request.get("Tags", [])):
            arn = str(self._arn(session_id))
            self._retry(lambda: self._athena.tag_resource(arn, {CREATE_TAG: FINISHED}))

    # -- wait -----------------------------------------------------------------------------------

    def wait_until_ready(self, status: SessionStatus) -> SessionStatus:
        """Wait until a session can be used.

        On engine 3 that is IDLE or BUSY. On engine 3.5 also CREATED, once GetSessionEndpoint
        returns a URL with a token; without permission for that call, CREATED alone. A session
        that stays CREATED on 3.5 is never given up.

        Args:
            status: The session's status of just now.

        Returns:
            The status with which it was found ready.

        Raises:
            SessionDiedError: It ended, or failed.
            WaitTimeoutError: The deadline passed.
            CancelledError: The command was cancelled.
        """
        began = self._deadline.clock.monotonic()
        endpoint_by: Deadline | None = None
        failure = ""
        while True:
            if status.phase is Phase.DEAD:
                raise self._died(status)
            status = self._with_engine(status)
            obstacle = self._obstacle(status)
            if obstacle is None:
                return status
            given_up = self._deadline.passed()
            if status.phase is Phase.READY:
                endpoint_by = endpoint_by or Deadline.after(ENDPOINT_SECONDS, self._deadline.clock)
            if endpoint_by and (given_up or endpoint_by.passed()):
                self._warn(
                    f"Session {status.session_id} is {status.state}, but clients cannot connect to "
                    f"it yet: {obstacle}"
                )
                return status
            if given_up:
                raise self._timeout(status, SessionState.IDLE, failure or obstacle)
            waited = self._deadline.clock.monotonic() - began
            self._progress(f"{status.state.value} for {waited:.0f}s")
            self._deadline.sleep(poll_interval(waited, shared=self._poller.shared))
            status, failure = self._polled(status, began)

    def _polled(self, status: SessionStatus, began: float) -> tuple[SessionStatus, str]:
        """Return the status now; the last one, and why, if it cannot be determined."""
        try:
            found = self._poller.status(status.session_id, since=began - LISTING_SECONDS)
        except AthenaSessionError as exc:
            if not is_transient(exc):
                raise
            return status, str(exc)
        if found is None:
            return status, ""
        return replace(found, engine_version=found.engine_version or status.engine_version), ""

    def _with_engine(self, status: SessionStatus) -> SessionStatus:
        """Return the status with the session's engine, which decides what CREATED means."""
        if status.state is not SessionState.CREATED or status.engine_version:
            return status
        details = self._retry(lambda: self._athena.get_session(status.session_id))
        return details.status

    def _obstacle(self, status: SessionStatus) -> str | None:
        """Return why a session cannot be used yet; None if it can."""
        if status.phase is Phase.PENDING:
            return status.reason
        if status.state is not SessionState.CREATED:
            return None
        try:
            endpoint = self._athena.get_session_endpoint(status.session_id)
        except AccessDeniedError:
            return None
        except (ServiceError, EndpointUnreachableError) as exc:
            return str(exc)
        if endpoint.ready:
            return None
        return "GetSessionEndpoint returned no token."

    def _timeout(
        self, status: SessionStatus, target: SessionState, reason: str
    ) -> WaitTimeoutError:
        return WaitTimeoutError(
            status.session_id,
            region=self._athena.region,
            target=target.value,
            state=status.state.value,
            timeout_seconds=self._deadline.timeout_seconds,
            reason=reason,
        )

    def _died(self, session: SessionStatus | str) -> SessionDiedError:
        if isinstance(session, str):
            return SessionDiedError(
                session, region=self._athena.region, state="unknown to the service", reason=""
            )
        return SessionDiedError(
            session.session_id,
            region=self._athena.region,
            state=session.state.value,
            reason=session.reason,
        )

    # -- terminate ------------------------------------------------------------------------------

    def terminate(self, session_id: str, account_id: str | None = None) -> None:
        """Terminate a session and wait until it has ended. A session that is gone is a success.

        Args:
            session_id: The session.
            account_id: The account that it was started in, if known.

        Raises:
            WaitTimeoutError: It did not end before the deadline.
            CancelledError: The command was cancelled.
            WrongAccountError: Another account says that the session is unknown.
            ServiceError: The service refused.
        """
        try:
            with self._poller.waiting():
                self.request_termination(session_id)
                self._wait_until_ended(session_id)
        except SessionNotFoundError:
            require_account(self._athena, session_id, account_id)

    def request_termination(self, session_id: str) -> None:
        """Call TerminateSession. Raises SessionNotFoundError if no call knows the session."""
        try:
            self._retry(lambda: self._athena.terminate_session(session_id))
        except SessionNotFoundError:
            # Its texts are not documented: a refusal must not be taken for an absence.
            status = self._retry(lambda: self._athena.get_session_status(session_id))
            if status.state not in (*ENDED, SessionState.TERMINATING):
                raise

    def _wait_until_ended(self, session_id: str) -> None:
        began = self._deadline.clock.monotonic()
        status = SessionStatus(session_id, SessionState.TERMINATING)
        while True:
            now = self._deadline.clock.monotonic()
            status = (
                self._retry(lambda: self._poller.status(session_id, began, terminated=True))
                or status
            )
            if status.state in ENDED:
                return
            if self._deadline.passed():
                raise self._timeout(status, SessionState.TERMINATED, status.reason)
            self._progress(f"{status.state.value} for {now - began:.0f}s")
            self._deadline.sleep(poll_interval(now - began, shared=self._poller.shared))

    def _give_up(self, session_id: str, deadline: Deadline | None) -> tuple[str, bool]:
        """Terminate the session of a create that failed.

        Returns:
            The outcome in a sentence, and whether the session has ended or is about to.
        """
        if deadline is None:
            return SESSION_MAY_BE_RUNNING, False
        cleanup = SessionLifecycle(self._athena, self._work_group, self._pollers, deadline)
        try:
            cleanup.terminate(session_id)
        except WaitTimeoutError as exc:
            if exc.state == SessionState.TERMINATING:
                return f"Session {session_id} is being terminated.", True
            failure = str(exc)
        except AthenaSessionError as exc:
            failure = str(exc)
        else:
            return f"Session {session_id} was terminated.", True
        text = (
            f"Session {session_id} could not be terminated: {failure} End it with `aws athena "
            f"terminate-session --session-id {session_id} --region {self._athena.region}`, or run "
            "`pulumi up` again, which adopts it."
        )
        return text, False

    # -- adopt ----------------------------------------------------------------------------------

    def adopt(self, session_id: str) -> SessionDetails:
        """Take over a running session, once it is ready. On failure, it is left as it is.

        Args:
            session_id: The session.

        Returns:
            Its details.

        Raises:
            AdoptionError: It is unknown, dead or in another work group.
        """
        try:
            details = self._retry(lambda: self._athena.get_session(session_id))
        except SessionNotFoundError as exc:
            message = f"adopt_session_id names a session that does not exist: {exc}"
            raise AdoptionError(message) from exc
        if details.work_group != self._work_group:
            message = (
                f"Session {session_id} runs in work group {details.work_group}, not in "
                f"{self._work_group}: set work_group to {details.work_group}."
            )
            raise AdoptionError(message)
        if details.status.phase is Phase.DEAD:
            message = (
                f"Session {session_id} cannot be taken over, since it is "
                f"{details.status.state.value} ({details.status.reason or 'no reason given'}). "
                "Remove adopt_session_id to start a new one."
            )
            raise AdoptionError(message)
        self._take_from_leftovers(details)
        with self._poller.waiting():
            ready = self.wait_until_ready(details.status)
        if ready is details.status:
            return details
        return self._retry(lambda: self._athena.get_session(session_id))

    def _take_from_leftovers(self, details: SessionDetails) -> None:
        """Keep the stack whose interrupted create started a session from ending it."""
        mark = parse_mark(details.status.description)
        session_id = details.status.session_id
        arn = self._arn(session_id)
        if mark is None or not mark.identity or arn is None:
            return
        try:
            if self._retry(lambda: self._athena.list_tags(arn)).get(CREATE_TAG) == STARTED:
                self._retry(lambda: self._athena.tag_resource(arn, {CREATE_TAG: FINISHED}))
        except AccessDeniedError as exc:
            self._warn(
                f"If session {session_id} was left over from an interrupted create, the next "
                f"command of that stack ends it. {exc}"
            )

    def _status(self, session_id: str, since: float) -> SessionStatus:
        return self._retry(lambda: self._poller.wait_for_status(session_id, since, self._deadline))

    def _arn(self, session_id: str) -> str | None:
        return session_arn(self._athena, self._work_group, session_id)

    def _retry(self, call: Callable[[], T], purpose: str = "waiting") -> T:
        def waiting(error: AthenaSessionError) -> None:
            detail = error.answer.message if isinstance(error, ServiceError) else "no answer"
            self._progress(f"{purpose}: {detail}")

        return retry(call, self._deadline, waiting)


def require_account(athena: Athena, session_id: str, account_id: str | None) -> None:
    """Make sure that "not found" was said by the account that the session was started in.

    If either account is not known, the answer is accepted. Raises WrongAccountError.
    """
    if account_id is not None and athena.account_id not in (None, account_id):
        raise WrongAccountError(session_id, expected=account_id, actual=str(athena.account_id))


def why_ended(status: SessionStatus, idle_timeout_minutes: float | None) -> str:
    """Return how a session ended, as the rest of a sentence about it.

    The service gives the same StateChangeReason for an idle timeout and for TerminateSession, so
    the times decide.

    Args:
        status: A status in a phase DEAD.
        idle_timeout_minutes: The session's idle timeout; None for the service's default.

    Returns:
        Such as ``ended after 20 idle minutes``.
    """
    minutes = idle_timeout_minutes or DEFAULT_IDLE_TIMEOUT_MINUTES
    idle = f"{minutes:g} idle minute{'' if minutes == 1 else 's'}"
    if status.state in _FAILURES or (
        status.reason and not _TERMINATED_PER_REQUEST.search(status.reason)
    ):
        return f"is {status.state.value} ({status.reason or 'the service gave no reason'})"
    ended_at = status.ended_at or (status.modified_at if status.state in ENDED else None)
    timeout = dt.timedelta(minutes=minutes)
    if ended_at and status.idle_since and status.idle_since < ended_at:
        # The service looks for idle sessions at intervals that are not documented.
        if ended_at - status.idle_since >= timeout * 0.95:
            return f"ended after {idle}"
        return "was terminated on request"
    if ended_at and status.started_at and ended_at - status.started_at < timeout * 0.95:
        return "was terminated on request"
    return f"was terminated, on request or after {idle}"


def _may_have_started(error: AthenaSessionError) -> bool:
    return isinstance(error, InternalServiceError) or (
        isinstance(error, EndpointUnreachableError) and error.may_have_acted
    )


def _started_just_now(status: SessionStatus, started: StartedSession, took: dt.timedelta) -> bool:
    """Return whether this create started the session, and no earlier one.

    Both times are the service's own, so that this machine's clock does not matter.
    """
    if status.started_at is None or started.answered_at is None:
        return True
    return status.started_at >= started.answered_at - took - _HTTP_DATE_RESOLUTION
