"""What a session takes over from an explicit ``aws.Provider``, without pulumi-aws.

The engine answers ``pulumi:pulumi:getResource`` with the inputs of a provider, in preview too.
Region, profile and endpoints are taken over. A provider with anything else that matters, such as
keys, roles, default tags or a list of accounts, is refused, and the stack's own settings are not
used instead.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi import Output

from athena_session_provider.service.configuration_keys import KEYS
from athena_session_provider.service.settings import CONFIG_NAMESPACE, DEFAULT_NAMESPACE

NAMESPACE = "explicit-provider"
"""A namespace that no stack's configuration has: an explicit provider reads none of it."""

DYNAMIC = "pulumi-python"
"""The package of dynamic resources of Python programs."""

TAKEN_OVER = ("region", "profile", "endpoints")

WITHOUT_EFFECT = frozenset(
    {
        "s3UsEast1RegionalEndpoint",
        "s3UsePathStyle",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "tagPolicyCompliance",
        "tokenBucketRateLimiterCapacity",
        "userAgents",
        # Not settings of AWS, but which plugin of Pulumi to use.
        "pluginDownloadURL",
        "version",
    }
)
"""Inputs of a provider that change neither where nor as whom a session works."""

_SECRETS = {key.argument for key in KEYS.values() if key.secret}


def session_aws(aws: Any, opts: pulumi.ResourceOptions) -> Any:
    """Return the input ``aws`` of a resource, with what its explicit ``aws.Provider`` has.

    The provider is that of ``opts.provider`` or ``opts.providers``, or the one that the parent
    hands down. Members of ``aws`` win over the provider's, and both over the stack's.

    Args:
        aws: The argument: an AwsConfig, a map, an Output of one, or None.
        opts: The resource's options.

    Returns:
        ``aws`` as it is where there is no such provider. An Output that fails, in preview already,
        with a sentence where the provider has what can be neither taken over nor found in ``aws``.
    """
    provider = provider_of(opts, "aws")
    if provider is None:
        return aws
    if dataclasses.is_dataclass(aws) and not isinstance(aws, type):
        members = {field.name: getattr(aws, field.name) for field in dataclasses.fields(aws)}
        aws = {name: value for name, value in members.items() if value is not None}
    namespace = aws.get(CONFIG_NAMESPACE) if isinstance(aws, Mapping) else None
    stack = pulumi.Config(namespace if isinstance(namespace, str) else DEFAULT_NAMESPACE)
    merged = Output.all(
        given=aws,
        inputs=_inputs(provider),
        stack={name: stack.get_secret(name) for name in KEYS},
    ).apply(lambda found: _merged(found["given"], found["inputs"], found["stack"]))
    # The stack's keys were compared, and none of them is in the result.
    return Output.unsecret(merged)


def provider_of(opts: pulumi.ResourceOptions, package: str) -> pulumi.ProviderResource | None:
    """Return the explicit provider of a package that a resource has, its own or its parent's."""
    if opts.provider is not None and opts.provider.package == package:
        return opts.provider
    providers: Sequence[pulumi.ProviderResource] = ()
    if isinstance(opts.providers, Mapping):
        providers = list(opts.providers.values())
    elif opts.providers:
        providers = opts.providers
    for provider in providers:
        if provider.package == package:
            return provider
    # Any type of the package will do.
    return opts.parent.get_provider(f"{package}:index:Any") if opts.parent else None


def config_members(provider: pulumi.ProviderResource) -> dict[str, Any]:
    """Return the members of the ``AwsConfig`` that works as the provider does.

    They fail with a sentence where the provider has what a session cannot take over.
    """
    found = _inputs(provider).apply(lambda inputs: _merged(None, inputs, {}))
    members = {name: _member(found, name) for name in TAKEN_OVER}
    return {**members, CONFIG_NAMESPACE: NAMESPACE}


def _member(found: Output[dict[str, Any]], name: str) -> Output[Any]:
    return found.apply(lambda aws: aws.get(name))


def readable(provider: pulumi.ProviderResource) -> Output[dict[str, Any]]:
    """Return ``aws`` for AwsConfig, and what is ``refused``, by the names of arguments."""
    return _inputs(provider).apply(
        lambda inputs: {"aws": _taken_over(inputs), "refused": _refused(inputs)}
    )


def _inputs(provider: pulumi.ProviderResource) -> Output[dict[str, Any]]:
    """Return a provider's inputs from the engine, by configuration keys, structures as JSON."""

    async def ask(urn: str) -> dict[str, Any]:
        found: Any = await pulumi.runtime.invoke_async("pulumi:pulumi:getResource", {"urn": urn})
        # With its id, which is not known in preview, all of the answer would be unknown.
        return dict(found["state"] or {})

    return provider.urn.apply(ask)


def _taken_over(inputs: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: inputs[name] for name in TAKEN_OVER if inputs.get(name)}
    if isinstance(found.get("endpoints"), str):
        found["endpoints"] = json.loads(found["endpoints"])
    return {**found, CONFIG_NAMESPACE: NAMESPACE}


def _refused(inputs: Mapping[str, Any]) -> list[str]:
    arguments = {key.name: key.argument for key in KEYS.values()}
    return sorted(
        arguments.get(name, name)
        for name, value in inputs.items()
        if name not in TAKEN_OVER
        and name not in WITHOUT_EFFECT
        and value not in (None, "", "[]", "{}", "false")
    )


def _merged(
    given: Mapping[str, Any] | None,
    inputs: Mapping[str, Any],
    stack: Mapping[str, Any],
) -> dict[str, Any]:
    given = {name: value for name, value in (given or {}).items() if value is not None}
    of_stack = {key.argument for key in KEYS.values() if _is_same(key.name, inputs, stack)}
    stated = set(given) | (_SECRETS if "profile" in given else set())
    refused = [name for name in _refused(inputs) if name not in stated | of_stack]
    if given.get(CONFIG_NAMESPACE, DEFAULT_NAMESPACE) != DEFAULT_NAMESPACE:
        refused = []  # it is a place for all settings of its own, keys included
    if refused or (not given and _refused(inputs)):
        raise pulumi.RunError(refusal(refused or _refused(inputs)))
    found = _taken_over(inputs)
    if of_stack & set(_refused(inputs)) - stated:
        # The provider was made from the stack's settings, as `aws_provider_from_config` makes it.
        del found[CONFIG_NAMESPACE]
    return {**found, **given}


def _is_same(name: str, inputs: Mapping[str, Any], stack: Mapping[str, Any]) -> bool:
    """Return whether a provider has for a key what the stack's configuration says."""
    key = KEYS[name]
    if inputs.get(name) is None or stack.get(name) is None:
        return False
    try:
        return bool(key.read(inputs[name]) == key.read(stack[name]))
    except ValueError:
        return False


def refusal(names: Sequence[str]) -> str:
    """Say that a session cannot do what a provider does, and what to write instead."""
    return (
        f"The aws.Provider has {', '.join(names)}, which a session cannot take over from it. Write "
        "the same settings into an AwsConfig, such as "
        'config = AwsConfig(region="eu-west-1", assume_roles=[...]), and give aws=config to '
        "SparkWorkgroup and Session alike, instead of the provider; aws_provider_from_config makes "
        "an aws.Provider from it for other resources. Keys go into the stack's configuration, "
        "under `aws` or under a namespace of their own (`pulumi config set --secret "
        'other:secretKey`) that AwsConfig(config_namespace="other") names.'
    )
