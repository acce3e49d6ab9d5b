"""Region, credentials and endpoints, from the stack configuration keys that pulumi-aws reads.

What no key sets comes from boto3's own chain: environment, profile, container, instance.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from athena_session_provider.service.errors import (
    ConfigurationError,
    MissingCredentialsError,
    MissingRegionError,
)

if TYPE_CHECKING:
    import boto3

DEFAULT_NAMESPACE = "aws"
"""The stack configuration namespace that pulumi-aws reads."""

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 10.0
"""How long one attempt waits for an answer. botocore's own 60 seconds look like a hang."""

CONNECTIONS = 256
"""Connections that a client may keep: the provider works on that many sessions side by side."""

_ASSUME_ROLE_ARGUMENTS = {
    "sessionName": "RoleSessionName",
    "externalId": "ExternalId",
    "policy": "Policy",
    "policyArns": "PolicyArns",
    "sourceIdentity": "SourceIdentity",
    "tags": "Tags",
    "transitiveTagKeys": "TransitiveTagKeys",
}
"""Keys of ``aws:assumeRoles`` and the members of STS AssumeRole that they set."""


@dataclass(frozen=True)
class AwsSettings:
    """Where and as whom to call AWS; hashable, so that clients can be shared by it."""

    region: str | None = None
    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    assume_roles: str = field(default="[]", repr=False)
    """JSON list of the roles to assume one after the other, as in ``aws:assumeRoles``."""
    endpoints: tuple[tuple[str, str], ...] = ()
    """Pairs of a service's name and its endpoint URL."""
    default_tags: tuple[tuple[str, str], ...] = ()

    def endpoint(self, service: str) -> str | None:
        """Give the endpoint URL set for a service.

        An emulator of AWS has all services at one place: STS without an endpoint of its own is
        asked where Athena is, and not at AWS with credentials that are not meant for it.
        """
        endpoints = dict(self.endpoints)
        return endpoints.get(service) or (endpoints.get("athena") if service == "sts" else None)


class StackConfiguration(Protocol):
    """The stack's configuration, by full keys such as ``aws:region``."""

    def get(self, key: str, /) -> Any:
        """Give a value, structured ones as JSON text; None where there is none."""
        ...


def aws_settings(
    config: StackConfiguration, override: Mapping[str, Any] | None = None
) -> AwsSettings:
    """Read the settings of one resource.

    ``override`` is the resource's ``aws`` argument, in snake_case; what it leaves out comes
    from the stack.

    Raises ConfigurationError for a value that cannot be read.
    """
    override = {key: value for key, value in (override or {}).items() if value is not None}
    namespace = override.get("config_namespace", DEFAULT_NAMESPACE)

    def value(key: str) -> Any:
        return config.get(f"{namespace}:{key}")

    def structure(key: str, name: str) -> Any:
        return override[name] if name in override else _parsed(f"{namespace}:{key}", value(key))

    if bool(value("accessKey")) != bool(value("secretKey")):
        message = (
            f"Of {namespace}:accessKey and {namespace}:secretKey only one is set in the stack's "
            "configuration; set both, or none."
        )
        raise ConfigurationError(message)
    roles = structure("assumeRoles", "assume_roles")
    if roles is None:
        role = _parsed(f"{namespace}:assumeRole", value("assumeRole"))
        roles = [] if role is None else [role]
    return AwsSettings(
        region=override.get("region") or value("region") or None,
        profile=override.get("profile") or value("profile") or None,
        access_key=value("accessKey") or None,
        secret_key=value("secretKey") or None,
        token=value("token") or None,
        assume_roles=json.dumps([_role(role) for role in roles], sort_keys=True),
        endpoints=_endpoints(structure("endpoints", "endpoints")),
        default_tags=_default_tags(structure("defaultTags", "default_tags")),
    )


def resolved_region(settings: AwsSettings) -> str:
    """Give the region to work in; raises MissingRegionError where nothing sets one."""
    # boto3 reads AWS_DEFAULT_REGION alone; AWS_REGION is what pulumi-aws and the other SDKs read.
    region = settings.region or os.environ.get("AWS_REGION") or _plain_session(settings).region_name
    if not region:
        raise MissingRegionError
    return region


