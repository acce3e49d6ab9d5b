"""Validate a resource's arguments, and convert them to a StartSession request.

All names, types, ranges, lengths and patterns come from botocore's model of the API; none is
repeated here. Arguments are in snake_case; the CamelCase of the API is accepted too. The keys of
maps (``spark_properties``, ``additional_configs``) are not changed.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NOT_AN_ARGUMENT = frozenset({"ClientRequestToken"})
"""Members of StartSession that a user cannot set."""

MAXIMUM_KEYS_NAMED = 10
"""The maximum number of allowed names in an error message."""

Shape = Any
"""A shape of botocore's model; which attributes it has depends on its ``type_name``."""

# DescriptionString and ParametersMapValue have no pattern in the model. A control character in them
# is a mistake that the error of the service does not explain.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# The model's patterns are Java's, where a character above U+FFFF is written as a pair.
_JAVA_ASTRAL_RANGE = r"\uD800\uDC00-\uDBFF\uDFFF"
_PYTHON_ASTRAL_RANGE = r"\U00010000-\U0010FFFF"


@dataclass(frozen=True)
class Failure:
    """An invalid argument, and the reason."""

    path: str
    """Such as ``engine_configuration.max_concurrent_dpus``."""
    reason: str


@dataclass(frozen=True)
class Checked:
    """The result of a check: normalized arguments, and all failures."""

    arguments: dict[str, Any]
    failures: list[Failure] = field(default_factory=list)


_model_lock = threading.Lock()


def service_model() -> Any:
    """Return botocore's model of Athena. It is loaded at first use: botocore imports slowly."""
    # Without the lock, several threads would load the model at the same time.
    with _model_lock:
        return _loaded_service_model()


@functools.cache
def _loaded_service_model() -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("athena", "service-2"), "athena")


def start_session_members() -> dict[str, Shape]:
    """Return the shapes of StartSession's arguments, by their name in snake_case."""
    shape = service_model().shape_for("StartSessionRequest")
    return {name: member for name, (_, member) in _members(shape).items()}


def check_arguments(arguments: Mapping[str, Any], *, unknown: object = None) -> Checked:
    """Validate and normalize the arguments of StartSession. Never raises.

    Args:
        arguments: The arguments, in snake_case or CamelCase. None means absent. ``tags`` is a map.
        unknown: The placeholder of a value that is not known yet (in Pulumi's previews). It is
            accepted, and kept, for any value.
    """
    failures: list[Failure] = []
    checker = _Checker(unknown, failures)
    shape = service_model().shape_for("StartSessionRequest")
    rest = {key: value for key, value in arguments.items() if key not in ("tags", "Tags")}
    checked = checker.structure(shape, rest, "")
    tags = arguments.get("tags", arguments.get("Tags"))
    if tags is not None:
        checked["tags"] = checker.tags(tags, "tags")
    checker.notebook(checked)
    return Checked(checked, failures)


def to_request(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the StartSession request of checked arguments, without a ClientRequestToken."""
    shape = service_model().shape_for("StartSessionRequest")
    rest = {key: value for key, value in arguments.items() if key != "tags"}
    request: dict[str, Any] = _rename(shape, rest, to_model=True)
    if arguments.get("tags"):
        request["Tags"] = to_tag_list(arguments["tags"])
    return request


def to_tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a map of tags as a ``TagList`` of the API, sorted by key."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def from_response(shape_name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a structure of a response with the names of arguments, in snake_case."""
    renamed: dict[str, Any] = _rename(service_model().shape_for(shape_name), value, to_model=False)
    return renamed


def _members(shape: Shape) -> dict[str, tuple[str, Shape]]:
    from botocore import xform_name

    return {
        xform_name(name): (name, member)
        for name, member in shape.members.items()
        if name not in NOT_AN_ARGUMENT
    }


def _rename(shape: Shape, value: Any, *, to_model: bool) -> Any:
    if shape.type_name == "structure":
        return {
            (model_name if to_model else name): _rename(
                member, value[name if to_model else model_name], to_model=to_model
            )
            for name, (model_name, member) in _members(shape).items()
            if value.get(name if to_model else model_name) is not None
        }
    if shape.type_name == "list":
        return [_rename(shape.member, item, to_model=to_model) for item in value]
    return value


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(_JAVA_ASTRAL_RANGE, _PYTHON_ASTRAL_RANGE))


