"""The ``Session`` resource, as a Pulumi program sees it."""

from __future__ import annotations

import asyncio
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
from athena_session_provider.resources.explicit_provider import DYNAMIC, provider_of, session_aws
from athena_session_provider.resources.stack_sessions import identity_for, note_used

TYPE = "pulumi-python:dynamic/athena:Session"


class Session(Resource, module="athena", name="Session"):
    """An Apache Spark session on Amazon Athena.

    ``pulumi up`` starts it (StartSession) and waits until it is ready; ``pulumi destroy``
    terminates it (TerminateSession). A change of any argument but ``tags`` replaces it: the old
    session is terminated before the new one starts.
    """

    session_id: Output[str]
    """The id of the session; the resource's id too."""
    state: Output[str]
    """Its state when it was created or refreshed: ``CREATED`` (engine 3.5), ``IDLE`` or ``BUSY``;
    ``TERMINATED`` for one that ended and was not to be restarted."""
    arn: Output[str | None]
    """Its ARN; None if the account of the credentials cannot be determined."""
    work_group: Output[str]
    """The work group it runs in."""
    engine_version: Output[str]
    """Such as ``PySpark engine version 3``."""
    region: Output[str]
    """The region it runs in."""
    account_id: Output[str | None]
    """The account it runs in; None if it cannot be determined."""
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

        Preview refuses an invalid value, with the property's name and the valid range.

        Args:
            name: The resource's name in the stack.
            work_group: The Spark work group: 1 to 128 of ``a-z A-Z 0-9 . _ -``. Required.
            engine_configuration: DPUs and Spark settings; members that are left out are not sent.
            description: 1 to 1024 characters. The provider appends its mark, by which it
                recognizes the session.
            notebook_version: 1 to 128 characters, such as ``Athena notebook version 1``.
            session_idle_timeout_in_minutes: 1 to 480 minutes; the service's default is 20. An
                idle session costs money until then.
            execution_role: ARN of the role that Spark uses instead of the work group's.
            monitoring_configuration: Where logs go: the API's structure
                ``MonitoringConfiguration``, in snake_case.
            copy_work_group_tags: Whether the session gets the work group's tags, too. The
                service's default is true. Such tags are not drift, and are not removed.
            tags: At most 50; changed in place. Keys have 1 to 128 characters, values up to 256.
            triggers: Any values; a change of one starts a new session.
            restart_when_dead: Whether ``pulumi up`` starts a session again that has ended. With
                False, the resource keeps the ended session until an argument or trigger changes.
            adopt_session_id: Take over this running session instead of starting one.
            aws: Region and credentials, if they differ from the stack's. An ``aws.Provider`` in
                ``opts``, or from the parent, gives region, profile and endpoints, too.
            opts: Resource options. ``custom_timeouts`` (create and delete; default 10 minutes)
                limits the wait. With ``protect``, a session that ended is not replaced; a warning
                says so. ``import_`` does not work: use ``adopt_session_id``.

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
        properties = {
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
        }
        super().__init__(
            AthenaSessionProvider(),
            name,
            {
                **properties,
                "identity": _identity(name, properties, opts, reads=opts.id is not None),
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
        """Read a running session without owning it: the stack does not terminate it.

        Args:
            name: The resource's name in the stack.
            id: The session's id.
            aws: Region and credentials, if they differ from the stack's.
            opts: Resource options.
        """
        opts = ResourceOptions.merge(opts or ResourceOptions(), ResourceOptions(id=id))
        return cls(name, aws=aws, opts=opts)


def _plain(value: Any) -> Any:
    """Return args classes as the maps that Pulumi stores, without the members left out."""
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


def _identity(
    name: str, properties: Mapping[str, Any], opts: ResourceOptions, *, reads: bool
) -> dict[str, Any]:
    """Return the input that the provider needs and a program does not write."""
    protected = opts.protect
    if protected is None and opts.parent is not None:
        # Pulumi hands the option down to children, and has no public name for the parent's.
        protected = getattr(opts.parent, "_protect", None)
    identity: dict[str, Any] = {
        "urn": _urn(name, opts),
        "secrets": _secrets(properties),
        "protected": protected or None,
        "create_before_delete": True if opts.delete_before_replace is False else None,
    }
    note_used(opts.id)
    note_used(properties["adopt_session_id"])
    if not reads:
        identity["owner"] = identity_for(
            name,
            opts.parent,
            properties["work_group"],
            properties["aws"],
            provider_of(opts, DYNAMIC),
        )
    return identity


def _secrets(properties: Mapping[str, Any]) -> Output[list[str] | None]:
    """Return the names of the properties that hold secrets, which the provider is not told."""
    outputs = {name: Output.from_input(value) for name, value in properties.items() if value}

    async def names() -> list[str] | None:
        return [name for name, value in outputs.items() if await value.is_secret()] or None

    async def true() -> bool:
        return True

    return Output(set(), asyncio.ensure_future(names()), asyncio.ensure_future(true()))


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
