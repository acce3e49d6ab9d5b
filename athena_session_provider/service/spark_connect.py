"""Spark Connect: work in a session of the engine `Apache Spark version 3.5` from anywhere.

Sessions of that engine do not run calculations: they are Spark Connect servers. GetSessionEndpoint
returns the address and a token that expires after about 30 minutes. The token is a secret: it is in
no state, output, log, error or repr.

The form of the URL, and renewing the token 5 minutes early, are those of Amazon's own client
(`sagemaker-studio` 1.1.35, `athena/interceptors.py`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlsplit

from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import (
    AthenaSessionError,
    EndpointRefusedError,
    InvalidRequestError,
    SessionEndedError,
    SparkClientError,
)
from athena_session_provider.service.settings import AwsSettings
from athena_session_provider.service.states import SessionState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from athena_session_provider.service.api import Athena, SessionEndpoint

HTTPS_PORT = 443
ENDPOINT_SECONDS = 180.0
"""How long a session that starts may take until it has an endpoint with a token."""
ENDPOINT_INTERVAL_SECONDS = 2.0
CONNECT_SECONDS = 30.0
"""How long to wait for a connection to the endpoint. PySpark itself would try for ten minutes."""
RENEW_EARLY_SECONDS = 300.0
UNKNOWN_LIFE_SECONDS = 900.0
"""How long to use a token whose end is not known; one that is refused is renewed in any case."""

PYTHON_BELOW = (3, 12)
PYSPARK = "3.5."

_PROXY = "use_ssl=true;x-aws-proxy-port=15002;x-aws-force-h2=true"
"""What the service in front of the sessions wants to know, as Spark Connect's metadata."""
_STARTING = frozenset({SessionState.CREATING, SessionState.CREATED})
_GONE = frozenset({SessionState.TERMINATING, SessionState.TERMINATED, SessionState.FAILED})

_OTHER_NETWORK = (
    "An endpoint is for the network that it was asked for in: one of the internet does not work "
    "through a VPC endpoint, nor the other way round. Connect from where Athena is called, and by "
    "the same way"
)
_REMEDIES = {
    "UNAUTHENTICATED": f"{_OTHER_NETWORK}.",
    "PERMISSION_DENIED": (
        "Allow the IAM action athena:GetSessionEndpoint for the credentials in use on the work "
        f"group and its sessions. {_OTHER_NETWORK}."
    ),
    "FAILED_PRECONDITION": "Correct what it names and connect again.",
}
_MAY_HAVE_ENDED = frozenset({*_REMEDIES, "UNAVAILABLE", "NOT_FOUND", "CANCELLED"})
"""The gRPC codes after which the session itself is asked for. What the service answers for a
session that has ended is not documented."""


class ConnectUrl:
    """A Spark Connect URL. Only ``reveal`` shows its token."""

    def __init__(self, address: str, token: str, expires_at: dt.datetime | None) -> None:
        self.address = address
        """Host and port."""
        self.expires_at = expires_at
        """When the token expires; None where the service did not say."""
        self._token = token

    def reveal(self) -> str:
        """Return the URL with its token, for ``SparkSession.builder.remote(...)``."""
        # PySpark splits it at ";" and "=" and unquotes the values.
        return f"sc://{self.address}/;{_PROXY};x-aws-proxy-auth={quote(self._token, safe='')}"

    def __repr__(self) -> str:
        return f"sc://{self.address}/;{_PROXY};x-aws-proxy-auth=<hidden>"

    def __reduce__(self) -> NoReturn:
        # Pulumi's states, and whatever else stores objects, pickle or refuse them.
        raise TypeError("A ConnectUrl is not stored: ask for a new one where it is needed.")


