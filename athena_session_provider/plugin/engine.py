"""The connection to Pulumi's engine: messages to the user, and the notice that it is gone."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_TIMEOUT_SECONDS = 5.0
"""How long a message to the engine may take; it is dropped after that."""

LISTEN_SECONDS = 0.2
"""How often a process without a connection to its engine checks that the engine listens."""

LISTEN_SECONDS = 0.2
"""How often a process without a connection to its engine checks that the engine listens."""


class Engine:
    """The engine that started this process.

    Args:
        address: Host and port of the engine's gRPC service ``pulumirpc.Engine``, the first
            argument of a plugin.
    """

    def __init__(self, address: str) -> None:
        import grpc
        from pulumi.runtime.proto import engine_pb2_grpc

        self._address = address
        self._channel = grpc.insecure_channel(address)
        self._stub = engine_pb2_grpc.EngineStub(self._channel)
        self._lost_at: float | None = None

    def show_status(self, urn: str, message: str) -> None:
        """Show a message in the status column of a resource until the next one replaces it."""
        self._log("INFO", urn, message, ephemeral=True)

    def warn(self, urn: str, message: str) -> None:
        """Show a warning that stays in the diagnostics of a resource."""
        self._log("WARNING", urn, message, ephemeral=False)

    def _log(self, severity: str, urn: str, message: str, *, ephemeral: bool) -> None:
        import grpc
        from pulumi.runtime.proto import engine_pb2

        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity),
            message=message,
            urn=urn,
            ephemeral=ephemeral,
        )
        try:
            self._stub.Log(request, timeout=LOG_TIMEOUT_SECONDS)
        except grpc.RpcError:
            # No operation fails because its message could not be shown.
            return

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Call ``on_lost`` once, on a thread of its own, when the engine ended without a word.

        A killed engine leaves its plugins behind.
        """
        import grpc

        disconnected = threading.Event()

        def changed(state: Any) -> None:
            if state is grpc.ChannelConnectivity.READY:
                disconnected.clear()
            else:
                disconnected.set()

        def watch() -> None:
            # A process that is killed closes its connections before the socket on which it listens.
            while disconnected.wait() and _listens(self._address):
                time.sleep(LISTEN_SECONDS)
            self._lost_at = time.monotonic()
            on_lost()

        self._channel.subscribe(changed, try_to_connect=True)
        threading.Thread(target=watch, daemon=True).start()

    def lost_for(self) -> float:
        """Return the seconds since the engine was found to be gone; 0 while it lives."""
        return 0.0 if self._lost_at is None else time.monotonic() - self._lost_at


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
