"""botocore sessions that do what the settings say, and never ask a person for anything.

What is private to botocore and needed all over is here alone: its providers of a profile, to read
several files and to bound a ``credential_process``, and its prompt for MFA codes.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import configloader
from botocore import credentials as boto_credentials
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    CredentialRetrievalError,
    NoCredentialsError,
)
from botocore.session import Session

from athena_session_provider.service.configuration_keys import did_you_mean
from athena_session_provider.service.credential_errors import credentials_error
from athena_session_provider.service.errors import (
    CancelledError,
    ConfigurationError,
    CredentialsError,
    MissingCredentialsError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from athena_session_provider.service.configuration_keys import (
        AwsSettings,
        Role,
        WebIdentityRole,
    )

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 10.0
"""How long one attempt waits for an answer. botocore's own 60 seconds look like a hang."""

CONNECTIONS = 256
"""Connections that a client may keep: the provider works on that many sessions side by side."""

ATTEMPTS = 3
"""How often a call is sent at the most, where ``aws:maxRetries`` does not say."""

CREDENTIALS_SECONDS = 60.0
"""How long credentials may take, all roles together."""

PROCESS_SECONDS = 30.0
"""How long a ``credential_process`` may take."""

_METHODS_WITH_ACCOUNT = ("assume-role", "assume-role-with-web-identity", "sso")
"""Ways to credentials by which AWS itself says which account they are of."""

_LOOK_SECONDS = 0.1

UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
"""What botocore raises, besides its own errors, for a token, an answer or a process that is broken.

An expired credential that was just renewed is a RuntimeError, a process that prints no JSON a
ValueError, one that prints a list an AttributeError.
"""


