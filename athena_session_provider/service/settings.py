"""Region, credentials and endpoints, from the stack configuration keys that pulumi-aws reads.

What no key sets comes from boto3's own chain: environment, profile, container, instance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from athena_session_provider.service.configuration_keys import (
    KEYS,
    AwsSettings,
    WebIdentityRole,
    camel_case,
    did_you_mean,
)
from athena_session_provider.service.errors import ConfigurationError, MissingRegionError
from athena_session_provider.service.request import Failure

if TYPE_CHECKING:
    import threading

    import boto3

__all__ = [
    "ARGUMENTS",
    "CONFIG_NAMESPACE",
    "DEFAULT_NAMESPACE",
    "OVERRULED_BY_PROFILE",
    "AwsSettings",
    "StackConfiguration",
    "aws_settings",
    "boto3_session",
    "check_aws",
    "client_config",
    "resolved_region",
]

DEFAULT_NAMESPACE = "aws"
"""The stack configuration namespace that pulumi-aws reads."""

CONFIG_NAMESPACE = "config_namespace"
"""The member of the ``aws`` argument that names another one."""

OVERRULED_BY_PROFILE = {
    *(key.argument for key in KEYS.values() if key.secret),
    "assume_role_with_web_identity",
}
"""What of the stack's configuration a resource with a profile of its own does not use."""

ARGUMENTS = (*(key.argument for key in KEYS.values() if not key.secret), CONFIG_NAMESPACE)
"""Members of the ``aws`` argument. None of them is a credential, since arguments are stored."""


class StackConfiguration(Protocol):
    """The stack's configuration, by full keys such as ``aws:region``."""

    def get(self, key: str, /) -> Any:
        """Return a value, structured ones as JSON text; None where there is none."""
        ...


def aws_settings(
    config: StackConfiguration, override: Mapping[str, Any] | None = None
) -> AwsSettings:
    """Read the settings of one resource.

    A profile, a role or a list of the resource replaces the stack's as a whole. With a profile of
    its own, a resource uses neither the stack's keys nor its web identity.

    Args:
        config: The stack's configuration.
        override: The resource's ``aws`` argument, in snake_case; what it leaves out comes from
            the stack.

    Raises:
        ConfigurationError: A value cannot be read, or two contradict each other.
    """
    given = {key: value for key, value in (override or {}).items() if value is not None}
    namespace = given.get(CONFIG_NAMESPACE, DEFAULT_NAMESPACE)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for key in KEYS.values():
        if key.argument in given and not key.secret:
            place, raw = f"aws.{key.argument}", given[key.argument]
        else:
            place = f"{namespace}:{key.name}"
            raw = config.get(place)
            if raw is None or (raw == "" and not key.name.endswith("Proxy")):
                continue
        try:
            values[key.argument] = key.read(raw)
        except ValueError as exc:
            raise ConfigurationError(f"{place} {exc}.") from None
        places[key.argument] = place
    if "profile" in given and CONFIG_NAMESPACE not in given:
        # They would win over the profile, and be of another account.
        for name in OVERRULED_BY_PROFILE - set(given):
            values.pop(name, None)
    _require_consistent(values, places, namespace)
    if "assume_role" in values:
        values.setdefault("assume_roles", values.pop("assume_role"))
    known = AwsSettings.__dataclass_fields__
    return AwsSettings(**{name: value for name, value in values.items() if name in known})


def _require_consistent(values: dict[str, Any], places: Mapping[str, str], namespace: str) -> None:
    if ("access_key" in values) != ("secret_key" in values):
        raise ConfigurationError(
            f"Of {namespace}:accessKey and {namespace}:secretKey only one is set in the stack's "
            "configuration; set both, or none."
        )
    if "token" in values and "access_key" not in values:
        raise ConfigurationError(
            f"{namespace}:token is set without {namespace}:accessKey and {namespace}:secretKey, "
            "which it belongs to; set all three, or none."
        )
    if "assume_role" in values and "assume_roles" in values:
        one, several = places["assume_role"], places["assume_roles"]
        if one.split(":")[0] == several.split(":")[0] or (
            one.startswith("aws.") and several.startswith("aws.")
        ):
            raise ConfigurationError(f"{one} and {several} are both set; remove {one}.")
        # That of the resource replaces that of the stack.
        del values["assume_role" if several.startswith("aws.") else "assume_roles"]
    restricted = [
        name for name in ("allowed_account_ids", "forbidden_account_ids") if values.get(name)
    ]
    if values.get("skip_requesting_account_id") and restricted:
        raise ConfigurationError(
            f"{places[restricted[0]]} cannot be checked, because "
            f"{places['skip_requesting_account_id']} is true; remove one of them."
        )


