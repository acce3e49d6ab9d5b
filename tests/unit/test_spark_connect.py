"""Spark Connect URLs and clients, without Spark: tests/engine/test_spark.py has the real thing."""

from __future__ import annotations

import datetime as dt
import logging
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import boto3
import grpc
import pytest

from athena_session_provider.service import errors, spark_connect
from athena_session_provider.service.api import Athena, SessionEndpoint, SessionStatus
from athena_session_provider.service.spark_channel import HEADER, with_tokens
from athena_session_provider.service.spark_connect import (
    EndpointTokens,
    check_client,
    connect_url,
    host_and_port,
    wait_for_endpoint,
)
from athena_session_provider.service.states import SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from athena_session_provider.emulator import Emulator

REGION = "eu-west-1"
URL = "https://s-1.example"
# What base64, JSON web tokens and URLs may contain.
TOKENS = ["a=b", "a==", "a/b", "a;b=c", "a#b", "a?b", "a%2Fb", "a&b", "a+b", "a b", "a:b@c", "é"]


class FakeClock:
    """A time that moves by sleeping alone."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeAthena:
    """The two operations that a client needs; each answer of the endpoint is given once."""

    region = REGION

    def __init__(self, clock: FakeClock, *answers: SessionEndpoint | Exception) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.asked = 0
        self.state = SessionState.IDLE

    def get_session_endpoint(self, _: str) -> SessionEndpoint:
        self.asked += 1
        answer = self._answers.pop(0) if self._answers else self.endpoint(f"token-{self.asked}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get_session_status(self, session_id: str) -> SessionStatus:
        return SessionStatus(session_id, self.state, "Session was terminated per request")

    def endpoint(self, token: str, seconds: float = 1800.0) -> SessionEndpoint:
        expires_at = dt.datetime.fromtimestamp(self._clock.now() + seconds, dt.timezone.utc)
        return SessionEndpoint(URL, token, expires_at)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def athena(clock: FakeClock) -> FakeAthena:
    return FakeAthena(clock)


def tokens_of(athena: FakeAthena, clock: FakeClock) -> EndpointTokens:
    return EndpointTokens(cast("Athena", athena), "s-1", now=clock.now, sleep=clock.sleep)


def refused(message: str) -> errors.InvalidRequestError:
    answer = errors.ServiceAnswer(
        "GetSessionEndpoint", REGION, "session s-1", "InvalidRequestException", message, ""
    )
    return errors.InvalidRequestError(answer)


def start(emulator: Emulator, **request: Any) -> str:
    athena = boto3.client(
        "athena",
        region_name=REGION,
        endpoint_url=emulator.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    return athena.start_session(**request)["SessionId"]


def arguments(emulator: Emulator) -> dict[str, Any]:
    return {
        "region": REGION,
        "access_key": "testing",
        "secret_key": "testing",
        "endpoint_url": emulator.url,
    }


@pytest.fixture
def session_id(emulator: Emulator) -> str:
    return start(emulator, WorkGroup="spark-35", EngineConfiguration={})


# -- the URL ------------------------------------------------------------------------------------


def test_the_url_is_what_amazons_client_makes(emulator: Emulator, session_id: str) -> None:
    """Host and port come from the service; the token goes into the metadata of each request."""
    revealed = spark_connect.connect_url(session_id, **arguments(emulator)).reveal()
    address, _, parameters = revealed.partition("/;")
    assert address.startswith("sc://127.0.0.1:")
    metadata = dict(pair.split("=", 1) for pair in parameters.split(";"))
    assert metadata.pop("x-aws-proxy-auth")
    assert metadata == {
        "use_ssl": "true",
        "x-aws-proxy-port": "15002",
        "x-aws-force-h2": "true",
    }


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://a.example", ("a.example", 443)),
        ("https://a.example/", ("a.example", 443)),
        ("https://a.example:8443/", ("a.example", 8443)),
        ("a.example", ("a.example", 443)),
        ("a.example:8443", ("a.example", 8443)),
        ("https://[::1]", ("[::1]", 443)),
        ("[::1]:8443", ("[::1]", 8443)),
        ("", None),
        ("https://", None),
        ("https://a.example:port", None),
    ],
)
def test_the_address_of_an_endpoint(url: str, place: tuple[str, int] | None) -> None:
    """With or without scheme and port; the service's own has no port."""
    assert host_and_port(url) == place


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_arrives_as_it_is(token: str) -> None:
    """PySpark splits the URL at ";" and "=", then unquotes the values."""
    revealed = spark_connect.ConnectUrl("a.example:443", token, None).reveal()
    parameters = revealed.partition("/;")[2].split(";")
    parsed = [parameter.split("=") for parameter in parameters]
    assert all(len(pair) == 2 for pair in parsed)
    assert unquote(dict(parsed)["x-aws-proxy-auth"]) == token
    assert not {"#", "?"} & set(revealed)


