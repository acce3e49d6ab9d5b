"""What a program can read of an explicit ``aws.Provider``, without pulumi-aws.

Pulumi answers the registration of a provider with its inputs, and keeps as attributes those whose
name is the same in Python or that have a property: region, profile, keys and endpoints. Roles to
assume, default tags, files of credentials and web identities cannot be had.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import Output
from pulumi.output import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "explicit-provider"
"""A namespace that no stack's configuration has: an explicit provider reads none of it."""

_KEYS = ("access_key", "secret_key", "token")


def config_members(provider: pulumi.ProviderResource) -> dict[str, Any]:
    """Give the members of the ``AwsConfig`` that works as the provider does.

    They fail with a sentence, as soon as that is known, where the provider has keys.
    """
    found = readable(provider).apply(_require_no_keys)
    return {
        "region": found.apply(lambda aws: aws["region"]),
        "profile": found.apply(lambda aws: aws["profile"]),
        "endpoints": found.apply(lambda aws: aws["endpoints"]),
        "config_namespace": NAMESPACE,
    }


def readable(provider: pulumi.ProviderResource) -> Output[dict[str, Any]]:
    """Read a provider: ``aws`` for AwsConfig, and the ``keys`` that it has, by their names."""
    # Endpoints have no property of their own; what the engine answers with is an attribute.
    names = (*_KEYS, "region", "profile", "endpoints")
    given = Output.all(**{name: vars(provider).get(name) for name in names})
    # Nothing secret is passed on. In preview, what is not set is said to be unknown.
    return Output.unsecret(given).apply(_without_keys, run_with_unknowns=True)


def _without_keys(given: Mapping[str, Any]) -> dict[str, Any]:
    def known(name: str) -> Any:
        return None if isinstance(given[name], Unknown) else given[name]

    endpoints = given["endpoints"]
    return {
        "aws": {
            "region": given["region"],
            "profile": known("profile"),
            "endpoints": json.loads(endpoints) if isinstance(endpoints, str) else None,
            "config_namespace": NAMESPACE,
        },
        "keys": [name for name in _KEYS if known(name)],
    }


def _require_no_keys(readable: Mapping[str, Any]) -> dict[str, Any]:
    if readable["keys"]:
        message = (
            f"The aws.Provider has {', '.join(readable['keys'])}, which a session cannot store. "
            "Put the keys into the stack's configuration, under a namespace of their own "
            "(`pulumi config set --secret other:secretKey`, and so on), write "
            'config = AwsConfig(region=..., config_namespace="other"), and give aws=config to '
            "SparkWorkgroup and Session alike, instead of the provider."
        )
        raise pulumi.RunError(message)
    aws: dict[str, Any] = readable["aws"]
    return aws
