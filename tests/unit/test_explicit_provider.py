"""What a session takes over from an explicit provider, and what it refuses."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from athena_session_provider.resources.explicit_provider import (
    NAMESPACE,
    WITHOUT_EFFECT,
    _merged,
    _refused,
    _taken_over,
)
from athena_session_provider.service.configuration_keys import KEYS

ROLES = '[{"roleArn": "arn:aws:iam::123456789012:role/x"}]'
PYTHON_ROLES = [{"role_arn": "arn:aws:iam::123456789012:role/x"}]
KEPT = {"region": "eu-west-1", "skipRegionValidation": "true", "version": "7.51.1"}


def test_region_profile_and_endpoints() -> None:
    """As a session has them; what has no effect on it is left out."""
    inputs = {**KEPT, "profile": "p", "endpoints": '[{"athena": "http://a"}]'}
    expected = {
        "region": "eu-west-1",
        "profile": "p",
        "endpoints": [{"athena": "http://a"}],
        "config_namespace": NAMESPACE,
    }
    assert _taken_over(inputs) == expected
    assert _merged(None, inputs, {"region": "us-east-1"}) == expected


@pytest.mark.parametrize(
    "name", sorted(set(KEYS) - WITHOUT_EFFECT - {"region", "profile", "endpoints"})
)
def test_every_other_key_is_refused(name: str) -> None:
    """Until a row says that it has no effect, so that no new key of pulumi-aws is passed over."""
    with pytest.raises(pulumi.RunError, match=rf"has {KEYS[name].argument}, which .*AwsConfig"):
        _merged(None, {**KEPT, name: "value"}, {})


def test_a_key_that_is_not_known_is_refused() -> None:
    """It may be one of a newer pulumi-aws."""
    assert _refused({**KEPT, "newKey": "x"}) == ["newKey"]
    assert _refused({**KEPT, "insecure": "false", "assumeRoles": "[]"}) == []


@pytest.mark.parametrize(
    ("given", "inputs", "stack", "expected"),
    [
        # What the argument leaves out is the provider's, and not the stack's.
        (
            {"default_tags": {"a": "b"}},
            KEPT,
            {"region": "us-east-1"},
            {"default_tags": {"a": "b"}, "region": "eu-west-1", "config_namespace": NAMESPACE},
        ),
        # The argument says what cannot be taken over.
        (
            {"assume_roles": PYTHON_ROLES},
            {**KEPT, "assumeRoles": ROLES},
            {},
            {
                "assume_roles": PYTHON_ROLES,
                "region": "eu-west-1",
                "config_namespace": NAMESPACE,
            },
        ),
        # The provider was made from the stack's keys, which the session uses as well.
        (
            {"region": "us-west-2"},
            {"region": "us-west-2", "accessKey": "AK", "secretKey": "SK"},
            {"accessKey": "AK", "secretKey": "SK"},
            {"region": "us-west-2"},
        ),
        # A namespace is a place for everything.
        (
            {"config_namespace": "team"},
            {**KEPT, "accessKey": "AK", "secretKey": "SK"},
            {},
            {"config_namespace": "team", "region": "eu-west-1"},
        ),
        # A profile is an answer to the question whose keys to use.
        (
            {"profile": "p"},
            {**KEPT, "accessKey": "AK", "secretKey": "SK"},
            {},
            {"profile": "p", "region": "eu-west-1", "config_namespace": NAMESPACE},
        ),
    ],
)
def test_an_argument_beside_a_provider(
    given: dict[str, Any], inputs: dict[str, Any], stack: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Its members win."""
    assert _merged(given, inputs, stack) == expected


@pytest.mark.parametrize(
    ("given", "inputs", "stack"),
    [
        ({"region": "r"}, {"accessKey": "AK", "secretKey": "SK"}, {}),
        ({"region": "r"}, {"accessKey": "AK"}, {"accessKey": "OTHER"}),
        ({"region": "r"}, {"assumeRoles": ROLES}, {"assumeRoles": "[]"}),
        ({}, {"accessKey": "AK"}, {"accessKey": "AK"}),
    ],
)
def test_what_neither_argument_nor_stack_says_is_refused(
    given: dict[str, Any], inputs: dict[str, Any], stack: dict[str, Any]
) -> None:
    """No key is in the sentence."""
    with pytest.raises(pulumi.RunError, match="which a session cannot take over") as caught:
        _merged(given, inputs, stack)
    assert "AK" not in str(caught.value).replace("TAKE", "")
