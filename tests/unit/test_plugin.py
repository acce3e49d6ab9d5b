"""The plugin without an engine: names, differences, settings, and what it uses of the SDK."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental import server as sdk_server
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import provider_pb2, status_pb2

from athena_session_provider.plugin import server
from athena_session_provider.plugin.adapter import (
    UNKNOWN,
    UNKNOWNS,
    Adapter,
    PartlyCreatedError,
    nested_changes,
)
from athena_session_provider.plugin.names import in_schema_terms, to_camel_case, to_snake_case
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.ownership import is_identity

if TYPE_CHECKING:
    from collections.abc import Callable

URN = "urn:pulumi:dev::p::athena-session:index:Session::spark"


class Silent:
    """An engine that shows nothing."""

    def show_status(self, urn: str, message: str) -> None: ...

    def warn(self, urn: str, message: str) -> None: ...

    def lost_for(self) -> float:
        return 0.0

    def watch(self, on_lost: Callable[[], None]) -> None: ...


@pytest.fixture
def adapter() -> Adapter:
    engine: Any = Silent()
    return Adapter(engine)


# -- names ----------------------------------------------------------------------------------------


def test_names_are_translated_and_keys_are_not() -> None:
    """There and back; what the schema does not have stays as it is."""
    schema = {
        "workGroup": "spark",
        "engineConfiguration": {
            "maxConcurrentDpus": 4,
            "sparkProperties": {"maxConcurrentDpus": "1", "a_b": "2"},
            "classifications": [{"name": "spark-defaults", "properties": {"workGroup": "x"}}],
        },
        "monitoringConfiguration": {"s3LoggingConfiguration": {"enabled": True}},
        "tags": {"workGroup": "y", "work_group": "z"},
        "triggers": {"engineConfiguration": 1},
        "unknownName": {"workGroup": 1},
    }
    package = to_snake_case(schema)
    assert package["engine_configuration"] == {
        "max_concurrent_dpus": 4,
        "spark_properties": {"maxConcurrentDpus": "1", "a_b": "2"},
        "classifications": [{"name": "spark-defaults", "properties": {"workGroup": "x"}}],
    }
    assert package["monitoring_configuration"] == {"s3_logging_configuration": {"enabled": True}}
    assert package["tags"] == {"workGroup": "y", "work_group": "z"}
    assert package["unknownName"] == {"workGroup": 1}
    assert to_camel_case(package) == schema


def test_a_value_that_is_not_known_yet_is_left_alone() -> None:
    """Wherever it stands."""
    assert to_snake_case({"engineConfiguration": UNKNOWN}) == {"engine_configuration": UNKNOWN}


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("engine_configuration.max_concurrent_dpus is 1", None),
        ('tags["work_group"] has 300 characters', 'tags["work_group"] has 300 characters'),
        ("`custom_timeouts` of the resource", "`customTimeouts` of the resource"),
        ("Run `pulumi config set aws:region x`", "Run `pulumi config set athena-session:region x`"),
        ("arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x"),
        ("no_name_of_ours", "no_name_of_ours"),
    ],
)
def test_messages_have_the_names_of_the_schema(text: str, translated: str | None) -> None:
    """And the keys of the plugin's settings; what is quoted is a value."""
    expected = translated or "engineConfiguration.maxConcurrentDpus is 1"
    assert in_schema_terms(text) == expected


# -- differences ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"a": 4}, {"a": 4.0}, {}),
        (None, {}, {}),
        ({"a": []}, {"a": None}, {}),
        (None, {"a": 1}, {"p": "add"}),
        ({"a": 1}, None, {"p": "delete"}),
        ({"a": 1, "b": 1}, {"a": 2, "c": 1}, {"p.a": "update", "p.b": "delete", "p.c": "add"}),
        ({"x.y": 1}, {"x.y": 2}, {'p["x.y"]': "update"}),
        ({'"': 1}, {'"': 2}, {'p["\\""]': "update"}),
        ([1, 2], [1, 3, 4], {"p[1]": "update", "p[2]": "add"}),
        ([{"n": "a"}], [{"n": "b"}], {"p[0].n": "update"}),
        ({"a": {}}, {"a": "text"}, {"p.a": "update"}),
    ],
)
def test_nested_changes(old: Any, new: Any, changes: dict[str, str]) -> None:
    """By property path; empty and absent are equal, and so are 4 and 4.0."""
    assert nested_changes(old, new, "p") == changes


# -- the provider's settings ----------------------------------------------------------------------


