"""Arguments checked by botocore's model."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from athena_session_provider.service.request import (
    _loaded_service_model,
    check_arguments,
    from_response,
    service_model,
    to_request,
)

UNKNOWN = "placeholder-of-an-unknown-value"


def check(**arguments: Any) -> tuple[dict[str, Any], dict[str, str]]:
    given = {"work_group": "spark", "engine_configuration": {}} | arguments
    checked = check_arguments(given, unknown=UNKNOWN)
    return checked.arguments, {failure.path: failure.reason for failure in checked.failures}


def test_nothing_is_added_to_what_the_user_gave() -> None:
    """No default goes into the engine configuration."""
    arguments, failures = check()
    assert (arguments, failures) == ({"work_group": "spark", "engine_configuration": {}}, {})
    assert to_request(arguments) == {"WorkGroup": "spark", "EngineConfiguration": {}}


def test_camel_case_is_accepted_and_map_keys_are_untouched() -> None:
    """The service's own names work; keys of maps are no names."""
    arguments, failures = check(
        engine_configuration={
            "MaxConcurrentDpus": 4.0,
            "spark_properties": {"spark.sql_x.fooBar": True, "n": 4.0, "MaxConcurrentDpus": 0.5},
            "Classifications": [{"Name": "spark-defaults", "Properties": {"a_b": "c"}}],
        }
    )
    assert failures == {}
    assert to_request(arguments)["EngineConfiguration"] == {
        "MaxConcurrentDpus": 4,
        "SparkProperties": {"spark.sql_x.fooBar": "true", "n": "4", "MaxConcurrentDpus": "0.5"},
        "Classifications": [{"Name": "spark-defaults", "Properties": {"a_b": "c"}}],
    }


