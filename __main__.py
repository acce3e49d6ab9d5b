"""Run Apache Spark sessions on Amazon Athena with the stack's configuration.

In an existing work group:

    pulumi config set aws:region eu-west-1
    pulumi config set workgroup spark
    pulumi up

Without the key `workgroup`, the program creates a work group with the role and the bucket that it
needs. Pulumi.yaml lists all keys and their defaults. A key that has no value and no default is not
sent, so the service's default applies.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import is_config_secret

from athena_session_provider import Session

T = TypeVar("T")

DEFAULT_DPUS = 4
"""As in Pulumi.yaml: the default quota of an account on Apache Spark version 3.5."""

config = pulumi.Config()


def secret_if_set_so(key: str, value: T) -> T | pulumi.Output[T]:
    """Return the value as a secret if it was set with `pulumi config set --secret`."""
    return pulumi.Output.secret(value) if is_config_secret(config.full_key(key)) else value


def mapping(key: str) -> dict[str, Any] | None:
    """Return a map, as `pulumi config set --path tags.team data` makes; None if it is empty."""
    value = config.get_object(key)
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        raise pulumi.RunError(
            f"Configuration '{config.full_key(key)}' must be a map, set key by key: "
            f"`pulumi config set --path {key}.<name> <value>`"
        )
    return value


def text_mapping(key: str) -> dict[str, str] | None:
    """Return a map of strings; `pulumi config set --path` stores 2 as a number."""
    value = mapping(key)
    if value is None:
        return None
    nested = sorted(name for name, item in value.items() if isinstance(item, dict | list))
    if nested:
        raise pulumi.RunError(
            f"Configuration '{config.full_key(key)}' must be a map of strings; "
            f"{', '.join(nested)} has another type. Quote a name with dots: "
            f"`pulumi config set --path '{key}[\"spark.name\"]' <value>`"
        )
    return {
        name: item if isinstance(item, str) else json.dumps(item) for name, item in value.items()
    }


def count() -> int:
    """Return the number of sessions; 0 ends all sessions and keeps the stack."""
    value = config.get_int("sessions", 1)
    if value < 0:
        raise pulumi.RunError(
            f"Configuration '{config.full_key('sessions')}' must be 0 or more, not {value}"
        )
    return value


def engine_configuration() -> dict[str, Any]:
    """Return the engine configuration of the sessions.

    The DPUs have a default: without a limit, one session uses up to 60 DPUs on Apache Spark
    version 3.5, and PySpark engine version 3 may refuse to start it.
    """
    settings = {
        "max_concurrent_dpus": config.get_int("maxConcurrentDpus", DEFAULT_DPUS),
        "spark_properties": text_mapping("sparkProperties"),
    }
    return {name: value for name, value in settings.items() if value is not None}


def names(key: str) -> list[str]:
    """Return a list of names."""
    value = config.get_object(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise pulumi.RunError(
            f"Configuration '{config.full_key(key)}' must be a list of names: "
            f"`pulumi config set --path '{key}[0]' <name>`"
        )
    return value


def new_work_group(engine_version: str) -> pulumi.Output[str]:
    """Create a work group; return its name."""
    try:
        # pulumi-aws is large, and nothing else here needs it.
        from athena_session_provider import SparkWorkgroup
    except ModuleNotFoundError as exc:
        raise pulumi.RunError(f"'{config.full_key('workgroup')}' is not set. {exc}") from exc
    group = SparkWorkgroup(
        "spark",
        engine_version=engine_version,
        result_bucket=config.get("resultBucket"),
        database_access=names("databases"),
        bucket_access=names("buckets"),
        force_destroy=config.get_bool("forceDestroy", False),  # noqa: FBT003 - Pulumi's
        tags=tags,
    )
    return group.name


tags: Any = secret_if_set_so("tags", text_mapping("tags"))
work_group: pulumi.Input[str] | None = config.get("workgroup")
triggers = mapping("triggers")
if not work_group:
    version = config.get("engineVersion", "PySpark engine version 3")
    work_group = new_work_group(version)
    # Kept from version 0.1: without it, an upgrade would replace the sessions.
    triggers = {**(triggers or {}), "engineVersion": version}

arguments: dict[str, Any] = {
    "work_group": work_group,
    "engine_configuration": secret_if_set_so("sparkProperties", engine_configuration()),
    "description": secret_if_set_so("description", config.get("description")),
    "notebook_version": config.get("notebookVersion"),
    "session_idle_timeout_in_minutes": config.get_int("idleTimeoutMinutes"),
    "tags": tags,
    "triggers": secret_if_set_so("triggers", triggers),
    "restart_when_dead": config.get_bool("restartDeadSessions", True),  # noqa: FBT003 - Pulumi's
}

# The first name has no number: another count does not rename the only session of a stack.
sessions = [
    Session("session" if number == 1 else f"session-{number}", **arguments)
    for number in range(1, count() + 1)
]

pulumi.export("session_ids", [session.session_id for session in sessions])
first = sessions[0] if sessions else None
pulumi.export("session_id", first and first.session_id)
pulumi.export("state", first and first.state)
pulumi.export("arn", first and first.arn)
pulumi.export("region", first and first.region)
