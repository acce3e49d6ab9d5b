"""The client against the emulator: what is sent, and how each error reads."""

from __future__ import annotations

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from athena_session_provider.service import errors
from athena_session_provider.service.api import _partition, session_arn
from athena_session_provider.service.boto import (
    BotoAthena,
    session_status,
    shared_athena,
)
from athena_session_provider.service.boto_errors import service_error
from athena_session_provider.service.request import service_model
from athena_session_provider.service.settings import AwsSettings, aws_settings
from athena_session_provider.service.token import Identity, client_request_token

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

REQUEST: dict[str, Any] = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 4}}
TOKEN = client_request_token(Identity("urn"), REQUEST, 0)


def client_of(emulator: Emulator, **settings: Any) -> BotoAthena:
    return BotoAthena(
        AwsSettings(
            **{
                "region": "eu-west-1",
                "access_key": "AK",
                "secret_key": "SK",
                "endpoints": (("athena", emulator.url),),
                **settings,
            }
        )
    )


@pytest.fixture
def athena(emulator: Emulator) -> BotoAthena:
    return client_of(emulator)


def test_a_session_from_start_to_end(athena: BotoAthena) -> None:
    """Every operation, on a real wire."""
    request = {**REQUEST, "SessionIdleTimeoutInMinutes": 30, "Description": "mine"}
    started = athena.start_session(request, TOKEN)
    assert started.answered_at is not None
    assert abs(started.answered_at - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=1)
    session_id = started.session_id
    assert athena.get_session_status(session_id).state == "IDLE"
    details = athena.get_session(session_id)
    assert details.work_group == "spark"
    assert details.engine_version == "PySpark engine version 3"
    assert details.arguments["engine_configuration"] == {"max_concurrent_dpus": 4}
    assert details.arguments["session_idle_timeout_in_minutes"] == 30
    assert details.arguments["description"] == "mine"
    assert [status.session_id for status in athena.list_sessions("spark")] == [session_id]
    arn = session_arn(athena, "spark", session_id)
    assert arn is not None
    athena.tag_resource(arn, {"a": "1", "b": "2"})
    athena.untag_resource(arn, ["a"])
    assert athena.list_tags(arn) == {"b": "2"}
    athena.terminate_session(session_id)
    assert athena.get_session_status(session_id).state == "TERMINATED"
    assert athena.list_sessions("spark") == []


def test_the_listing_reads_every_page(athena: BotoAthena) -> None:
    """A page has a hundred sessions at the most."""
    for number in range(103):
        athena.start_session(REQUEST, f"{number:032}")
    assert len({status.session_id for status in athena.list_sessions("spark")}) == 103
    assert len(athena.list_sessions("spark", at_most=100)) == 100
    assert len(athena.list_sessions("spark", at_most=101)) == 103


def test_the_endpoints_are_read_once_for_all_threads(athena: BotoAthena) -> None:
    """Sixty-four sessions that become ready together would each read them for their ARN."""
    _partition.cache_clear()
    together = threading.Barrier(8)

    def arn(_number: int) -> str | None:
        together.wait()
        return session_arn(athena, "spark", "s")

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(arn, range(8)))) == 1
    assert _partition.cache_info().misses == 1


def test_a_lost_answer_is_asked_for_again_with_the_token(
    emulator: Emulator, athena: BotoAthena
) -> None:
    """Botocore resends, and the service knows the token."""
    emulator.inject("StartSession", "drop-after")
    started = athena.start_session(REQUEST, TOKEN)
    assert [session.session_id for session in emulator.sessions()] == [started.session_id]
    assert len(emulator.calls("StartSession")) == 2


@pytest.mark.parametrize(
    ("work_group", "engine", "kind", "parts"),
    [
        ("nowhere", {}, errors.WorkGroupNotFoundError, ["work group nowhere", "list-work-groups"]),
        ("primary", {}, errors.NotASparkWorkGroupError, ["work group primary", "Apache Spark"]),
        (
            "spark",
            {"Classifications": [{"Name": "spark-defaults"}]},
            errors.InvalidRequestError,
            ["Correct the argument"],
        ),
        (
            "spark-35",
            {"MaxConcurrentDpus": 4, "CoordinatorDpuSize": 1},
            errors.InvalidRequestError,
            ["classifications"],
        ),
    ],
)
def test_refused_starts(
    athena: BotoAthena,
    work_group: str,
    engine: dict[str, Any],
    kind: type[errors.ServiceError],
    parts: list[str],
) -> None:
    """What was tried, where, what the service said, and what to do."""
    with pytest.raises(kind) as caught:
        athena.start_session({"WorkGroup": work_group, "EngineConfiguration": engine}, TOKEN)
    assert type(caught.value) is kind
    text = str(caught.value)
    for part in ["StartSession", "eu-west-1", "request id", caught.value.answer.code, *parts]:
        assert part in text


def test_a_token_with_other_parameters(athena: BotoAthena) -> None:
    """It cannot happen by the token rule; should it, the user can act."""
    athena.start_session(REQUEST, TOKEN)
    with pytest.raises(errors.TokenReusedError, match="triggers"):
        athena.start_session({**REQUEST, "Description": "other"}, TOKEN)


