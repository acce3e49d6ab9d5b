"""The properties of a session resource: which there are, what a change of one means.

Pure decisions, without Pulumi and without the service.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from athena_session_provider.service.request import Failure, check_arguments, start_session_members
from athena_session_provider.service.settings import check_aws

if TYPE_CHECKING:
    from athena_session_provider.service.api import SessionStatus

IDENTITY = "identity"
"""Input with the resource's ``urn`` and ``owner``, set by the resource itself."""
TIMEOUTS = "timeouts"
"""Input with ``create`` and ``delete``, from the resource option custom_timeouts."""
REGION = "region"
"""Filled in by check, so that a change of the stack's region is a change of the resource."""

OWN_ARGUMENTS = ("triggers", "restart_when_dead", "adopt_session_id", "aws")
"""Arguments of a session resource that StartSession does not have."""

OUTPUTS = (
    "session_id",
    "state",
    "arn",
    "engine_version",
    "account_id",
    "started_at",
    "client_request_token",
)

DEFAULT_IDLE_TIMEOUT_MINUTES = 20
"""The service's own, for a session that says nothing of it (Athena user guide)."""

MAXIMUM_DEPTH = 32
"""How deep values may be nested."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(d|h|m(?!s)|s|ms))")
_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def service_arguments(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Give the properties that are arguments of StartSession, as StartSession takes them."""
    given = {name: properties.get(name) for name in start_session_members()}
    # Checked before, but every number is a float again on its way through Pulumi.
    return check_arguments(given).arguments


def check_properties(
    properties: Mapping[str, Any], unknown: object
) -> tuple[dict[str, Any], list[Failure]]:
    """Normalize the inputs of a resource, and list what is wrong with them. Never raises."""
    deep = [name for name, value in properties.items() if _is_too_deep(value)]
    properties = {name: value for name, value in properties.items() if name not in deep}
    ours = (*OWN_ARGUMENTS, IDENTITY, TIMEOUTS)
    ignored = (*OUTPUTS, REGION, *ours)
    given = {name: value for name, value in properties.items() if name not in ignored}
    if given.get("engine_configuration") is None:
        # The API wants the member, and takes it empty.
        given["engine_configuration"] = {}
    checked = check_arguments(given, unknown=unknown)
    inputs = dict(checked.arguments)
    failures = [failure for failure in checked.failures if failure.path not in deep]
    failures += [Failure(name, f"is nested more than {MAXIMUM_DEPTH} deep") for name in deep]
    inputs |= {name: properties[name] for name in ours if properties.get(name) is not None}

    def require(name: str, kind: type, wanted: str) -> bool:
        value = inputs.get(name)
        if value is None or value == unknown:
            return False
        if not isinstance(value, kind):
            failures.append(Failure(name, f"has to be {wanted}"))
            return False
        return True

    require("restart_when_dead", bool, "true or false")
    if require("adopt_session_id", str, "text, the id of a running session"):
        failures += _check_session_id(inputs["adopt_session_id"])
    if require("triggers", Mapping, "a map"):
        try:
            inputs["triggers"] = plain(inputs["triggers"])
        except ValueError as exc:
            failures.append(Failure("triggers", str(exc)))
    if require("aws", Mapping, "a map such as AwsConfig"):
        failures += check_aws(inputs["aws"], unknown)
    return inputs, failures


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAXIMUM_DEPTH + 1):
        level = [
            child
            for item in level
            if isinstance(item, (Mapping, list, tuple))
            for child in (item.values() if isinstance(item, Mapping) else item)
        ]
        if not level:
            return False
    return True


def _check_session_id(session_id: str) -> list[Failure]:
    # StartSession has no session id; its length is in the model of GetSession.
    from athena_session_provider.service.request import service_model

    shape = service_model().shape_for("SessionId")
    low, high = shape.metadata["min"], shape.metadata["max"]
    if low <= len(session_id) <= high:
        return []
    reason = f"has {len(session_id)} characters, and may have from {low} to {high}"
    return [Failure("adopt_session_id", reason)]


def plain(value: Any, depth: int = 0) -> Any:
    """Give a value with whole floats as integers, so that it reads the same each time."""
    if depth > MAXIMUM_DEPTH:
        message = f"is nested more than {MAXIMUM_DEPTH} deep"
        raise ValueError(message)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            message = f"has the number {value}, which equals nothing, not even itself"
            raise ValueError(message)
        return int(value) if value.is_integer() else value
    if isinstance(value, str) and re.search(r"[\ud800-\udfff]", value):
        message = "has half of a surrogate pair, which is no character"
        raise ValueError(message)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    message = f"has a value of the kind {type(value).__name__}, which cannot be compared"
    raise ValueError(message)


def replaced_by(olds: Mapping[str, Any], news: Mapping[str, Any], session_id: str) -> list[str]:
    """Name the changed inputs that a running session cannot take, so that a new one is needed."""
    changed = [
        name
        for name in (*start_session_members(), "triggers", REGION)
        if name != "tags" and _normal(olds.get(name)) != _normal(news.get(name))
    ]
    # Taking the argument out after the session was taken over changes nothing about the session.
    adopted = news.get("adopt_session_id")
    if adopted is not None and adopted != session_id:
        changed.append("adopt_session_id")
    return changed


def updated_by(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Name the changed inputs that a running session can take."""
    return [name for name in ("tags", "aws") if _normal(olds.get(name)) != _normal(news.get(name))]


def _normal(value: Any) -> Any:
    """Empty and absent are the same, and so are 4 and 4.0 (Python says so itself)."""
    if isinstance(value, Mapping):
        return {key: _normal(item) for key, item in value.items() if item is not None} or None
    if isinstance(value, (list, tuple)):
        return [_normal(item) for item in value] or None
    return value


def changed_tags(
    olds: Mapping[str, Any], news: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """Give the tags to set and the keys to remove."""
    old, new = olds.get("tags") or {}, news.get("tags") or {}
    return (
        {key: value for key, value in new.items() if old.get(key) != value},
        sorted(key for key in old if key not in new),
    )


def timeout_seconds(text: Any, default: float) -> float:
    """Read a duration as resource options have them: "90s", "10m", "1h30m".

    Raises ValueError.
    """
    if text is None:
        return default
    parts = _DURATION.findall(str(text))
    if "".join(number + unit for number, unit in parts) != str(text).replace(" ", ""):
        message = f'"{text}" is no duration; write it as in "90s", "10m" or "1h30m"'
        raise ValueError(message)
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def end_of_session(status: SessionStatus, idle_timeout_minutes: float | None) -> str:
    """Say in words how a session ended."""
    if re.search("idle", status.reason, re.IGNORECASE):
        minutes = idle_timeout_minutes or DEFAULT_IDLE_TIMEOUT_MINUTES
        return f"ended after {minutes:g} idle minute{'' if minutes == 1 else 's'}"
    return f"is {status.state.value} ({status.reason or 'the service gave no reason'})"
