"""An HTTP/1.1 server on loopback, and the emulator that runs on it in process."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import sys
import traceback
from http import HTTPStatus
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

from .app import EmulatorApp
from .client import EmulatorClient
from .faults import ConnectionDropped
from .settings import Settings

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .spark import Spark

LOOPBACK = "127.0.0.1"
"""The only address it binds to: the emulator checks no credentials."""
_BACKLOG = 1024


class _Handler(MotoRequestHandler):
    """One connection, kept alive, which werkzeug's own handler closes every time."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        # Read to its end, whatever the application does with it: the next request
        # on this connection begins behind the body.
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["wsgi.input_terminated"] = True
        environ["CONTENT_LENGTH"] = str(len(body))
        try:
            self._answer(*_call(self.server.app, environ))
        except ConnectionDropped as drop:
            self.close_connection = True
            if drop.reset:
                self._reset()
        except ConnectionError:
            self.close_connection = True
        except Exception:  # noqa: BLE001 - a server outlives a bug in a handler
            sys.stderr.write(traceback.format_exc())
            status = f"500 {HTTPStatus.INTERNAL_SERVER_ERROR.phrase}"
            self._answer(status, [("Content-Type", "text/plain")], b"emulator failed")

    def _answer(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        # The emulated time, as everything else that tells one.
        date = self.date_time_string(cast("EmulatorApp", self.server.app).now())
        lines = [f"{self.protocol_version} {status}", f"Date: {date}"]
        lines += [f"{name}: {value}" for name, value in headers]
        names = {name.lower() for name, _ in headers}
        bodiless = status.startswith(("1", "204", "304"))
        if "content-length" not in names and not bodiless:
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if bodiless or self.command == "HEAD":
            body = b""
        # One write, so that no client waits for a delayed acknowledgement.
        self.wfile.write(head + body)

    def _reset(self) -> None:
        """Close at once: with a linger time of 0 that sends a reset, not an end."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.close(self.connection.detach())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing; `calls()` is the log."""


def _call(app: Any, environ: Any) -> tuple[str, list[tuple[str, str]], bytes]:
    started: list[Any] = []

    def start_response(status: str, headers: Any, _: Any = None) -> Any:
        started[:] = [status, list(headers)]

    chunks = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = started
    return status, headers, body


class _Server(ThreadedWSGIServer):
    """One thread for each connection."""

    def __init__(self, port: int, app: EmulatorApp) -> None:
        # werkzeug's own way to bind ends the process where the port is taken.
        with socket.create_server((LOOPBACK, port), backlog=_BACKLOG) as bound:
            super().__init__(LOOPBACK, port, app, _Handler, fd=bound.fileno())
        self._open: set[socket.socket] = set()
        self._open_lock = Lock()

    def opened(self, connection: socket.socket) -> None:
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._open_lock:
            self._open.discard(connection)

    def close_connections(self) -> None:
        """End the connections that clients keep open, and with them their threads."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Emulator(EmulatorClient):
    """A local Amazon Athena with Spark sessions, in threads of this process.

    One at a time: moto keeps its state in globals of the process. Each one starts
    out empty.

    >>> with Emulator(start_seconds=0.0) as emulator:
    ...     athena = boto3.client("athena", endpoint_url=emulator.url, ...)

    Args:
        settings: How the service behaves, until `update_settings` or `reset`.
        port: The TCP port on loopback; 0, the default, is any free one.
        account_id: The account of all credentials that moto has not given out.
        spark: What sessions run on; None, the default, is no Spark: `find_spark()` finds one.
        changes: Settings by name, over those of `settings`.

    Raises:
        ValueError: A setting has no such name or value.
    """

    _running = Lock()

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        port: int = 0,
        account_id: str = DEFAULT_ACCOUNT_ID,
        spark: Spark | None = None,
        **changes: Any,
    ) -> None:
        super().__init__("")
        self._port = port
        self._account_id = account_id
        self._spark = spark
        self._settings = (settings or Settings()).changed(changes)
        self._app: EmulatorApp | None = None
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Accept connections, from the moment it returns.

        OSError: the port is taken. RuntimeError: another one runs in this process.
        """
        if not self._running.acquire(blocking=False):
            raise RuntimeError("an Emulator already runs in this process")
        try:
            self._app = EmulatorApp(self._settings, self._account_id, self._spark)
            self._server = _Server(self._port, self._app)
        except BaseException:
            self._running.release()
            raise
        self.url = self._app.url = f"http://{LOOPBACK}:{self._server.port}"
        self._thread = Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name=f"emulator {self.url}",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._app and self._server and self._thread:
            self._app.stopping.set()
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
            self._app.close()
            self._app = self._server = self._thread = None
            self._running.release()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()
