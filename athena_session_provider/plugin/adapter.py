"""Pulumi's calls on the plugin, handed on to the operations, in plain values.

On this side properties have the schema's names, on the other the package's. What the plugin's host
gives and the dynamic provider's does not (URN, timeouts, the identity in the provider's own inputs)
is put where the operations expect it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from athena_session_provider.inputs import IDENTITY, OUTPUTS, PROPERTIES, REGION
from athena_session_provider.operations.run import ProviderHost, Run
from athena_session_provider.operations.session import SessionOperations
from athena_session_provider.plugin.names import (
    OWN_INPUTS,
    in_schema_terms,
    to_camel_case,
    to_snake_case,
)
from athena_session_provider.plugin.schema import GET_SESSION, provider_settings
from athena_session_provider.service.api import session_arn
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.configuration_keys import did_you_mean
from athena_session_provider.service.errors import AthenaSessionError, ConfigurationError
from athena_session_provider.service.ownership import is_identity
from athena_session_provider.service.settings import aws_settings, resolved_region
from athena_session_provider.service.values import integral, map_leaves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from athena_session_provider.plugin.engine import Engine

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The text that stands for a value that is not known yet, in what the plugin answers."""

UNKNOWNS = frozenset(
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
"""The protocol's texts for an unknown boolean, number, text, list, asset, archive and map (package
``sdk/go/common/resource/plugin`` of Pulumi, file rpc.go)."""

START_FAILED = "START_FAILED"
"""Output ``state`` of a session whose create failed, and that could not be terminated."""

_PULUMIS_OWN = ("version", "pluginDownloadURL", "pluginChecksums", "parameterization", IDENTITY)
"""Inputs of a provider resource that Pulumi sets."""

_NOT_IN_SCHEMA = {own.name for own in PROPERTIES} - set(OWN_INPUTS)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Failures = list[tuple[str, str]]
"""Pairs of a property, empty for the whole resource, and what is wrong with it."""


class PartlyCreatedError(AthenaSessionError):
    """A create failed, and the session that it started still runs: the state has to name it."""

    def __init__(self, message: str, session_id: str, outputs: dict[str, Any]) -> None:
        self.session_id = session_id
        self.outputs = outputs
        super().__init__(message)


class RefusedError(AthenaSessionError):
    """An error of the operations, by the names that a user of the plugin knows."""


@dataclass(frozen=True)
class Difference:
    """What a change of the inputs means for a session."""

    replaces: list[str] = field(default_factory=list)
    """Properties whose change needs a new session."""
    changed: list[str] = field(default_factory=list)
    """These, and those that change in place."""
    detailed: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """By property path: ``add``, ``delete`` or ``update``, and whether it needs a new session."""


class Adapter:
    """Pulumi's calls on the plugin. Safe for many threads once it is configured."""

    def __init__(self, engine: Engine) -> None:
        """Prepare; nothing is called yet.

        Args:
            engine: Where progress and warnings go.
        """
        self._cancelled = threading.Event()
        self._run = Run()
        self._host = ProviderHost(
            lambda urn, message: engine.warn(urn, in_schema_terms(message)),
            lambda urn, message: engine.show_status(urn, in_schema_terms(message)),
            self._cancelled,
            engine.lost_for,
        )
        self._identity = ""
        self._configure({})

    def cancel(self) -> None:
        """Let every operation stop waiting."""
        self._cancelled.set()

    # -- the provider's settings ------------------------------------------------------------------

    def check_config(
        self, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Failures]:
        """Check the provider's settings, and give a new provider resource its identity.

        Args:
            olds: The stored inputs of the provider resource; empty for a new one.
            news: Its inputs from the program or the stack's configuration.

        Returns:
            The inputs to store, and the failures.
        """
        known = provider_settings()
        failures = [
            (name, f"is not known; {did_you_mean(name, known)}")
            for name in news
            if name not in known and name not in _PULUMIS_OWN and not name.startswith("__")
        ]
        if not failures and not any(_contains_unknown(value) for value in news.values()):
            try:
                aws_settings(_as_configuration(news))
            except ConfigurationError as exc:
                failures.append(("", in_schema_terms(str(exc))))
        given = [settings.get(IDENTITY) for settings in (news, olds)]
        identity = next(filter(is_identity, given), None) or secrets.token_hex(16)
        return {**news, IDENTITY: identity}, failures

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the provider's settings, before any other call but ``check_config``."""
        self._identity = str(settings.get(IDENTITY, ""))
        self._configure(settings)

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._config = _as_configuration(settings)
        self._operations = SessionOperations(self._config, self._run, self._host, unknown=UNKNOWN)

    # -- a session --------------------------------------------------------------------------------

    def check(
        self,
        urn: str,
        olds: Mapping[str, Any],
        news: Mapping[str, Any],
        secret: Collection[str] = (),
    ) -> tuple[dict[str, Any], Failures]:
        """Validate and normalize the inputs of a session.

        Args:
            urn: The resource's URN.
            olds: The stored inputs; empty for a new resource.
            news: The inputs from the program.
            secret: The names of the inputs that hold secrets.

        Returns:
            The inputs to store, and the failures.
        """
        props = self._props(urn, news)
        props[IDENTITY]["secrets"] = [*to_snake_case(dict.fromkeys(secret))]
        if props.get(REGION):
            props["aws"] = {"region": props[REGION]}
        checked, failures = self._operations.check(props, self._props(urn, olds) if olds else None)
        return _inputs(checked), [
            # The settings are the provider's here, and no property of the session.
            ("" if path == "aws" else in_schema_terms(path), in_schema_terms(reason))
            for path, reason in ((failure.path, failure.reason) for failure in failures)
        ]

    def diff(
        self, urn: str, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Difference:
        """Return which changes need a new session; so does the end of a session.

        Args:
            urn: The resource's URN.
            session_id: The session.
            olds: The stored outputs, which include the inputs.
            news: The checked inputs.
        """
        if olds.get("state") == START_FAILED:
            self._host.warn(
                urn,
                f"The create of session {session_id} failed and the session could not be "
                "terminated then; it is ended, and another one is started.",
            )
            return Difference(["state"], ["state"], {"state": ("update", True)})
        found = self._operations.diff(session_id, self._props(urn, olds), self._props(urn, news))
        detailed: dict[str, tuple[str, bool]] = {}
        names: dict[bool, list[str]] = {True: [], False: []}
        for replacing, changed in ((True, found.replaces), (False, found.updates)):
            for name in to_camel_case(dict.fromkeys(changed)):
                names[replacing].append(name)
                # An output has no new value yet.
                new = news.get(name, UNKNOWN if name == "sessionId" else None)
                for path, kind in nested_changes(olds.get(name), new, name).items():
                    detailed[path] = (kind, replacing)
        return Difference(names[True], names[True] + names[False], detailed)

    def preview_create(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of a session before it is started."""
        return {**to_camel_case(dict.fromkeys(OUTPUTS, UNKNOWN)), **inputs}

    def create(
        self, urn: str, inputs: Mapping[str, Any], timeout: float
    ) -> tuple[str, dict[str, Any]]:
        """Start a session, or take one over, and wait until it is ready.

        Args:
            urn: The resource's URN.
            inputs: The checked inputs.
            timeout: Seconds to wait; 0 for the default.

        Returns:
            The session's id, and the outputs to store.

        Raises:
            PartlyCreatedError: A session runs, and could not be terminated.
            RefusedError: No session is left running, or the text says so.
        """
        try:
            session_id, outs = self._operations.create(self._props(urn, inputs), timeout or None)
        except AthenaSessionError as exc:
            if not exc.left_running:
                raise RefusedError(in_schema_terms(str(exc))) from exc
            outputs = {**inputs, "sessionId": exc.left_running, "state": START_FAILED}
            exc.outcome = (
                f"Session {exc.left_running} could not be terminated, and is kept in the state: "
                "the next `pulumi up` ends it and starts another one."
            )
            text = in_schema_terms(str(exc))
            raise PartlyCreatedError(text, exc.left_running, outputs) from exc
        return session_id, _outputs(outs)

    def read(
        self, urn: str, session_id: str, state: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the session as it is now.

        Args:
            urn: The resource's URN.
            session_id: The session.
            state: The stored outputs; empty for an import.
            inputs: The stored inputs; empty for an import.

        Returns:
            The id, the outputs and the inputs; an empty id if the resource is gone.

        Raises:
            RefusedError: The session could not be read, or there is none to import.
        """
        with _by_schema_names():
            found = self._operations.read(session_id, self._props(urn, state))
        if found is None and not state:
            message = (
                f"Session {session_id} does not exist in region "
                f"{resolved_region(aws_settings(self._config))}, or has ended."
            )
            raise RefusedError(message)
        if found is None:
            return "", {}, {}
        outs = _outputs(found[1])
        if state.get("state") == START_FAILED:
            outs["state"] = START_FAILED
        if not inputs:
            return session_id, outs, _inputs(found[1])
        # The arguments of a session cannot change but for its tags.
        tags = {"tags": outs.get("tags")} if inputs.get("tags") else {}
        return session_id, outs, {**inputs, **tags}

    def preview_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that an update will give."""
        kept = to_camel_case(dict.fromkeys(OUTPUTS))
        return {**{name: value for name, value in olds.items() if name in kept}, **news}

    def update(
        self, urn: str, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change the tags of a session, and return the outputs to store."""
        with _by_schema_names():
            outs = self._operations.update(
                session_id, self._props(urn, olds), self._props(urn, news)
            )
        return _outputs(outs)

    def delete(self, urn: str, session_id: str, state: Mapping[str, Any], timeout: float) -> None:
        """End a session, and wait until it has ended.

        Args:
            urn: The resource's URN.
            session_id: The session.
            state: The stored outputs.
            timeout: Seconds to wait; 0 for the default.
        """
        with _by_schema_names():
            self._operations.delete(session_id, self._props(urn, state), timeout or None)

    def _props(self, urn: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        identity = {"urn": urn, "owner": self._identity}
        return {**to_snake_case(properties), IDENTITY: identity}

    # -- functions --------------------------------------------------------------------------------

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function of the package: ``getSession``."""
        if token != GET_SESSION:
            message = f"The package has no function {token}; it has {GET_SESSION}."
            raise RefusedError(message)
        with _by_schema_names():
            settings = aws_settings(self._config)
            region = arguments.get("region") or settings.region
            athena = shared_athena(dataclasses.replace(settings, region=region))
            details = athena.get_session(str(arguments.get("sessionId", "")))
            status = details.status
            return {
                "sessionId": status.session_id,
                "workGroup": details.work_group,
                "state": status.state.value,
                "stateChangeReason": status.reason,
                "engineVersion": details.engine_version,
                "description": details.arguments.get("description", ""),
                "arn": session_arn(athena, details.work_group, status.session_id) or "",
                "region": athena.region,
                "accountId": athena.account_id or "",
                "startedAt": status.started_at.isoformat() if status.started_at else "",
                "endedAt": status.ended_at.isoformat() if status.ended_at else "",
                "dpuMilliseconds": details.dpu_milliseconds,
            }


@contextlib.contextmanager
def _by_schema_names() -> Iterator[None]:
    """Raise the errors of a block by the names that a user of the plugin knows."""
    try:
        yield
    except AthenaSessionError as exc:
        raise RefusedError(in_schema_terms(str(exc))) from exc


def _as_configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provider's settings by the keys of a stack's configuration."""
    return {
        f"aws:{name}": value if isinstance(value, str) else json.dumps(map_leaves(value, integral))
        for name, value in settings.items()
        if value is not None
    }


def _inputs(props: Mapping[str, Any]) -> dict[str, Any]:
    hidden = _NOT_IN_SCHEMA | set(OUTPUTS)
    return to_camel_case({name: value for name, value in props.items() if name not in hidden})


def _outputs(props: Mapping[str, Any]) -> dict[str, Any]:
    return to_camel_case(
        {name: value for name, value in props.items() if name not in _NOT_IN_SCHEMA}
    )


def _contains_unknown(value: Any) -> bool:
    return UNKNOWN in json.dumps(value)


def nested_changes(old: Any, new: Any, path: str) -> dict[str, str]:
    """Return the kinds of change by property path, as deep as both values have the same form."""
    if old in (None, {}, []) and new in (None, {}, []):
        return {}
    if old is None:
        return {path: "add"}
    if new is None:
        return {path: "delete"}
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = [(key, old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list):
        pairs = [(index, _item(old, index), _item(new, index)) for index in _longest(old, new)]
    else:
        return {} if old == new else {path: "update"}
    changes = {}
    for key, before, after in pairs:
        changes.update(nested_changes(before, after, path + _step(key)))
    return changes


def _longest(old: list[Any], new: list[Any]) -> range:
    return range(max(len(old), len(new)))


def _item(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if _IDENTIFIER.fullmatch(key):
        return f".{key}"
    return '["' + key.replace('"', '\\"') + '"]'
