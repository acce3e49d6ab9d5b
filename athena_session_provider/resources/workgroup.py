"""``SparkWorkgroup``: a Spark work group with all that sessions in it need, made of pulumi-aws.

The only module that imports pulumi-aws.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import pulumi
from pulumi import Input, InvokeOptions, Output, ResourceHookArgs, ResourceOptions

try:
    from pulumi_aws import (
        athena,
        cloudwatch,
        get_caller_identity_output,
        get_partition_output,
        get_region_output,
        iam,
        s3,
    )
except ModuleNotFoundError as exc:
    missing = "SparkWorkgroup is made of pulumi-aws: pip install 'athena-session-provider[aws]'"
    raise ModuleNotFoundError(missing, name=exc.name) from exc

from athena_session_provider.resources import aws_provider, explicit_provider
from athena_session_provider.resources import iam as iam_policies
from athena_session_provider.resources.args import (
    AwsConfig,
    BucketAccessArgs,
    DatabaseAccessArgs,
    LoggingArgs,
)
from athena_session_provider.resources.workgroup_guard import WorkGroupGuard
from athena_session_provider.resources.workgroup_names import (
    BUCKET_NAME,
    check_names,
    default_work_group_name,
    log_group_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TYPE = "athena-session-provider:index:SparkWorkgroup"

PYSPARK_3 = "PySpark engine version 3"
SPARK_35 = "Apache Spark version 3.5"

RESULTS_EXPIRE_AFTER_DAYS = 30
"""How long a bucket that is made here keeps results; as long as the service keeps its own logs."""

IAM_PROPAGATION_SECONDS = 15.0
"""How long a new or changed execution role takes to be known to all of AWS, generously.

