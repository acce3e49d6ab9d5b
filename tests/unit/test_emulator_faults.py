"""What a test orders to go wrong goes wrong, at the calls that it said."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from athena_session_provider.emulator import KINDS, VARIANTS, Emulator, EmulatorError, messages

START = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 4}}
TOKEN = "t" * 32


def client(emulator: Emulator, service: str = "athena", **config: Any) -> Any:
    """Return a client that tries once, as far as the configuration does not differ."""
    connect: Any = boto3.client  # its overloads take literal names only
    return connect(
        service,
        endpoint_url=emulator.url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
    )


@pytest.fixture
def athena(emulator: Emulator) -> Any:
    """Return a client of it."""
    return client(emulator)


def refused(emulator: Emulator, athena: Any) -> dict[str, Any]:
    """Return the answer to a StartSession that must fail without having acted."""
    with pytest.raises(ClientError) as caught:
        athena.start_session(**START)
    assert emulator.sessions() == []
    call = emulator.calls()[-1]
    assert call.status == caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert call.error_code == caught.value.response["Error"]["Code"]
    return dict(caught.value.response)


@pytest.mark.parametrize(
    ("kind", "acts"), [("drop-before", False), ("drop-after", True), ("reset", False)]
)
def test_a_connection_is_dropped(emulator: Emulator, athena: Any, kind: str, *, acts: bool) -> None:
    """Before or after the service acted; the client cannot tell which."""
    emulator.inject("StartSession", kind)
    with pytest.raises((ConnectionClosedError, EndpointConnectionError, HTTPClientError)):
        athena.start_session(**START)
    assert len(emulator.sessions()) == acts
    (call,) = emulator.calls()
    assert (call.status, call.error_code, call.created_session) == (None, None, acts)
    assert (call.session_id is not None) == acts
    athena.start_session(**START)


def test_a_reset_is_a_reset(emulator: Emulator) -> None:
    """On the wire: RST, where a drop is an orderly end."""
    request = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonAthena.StartSession\r\n"
        b"Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/eu-west-1/athena/aws4_request\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    host, port = emulator.url.removeprefix("http://").split(":")
    for kind in ("reset", "drop-before"):
        emulator.inject("StartSession", kind)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(request)
            if kind == "reset":
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
            else:
                assert connection.recv(1) == b""


def test_a_resent_request_without_a_token_starts_a_second_session(
    emulator: Emulator, athena: Any
) -> None:
    """And with one it does not: the defect that the provider is about."""
    retrying = client(emulator, retries={"mode": "standard", "total_max_attempts": 2})
    emulator.inject("StartSession", "drop-after")
    retrying.start_session(**START)
    assert len(emulator.live_sessions()) == 2
    emulator.inject("StartSession", "drop-after")
    session_id = retrying.start_session(**START, ClientRequestToken=TOKEN)["SessionId"]
    assert len(emulator.live_sessions()) == 3
    assert athena.get_session(SessionId=session_id)


def test_throttle(emulator: Emulator, athena: Any) -> None:
    """With the code common to all services, or the one of the model."""
    for code in VARIANTS["throttling_code"]:
        emulator.update_settings(throttling_code=code)
        emulator.inject("StartSession", "throttle")
        answer = refused(emulator, athena)
        assert answer["Error"] == {"Code": code, "Message": messages.THROTTLED}
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    emulator.update_settings(throttling_code="ThrottlingException")
    emulator.inject("ListSessions", "throttle")
    with pytest.raises(ClientError, match="ThrottlingException"):
        athena.list_sessions(WorkGroup="spark")


def test_an_error_is_a_500_unless_said_otherwise(emulator: Emulator, athena: Any) -> None:
    """Code, message and status are free."""
    emulator.inject("StartSession", "error")
    answer = refused(emulator, athena)
    assert answer["Error"]["Code"] == "InternalServerException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500
    emulator.inject("StartSession", "error", code="InvalidRequestException", message="no")
    answer = refused(emulator, athena)
    assert answer["Error"] == {"Code": "InvalidRequestException", "Message": "no"}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    emulator.inject("StartSession", "error", code="Odd", status=418)
    assert refused(emulator, athena)["ResponseMetadata"]["HTTPStatusCode"] == 418


def test_an_error_after_acting(emulator: Emulator, athena: Any) -> None:
    """The session runs, and the client reads of a failure."""
    emulator.inject("StartSession", "error-after")
    with pytest.raises(ClientError, match="InternalServerException"):
        athena.start_session(**START)
    (call,) = emulator.calls()
    assert (call.status, call.created_session) == (500, True)
    assert call.session_id == emulator.live_sessions()[0].session_id


def test_access_denied(emulator: Emulator, athena: Any) -> None:
    """In the short form, or the one that names who, what and on what."""
    emulator.inject("StartSession", "access-denied")
    answer = refused(emulator, athena)
    assert answer["Error"]["Code"] == "AccessDeniedException"
    assert answer["Error"]["Message"] == messages.NOT_AUTHORIZED.format(
        action="athena:StartSession"
    )
    emulator.update_settings(access_denied_text="long")
    emulator.inject("StartSession", "access-denied")
    message = refused(emulator, athena)["Error"]["Message"]
    assert message.startswith("User: arn:aws:iam::123456789012:user/")
    assert "is not authorized to perform: athena:StartSession on resource: " in message
    assert "arn:aws:athena:eu-west-1:123456789012:workgroup/spark" in message
    session_id = athena.start_session(**START)["SessionId"]
    emulator.inject("GetSession", "access-denied")
    with pytest.raises(ClientError, match=r"athena:GetSession on resource: .*workgroup/spark"):
        athena.get_session(SessionId=session_id)


def test_expired_token(emulator: Emulator, athena: Any) -> None:
    """As when an assumed role's time is over."""
    emulator.inject("StartSession", "expired-token")
    answer = refused(emulator, athena)
    assert answer["Error"]["Code"] == "ExpiredTokenException"


