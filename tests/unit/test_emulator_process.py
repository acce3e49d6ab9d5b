"""The emulator as a process, and as a server that many clients use at once."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from athena_session_provider.emulator import Emulator, EmulatorClient
from athena_session_provider.emulator.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST_SESSIONS = {
    "X-Amz-Target": "AmazonAthena.ListSessions",
    "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/eu-west-1/athena/aws4_request",
}
BODY = json.dumps({"WorkGroup": "spark"})


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], EmulatorClient]]:
    """Run the emulator as a process, and wait for its first line."""
    command = [sys.executable, "-m", "athena_session_provider.emulator", *arguments]
    environment = {**os.environ, "AWS_PROFILE": "a-profile-that-does-not-exist"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.fullmatch(r"Athena emulator ready at (http://127\.0\.0\.1:\d+)\n", line)
            assert match, line or process.communicate()[1]
            yield process, EmulatorClient(match[1])
        finally:
            process.kill()


def list_sessions(connection: http.client.HTTPConnection) -> int:
    """Send one request, and return the status of its answer."""
    connection.request("POST", "/", BODY, LIST_SESSIONS)
    response = connection.getresponse()
    response.read()
    return response.status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_as_a_process(number: signal.Signals) -> None:
    """Controlled over HTTP like one in process, and ends cleanly on a signal."""
    with running("--start-seconds", "30", "--start-session-state", "CREATING") as (
        process,
        emulator,
    ):
        athena: Any = boto3.client(
            "athena",
            endpoint_url=emulator.url,
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        request = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 2}}
        session_id = athena.start_session(**request)["SessionId"]
        assert emulator.live_sessions()[0].state == "CREATING"
        emulator.advance(30)
        assert emulator.session(session_id).state == "IDLE"
        assert [call.operation for call in emulator.calls()] == ["StartSession"]
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
        assert output.startswith("Spark Connect's certificate is ")


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: cannot start the emulator: ")
    assert captured.err.count("\n") == 1


def test_it_cannot_listen_elsewhere_than_on_loopback() -> None:
    """It checks no credentials, so there is no option for it."""
    with pytest.raises(SystemExit) as caught:
        main(["--host", "0.0.0.0"])  # noqa: S104 - what must not work
    assert caught.value.code == 2


def test_a_connection_is_kept_alive() -> None:
    """Requests of all kinds, one after the other on one connection."""
    with Emulator() as emulator:
        connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
        assert list_sessions(connection) == 200
        used = connection.sock
        for method, path, body in (
            ("POST", "/emulator/now", "{}"),
            ("POST", "/emulator/nothing", "{}"),
            ("PUT", "/bucket", None),
            ("HEAD", "/bucket", None),
            ("PUT", "/bucket/key", b"x" * 100_000),
            ("GET", "/bucket/key", None),
            ("DELETE", "/bucket/key", None),
            ("GET", "/bucket/key", None),
        ):
            connection.request(method, path, body)
            connection.getresponse().read()
        assert list_sessions(connection) == 200
        assert connection.sock is used
        connection.close()


def test_a_hundred_connections_at_once() -> None:
    """Are all served."""
    with Emulator() as emulator:
        statuses: list[int] = []

        def use() -> None:
            connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
            statuses.extend(list_sessions(connection) for _ in range(5))
            connection.close()

        threads = [threading.Thread(target=use) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 500
        assert len(emulator.calls()) == 500


def test_concurrent_starts_with_one_token_make_one_session() -> None:
    """As concurrent resends of one request would be."""
    with Emulator() as emulator:
        body = json.dumps(
            {
                "WorkGroup": "spark",
                "EngineConfiguration": {"MaxConcurrentDpus": 2},
                "ClientRequestToken": "t" * 32,
            }
        )
        headers = {**LIST_SESSIONS, "X-Amz-Target": "AmazonAthena.StartSession"}
        answers: list[bytes] = []

        def start() -> None:
            connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
            connection.request("POST", "/", body, headers)
            answers.append(connection.getresponse().read())
            connection.close()

        threads = [threading.Thread(target=start) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 20
        assert len(set(answers)) == 1
        assert sum(call.created_session for call in emulator.calls()) == 1


def test_stopping_frees_the_port_and_the_threads() -> None:
    """Also while clients keep their connections open."""
    before = set(threading.enumerate())
    with Emulator() as emulator:
        connections = [
            http.client.HTTPConnection(emulator.url.removeprefix("http://")) for _ in range(5)
        ]
        for connection in connections:
            assert list_sessions(connection) == 200
        ours = set(threading.enumerate()) - before
        assert len(ours) >= 6
        port = int(emulator.url.rpartition(":")[2])
    for thread in ours:
        thread.join(timeout=10)
    assert not [thread for thread in ours if thread.is_alive()]
    for connection in connections:
        connection.close()
    with Emulator(port=port) as again:
        assert again.url.endswith(f":{port}")
