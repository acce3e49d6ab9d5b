"""The schema of the plugin, held against botocore's model."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from athena_session_provider.inputs import OUTPUTS
from athena_session_provider.plugin.examples import EXAMPLES
from athena_session_provider.plugin.schema import (
    GET_SESSION,
    PACKAGE,
    SESSION,
    package_schema,
    plain_text,
)
from athena_session_provider.service.configuration_keys import KEYS
from athena_session_provider.service.request import service_model

SCHEMA = package_schema()
RESOURCE = SCHEMA["resources"][SESSION]
MODEL = service_model().shape_for("StartSessionRequest")


def camel(name: str) -> str:
    """The model's name in camelCase: all of StartSession's begin with a single capital."""
    return name[0].lower() + name[1:]


def inputs_of(shape: Any, spec: dict[str, Any]) -> list[tuple[str, Any, dict[str, Any]]]:
    """Every member of a structure, and of those inside, with its place in the schema."""
    found = []
    for name, member in shape.members.items():
        if name == "ClientRequestToken":
            continue
        assert camel(name) in spec, name
        found.append((name, member, spec[camel(name)]))
        if name == "Tags":
            continue
        inside = member.member if member.type_name == "list" else member
        if inside.type_name == "structure":
            token = f"{PACKAGE}:index:{inside.name}"
            found += inputs_of(inside, SCHEMA["types"][token]["properties"])
    return found


INPUTS = inputs_of(MODEL, RESOURCE["inputProperties"])


def test_every_member_of_the_model_is_there_and_no_other() -> None:
    """Under its name in camelCase."""
    own = {"region", "triggers", "restartWhenDead", "adoptSessionId"}
    names = {camel(name) for name in MODEL.members if name != "ClientRequestToken"}
    assert set(RESOURCE["inputProperties"]) == names | own
    assert len(INPUTS) > 20


@pytest.mark.parametrize(("name", "member", "spec"), INPUTS, ids=[item[0] for item in INPUTS])
def test_a_member_has_its_type_range_and_documentation(
    name: str, member: Any, spec: dict[str, Any]
) -> None:
    """As the model has them."""
    types = {"integer": "integer", "boolean": "boolean", "string": "string", "map": "object"}
    if name == "Tags":
        assert spec["type"] == "object"
    elif member.type_name == "structure":
        assert spec["$ref"] == f"#/types/{PACKAGE}:index:{member.name}"
    elif member.type_name == "list":
        assert spec["type"] == "array"
    else:
        assert spec["type"] == types[member.type_name]
    description = spec["description"]
    sentence = html.unescape(re.sub(r"<[^>]*>", "", member.documentation.split("<a ")[0]))
    words = re.sub(r"[^A-Za-z]", "", sentence)[:60]
    assert re.sub(r"[^A-Za-z]", "", description).startswith(words)
    assert not re.search(r"</?[a-z]+>", description)
    for limit in ("min", "max"):
        value = member.metadata.get(limit)
        if value and member.type_name in ("integer", "string"):
            assert str(value) in description
    if member.metadata.get("pattern"):
        assert member.metadata["pattern"] in description


def test_required_inputs_are_those_of_the_model() -> None:
    """But for the engine configuration, which check fills in."""
    required = {camel(name) for name in MODEL.required_members}
    assert set(RESOURCE["requiredInputs"]) == required - {"engineConfiguration"}
    logging = service_model().shape_for("S3LoggingConfiguration")
    token = f"{PACKAGE}:index:S3LoggingConfiguration"
    assert SCHEMA["types"][token]["required"] == [camel(n) for n in logging.required_members]


def test_what_changes_in_place_is_marked() -> None:
    """Everything else says that its change starts a new session."""
    in_place = {
        name
        for name, spec in RESOURCE["inputProperties"].items()
        if not spec.get("willReplaceOnChanges")
    }
    assert in_place == {"tags", "restartWhenDead", "adoptSessionId"}


def test_outputs_include_the_inputs() -> None:
    """And what the operations return."""
    names = {re.sub(r"_(.)", lambda found: found[1].upper(), name) for name in OUTPUTS}
    assert set(RESOURCE["properties"]) == set(RESOURCE["inputProperties"]) | names
    assert set(RESOURCE["required"]) <= set(RESOURCE["properties"])


def test_settings_are_those_of_the_stacks_configuration() -> None:
    """With the types by which they are read, as the configuration and an explicit provider."""
    settings = SCHEMA["config"]["variables"]
    assert set(settings) == set(KEYS)
    assert SCHEMA["provider"]["inputProperties"] == settings
    for name, key in KEYS.items():
        scalar = settings[name].get("type") in ("string", "integer", "boolean")
        assert scalar is not key.structured, name
    assert settings["insecure"]["type"] == "boolean"
    assert settings["maxRetries"]["type"] == "integer"


def test_keys_are_secret() -> None:
    """In the configuration, and as properties of an explicit provider."""
    for settings in (SCHEMA["config"]["variables"], SCHEMA["provider"]["inputProperties"]):
        secret = {name for name, spec in settings.items() if spec.get("secret")}
        assert {"accessKey", "secretKey", "token"} <= secret


def test_every_reference_resolves_and_everything_is_described() -> None:
    """No type is missing, and no property is without a sentence."""
    text = json.dumps(SCHEMA)
    for reference in re.findall(r'"#/types/([^"]*)"', text):
        assert reference in SCHEMA["types"]
    function = SCHEMA["functions"][GET_SESSION]
    for properties in (
        RESOURCE["inputProperties"],
        RESOURCE["properties"],
        SCHEMA["config"]["variables"],
        function["inputs"]["properties"],
        function["outputs"]["properties"],
        *(spec["properties"] for spec in SCHEMA["types"].values()),
    ):
        assert [name for name, spec in properties.items() if not spec.get("description")] == []


def test_the_session_has_an_example_in_each_language() -> None:
    """The same one."""
    assert set(EXAMPLES) == {"typescript", "python", "go", "yaml"}
    for language, code in EXAMPLES.items():
        assert f"```{language}\n{code}```" in RESOURCE["description"]
        assert "20" in code
        assert "5m" in code


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One.</p>", "One."),
        ("<p>Use <code>IDLE</code> &amp; wait.</p>", "Use `IDLE` & wait."),
        ('<p>See <a href="https://x">Y</a>.</p>', "See [Y](https://x)."),
        ("<p>A</p> <note> <p>B</p> </note>", "A B"),
    ],
)
def test_documentation_is_text(markup: str, text: str) -> None:
    """The model has it as HTML."""
    assert plain_text(markup) == text