def test_every_call_gets_a_fresh_token(emulator: Emulator, session_id: str) -> None:
    """Tokens are good for minutes, so none is kept."""
    urls = {spark_connect.connect_url(session_id, **arguments(emulator)).reveal() for _ in range(3)}
    assert len(urls) == 3


def test_the_token_is_in_no_text(
    emulator: Emulator, session_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither repr, str, format and pickle give it away, nor do our own logs."""
    with caplog.at_level(logging.DEBUG, logger="athena_session_provider"):
        url = spark_connect.connect_url(session_id, **arguments(emulator))
    token = url.reveal().rpartition("=")[2]
    assert len(token) > 32
    for text in (
        repr(url),
        str(url),
        f"{url}",
        f"{url!r:>200}",
        *(r.message for r in caplog.records),
    ):
        assert token not in text
    with pytest.raises(TypeError, match="not stored"):
        pickle.dumps(url)


def test_pulumi_refuses_it_as_an_output(emulator: Emulator, session_id: str) -> None:
    """A program that exports it fails, instead of writing the token into the state."""
    import asyncio

    from pulumi.runtime import rpc

    url = spark_connect.connect_url(session_id, **arguments(emulator))
    # Not asyncio.run, which leaves the thread without the loop that Pulumi's mocks look for.
    loop = asyncio.new_event_loop()
    with pytest.raises(ValueError, match="unexpected input of type ConnectUrl"):
        loop.run_until_complete(rpc.serialize_property(url, [], "url"))
    loop.close()


def test_the_other_engine_has_no_endpoint(emulator: Emulator) -> None:
    """The service's answer comes as an error of this package, with what to do."""
    other = start(emulator, WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 4})
    with pytest.raises(
        errors.InvalidRequestError, match=r"GetSessionEndpoint for session .* was refused"
    ):
        spark_connect.connect_url(other, **arguments(emulator))


def test_an_unknown_session_is_named(emulator: Emulator) -> None:
    """Such as one of another region."""
    with pytest.raises(errors.SessionNotFoundError, match="another region or account"):
        spark_connect.connect_url(str(uuid.uuid4()), **arguments(emulator))


# -- the endpoint and its token -----------------------------------------------------------------


def test_a_token_is_used_until_five_minutes_before_its_end(
    athena: FakeAthena, clock: FakeClock
) -> None:
    """As in Amazon's own client."""
    tokens = tokens_of(athena, clock)
    assert {tokens.token() for _ in range(3)} == {"token-1"}
    clock.sleep(1800 - 301)
    assert tokens.token() == "token-1"
    clock.sleep(2)
    assert tokens.token() == "token-2"