class AwsSession(Session):
    """A botocore session with the endpoints, proxies, files and credentials of the settings."""

    def __init__(
        self,
        settings: AwsSettings,
        region: str | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Read the profile; nothing is called.

        Raises:
            ConfigurationError: The profile or a file does not exist, or cannot be read.
        """
        # Keys win over a profile, as for pulumi-aws.
        super().__init__(profile=None if settings.access_key else settings.profile)
        self.settings = settings
        self.cancelled = cancelled
        self._files: dict[str, Any] | None = None
        for name, value in (
            ("region", region or settings.region),
            ("ca_bundle", False if settings.insecure else settings.custom_ca_bundle),
            ("ec2_metadata_service_endpoint", settings.ec2_metadata_service_endpoint),
            ("ec2_metadata_service_endpoint_mode", settings.ec2_metadata_service_endpoint_mode),
        ):
            if value is not None:
                self.set_config_variable(name, value)
        for key, files in (
            ("sharedConfigFiles", settings.shared_config_files),
            ("sharedCredentialsFiles", settings.shared_credentials_files),
            ("customCaBundle", [settings.custom_ca_bundle or ""]),
        ):
            for file in files:
                if file and not _path(file).is_file():
                    raise ConfigurationError(
                        f"aws:{key} names the file {file}, which is not there."
                    )
        self.register_component("credential_provider", self)
        try:
            self.get_scoped_config()
        except BotoCoreError as exc:
            raise credentials_error(exc, region=region or "", profile=self.profile_name) from exc

    @property
    def profile_name(self) -> str | None:
        """The profile in use, if one is named anywhere."""
        name: str | None = self.get_config_variable("profile")
        return name

    def default_region(self) -> str | None:
        """Return the region of the environment or of the profile."""
        region: str | None = self.get_config_variable("region")
        return region

    def require_known_region(self, region: str) -> None:
        """Raise ConfigurationError for a region in which the SDK knows no Athena."""
        known = {
            name
            for partition in self.get_available_partitions()
            for name in self.get_available_regions("athena", partition)
        }
        if region not in known:
            raise ConfigurationError(
                f"The region {region} is not known; {did_you_mean(region, known)} "
                "`aws:skipRegionValidation` is false; set it to true for a region that is newer "
                "than the installed boto3."
            )

    @property
    def full_config(self) -> dict[str, Any]:
        """The shared files, a later one over an earlier one, and credentials over configuration."""
        if self._files is None:
            merged: dict[str, Any] = {"profiles": {}}
            for file in self.config_files:
                with suppress(ConfigNotFound):
                    for section, entries in configloader.load_config(file).items():
                        _merge(merged.setdefault(section, {}), entries)
            _merge(merged["profiles"], self.read_credentials_files())
            self._files = merged
        return self._files

    @property
    def config_files(self) -> Sequence[str]:
        """The paths of the configuration files."""
        return self.settings.shared_config_files or (self.get_config_variable("config_file"),)

    def read_credentials_files(self, *_: str) -> dict[str, Any]:
        """Return the profiles of the credentials files, a later file over an earlier one."""
        profiles: dict[str, Any] = {}
        default = (self.get_config_variable("credentials_file"),)
        for file in self.settings.shared_credentials_files or default:
            with suppress(ConfigNotFound):
                _merge(profiles, configloader.raw_config_parse(file))
        return profiles

    def create_client(self, service_name: str, **kwargs: Any) -> Any:  # type: ignore[override]
        """Make a client as botocore does, at the endpoint and by the proxy of the settings."""
        settings = self.settings
        if service_name == "sts" and settings.sts_region:
            kwargs["region_name"] = settings.sts_region
        if kwargs.get("endpoint_url") is None:
            kwargs["endpoint_url"] = settings.endpoint(service_name)
        own = kwargs.pop("config", None)

        def make(proxies: dict[str, str] | None) -> Any:
            config = client_config(
                settings, service=service_name, endpoint=kwargs["endpoint_url"], proxies=proxies
            )
            options = {**kwargs, "config": config.merge(own) if own else config}
            return super(AwsSession, self).create_client(service_name, **options)

        client = make(None)
        # Where it calls is known only now, and no_proxy goes by it.
        proxies = proxies_for(settings, client.meta.endpoint_url)
        return client if proxies is None else make(proxies)

    def load_credentials(self) -> Any:
        """Return the credentials, None where there are none; a role is assumed when first used."""
        settings = self.settings
        found: Any
        if settings.assume_role_with_web_identity:
            found = self._web_identity(settings.assume_role_with_web_identity)
        elif settings.access_key:
            found = boto_credentials.Credentials(
                settings.access_key, settings.secret_key or "", settings.token, method="explicit"
            )
        else:
            found = self._resolver().load_credentials()
        for role in settings.assume_roles:
            if found is None:
                raise MissingCredentialsError(
                    self.default_region() or "", f"to assume the role {role.role_arn}"
                )
            found = self._assumed(role, found)
        return found

    def _resolver(self) -> Any:
        """Return botocore's chain, with what asks a person or waits without end replaced."""
        resolver = boto_credentials.create_credential_resolver(
            self, region_name=self.default_region()
        )
        if self.settings.skip_metadata_api_check:
            resolver.remove("iam-role")
        profiles = _ProfileProviders(self, cache={}, region_name=self.default_region())
        own = {
            provider.METHOD: provider
            for provider in profiles.providers(
                profile_name=self.profile_name or "default",
                disable_env_vars=self.instance_variables().get("profile") is not None,
            )
        }
        resolver.providers = [own.get(one.METHOD, one) for one in resolver.providers]
        assume_role = resolver.get_provider("assume-role")
        replaced = {
            "_prompter": self._refuse_to_prompt,
            "_profile_provider_builder": profiles,
        }
        for name, value in replaced.items():
            if not hasattr(assume_role, name):
                raise ConfigurationError(
                    "This version of botocore is too new for athena-session-provider, which could "
                    "not keep it from waiting for an MFA code. Install an older boto3, or a newer "
                    "athena-session-provider."
                )
            setattr(assume_role, name, value)
        return resolver

    def _refuse_to_prompt(self, _prompt: str) -> str:
        name = self.profile_name or "default"
        raise CredentialsError(
            f"The profile {name} assumes its role with an MFA device (mfa_serial), and there is "
            "nobody here to enter the code. Run "
            f'`eval "$(aws configure export-credentials --profile {name} --format env)"` in a '
            "shell, which asks for the code, and then the command again in that shell, without "
            "`aws:profile`."
        )

    def _assumed(self, role: Role, source: Any) -> Any:
        arguments = {
            "RoleSessionName": role.session_name,
            "ExternalId": role.external_id,
            "Policy": role.policy,
            "PolicyArns": [{"arn": arn} for arn in role.policy_arns],
            "SourceIdentity": role.source_identity,
            "Tags": [{"Key": key, "Value": value} for key, value in role.tags],
            "TransitiveTagKeys": list(role.transitive_tag_keys),
            "DurationSeconds": role.duration_seconds,
        }
        fetcher = boto_credentials.AssumeRoleCredentialFetcher(
            client_creator=self.create_client,
            source_credentials=source,
            role_arn=role.role_arn,
            extra_args={name: value for name, value in arguments.items() if value},
        )
        return self._deferred(fetcher, role.role_arn, "assume-role")

    def _web_identity(self, role: WebIdentityRole) -> Any:
        role_arn = role.role_arn or os.environ.get("AWS_ROLE_ARN")
        file = role.token_file or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
        if not role_arn:
            raise ConfigurationError(
                "aws:assumeRoleWithWebIdentity needs a roleArn, or the environment variable "
                "AWS_ROLE_ARN."
            )
        if not role.token and not file:
            raise ConfigurationError(
                "aws:assumeRoleWithWebIdentity needs a webIdentityTokenFile or a webIdentityToken, "
                "or the environment variable AWS_WEB_IDENTITY_TOKEN_FILE."
            )

        def token() -> str:
            if role.token:
                return role.token
            try:
                return _path(file or "").read_text(encoding="utf-8").strip()
            except (OSError, ValueError):
                raise CredentialsError(
                    f"The web identity token for the role {role_arn} cannot be read from the file "
                    f"{file}. Check aws:assumeRoleWithWebIdentity, and that whatever runs the "
                    "command writes the token there."
                ) from None

        arguments = {
            "RoleSessionName": role.session_name or os.environ.get("AWS_ROLE_SESSION_NAME"),
            "Policy": role.policy,
            "PolicyArns": [{"arn": arn} for arn in role.policy_arns],
            "DurationSeconds": role.duration_seconds,
        }
        fetcher = boto_credentials.AssumeRoleWithWebIdentityCredentialFetcher(
            client_creator=self.create_client,
            web_identity_token_loader=token,
            role_arn=role_arn,
            extra_args={name: value for name, value in arguments.items() if value},
        )
        return self._deferred(fetcher, role_arn, "assume-role-with-web-identity")

    def _deferred(self, fetcher: Any, role_arn: str, method: str) -> Any:
        def fetch() -> Any:
            with self.translated(f"role {role_arn}"):
                return fetcher.fetch_credentials()

        return _RoleCredentials(fetch, method)

    @contextmanager
    def translated(self, subject: str = "the credentials") -> Iterator[None]:
        """Raise what goes wrong with credentials as an error of this package."""
        region = self.settings.sts_region or self.default_region() or ""
        try:
            yield
        except (BotoCoreError, ClientError) as exc:
            raise credentials_error(
                exc,
                region=region,
                profile=self.profile_name,
                subject=subject,
                source=self._source(),
                endpoint=self.settings.endpoint("sts") or f"sts in {region}",
            ) from exc
        except UNREADABLE as exc:
            raise CredentialsError(
                f"The AWS credentials ({self._source()}) cannot be read, because what supplies "
                f"them is broken ({type(exc).__name__}). Run "
                f"`aws sts get-caller-identity{_option(self.profile_name)}` to see what it says."
            ) from exc

    def require_credentials(self) -> Any:
        """Return the credentials, fetched and fresh.

        Raises:
            CredentialsError: They cannot be obtained; the message says what to do.
            MissingCredentialsError: There are none.
        """
        with self.translated():
            credentials = self.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            credentials.get_frozen_credentials()
        return credentials

    def account_of(self, credentials: Any) -> str:
        """Return the account of credentials: that of the role, or what GetCallerIdentity says.

        GetCallerIdentity takes no permission.

        Raises:
            AthenaSessionError: STS could not be reached, or refused.
        """
        # The account that an environment or a profile claims is not proof of anything.
        if credentials.method in _METHODS_WITH_ACCOUNT and credentials.account_id:
            return str(credentials.account_id)
        with self.translated("the account"):
            config = client_config(self.settings, attempts=2)
            sts = self.create_client("sts", region_name=self.default_region(), config=config)
            return str(sts.get_caller_identity()["Account"])

    def _source(self) -> str:
        """Say where the credentials come from, without any of them."""
        if self.settings.assume_role_with_web_identity:
            return "from aws:assumeRoleWithWebIdentity"
        if self.settings.access_key:
            return "from aws:accessKey"
        if self.profile_name:
            return f"from the profile {self.profile_name}"
        return "from the environment"


class _RoleCredentials(boto_credentials.DeferredRefreshableCredentials):
    """botocore renews credentials in their last 15 minutes: those of 15 minutes at every call."""

    _advisory_refresh_timeout = 300
    _mandatory_refresh_timeout = 120


class _ProfileProviders(boto_credentials.ProfileProviderBuilder):
    """botocore's providers of one profile, for several files and with bounded processes."""

    _session: AwsSession

    def _create_process_provider(self, profile_name: str) -> Any:
        session = self._session

        def popen(command: Sequence[str], **pipes: Any) -> _Process:
            return _Process(command, profile_name, session.cancelled, **pipes)

        return boto_credentials.ProcessProvider(
            profile_name=profile_name, load_config=lambda: session.full_config, popen=popen
        )

    def _create_shared_credential_provider(self, profile_name: str) -> Any:
        return boto_credentials.SharedCredentialProvider(
            creds_filename=", ".join(self._session.settings.shared_credentials_files),
            profile_name=profile_name,
            ini_parser=self._session.read_credentials_files,
        )

    def _create_config_provider(self, profile_name: str) -> Any:
        return boto_credentials.ConfigProvider(
            config_filename=", ".join(self._session.config_files),
            profile_name=profile_name,
            config_parser=lambda _: self._session.full_config,
        )


class _Process:
    """A ``credential_process`` without a terminal, that ends by itself or is ended."""

    def __init__(
        self,
        command: Sequence[str],
        profile: str,
        cancelled: threading.Event | None,
        **pipes: Any,
    ) -> None:
        self._profile = profile
        self._cancelled = cancelled
        # In a session of its own there is no terminal to ask at.
        self._process = subprocess.Popen(  # noqa: S603 - the user's own command
            command, stdin=subprocess.DEVNULL, start_new_session=True, **pipes
        )

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def communicate(self) -> tuple[bytes, bytes]:
        end = time.monotonic() + PROCESS_SECONDS
        while True:
            try:
                return self._process.communicate(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if self._cancelled is not None and self._cancelled.is_set():
                    self._end()
                    raise CancelledError from None
                if time.monotonic() >= end:
                    self._end()
                    message = (
                        f"the credential_process of the profile {self._profile} gave no answer "
                        f"within {PROCESS_SECONDS:g} seconds; it may be waiting for input"
                    )
                    raise CredentialRetrievalError(
                        provider="custom-process", error_msg=message
                    ) from None

    def _end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def client_config(
    settings: AwsSettings,
    *,
    service: str = "",
    endpoint: str | None = None,
    proxies: Mapping[str, str] | None = None,
    attempts: int | None = None,
) -> Config:
    """Return the botocore Config of a client.

    Standard retries resend throttled, failed and unanswered calls, with jitter. That is safe for
    StartSession too, since it always carries a token of ours.

    Args:
        settings: The settings.
        service: The service's name at botocore.
        endpoint: The endpoint URL that is set; it wins over FIPS and dual-stack.
        proxies: By scheme; None for those of the environment.
        attempts: How often a call is sent at the most, where the settings do not say.
    """
    options: dict[str, Any] = {}
    if proxies is not None:
        options["proxies"] = dict(proxies)
    if endpoint:
        options |= {"use_fips_endpoint": False, "use_dualstack_endpoint": False}
    else:
        for name in ("use_fips_endpoint", "use_dualstack_endpoint"):
            if (value := getattr(settings, name)) is not None:
                options[name] = value
    if service == "s3":
        s3 = {
            "addressing_style": "path" if settings.s3_use_path_style else None,
            "us_east_1_regional_endpoint": settings.s3_us_east1_regional_endpoint,
        }
        options["s3"] = {name: value for name, value in s3.items() if value} or None
    most = settings.max_retries if settings.max_retries is not None else attempts or ATTEMPTS
    options["retries"] = {
        "mode": settings.retry_mode or "standard",
        "total_max_attempts": max(most, 1),
    }
    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        user_agent_extra=" ".join(("athena-session-provider", *settings.user_agents)),
        **options,
    )


def proxies_for(settings: AwsSettings, url: str) -> dict[str, str] | None:
    """Return the proxies for an endpoint, by scheme; None to leave them to botocore.

    What the settings leave out comes from the environment. As for pulumi-aws, https goes by the
    proxy for http where nothing names one for https.
    """
    if settings.http_proxy is None and settings.https_proxy is None and settings.no_proxy is None:
        return None
    environment = urllib.request.getproxies_environment()

    def first(*values: str | None) -> str:
        return next((value for value in values if value is not None), "")

    proxies = {
        "http": first(settings.http_proxy, environment.get("http")),
        "https": first(settings.https_proxy, environment.get("https"), settings.http_proxy),
    }
    if is_exempt(url, first(settings.no_proxy, environment.get("no"))):
        return {}
    return {scheme: proxy for scheme, proxy in proxies.items() if proxy}


def is_exempt(url: str, no_proxy: str) -> bool:
    """Return whether a list of hosts, domains and networks (CIDR) has the host of a URL."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    for entry in (item.strip().lower() for item in no_proxy.split(",")):
        if not entry:
            continue
        if entry == "*":
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            pass  # one of them is a name
        name, _, port = entry.partition(":")
        if port and port != str(parts.port):
            continue
        domain = name.removeprefix("*").lstrip(".")
        if host.endswith(f".{domain}") or (host == domain and not name.startswith((".", "*."))):
            return True
    return False


def _path(file: str) -> Path:
    return Path(os.path.expandvars(file)).expanduser()


def _option(profile: str | None) -> str:
    return f" --profile {profile}" if profile else ""


def _merge(into: dict[str, Any], entries: Any) -> None:
    if not isinstance(entries, dict):
        return
    for name, values in entries.items():
        if isinstance(values, dict) and isinstance(into.get(name), dict):
            into[name] = {**into[name], **values}
        else:
            into[name] = values
