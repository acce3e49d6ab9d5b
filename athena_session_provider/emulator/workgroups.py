"""Work groups: moto keeps them, this adds what it lacks.

Two of the Spark kind exist from the start, beside moto's `primary`, which is a SQL
work group; updates, refused deletions and engine versions are new.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from moto.athena.models import AthenaBackend, athena_backends

from . import messages
from .errors import InvalidRequestError, not_found
from .models import SPARK_3, SPARK_35, SessionStore, WorkGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.athena.models import WorkGroup as MotoWorkGroup

    from .scope import Scope

SQL_ENGINE = "Athena engine version 3"
ENGINE_VERSIONS = ("AUTO", SQL_ENGINE, SPARK_3, SPARK_35)
DEFAULT_WORK_GROUPS = {"spark": SPARK_3, "spark-35": SPARK_35}

# The members of WorkGroupConfigurationUpdates that replace one of the same name.
_PLAIN_UPDATES = (
    "AdditionalConfiguration",
    "BytesScannedCutoffPerQuery",
    "CustomerContentEncryptionConfiguration",
    "EnableMinimumEncryptionConfiguration",
    "EnforceWorkGroupConfiguration",
    "EngineConfiguration",
    "ExecutionRole",
    "MonitoringConfiguration",
    "PublishCloudWatchMetricsEnabled",
    "QueryResultsS3AccessGrantsConfiguration",
    "RequesterPaysEnabled",
)
_REMOVALS = {
    "RemoveBytesScannedCutoffPerQuery": "BytesScannedCutoffPerQuery",
    "RemoveCustomerContentEncryptionConfiguration": ("CustomerContentEncryptionConfiguration"),
}
_RESULT_MEMBERS = (
    "OutputLocation",
    "EncryptionConfiguration",
    "ExpectedBucketOwner",
    "AclConfiguration",
)


def backend(scope: Scope) -> AthenaBackend:
    """Return moto's Athena of an account and region, with our work groups in it."""
    try:
        found = athena_backends[scope.account_id][scope.region]
    except KeyError:
        raise InvalidRequestError(f"Athena is not available in region {scope.region}") from None
    # The mark is on moto's object because moto's reset replaces it: a new one needs
    # the work groups again, a deleted work group must not come back.
    if not getattr(found, "has_spark_work_groups", False):
        found.has_spark_work_groups = True  # type: ignore[attr-defined]
        for name, engine in DEFAULT_WORK_GROUPS.items():
            _create(found, {"Name": name, "Configuration": _default(scope, engine)})
        for group in found.work_groups.values():
            group.created_at = time.time()  # type: ignore[attr-defined]
    return found


def get(scope: Scope, name: str) -> WorkGroup:
    """Return what a session needs to know of a work group."""
    group = _find(scope, name)
    configuration = group.configuration
    results = configuration.get("ResultConfiguration") or {}
    return WorkGroup(
        name=group.name,
        state=group.state,
        engine_version=configuration["EngineVersion"]["EffectiveEngineVersion"],
        execution_role=configuration.get("ExecutionRole"),
        output_location=results.get("OutputLocation"),
        tags=backend(scope).tagger.get_tag_dict_for_resource(group.arn),
    )


def exists(scope: Scope, name: str) -> bool:
    """Whether there is a work group of this name."""
    return name in backend(scope).work_groups


def describe(scope: Scope, name: str) -> dict[str, Any]:
    """Return a work group as GetWorkGroup does."""
    group = _find(scope, name)
    return {
        "Name": group.name,
        "State": group.state,
        "Configuration": group.configuration,
        "Description": group.description or "",
        "CreationTime": _created_at(group),
    }


def create(scope: Scope, parameters: Mapping[str, Any], now: float) -> None:
    """Create a work group, of the Spark kind where its engine version says so."""
    in_moto = backend(scope)
    name = parameters["Name"]
    if name in in_moto.work_groups:
        raise InvalidRequestError("WorkGroup is already created")
    _create(in_moto, parameters)
    in_moto.work_groups[name].created_at = now  # type: ignore[attr-defined]


def update(scope: Scope, parameters: Mapping[str, Any]) -> None:
    """Change a work group, member by member, as UpdateWorkGroup does."""
    group = _find(scope, parameters["WorkGroup"])
    updates = parameters.get("ConfigurationUpdates") or {}
    configuration = dict(group.configuration)
    for name in _PLAIN_UPDATES:
        if updates.get(name) is not None:
            configuration[name] = updates[name]
    for flag, name in _REMOVALS.items():
        if updates.get(flag):
            configuration.pop(name, None)
    if version := updates.get("EngineVersion"):
        configuration["EngineVersion"] = _engine_version(version)
        _check_engine_change(group.configuration, configuration)
    if results := updates.get("ResultConfigurationUpdates"):
        configuration["ResultConfiguration"] = _updated_results(
            configuration.get("ResultConfiguration") or {}, results
        )
    if managed := updates.get("ManagedQueryResultsConfigurationUpdates"):
        configuration["ManagedQueryResultsConfiguration"] = {
            **(configuration.get("ManagedQueryResultsConfiguration") or {}),
            **{key: item for key, item in managed.items() if not key.startswith("Remove")},
        }
    group.configuration = configuration
    group.description = parameters.get("Description", group.description)
    group.state = parameters.get("State", group.state)