@pytest.mark.parametrize("code", ["InvalidRequestException", "ResourceNotFoundException"])
def test_an_unknown_session(emulator: Emulator, athena: BotoAthena, code: str) -> None:
    """The service may say it in two ways; a text that names a state is about a known session."""
    emulator.update_settings(unknown_session_error=code)
    for call in (athena.get_session, athena.get_session_status, athena.terminate_session):
        with pytest.raises(errors.SessionNotFoundError):
            call("12345678-1234-1234-1234-123456789012")
    emulator.inject(
        "GetSession",
        "error",
        code="InvalidRequestException",
        message="Session is in the BUSY state",
        status=400,
    )
    with pytest.raises(errors.InvalidRequestError):
        athena.get_session("12345678-1234-1234-1234-123456789012")


@pytest.mark.parametrize(
    ("fault", "kind", "part"),
    [
        ({"kind": "access-denied"}, errors.AccessDeniedError, "IAM action athena:StartSession"),
        ({"kind": "expired-token"}, errors.ExpiredCredentialsError, "aws sso login"),
        ({"kind": "throttle"}, errors.ThrottledError, "request rate"),
        ({"kind": "error"}, errors.InternalServiceError, "Run the command again"),
        ({"kind": "drop-before"}, errors.EndpointUnreachableError, "aws:endpoints"),
        (
            {"kind": "error", "code": "TooManyRequestsException", "status": 400,
             "message": "Maximum allowed sessions exceeded"},
            errors.QuotaExceededError,
            "Service Quotas",
        ),
        (
            {"kind": "error", "code": "InvalidRequestException", "status": 400,
             "message": "failed due to required capacity not being available"},
            errors.NoCapacityError,
            "fewer DPUs",
        ),
    ],
)  # fmt: skip
def test_faults(
    emulator: Emulator,
    athena: BotoAthena,
    fault: dict[str, Any],
    kind: type[errors.AthenaSessionError],
    part: str,
) -> None:
    """Each has its class, and says what to do."""
    emulator.inject("StartSession", times=None, **fault)
    with pytest.raises(kind, match=part) as caught:
        athena.start_session(REQUEST, TOKEN)
    assert type(caught.value) is kind


@pytest.mark.parametrize("missing", ["EndpointUrl", "AuthToken", "AuthTokenExpirationTime"])
def test_an_endpoint_may_come_without_some_members(
    athena: BotoAthena, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The model requires every member; a client can connect with an address and a token."""
    answer = {
        "EndpointUrl": "https://a.example",
        "AuthToken": "secret",
        "AuthTokenExpirationTime": dt.datetime.now(dt.timezone.utc),
    }
    del answer[missing]
    monkeypatch.setattr(athena, "_call", lambda *_, **__: answer)
    endpoint = athena.get_session_endpoint("s")
    assert endpoint.ready is (missing == "AuthTokenExpirationTime")
    assert "secret" not in repr(endpoint)


def test_an_endpoint_that_is_not_there(emulator: Emulator) -> None:
    """Nothing was sent, so nothing can have been done."""
    athena = client_of(emulator, endpoints=(("athena", "http://127.0.0.1:9"),))
    with pytest.raises(errors.EndpointUnreachableError, match=r"http://127\.0\.0\.1:9") as caught:
        athena.get_session("x")
    assert caught.value.may_have_acted is False


def test_missing_credentials(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the keys to set."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    athena = client_of(emulator, access_key=None, secret_key=None)
    with pytest.raises(errors.MissingCredentialsError, match="aws:profile"):
        athena.get_session("x")


def test_every_error_of_the_model_has_a_class() -> None:
    """An exception that the API gets is mapped here, or this test tells."""
    model = service_model()
    operations = ["StartSession", "GetSession", "GetSessionStatus", "ListSessions"]
    operations += ["TerminateSession", "TagResource", "UntagResource", "ListTagsForResource"]
    codes = {
        shape.name for name in operations for shape in model.operation_model(name).error_shapes
    }
    for code in codes:
        response: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {}}
        error = service_error(ClientError(response, "StartSession"), "StartSession", "r", "s")
        assert type(error) is not errors.ServiceError, code


def test_a_state_that_is_not_known_fails_at_once() -> None:
    """It is not polled until the deadline."""
    with pytest.raises(errors.UnexpectedStateError, match="HIBERNATING"):
        session_status("s", {"State": "HIBERNATING"})


def test_one_client_serves_all_threads() -> None:
    """Equal settings give the same client."""
    settings = AwsSettings(region="eu-west-1", access_key="AK", secret_key="SK")
    assert shared_athena(settings) is shared_athena(AwsSettings(**vars_of(settings)))


def vars_of(settings: AwsSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_roles_are_assumed_one_after_the_other(emulator: Emulator) -> None:
    """Calls are made as the last role; STS is asked at Athena's endpoint where it has none."""
    roles = [f"arn:aws:iam::{account}:role/r" for account in ("123456789012", "210987654321")]
    settings = aws_settings(
        {
            "aws:region": "eu-west-1",
            "aws:accessKey": "AK",
            "aws:secretKey": "SK",
            "aws:endpoints": f'[{{"athena": "{emulator.url}"}}]',
            "aws:assumeRoles": json.dumps([{"roleArn": role} for role in roles]),
        }
    )
    athena = BotoAthena(settings)
    assert athena.account_id == "210987654321"
    athena.start_session(REQUEST, TOKEN)
    (call,) = emulator.calls("StartSession")
    assert call.access_key_id.startswith("ASIA")


def test_credentials_are_not_in_the_settings_text() -> None:
    """They would end up in tracebacks."""
    settings = AwsSettings(access_key="AKIA", secret_key="hidden", token="hidden", profile="p")
    assert "hidden" not in repr(settings)
    assert "AKIA" not in repr(settings)