IAM is eventually consistent and has no way to ask. Nothing refuses a role that is too new: a
session starts, and then hangs or fails.
"""

T = TypeVar("T")


class SparkWorkgroup(pulumi.ComponentResource):
    """A work group for Apache Spark sessions that is ready to use.

    It makes the execution role with the permissions that sessions need and no other, a bucket for
    results that is private, encrypted and empties itself, and the work group. Region, credentials
    and default tags are the stack's, or those of ``aws``, the same argument as a ``Session``'s, or
    those of an ``aws.Provider`` in ``opts``.
    """

    name: Output[str]
    """The work group's name, for ``Session(work_group=...)``."""
    arn: Output[str]
    """The work group's ARN, for ``session_policy``."""
    role_arn: Output[str]
    """The execution role's ARN."""
    result_location: Output[str]
    """Where results go: ``s3://bucket/`` or, in a bucket that was given, a folder of its own."""

    def __init__(
        self,
        name: str,
        *,
        result_bucket: Input[str] | None = None,
        engine_version: str = PYSPARK_3,
        kms_key: Input[str] | None = None,
        logging: LoggingArgs | None = None,
        database_access: Sequence[Input[str] | DatabaseAccessArgs] = (),
        bucket_access: Sequence[Input[str] | BucketAccessArgs] = (),
        force_destroy: Input[bool] = False,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        aws: AwsConfig | None = None,
        work_group_name: str | None = None,
        iam_propagation_seconds: float = IAM_PROPAGATION_SECONDS,
        opts: ResourceOptions | None = None,
    ) -> None:
        """Make a Spark work group.

        Args:
            name: The component's name in the stack.
            result_bucket: Name of a bucket that exists, for results; None makes one whose objects
                expire after 30 days.
            engine_version: ``PySpark engine version 3`` or ``Apache Spark version 3.5``. It can be
                changed: sessions that start from then on have the new one.
            kms_key: ARN of the KMS key that results are encrypted with; None for S3's own keys, or
                for what ``result_bucket`` does by itself. A bucket that encrypts with a key of
                yours needs the key here, too, so that the role may use it.
            logging: A CloudWatch log group for the sessions of engine 3.5. None leaves it at what
                the service keeps by itself for 30 days.
            database_access: Glue databases that sessions may use: names, to read them, or
                ``DatabaseAccessArgs``.
            bucket_access: Buckets that sessions may use: names, to read them, or
                ``BucketAccessArgs``.
            force_destroy: Whether to delete the work group with its live sessions, and the bucket
                with its objects. Otherwise deleting either is refused, and nothing is lost.
            tags: Tags of everything that is made.
            aws: Region, credentials, endpoints and default tags, where they are not the stack's.
            work_group_name: The work group's name in AWS, 1 to 128 letters, digits and ``._-``.
                None makes one of the component's name and a hash of the stack and of the names
                of project, organization and parent: whoever renames one of those and wants to
                keep the work group gives its name here.
            iam_propagation_seconds: How long to wait after the execution role was made or changed,
                until it can be relied on. 0 is for emulators.
            opts: Resource options. ``provider`` or ``providers`` may hold an ``aws.Provider``; see
                ``aws_config_from_provider`` for what a session can take over from it.

        Raises:
            ValueError: A name or the engine version will not do.
        """
        opts = opts or ResourceOptions()
        work_group = work_group_name or default_work_group_name(name, opts.parent)
        check_names(name, work_group, result_bucket, kms_key)
        _check_engine(engine_version, logging)
        databases = [_database(item) for item in _listed(database_access, "database_access")]
        buckets = [_bucket(item) for item in _listed(bucket_access, "bucket_access")]
        if aws and opts.provider:
            message = f"SparkWorkgroup {name}: give either aws or a provider in opts, not both"
            raise ValueError(message)
        if aws:
            above = ResourceOptions(parent=opts.parent)
            provider = aws_provider.aws_provider_from_config(f"{name}-aws", aws, above)
            opts = ResourceOptions.merge(opts, ResourceOptions(providers=[provider]))
        super().__init__(TYPE, name, {}, opts)

        place = self._place()
        own_bucket = None
        ready: list[pulumi.Resource] = []
        if result_bucket is None:
            own_bucket, ready = self._results_bucket(name, kms_key, force_destroy, tags)
            result_bucket = own_bucket.bucket
        # Several users may share a bucket that was given.
        prefix = "" if own_bucket else f"{work_group}/"
        self.result_location = Output.concat("s3://", result_bucket, "/", prefix)

        role_policy = Output.all(
            place=place,
            bucket=result_bucket,
            kms_key=kms_key,
            log_group=log_group_name(work_group) if logging else None,
            databases=databases,
            buckets=buckets,
        ).apply(
            lambda given: iam_policies.execution_role_policy(
                iam_policies.Place(*given["place"]),
                work_group,
                iam_policies.Access(given["bucket"], write=True, prefix=prefix),
                kms_key=given["kms_key"],
                log_group=given["log_group"],
                databases=[iam_policies.Access(*item) for item in given["databases"]],
                buckets=[iam_policies.Access(*item) for item in given["buckets"]],
            )
        )
        role, permitted = self._role(
            name, work_group, place, role_policy, tags=tags, settle_seconds=iam_propagation_seconds
        )
        ready.append(permitted)

        made = athena.Workgroup(
            name,
            name=work_group,
            configuration={
                "engine_version": {"selected_engine_version": engine_version},
                "execution_role": role.arn,
                "result_configuration": {
                    "output_location": self.result_location,
                    "encryption_configuration": (
                        # Of a bucket that was given, the owner knows how it is encrypted.
                        _result_encryption(kms_key) if own_bucket or kms_key is not None else None
                    ),
                },
                "monitoring_configuration": (
                    self._logging(name, work_group, logging, tags) if logging else None
                ),
            },
            force_destroy=force_destroy,
            tags=tags,
            # Not before the role is known everywhere, and the bucket is encrypted and closed. The
            # name is fixed: there cannot be two.
            opts=self._child(depends_on=ready, delete_before_replace=True),
        )
        guard = self._guard(
            name,
            made.name,
            place,
            bucket=own_bucket.bucket if own_bucket else None,
            force_destroy=force_destroy,
            aws=aws,
            depends_on=ready,
        )

        # Whoever uses the name of the guard is deleted before the guard, and so before the rest.
        self.name = guard.work_group
        self.arn = made.arn
        self.role_arn = role.arn
        self.register_outputs(
            {
                "name": self.name,
                "arn": self.arn,
                "role_arn": self.role_arn,
                "result_location": self.result_location,
            }
        )

    def _child(self, **options: Any) -> ResourceOptions:
        return ResourceOptions(parent=self, **options)

    def _place(self) -> Output[iam_policies.Place]:
        """Ask where the provider works, which is known in preview already."""
        opts = InvokeOptions(parent=self)
        return Output.all(
            get_partition_output(opts=opts).partition,
            get_region_output(opts=opts).region,
            get_caller_identity_output(opts=opts).account_id,
        ).apply(lambda found: iam_policies.Place(*found))

    def _role(
        self,
        name: str,
        work_group: str,
        place: Output[iam_policies.Place],
        document: Output[dict[str, Any]],
        *,
        tags: Input[Mapping[str, Input[str]]] | None,
        settle_seconds: float,
    ) -> tuple[iam.Role, iam.RolePolicy]:
        """Make the execution role and its policy, and wait until both can be relied on."""
        settle = _wait_for_iam(self, work_group, settle_seconds)
        role = iam.Role(
            f"{name}-role",
            description=f"What sessions in the Athena work group {work_group} may do",
            assume_role_policy=place.apply(
                lambda place: json.dumps(iam_policies.trust_policy(place, work_group))
            ),
            tags=tags,
            # A new role is not waited for by itself: its policy comes after it.
            opts=self._child(hooks=pulumi.ResourceHookBinding(after_update=[settle])),
        )
        permitted = iam.RolePolicy(
            f"{name}-role-policy",
            role=role.name,
            policy=document.apply(json.dumps),
            opts=self._child(
                hooks=pulumi.ResourceHookBinding(after_create=[settle], after_update=[settle])
            ),
        )
        return role, permitted

    def _results_bucket(
        self,
        name: str,
        kms_key: Input[str] | None,
        force_destroy: Input[bool],
        tags: Input[Mapping[str, Input[str]]] | None,
    ) -> tuple[s3.Bucket, list[pulumi.Resource]]:
        """Make the bucket for results, and what has to be there before it is used."""
        bucket = s3.Bucket(
            f"{name}-results", force_destroy=force_destroy, tags=tags, opts=self._child()
        )
        closed = s3.BucketPublicAccessBlock(
            f"{name}-results-private",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child(),
        )
        encrypted = s3.BucketServerSideEncryptionConfiguration(
            f"{name}-results-encryption",
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms" if kms_key is not None else "AES256",
                        "kms_master_key_id": kms_key,
                    },
                    # One request to KMS for many objects, not one for each.
                    "bucket_key_enabled": kms_key is not None,
                }
            ],
            opts=self._child(),
        )
        expiring = s3.BucketLifecycleConfiguration(
            f"{name}-results-expiry",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "expire-results",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": RESULTS_EXPIRE_AFTER_DAYS},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=self._child(),
        )
        tls_only = s3.BucketPolicy(
            f"{name}-results-tls-only",
            bucket=bucket.bucket,
            policy=bucket.arn.apply(lambda arn: json.dumps(iam_policies.tls_only_policy(arn))),
            # S3 takes one change of a bucket's access at a time.
            opts=self._child(depends_on=[closed]),
        )
        return bucket, [closed, encrypted, expiring, tls_only]

    def _logging(
        self,
        name: str,
        work_group: str,
        logging: LoggingArgs,
        tags: Input[Mapping[str, Input[str]]] | None,
    ) -> athena.WorkgroupConfigurationMonitoringConfigurationArgsDict:
        """Make the log group and give the configuration that uses it."""
        log_group = cloudwatch.LogGroup(
            f"{name}-logs",
            name=log_group_name(work_group),
            retention_in_days=logging.retention_in_days,
            kms_key_id=logging.kms_key,
            tags=tags,
            opts=self._child(delete_before_replace=True),
        )
        return {
            "cloud_watch_logging_configuration": {"enabled": True, "log_group": log_group.name},
            # What the service does by itself where it is told nothing.
            "managed_logging_configuration": {"enabled": True},
        }

    def _guard(
        self,
        name: str,
        work_group: Input[str],
        place: Output[iam_policies.Place],
        *,
        bucket: Input[str] | None,
        force_destroy: Input[bool],
        aws: AwsConfig | None,
        depends_on: Sequence[pulumi.Resource],
    ) -> WorkGroupGuard:
        settings: Output[Any] | None = None
        can_check: Input[bool] = True
        if aws:
            given = {field.name: getattr(aws, field.name) for field in fields(aws)}
            settings = Output.from_input(given)
        elif provider := self.get_provider("aws:athena/workgroup:Workgroup"):
            readable = explicit_provider.readable(provider)
            settings = readable.apply(lambda found: found["aws"])
            can_check = readable.apply(lambda found: not found["refused"])
        return WorkGroupGuard(
            f"{name}-guard",
            work_group=work_group,
            region=place.apply(lambda place: place.region),
            account_id=place.apply(lambda place: place.account_id),
            bucket=bucket,
            force_destroy=force_destroy,
            aws=settings,
            can_check=can_check,
            opts=self._child(depends_on=depends_on),
        )


