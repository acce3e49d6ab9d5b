"""Validate requests by botocore's model of Athena, as the service's front end does.

botocore checks a request before it sends it, but only types, required members and
minimum values. The service also checks maxima, patterns and enums, so a test
against an emulator that does not would pass where AWS refuses. The wording is the
service's: "1 validation error detected: Value at 'workGroup' failed to satisfy
constraint: ...".
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.model import (
    ListShape,
    MapShape,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SURROGATE_PAIR = re.compile(r"\\u(D[89AB][0-9A-F]{2})\\u(D[C-F][0-9A-F]{2})", re.IGNORECASE)
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}


@cache
def service_model() -> ServiceModel:
    """Return botocore's model of Athena, the one source of every constraint."""
    return botocore.session.get_session().get_service_model("athena")


def validate(operation: str, parameters: Mapping[str, Any]) -> str | None:
    """Return the service's message about a request, or None where it is valid.

    All failures are listed, not the first alone.
    """
    shape = service_model().operation_model(operation).input_shape
    failures = list(_failures(shape, parameters, "")) if shape else []
    if not failures:
        return None
    plural = "" if len(failures) == 1 else "s"
    return f"{len(failures)} validation error{plural} detected: {'; '.join(failures)}"


def _failures(shape: Shape, value: Any, path: str) -> Iterator[str]:
    expected = _PYTHON_TYPES.get(shape.type_name, (object,))
    # bool is an int in Python and is none in JSON.
    is_bool_for_number = isinstance(value, bool) and bool not in expected
    if object not in expected and (not isinstance(value, expected) or is_bool_for_number):
        yield _failed(path, f"Member must be of type {shape.type_name}")
        return
    yield from (_failed(path, text) for text in _constraints(shape, value))
    if isinstance(shape, StructureShape):
        yield from _structure_failures(shape, value, path)
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value, start=1):
            yield from _failures(shape.member, item, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            for text in _constraints(shape.key, key):
                yield _failed(path, f"Map keys must satisfy constraint: [{text}]")
            yield from _failures(shape.value, item, f"{path}.{key}")


def _structure_failures(
    shape: StructureShape, value: Mapping[str, Any], path: str
) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name, member in shape.members.items():
        member_path = f"{prefix}{name[:1].lower()}{name[1:]}"
        if value.get(name) is not None:
            yield from _failures(member, value[name], member_path)
        elif name in shape.required_members:
            yield _failed(member_path, "Member must not be null")


def _constraints(shape: Shape, value: Any) -> Iterator[str]:
    """Yield the constraints of this shape alone that the value breaks."""
    yield from _range_constraints(shape, value)
    if not isinstance(shape, StringShape):
        return
    if shape.enum and value not in shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and not _compile(pattern).fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"


def _range_constraints(shape: Shape, value: Any) -> Iterator[str]:
    size: float
    if isinstance(value, (str, list, dict)):
        what, size = "length", len(value)
    elif isinstance(value, (int, float)):
        what, size = "value", value
    else:
        return
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if lowest is not None and size < lowest:
        yield f"Member must have {what} greater than or equal to {lowest}"
    if highest is not None and size > highest:
        yield f"Member must have {what} less than or equal to {highest}"


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern of the model, which is written for Java.

    Java reads two escapes such as \uD800\uDC00 as one character beyond the basic
    plane, Python as two, which makes a bad range of `\uD800\uDC00-\uDBFF\uDFFF`.
    """

    def joined(match: re.Match[str]) -> str:
        high, low = (int(group, 16) for group in match.groups())
        return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"

    return re.compile(_SURROGATE_PAIR.sub(joined, pattern))


def _failed(path: str, constraint: str) -> str:
    return f"Value at '{path}' failed to satisfy constraint: {constraint}"
