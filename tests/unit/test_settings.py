"""The table of configuration keys: complete, read in every form, and refused in sentences."""

from __future__ import annotations

import ast
import inspect
import json
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pulumi_aws
import pytest

from athena_session_provider import AwsConfig
from athena_session_provider.service.configuration_keys import (
    KEYS,
    Role,
    Treatment,
    WebIdentityRole,
    camel_case,
    snake_case,
)
from athena_session_provider.service.errors import ConfigurationError, MissingRegionError
from athena_session_provider.service.settings import (
    ARGUMENTS,
    AwsSettings,
    aws_settings,
    check_aws,
    resolved_region,
)

ACCOUNT, OTHER = "123456789012", "210987654321"


def configuration_keys_of_pulumi_aws() -> set[str]:
    """Read what its module of configuration variables asks Pulumi's configuration for."""
    source = Path(pulumi_aws.__file__).parent / "config" / "vars.py"
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.args[0] if node.args else None
            if node.func.attr.startswith("get") and isinstance(name, ast.Constant):
                found.add(str(name.value))
    return found - {"aws"}


def test_every_key_of_pulumi_aws_has_a_row() -> None:
    """A new version of it cannot bring a key that is ignored without a word."""
    found = {name for name in configuration_keys_of_pulumi_aws() if not name.startswith("AWS_")}
    assert len(found) > 30, "the keys could not be read from the package"
    assert found <= set(KEYS)


def test_every_argument_of_its_provider_has_a_row() -> None:
    """The explicit provider has the same names, in snake_case."""
    known = {key.argument for key in KEYS.values()}
    given = set(inspect.signature(pulumi_aws.ProviderArgs.__init__).parameters) - {"__self__"}
    assert given
    assert given <= known


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("assume_roles", "ProviderAssumeRoleArgs"),
        ("assume_role_with_web_identity", "ProviderAssumeRoleWithWebIdentityArgs"),
        ("default_tags", "ProviderDefaultTagsArgs"),
        ("ignore_tags", "ProviderIgnoreTagsArgs"),
    ],
)
def test_every_member_of_a_structure_is_read(ours: str, theirs: str) -> None:
    """In the names of both languages."""
    values: dict[str, Any] = {"duration": "15m", "policy": "{}", "tags": {"a": "b"}}
    lists = ("policy_arns", "transitive_tag_keys", "keys", "key_prefixes")
    kind = getattr(pulumi_aws, theirs)
    for member in set(inspect.signature(kind.__init__).parameters) - {"__self__"}:
        value = ["x"] if member in lists else values.get(member, "x")
        given = {member: value} | ({"role_arn": "r"} if ours == "assume_roles" else {})
        for structure in (given, {camel_case(name): item for name, item in given.items()}):
            argument = [structure] if ours == "assume_roles" else structure
            assert aws_settings({}, {ours: argument}) != AwsSettings(), member
    assert len(set(inspect.signature(kind.__init__).parameters)) > 1


def test_the_arguments_have_the_names_of_the_keys() -> None:
    """So that a row of the table is found under one name everywhere."""
    assert {field.name for field in fields(AwsConfig)} == set(ARGUMENTS)
    without_effect = {
        "assume_role",
        "skip_credentials_validation",
        "tag_policy_compliance",
        "token_bucket_rate_limiter_capacity",
    }
    assert {field.name for field in fields(AwsSettings)} == {
        key.argument for key in KEYS.values()
    } - without_effect
    for key in KEYS.values():
        assert camel_case(snake_case(key.name)) == key.name
        assert key.note.endswith(".")
    assert {key.treatment for key in KEYS.values()} == set(Treatment)


