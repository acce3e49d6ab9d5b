"""How a provider finds that its engine was killed."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from athena_session_provider import host
from athena_session_provider.plugin.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECTIVITY = grpc.ChannelConnectivity


class FakeChannel:
    """A connection whose state the test changes."""

    def __init__(self) -> None:
        self.changed: Callable[[Any], None] = lambda _state: None

    def subscribe(self, changed: Callable[[Any], None], *, try_to_connect: bool) -> None:
        assert try_to_connect
        self.changed = changed


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What the engine listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(params=["dynamic provider", "plugin"])
def watched(
    request: pytest.FixtureRequest, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> tuple[FakeChannel, threading.Event]:
    """A channel that is watched, and an event that is set once the engine counts as gone."""
    address = "{}:{}".format(*listener.getsockname())
    channel, gone = FakeChannel(), threading.Event()
    if request.param == "plugin":
        engine: Any = Engine(address)
        engine._channel = channel
        engine.watch(gone.set)
    else:
        watching: Any = host._Engine()
        watching._channel, watching._stub = channel, object()
        monkeypatch.setattr(host, "_ENGINE", watching)
        monkeypatch.setattr(host, "_address", lambda: address)
        monkeypatch.setattr(host, "_engine_is_gone", gone.set)
        assert host.end_with_the_engine()
        assert not host.end_with_the_engine(), "two threads watch"
    return channel, gone


def test_engine_that_still_listens_when_its_connection_breaks(
    watched: tuple[FakeChannel, threading.Event], listener: socket.socket
) -> None:
    """A killed process closes its sockets one after the other; the state changes once only."""
    channel, gone = watched
    channel.changed(CONNECTIVITY.READY)
    channel.changed(CONNECTIVITY.IDLE)
    assert not gone.wait(3 * host.LISTEN_SECONDS)
    listener.close()
    assert gone.wait(30)


def test_connection_that_comes_back(
    watched: tuple[FakeChannel, threading.Event], listener: socket.socket
) -> None:
    """An engine that is connected is not asked for, whatever listens at its address."""
    channel, gone = watched
    channel.changed(CONNECTIVITY.TRANSIENT_FAILURE)
    channel.changed(CONNECTIVITY.READY)
    assert not gone.wait(3 * host.LISTEN_SECONDS)
    listener.close()
    assert not gone.wait(3 * host.LISTEN_SECONDS)
    channel.changed(CONNECTIVITY.IDLE)
    assert gone.wait(30)
