"""Spark Connect: a real server for each session of engine 3.5, behind one port of the emulator.

The port speaks gRPC over TLS. A request names its session by the token in its metadata, as on AWS,
and goes on to the session's server, which is a JVM of its own on loopback. gRPC's status codes tell
a client what to do, so they matter:

- UNAUTHENTICATED: the token is missing, unknown or expired.
- FAILED_PRECONDITION: the session has ended, or the emulator has no Spark. Not UNAVAILABLE, at
  which clients try again for ten minutes.

Which codes Athena answers is known from no public source.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitTimeoutError
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

import grpc

from .spark import SPARK_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .models import Session, SessionStore
    from .spark import Spark

TOKEN_HEADER = "x-aws-proxy-auth"  # noqa: S105 - a name
LOOPBACK = "127.0.0.1"
START_SECONDS = 50.0
"""How long a request waits for a server that starts; botocore waits 60 for an answer."""
LOOK_SECONDS = 0.2
"""How often sessions with a server are looked at: time ends sessions, and a JVM may die."""
MAX_CALLS = 64
"""Calls that run at a time. Each holds a thread for as long as its stream is open."""
LOG_CHARACTERS = 500
FORGOTTEN_AFTER_SECONDS = 3600.0

# Spark refuses less than 450m, and with that much it stops at some megabytes of local data.
DEFAULT_PROPERTIES = {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "4"}
# A session's life is short: a JVM that compiles less starts twice as fast.
JAVA_OPTIONS = "-XX:+ExitOnOutOfMemoryError -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.so_reuseport", 0),
]
# What belongs to one of the two connections only, or to this port.
_NOT_FORWARDED = {TOKEN_HEADER, "x-aws-proxy-port", "x-aws-force-h2", "user-agent", "te"}
_FOREVER_SECONDS = 1e6
_FOLDER_PREFIX = "athena-emulator-"
# As Java and Python write it: `java.lang.IllegalArgumentException: System memory ...`.
_FAILURE = re.compile(r"(Exception|Error): ")


class SparkServerError(Exception):
    """A session's server is not there: it has ended, or did not start."""


