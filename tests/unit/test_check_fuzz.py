"""check() never raises: whatever a program hands over is normalized or refused by property."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from any_values import NAMES, inputs
from hypothesis import example, given

from athena_session_provider.provider import AthenaSessionProvider

deep: Any = "end"
for _ in range(500):
    deep = {"deeper": deep}


@given(olds=inputs, news=inputs)
@example(olds={}, news={"timeouts": "10m", "identity": "me", "aws": "here"})
# A random run found this one: a TypeError of botocore, with a traceback.
@example(olds={}, news={"aws": {"profile": [None]}})
@example(olds={}, news={"identity": {"secrets": [["tags"]]}})
def test_check_never_raises(olds: dict[str, Any], news: dict[str, Any]) -> None:
    """Every failure names a property; what is left is what Pulumi and JSON can carry."""
    result = AthenaSessionProvider().check(olds, news)
    for failure in result.failures:
        assert failure.property in (*news, *NAMES, "")
        assert failure.reason
    if not result.failures:
        json.dumps(result.inputs, allow_nan=False).encode()


@pytest.mark.parametrize(
    "news",
    [
        {"triggers": deep, "tags": deep, "engine_configuration": deep},
        {"aws": deep, "timeouts": deep, "identity": deep},
        {"aws": {"region": deep, "endpoints": deep, "assume_roles": deep}},
    ],
    ids=["arguments", "own", "aws"],
)
def test_very_deep_values_are_refused(news: dict[str, Any]) -> None:
    """Each property that has one is named, before anything walks down into it."""
    failures = AthenaSessionProvider().check({}, {"work_group": "spark", **news}).failures
    named = {failure.property for failure in failures if "nested more than" in failure.reason}
    assert named == set(news)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("description", "bad\x07bell", "control character U+0007"),
        ("description", "x" * 1025, "has 1025 characters"),
        ("work_group", "🚀", "must match"),
        ("work_group", "${aws.region}", "must match"),
        ("session_idle_timeout_in_minutes", math.nan, "not the number nan"),
        ("session_idle_timeout_in_minutes", float(2**53), "must be a whole number from"),
        ("session_idle_timeout_in_minutes", 1.5, "must be a whole number from"),
        ("session_idle_timeout_in_minutes", True, "not true"),
        ("triggers", {"at": math.nan}, "does not equal itself"),
        ("triggers", deep, "nested more than"),
        ("tags", {"aws:owner": "me"}, "reserved for AWS"),
        ("tags", {"key": "x" * 257}, "has 257 characters"),
        ("tags", {"key\x00": "x"}, "control character"),
        ("execution_role", "role", "characters"),
        ("adopt_session_id", "", "has 0 characters"),
        ("restart_when_dead", "no", "must be true or false"),
        ("timeouts", {"create": "soon"}, "invalid duration"),
        ("aws", {"secret_key": "x"}, "is a credential"),
    ],
)
def test_hostile_values_are_refused_by_property(name: str, value: Any, reason: str) -> None:
    """One failure, which names the property, and nothing else that is wrong."""
    news = {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": 20.0},
        "aws": {"region": "eu-west-1"},
    }
    result = AthenaSessionProvider().check({}, {**news, name: value})
    (failure,) = result.failures
    # Of a nested property, the engine would print the value as <nil>: the reason names it.
    named, _, _ = (failure.property or failure.reason).partition(" ")
    assert named.startswith(name)
    assert reason in failure.reason


@pytest.mark.parametrize(("length", "legal"), [(51_200, True), (51_201, False)])
def test_property_values_have_51200_characters_at_most(length: int, *, legal: bool) -> None:
    """Values of classifications are the longest that the model allows."""
    news = {
        "work_group": "spark-35",
        "engine_configuration": {
            "classifications": [{"name": "spark-defaults", "properties": {"a": "x" * length}}]
        },
        "aws": {"region": "eu-west-1"},
    }
    failures = AthenaSessionProvider().check({}, news).failures
    assert [failure.property + failure.reason for failure in failures] == (
        []
        if legal
        else [
            (
                'engine_configuration.classifications[0].properties["a"] has 51201 characters, '
                "and may have at most 51200"
            )
        ]
    )


@pytest.mark.parametrize("text", ["emoji 🚀🧨", "${stack.output}", "\\u0000", "ünïcödé", "'; --"])
def test_odd_but_legal_texts_are_left_as_they_are(text: str) -> None:
    """What the model allows is not for us to judge."""
    news = {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": 20.0, "spark_properties": {"key": text}},
        "description": text,
        "triggers": {"at": text, "big": 2.0**53},
        "aws": {"region": "eu-west-1"},
    }
    result = AthenaSessionProvider().check({}, news)
    assert result.failures == []
    assert result.inputs["description"] == text
    assert result.inputs["engine_configuration"]["spark_properties"] == {"key": text}
    assert result.inputs["triggers"] == {"at": text, "big": 2**53}