class EndpointTokens:
    """The endpoint of one session, asked for anew before its token expires.

    Args:
        athena: The service.
        session_id: The session.
        now: The present time, in seconds since the epoch.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        athena: Athena,
        session_id: str,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._athena = athena
        self._session_id = session_id
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._endpoint: SessionEndpoint | None = None
        self._renew_at = 0.0

    def endpoint(self) -> SessionEndpoint:
        """Return the endpoint with a token that is valid now.

        Raises:
            AthenaSessionError: There is none, see ``wait_for_endpoint``.
        """
        with self._lock:
            if self._endpoint is None or self._now() >= self._renew_at:
                self._endpoint = wait_for_endpoint(
                    self._athena, self._session_id, now=self._now, sleep=self._sleep
                )
                self._renew_at = self._now() + self._usable_seconds(self._endpoint)
            return self._endpoint

    def token(self) -> str:
        """Return a token that is valid now; raises as ``endpoint`` does."""
        return self.endpoint().token

    def renewed(self, refused: str) -> str:
        """Return another token than one that was refused; raises as ``endpoint`` does."""
        with self._lock:
            if self._endpoint and self._endpoint.token == refused:
                self._endpoint = None
        return self.token()

    def explained(self, code: str, details: str) -> AthenaSessionError | None:
        """Return the error that a gRPC status stands for, None where PySpark's own has to do.

        Args:
            code: Name of gRPC's status code.
            details: The text that came with it.
        """
        if code not in _MAY_HAVE_ENDED:
            return None
        if ended := ended_error(self._athena, self._session_id):
            return ended
        if code not in _REMEDIES:
            return None
        return EndpointRefusedError(
            self._session_id,
            region=self._athena.region,
            problem=f"refused a request ({code}): {details.rstrip('.')}",
            remedy=_REMEDIES[code],
        )

    def _usable_seconds(self, endpoint: SessionEndpoint) -> float:
        if endpoint.expires_at is None:
            return UNKNOWN_LIFE_SECONDS
        life = endpoint.expires_at.timestamp() - self._now()
        if life <= 0:  # this machine's clock is wrong
            return UNKNOWN_LIFE_SECONDS
        return life - min(RENEW_EARLY_SECONDS, life / 3)


def ended_error(athena: Athena, session_id: str) -> SessionEndedError | None:
    """Return the error for a session that has ended; None where it has not, or cannot be asked."""
    try:
        status = athena.get_session_status(session_id)
    except AthenaSessionError:
        return None
    if status.state not in _GONE:
        return None
    return SessionEndedError(
        session_id, region=athena.region, state=status.state.value, reason=status.reason
    )


def wait_for_endpoint(
    athena: Athena,
    session_id: str,
    *,
    timeout_seconds: float = ENDPOINT_SECONDS,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> SessionEndpoint:
    """Ask for a session's endpoint (GetSessionEndpoint) until it comes with a token.

    A session that is being started has none yet, or one without a token.

    Args:
        athena: The service.
        session_id: The session.
        timeout_seconds: How long to wait.
        now: The present time, in seconds.
        sleep: Waits for some seconds.

    Raises:
        SessionEndedError: The session has ended.
        EndpointRefusedError: There was no token in time.
        AthenaSessionError: The service refused in another way.
    """
    deadline = now() + timeout_seconds
    while True:
        state = ""
        try:
            endpoint = athena.get_session_endpoint(session_id)
        except InvalidRequestError as refused:
            if ended := ended_error(athena, session_id):
                raise ended from refused
            found = athena.get_session_status(session_id).state
            if found not in _STARTING:
                raise
            state = f", and the session is {found}"
        else:
            if endpoint.ready:
                return endpoint
        if now() >= deadline:
            raise EndpointRefusedError(
                session_id,
                region=athena.region,
                problem=f"had no token for {timeout_seconds:g} seconds{state}",
                remedy="Wait until the session is ready and connect again.",
            )
        sleep(ENDPOINT_INTERVAL_SECONDS)


def host_and_port(url: str) -> tuple[str, int] | None:
    """Return where an ``EndpointUrl`` leads, None where it names no host.

    Args:
        url: With or without scheme and port. An IPv6 address keeps its brackets.
    """
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, port = parts.hostname, parts.port or HTTPS_PORT
    except ValueError:
        return None
    if not host:
        return None
    return (f"[{host}]" if ":" in host else host), port


def _address(athena: Athena, session_id: str, endpoint: SessionEndpoint) -> tuple[str, int]:
    if found := host_and_port(endpoint.url):
        return found
    raise EndpointRefusedError(
        session_id,
        region=athena.region,
        problem=f"has an address without a host: {endpoint.url!r}",
        remedy="Report this to the maintainers of athena-session-provider.",
    )


def _settings(
    *,
    region: str | None = None,
    profile: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    token: str | None = None,
    endpoint_url: str | None = None,
) -> AwsSettings:
    return AwsSettings(
        region=region,
        profile=profile,
        access_key=access_key,
        secret_key=secret_key,
        token=token,
        endpoints=(("athena", endpoint_url),) if endpoint_url else (),
    )


def connect_url(
    session_id: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    token: str | None = None,
    endpoint_url: str | None = None,
) -> ConnectUrl:
    """Return a Spark Connect URL of a session, with a new token.

    The token expires after about 30 minutes, also for queries that run then; ``remote_spark``
    renews it. Region and credentials that are left out come from boto3's own chain.

    Args:
        session_id: The session, such as the stack's output ``session_id``, in a work group of
            `Apache Spark version 3.5`. One that is being started is waited for.
        region: Such as ``eu-west-1``.
        profile: A profile of the AWS configuration file.
        access_key: Access key id.
        secret_key: Secret access key.
        token: Session token of temporary credentials.
        endpoint_url: Where Athena is, if it is not at AWS.

    Raises:
        AthenaSessionError: Its message says what the service answered and what to do.
    """
    athena = shared_athena(
        _settings(
            region=region,
            profile=profile,
            access_key=access_key,
            secret_key=secret_key,
            token=token,
            endpoint_url=endpoint_url,
        )
    )
    endpoint = wait_for_endpoint(athena, session_id)
    host, port = _address(athena, session_id, endpoint)
    return ConnectUrl(f"{host}:{port}", endpoint.token, endpoint.expires_at)


class _Client:
    """The one PySpark session of a session of Athena."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.spark: Any = None


