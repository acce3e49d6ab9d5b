"""The sessions that the state of a stack names, and what the service says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from athena_session_provider.resources.session import TYPE
from athena_session_provider.service.api import Athena, SessionStatus, session_arn
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import ServiceError
from athena_session_provider.service.ownership import parse_mark
from athena_session_provider.service.settings import aws_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class NamedSession:
    """A session resource in the state of a stack."""

    urn: str
    session_id: str
    """Empty for one that was being started when the state was written."""
    work_group: str
    region: str
    engine_version: str = ""
    arn: str = ""
    owned: bool = True
    """False for one that the program only reads, with ``Session.get``."""
    aws: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def athena(self, config: Mapping[str, Any]) -> Athena:
        """Give the client that the resource itself uses. Raises AthenaSessionError."""
        settings = aws_settings(config, self.aws)
        return shared_athena(dataclasses.replace(settings, region=self.region or settings.region))


def named_sessions(deployment: Mapping[str, Any]) -> list[NamedSession]:
    """List the sessions of an exported state."""
    return [_session(resource) for resource in deployment.get("resources") or () if _is(resource)]


def unfinished_starts(deployment: Mapping[str, Any]) -> list[NamedSession]:
    """List the starts that are under way, or were when the run that made them was killed.

    Pulumi keeps the note of a killed start also after a later run has finished it; such a one is
    a resource of the state by then.
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
    # A secret is stored as a map that only Pulumi can read.
    return value if isinstance(value, str) else ""


def marked_sessions(
    athena: Athena, work_group: str, on_unreadable: Callable[[str, str], None]
) -> Iterator[tuple[SessionStatus, str]]:
    """Give the live sessions of a work group that this package started, and for which URN.

    A session with a description of the user's choice is recognized by a tag. One whose tags
    cannot be read is told to ``on_unreadable``, with the reason, and left out: the safe side.
    """
    for status in athena.list_sessions(work_group):
        urn = _urn_of(status.description)
        if urn is None:
            arn = session_arn(athena, work_group, status.session_id)
            try:
                urn = _urn_of(status.description, athena.list_tags(arn)) if arn else None
            except ServiceError as exc:
                on_unreadable(status.session_id, str(exc))
            else:
                if arn is None:
                    on_unreadable(status.session_id, "the account of the credentials is unknown")
        if urn is not None:
            yield status, urn


def _urn_of(description: str, tags: Mapping[str, str] | None = None) -> str | None:
    mark = parse_mark(description, tags)
    return mark.urn or None if mark else None
