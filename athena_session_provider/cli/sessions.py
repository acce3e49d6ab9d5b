"""Sessions in the state of a stack, and marked sessions in the service."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from athena_session_provider.resources import stack_sessions
from athena_session_provider.resources.session import TYPE
from athena_session_provider.service.api import Athena, SessionStatus, session_arn
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.lifecycle import SessionLifecycle
from athena_session_provider.service.ownership import Mark, is_identity, parse_mark
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.settings import aws_settings
from athena_session_provider.service.waiting import Deadline, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TERMINATE_SECONDS = 120.0
"""Seconds that a command waits for the end of a session."""


@dataclass(frozen=True)
class NamedSession:
    """A session resource in the state of a stack."""

    urn: str
    session_id: str
    """"" for a start that was under way when the state was written."""
    work_group: str
    region: str
    engine_version: str = ""
    arn: str = ""
    owned: bool = True
    """False for a session that the program only reads, with ``Session.get``."""
    aws: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def athena(self, config: Mapping[str, Any]) -> Athena:
        """Return a client with the resource's own settings. Raises AthenaSessionError."""
        settings = aws_settings(config, self.aws)
        return shared_athena(dataclasses.replace(settings, region=self.region or settings.region))


def named_sessions(deployment: Mapping[str, Any]) -> list[NamedSession]:
    """Return the sessions of an exported state."""
    return [_session(resource) for resource in _resources(deployment) if _is_session(resource)]


def unfinished_starts(deployment: Mapping[str, Any]) -> list[NamedSession]:
    """Return the starts that are under way, or were when their run was killed.

    Pulumi keeps the pending operation of a killed start even after a later run has completed it.
    Then the state has the resource, too, and the start is not returned.
    """
    finished = {resource.get("urn") for resource in _resources(deployment)}
    return [start for start in pending_starts(deployment) if start.urn not in finished]


def pending_starts(deployment: Mapping[str, Any]) -> list[NamedSession]:
    """Return the starts among the pending operations, also of resources that the state has.

    Such a start is a replacement that creates first, or was completed by a later run.
    """
    return [
        _session(operation["resource"])
        for operation in deployment.get("pending_operations") or ()
        if operation.get("type") == "creating" and _is_session(operation.get("resource") or {})
    ]


def identities(deployment: Mapping[str, Any]) -> set[str]:
    """Return the identities that the sessions of a stack are marked with; one for a work group."""
    found = [
        (resource.get("outputs") or {}).get("identity")
        for resource in _resources(deployment)
        if resource.get("type") == stack_sessions.TYPE
    ]
    return {str(identity) for identity in found if is_identity(identity)}


def _resources(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    return deployment.get("resources") or []


def _is_session(resource: Mapping[str, Any]) -> bool:
    return resource.get("type") == TYPE


def _session(resource: Mapping[str, Any]) -> NamedSession:
    values = {**(resource.get("inputs") or {}), **(resource.get("outputs") or {})}
    aws = values.get("aws")
    return NamedSession(
        urn=str(resource.get("urn", "")),
        session_id=str(resource.get("id") or ""),
        work_group=_text(values.get("work_group")),
        region=_text(values.get("region")),
        engine_version=_text(values.get("engine_version")),
        arn=_text(values.get("arn")),
        owned=not resource.get("external", False),
        aws=aws if isinstance(aws, Mapping) else {},
    )


def _text(value: Any) -> str:
    # A secret is stored as a map with encrypted text.
    return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class MarkedSession:
    """A live session that this package started."""

    status: SessionStatus
    work_group: str
    mark: Mark

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.status.session_id


def marked_sessions(
    athena: Athena, work_group: str, on_unreadable: Callable[[str, str], None]
) -> Iterator[MarkedSession]:
    """Yield the live sessions of a work group that this package started.

    Tags are read only of sessions whose description does not say for which resource they were
    started. ``on_unreadable`` is called with the id of one whose tags cannot be read, and the
    reason; the session is omitted if its description has no mark either.

    Raises AthenaSessionError if ListSessions fails.
    """
    for status in athena.list_sessions(work_group):
        mark = parse_mark(status.description)
        if mark is None or not mark.urn:
            try:
                tags = tags_of(athena, work_group, status.session_id)
            except AthenaSessionError as exc:
                on_unreadable(status.session_id, str(exc))
            else:
                mark = parse_mark(status.description, tags)
        if mark is not None:
            yield MarkedSession(status, work_group, mark)


def tags_of(athena: Athena, work_group: str, session_id: str) -> dict[str, str]:
    """Return the tags of a session. Raises AthenaSessionError."""
    arn = session_arn(athena, work_group, session_id)
    if arn is None:
        raise AthenaSessionError("The account of the credentials is not known.")
    return athena.list_tags(arn)


def end_session(athena: Athena, session_id: str, work_group: str) -> None:
    """Terminate a session and wait up to TERMINATE_SECONDS for its end.

    A session that has ended already is a success. Raises AthenaSessionError.
    """
    deadline = Deadline.after(TERMINATE_SECONDS, SystemClock())
    pollers = PollerPool(time.monotonic)
    SessionLifecycle(athena, work_group, pollers, deadline).terminate(session_id)
