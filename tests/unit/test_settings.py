"""The stack configuration keys of pulumi-aws."""

from __future__ import annotations

from typing import Any

import pytest

from athena_session_provider.service.errors import ConfigurationError, MissingRegionError
from athena_session_provider.service.settings import aws_settings, resolved_region


def test_all_keys_are_read() -> None:
    """As the host of dynamic providers hands them over: structured values as JSON text."""
    settings = aws_settings(
        {
            "aws:region": "eu-west-1",
            "aws:profile": "p",
            "aws:accessKey": "AK",
            "aws:secretKey": "SK",
            "aws:token": "T",
            "aws:assumeRoles": '[{"roleArn": "r", "externalId": "x"}]',
            "aws:endpoints": '[{"athena": "http://a"}, {"sts": "http://s"}]',
            "aws:defaultTags": '{"tags": {"team": "data"}}',
        }
    )
    assert (settings.region, settings.profile, settings.token) == ("eu-west-1", "p", "T")
    assert settings.assume_roles == '[{"externalId": "x", "roleArn": "r"}]'
    assert settings.endpoint("athena") == "http://a"
    assert settings.endpoint("sts") == "http://s"
    assert settings.default_tags == (("team", "data"),)


def test_the_resource_overrides_the_stack() -> None:
    """Member by member; what it leaves out comes from the stack."""
    config = {
        "aws:region": "eu-west-1",
        "aws:profile": "stack",
        "team:accessKey": "TEAM",
        "team:secretKey": "SK",
    }
    settings = aws_settings(config, {"region": "us-east-1", "endpoints": {"athena": "http://a"}})
    assert (settings.region, settings.profile) == ("us-east-1", "stack")
    assert settings.endpoint("athena") == "http://a"
    assert aws_settings(config, {"config_namespace": "team"}).access_key == "TEAM"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"aws:secretKey": "SK"}, "Of aws:accessKey and aws:secretKey only one is set"),
        ({"aws:endpoints": "{"}, "aws:endpoints is not valid"),
        ({"aws:endpoints": '"http://a"'}, "has to be a list such as"),
        ({"aws:assumeRoles": "[{}]"}, "needs a roleArn"),
        ({"aws:assumeRoles": '["x"]'}, "list of maps with a roleArn"),
        ({"aws:defaultTags": "[]"}, "aws:defaultTags has to be a map"),
    ],
)
def test_values_that_cannot_be_read(config: dict[str, Any], message: str) -> None:
    """The error names the key."""
    with pytest.raises(ConfigurationError, match=message):
        aws_settings(config)


def test_region_comes_from_boto3s_chain_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its absence is an error that says how to set it."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert resolved_region(aws_settings({})) == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    assert resolved_region(aws_settings({})) == "eu-south-1"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(MissingRegionError, match="pulumi config set aws:region"):
        resolved_region(aws_settings({}))


def test_unknown_profile_is_a_sentence() -> None:
    """No traceback of botocore."""
    with pytest.raises(ConfigurationError, match="nobody"):
        resolved_region(aws_settings({"aws:profile": "nobody"}))
