"""The schema's names and the package's: ``workGroup`` and ``work_group``.

Pulumi's schemas are in camelCase, and each language's SDK translates them. Names are translated,
keys of maps (tags, Spark properties, triggers) are not: botocore's model tells which is which.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from athena_session_provider.inputs import OUTPUTS, REGION
from athena_session_provider.service.configuration_keys import camel_case
from athena_session_provider.service.request import start_session_members

Shape = Any
"""A shape of botocore's model; None for a value whose keys are no names."""

OWN_INPUTS = ("adopt_session_id", "restart_when_dead", "triggers", REGION)
"""Inputs of a session that StartSession does not have."""

# A quoted text is a user's value; a word with an underscore in it may be a name of ours.
_AWS_SETTING = re.compile(r"(?<![\w:])aws:([a-z][A-Za-z]+)")
_QUOTED_OR_NAME = re.compile(r'"[^"]*"|\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b')


def to_snake_case(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a session by the package's names.

    Args:
        properties: By the schema's names. A name that the schema does not have stays as it is.
    """
    renamed: dict[str, Any] = _renamed(properties, _session_names())
    return renamed


def to_camel_case(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a session by the schema's names."""
    backwards: dict[str, Any] = _renamed(properties, _turned(_session_names()))
    return backwards


def in_schema_terms(text: str) -> str:
    """Return a message or a property path with the schema's names and settings in it."""
    known = _all_names()
    text = _QUOTED_OR_NAME.sub(lambda found: known.get(found[0], found[0]), text)
    return _AWS_SETTING.sub(lambda found: f"athena-session:{found[1]}", text)


Names = Mapping[str, tuple[str, Any]]
"""By a name in one spelling: the name in the other, and the same table for what is inside."""


@functools.cache
def _session_names() -> Names:
    names: dict[str, tuple[str, Any]] = {
        # The schema has tags as a map.
        camel_case(name): (name, None if name == "tags" else _names_inside(shape))
        for name, shape in start_session_members().items()
    }
    return names | {camel_case(name): (name, None) for name in (*OWN_INPUTS, *OUTPUTS)}


def _names_inside(shape: Shape) -> Names | None:
    if shape.type_name == "list":
        return _names_inside(shape.member)
    if shape.type_name == "structure":
        return {
            camel_case(name): (name, _names_inside(member))
            for name, member in structure_members(shape).items()
        }
    return None


def structure_members(shape: Shape) -> dict[str, Shape]:
    """Return the members of a structure of botocore's model by their names in snake_case."""
    from botocore import xform_name

    return {xform_name(name): member for name, member in shape.members.items()}


def _turned(names: Names) -> Names:
    return {other: (name, inside and _turned(inside)) for name, (other, inside) in names.items()}


def _renamed(value: Any, names: Names | None) -> Any:
    if names and isinstance(value, Mapping):
        # Known names last: they win over a name that is spelt the other way.
        items = sorted(value.items(), key=lambda item: item[0] in names)
        renamed = {}
        for key, item in items:
            other, inside = names.get(key, (key, None))
            renamed[other] = _renamed(item, inside)
        return renamed
    if names and isinstance(value, (list, tuple)):
        return [_renamed(item, names) for item in value]
    return value


@functools.cache
def _all_names() -> dict[str, str]:
    def walk(names: Names) -> dict[str, str]:
        found = {}
        for camel, (snake, inside) in names.items():
            found[snake] = camel
            found |= walk(inside or {})
        return found

    return walk(_session_names()) | {"custom_timeouts": "customTimeouts"}
