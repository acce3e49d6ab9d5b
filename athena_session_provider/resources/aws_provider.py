"""An ``aws.Provider`` from an ``AwsConfig``, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import Output

from athena_session_provider.resources.args import AwsConfig
from athena_session_provider.service.settings import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from pulumi import ResourceOptions
    from pulumi_aws import Provider


def aws_config_from_provider(provider: pulumi.ProviderResource) -> AwsConfig:
    """Give the region, profile and endpoints of an explicit ``aws.Provider``, for a ``Session``.

    What the provider does not set comes from the environment, as for the provider itself, and not
    from the stack's configuration. A provider with keys is refused as soon as they are known: a
    session cannot store keys.

    Pulumi lets a program read no more of a provider: not the roles that it assumes, its default
    tags, its files of credentials or its web identity. For roles, tags and keys, write an
    ``AwsConfig`` instead, and give it to ``SparkWorkgroup`` and ``Session`` alike.
    """
    return AwsConfig.from_provider(provider)


def aws_provider_from_config(
    name: str, config: AwsConfig, opts: ResourceOptions | None = None
) -> Provider:
    """Make an explicit provider that works where, and as whom, ``Session(aws=config)`` does.

    Keys are read from the stack's configuration, in the namespace that ``config`` names.
    """
    from pulumi_aws import Provider

    stack = pulumi.Config(config.config_namespace or DEFAULT_NAMESPACE)

    def either(given: Any, key: str) -> Any:
        return stack.get(key) if given is None else given

    def structure(given: Any, key: str) -> Any:
        found = stack.get_object(key) if given is None else given
        # The plugin is handed JSON, in which names are as in the stack's configuration.
        return None if found is None else Output.from_input(found).apply(_camel_keys)

    endpoints = structure(config.endpoints, "endpoints")
    tags = config.default_tags
    if tags is None:
        tags = stack.get_object("defaultTags")
    return Provider(
        name,
        region=either(config.region, "region"),
        profile=either(config.profile, "profile"),
        access_key=stack.get_secret("accessKey"),
        secret_key=stack.get_secret("secretKey"),
        token=stack.get_secret("token"),
        assume_roles=structure(config.assume_roles, "assumeRoles"),
        endpoints=endpoints and endpoints.apply(_listed_maps),
        default_tags=None if tags is None else Output.from_input(tags).apply(_default_tags),
        opts=opts,
    )


def _camel_keys(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_camel_keys(item) for item in value]
    if isinstance(value, Mapping):
        return {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): value[key] for key in value}
    return value


def _listed_maps(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


def _default_tags(value: Mapping[str, Any]) -> Any:
    return {"tags": value.get("tags", value)}