def boto3_session(settings: AwsSettings) -> boto3.Session:
    """Make the boto3 session of these settings; its credentials renew themselves.

    Raises ConfigurationError (unknown profile), MissingCredentialsError, MissingRegionError.
    """
    import boto3
    from botocore.session import get_session

    session = _plain_session(settings)
    region = resolved_region(settings)
    roles = json.loads(settings.assume_roles)
    if not roles:
        return session
    for role in roles:
        core = get_session()
        # Private, and the way that boto3's own users do this since its first release: botocore
        # has no public way to give a session credentials that renew themselves.
        core._credentials = _assumed(session, role, settings, region)  # type: ignore[attr-defined]  # noqa: SLF001
        session = boto3.Session(botocore_session=core, region_name=region)
    return session


def account_of(session: boto3.Session, settings: AwsSettings) -> str | None:
    """Give the id of the account that the credentials are of; None where it cannot be had.

    The credentials may carry it. Otherwise STS GetCallerIdentity tells; it takes no permission.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    credentials = session.get_credentials()
    account = getattr(credentials, "account_id", None) if credentials else None
    if account:
        return str(account)
    try:
        sts = session.client(
            "sts",
            region_name=resolved_region(settings),
            endpoint_url=settings.endpoint("sts"),
            config=client_config(attempts=2),
        )
        return str(sts.get_caller_identity()["Account"])
    except (BotoCoreError, ClientError):
        # An endpoint that has no STS, or a network that does not reach it: the outputs arn and
        # account_id stay empty, and everything else works.
        return None


def client_config(*, attempts: int = 3) -> Any:
    """Give the botocore Config that all clients are made with.

    Standard retries resend throttled, failed and unanswered calls, with jitter. That is safe for
    StartSession too, since it always carries a token of ours.
    """
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra="athena-session-provider",
    )


def _plain_session(settings: AwsSettings) -> boto3.Session:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(
            profile_name=settings.profile if not settings.access_key else None,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            aws_session_token=settings.token,
            region_name=settings.region,
        )
    except BotoCoreError as exc:
        message = f"The AWS settings do not do: {exc}. Check aws:profile and the AWS config file."
        raise ConfigurationError(message) from exc


def _assumed(
    source: boto3.Session, role: Mapping[str, Any], settings: AwsSettings, region: str
) -> Any:
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    credentials = source.get_credentials()
    if credentials is None:
        raise MissingCredentialsError(region, f"to assume the role {role['roleArn']}")

    def create_client(service: str, **options: Any) -> Any:
        options.setdefault("region_name", region)
        return source.client(  # type: ignore[call-overload]
            service, endpoint_url=settings.endpoint("sts"), config=client_config(), **options
        )

    arguments = {
        member: role[key] for key, member in _ASSUME_ROLE_ARGUMENTS.items() if role.get(key)
    }
    if role.get("durationSeconds"):
        arguments["DurationSeconds"] = int(role["durationSeconds"])
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=create_client,
        source_credentials=credentials,
        role_arn=role["roleArn"],
        extra_args=arguments,
    )
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _parsed(key: str, value: Any) -> Any:
    """Read a structured value; the host of dynamic providers hands these over as JSON text."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError as exc:
        message = f"The stack configuration {key} is not valid: {exc}."
        raise ConfigurationError(message) from exc


def _role(role: Any) -> dict[str, Any]:
    if not isinstance(role, Mapping):
        message = "aws:assumeRoles has to be a list of maps with a roleArn each."
        raise ConfigurationError(message)
    camel = {camel_case(str(key)): value for key, value in role.items() if value is not None}
    if not camel.get("roleArn"):
        message = "Each role of aws:assumeRoles needs a roleArn."
        raise ConfigurationError(message)
    return camel


def _endpoints(value: Any) -> tuple[tuple[str, str], ...]:
    """Read ``aws:endpoints``: a list of maps of service to URL, or one such map."""
    maps: Iterable[Any] = [value] if isinstance(value, Mapping) else value or []
    if isinstance(maps, str) or not all(isinstance(entry, Mapping) for entry in maps):
        message = 'aws:endpoints has to be a list such as [{"athena": "https://..."}].'
        raise ConfigurationError(message)
    return tuple(
        sorted((str(name), str(url)) for entry in maps for name, url in entry.items() if url)
    )


def _default_tags(value: Any) -> tuple[tuple[str, str], ...]:
    """Read ``aws:defaultTags``: ``{"tags": {...}}``, or the map of tags itself."""
    if value is None:
        return ()
    tags = value.get("tags", value) if isinstance(value, Mapping) else None
    if not isinstance(tags, Mapping):
        message = 'aws:defaultTags has to be a map such as {"tags": {"team": "data"}}.'
        raise ConfigurationError(message)
    return tuple(sorted((str(key), str(tag)) for key, tag in tags.items()))


def camel_case(name: str) -> str:
    """Give the name that a key of the stack's configuration has."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
