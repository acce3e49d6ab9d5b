"""Spark Connect: work in a session of the engine `Apache Spark version 3.5` from anywhere.

Sessions of that engine take no calculations. They are Spark Connect servers, and GetSessionEndpoint
gives the address and a token that is good for some minutes. So the token is asked for when it is
needed, and kept by nobody: it is in no state, no output and no log.

The form of the URL is that of Amazon's own client for it, `sagemaker-studio`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.settings import AwsSettings

if TYPE_CHECKING:
    import datetime as dt

HTTPS_PORT = 443
# What the service in front of the sessions wants to know, as Spark Connect's metadata.
_PROXY = "use_ssl=true;x-aws-proxy-port=15002;x-aws-force-h2=true;x-aws-proxy-auth="


class ConnectUrl:
    """A Spark Connect URL. Its token shows in no text of it but what ``reveal`` gives."""

    def __init__(self, address: str, token: str, expires_at: dt.datetime | None) -> None:
        self.address = address
        """Host and port."""
        self.expires_at = expires_at
        """When the token stops working for new connections."""
        self._token = token

    def reveal(self) -> str:
        """Give the URL with its token, for ``SparkSession.builder.remote(...)``."""
        return f"sc://{self.address}/;{_PROXY}{self._token}"

    def __repr__(self) -> str:
        return f"sc://{self.address}/;{_PROXY}<hidden>"

    def __reduce__(self) -> NoReturn:
        # Pulumi's states, and whatever else stores objects, pickle or refuse them.
        raise TypeError("A ConnectUrl is not stored: ask for a new one where it is needed.")


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
    """Ask for a Spark Connect URL of a session, with a fresh token.

    Region and credentials that are left out come from boto3's own chain.

    Args:
        session_id: The session, such as the stack's output ``session_id``. It has to be ``IDLE``
            or ``BUSY``, in a work group of `Apache Spark version 3.5`.
        region: Such as ``eu-west-1``.
        profile: A profile of the AWS configuration file.
        access_key: Access key id.
        secret_key: Secret access key.
        token: Session token of temporary credentials.
        endpoint_url: Where Athena is, if it is not at AWS.

    Raises:
        AthenaSessionError: In its message is what the service answered and what to do.
    """
    settings = AwsSettings(
        region=region,
        profile=profile,
        access_key=access_key,
        secret_key=secret_key,
        token=token,
        endpoints=(("athena", endpoint_url),) if endpoint_url else (),
    )
    endpoint = shared_athena(settings).get_session_endpoint(session_id)
    parts = urlsplit(endpoint.url)
    return ConnectUrl(
        f"{parts.hostname}:{parts.port or HTTPS_PORT}", endpoint.token, endpoint.expires_at
    )


def remote_spark(session_id: str, **arguments: Any) -> Any:
    """Make a ``pyspark`` session that runs in an Athena session; needs ``pyspark[connect]``.

    Args:
        session_id: As of ``connect_url``.
        **arguments: Region, credentials and endpoint, as of ``connect_url``.

    Raises:
        AthenaSessionError: As by ``connect_url``.
        ImportError: pyspark is not installed.
    """
    from pyspark.sql import SparkSession

    url = connect_url(session_id, **arguments)
    return SparkSession.builder.remote(url.reveal()).create()