def _check_engine(engine_version: str, logging: LoggingArgs | None) -> None:
    problem = None
    if "spark" not in engine_version.lower():
        problem = (
            f"engine_version {engine_version!r} is not one of Apache Spark, such as {PYSPARK_3!r} "
            f"or {SPARK_35!r}"
        )
    elif logging and engine_version == PYSPARK_3:
        problem = (
            f"logging needs engine_version={SPARK_35!r}, since {PYSPARK_3!r} delivers no logs to "
            "a log group of one's own"
        )
    if problem:
        message = f"SparkWorkgroup: {problem}"
        raise ValueError(message)


def _listed(items: Sequence[T], argument: str) -> Sequence[T]:
    if isinstance(items, str):
        message = f"SparkWorkgroup: {argument} has to be a list, such as [{items!r}]"
        raise TypeError(message)
    return items


def _wait_for_iam(
    component: pulumi.Resource, work_group: str, seconds: float
) -> pulumi.ResourceHook:
    """Give a hook by which the engine waits before it takes a change of the role for done.

    So nothing that depends on the role comes too early, and an up that changes nothing waits for
    nothing.
    """

    async def wait(args: ResourceHookArgs) -> None:
        if seconds > 0:
            message = f"waiting {seconds:g}s for IAM to spread {args.name}"
            pulumi.log.info(message, resource=component, ephemeral=True)
            await asyncio.sleep(seconds)

    # The name has to be the stack's only one, and the same in every run.
    return pulumi.ResourceHook(f"wait for IAM, {work_group}", wait)


def _result_encryption(
    kms_key: Input[str] | None,
) -> athena.WorkgroupConfigurationResultConfigurationEncryptionConfigurationArgsDict:
    if kms_key is None:
        return {"encryption_option": "SSE_S3"}
    return {"encryption_option": "SSE_KMS", "kms_key_arn": kms_key}


def _database(item: Input[str] | DatabaseAccessArgs) -> list[Input[Any]]:
    if not isinstance(item, DatabaseAccessArgs):
        item = DatabaseAccessArgs(database=item)
    return [item.database, item.write]


def _bucket(item: Input[str] | BucketAccessArgs) -> list[Input[Any]]:
    if not isinstance(item, BucketAccessArgs):
        item = BucketAccessArgs(bucket=item)
    if isinstance(item.bucket, str) and not BUCKET_NAME.fullmatch(item.bucket):
        message = (
            f"SparkWorkgroup: bucket_access {item.bucket!r} has to be a bucket's name, without "
            "s3:// or /; BucketAccessArgs(bucket=..., prefix=...) opens a part of one"
        )
        raise ValueError(message)
    return [item.bucket, item.write, item.prefix or ""]