@pytest.mark.parametrize("seconds", [6.0, -3600.0, None])
def test_unusual_ends_of_tokens(clock: FakeClock, seconds: float | None) -> None:
    """A short life, a wrong clock of this machine, no end at all: asked for once at first."""
    athena = FakeAthena(clock)
    first = athena.endpoint("first", seconds or 0.0)
    if seconds is None:
        first = SessionEndpoint(URL, "first", None)
    athena = FakeAthena(clock, first)
    tokens = tokens_of(athena, clock)
    assert [tokens.token(), tokens.token()] == ["first", "first"]
    clock.sleep(5.0 if seconds == 6.0 else 1000.0)
    assert tokens.token() == "token-2"


def test_a_refused_token_is_replaced_once(athena: FakeAthena, clock: FakeClock) -> None:
    """By the first of several calls that it was refused to."""
    tokens = tokens_of(athena, clock)
    token = tokens.token()
    assert [tokens.renewed(token), tokens.renewed(token)] == ["token-2", "token-2"]
    assert athena.asked == 2


def test_an_endpoint_without_its_token_is_waited_for(clock: FakeClock) -> None:
    """Also one that is refused, as long as the session starts."""
    athena = FakeAthena(clock, refused("CREATING"), SessionEndpoint(URL, "", None))
    athena.state = SessionState.CREATING
    found = wait_for_endpoint(cast("Athena", athena), "s", now=clock.now, sleep=clock.sleep)
    assert (found.token, athena.asked) == ("token-3", 3)


def test_the_wait_for_a_token_ends(clock: FakeClock) -> None:
    """With a sentence."""
    athena = FakeAthena(clock, *[SessionEndpoint(URL, "", None)] * 200)
    with pytest.raises(errors.EndpointRefusedError, match="had no token for 180 seconds"):
        wait_for_endpoint(cast("Athena", athena), "s", now=clock.now, sleep=clock.sleep)


def test_an_ended_session_is_not_waited_for(clock: FakeClock) -> None:
    """The error says why it ended and what to do."""
    athena = FakeAthena(clock, refused("STOPPED"))
    athena.state = SessionState.TERMINATED
    with pytest.raises(errors.SessionEndedError, match=r"per request\. Run `pulumi up`"):
        wait_for_endpoint(cast("Athena", athena), "s", now=clock.now, sleep=clock.sleep)


def test_another_refusal_is_passed_on(clock: FakeClock) -> None:
    """Such as that of the other engine, whose sessions are not starting."""
    athena = FakeAthena(clock, refused("not supported"))
    with pytest.raises(errors.InvalidRequestError, match="not supported"):
        wait_for_endpoint(cast("Athena", athena), "s", now=clock.now, sleep=clock.sleep)