def test_the_page_has_the_table() -> None:
    """Word by word."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "accounts.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `aws:")]
    assert rows == [
        f"| `aws:{key.name}` | {'none: a credential' if key.secret else f'`{key.argument}`'} | "
        f"{key.treatment.value} | {key.note} |"
        for key in KEYS.values()
    ]


def test_all_keys_are_read() -> None:
    """As the host of dynamic providers hands them over: structured values as JSON text."""
    settings = aws_settings(
        {
            "aws:region": "eu-west-1",
            "aws:profile": "p",
            "aws:accessKey": "AK",
            "aws:secretKey": "SK",
            "aws:token": "T",
            "aws:assumeRoles": '[{"roleArn": "r", "externalId": "x", "duration": "1h30m"}]',
            "aws:assumeRoleWithWebIdentity": '{"roleArn": "w", "webIdentityTokenFile": "/t"}',
            "aws:sharedConfigFiles": '["~/c"]',
            "aws:sharedCredentialsFiles": '["/a", "/b"]',
            "aws:endpoints": '[{"athena": "http://a"}, {"sts": "http://s"}]',
            "aws:defaultTags": '{"tags": {"team": "data"}}',
            "aws:ignoreTags": '{"keys": ["k"], "keyPrefixes": ["aws-"]}',
            "aws:allowedAccountIds": f'["{ACCOUNT}"]',
            "aws:forbiddenAccountIds": f"[{OTHER}]",
            "aws:useFipsEndpoint": "true",
            "aws:useDualstackEndpoint": "false",
            "aws:httpProxy": "http://user:hidden@proxy:3128",
            "aws:httpsProxy": "",
            "aws:noProxy": "a.example,10.0.0.0/8",
            "aws:customCaBundle": "/ca.pem",
            "aws:insecure": "1",
            "aws:maxRetries": "25",
            "aws:retryMode": "adaptive",
            "aws:ec2MetadataServiceEndpoint": "http://169.254.169.254",
            "aws:ec2MetadataServiceEndpointMode": "IPv6",
            "aws:stsRegion": "us-east-1",
            "aws:skipMetadataApiCheck": "true",
            "aws:skipRegionValidation": "false",
            "aws:skipCredentialsValidation": "true",
            "aws:s3UsePathStyle": "true",
            "aws:s3UsEast1RegionalEndpoint": "regional",
            "aws:userAgents": '["pipeline/1.0"]',
        }
    )
    assert settings == AwsSettings(
        region="eu-west-1",
        profile="p",
        access_key="AK",
        secret_key="SK",
        token="T",
        assume_roles=(Role("r", external_id="x", duration_seconds=5400),),
        assume_role_with_web_identity=WebIdentityRole("w", token_file="/t"),
        shared_config_files=("~/c",),
        shared_credentials_files=("/a", "/b"),
        endpoints=(("athena", "http://a"), ("sts", "http://s")),
        default_tags=(("team", "data"),),
        ignore_tags=settings.ignore_tags,
        allowed_account_ids=(ACCOUNT,),
        forbidden_account_ids=(OTHER,),
        use_fips_endpoint=True,
        use_dualstack_endpoint=False,
        http_proxy="http://user:hidden@proxy:3128",
        https_proxy="",
        no_proxy="a.example,10.0.0.0/8",
        custom_ca_bundle="/ca.pem",
        insecure=True,
        max_retries=25,
        retry_mode="adaptive",
        ec2_metadata_service_endpoint="http://169.254.169.254",
        ec2_metadata_service_endpoint_mode="IPv6",
        sts_region="us-east-1",
        skip_metadata_api_check=True,
        skip_region_validation=False,
        s3_use_path_style=True,
        s3_us_east1_regional_endpoint="regional",
        user_agents=("pipeline/1.0",),
    )
    assert "k" in settings.ignore_tags
    assert "aws-x" in settings.ignore_tags
    assert "team" not in settings.ignore_tags
    assert hash(settings) == hash(settings)
    for secret in ("AK", "SK", "hidden", "'T'"):
        assert secret not in repr(settings)


def test_one_role_in_the_older_form() -> None:
    """As pulumi-aws had it before version 7."""
    config = {"aws:assumeRole": '{"roleArn": "r", "durationSeconds": 900}'}
    assert aws_settings(config).assume_roles == (Role("r", duration_seconds=900),)
    both = config | {"aws:assumeRoles": '[{"roleArn": "s"}]'}
    with pytest.raises(ConfigurationError, match="both set; remove aws:assumeRole"):
        aws_settings(both)
    assert aws_settings(config, {"assume_roles": [{"role_arn": "s"}]}).assume_roles == (Role("s"),)
    assert aws_settings(both | {"aws:assumeRoles": ""}, {"assume_role": {"role_arn": "t"}}) == (
        AwsSettings(assume_roles=(Role("t"),))
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900),
        ("900s", 900),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5h", 1800),
        ("12h", 43200),
        ("900000ms", 900),
        ("900000000us", 900),
        ("900000000µs", 900),
        ("900000000000ns", 900),
        ("14m60s", 900),
    ],
)
def test_a_duration_in_every_form_of_go(text: str, seconds: int) -> None:
    """As pulumi-aws hands them to Go's time.ParseDuration."""
    settings = aws_settings({}, {"assume_roles": [{"role_arn": "r", "duration": text}]})
    assert settings.assume_roles[0].duration_seconds == seconds


