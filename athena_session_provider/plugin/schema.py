"""The schema of the Pulumi package ``athena-session``.

What StartSession takes is generated from botocore's model: names, types, documentation, ranges.
Pulumi's own documents: "Pulumi Package schema" (the metaschema) in Pulumi's documentation.
"""

from __future__ import annotations

import functools
import html
import re
from importlib import metadata
from typing import Any

from athena_session_provider.plugin.examples import EXAMPLES
from athena_session_provider.plugin.names import Shape, in_schema_terms, structure_members
from athena_session_provider.service.configuration_keys import KEYS, Key, camel_case
from athena_session_provider.service.request import service_model, start_session_members

PACKAGE = "athena-session"
SESSION = f"{PACKAGE}:index:Session"
GET_SESSION = f"{PACKAGE}:index:getSession"

ANY = {"$ref": "pulumi.json#/Any"}
TEXT_MAP = {"type": "object", "additionalProperties": {"type": "string"}}

# StartSession requires it, and takes it empty: check fills that in.
FILLED_IN = ("engine_configuration",)

IN_PLACE = ("tags", "restart_when_dead")
"""Inputs that a running session can take; a change of any other one starts a new session."""

SECRET_SETTINGS = frozenset(
    {key.name for key in KEYS.values() if key.secret}
    | {"assumeRoleWithWebIdentity", "httpProxy", "httpsProxy"}
)
"""Settings that are, or may contain, credentials: they are stored encrypted."""

Schema = dict[str, Any]


def version() -> str:
    """Return the version of the plugin and of its schema, which is that of the package."""
    return metadata.version("athena-session-provider")


@functools.cache
def package_schema() -> Schema:
    """Return the schema of the package, as ``pulumi package get-schema`` prints it."""
    types = _structure_types()
    inputs = _session_inputs(types)
    settings = provider_settings()
    return {
        "name": PACKAGE,
        "displayName": "Amazon Athena Spark sessions",
        "version": version(),
        "description": "Amazon Athena Spark sessions as Pulumi resources.",
        "keywords": ["pulumi", "aws", "athena", "spark", "category/cloud"],
        "license": "Apache-2.0",
        "attribution": "The descriptions of arguments are from the API model of Amazon Athena.",
        "config": {"variables": settings},
        "provider": {
            "description": (
                "Region, credentials and endpoints of sessions. What is left out comes from the "
                "stack configuration `athena-session:...`, and then from the standard AWS "
                "environment (variables, profiles, instance and container roles)."
            ),
            "inputProperties": settings,
            "properties": {
                name: setting
                for name, setting in settings.items()
                if setting.get("type") in ("string", "boolean", "integer")
            },
        },
        "types": types,
        "resources": {
            SESSION: {
                "description": _session_description(),
                "inputProperties": inputs,
                "requiredInputs": _required_inputs(),
                "properties": {**{key: _as_output(value) for key, value in inputs.items()}}
                | _outputs(),
                "required": [*_required_inputs(), "region", *_ALWAYS_THERE],
            }
        },
        "functions": {GET_SESSION: _get_session()},
        "language": {
            "nodejs": {
                "packageName": "pulumi-athena-session",
                "respectSchemaVersion": True,
            },
            "python": {
                "packageName": "pulumi_athena_session",
                "respectSchemaVersion": True,
                "pyproject": {"enabled": True},
            },
            "go": {
                "importBasePath": GO_IMPORT_PATH,
                "respectSchemaVersion": True,
                "generateResourceContainerTypes": True,
            },
            "csharp": {
                "rootNamespace": "Pulumi",
                "namespaces": {PACKAGE: "AthenaSession"},
                "respectSchemaVersion": True,
            },
        },
    }


GO_IMPORT_PATH = "athena-session-provider/sdks/go/athenasession"
"""Import path of the Go SDK. No server has it: a program's go.mod replaces it by a folder."""

_ALWAYS_THERE = ("sessionId", "state", "engineVersion", "clientRequestToken")


def provider_settings() -> dict[str, Schema]:
    """Return the schema of the provider's settings, which are the keys of pulumi-aws."""
    settings = {}
    for key in KEYS.values():
        spec = _STRUCTURED.get(key.name) or {"type": _scalar_type(key)}
        settings[key.name] = {**spec, "description": in_schema_terms(key.note)}
        if key.name in SECRET_SETTINGS:
            settings[key.name]["secret"] = True
    return settings