@dataclass(frozen=True)
class _Checker:
    """Validates a value against a shape of the model, recursively."""

    unknown: object
    failures: list[Failure]

    def fail(self, path: str, reason: str) -> None:
        self.failures.append(Failure(path, reason))

    def is_unknown(self, value: Any) -> bool:
        return self.unknown is not None and isinstance(value, str) and value == self.unknown

    def value(self, shape: Shape, value: Any, path: str) -> Any:
        if self.is_unknown(value):
            return value
        check = {
            "structure": self.structure,
            "list": self.list,
            "map": self.map,
            "integer": self.integer,
            "boolean": self.boolean,
            "string": self.string,
        }[shape.type_name]
        return check(shape, value, path)

    def structure(self, shape: Shape, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            self.fail(path, f"must be a map of {_listed(_members(shape))}, not {_kind(value)}")
            return {}
        members = _members(shape)
        names = {model_name: name for name, (model_name, _) in members.items()}
        checked: dict[str, Any] = {}
        for key, item in value.items():
            name = names.get(key, key)
            if name not in members:
                self.fail(_join(path, key), _unknown_key(key, list(members), list(names)))
            elif item is None:
                continue
            elif name in checked:
                self.fail(_join(path, name), f"is given twice, as {name} and as {members[name][0]}")
            else:
                checked[name] = self.value(members[name][1], item, _join(path, name))
        for name, (model_name, _) in members.items():
            if model_name in shape.required_members and name not in checked:
                self.fail(_join(path, name), "is required")
        return checked

    def list(self, shape: Shape, value: Any, path: str) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            self.fail(path, f"must be a list, not {_kind(value)}")
            return []
        return [
            self.value(shape.member, item, f"{path}[{index}]") for index, item in enumerate(value)
        ]

    def map(self, shape: Shape, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            self.fail(path, f"must be a map, not {_kind(value)}")
            return {}
        checked = {}
        for key, item in value.items():
            item_path = f"{path}[{_quoted(key)}]"
            if not self.is_unknown(key):
                self.string(shape.key, key, item_path, what="the key ")
            if item is not None:
                text = _as_text(item) if shape.value.type_name == "string" else item
                checked[key] = self.value(shape.value, text, item_path)
        return checked

    def tags(self, value: Any, path: str) -> dict[str, Any]:
        if self.is_unknown(value):
            return value  # type: ignore[no-any-return]
        if not isinstance(value, Mapping):
            self.fail(path, f"must be a map of text to text, not {_kind(value)}")
            return {}
        tag = service_model().shape_for("Tag")
        checked = {}
        for key, item in value.items():
            item_path = f"{path}[{_quoted(key)}]"
            if self.is_unknown(key):
                checked[key] = item
                continue
            self.string(tag.members["Key"], key, item_path, what="the key ")
            if isinstance(key, str) and key.lower().startswith("aws:"):
                self.fail(item_path, "starts with aws:, which is reserved for AWS")
            checked[key] = self.value(
                tag.members["Value"], "" if item is None else _as_text(item), item_path
            )
        return checked

    def integer(self, shape: Shape, value: Any, path: str) -> Any:
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        wanted = f"a whole number from {low} to {high}" if low != high else f"{low}"
        # Pulumi sends every number as a float: 4 arrives as 4.0.
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(path, f"must be {wanted}, not {_kind(value)}")
        elif not low <= value <= high:
            self.fail(path, f"is {value}, and must be {wanted}")
        return value

    def boolean(self, _shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, bool):
            self.fail(path, f"must be true or false, not {_kind(value)}")
        return value

    def string(self, shape: Shape, value: Any, path: str, *, what: str = "") -> Any:
        if not isinstance(value, str):
            self.fail(path, f"{what}must be text, not {_kind(value)}")
            return value
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", math.inf)
        pattern = shape.metadata.get("pattern")
        if _SURROGATE.search(value):
            self.fail(path, f"{what}contains an unpaired surrogate")
        elif not low <= len(value) <= high:
            at_most = f"from {low} to {high}" if low else f"at most {high}"
            self.fail(path, f"{what}has {len(value)} characters, and may have {at_most}")
        elif pattern and not _pattern(pattern).fullmatch(value):
            self.fail(path, f"{what}must match {pattern}")
        elif not pattern and (found := _CONTROL.search(value)):
            self.fail(path, f"{what}has the control character U+{ord(found.group()):04X}")
        elif shape.metadata.get("enum") and value not in shape.metadata["enum"]:
            self.fail(path, f"{what}must be one of {_listed(shape.metadata['enum'])}")
        return value

    def notebook(self, arguments: Mapping[str, Any]) -> None:
        # Documented for NotebookVersion. The error of the service names neither argument.
        engine = arguments.get("engine_configuration")
        configs = engine.get("additional_configs") if isinstance(engine, Mapping) else None
        if (
            isinstance(configs, Mapping)
            and "NotebookId" in configs
            and "notebook_version" not in arguments
        ):
            self.fail("notebook_version", "is required when additional_configs has a NotebookId")


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _quoted(key: object) -> str:
    return '"' + str(key).encode("unicode_escape").decode() + '"'


def _as_text(value: Any) -> Any:
    """Return a number or boolean as Spark's configuration writes it; other values unchanged."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, int) else value


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    kinds = {str: "text", type(None): "nothing"}
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    return kinds.get(type(value), type(value).__name__)


def _listed(names: Any) -> str:
    names = list(names)
    shown = ", ".join(names[:MAXIMUM_KEYS_NAMED])
    return shown if len(names) <= MAXIMUM_KEYS_NAMED else f"{shown}, ..."


def _unknown_key(key: object, names: list[str], model_names: list[str]) -> str:
    near = difflib.get_close_matches(str(key), [*names, *model_names], n=1)
    if near:
        return f"is not known; did you mean {near[0]}?"
    return f"is not known; the known ones are {_listed(names)}"