def test_a_start_that_fails(emulator: Emulator, athena: Any) -> None:
    """CREATING, then FAILED with the reason; StartSession itself succeeds."""
    emulator.update_settings(start_seconds=10.0)
    emulator.inject("StartSession", "fail-start", message="no executors")
    session_id = athena.start_session(**START)["SessionId"]
    assert athena.get_session_status(SessionId=session_id)["Status"]["State"] == "CREATING"
    emulator.advance(10.0)
    failed = athena.get_session_status(SessionId=session_id)["Status"]
    assert (failed["State"], failed["StateChangeReason"]) == ("FAILED", "no executors")


@pytest.mark.parametrize("kind", ["slow", "slow-after"])
def test_a_slow_call(emulator: Emulator, athena: Any, kind: str) -> None:
    """Is answered, but later."""
    emulator.inject("StartSession", kind, seconds=0.2)
    begun = time.monotonic()
    athena.start_session(**START)
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize(("kind", "acted"), [("slow", 0), ("slow-after", 1)])
def test_slower_than_the_read_timeout(emulator: Emulator, kind: str, acted: int) -> None:
    """Whether the service has acted when the client gives up is in the kind."""
    emulator.inject("StartSession", kind, seconds=1.0)
    with pytest.raises(ReadTimeoutError):
        client(emulator, read_timeout=0.2).start_session(**START)
    assert len(emulator.sessions()) == acted


def test_a_slow_call_does_not_outlive_the_emulator() -> None:
    """Nor does it hold up its end."""
    begun, before = time.monotonic(), set(threading.enumerate())
    with Emulator() as emulator:
        emulator.inject("StartSession", "slow", seconds=60.0)
        with pytest.raises(ReadTimeoutError):
            client(emulator, read_timeout=0.1).start_session(**START)
        ours = set(threading.enumerate()) - before
    for thread in ours:
        thread.join(timeout=5)
    assert not [thread for thread in ours if thread.is_alive()]
    assert time.monotonic() - begun < 10