def test_an_endpoint_without_a_host_is_refused(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of connecting to a host called None; without its token in the text."""
    athena = FakeAthena(clock, SessionEndpoint("https://", "secret", None))
    monkeypatch.setattr(spark_connect, "shared_athena", lambda _: athena)
    with pytest.raises(errors.EndpointRefusedError, match="without a host") as caught:
        connect_url("s-1")
    assert "secret" not in str(caught.value)


# -- the client ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("python", "pyspark", "problem"),
    [
        ((3, 11), None, "PySpark is not installed"),
        ((3, 11), "4.3.0", "PySpark 4.3.0 is installed"),
        ((3, 10), "3.4.1", "PySpark 3.4.1 is installed"),
        ((3, 12), "3.5.6", "does not support Python 3.12"),
    ],
)
def test_a_client_that_does_not_fit(
    python: tuple[int, int], pyspark: str | None, problem: str
) -> None:
    """The error says what to install."""
    with pytest.raises(errors.SparkClientError, match=problem) as caught:
        check_client(python, pyspark)
    assert "pyspark[connect]==3.5.6" in str(caught.value)
    assert "Python 3.10 or 3.11" in str(caught.value)


@pytest.mark.parametrize("pyspark", ["3.5.6", "3.5.7"])
def test_a_client_that_fits(pyspark: str) -> None:
    """Athena's version, and that of the emulator."""
    check_client((3, 10), pyspark)
    check_client((3, 11), pyspark)


class FakeServer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Takes one token, and answers each request three times."""

    def __init__(self) -> None:
        self.token = "token-1"
        self.metadata: list[Any] = []
        self.status = grpc.StatusCode.UNAUTHENTICATED
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=[self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, handler_call_details: Any) -> Any:
        given = [v for k, v in handler_call_details.invocation_metadata if k == HEADER]

        def answer(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            self.metadata.append(given)
            if given != [self.token]:
                context.abort(self.status, "refused by the fake server")
            for request in requests:
                yield from [request] * (3 if handler_call_details.method == "/s/stream" else 1)

        return grpc.stream_stream_rpc_method_handler(answer)

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    running = FakeServer()
    yield running
    running.stop()


@pytest.fixture
def channel(server: FakeServer, athena: FakeAthena, clock: FakeClock) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as plain:
        yield with_tokens(plain, tokens_of(athena, clock))


def calls_of(channel: grpc.Channel) -> dict[str, Any]:
    """The three forms of calls that PySpark makes, with the metadata of an old token."""
    old = [(HEADER, "old"), ("kept", "yes")]
    return {
        "unary": lambda: channel.unary_unary("/s/unary")(b"x", metadata=old),
        "stream": lambda: list(channel.unary_stream("/s/stream")(b"x", metadata=old)),
        "upload": lambda: channel.stream_unary("/s/upload")(iter([b"x"]), metadata=old),
    }


@pytest.mark.parametrize("form", ["unary", "stream", "upload"])
def test_every_form_of_call_has_the_present_token(
    server: FakeServer, channel: grpc.Channel, form: str
) -> None:
    """In place of the one that PySpark began with."""
    calls_of(channel)[form]()
    assert server.metadata == [["token-1"]]


@pytest.mark.parametrize("form", ["unary", "stream"])
def test_a_call_with_a_refused_token_is_made_again(
    server: FakeServer, channel: grpc.Channel, form: str
) -> None:
    """Once, with a new token: this machine's clock may be wrong."""
    server.token = "token-2"
    assert calls_of(channel)[form]() in (b"x", [b"x"] * 3)
    assert server.metadata == [["token-1"], ["token-2"]]


@pytest.mark.parametrize("form", ["unary", "stream", "upload"])
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("UNAUTHENTICATED", "does not work through a VPC endpoint"),
        ("PERMISSION_DENIED", "athena:GetSessionEndpoint"),
        ("FAILED_PRECONDITION", "refused by the fake server"),
    ],
)
def test_a_refusal_says_what_to_do(
    server: FakeServer, channel: grpc.Channel, form: str, code: str, sentence: str
) -> None:
    """And shows no token."""
    server.token, server.status = "another", grpc.StatusCode[code]
    with pytest.raises(errors.EndpointRefusedError, match=sentence) as caught:
        calls_of(channel)[form]()
    assert "token-" not in str(caught.value)


@pytest.mark.parametrize("form", ["unary", "stream", "upload"])
@pytest.mark.parametrize("code", ["UNAVAILABLE", "UNAUTHENTICATED", "NOT_FOUND"])
def test_an_ended_session_is_told_whatever_the_status(
    server: FakeServer, athena: FakeAthena, channel: grpc.Channel, form: str, code: str
) -> None:
    """PySpark would try for ten minutes after UNAVAILABLE."""
    server.token, server.status = "another", grpc.StatusCode[code]
    athena.state = SessionState.TERMINATED
    with pytest.raises(errors.SessionEndedError):
        calls_of(channel)[form]()


@pytest.mark.parametrize("form", ["unary", "stream", "upload"])
def test_errors_of_spark_are_left_alone(
    server: FakeServer, channel: grpc.Channel, form: str
) -> None:
    """PySpark makes its own exceptions of them."""
    server.token, server.status = "another", grpc.StatusCode.INTERNAL
    with pytest.raises(grpc.RpcError):
        calls_of(channel)[form]()
