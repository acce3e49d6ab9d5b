"""The properties of a session resource: their checks, and what a change of each means.

Pure decisions, without Pulumi and without the service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from athena_session_provider.service.request import (
    Failure,
    check_arguments,
    service_model,
    start_session_members,
)
from athena_session_provider.service.settings import check_aws
from athena_session_provider.service.values import (
    MAXIMUM_DEPTH,
    comparable,
    integral,
    is_too_deep,
    leaves,
    map_leaves,
    normal,
)
from athena_session_provider.service.waiting import DEFAULT_TIMEOUT_SECONDS, timeout_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

IDENTITY = "identity"
"""Input that the resource sets itself.

It has the resource's ``urn``, the stack's identity as ``owner``, the names of the properties that
hold ``secrets``, and the options protect and delete_before_replace as ``protected`` and
``create_before_delete``.
"""
TIMEOUTS = "timeouts"
"""Input with ``create`` and ``delete``, from the resource option custom_timeouts.

It is an input because the host does not pass the engine's timeouts on.
"""
REGION = "region"
"""Filled in by check, so that a change of the stack's region is a change of the resource."""


@dataclass(frozen=True)
class Property:
    """A property that StartSession does not have."""

    name: str
    kind: type
    expected: str
    """What it must be, as the rest of a sentence."""


PROPERTIES = (
    Property("triggers", Mapping, "a map"),
    Property("restart_when_dead", bool, "true or false"),
    Property("adopt_session_id", str, "text, the id of a running session"),
    Property("aws", Mapping, "a map of AWS settings"),
    Property(IDENTITY, Mapping, "a map, which the resource sets itself"),
    Property(TIMEOUTS, Mapping, "a map of create and delete"),
)
"""The properties besides StartSession's. Checks and documentation are made from this table."""

OWN_ARGUMENTS = ("triggers", "restart_when_dead", "adopt_session_id", "aws")
"""Those of PROPERTIES that a program writes."""

OUTPUTS = (
    "session_id",
    "state",
    "arn",
    "engine_version",
    "account_id",
    "started_at",
    "client_request_token",
)

NO_MAXIMUM_DPUS = (
    "engine_configuration.max_concurrent_dpus is not set. A work group of PySpark engine version 3 "
    "may refuse the session, and a session of Apache Spark version 3.5 may use up to 60 DPUs."
)
"""Warning for a new session; sources: StartSession of botocore before 1.41.2, where the member was
required, and Athena's release notes for 3.5 (59 executors by default)."""


