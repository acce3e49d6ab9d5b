"""Each key that says where and as whom to call, held against what a stand-in of AWS saw."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from aws_standin import ACCOUNT, Standin, aws_standin
from botocore import credentials as boto_credentials

from athena_session_provider.service import background, credentials, errors
from athena_session_provider.service.boto import BotoAthena, shared_athena
from athena_session_provider.service.credentials import AwsSession, is_exempt, proxies_for
from athena_session_provider.service.settings import AwsSettings, aws_settings, boto3_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::222222222222:role/deploy"
NEXT_ROLE = "arn:aws:iam::333333333333:role/spark"
KEYS = {"aws:accessKey": "AKIASTACK", "aws:secretKey": "hidden-secret"}


@pytest.fixture
def standin() -> Iterator[Standin]:
    with aws_standin() as served:
        yield served


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, region or proxy but those of the test."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def athena_of(
    standin: Standin, config: dict[str, Any], cancelled: threading.Event | None = None
) -> BotoAthena:
    given = {
        "aws:region": "eu-west-1",
        "aws:endpoints": json.dumps([{"athena": standin.url, "sts": standin.url}]),
        **config,
    }
    return BotoAthena(
        aws_settings({key: v for key, v in given.items() if v is not None}), cancelled
    )


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_keys_of_the_stack(standin: Standin) -> None:
    """Signed with them, for the region, at the endpoint; and STS is not asked."""
    athena_of(standin, KEYS | {"aws:token": "T"}).list_sessions("spark")
    call = standin.call("ListSessions")
    assert (call.access_key, call.region, call.service) == ("AKIASTACK", "eu-west-1", "athena")
    assert call.token == "T"
    assert f"http://{call.host}" == standin.url
    assert standin.operations() == ["ListSessions"]


def test_roles_one_after_the_other(standin: Standin) -> None:
    """Each with all of its members, and STS is called in its own region."""
    roles = [
        {
            "roleArn": ROLE,
            "sessionName": "pulumi",
            "externalId": "external",
            "policy": {"Version": "2012-10-17"},
            "policyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
            "sourceIdentity": "me",
            "tags": {"team": "data"},
            "transitiveTagKeys": ["team"],
            "duration": "15m",
        },
        {"roleArn": NEXT_ROLE},
    ]
    config = KEYS | {"aws:assumeRoles": json.dumps(roles), "aws:stsRegion": "us-east-1"}
    athena = athena_of(standin, config)
    athena.list_sessions("spark")
    athena.list_sessions("spark")
    first, second, call, again = standin.calls
    assert first.parameters == {
        "RoleArn": ROLE,
        "RoleSessionName": "pulumi",
        "ExternalId": "external",
        "Policy": '{"Version": "2012-10-17"}',
        "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "SourceIdentity": "me",
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "data",
        "TransitiveTagKeys.member.1": "team",
        "DurationSeconds": "900",
    }
    assert (first.access_key, first.region, first.service) == ("AKIASTACK", "us-east-1", "sts")
    assert (second.access_key, second.parameters["RoleArn"]) == ("ASIA0000000000000001", NEXT_ROLE)
    assert (call.access_key, call.region) == ("ASIA0000000000000002", "eu-west-1")
    assert call.token == "token-of-ASIA0000000000000002"
    assert again.access_key == call.access_key
    assert athena.account_id == "333333333333"
    assert "GetCallerIdentity" not in standin.operations()


def test_a_web_identity(standin: Standin, tmp_path: Path) -> None:
    """Its call is not signed; roles of assumeRoles come after it."""
    web = {
        "roleArn": ROLE,
        "webIdentityTokenFile": write(tmp_path / "token", "a.jwt\n"),
        "duration": "1h",
    }
    config = {
        "aws:assumeRoleWithWebIdentity": json.dumps(web),
        "aws:assumeRole": json.dumps({"roleArn": NEXT_ROLE}),
    }
    athena_of(standin, config).list_sessions("spark")
    first, second, call = standin.calls
    assert (first.operation, first.access_key) == ("AssumeRoleWithWebIdentity", "")
    assert (first.parameters["WebIdentityToken"], first.parameters["DurationSeconds"]) == (
        "a.jwt",
        "3600",
    )
    assert second.access_key == "ASIA0000000000000001"
    assert call.access_key == "ASIA0000000000000002"


def test_a_profile_of_other_files(standin: Standin, tmp_path: Path) -> None:
    """Of several files a later one wins; the profile's region is used where no key names one."""
    files = [
        write(tmp_path / "c1", "[profile team]\nregion = eu-north-1\nsource_profile = base\n"),
        write(tmp_path / "c2", f"[profile team]\nrole_arn = {ROLE}\nregion = eu-south-1\n"),
    ]
    secrets = [
        write(tmp_path / "s1", "[other]\naws_access_key_id = O\naws_secret_access_key = o\n"),
        write(tmp_path / "s2", "[base]\naws_access_key_id = BASE\naws_secret_access_key = b\n"),
    ]
    config = {
        "aws:region": None,
        "aws:profile": "team",
        "aws:sharedConfigFiles": json.dumps(files),
        "aws:sharedCredentialsFiles": json.dumps(secrets),
    }
    athena_of(standin, config).list_sessions("spark")
    role, call = standin.calls
    assert (role.access_key, role.region, role.parameters["RoleArn"]) == (
        "BASE",
        "eu-south-1",
        ROLE,
    )
    assert (call.access_key, call.region) == ("ASIA0000000000000001", "eu-south-1")
    standin.calls.clear()
    athena_of(
        standin, config | {"aws:profile": "other"} | {"aws:region": "us-east-1"}
    ).list_sessions("spark")
    assert standin.call("ListSessions").access_key == "O"


