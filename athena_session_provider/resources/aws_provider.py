"""An ``aws.Provider`` from an ``AwsConfig``, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import Output

from athena_session_provider.resources.args import AwsConfig
from athena_session_provider.service.configuration_keys import KEYS, Key, camel_case, parsed
from athena_session_provider.service.settings import DEFAULT_NAMESPACE, OVERRULED_BY_PROFILE

if TYPE_CHECKING:
    from pulumi import ResourceOptions
    from pulumi_aws import Provider


def aws_config_from_provider(provider: pulumi.ProviderResource) -> AwsConfig:
    """Return the region, profile and endpoints of an explicit ``aws.Provider``, for a ``Session``.

    What the provider does not set comes from the environment, as for the provider itself, and not
    from the stack's configuration. A provider with keys, roles, default tags, accounts or anything
    else that a session would need to know is refused with a sentence. Write an ``AwsConfig``
    instead, and give it to ``SparkWorkgroup`` and ``Session`` alike.
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
    arguments: dict[str, Any] = {}
    for key in KEYS.values():
        given = None if key.secret else getattr(config, key.argument)
        value = _of_stack(stack, key) if given is None else given
        if value is not None:
            arguments[key.argument] = _for_the_plugin(key, value) if key.structured else value
    if config.profile is not None and config.config_namespace is None:
        for argument in OVERRULED_BY_PROFILE:
            if getattr(config, argument, None) is None:
                arguments.pop(argument, None)
    if (role := arguments.pop("assume_role", None)) is not None:
        arguments.setdefault("assume_roles", role.apply(lambda one: [one]))
    return Provider(name, **arguments, opts=opts)


def _of_stack(stack: pulumi.Config, key: Key) -> Any:
    if key.secret:
        return stack.get_secret(key.name)
    text = stack.get(key.name)
    if text is None or key.structured:
        return None if text is None else parsed(text)
    try:
        return key.read(text)  # a number or a truth value, where it is one
    except ValueError as exc:
        message = f"{stack.full_key(key.name)} {exc}."
        raise pulumi.RunError(message) from None


def _for_the_plugin(key: Key, value: Any) -> Output[Any]:
    """Return a structure as the plugin is handed it: in JSON, with the configuration's names."""

    def converted(found: Any) -> Any:
        if key.name == "defaultTags":
            return {"tags": found.get("tags", found)}
        if key.name == "endpoints" and isinstance(found, Mapping):
            return [found]
        return _camel_keys(found)

    return Output.from_input(value).apply(converted)


def _camel_keys(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_camel_keys(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {camel_case(name): item for name, item in value.items()}
    if seconds := found.pop("durationSeconds", None):
        found["duration"] = f"{int(seconds)}s"
    return found
