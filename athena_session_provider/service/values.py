"""Values that are nested in maps and lists, as Pulumi stores them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAXIMUM_DEPTH = 32
"""How deep values may be nested."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def map_leaves(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return the value with each of its leaves replaced by ``leaf`` of it."""
    if isinstance(value, Mapping):
        return {key: map_leaves(item, leaf) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_leaves(item, leaf) for item in value]
    return leaf(value)


def leaves(value: Any) -> Iterator[Any]:
    """Return everything in the value that is neither a map nor a list."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def is_too_deep(value: Any) -> bool:
    """Return whether the value is nested more than MAXIMUM_DEPTH deep."""
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


def integral(value: Any) -> Any:
    """Return a whole float as an integer, and everything else as it is.

    Pulumi has one kind of number: 4 arrives as 4.0.
    """
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def normal(value: Any) -> Any:
    """Return the value for comparison: empty and absent are equal, and so are 4 and 4.0."""
    if isinstance(value, Mapping):
        return {key: normal(item) for key, item in value.items() if item is not None} or None
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value] or None
    return value


def comparable(value: Any) -> Any:
    """Return a value that equals itself each time it comes back from Pulumi.

    Raises:
        ValueError: There is no such value; the text says why, as the rest of a sentence.
    """
    if is_too_deep(value):
        message = f"is nested more than {MAXIMUM_DEPTH} deep"
        raise ValueError(message)
    return _comparable(value)


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_comparable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        message = f"has the number {value}, which does not equal itself"
        raise ValueError(message)
    if isinstance(value, str) and _SURROGATE.search(value):
        message = "contains an unpaired surrogate"
        raise ValueError(message)
    if value is None or isinstance(value, (bool, int, float, str)):
        return integral(value)
    message = f"has a value of the type {type(value).__name__}, which cannot be compared"
    raise ValueError(message)