class SparkServer:
    """The process of one session's server, which is not started before it is used."""

    def __init__(self, spark: Spark, session: Session, endpoint_url: str) -> None:
        self.session = session
        self._spark = spark
        self._name = session.session_id
        self._properties = spark_properties(session.parameters)
        self._environment = spark.environment(endpoint_url, session.scope.region)
        self._lock = Lock()
        self._ended = False
        self._folder = ""
        self._process: subprocess.Popen[str] | None = None
        self._channel: Future[grpc.Channel] = Future()

    def channel(self) -> grpc.Channel:
        """Return a channel to the server; start it at first, and wait until it listens.

        Raises:
            SparkServerError: It has ended, did not start, or did not within `START_SECONDS`.
        """
        with self._lock:
            if self._ended:
                raise SparkServerError(_ended(self.session))
            if self._process is None:
                self._process = self._start()
                Thread(target=self._read_answer, name=f"spark {self._name}", daemon=True).start()
        try:
            return self._channel.result(START_SECONDS)
        except SparkServerError:
            if self._ended:
                raise SparkServerError(_ended(self.session)) from None
            raise
        except WaitTimeoutError:
            raise SparkServerError(
                f"the Spark server did not start within {START_SECONDS:g} s"
            ) from None

    @property
    def died(self) -> bool:
        """Whether the process ended by itself."""
        return not self._ended and self._process is not None and self._process.poll() is not None

    def end(self) -> None:
        """Kill the process and all that it has started, and remove its files."""
        with self._lock:
            self._ended = True
            process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # The JVM is of this group. Python's workers end with the JVM.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast("IO[str]", pipe).close()
        with contextlib.suppress(SparkServerError):
            self._channel.result().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> subprocess.Popen[str]:
        self._folder = tempfile.mkdtemp(prefix="athena-spark-")
        with Path(self._folder, "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own script
                [self._spark.python, str(SPARK_SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                encoding="utf-8",
                start_new_session=True,
            )
        properties = {
            **self._properties,
            "spark.sql.warehouse.dir": str(Path(self._folder, "warehouse")),
            "spark.local.dir": str(Path(self._folder, "local")),
        }
        message = {"name": self._name, "folder": self._folder, "properties": properties}
        requests = cast("IO[str]", process.stdin)
        with contextlib.suppress(OSError):  # a process that is dead gives no answer
            requests.write(json.dumps(message) + "\n")
            requests.flush()
        return process

    def _read_answer(self) -> None:
        process = self._process
        try:
            line = cast("IO[str]", process.stdout).readline() if process else ""
            port = int(json.loads(line)["port"])
        except ValueError:
            self._channel.set_exception(SparkServerError(self._last_words()))
        else:
            self._channel.set_result(grpc.insecure_channel(f"{LOOPBACK}:{port}", options=_OPTIONS))

    def _last_words(self) -> str:
        """Return the last error of the log, which ended the start; else its last line."""
        log = Path(self._folder, "log")
        lines = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
        said = [line.strip(": ") for line in lines if line.strip(": ")] or ["no output"]
        failures = [line for line in said if _FAILURE.search(line)] or said
        return f"the Spark server did not start: {failures[-1][:LOG_CHARACTERS]}"


class SparkConnect:
    """The servers of all sessions, and the port in front of them.

    Args:
        sessions: All sessions; its lock is never held while a server starts.
        spark: What the servers run on.
        certificate: Gives that of the port.
        endpoint_url: Gives the emulator's URL.
    """

    def __init__(
        self,
        sessions: SessionStore,
        spark: Spark,
        certificate: Callable[[], Certificate],
        endpoint_url: Callable[[], str],
    ) -> None:
        self._sessions = sessions
        self._spark = spark
        self._certificate = certificate
        self._endpoint_url = endpoint_url
        self._tokens: dict[str, tuple[Session, float]] = {}
        self._servers: dict[str, SparkServer] = {}
        self._calls: dict[str, int] = {}
        self._proxy: Proxy | None = None
        self._closing = Event()
        self._watch: Thread | None = None

    # For the operation GetSessionEndpoint

    def url(self) -> str:
        """Return the URL of all endpoints. Call it with the lock of the sessions."""
        if self._proxy is None:
            self._proxy = Proxy(self, self._certificate())
        return f"https://{LOOPBACK}:{self._proxy.port}"

    def admit(self, session: Session, answer: dict[str, Any]) -> None:
        """Let an endpoint's token lead to the session. Call it with the lock of the sessions."""
        if token := answer.get("AuthToken"):
            now = self._sessions.clock.now()
            self._tokens = {
                known: entry
                for known, entry in self._tokens.items()
                if entry[1] + FORGOTTEN_AFTER_SECONDS > now
            }
            self._tokens[token] = (session, float(answer["AuthTokenExpirationTime"]))
        if self._spark.missing or session.session_id in self._servers:
            return
        server = SparkServer(self._spark, session, self._endpoint_url())
        self._servers[session.session_id] = server
        session.on_end = lambda: self._end(session)
        if self._watch is None:
            self._watch = Thread(target=self._look, name="spark sessions", daemon=True)
            self._watch.start()

    def wait(self, session: Session) -> None:
        """Wait until the session's server listens. Call it without the lock.

        Raises:
            SparkServerError: The server did not start, and the session is FAILED now.
        """
        if not self._spark.missing:
            self.channel(session)

    def close(self) -> None:
        """End all servers and the port."""
        self._closing.set()
        with self._sessions.lock:
            servers = list(self._servers.values())
            self._servers.clear()
            proxy, self._proxy = self._proxy, None
        for server in servers:
            server.end()
        if proxy:
            proxy.stop()
        if self._watch:
            self._watch.join()

    # For the port

    @property
    def missing(self) -> str:
        """What a client has to know where there is no Spark; else empty."""
        return self._spark.advice if self._spark.missing else ""

    def session_of(self, token: str | None) -> Session | None:
        """Return the session of a token that is valid by the emulated clock."""
        with self._sessions.lock:
            session, expires = self._tokens.get(token or "", (None, 0.0))
            return session if self._sessions.clock.now() < expires else None

    def channel(self, session: Session) -> grpc.Channel:
        """Return a channel to a session's server, as soon as it listens.

        Raises:
            SparkServerError: There is none.
        """
        with self._sessions.lock:
            server = self._servers.get(session.session_id)
        if server is None:
            raise SparkServerError(_ended(session))
        try:
            return server.channel()
        except SparkServerError as error:
            self._fail(server, "FAILED", str(error))
            raise

    def has_ended(self, session: Session) -> bool:
        """Whether the session or its server has ended."""
        with self._sessions.lock:
            server = self._servers.get(session.session_id)
            return server is None or server.died

    @contextlib.contextmanager
    def at_work(self, session: Session) -> Iterator[None]:
        """Make a session BUSY for a call, which also puts off its idle timeout."""
        session_id = session.session_id
        with self._sessions.lock:
            self._calls[session_id] = self._calls.get(session_id, 0) + 1
            self._enter(session, {"CREATED", "IDLE"}, "BUSY")
        try:
            yield
        finally:
            with self._sessions.lock:
                self._calls[session_id] -= 1
                if not self._calls[session_id]:
                    self._enter(session, {"BUSY"}, "IDLE")

    def _enter(self, session: Session, before: set[str], state: str) -> None:
        now = self._sessions.clock.now()
        session.refresh(now)
        if session.state in before:
            session.enter(now, state, None)

    def _look(self) -> None:
        """Let time pass for the sessions that have a server, as nobody may ask for them."""
        while not self._closing.wait(LOOK_SECONDS):
            with self._sessions.lock:
                now = self._sessions.clock.now()
                for server in list(self._servers.values()):
                    server.session.refresh(now)
                    if server.died:
                        self._fail(server, "DEGRADED", "The Spark server of the session ended")

    def _fail(self, server: SparkServer, state: str, reason: str) -> None:
        with self._sessions.lock:
            if self._servers.get(server.session.session_id) is server:
                server.session.enter(self._sessions.clock.now(), state, reason)

    def _end(self, session: Session) -> None:
        """End the server of a session that ends."""
        server = self._servers.pop(session.session_id, None)
        if server:
            server.end()


class Proxy(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc ships no types
    """The port: forwards every method as bytes, both ways, to the server of the token's session."""

    def __init__(self, sessions: SparkConnect, certificate: Certificate) -> None:
        self._sessions = sessions
        pool = ThreadPoolExecutor(MAX_CALLS, "spark-connect")
        self._server = grpc.server(pool, handlers=[self], options=_OPTIONS)
        self.port: int = self._server.add_secure_port(f"{LOOPBACK}:0", certificate.credentials())
        self._server.start()

    def stop(self) -> None:
        """Close the port and every call."""
        self._server.stop(None).wait()

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of any method."""
        method = handler_call_details.method
        metadata = tuple(handler_call_details.invocation_metadata)
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._forward(method, metadata, requests, context)
        )

    def _forward(
        self,
        method: str,
        metadata: Iterable[tuple[str, str]],
        requests: Iterator[bytes],
        context: Any,
    ) -> Iterator[bytes]:
        session = self._sessions.session_of(dict(metadata).get(TOKEN_HEADER))
        if session is None:
            code = grpc.StatusCode.UNAUTHENTICATED
            _refuse(context, code, "The token is missing, unknown or expired")
        if self._sessions.missing:
            _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, self._sessions.missing)
        try:
            channel = self._sessions.channel(session)
        except SparkServerError as error:
            _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        kept = [
            (name, value)
            for name, value in metadata
            if name not in _NOT_FORWARDED and not name.startswith("grpc-")
        ]
        # Without a deadline gRPC gives some 1e18 seconds, and takes as much for a time gone by.
        left = context.time_remaining()
        timeout = left if left is not None and left < _FOREVER_SECONDS else None
        with self._sessions.at_work(session):
            try:
                call = channel.stream_stream(method)(requests, metadata=kept, timeout=timeout)
            except ValueError:  # the channel was closed by now
                _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, _ended(session))
            context.add_callback(call.cancel)
            try:
                context.send_initial_metadata(call.initial_metadata())
                yield from call
            except grpc.RpcError as error:
                if self._sessions.has_ended(session):
                    _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, _ended(session))
                context.set_trailing_metadata(error.trailing_metadata() or ())
                _refuse(context, error.code(), error.details())
            context.set_trailing_metadata(call.trailing_metadata() or ())


def _refuse(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    context.abort(code, text)
    raise AssertionError("abort raises")


def _ended(session: Session) -> str:
    return f"Session {session.session_id} has ended"


class Certificate:
    """A self-signed certificate for loopback, new with each emulator.

    The private key is in memory only. `path` is the file that a client trusts: set
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH to it before gRPC opens its first TLS channel.
    """

    def __init__(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Athena emulator")])
        now = dt.datetime.now(dt.timezone.utc)
        addresses = [
            x509.IPAddress(ipaddress.ip_address(LOOPBACK)),
            x509.DNSName("localhost"),
        ]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=365))
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self._pem = certificate.public_bytes(serialization.Encoding.PEM)
        self._key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _remove_leftovers()
        self._folder = tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-")
        self.path = str(Path(self._folder, "certificate.pem"))
        Path(self.path).write_bytes(self._pem)

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a gRPC server needs to speak TLS."""
        return grpc.ssl_server_credentials([(self._key, self._pem)])

    def remove(self) -> None:
        """Remove the file."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _remove_leftovers() -> None:
    """Remove the folders of emulators that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*-*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # another user's, or not an emulator's


def spark_properties(parameters: dict[str, Any]) -> dict[str, str]:
    """Return the Spark properties of a session: those of its classification `spark-defaults`.

    Args:
        parameters: Of StartSession.
    """
    properties = dict(DEFAULT_PROPERTIES)
    for entry in parameters["EngineConfiguration"].get("Classifications") or []:
        if entry.get("Name") == "spark-defaults":
            properties |= entry.get("Properties") or {}
    given = properties.get(_JAVA_OPTIONS, "")
    return {**properties, _JAVA_OPTIONS: f"{JAVA_OPTIONS} {given}".strip()}
