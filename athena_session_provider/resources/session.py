"""The ``Session`` resource, as a Pulumi program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import Resource

from athena_session_provider.provider import AthenaSessionProvider
from athena_session_provider.resources.args import (
    AwsConfig,
    ClassificationArgs,
    EngineConfigurationArgs,
)
from athena_session_provider.resources.explicit_provider import session_aws
from athena_session_provider.resources.stack_identity import owner_of_stack

TYPE = "pulumi-python:dynamic/athena:Session"


class Session(Resource, module="athena", name="Session"):
    """An Apache Spark session on Amazon Athena.

    ``pulumi up`` starts it and waits until it takes calculations; ``pulumi destroy`` ends it. A
    change of any argument but ``tags`` replaces it: the old session ends before the new one
    starts.
    """

    session_id: Output[str]
    """The id of the session; the resource's id too."""
    state: Output[str]
    """Its state when the resource was made or refreshed: ``IDLE`` or ``BUSY``."""
    arn: Output[str | None]
    """Its ARN; None where the account of the credentials cannot be found out."""
    work_group: Output[str]
    """The work group it runs in."""
    engine_version: Output[str]
    """Such as ``PySpark engine version 3``."""
    region: Output[str]
    """The region it runs in."""
    account_id: Output[str | None]
    """The account it runs in; None where that cannot be found out."""
    started_at: Output[str]
    """When it was started, in ISO 8601."""
    client_request_token: Output[str]
    """The token it was started with; empty for one that was taken over."""

    def __init__(
        self,
        name: str,
        *,
        work_group: Input[str] | None = None,
        engine_configuration: Input[EngineConfigurationArgs | Mapping[str, Any]] | None = None,
        description: Input[str] | None = None,
        notebook_version: Input[str] | None = None,
        session_idle_timeout_in_minutes: Input[int] | None = None,
        execution_role: Input[str] | None = None,
        monitoring_configuration: Input[Mapping[str, Any]] | None = None,
        copy_work_group_tags: Input[bool] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        triggers: Input[Mapping[str, Any]] | None = None,
        restart_when_dead: Input[bool] = True,
        adopt_session_id: Input[str] | None = None,
        aws: AwsConfig | Input[Mapping[str, Any]] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        """Declare a session.

        A wrong value is refused in preview already, with the property's name and the range.

        Args:
            name: The resource's name in the stack.
            work_group: The Spark work group: 1 to 128 of ``a-z A-Z 0-9 . _ -``. Required.
            engine_configuration: DPUs and Spark settings; what is left out is not sent.
            description: 1 to 1024 characters.
            notebook_version: 1 to 128 characters, such as ``Athena notebook version 1``.
            session_idle_timeout_in_minutes: 1 to 480 minutes; the service's default is 20. An
                idle session costs money until then.
            execution_role: ARN of the role that calculations use instead of the work group's.
            monitoring_configuration: Where logs go; in the API's structure
                ``MonitoringConfiguration``, in snake_case.
            copy_work_group_tags: Whether the session gets the work group's tags too.
            tags: At most 50; changed in place. Keys have 1 to 128 characters, values up to 256.
            triggers: Any values; a change of one starts a new session.
            restart_when_dead: Whether ``pulumi up`` starts a session again that has ended.
            adopt_session_id: Take over this running session instead of starting one.
            aws: Region and credentials, where they are not the stack's. An ``aws.Provider`` in
                ``opts``, or that the parent hands down, gives region, profile and endpoints, too.
            opts: Resource options; ``custom_timeouts`` (create, delete; default 10 minutes) bound
                the wait. ``import_`` does not work, use ``adopt_session_id``.

        Raises:
            ValueError: ``opts.import_`` is set.
        """
        opts = opts or ResourceOptions()
        if opts.import_ is not None:
            message = (
                f"Session {name}: Pulumi cannot import dynamic resources. To take over a running "
                f'session, write adopt_session_id="{opts.import_}" instead of import_.'
            )
            raise ValueError(message)
        super().__init__(
            AthenaSessionProvider(),
            name,
            {
                "work_group": work_group,
                "engine_configuration": _plain(engine_configuration),
                "description": description,
                "notebook_version": notebook_version,
                "session_idle_timeout_in_minutes": session_idle_timeout_in_minutes,
                "execution_role": execution_role,
                "monitoring_configuration": monitoring_configuration,
                "copy_work_group_tags": copy_work_group_tags,
                "tags": tags,
                "triggers": triggers,
                "restart_when_dead": restart_when_dead,
                "adopt_session_id": adopt_session_id,
                "aws": _plain(session_aws(aws, opts)),
                "identity": {"urn": _urn(name, opts), "owner": owner_of_stack()},
                "timeouts": _timeouts(opts),
                # Outputs: Pulumi resolves the properties that are named here.
                "session_id": None,
                "state": None,
                "arn": None,
                "engine_version": None,
                "region": None,
                "account_id": None,
                "started_at": None,
                "client_request_token": None,
            },
            # A targeted `--replace` asks no provider what to do first.
            ResourceOptions.merge(ResourceOptions(delete_before_replace=True), opts),
        )

    @classmethod
    def get(
        cls,
        name: str,
        id: Input[str],  # noqa: A002 - Pulumi's own name for it
        *,
        aws: AwsConfig | Input[Mapping[str, Any]] | None = None,
        opts: ResourceOptions | None = None,
    ) -> Session:
        """Read a session that runs already, without owning it: it is not ended by the stack.

        Args:
            name: The resource's name in the stack.
            id: The session's id.
            aws: Region and credentials, where they are not the stack's.
            opts: Resource options.
        """
        opts = ResourceOptions.merge(opts or ResourceOptions(), ResourceOptions(id=id))
        return cls(name, aws=aws, opts=opts)


def _plain(value: Any) -> Any:
    """Give args classes as the maps that Pulumi stores, without what is left out."""
    if isinstance(value, (EngineConfigurationArgs, ClassificationArgs, AwsConfig)):
        members = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {key: item for key, item in members.items() if item is not None}
    if isinstance(value, Output):
        return value.apply(_plain)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _urn(name: str, opts: ResourceOptions) -> Output[str]:
    """Compute the URN that the engine will give the resource; known before it is made."""
    parent: Any = None
    if opts.parent is not None:
        urn = opts.parent.urn
        # Without its dependencies: with them, the parent would wait for its own child.
        parent = Output(set(), urn.future(), urn.is_known(), urn.is_secret())
    return pulumi.create_urn(name, TYPE, parent)


def _timeouts(opts: ResourceOptions) -> dict[str, str] | None:
    timeouts = opts.custom_timeouts
    if timeouts is None:
        return None
    given = timeouts if isinstance(timeouts, Mapping) else vars(timeouts)
    return {key: given[key] for key in ("create", "delete") if given.get(key)}
