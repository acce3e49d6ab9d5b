"""The Athena operations that a session needs, as the rest of the package sees them."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from athena_session_provider.service.states import Phase, SessionState, phase_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence


SESSIONS_PER_PAGE = 100
"""The most that ListSessions gives at once."""


@dataclass(frozen=True)
class SessionStatus:
    """API member ``SessionStatus``, with the session's id."""

    session_id: str
    state: SessionState
    reason: str = ""
    """``StateChangeReason``; empty where the service gave none."""
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    idle_since: dt.datetime | None = None
    modified_at: dt.datetime | None = None
    description: str = ""
    """Empty if GetSessionStatus gave the status."""
    engine_version: str = ""
    """``EngineVersion``; empty if GetSessionStatus gave the status."""

    @property
    def phase(self) -> Phase:
        """What the state means on the session's engine."""
        return phase_of(self.state, self.engine_version)


@dataclass(frozen=True)
class StartedSession:
    """What StartSession answered."""

    session_id: str
    answered_at: dt.datetime | None
    """When, by the service's own clock; None where it did not say."""


@dataclass(frozen=True)
class SessionDetails:
    """What GetSession returned."""

    status: SessionStatus
    work_group: str
    engine_version: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The session's arguments in snake_case, as far as GetSession returns them."""
    dpu_milliseconds: int = 0
    """``DpuExecutionInMillis``, which AWS charges for."""


@dataclass(frozen=True)
class SessionEndpoint:
    """What GetSessionEndpoint returns: where a session's Spark Connect server is."""

    url: str
    """``EndpointUrl``; empty where the service did not give it yet."""
    token: str = field(repr=False)
    """``AuthToken``; empty where the service did not give it yet."""
    expires_at: dt.datetime | None
    """``AuthTokenExpirationTime``; None where the service did not give it yet."""

    @property
    def ready(self) -> bool:
        """Whether a client can connect: the service gave both the address and a token."""
        return bool(self.url and self.token)


class Athena(Protocol):
    """The service as the rest of the package sees it; the methods are the API's operations.

    Every method raises members of the ``AthenaSessionError`` family, and only those.
    """

    @property
    def region(self) -> str:
        """The region of every call."""
        ...

    @property
    def account_id(self) -> str | None:
        """The account of the credentials; None if it cannot be determined.

        The first use may call STS GetCallerIdentity, and block for as long as that takes.
        """
        ...

    def start_session(
        self, request: Mapping[str, Any], client_request_token: str
    ) -> StartedSession:
        """StartSession. A token that was used before gives the session that it started."""
        ...

    def get_session(self, session_id: str) -> SessionDetails:
        """GetSession."""
        ...

    def get_session_status(self, session_id: str) -> SessionStatus:
        """GetSessionStatus."""
        ...

    def list_sessions(
        self, work_group: str, state: SessionState | None = None, at_most: int | None = None
    ) -> list[SessionStatus]:
        """ListSessions: those in an active state, or in one state; newest first, 100 to a call.

        No more pages are requested once there are ``at_most`` sessions.
        """
        ...

    def terminate_session(self, session_id: str) -> None:
        """TerminateSession; has no effect on a session that has ended."""
        ...

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        ...

    def untag_resource(self, arn: str, keys: Sequence[str]) -> None:
        """UntagResource."""
        ...

    def list_tags(self, arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        ...

    def get_session_endpoint(self, session_id: str) -> SessionEndpoint:
        """GetSessionEndpoint; for sessions of engine 3.5."""
        ...


def session_arn(athena: Athena, work_group: str, session_id: str) -> str | None:
    """Return the ARN of a session; None if the account is not known."""
    if athena.account_id is None:
        return None
    # botocore reads its list of all endpoints for this: once, not once in each thread.
    with _partition_lock:
        partition = _partition(athena.region)
    return (
        f"arn:{partition}:athena:{athena.region}:{athena.account_id}"
        f":workgroup/{work_group}/session/{session_id}"
    )


_partition_lock = threading.Lock()


@functools.cache
def _partition(region: str) -> str:
    from botocore.exceptions import UnknownRegionError
    from botocore.session import get_session

    try:
        return str(get_session().get_partition_for_region(region))
    except UnknownRegionError:
        return "aws"
