"""A stand-in of STS, of Athena and of a proxy, that records who signed, for where, and by what way.

Its answers have the form of the services' models in botocore; it checks no signature.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "111111111111"
"""The account of every key that no role has given."""


@dataclass(frozen=True)
class Call:
    """One request."""

    operation: str
    access_key: str
    """Of the signature; empty for a request without one."""
    region: str
    service: str
    """As signed."""
    host: str
    token: str
    proxied: bool
    user_agent: str
    parameters: dict[str, Any]


@dataclass
class Standin:
    """What was called, and how to answer."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    refusals: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """By operation: HTTP status, error code and message."""
    hold: threading.Event | None = None
    """Answers to STS wait for it."""
    hold_athena: threading.Event | None = None
    """Answers of Athena wait for it."""
    expiration: str = "2099-01-01T00:00:00Z"
    """Of the credentials of roles."""
    connects: list[str] = field(default_factory=list)
    """What a proxy was asked to connect to."""

    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    def call(self, operation: str) -> Call:
        """The one call of an operation."""
        (found,) = [call for call in self.calls if call.operation == operation]
        return found


@contextmanager
def aws_standin() -> Iterator[Standin]:  # noqa: C901 - a server with its handler
    """Serve on a port of this machine."""
    standin = Standin()
    lock = threading.Lock()
    roles: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            standin.connects.append(self.path)
            self.send_error(502)

        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            target = self.headers.get("X-Amz-Target", "")
            if target:
                if standin.hold_athena is not None:
                    standin.hold_athena.wait(30)
                operation, parameters = target.rpartition(".")[2], json.loads(body or b"{}")
            else:
                parameters = dict(urllib.parse.parse_qsl(body.decode()))
                operation = parameters.pop("Action", "")
                parameters.pop("Version", None)
                if standin.hold is not None:
                    standin.hold.wait(30)
            signed = re.search(
                r"Credential=([^/]*)/\d+/([^/]*)/([^/]*)/", self.headers.get("Authorization", "")
            )
            key, region, service = signed.groups() if signed else ("", "", "")
            with lock:
                standin.calls.append(
                    Call(
                        operation, key, region, service, self.headers["Host"],
                        self.headers.get("X-Amz-Security-Token", ""),
                        self.path.startswith("http://"), self.headers.get("User-Agent", ""),
                        parameters,
                    )
                )  # fmt: skip
                if operation in standin.refusals:
                    status, code, message = standin.refusals[operation]
                    body = self._error(code, message, is_json=bool(target))
                elif target:
                    status, body = 200, b'{"Sessions": [], "SessionId": "s"}'
                else:
                    status, body = 200, self._sts(operation, key, parameters).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("x-amzn-RequestId", "request-1")
            self.end_headers()
            self.wfile.write(body)

        def _sts(self, operation: str, key: str, parameters: dict[str, str]) -> str:
            if operation == "GetCallerIdentity":
                account = roles.get(key, ACCOUNT)
                inner = f"<Account>{account}</Account><UserId>u</UserId><Arn>a</Arn>"
            else:
                new = f"ASIA{len(roles) + 1:016}"
                roles[new] = parameters["RoleArn"].split(":")[4]
                inner = (
                    f"<Credentials><AccessKeyId>{new}</AccessKeyId><SecretAccessKey>s"
                    f"</SecretAccessKey><SessionToken>token-of-{new}</SessionToken>"
                    f"<Expiration>{standin.expiration}</Expiration></Credentials>"
                    f"<AssumedRoleUser><AssumedRoleId>x:y</AssumedRoleId>"
                    f"<Arn>{parameters['RoleArn']}</Arn></AssumedRoleUser>"
                )
            return (
                f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                f"<{operation}Result>{inner}</{operation}Result>"
                f"<ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata>"
                f"</{operation}Response>"
            )

        def _error(self, code: str, message: str, *, is_json: bool) -> bytes:
            if is_json:
                return json.dumps({"__type": code, "message": message}).encode()
            return (
                f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
                f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
                "<RequestId>request-1</RequestId></ErrorResponse>"
            ).encode()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    standin.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield standin
    finally:
        for hold in (standin.hold, standin.hold_athena):
            if hold is not None:
                hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