_clients: dict[tuple[AwsSettings, str], _Client] = {}
_clients_lock = threading.Lock()


def remote_spark(session_id: str, **arguments: Any) -> Any:
    """Return the ``pyspark.sql.SparkSession`` that runs in a session of Athena.

    There is one for each session, as with ``getOrCreate``: a second call returns it again until its
    ``stop`` is called. It renews its token by itself, for as long as the session lives.

    Needs ``pyspark[connect]`` 3.5 on Python 3.10 or 3.11.

    Args:
        session_id: As of ``connect_url``.
        **arguments: Region, credentials and endpoint, as of ``connect_url``.

    Raises:
        SparkClientError: PySpark is missing, or has a version that does not fit.
        SessionEndedError: The session has ended. Queries raise it, too.
        EndpointRefusedError: The endpoint cannot be reached from here, or refuses. Queries raise
            it, too.
        AthenaSessionError: As by ``connect_url``.
    """
    check_client(sys.version_info[:2], _pyspark_version())
    settings = _settings(**arguments)
    with _clients_lock:
        client = _clients.setdefault((settings, session_id), _Client())
    with client.lock:
        if client.spark is None or client.spark.is_stopped:
            client.spark = _connected(shared_athena(settings), session_id)
        return client.spark


def check_client(python: tuple[int, ...], pyspark: str | None) -> None:
    """Check that a client fits a server of Spark 3.5.

    Args:
        python: Its Python, such as ``(3, 11)``.
        pyspark: The version of PySpark; None where it is not installed.

    Raises:
        SparkClientError: It does not fit.
    """
    if pyspark is None:
        raise SparkClientError("PySpark is not installed")
    if not pyspark.startswith(PYSPARK):
        raise SparkClientError(f"PySpark {pyspark} is installed")
    if python >= PYTHON_BELOW:
        raise SparkClientError(f"PySpark 3.5 does not support Python {python[0]}.{python[1]}")


def _pyspark_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pyspark")
    except PackageNotFoundError:
        return None


def _connected(athena: Athena, session_id: str) -> Any:
    """Return a new PySpark session that is connected."""
    from athena_session_provider.service.spark_channel import is_ready, with_tokens

    # Functions of PySpark look for it, such as `udf`, to know which of their two forms is meant.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    try:
        from pyspark.sql.connect.client import ChannelBuilder
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise SparkClientError(f"PySpark's Spark Connect client is incomplete ({error})") from error

    tokens = EndpointTokens(athena, session_id)
    address = _address(athena, session_id, tokens.endpoint())

    class Builder(ChannelBuilder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(f"sc://localhost/;{_PROXY}")
            # Past PySpark's parser, which takes no IPv6 address.
            self.host, self.port = address

        def toChannel(self) -> Any:  # noqa: N802 - PySpark's name
            channel = super().toChannel()
            if not is_ready(channel, CONNECT_SECONDS):
                channel.close()
                raise EndpointRefusedError(
                    session_id,
                    region=athena.region,
                    problem=f"at {self.host}:{self.port} cannot be reached over TLS from here",
                    remedy=(
                        f"{_OTHER_NETWORK}. Where a proxy or an emulator has a certificate of its "
                        "own, name it in GRPC_DEFAULT_SSL_ROOTS_FILE_PATH."
                    ),
                )
            return with_tokens(channel, tokens)

    spark = SparkSession.builder.channelBuilder(Builder()).create()
    try:
        spark.version  # noqa: B018 - the first request: it shows whether the endpoint takes the token
    except BaseException:
        spark.stop()
        raise
    return spark