def check_aws(aws: Mapping[str, Any], unknown: object = None) -> list[Failure]:
    """List what is wrong with an ``aws`` argument; never raises.

    Args:
        aws: The argument.
        unknown: The value that stands for one that is not known yet.
    """
    failures = []
    for name, value in aws.items():
        path = f"aws.{name}"
        argument = next((key for key in KEYS.values() if name in (key.argument, key.name)), None)
        if argument and argument.secret:
            failures.append(
                Failure(
                    path,
                    "is a credential, and inputs are stored in the state. Set it in the stack's "
                    f"configuration: `pulumi config set --secret aws:{argument.name} ...`; for one "
                    "resource, use another namespace than aws and name it in config_namespace",
                )
            )
        elif name not in ARGUMENTS:
            failures.append(Failure(path, f"is not known; {did_you_mean(str(name), ARGUMENTS)}"))
        elif value is not None and not _has(value, unknown):
            failures += _check_argument(name, value)
    return failures


def _check_argument(name: str, value: Any) -> list[Failure]:
    if name == CONFIG_NAMESPACE:
        if isinstance(value, str) and value and ":" not in value:
            return []
        return [Failure(f"aws.{name}", "must be the name of a namespace, such as team")]
    key = KEYS[camel_case(name)]
    try:
        read = key.read(value)
    except ValueError as exc:
        return [Failure(f"aws.{name}", str(exc))]
    if isinstance(read, WebIdentityRole) and read.token:
        return [
            Failure(
                f"aws.{name}",
                "has a webIdentityToken, which is a credential, and inputs are stored in the "
                "state. Give webIdentityTokenFile, or set it in the stack's configuration",
            )
        ]
    if name in ("http_proxy", "https_proxy") and urlsplit(str(read)).password:
        return [
            Failure(
                f"aws.{name}",
                "has a password, and inputs are stored in the state. Set it in the stack's "
                f"configuration: `pulumi config set --secret aws:{key.name} ...`",
            )
        ]
    return []


def _has(value: Any, unknown: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has(item, unknown) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has(item, unknown) for item in value)
    return unknown is not None and bool(value == unknown)


def resolved_region(settings: AwsSettings) -> str:
    """Return the region to work in, and check what can be checked without a call.

    Raises:
        MissingRegionError: Nothing sets one.
        ConfigurationError: The profile or a file does not exist, or the region is not known.
    """
    from athena_session_provider.service.credentials import AwsSession

    session = AwsSession(settings)
    # boto3 reads AWS_DEFAULT_REGION alone; AWS_REGION is what pulumi-aws and the other SDKs read.
    region = settings.region or os.environ.get("AWS_REGION") or session.default_region()
    if not region:
        raise MissingRegionError
    if settings.skip_region_validation is False:
        session.require_known_region(region)
    return region


def boto3_session(settings: AwsSettings, cancelled: threading.Event | None = None) -> boto3.Session:
    """Return the boto3 session of these settings; its credentials renew themselves.

    Its clients have the endpoints, proxies, certificates and retries of the settings.

    Args:
        settings: Where and as whom to call.
        cancelled: Ends a credential process that is running.

    Raises:
        ConfigurationError: The profile or a file does not exist.
        MissingRegionError: Nothing sets a region.
    """
    import boto3

    from athena_session_provider.service.credentials import AwsSession

    region = resolved_region(settings)
    session = AwsSession(settings, region, cancelled)
    return boto3.Session(botocore_session=session, region_name=region)


def client_config(settings: AwsSettings | None = None, *, attempts: int | None = None) -> Any:
    """Return the botocore Config that all clients have: timeouts, retries and the user agent.

    Args:
        settings: Whose retries and user agents to use; the default has none.
        attempts: How often a call is sent at the most, where the settings do not say; 3 by default.
    """
    from athena_session_provider.service.credentials import client_config as config_of

    return config_of(settings or AwsSettings(), attempts=attempts)