def _scalar_type(key: Key) -> str:
    for name, example in (("boolean", True), ("integer", 1)):
        try:
            if key.read(example) is example:
                return name
        except ValueError:
            continue
    return "string"


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _list(description: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def _structure_types() -> dict[str, Schema]:
    """Return the types of the structured settings."""
    role = {
        "roleArn": _text("ARN of the role."),
        "sessionName": _text("Name of the role session."),
        "policy": _text("JSON text of a policy that restricts the role further."),
        "policyArns": _list("ARNs of managed policies that restrict the role further."),
        "duration": _text("How long the credentials are valid, such as `1h`; 15 minutes to 12 h."),
    }
    return {
        f"{PACKAGE}:index:AssumeRole": {
            "type": "object",
            "description": "A role to assume; the arguments are those of STS AssumeRole.",
            "properties": {
                **role,
                "externalId": _text("External id that the role's trust policy requires."),
                "sourceIdentity": _text("Source identity of the role session."),
                "tags": {**TEXT_MAP, "description": "Tags of the role session."},
                "transitiveTagKeys": _list("Keys of the tags that later roles of the list get."),
            },
            "required": ["roleArn"],
        },
        f"{PACKAGE}:index:AssumeRoleWithWebIdentity": {
            "type": "object",
            "description": "A role to assume with the token of an identity provider.",
            "properties": {
                **role,
                "webIdentityToken": {**_text("The token."), "secret": True},
                "webIdentityTokenFile": _text("File with the token."),
            },
        },
        f"{PACKAGE}:index:DefaultTags": {
            "type": "object",
            "description": "Tags of each session.",
            "properties": {"tags": {**TEXT_MAP, "description": "The tags."}},
        },
        f"{PACKAGE}:index:IgnoreTags": {
            "type": "object",
            "description": "Tags that are not set, changed or removed.",
            "properties": {
                "keys": _list("Their keys."),
                "keyPrefixes": _list("What their keys begin with."),
            },
        },
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/types/{PACKAGE}:index:{name}"}


_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}

_STRUCTURED: dict[str, Schema] = {
    "assumeRole": _reference("AssumeRole"),
    "assumeRoles": {"type": "array", "items": _reference("AssumeRole")},
    "assumeRoleWithWebIdentity": _reference("AssumeRoleWithWebIdentity"),
    "sharedConfigFiles": _TEXTS,
    "sharedCredentialsFiles": _TEXTS,
    "endpoints": {"type": "array", "items": TEXT_MAP},
    "defaultTags": _reference("DefaultTags"),
    "ignoreTags": _reference("IgnoreTags"),
    "allowedAccountIds": _TEXTS,
    "forbiddenAccountIds": _TEXTS,
    "userAgents": _TEXTS,
}
"""The types of the settings that are lists and maps."""


def _session_description() -> str:
    return (
        "A Spark session of an Amazon Athena work group. It is started, waited for until it is "
        "ready, and ended by `pulumi destroy`. A session costs money for each DPU-hour.\n\n"
        "Only `tags` and `restartWhenDead` change in place. A change of anything else ends the "
        "session and starts another. A session that has ended, for example after its idle "
        "timeout, is started again by the next `pulumi up`.\n\n"
        "{{% examples %}}\n## Example Usage\n"
        "{{% example %}}\n### A session\n\n"
        + "".join(f"```{language}\n{code}```\n\n" for language, code in EXAMPLES.items())
        + "{{% /example %}}\n{{% /examples %}}\n\n"
        "## Import\n\nA session is imported by its id:\n\n"
        f"```sh\n$ pulumi import {SESSION} spark SESSION_ID\n```\n"
    )


def _session_inputs(types: dict[str, Schema]) -> dict[str, Schema]:
    inputs = {}
    for name, shape in start_session_members().items():
        spec = TEXT_MAP if name == "tags" else _type_of(shape, types)
        inputs[camel_case(name)] = {**spec, "description": describe(shape)}
        if name not in IN_PLACE:
            inputs[camel_case(name)]["willReplaceOnChanges"] = True
    inputs["sessionIdleTimeoutInMinutes"]["description"] += " The service's default is 20."
    inputs["tags"]["description"] += " They are changed in place."
    inputs["region"] = {
        **_text("Region to start the session in. The default is the provider's."),
        "willReplaceOnChanges": True,
    }
    inputs["triggers"] = {
        "type": "object",
        "additionalProperties": ANY,
        "description": "Any values. A change of one of them starts a new session.",
        "willReplaceOnChanges": True,
    }
    inputs["restartWhenDead"] = {
        "type": "boolean",
        "description": (
            "Whether a session that has ended by itself is started again. The default is true."
        ),
    }
    inputs["adoptSessionId"] = {
        **_text(
            "Id of a running session to take over instead of starting one. It is ended with "
            "the resource. Remove the argument after the first `pulumi up`; that changes nothing "
            "about the session."
        ),
    }
    return inputs


def _required_inputs() -> list[str]:
    model = service_model().shape_for("StartSessionRequest")
    return [
        camel_case(name)
        for name, member in structure_members(model).items()
        if name not in FILLED_IN and _model_name(model, member) in model.required_members
    ]


def _model_name(structure: Shape, member: Shape) -> str:
    return str(next(name for name, shape in structure.members.items() if shape is member))


def _as_output(spec: Schema) -> Schema:
    return {key: value for key, value in spec.items() if key != "willReplaceOnChanges"}


def _outputs() -> dict[str, Schema]:
    return {
        "sessionId": _text("Id of the session, which is the resource's id, too."),
        "state": _text(
            "State of the session when it was last read, such as `IDLE` (API member "
            "`SessionState`); `START_FAILED` after a create that failed and whose session could "
            "not be terminated."
        ),
        "arn": _text("ARN of the session; empty where the account could not be found out."),
        "engineVersion": _text("Engine version, such as `Apache Spark version 3.5`."),
        "accountId": _text("Account that the session runs in."),
        "startedAt": _text("When the session was started, in ISO 8601."),
        "clientRequestToken": _text(
            "Token that the session was started with; empty for an adopted or imported one."
        ),
        "region": _text("Region that the session runs in."),
    }


def _get_session() -> Schema:
    return {
        "description": "Return the details of any session, from GetSession.",
        "inputs": {
            "properties": {
                "sessionId": _text("Id of the session."),
                "region": _text("Region of the session. The default is the provider's."),
            },
            "required": ["sessionId"],
        },
        "outputs": {
            "properties": {
                "sessionId": _text("Id of the session."),
                "workGroup": _text("Work group that the session runs in."),
                "state": _text("State, such as `IDLE` or `TERMINATED`."),
                "stateChangeReason": _text("Reason of the last change of the state; often empty."),
                "engineVersion": _text("Engine version, such as `Apache Spark version 3.5`."),
                "description": _text("Description of the session."),
                "arn": _text("ARN; empty where the account could not be found out."),
                "region": _text("Region of the session."),
                "accountId": _text("Account of the credentials; empty if it is not known."),
                "startedAt": _text("When the session was started, in ISO 8601."),
                "endedAt": _text("When the session ended, in ISO 8601; empty while it runs."),
                "dpuMilliseconds": {
                    "type": "number",
                    "description": "DPU milliseconds so far, which are paid for.",
                },
            },
            "required": [
                *("sessionId", "workGroup", "state", "stateChangeReason", "engineVersion"),
                *("description", "arn", "region", "accountId", "startedAt", "endedAt"),
                "dpuMilliseconds",
            ],
        },
    }


def _type_of(shape: Shape, types: dict[str, Schema]) -> Schema:
    if shape.type_name == "structure":
        token = f"{PACKAGE}:index:{shape.name}"
        if token not in types:
            types[token] = {}  # a structure that contains itself would not end otherwise
            types[token] = _structure(shape, types)
        return {"$ref": f"#/types/{token}"}
    if shape.type_name == "list":
        return {"type": "array", "items": _type_of(shape.member, types)}
    if shape.type_name == "map":
        return {"type": "object", "additionalProperties": _type_of(shape.value, types)}
    return {"type": shape.type_name}


def _structure(shape: Shape, types: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": plain_text(shape.documentation),
        "properties": {
            camel_case(name): {**_type_of(member, types), "description": describe(member)}
            for name, member in structure_members(shape).items()
        },
        "required": [
            camel_case(name)
            for name, member in structure_members(shape).items()
            if _model_name(shape, member) in shape.required_members
        ],
    }


def describe(shape: Shape) -> str:
    """Return the documentation of a member, and what its values have to keep to."""
    return " ".join(filter(None, [plain_text(shape.documentation), _constraint(shape)]))


def _constraint(shape: Shape) -> str:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    limits = []
    if shape.type_name == "integer" and high is not None:
        limits.append(f"{low}" if low == high else f"{low} to {high}")
    elif shape.type_name == "string" and high is not None:
        limits.append(f"{low} to {high} characters" if low else f"at most {high} characters")
    if shape.metadata.get("enum"):
        limits.append("one of " + ", ".join(f"`{value}`" for value in shape.metadata["enum"]))
    if shape.metadata.get("pattern"):
        limits.append(f"pattern `{shape.metadata['pattern']}`")
    return f"Allowed: {', '.join(limits)}." if limits else ""


def plain_text(documentation: str) -> str:
    """Return a text of botocore's model, which is HTML, as Markdown."""
    text = re.sub(r"</?code>", "`", documentation)
    text = re.sub(r'<a href="([^"]*)">(.*?)</a>', r"[\2](\1)", text)
    text = re.sub(r"</(?:p|li|note)>", " ", text)
    text = re.sub(r"<[^>]*>", "", text)
    return " ".join(html.unescape(text).split())
