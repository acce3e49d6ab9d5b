"""What Pulumi's calls on the plugin mean, in plain values and by the schema's names."""

from __future__ import annotations

import difflib
import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from athena_session_provider import host
from athena_session_provider.inputs import OUTPUTS, updated_by
from athena_session_provider.plugin.engine import Engine
from athena_session_provider.plugin.names import text_in_camel_case, to_camel_case, to_snake_case
from athena_session_provider.plugin.schema import GET_SESSION, provider_settings
from athena_session_provider.provider import AthenaSessionProvider
from athena_session_provider.service.errors import AthenaSessionError, ConfigurationError
from athena_session_provider.service.settings import aws_settings

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The text that stands for a value that is not known yet, in what the plugin answers."""

_UNKNOWNS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""The texts of the protocol for an unknown value of each kind (Pulumi SDK, resource/plugin)."""

IDENTITY = "identity"
"""Input of the provider resource: random, made once, and kept in the state of the stack."""

_PULUMIS_OWN = ("version", "pluginDownloadURL", "pluginChecksums", "parameterization", IDENTITY)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_unknown(value: object) -> bool:
    """Return whether a text stands for a value that is not known yet."""
    return isinstance(value, str) and value in _UNKNOWNS


class PartlyCreatedError(AthenaSessionError):
    """A create failed, and its session may still run: the state has to name it."""

    def __init__(
        self, message: str, session_id: str, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> None:
        self.session_id = session_id
        self.inputs = inputs
        self.outputs = outputs
        super().__init__(message)


@dataclass(frozen=True)
class Difference:
    """What a change of the inputs means for a session."""

    changes: bool
    replaces: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    detailed: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """By property path: `add`, `delete` or `update`, and whether it needs a new session."""


class Door:
    """Pulumi's calls on the plugin.

    Args:
        engine: Where progress and warnings go.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cancelled = threading.Event()
        self._core = AthenaSessionProvider()

    def cancel(self) -> None:
        """Let every operation end soon: its session is ended, or stays in the state."""
        self._cancelled.set()
        host.cancelled.set()

    def check_config(
        self, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Check the provider's settings, and give the provider its identity."""
        known = provider_settings()
        failures = []
        for name in news:
            if name in known or name in _PULUMIS_OWN or name.startswith("__"):
                continue
            near = difflib.get_close_matches(name, known, n=1)
            failures.append(
                (
                    name,
                    f"is not known; did you mean {near[0]}?"
                    if near
                    else f"is not known; the known ones are {', '.join(known)}",
                )
            )
        identity = olds.get(IDENTITY) or news.get(IDENTITY) or secrets.token_hex(16)
        return {**news, IDENTITY: identity}, failures

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the provider's settings, once per process."""
        self._identity = str(settings.get(IDENTITY, ""))
        self._core._config = {
            f"aws:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in settings.items()
        }

    def _props(self, urn: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **to_snake_case(properties),
            "identity": {"urn": urn, "owner": self._identity},
        }

    def check(
        self, urn: str, news: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Validate and normalize the inputs of a session."""
        props = self._props(urn, news)
        if props.get("region"):
            props["aws"] = {"region": props["region"]}
        result = self._core.check({}, props)
        return self._inputs(result.inputs), [
            (text_in_camel_case(failure.property), text_in_camel_case(failure.reason))
            for failure in result.failures
        ]

    def _inputs(self, props: Mapping[str, Any]) -> dict[str, Any]:
        hidden = ("identity", "aws", "timeouts", *OUTPUTS)
        return to_camel_case({k: v for k, v in props.items() if k not in hidden})

    def _outputs(self, props: Mapping[str, Any]) -> dict[str, Any]:
        hidden = ("identity", "aws", "timeouts")
        return to_camel_case({k: v for k, v in props.items() if k not in hidden})

    def diff(
        self, urn: str, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Difference:
        """Tell which changes need a new session; a session that has ended needs one, too."""
        old, new = self._props(urn, olds), self._props(urn, news)
        result = self._core.diff(session_id, old, new)
        replaces = list(result.replaces or [])
        changed = replaces + [name for name in updated_by(old, new) if name not in replaces]
        names = to_camel_case(dict.fromkeys(changed))
        detailed: dict[str, tuple[str, bool]] = {}
        for snake, camel in zip(changed, names, strict=True):
            replacing = snake in replaces
            if snake == "session_id":
                detailed[camel] = ("update", True)
                continue
            for path, kind in nested_changes(olds.get(camel), news.get(camel), camel).items():
                detailed[path] = (kind, replacing)
        return Difference(
            bool(result.changes), list(names)[: len(replaces)], list(names), detailed
        )

    def preview_create(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is known of a session before it is started."""
        return {**to_camel_case(dict.fromkeys(OUTPUTS, UNKNOWN)), **inputs}

    def create(
        self, urn: str, inputs: Mapping[str, Any], timeout: float
    ) -> tuple[str, dict[str, Any]]:
        """Start a session, or take one over, and wait until it is ready."""
        props = self._props(urn, inputs)
        if timeout:
            props["timeouts"] = {"create": f"{timeout:g}s"}
        result = self._core.create(props)
        return result.id, self._outputs(result.outs)

    def read(
        self, urn: str, session_id: str, state: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the session as it is now; an empty id where it has ended."""
        result = self._core.read(session_id, self._props(urn, state))
        outs = self._outputs(result.outs)
        return result.id, outs, dict(inputs) or self._inputs(result.outs)

    def preview_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that an update will give."""
        outputs = to_camel_case(dict.fromkeys(OUTPUTS))
        return {**{k: v for k, v in olds.items() if k in outputs}, **news}

    def update(
        self,
        urn: str,
        session_id: str,
        olds: Mapping[str, Any],
        news: Mapping[str, Any],
        timeout: float,
    ) -> dict[str, Any]:
        """Change the tags of a session."""
        result = self._core.update(session_id, self._props(urn, olds), self._props(urn, news))
        return self._outputs(result.outs)

    def delete(self, urn: str, session_id: str, state: Mapping[str, Any], timeout: float) -> None:
        """End a session, and wait until it has ended."""
        props = self._props(urn, state)
        if timeout:
            props["timeouts"] = {"delete": f"{timeout:g}s"}
        self._core.delete(session_id, props)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function of the package: ``getSession``."""
        if token != GET_SESSION:
            message = f"The package has no function {token}; it has {GET_SESSION}."
            raise ConfigurationError(message)
        raise NotImplementedError(arguments, aws_settings)


def nested_changes(old: Any, new: Any, path: str) -> dict[str, str]:
    """Return the kind of change by property path, as deep as the two values have the same form."""
    if old in (None, {}, []) and new in (None, {}, []):
        return {}
    if old is None:
        return {path: "add"}
    if new is None:
        return {path: "delete"}
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = [(key, old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list):
        length = max(len(old), len(new))
        pairs = [
            (index, *(values[index] if index < len(values) else None for values in (old, new)))
            for index in range(length)
        ]
    else:
        return {} if old == new else {path: "update"}
    changes = {}
    for key, before, after in pairs:
        changes.update(nested_changes(before, after, path + _step(key)))
    return changes


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if _IDENTIFIER.fullmatch(key):
        return f".{key}"
    return '["' + key.replace('"', '\\"') + '"]'