@pytest.mark.parametrize(
    ("arguments", "path", "reason"),
    [
        ({"work_group": None}, "work_group", "is required"),
        ({"work_group": "bad!"}, "work_group", "must match [a-zA-Z0-9._-]{1,128}"),
        ({"work_group": "x" * 129}, "work_group", "must match [a-zA-Z0-9._-]{1,128}"),
        ({"work_group": "spark\n"}, "work_group", "must match [a-zA-Z0-9._-]{1,128}"),
        ({"work_group": 3.0}, "work_group", "must be text, not the number 3.0"),
        ({"description": ""}, "description", "has 0 characters, and may have from 1 to 1024"),
        ({"description": "a\x00b"}, "description", "has the control character U+0000"),
        ({"description": "\ud800"}, "description", "contains an unpaired surrogate"),
        ({"notebook_version": "x" * 129}, "notebook_version", "has 129 characters, and may have from 1 to 128"),
        ({"session_idle_timeout_in_minutes": 0}, "session_idle_timeout_in_minutes", "is 0, and must be a whole number from 1 to 480"),
        ({"session_idle_timeout_in_minutes": 481.0}, "session_idle_timeout_in_minutes", "is 481, and must be a whole number from 1 to 480"),
        ({"session_idle_timeout_in_minutes": "20"}, "session_idle_timeout_in_minutes", "must be a whole number from 1 to 480, not text"),
        ({"session_idle_timeout_in_minutes": True}, "session_idle_timeout_in_minutes", "must be a whole number from 1 to 480, not true"),
        ({"session_idle_timeout_in_minutes": math.nan}, "session_idle_timeout_in_minutes", "must be a whole number from 1 to 480, not the number nan"),
        ({"engine_configuration": {"max_concurrent_dpus": 2.0**53}}, "engine_configuration.max_concurrent_dpus", "is 9007199254740992, and must be a whole number from 2 to 5000"),
        ({"engine_configuration": {"coordinator_dpu_size": 2}}, "engine_configuration.coordinator_dpu_size", "is 2, and must be 1"),
        ({"engine_configuration": {"max_dpus": 2}}, "engine_configuration.max_dpus", "is not known; the known ones are coordinator_dpu_size, max_concurrent_dpus, default_executor_dpu_size, additional_configs, spark_properties, classifications"),
        ({"engine_configuration": {"max_concurent_dpus": 2}}, "engine_configuration.max_concurent_dpus", "is not known; did you mean max_concurrent_dpus?"),
        ({"engine_configuration": {"max_concurrent_dpus": 2, "MaxConcurrentDpus": 3}}, "engine_configuration.max_concurrent_dpus", "is given twice, as max_concurrent_dpus and as MaxConcurrentDpus"),
        ({"engine_configuration": "x"}, "engine_configuration", "must be a map of coordinator_dpu_size, max_concurrent_dpus, default_executor_dpu_size, additional_configs, spark_properties, classifications, not text"),
        ({"engine_configuration": {"spark_properties": {"a": "x" * 51201}}}, 'engine_configuration.spark_properties["a"]', "has 51201 characters, and may have at most 51200"),
        ({"engine_configuration": {"spark_properties": {"a": {"b": "c"}}}}, 'engine_configuration.spark_properties["a"]', "must be text, not a map"),
        ({"engine_configuration": {"additional_configs": {"NotebookId": "n"}}}, "notebook_version", "is required when additional_configs has a NotebookId"),
        ({"execution_role": "arn:aws:iam::1:role/nope"}, "execution_role", r"must match ^arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$"),
        ({"monitoring_configuration": {"s3_logging_configuration": {}}}, "monitoring_configuration.s3_logging_configuration.enabled", "is required"),
        ({"copy_work_group_tags": "yes"}, "copy_work_group_tags", "must be true or false, not text"),
        ({"tags": {"aws:x": "y"}}, 'tags["aws:x"]', "starts with aws:, which is reserved for AWS"),
        ({"tags": {"x": "y" * 257}}, 'tags["x"]', "has 257 characters, and may have at most 256"),
        ({"tags": ["x"]}, "tags", "must be a map of text to text, not a list"),
        ({"workgroup": "spark"}, "workgroup", "is not known; did you mean work_group?"),
        ({"client_request_token": "x" * 32}, "client_request_token", "is not known; the known ones are description, work_group, engine_configuration, execution_role, monitoring_configuration, notebook_version, session_idle_timeout_in_minutes, tags, copy_work_group_tags"),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_with_the_range(
    arguments: dict[str, Any], path: str, reason: str
) -> None:
    """One failure, at the property, in words."""
    assert check(**arguments)[1] == {path: reason}


def test_all_failures_are_told_at_once() -> None:
    """A user corrects everything in one go."""
    _, failures = check(work_group="bad!", description="", tags={"aws:x": "y"})
    assert set(failures) == {"work_group", "description", 'tags["aws:x"]'}


def test_unknown_values_are_left_alone() -> None:
    """In a preview, what is not known yet may still turn out to be right."""
    given = {
        "work_group": UNKNOWN,
        "engine_configuration": {
            "max_concurrent_dpus": UNKNOWN,
            "spark_properties": {"a": UNKNOWN},
        },
        "tags": {"a": UNKNOWN},
        "session_idle_timeout_in_minutes": UNKNOWN,
    }
    assert check(**given) == (given, {})
    assert check(tags=UNKNOWN, engine_configuration=UNKNOWN)[1] == {}


def test_emoji_and_dollar_signs_are_text() -> None:
    """What the model allows is allowed."""
    properties = {"🔥": "${not.a.variable}", "tab\tkey": "line\nbreak"}
    arguments, failures = check(engine_configuration={"spark_properties": properties})
    assert failures == {}
    assert arguments["engine_configuration"]["spark_properties"] == properties


def test_tags_are_sent_as_the_api_has_them() -> None:
    """A map becomes a TagList, in a stable order."""
    arguments, _ = check(tags={"b": "2", "a": 1.0})
    assert to_request(arguments)["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_a_response_reads_as_the_arguments_it_came_from() -> None:
    """Both directions are one pair."""
    arguments, _ = check(
        engine_configuration={"classifications": [{"name": "n", "properties": {"K": "v"}}]},
        monitoring_configuration={"managed_logging_configuration": {"enabled": True}},
    )
    assert from_response("StartSessionRequest", to_request(arguments)) == arguments


def test_the_model_is_loaded_once_for_all_threads() -> None:
    """Each thread that loaded it anew would keep the 63 others waiting: seconds, at 64 sessions."""
    _loaded_service_model.cache_clear()
    together = threading.Barrier(8)

    def load(_number: int) -> Any:
        together.wait()
        return service_model()

    with ThreadPoolExecutor(8) as threads:
        models = list(threads.map(load, range(8)))
    assert all(model is models[0] for model in models)