@pytest.mark.parametrize("text", ["", " 15m", "15", "15 m", "-15m", "15M", "0", "14m59s", "12h1s"])
def test_what_is_no_duration_of_a_role(text: str) -> None:
    """STS takes 15 minutes to 12 hours."""
    role = {"role_arn": "r", "duration": text or "m"}
    failures = check_aws({"assume_roles": [role]})
    assert [failure.path for failure in failures] == ["aws.assume_roles"]


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


def test_a_profile_of_the_resource_is_not_overruled_by_keys_of_the_stack() -> None:
    """Whoever names a profile means its account."""
    config = {
        "aws:accessKey": "AK",
        "aws:secretKey": "SK",
        "aws:token": "T",
        "aws:assumeRoleWithWebIdentity": '{"roleArn": "r"}',
    }
    settings = aws_settings(config, {"profile": "production"})
    assert settings == AwsSettings(profile="production")
    assert aws_settings(config | {"aws:profile": "p"}).access_key == "AK"


@pytest.mark.parametrize(
    ("athena", "sts"),
    [
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("https://vpce-1.athena.eu-west-1.vpce.amazonaws.com", None),
        ("https://athena.eu-west-1.api.aws", None),
    ],
)
def test_sts_is_asked_where_an_emulator_is(athena: str, sts: str | None) -> None:
    """And not at an endpoint of AWS that serves Athena alone."""
    assert aws_settings({}, {"endpoints": {"athena": athena}}).endpoint("sts") == sts


def test_tags_of_a_session() -> None:
    """Its own win over the default ones, and ignored ones are left alone."""
    override = {"default_tags": {"tags": {"a": "1", "b": 2}}, "ignore_tags": {"keys": ["c"]}}
    assert aws_settings({}, override).tags({"b": "3", "c": "4"}) == {"a": "1", "b": "3"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"aws:secretKey": "SK"}, "Of aws:accessKey and aws:secretKey only one is set"),
    ({"aws:token": "T"}, "aws:token is set without"),
    ({"aws:accessKey": "AK\n", "aws:secretKey": "SK"}, "aws:accessKey must be text without"),
    ({"aws:region": "eu west 1"}, "aws:region must be the name of a region"),
    ({"aws:endpoints": "{"}, "aws:endpoints is not valid JSON"),
    ({"aws:endpoints": "[" * 100_000}, "aws:endpoints is not valid JSON"),
    ({"aws:endpoints": '"http://a"'}, "must be a list such as"),
    ({"aws:endpoints": '[{"athena": "a"}]'}, "endpoint for athena that must be a URL"),
    ({"aws:endpoints": '[{"athena": "http://u:p@a"}]'}, "has a user name or a password"),
    ({"aws:endpoints": '[{"athenna": "http://a"}]'}, 'did you mean "athena"'),
    ({"aws:assumeRoles": "[{}]"}, "entry that needs a roleArn"),
    ({"aws:assumeRoles": '["x"]'}, "position 1 an entry that"),
    ({"aws:assumeRoles": '[{"roleArn": "r", "external": "x"}]'}, 'did you mean "externalId"'),
    ({"aws:assumeRoles": '[{"roleArn": "r", "durationn": "1h"}]'}, 'did you mean "duration"'),
    ({"aws:assumeRoles": '[{"roleArn": "r", "policy": "x"}]'}, "policy that is not valid JSON"),
    (
        {"aws:assumeRoles": '[{"roleArn": "r", "duration": "1h", "durationSeconds": 900}]'},
        "two keys for duration_seconds",
    ),
    ({"aws:assumeRoleWithWebIdentity": '{"roleARN": "r"}'}, 'did you mean "roleArn"'),
    (
        {"aws:assumeRoleWithWebIdentity":
            '{"webIdentityToken": "t", "webIdentityTokenFile": "f"}'},
        "remove one",
    ),
    ({"aws:defaultTags": "[]"}, "aws:defaultTags must be a map"),
    ({"aws:defaultTags": '{"tags": {"a": []}}'}, "a tag a whose value is no text"),
    ({"aws:ignoreTags": '{"key": ["a"]}'}, 'did you mean "keys"'),
    ({"aws:allowedAccountIds": "123456789012"}, "must be a list such as"),
    ({"aws:allowedAccountIds": "[12345678901]"}, "is an invalid account id"),
    ({"aws:forbiddenAccountIds": '["12345678901x"]'}, "is an invalid account id"),
    ({"aws:useFipsEndpoint": "yes"}, "aws:useFipsEndpoint must be true or false"),
    ({"aws:httpsProxy": "ftp://x"}, "must be the URL of a proxy"),
    ({"aws:maxRetries": "-1"}, "must be a whole number"),
    ({"aws:maxRetries": "5000"}, "is 5000, and must be from 0 to 1000"),
    ({"aws:retryMode": "legacy"}, "must be one of standard, adaptive"),
    ({"aws:tagPolicyCompliance": "error"}, 'tag_policy_compliance="disabled"'),
    (
        {"aws:allowedAccountIds": '["123456789012"]', "aws:skipRequestingAccountId": "true"},
        "aws:allowedAccountIds cannot be checked",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("config", "message"), REFUSED)
