"""Sessions in the state of a stack, and marked sessions in the service."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from athena_session_provider.resources.session import TYPE
from athena_session_provider.service.api import Athena, SessionStatus, session_arn
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import ServiceError
from athena_session_provider.service.lifecycle import terminate_session
from athena_session_provider.service.ownership import marked_urn
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
    return [_session(resource) for resource in deployment.get("resources") or () if _is(resource)]


def unfinished_starts(deployment: Mapping[str, Any]) -> list[NamedSession]:
    """Return the starts that are under way, or were when their run was killed.

    Pulumi keeps the pending operation of a killed start even after a later run has completed it.
    Then the state has the resource, too, and the start is not returned.
    """
    finished = {resource.get("urn") for resource in deployment.get("resources") or ()}
    starts = [
        _session(operation["resource"])
        for operation in deployment.get("pending_operations") or ()
        if operation.get("type") == "creating" and _is(operation.get("resource") or {})
    ]
    return [start for start in starts if start.urn not in finished]


def _is(resource: Mapping[str, Any]) -> bool:
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


def marked_sessions(
    athena: Athena, work_group: str, on_unreadable: Callable[[str, str], None]
) -> Iterator[tuple[SessionStatus, str]]:
    """Yield the live sessions of a work group that this package started, each with its URN.

    A session whose tags cannot be read is omitted; ``on_unreadable`` is called with its id and the
    reason.
    """
    for status in athena.list_sessions(work_group):
        urn = marked_urn(status.description)
        if urn is None:
            arn = session_arn(athena, work_group, status.session_id)
            try:
                urn = marked_urn("", athena.list_tags(arn)) if arn else None
            except ServiceError as exc:
                on_unreadable(status.session_id, str(exc))
            else:
                if arn is None:
                    on_unreadable(status.session_id, "the account of the credentials is unknown")
        if urn is not None:
            yield status, urn


def end_session(athena: Athena, session_id: str, work_group: str) -> None:
    """Terminate a session and wait up to TERMINATE_SECONDS for its end.

    Raises AthenaSessionError.
    """
    terminate_session(
        athena,
        session_id,
        work_group,
        pollers=PollerPool(time.monotonic),
        deadline=Deadline.after(TERMINATE_SECONDS, SystemClock()),
    )
