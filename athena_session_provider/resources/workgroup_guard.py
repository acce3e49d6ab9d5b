"""The resource that keeps a work group and its bucket while they are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi.dynamic import Resource

from athena_session_provider.guard import WorkGroupGuardProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input, Output, ResourceOptions


class WorkGroupGuard(Resource, module="athena", name="WorkGroupGuard"):
    """Keeps a work group and its bucket from being deleted while they are in use."""

    work_group: Output[str]
    """The work group's name; who uses it from here is deleted before the guard looks."""

    def __init__(
        self,
        name: str,
        *,
        work_group: Input[str],
        region: Input[str],
        account_id: Input[str],
        bucket: Input[str] | None,
        force_destroy: Input[bool],
        aws: Input[Mapping[str, Any]] | None,
        can_check: Input[bool],
        opts: ResourceOptions,
    ) -> None:
        """Guard a work group.

        Args:
            name: The resource's name in the stack.
            work_group: The work group's name.
            region: Where it is.
            account_id: Whose it is.
            bucket: The bucket that is deleted with it; None for one that stays.
            force_destroy: Whether live sessions are to be ended, and objects to be deleted.
            aws: Region and credentials as in ``AwsConfig``, where they are not the stack's.
            can_check: Whether credentials can be had for looking.
            opts: Resource options; it has to depend on what it guards.
        """
        super().__init__(
            WorkGroupGuardProvider(),
            name,
            {
                "work_group": work_group,
                "region": region,
                "account_id": account_id,
                "bucket": bucket,
                "force_destroy": force_destroy,
                "aws": aws,
                "can_check": can_check,
            },
            opts,
        )