def test_times_and_after(emulator: Emulator, athena: Any) -> None:
    """A fault lets `after` calls pass, then happens `times` times."""
    emulator.inject("ListSessions", "throttle", times=2, after=1)
    codes = []
    for _ in range(5):
        try:
            athena.list_sessions(WorkGroup="spark")
            codes.append(200)
        except ClientError:
            codes.append(400)
    assert codes == [200, 400, 400, 200, 200]
    assert emulator.faults()[0]["fired"] == 2


def test_faults_queue_up(emulator: Emulator, athena: Any) -> None:
    """One for each call, in the order in which they were ordered."""
    emulator.inject("ListSessions", "error", code="First")
    emulator.inject("ListSessions", "error", code="Second")
    for code in ("First", "Second"):
        with pytest.raises(ClientError, match=code):
            athena.list_sessions(WorkGroup="spark")
    athena.list_sessions(WorkGroup="spark")


def test_always_any_and_clear(emulator: Emulator, athena: Any) -> None:
    """times=None has no end but clear_faults, and "*" spares no operation."""
    session_id = athena.start_session(**START)["SessionId"]
    emulator.inject("*", "throttle", times=None)
    for _ in range(2):
        for call in (athena.get_session, athena.terminate_session):
            with pytest.raises(ClientError, match="ThrottlingException"):
                call(SessionId=session_id)
    with pytest.raises(ClientError, match="ThrottlingException"):
        athena.list_data_catalogs()
    assert len(emulator.live_sessions()) == 1
    emulator.clear_faults()
    athena.get_session(SessionId=session_id)


def test_one_session_alone(emulator: Emulator, athena: Any) -> None:
    """Calls that name it, by its id or its ARN."""
    one, other = (athena.start_session(**START)["SessionId"] for _ in range(2))
    emulator.inject("*", "throttle", times=None, session_id=one)
    athena.get_session(SessionId=other)
    with pytest.raises(ClientError, match="Throttling"):
        athena.get_session(SessionId=one)
    with pytest.raises(ClientError, match="Throttling"):
        athena.list_tags_for_resource(
            ResourceARN=f"arn:aws:athena:eu-west-1:123456789012:workgroup/spark/session/{one}"
        )
    athena.list_sessions(WorkGroup="spark")


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "Throttling", 400),
        ("access-denied", "AccessDenied", 403),
        ("expired-token", "ExpiredToken", 403),
        ("error", "InternalFailure", 500),
    ],
)
def test_sts_fails_in_its_own_protocol(
    emulator: Emulator, kind: str, code: str, status: int
) -> None:
    """XML, with the codes that STS uses."""
    emulator.inject("GetCallerIdentity", kind)
    with pytest.raises(ClientError) as caught:
        client(emulator, "sts").get_caller_identity()
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    call = emulator.calls()[-1]
    assert (call.service, call.status, call.error_code) == ("sts", status, code)


def test_what_moto_answers_can_be_lost_too(emulator: Emulator, athena: Any) -> None:
    """After it has acted."""
    emulator.inject("CreateDataCatalog", "drop-after")
    with pytest.raises(ConnectionClosedError):
        athena.create_data_catalog(Name="cat", Type="GLUE")
    assert athena.get_data_catalog(Name="cat")["DataCatalog"]["Name"] == "cat"


@pytest.mark.parametrize(
    ("operation", "kind", "options"),
    [
        ("StartSesion", "throttle", {}),
        ("StartSession", "throtle", {}),
        ("GetSession", "fail-start", {}),
        ("GetSession", "throttle", {"times": 0}),
        ("GetSession", "throttle", {"after": -1}),
    ],
)
def test_a_fault_that_never_fires_is_refused(
    emulator: Emulator, operation: str, kind: str, options: dict[str, Any]
) -> None:
    """A test with a misspelt fault would pass for the wrong reason."""
    with pytest.raises(EmulatorError):
        emulator.inject(operation, kind, **options)
    assert emulator.faults() == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_leaves_the_emulator_working(emulator: Emulator, athena: Any, kind: str) -> None:
    """The next call is answered as if nothing had been."""
    emulator.inject("StartSession", kind)
    with contextlib.suppress(ClientError, HTTPClientError, ConnectionClosedError):
        athena.start_session(**START)
    assert athena.start_session(**START)["State"] == "CREATING"