def delete(scope: Scope, parameters: Mapping[str, Any], sessions: SessionStore) -> None:
    """Delete a work group; its live sessions prevent that, or end with it."""
    name = parameters["WorkGroup"]
    if name == "primary":
        raise InvalidRequestError("The primary workgroup cannot be deleted")
    group = _find(scope, name)
    live = sessions.live(scope, name)
    if live and not parameters.get("RecursiveDeleteOption"):
        raise InvalidRequestError(f"WorkGroup {name} is not empty")
    for session in live:
        sessions.terminate(session)
    in_moto = backend(scope)
    in_moto.tagger.delete_all_tags_for_resource(group.arn)
    in_moto.delete_work_group(name)


def summaries(scope: Scope) -> list[dict[str, Any]]:
    """Return all work groups as ListWorkGroups does."""
    return [
        {
            "Name": group.name,
            "State": group.state,
            "Description": group.description or "",
            "CreationTime": _created_at(group),
            "EngineVersion": group.configuration["EngineVersion"],
        }
        for group in backend(scope).work_groups.values()
    ]


class WorkGroupTags:
    """The tags of one work group, which moto's own tagging APIs see too."""

    def __init__(self, scope: Scope, name: str) -> None:
        try:
            self._arn = _find(scope, name).arn
        except InvalidRequestError as error:
            raise not_found(scope.arn(f"workgroup/{name}")) from error
        self._tagger = backend(scope).tagger

    def read(self) -> dict[str, str]:
        """Return the tags."""
        return self._tagger.get_tag_dict_for_resource(self._arn)

    def write(self, tags: Mapping[str, str]) -> None:
        """Replace all tags."""
        self._tagger.delete_all_tags_for_resource(self._arn)
        self._tagger.tag_resource(
            self._arn, [{"Key": key, "Value": value} for key, value in tags.items()]
        )


def _find(scope: Scope, name: str) -> MotoWorkGroup:
    group = backend(scope).work_groups.get(name)
    if group is None:
        raise InvalidRequestError(messages.NO_WORK_GROUP)
    return group


def _created_at(group: MotoWorkGroup) -> float:
    return cast("float", vars(group)["created_at"])


def _create(in_moto: AthenaBackend, parameters: Mapping[str, Any]) -> None:
    tags = parameters.get("Tags") or []
    configuration = dict(parameters.get("Configuration") or {})
    configuration["EngineVersion"] = version = _engine_version(
        configuration.get("EngineVersion") or {}
    )
    is_spark = version["EffectiveEngineVersion"] in {SPARK_3, SPARK_35}
    if is_spark and not configuration.get("ExecutionRole"):
        raise InvalidRequestError(messages.NO_EXECUTION_ROLE)
    in_moto.create_work_group(
        parameters["Name"], configuration, parameters.get("Description") or "", tags
    )


def _check_engine_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse another engine for a work group of Spark.

    User Guide, notebooks-spark-considerations-and-limitations: "You cannot upgrade a workgroup
    from PySpark engine version 3 to Apache Spark version 3.5". The way back has no source.
    """
    engines = [each["EngineVersion"]["EffectiveEngineVersion"] for each in (old, new)]
    if engines[0] in {SPARK_3, SPARK_35} and engines[0] != engines[1]:
        raise InvalidRequestError(messages.ENGINE_CHANGE.format(old=engines[0], new=engines[1]))


def _updated_results(results: Mapping[str, Any], updates: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(results)
    for name in _RESULT_MEMBERS:
        if updates.get(f"Remove{name}"):
            merged.pop(name, None)
        elif updates.get(name) is not None:
            merged[name] = updates[name]
    return merged


def _engine_version(requested: Mapping[str, Any]) -> dict[str, str]:
    selected = requested.get("SelectedEngineVersion") or "AUTO"
    if selected not in ENGINE_VERSIONS:
        raise InvalidRequestError(
            f"Engine version {selected} is not one of {list(ENGINE_VERSIONS)}"
        )
    effective = SQL_ENGINE if selected == "AUTO" else selected
    return {"SelectedEngineVersion": selected, "EffectiveEngineVersion": effective}


def _default(scope: Scope, engine: str) -> dict[str, Any]:
    return {
        "EngineVersion": {"SelectedEngineVersion": engine},
        "EnforceWorkGroupConfiguration": True,
        "ExecutionRole": (
            f"arn:{scope.partition}:iam::{scope.account_id}:role/service-role/"
            "AWSAthenaSparkExecutionRole"
        ),
        "ResultConfiguration": {
            "OutputLocation": f"s3://{scope.default_bucket}/",
        },
    }
