"""Resources that protect a work group and its bucket from deletion while they are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi.dynamic import Resource

from athena_session_provider.guard import WorkGroupGuardProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input, Output, ResourceOptions


class WorkGroupGuard(Resource, module="athena", name="WorkGroupGuard"):
    """Protects a work group from deletion while it has live sessions."""

    work_group: Output[str]
    """The work group's name; resources that use this output are deleted before the guard."""

    def __init__(
        self,
        name: str,
        *,
        work_group: Input[str],
        region: Input[str],
        account_id: Input[str],
        force_destroy: Input[bool],
        aws: Input[Mapping[str, Any]] | None,
        can_check: Input[bool],
        opts: ResourceOptions,
    ) -> None:
        """Guard a work group.

        Args:
            name: The resource's name in the stack.
            work_group: The work group's name.
            region: The work group's region.
            account_id: The work group's account.
            force_destroy: Whether to terminate live sessions instead of refusing.
            aws: Region and credentials as in ``AwsConfig``; None for the stack's.
            can_check: Whether credentials are available to check.
            opts: Resource options; must depend on the work group.
        """
        inputs = {
            "work_group": work_group,
            "region": region,
            "account_id": account_id,
            "force_destroy": force_destroy,
            "aws": aws,
            "can_check": can_check,
        }
        super().__init__(WorkGroupGuardProvider(), name, inputs, opts)


class BucketGuard(Resource, module="athena", name="BucketGuard"):
    """Protects a work group's bucket from deletion while it has objects.

    A resource of its own, because a work group is replaced without its bucket.
    """

    def __init__(
        self,
        name: str,
        *,
        bucket: Input[str],
        region: Input[str],
        account_id: Input[str],
        force_destroy: Input[bool],
        aws: Input[Mapping[str, Any]] | None,
        can_check: Input[bool],
        opts: ResourceOptions,
    ) -> None:
        """Guard a bucket.

        Args:
            name: The resource's name in the stack.
            bucket: The bucket's name.
            region: The bucket's region.
            account_id: The bucket's account.
            force_destroy: Whether the objects may be deleted; then nothing is checked.
            aws: Region and credentials as in ``AwsConfig``; None for the stack's.
            can_check: Whether credentials are available to check.
            opts: Resource options; must depend on the bucket and the work group.
        """
        inputs = {
            "bucket": bucket,
            "region": region,
            "account_id": account_id,
            "force_destroy": force_destroy,
            "aws": aws,
            "can_check": can_check,
        }
        super().__init__(WorkGroupGuardProvider(), name, inputs, opts)