def test_the_default_profile_of_other_files_wins_over_none(
    standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's keys win over a file, and a named profile over the environment's keys."""
    file = write(
        tmp_path / "s",
        "[default]\naws_access_key_id = FILE\naws_secret_access_key = f\n"
        "[named]\naws_access_key_id = NAMED\naws_secret_access_key = n\n",
    )
    config = {"aws:sharedCredentialsFiles": json.dumps([file])}
    athena_of(standin, config).list_sessions("spark")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "e")
    athena_of(standin, config).list_sessions("spark")
    athena_of(standin, config | {"aws:profile": "named"}).list_sessions("spark")
    athena_of(standin, config | {"aws:profile": "named"} | KEYS).list_sessions("spark")
    assert [call.access_key for call in standin.calls] == ["FILE", "ENV", "NAMED", "AKIASTACK"]


@pytest.mark.parametrize(
    ("config", "host"),
    [
        ({}, "athena.eu-west-1.amazonaws.com"),
        ({"aws:useFipsEndpoint": "true", "aws:region": "us-east-1"}, "athena-fips.us-east-1"),
        ({"aws:useDualstackEndpoint": "true"}, "athena.eu-west-1.api.aws"),
        ({"aws:region": "us-east-2"}, "athena.us-east-2.amazonaws.com"),
    ],
)
def test_the_endpoint_of_aws(standin: Standin, config: dict[str, str], host: str) -> None:
    """A proxy sees to which host the call goes, without that anything leaves this machine."""
    given = KEYS | {"aws:endpoints": None, "aws:httpsProxy": standin.url, "aws:maxRetries": "1"}
    with pytest.raises(errors.EndpointUnreachableError, match="aws:httpsProxy"):
        athena_of(standin, given | config).list_sessions("spark")
    (connected,) = standin.connects
    assert connected.startswith(host)
    assert connected.endswith(":443")


def test_sts_is_called_by_the_proxy_too(standin: Standin) -> None:
    """In its region, and at its FIPS endpoint."""
    config = KEYS | {
        "aws:endpoints": None,
        "aws:httpsProxy": standin.url,
        "aws:maxRetries": "2",
        "aws:useFipsEndpoint": "true",
        "aws:stsRegion": "us-east-2",
        "aws:assumeRole": json.dumps({"roleArn": ROLE}),
    }
    with pytest.raises(errors.EndpointUnreachableError, match=ROLE):
        athena_of(standin, config).list_sessions("spark")
    assert standin.connects == ["sts-fips.us-east-2.amazonaws.com:443"] * 2


@pytest.mark.parametrize(
    ("config", "proxied"),
    [
        ({"aws:httpProxy": "PROXY"}, True),
        ({"aws:httpsProxy": "PROXY"}, False),
        ({"aws:httpProxy": "PROXY", "aws:noProxy": "127.0.0.0/8"}, False),
        ({"aws:httpProxy": "PROXY", "aws:noProxy": "example.com"}, True),
        ({"HTTP_PROXY": "PROXY", "aws:noProxy": "127.0.0.1"}, False),
        ({"HTTP_PROXY": "PROXY"}, True),
        ({"HTTP_PROXY": "PROXY", "aws:httpProxy": ""}, False),
        ({"HTTP_PROXY": "http://127.0.0.1:9", "aws:httpProxy": "PROXY"}, True),
    ],
)
def test_proxies(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, config: dict[str, str], *, proxied: bool
) -> None:
    """Of the stack, of the environment, and the hosts that are called without one."""
    with aws_standin() as endpoint:
        for key, value in config.items():
            if key == "HTTP_PROXY":
                monkeypatch.setenv("http_proxy", value.replace("PROXY", standin.url))
        given = {
            key: value.replace("PROXY", standin.url)
            for key, value in config.items()
            if key.startswith("aws:")
        }
        athena_of(endpoint, KEYS | given).list_sessions("spark")
        assert [call.proxied for call in standin.calls] == ([True] if proxied else [])
        assert len(endpoint.calls) == (0 if proxied else 1)


def test_https_goes_by_the_proxy_for_http_without_one_of_its_own() -> None:
    """As pulumi-aws does; empty text says that there is none."""
    url = "https://athena.eu-west-1.amazonaws.com"
    settings = AwsSettings(http_proxy="http://p")
    assert proxies_for(settings, url) == {"http": "http://p", "https": "http://p"}
    assert proxies_for(AwsSettings(http_proxy="http://p", https_proxy=""), url) == {
        "http": "http://p"
    }
    assert proxies_for(AwsSettings(), url) is None


@pytest.mark.parametrize(
    ("no_proxy", "exempt"),
    [
        ("", False),
        ("*", True),
        ("athena.eu-west-1.amazonaws.com", True),
        ("amazonaws.com", True),
        (".amazonaws.com", True),
        ("*.amazonaws.com", True),
        ("azonaws.com", False),
        ("example.com, amazonaws.com:443", True),
        ("amazonaws.com:80", False),
        ("10.0.0.0/8", False),
    ],
)
def test_hosts_without_a_proxy(no_proxy: str, *, exempt: bool) -> None:
    """Domains with what is below them, ports, and networks."""
    assert is_exempt("https://athena.eu-west-1.amazonaws.com:443/x", no_proxy) is exempt
    assert is_exempt("https://10.1.2.3/x", no_proxy) is (no_proxy in ("*", "10.0.0.0/8"))


def test_retries_user_agent_and_certificates(standin: Standin, tmp_path: Path) -> None:
    """As botocore has them in the client in the end."""
    bundle = write(tmp_path / "ca.pem", "")
    config = KEYS | {"aws:userAgents": '["pipeline/1.0 (nightly)"]', "aws:maxRetries": "2"}
    athena = athena_of(standin, config | {"aws:retryMode": "adaptive"})
    standin.refusals["ListSessions"] = (500, "InternalServerException", "no")
    with pytest.raises(errors.InternalServiceError):
        athena.list_sessions("spark")
    assert len(standin.calls) == 2
    assert "athena-session-provider pipeline/1.0 (nightly)" in standin.calls[0].user_agent

    def verified(**options: Any) -> Any:
        session = AwsSession(AwsSettings(region="eu-west-1", **options))
        return session.get_config_variable("ca_bundle")

    assert verified() is None
    assert verified(custom_ca_bundle=bundle) == bundle
    assert verified(custom_ca_bundle=bundle, insecure=True) is False


def test_the_metadata_service(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stack says, or not at all."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    settings = AwsSettings(
        region="eu-west-1",
        ec2_metadata_service_endpoint=standin.url,
        ec2_metadata_service_endpoint_mode="IPv4",
    )
    resolver = AwsSession(settings)._resolver()
    fetcher = resolver.get_provider("iam-role")._role_fetcher
    assert fetcher.get_base_url() == standin.url
    skipped = AwsSession(AwsSettings(region="eu-west-1", skip_metadata_api_check=True))._resolver()
    assert "iam-role" not in [provider.METHOD for provider in skipped.providers]


def test_s3_of_the_deletion_guard() -> None:
    """Its two keys, as botocore has them in the client."""
    settings = AwsSettings(
        region="us-east-1",
        access_key="A",
        secret_key="S",
        s3_use_path_style=True,
        s3_us_east1_regional_endpoint="legacy",
    )
    config = boto3_session(settings).client("s3").meta.config.s3
    assert config["addressing_style"] == "path"
    assert config["us_east_1_regional_endpoint"] == "legacy"


# Accounts


def test_an_account_that_is_not_allowed_is_not_touched(standin: Standin) -> None:
    """No call but the question whose credentials they are, and that once."""
    athena = athena_of(standin, KEYS | {"aws:allowedAccountIds": '["999999999999"]'})
    for call in (
        lambda: athena.start_session({"WorkGroup": "spark"}, "0" * 32),
        lambda: athena.terminate_session("s"),
        lambda: athena.tag_resource("arn", {"a": "b"}),
        lambda: athena.get_session("s"),
    ):
        with pytest.raises(errors.AccountNotAllowedError, match=f"account {ACCOUNT}, because"):
            call()
    assert standin.operations() == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ({"aws:allowedAccountIds": f'["{ACCOUNT}"]'}, True),
        ({"aws:forbiddenAccountIds": f'["{ACCOUNT}"]'}, False),
        ({"aws:forbiddenAccountIds": '["999999999999"]'}, True),
        (
            {
                "aws:allowedAccountIds": f'["{ACCOUNT}"]',
                "aws:forbiddenAccountIds": f'["{ACCOUNT}"]',
            },
            False,
        ),
        # The account of the role counts, not that of the keys.
        (
            {
                "aws:allowedAccountIds": f'["{ACCOUNT}"]',
                "aws:assumeRoles": json.dumps([{"roleArn": ROLE}]),
            },
            False,
        ),
        (
            {
                "aws:allowedAccountIds": '["222222222222"]',
                "aws:assumeRoles": json.dumps([{"roleArn": ROLE}]),
            },
            True,
        ),
    ],
)
def test_allowed_and_forbidden_accounts(
    standin: Standin, config: dict[str, str], *, allowed: bool
) -> None:
    """Forbidden wins, and what is not in a list of allowed ones is not allowed."""
    athena = athena_of(standin, KEYS | config)
    if allowed:
        athena.list_sessions("spark")
    else:
        with pytest.raises(errors.AccountNotAllowedError):
            athena.list_sessions("spark")
    assert ("ListSessions" in standin.operations()) is allowed


def test_an_account_that_cannot_be_found_out_is_not_allowed(standin: Standin) -> None:
    """Without restrictions it is only unknown."""
    standin.refusals["GetCallerIdentity"] = (403, "AccessDenied", "by a service control policy")
    assert athena_of(standin, KEYS).account_id is None
    athena = athena_of(standin, KEYS | {"aws:forbiddenAccountIds": '["999999999999"]'})
    with pytest.raises(errors.AccountNotAllowedError, match="by a service control policy"):
        athena.start_session({"WorkGroup": "spark"}, "0" * 32)
    assert "StartSession" not in standin.operations()


def test_an_account_that_a_profile_claims_is_no_proof(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STS is asked."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "e")
    monkeypatch.setenv("AWS_ACCOUNT_ID", "999999999999")
    athena = athena_of(standin, {"aws:allowedAccountIds": '["999999999999"]'})
    with pytest.raises(errors.AccountNotAllowedError, match=ACCOUNT):
        athena.list_sessions("spark")


def test_the_account_is_not_asked_for_where_that_is_skipped(standin: Standin) -> None:
    """The outputs arn and account_id stay empty."""
    athena = athena_of(standin, KEYS | {"aws:skipRequestingAccountId": "true"})
    assert athena.account_id is None
    assert standin.calls == []


# Nothing waits for a person


def test_a_role_with_mfa_is_refused_at_once(standin: Standin, tmp_path: Path) -> None:
    """And the second call says the same."""
    write(
        tmp_path / ".aws" / "config",
        f"[profile careful]\nrole_arn = {ROLE}\nsource_profile = base\n"
        "mfa_serial = arn:aws:iam::222222222222:mfa/me\n",
    )
    write(
        tmp_path / ".aws" / "credentials",
        "[base]\naws_access_key_id = BASE\naws_secret_access_key = b\n",
    )
    athena = athena_of(standin, {"aws:profile": "careful"})
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(errors.CredentialsError, match=r"careful.*export-credentials"):
            athena.list_sessions("spark")
    assert time.monotonic() - started < 5
    assert standin.calls == []


SSO = """
[profile sso]
sso_session = corp
sso_account_id = 222222222222
sso_role_name = dev
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
[profile old]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
sso_account_id = 222222222222
sso_role_name = dev
"""


@pytest.mark.parametrize("profile", ["sso", "old"])
def test_sso_without_a_login(standin: Standin, tmp_path: Path, profile: str) -> None:
    """The command to run, with the profile."""
    write(tmp_path / ".aws" / "config", SSO)
    with pytest.raises(errors.CredentialsError, match=f"Run `aws sso login --profile {profile}`"):
        athena_of(standin, {"aws:profile": profile}).list_sessions("spark")


EXPIRED = json.dumps(
    {
        "Version": 1,
        "AccessKeyId": "A",
        "SecretAccessKey": "hidden-secret",
        "Expiration": "2020-01-01T00:00:00Z",
    }
)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("input('MFA code: ')", "credential_process|custom-process"),
        ("import getpass; getpass.getpass()", "custom-process"),
        ("open('/dev/tty').read()", "custom-process"),
        ("print('no json, hidden-secret')", "is broken .JSONDecodeError"),
        ("print('[]')", "is broken .AttributeError"),
        ("print('{\"Version\": 2}')", "Unsupported version"),
        ("import sys; sys.exit('log in first')", "log in first"),
        (f"print({EXPIRED!r})", "is broken .RuntimeError"),
    ],
)  # fmt: skip
def test_a_credential_process_that_fails(
    standin: Standin, tmp_path: Path, code: str, message: str
) -> None:
    """There is no terminal and no input, and what it prints is not shown."""
    script = write(tmp_path / "process.py", code)
    write(
        tmp_path / ".aws" / "config", f"[profile p]\ncredential_process = {sys.executable} {script}"
    )
    with pytest.raises(errors.CredentialsError, match=message) as caught:
        athena_of(standin, {"aws:profile": "p"}).list_sessions("spark")
    assert "hidden-secret" not in str(caught.value)


def test_a_credential_process_that_is_not_there(standin: Standin, tmp_path: Path) -> None:
    """A sentence as well."""
    write(tmp_path / ".aws" / "config", "[profile p]\ncredential_process = /nonexistent/x\n")
    with pytest.raises(errors.CredentialsError, match=r"is broken \(FileNotFoundError"):
        athena_of(standin, {"aws:profile": "p"}).list_sessions("spark")


WAITS = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"


@pytest.mark.parametrize("through", ["p", "role"])
def test_a_credential_process_is_bounded_and_ended(
    standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    """That of a source profile too."""
    script = write(tmp_path / "process.py", WAITS)
    pid = tmp_path / "pid"
    write(
        tmp_path / ".aws" / "config",
        f"[profile p]\ncredential_process = {sys.executable} {script} {pid}\n"
        f"[profile role]\nrole_arn = {ROLE}\nsource_profile = p\n",
    )
    monkeypatch.setattr(credentials, "PROCESS_SECONDS", 1.0)
    with pytest.raises(errors.CredentialsError, match="gave no answer within 1 seconds"):
        athena_of(standin, {"aws:profile": through}).list_sessions("spark")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_ctrl_c_ends_a_credential_process(standin: Standin, tmp_path: Path) -> None:
    """Within two seconds, and the process too."""
    script = write(tmp_path / "process.py", WAITS)
    pid = tmp_path / "pid"
    write(
        tmp_path / ".aws" / "config",
        f"[profile p]\ncredential_process = {sys.executable} {script} {pid}\n",
    )
    cancelled = threading.Event()
    athena = athena_of(standin, {"aws:profile": "p"}, cancelled)
    threading.Timer(0.5, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(errors.CancelledError):
        athena.list_sessions("spark")
    assert time.monotonic() - started < 2.5


def test_ctrl_c_ends_the_wait_for_sts(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all threads that wait for the same credentials; they come only once for all."""
    assert background.GRACE_SECONDS + 2 * background._SLICE_SECONDS < 2
    monkeypatch.setattr(background, "GRACE_SECONDS", 0.5)
    standin.hold = threading.Event()
    cancelled = threading.Event()
    config = KEYS | {"aws:assumeRole": json.dumps({"roleArn": ROLE})}
    athena = athena_of(standin, config, cancelled)
    ended: list[float] = []

    def call() -> None:
        with pytest.raises(errors.CancelledError):
            athena.list_sessions("spark")
        ended.append(time.monotonic())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    cancelled.set()
    at = time.monotonic()
    for thread in threads:
        thread.join(10)
    assert len(ended) == 8
    assert max(ended) - at < 2
    assert len(standin.calls) <= 1


def test_ctrl_c_ends_the_wait_for_an_answer_that_is_only_read(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not for that of a call which changes something: its session would be lost."""
    monkeypatch.setattr(background, "GRACE_SECONDS", 0.3)
    cancelled = threading.Event()
    athena = athena_of(standin, KEYS, cancelled)
    athena.list_sessions("spark")
    standin.hold_athena = threading.Event()
    cancelled.set()
    started = time.monotonic()
    with pytest.raises(errors.CancelledError):
        athena.list_sessions("spark")
    assert time.monotonic() - started < 2
    threading.Timer(1.0, standin.hold_athena.set).start()
    request = {"WorkGroup": "spark", "EngineConfiguration": {}}
    assert athena.start_session(request, "0" * 32).session_id == "s"


def test_after_ctrl_c_a_session_can_still_be_ended(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is time for credentials that come at once: a session that was just started is ended."""
    monkeypatch.setattr(background, "GRACE_SECONDS", 30.0)  # of a busy machine
    cancelled = threading.Event()
    cancelled.set()
    config = KEYS | {"aws:assumeRole": json.dumps({"roleArn": ROLE})}
    athena_of(standin, config, cancelled).terminate_session("s")
    assert standin.operations() == ["AssumeRole", "TerminateSession"]


def test_late_credentials_are_a_sentence(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not a wait without end."""
    monkeypatch.setattr(credentials, "CREDENTIALS_SECONDS", 0.2)
    standin.hold = threading.Event()
    config = KEYS | {"aws:assumeRole": json.dumps({"roleArn": ROLE})}
    with pytest.raises(errors.CredentialsError, match=r"were not there after 0\.2 seconds"):
        athena_of(standin, config).list_sessions("spark")


def test_credentials_that_expire_are_renewed(standin: Standin) -> None:
    """Before the call that needs them, where it can be cancelled."""
    config = KEYS | {"aws:assumeRole": json.dumps({"roleArn": ROLE})}
    athena = athena_of(standin, config)
    athena.list_sessions("spark")
    athena.list_sessions("spark")
    quarter = dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=15)
    standin.expiration = quarter.isoformat()
    athena = athena_of(standin, config)
    athena.list_sessions("spark")
    athena.list_sessions("spark")
    assert standin.operations() == ["AssumeRole", "ListSessions", "ListSessions"] * 2
    standin.calls.clear()
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=1)
    standin.expiration = soon.isoformat()
    athena = athena_of(standin, config)
    athena.list_sessions("spark")
    standin.expiration = "2099-01-01T00:00:00Z"
    athena.list_sessions("spark")
    athena.list_sessions("spark")
    assert standin.operations() == [
        *("AssumeRole", "AssumeRole", "ListSessions"),  # and once more while it is signed
        *("AssumeRole", "ListSessions"),
        "ListSessions",
    ]


def test_each_thread_has_an_error_of_its_own() -> None:
    """It is told what became of its own session."""
    flight: background.SingleFlight[None] = background.SingleFlight()
    go = threading.Event()

    def work() -> None:
        go.wait(10)
        raise errors.MissingCredentialsError("eu-west-1", "none")

    caught: list[errors.AthenaSessionError] = []

    def call() -> None:
        with pytest.raises(errors.MissingCredentialsError) as raised:
            flight.run(work, seconds=10, late=TimeoutError)
        raised.value.outcome = f"{len(caught)}"
        caught.append(raised.value)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    go.set()
    for thread in threads:
        thread.join(10)
    assert len({id(error) for error in caught}) == 4
    assert all("No usable AWS credentials for region eu-west-1" in str(error) for error in caught)


# Refusals of STS


def test_a_role_that_may_not_be_assumed(standin: Standin, caplog: pytest.LogCaptureFixture) -> None:
    """Which role, who, why, and what to do; no key in it, and nothing printed besides."""
    message = (
        f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized to perform: sts:AssumeRole on "
        f"resource: {ROLE}"
    )
    standin.refusals["AssumeRole"] = (403, "AccessDenied", message)
    config = KEYS | {"aws:assumeRole": json.dumps({"roleArn": ROLE})}
    with caplog.at_level(logging.CRITICAL), pytest.raises(errors.CredentialsError) as caught:
        athena_of(standin, config).start_session({"WorkGroup": "spark"}, "0" * 32)
    text = str(caught.value)
    for part in (f"AssumeRole for role {ROLE}", message, "from aws:accessKey", "trust policy"):
        assert part in text
    assert "hidden-secret" not in text
    assert len(standin.calls) == 1


def test_a_throttled_sts_is_worth_repeating(standin: Standin) -> None:
    """The caller waits, as for a throttled Athena."""
    standin.refusals["AssumeRole"] = (400, "Throttling", "Rate exceeded")
    config = KEYS | {"aws:assumeRole": json.dumps({"roleArn": ROLE}), "aws:maxRetries": "1"}
    with pytest.raises(errors.ThrottledError):
        athena_of(standin, config).list_sessions("spark")


def test_what_sts_repeats_of_a_request_is_not_shown(standin: Standin) -> None:
    """The answer to a wrong signature has the session token in it."""
    message = (
        "The request signature does not match.\n\nThe Canonical String for this request should "
        "have been\n'POST\n/\nx-amz-security-token:hidden-token\n'"
    )
    standin.refusals["ListSessions"] = (403, "InvalidSignatureException", message)
    with pytest.raises(errors.ExpiredCredentialsError) as caught:
        athena_of(standin, KEYS).list_sessions("spark")
    assert "does not match" in str(caught.value)
    assert "hidden-token" not in str(caught.value)


def test_a_web_identity_file_that_is_missing(standin: Standin) -> None:
    """Before any call."""
    web = {"roleArn": ROLE, "webIdentityTokenFile": "/nonexistent/token"}
    with pytest.raises(errors.CredentialsError, match="cannot be read from the file /nonexistent"):
        athena_of(standin, {"aws:assumeRoleWithWebIdentity": json.dumps(web)}).list_sessions("s")
    with pytest.raises(errors.ConfigurationError, match="needs a roleArn"):
        athena_of(standin, {"aws:assumeRoleWithWebIdentity": "{}"}).list_sessions("s")


def test_the_private_parts_of_botocore_are_there() -> None:
    """What `AwsSession` replaces; a botocore without them is refused, and does not ask a person."""
    session = AwsSession(AwsSettings(region="eu-west-1"))
    provider = session._resolver().get_provider("assume-role")
    assert provider._prompter == session._refuse_to_prompt
    assert isinstance(provider._profile_provider_builder, boto_credentials.ProfileProviderBuilder)
    for name in ("process", "shared_credential", "config"):
        assert hasattr(boto_credentials.ProfileProviderBuilder, f"_create_{name}_provider")


def test_a_botocore_without_the_private_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence."""

    class Bare(boto_credentials.CredentialProvider):
        METHOD = "assume-role"

    def resolver(*_: Any, **__: Any) -> Any:
        return boto_credentials.CredentialResolver([Bare()])

    monkeypatch.setattr(boto_credentials, "create_credential_resolver", resolver)
    with pytest.raises(errors.ConfigurationError, match="botocore is too new"):
        AwsSession(AwsSettings(region="eu-west-1"))._resolver()


def test_shared_clients_are_found_by_their_settings() -> None:
    """Whatever they have."""
    config = {"aws:region": "eu-west-1", "aws:assumeRoles": json.dumps([{"roleArn": ROLE}]), **KEYS}
    assert shared_athena(aws_settings(config)) is shared_athena(aws_settings(dict(config)))