def test_values_that_cannot_be_read(config: dict[str, Any], message: str) -> None:
    """The error names the key, and what it takes."""
    with pytest.raises(ConfigurationError, match=message):
        aws_settings(config)


@pytest.mark.parametrize("name", ["access_key", "secretKey", "token"])
def test_a_key_is_no_argument(name: str) -> None:
    """It would be in the state; the sentence says where it goes."""
    (failure,) = check_aws({name: "hidden"})
    assert "pulumi config set --secret aws:" in failure.reason
    assert "hidden" not in failure.reason
    for secret in (
        {"https_proxy": "http://user:hidden@proxy"},
        {"assume_role_with_web_identity": {"web_identity_token": "hidden"}},
    ):
        (failure,) = check_aws(secret)
        assert "stored in the state" in failure.reason
        assert "hidden" not in failure.reason


def test_unknown_members_and_unknown_values() -> None:
    """A member that is not known is refused, a value that is not known yet is not."""
    (failure,) = check_aws({"assume_rolls": []})
    assert failure.reason.endswith('did you mean "assume_roles"?')
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    given = {"region": unknown, "assume_roles": [{"role_arn": unknown}], "max_retries": unknown}
    assert check_aws(given, unknown) == []
    assert len(check_aws(given)) == 1  # as text, two of them are good values


ATOMS = (
    None, True, False, 0, 1, -1, 1.5, 25.0, 1e400, float("nan"), 10**30, "", " ", "a", "a\nb", "\0",
    "true", "15m", "{}", "[]", "{", "http://a", "http://[", "123456789012", b"bytes", object(),
    ("a",), "r" * 5000, "ü", "\ud800",
)  # fmt: skip


def random_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.random()
    if depth > 3 or kind < 0.6:
        return dice.choice(ATOMS)
    if kind < 0.8:
        return [random_value(dice, depth + 1) for _ in range(dice.randrange(3))]
    names = ("roleArn", "role_arn", "tags", "keys", "duration", "athena", "sts", "policy", "a", 7)
    return {dice.choice(names): random_value(dice, depth + 1) for _ in range(dice.randrange(3))}


def test_no_value_raises_anything_but_a_sentence() -> None:
    """Neither an argument of the wrong shape nor a configuration value; such as `[None]`."""
    assert check_aws({"profile": [None]})[0].reason == "must be text"
    dice = random.Random(14)  # noqa: S311 - a fixed seed
    refused = 0
    sentences = set()
    for _ in range(5_000):
        name = dice.choice(ARGUMENTS)
        value = random_value(dice)
        failures = check_aws({name: value})
        assert all(failure.reason for failure in failures)
        try:
            settings = aws_settings({}, {name: value})
        except ConfigurationError as exc:
            refused += 1
            sentences.add(str(exc).partition(" ")[0])
        else:
            assert hash(settings) is not None
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        try:
            aws_settings({f"aws:{dice.choice(list(KEYS))}": text})
        except ConfigurationError:
            refused += 1
    assert refused > 2_500
    assert all(":" in first or first.startswith("aws.") for first in sentences)


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


def test_a_region_is_held_against_the_sdk_where_that_is_asked_for() -> None:
    """pulumi-aws does not do so by default either."""
    config = {"aws:region": "eu-wset-1"}
    assert resolved_region(aws_settings(config)) == "eu-wset-1"
    with pytest.raises(ConfigurationError, match='did you mean "eu-west-1"'):
        resolved_region(aws_settings(config | {"aws:skipRegionValidation": "false"}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"aws:profile": "nobody"}, "nobody.*aws:profile"),
        ({"aws:sharedConfigFiles": '["/nonexistent/c"]'}, "aws:sharedConfigFiles names the file"),
        ({"aws:sharedCredentialsFiles": '["/nonexistent/c"]'}, "aws:sharedCredentialsFiles names"),
        ({"aws:customCaBundle": "/nonexistent/ca"}, "aws:customCaBundle names the file"),
    ],
)
def test_what_is_not_on_this_machine_is_a_sentence(config: dict[str, str], message: str) -> None:
    """In preview already, and no traceback of botocore."""
    with pytest.raises(ConfigurationError, match=message):
        resolved_region(aws_settings({"aws:region": "eu-west-1", **config}))