def test_a_new_provider_gets_an_identity_and_keeps_it(adapter: Adapter) -> None:
    """Another provider gets another one; one that is set is taken."""
    first, _ = adapter.check_config({}, {"region": "eu-west-1"})
    again, _ = adapter.check_config(first, {"region": "us-east-1"})
    other, _ = adapter.check_config({}, {"region": "eu-west-1"})
    assert is_identity(first["identity"])
    assert again == {"region": "us-east-1", "identity": first["identity"]}
    assert other["identity"] != first["identity"]
    moved, _ = adapter.check_config(first, {"identity": other["identity"]})
    assert moved["identity"] == other["identity"]


def test_settings_are_checked(adapter: Adapter) -> None:
    """What is unknown is named; what Pulumi adds, and what is not known yet, is let pass."""
    _, failures = adapter.check_config({}, {"regoin": "x"})
    assert failures == [("regoin", 'is not known; did you mean "region"?')]
    _, failures = adapter.check_config({}, {"accessKey": "AK"})
    assert [path for path, _ in failures] == [""]
    assert "athena-session:secretKey" in failures[0][1]
    _, failures = adapter.check_config({}, {"maxRetries": 2.0, "insecure": "maybe"})
    assert [path for path, _ in failures] == [""]
    assert failures[0][1].startswith("athena-session:insecure must be true or false")
    _, failures = adapter.check_config({}, {"region": UNKNOWN, "version": "1", "__internal": {}})
    assert failures == []


def test_failures_have_the_names_of_the_schema(adapter: Adapter) -> None:
    """Nested ones are in the reason, because the engine shows no nested value."""
    adapter.configure({"region": "eu-west-1"})
    news = {"workGroup": "bad!", "engineConfiguration": {"maxConcurrentDpus": 1}, "tgas": {}}
    _, failures = adapter.check(URN, {}, news)
    assert {path for path, _ in failures} == {"workGroup", "", "tgas"}
    reasons = " ".join(reason for _, reason in failures)
    assert "engineConfiguration.maxConcurrentDpus is 1" in reasons
    assert "did you mean tags?" in reasons


def test_a_secret_is_in_no_reason(adapter: Adapter) -> None:
    """Numbers arrive as floats."""
    adapter.configure({"region": "eu-west-1"})
    news = {"workGroup": "spark", "engineConfiguration": {"maxConcurrentDpus": 123456.0}}
    _, failures = adapter.check(URN, {}, news, ["engineConfiguration"])
    assert failures
    assert "123456" not in str(failures)


def test_unknown_regions_stay_unknown(adapter: Adapter) -> None:
    """Of the resource; the provider's is filled in otherwise."""
    adapter.configure({"region": "eu-west-1"})
    checked, _ = adapter.check(URN, {}, {"workGroup": "spark", "region": UNKNOWN})
    assert checked["region"] == UNKNOWN
    checked, _ = adapter.check(URN, {}, {"workGroup": UNKNOWN})
    assert checked == {"workGroup": UNKNOWN, "engineConfiguration": {}, "region": "eu-west-1"}


def secret_of(value: Any) -> PropertyValue:
    """A secret value of the SDK."""
    return PropertyValue(value, is_secret=True)


# -- values ---------------------------------------------------------------------------------------


def test_values_keep_their_secrets_by_position() -> None:
    """In maps and lists; a number becomes the SDK's only kind of number."""
    inputs = {
        "a": secret_of("s"),
        "m": PropertyValue({"x": secret_of(1.0), "y": PropertyValue("o")}),
        "l": PropertyValue([PropertyValue("0"), secret_of("1")]),
    }
    plain = server.plain_map(inputs)
    assert plain == {"a": "s", "m": {"x": 1.0, "y": "o"}, "l": ["0", "1"]}
    assert server.wrapped_map(plain, inputs) == inputs
    grown = server.wrapped_map({"m": {"x": 2, "z": "new"}, "l": ["0", "1", "2"]}, inputs)
    inside: Any = grown["m"].value
    assert inside["x"] == secret_of(2.0)
    assert not inside["z"].is_secret


@pytest.mark.parametrize("text", sorted(UNKNOWNS))
def test_unknown_values_of_every_kind_are_one(text: str) -> None:
    """The SDK leaves them as the texts of the protocol."""
    assert server.plain(PropertyValue(text)) == UNKNOWN


def test_unknown_values_are_those_of_the_sdk() -> None:
    """Also what the SDK would give as Computed."""
    from pulumi.runtime.rpc import UNKNOWN as OF_THE_SDK

    assert OF_THE_SDK == UNKNOWN
    assert server.plain(PropertyValue.computed()) == UNKNOWN


# -- what is used of the experimental part of the SDK ----------------------------------------------


