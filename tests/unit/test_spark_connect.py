"""Spark Connect URLs, and that their token stays where it is."""

from __future__ import annotations

import logging
import pickle
import sys
import types
import uuid
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import boto3
import pytest

from athena_session_provider.service import spark_connect
from athena_session_provider.service.errors import InvalidRequestError, SessionNotFoundError

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

REGION = "eu-west-1"


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


def test_the_url_is_what_amazons_client_makes(emulator: Emulator, session_id: str) -> None:
    """Host and port come from the service; the token goes into the metadata of each request."""
    revealed = spark_connect.connect_url(session_id, **arguments(emulator)).reveal()
    address, _, parameters = revealed.partition("/;")
    assert address == f"sc://{session_id}.athena-spark.{REGION}.emulator.invalid:443"
    metadata = dict(pair.split("=", 1) for pair in parameters.split(";"))
    assert metadata.pop("x-aws-proxy-auth")
    assert metadata == {
        "use_ssl": "true",
        "x-aws-proxy-port": "15002",
        "x-aws-force-h2": "true",
    }


def test_an_endpoint_without_a_port_is_on_that_of_https() -> None:
    """The service's own answer has no port."""
    athena = MagicMock()
    athena.get_session_endpoint.return_value = MagicMock(url="https://a.example", token="t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spark_connect, "shared_athena", lambda _: athena)
        assert spark_connect.connect_url("x").address == "a.example:443"


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
    with pytest.raises(InvalidRequestError, match=r"GetSessionEndpoint for session .* was refused"):
        spark_connect.connect_url(other, **arguments(emulator))


def test_an_unknown_session_is_named(emulator: Emulator) -> None:
    """Such as one of another region."""
    with pytest.raises(SessionNotFoundError, match="another region or account"):
        spark_connect.connect_url(str(uuid.uuid4()), **arguments(emulator))


def test_a_remote_session_is_made_of_the_revealed_url(
    emulator: Emulator, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pyspark gets the token; it is a stand-in here, since the emulator has no Spark Connect."""
    sql = types.ModuleType("pyspark.sql")
    sql.SparkSession = MagicMock()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyspark", types.ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", sql)
    spark = spark_connect.remote_spark(session_id, **arguments(emulator))
    (url,) = sql.SparkSession.builder.remote.call_args.args
    assert "<hidden>" not in url
    assert url.startswith(f"sc://{session_id}.")
    assert spark is sql.SparkSession.builder.remote.return_value.create.return_value