def service_arguments(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that are arguments of StartSession, as checked properties have them.

    Numbers are integers again, which they were not on their way through Pulumi.
    """
    return {
        name: map_leaves(properties[name], integral)
        for name in start_session_members()
        if properties.get(name) is not None
    }


def check_properties(
    properties: Mapping[str, Any], unknown: object
) -> tuple[dict[str, Any], list[Failure]]:
    """Normalize the inputs of a resource, and list what is wrong with them. Never raises.

    Args:
        properties: The inputs, in snake_case.
        unknown: The placeholder for a value that is not known yet; it is left where it stands.

    Returns:
        The inputs as they are stored, and the failures.
    """
    deep = [name for name, value in properties.items() if is_too_deep(value)]
    properties = {name: value for name, value in properties.items() if name not in deep}
    ours = [own.name for own in PROPERTIES]
    ignored = (*OUTPUTS, REGION, *ours)
    given = {name: value for name, value in properties.items() if name not in ignored}
    if given.get("engine_configuration") is None:
        # The API requires the member, and accepts it empty.
        given["engine_configuration"] = {}
    checked = check_arguments(given, unknown=unknown)
    inputs = dict(checked.arguments)
    failures = [failure for failure in checked.failures if failure.path not in deep]
    failures += [Failure(name, f"is nested more than {MAXIMUM_DEPTH} deep") for name in deep]
    for own in PROPERTIES:
        value = properties.get(own.name)
        if value is None:
            continue
        inputs[own.name] = value
        if value == unknown:
            continue
        if not isinstance(value, own.kind):
            failures.append(Failure(own.name, f"must be {own.expected}"))
        elif check := _CHECKS.get(own.name):
            inputs[own.name], found = check(value, unknown)
            failures += found
    return inputs, failures


def _check_triggers(triggers: Mapping[str, Any], _unknown: object) -> tuple[Any, list[Failure]]:
    try:
        return comparable(triggers), []
    except ValueError as exc:
        return triggers, [Failure("triggers", str(exc))]


def _check_session_id(session_id: str, _unknown: object) -> tuple[Any, list[Failure]]:
    # StartSession has no session id; its length is in the model of GetSession.
    shape = service_model().shape_for("SessionId")
    low, high = shape.metadata["min"], shape.metadata["max"]
    if low <= len(session_id) <= high:
        return session_id, []
    reason = f"has {len(session_id)} characters, and may have from {low} to {high}"
    return session_id, [Failure("adopt_session_id", reason)]


def _check_timeouts(timeouts: Mapping[str, Any], unknown: object) -> tuple[Any, list[Failure]]:
    failures = []
    for name, text in timeouts.items():
        try:
            if text != unknown:
                timeout_seconds(text, DEFAULT_TIMEOUT_SECONDS)
        except ValueError as exc:
            failures.append(Failure(f"{TIMEOUTS}.{name}", str(exc)))
    return timeouts, failures


def _check_identity(identity: Mapping[str, Any], unknown: object) -> tuple[Any, list[Failure]]:
    wrong = [
        key
        for key in ("urn", "owner")
        if not isinstance(identity.get(key, ""), str) and identity[key] != unknown
    ]
    return identity, [Failure(f"{IDENTITY}.{key}", "must be text") for key in wrong]


_CHECKS: dict[str, Callable[[Any, object], tuple[Any, list[Failure]]]] = {
    "triggers": _check_triggers,
    "adopt_session_id": _check_session_id,
    "aws": lambda aws, unknown: (aws, check_aws(aws, unknown)),
    IDENTITY: _check_identity,
    TIMEOUTS: _check_timeouts,
}


def present(failures: Iterable[Failure], properties: Mapping[str, Any]) -> list[Failure]:
    """Return failures as they are to be shown, without the value of any secret.

    Pulumi prints the value of the property that a failure names, and ``<nil>`` for a nested one. So
    a nested failure, and one of a secret, names its property in the reason instead.

    Args:
        failures: What ``check_properties`` returned.
        properties: The inputs; ``identity.secrets`` names those that hold secrets.
    """
    identity = properties.get(IDENTITY)
    names = identity.get("secrets") if isinstance(identity, Mapping) else None
    given = names if isinstance(names, (list, tuple)) else ()
    secrets = {name for name in given if isinstance(name, str)}
    return [_presented(failure, properties, secrets) for failure in failures]


def _presented(failure: Failure, properties: Mapping[str, Any], secrets: set[str]) -> Failure:
    top = failure.path.replace("[", ".").split(".", 1)[0]
    if top in secrets:
        return Failure("", f"{top}, which is secret, {_redacted(failure, properties.get(top))}")
    if failure.path == top:
        return failure
    return Failure("", f"{failure.path} {failure.reason}")


def _redacted(failure: Failure, secret: Any) -> str:
    """Return the reason of a failure without any text or number of the secret."""
    found = {str(form) for leaf in leaves(secret) for form in (leaf, integral(leaf))} - {""}
    if not found:
        return failure.reason
    longest_first = sorted(found, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "[secret]", failure.reason)


def replaced_by(olds: Mapping[str, Any], news: Mapping[str, Any], session_id: str) -> list[str]:
    """Return the names of the changed inputs that require a new session."""
    changed = [
        name
        for name in (*start_session_members(), "triggers", REGION)
        if name != "tags" and normal(olds.get(name)) != normal(news.get(name))
    ]
    # Taking the argument out after the session was taken over changes nothing about the session.
    adopted = news.get("adopt_session_id")
    if adopted is not None and adopted != session_id:
        changed.append("adopt_session_id")
    return changed


def updated_by(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return the names of the changed inputs that a running session can take.

    Read and delete are given the stored values, so a change of any must be stored.
    """
    changed = [
        name
        for name in ("tags", "aws", TIMEOUTS, "restart_when_dead")
        if normal(olds.get(name)) != normal(news.get(name))
    ]
    return changed + ["protect"] * (is_protected(olds) != is_protected(news))


def is_protected(properties: Mapping[str, Any]) -> bool:
    """Return whether the resource has the option protect, as far as its properties say."""
    identity = properties.get(IDENTITY)
    return isinstance(identity, Mapping) and identity.get("protected") is True


def changed_tags(
    olds: Mapping[str, Any], news: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """Return the tags to set and the keys to remove."""
    old, new = olds.get("tags") or {}, news.get("tags") or {}
    return (
        {key: value for key, value in new.items() if old.get(key) != value},
        sorted(key for key in old if key not in new),
    )