def test_the_sdk_has_what_the_server_relies_on() -> None:
    """This fails when Pulumi changes what it calls experimental; see the text of the module."""
    parameters = inspect.signature(sdk_server.ProviderServicer.__init__).parameters
    assert list(parameters) == ["self", "args", "version", "provider", "engine_address"]
    calls = ("CheckConfig", "Configure", "Invoke", "Check", "Diff", "Create", "Read", "Update")
    for name in (*calls, "Delete"):
        assert list(inspect.signature(getattr(server.Servicer, name)).parameters) == [
            "self",
            "request",
            "context",
        ]
        assert callable(getattr(sdk_server.ProviderServicer, name))
    wanted = {
        sdk.CheckRequest: {"urn", "old_inputs", "new_inputs"},
        sdk.DiffRequest: {"urn", "resource_id", "old_state", "new_inputs"},
        sdk.CreateRequest: {"urn", "properties", "timeout", "preview"},
        sdk.ReadRequest: {"urn", "resource_id", "properties", "inputs"},
        sdk.UpdateRequest: {"urn", "resource_id", "olds", "news", "preview"},
        sdk.DeleteRequest: {"urn", "resource_id", "properties", "timeout"},
        sdk.DiffResponse: {"changes", "replaces", "diffs", "delete_before_replace"},
    }
    for kind, names in wanted.items():
        assert names <= set(inspect.signature(kind).parameters), kind


class Aborted(Exception):  # noqa: N818 - as gRPC ends a call
    """What gRPC raises in the handler."""


class Context:
    """gRPC's context of a call."""

    code: Any = None
    text = ""
    metadata: tuple[tuple[str, bytes], ...] = ()

    async def abort(self, code: Any, text: str, metadata: Any = ()) -> None:
        self.code, self.text, self.metadata = code, text, metadata
        raise Aborted


class Failing(sdk.Provider):
    """A provider whose create fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def create(self, _request: sdk.CreateRequest) -> sdk.CreateResponse:
        raise self.error


def create(error: Exception) -> Context:
    """Call Create of a provider that fails with this error."""
    servicer = server.Servicer([], "0", Failing(error), engine_address="")
    context = Context()
    secret = secret_of("s")
    request = provider_pb2.CreateRequest(
        urn=URN, properties=PropertyValue.marshal_map({"description": secret})
    )
    with pytest.raises(Aborted):
        asyncio.run(servicer.Create(request, context))
    return context


def test_our_errors_are_sentences() -> None:
    """Without the traceback that the SDK adds."""
    context = create(AthenaSessionError("The sentence."))
    assert context.text == "The sentence."
    assert context.code is grpc.StatusCode.FAILED_PRECONDITION
    assert context.metadata == ()


def test_other_errors_keep_their_traceback() -> None:
    """They are defects."""
    servicer = server.Servicer([], "0", Failing(ZeroDivisionError("oops")), engine_address="")
    with pytest.raises(Exception, match=r"(?s)oops.*File ") as raised:
        asyncio.run(servicer.Create(provider_pb2.CreateRequest(urn=URN), Context()))
    assert not isinstance(raised.value, Aborted)


def test_a_partly_failed_create_carries_the_session() -> None:
    """As the protocol's ErrorResourceInitFailed, with its secrets."""
    outputs = {"description": "s", "sessionId": "id-1", "state": "START_FAILED"}
    context = create(PartlyCreatedError("It failed.", "id-1", outputs))
    assert [name for name, _ in context.metadata] == ["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(context.metadata[0][1])
    details = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(details)
    assert details.id == "id-1"
    assert list(details.reasons) == ["It failed."]
    properties = PropertyValue.unmarshal_map(details.properties)
    assert server.plain_map(properties) == outputs
    assert properties["description"].is_secret
    assert PropertyValue.unmarshal_map(details.inputs)["description"].is_secret


def test_nothing_else_uses_the_experimental_part_of_the_sdk() -> None:
    """One module."""
    from pathlib import Path

    import athena_session_provider

    package = Path(athena_session_provider.__file__).parent
    users = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "provider.experimental" in file.read_text()
    ]
    assert users == ["plugin/server.py"]


def test_the_script_says_what_it_is_without_an_engine() -> None:
    """A user may run it by hand."""
    code = "from athena_session_provider.plugin.server import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pulumi package add" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_plugin_ends_when_its_engine_is_gone() -> None:
    """At an address where nothing listens, it prints its port and ends."""
    code = (
        "import sys; sys.argv = ['plugin', '127.0.0.1:1'];"
        "from athena_session_provider.plugin.server import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) > 0
