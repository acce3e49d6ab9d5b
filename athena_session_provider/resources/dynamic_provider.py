"""An explicit provider for sessions, for stacks that disable Pulumi's default providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from athena_session_provider.resources.explicit_provider import DYNAMIC
from athena_session_provider.service.configuration_keys import KEYS
from athena_session_provider.service.settings import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence


class DynamicProvider(pulumi.ProviderResource):
    """The provider of dynamic resources, as a resource of its own.

    Pulumi makes it by itself, unless ``pulumi:disable-default-providers`` has ``*`` or
    ``pulumi-python``. Then make one, and give it to each ``Session`` (``provider=``) and to each
    ``SparkWorkgroup`` (``providers=[...]``, beside an ``aws.Provider``).
    """

    def __init__(
        self,
        name: str,
        *,
        namespaces: Sequence[str] = (DEFAULT_NAMESPACE,),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the provider.

        Args:
            name: The resource's name in the stack.
            namespaces: Those of the stack's configuration that its resources read: ``aws``, and
                those that ``AwsConfig(config_namespace=...)`` names. Their values are inputs of
                the provider, which are stored in the state; secrets are encrypted there.
            opts: Resource options.
        """
        inputs = {}
        for namespace in namespaces:
            stack = pulumi.Config(namespace)
            for key in KEYS:
                full = f"{namespace}:{key}"
                secret = pulumi.runtime.is_config_secret(full)
                value = stack.get_secret(key) if secret else stack.get(key)
                if value is not None:
                    inputs[full] = value
        super().__init__(DYNAMIC, name, inputs, opts)
