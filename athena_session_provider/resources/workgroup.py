"""``SparkWorkgroup``: an Athena work group for Spark and everything its sessions need.

Built on pulumi-aws. Besides ``aws_provider``, this is the only module that imports it.
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
    missing = "SparkWorkgroup requires pulumi-aws: pip install 'athena-session-provider[aws]'"
    raise ModuleNotFoundError(missing, name=exc.name) from exc

from athena_session_provider.resources import aws_provider, explicit_provider
from athena_session_provider.resources import iam as iam_policies
from athena_session_provider.resources.args import (
    AwsConfig,
    BucketAccessArgs,
    DatabaseAccessArgs,
    LoggingArgs,
)
from athena_session_provider.resources.workgroup_guard import BucketGuard, WorkGroupGuard
from athena_session_provider.resources.workgroup_names import (
    BUCKET_NAME,
    check_names,
    default_work_group_name,
    log_group_name,
)
from athena_session_provider.service.states import ENGINE_3, ENGINE_3_5

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

TYPE = "athena-session-provider:index:SparkWorkgroup"

RESULTS_EXPIRE_AFTER_DAYS = 30
"""Days after which objects in a bucket created here expire.

Equal to the retention of the logs that the service manages itself. Source: Amazon Athena User
Guide, "Logging and monitoring" for Spark.
"""

IAM_PROPAGATION_SECONDS = 15.0
"""Default seconds to wait after a change of the execution role.

IAM is eventually consistent, and no call reports when a change has reached every endpoint (IAM
User Guide, "Changes that I make are not always immediately visible"). Athena accepts a role that
has not propagated yet: the session starts, and then hangs or fails. The value is an estimate.
"""

_ENGINE_PATH = "configuration.engineVersion.selectedEngineVersion"
"""Where pulumi-aws's diff of a work group reports another engine version."""

T = TypeVar("T")


class SparkWorkgroup(pulumi.ComponentResource):
    """A work group for Apache Spark sessions that is ready to use.

    Creates an execution role with the minimum permissions for sessions; a private, encrypted
    bucket for results whose objects expire; and the work group. Region, credentials and default
    tags are those of the stack, of ``aws`` (the same argument as a ``Session``'s), or of an
    ``aws.Provider`` in ``opts``.

    Another ``engine_version`` replaces the work group under the same name, together with its
    sessions: Athena does not change the engine of an existing one (Amazon Athena User Guide,
    "Considerations and limitations" for Spark). The role, the bucket and the results stay.
    """

    name: Output[str]
    """The work group's name, for ``Session(work_group=...)``."""
    arn: Output[str]
    """The work group's ARN, for ``session_policy``."""
    role_arn: Output[str]
    """The execution role's ARN, for ``session_policy(execution_roles=...)``."""
    result_location: Output[str]
    """Location of the results: ``s3://bucket/``, or a prefix in the bucket ``result_bucket``."""

    def __init__(
        self,
        name: str,
        *,
        result_bucket: Input[str] | None = None,
        engine_version: str = ENGINE_3,
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
        """Create a Spark work group.

        Args:
            name: The component's name in the stack.
            result_bucket: Name of an existing bucket for results. None (default) creates one whose
                objects expire after 30 days.
            engine_version: ``PySpark engine version 3`` (default) or ``Apache Spark version 3.5``.
                A change replaces the work group and its sessions. The replacement is refused
                while it has sessions that this stack did not start, and by Athena while it has
                notebooks (``DeleteWorkGroup``), unless ``force_destroy`` is set.
            kms_key: ARN of the KMS key that encrypts results. None (default) uses S3's own keys, or
                the default encryption of ``result_bucket``. If that bucket encrypts with a key of
                your own, name the key here too: the role needs permission to use it.
            logging: A CloudWatch log group for sessions of engine 3.5. None (default) leaves the
                logs to the service, which keeps them for 30 days.
            database_access: Glue databases that sessions may use: names, for read access, or
                ``DatabaseAccessArgs``.
            bucket_access: Buckets that sessions may use: names, for read access, or
                ``BucketAccessArgs``.
            force_destroy: Whether to delete the work group although it has live sessions, and the
                bucket although it has objects. By default (False) both are refused before anything
                is deleted. Applies from the next ``pulumi up`` on.
            tags: Tags of all resources that are created.
            aws: Region, credentials, endpoints and default tags that differ from the stack's.
            work_group_name: The work group's name in AWS: 1 to 128 letters, digits and ``._-``.
                None (default) derives one from the component's name and a hash of the names of
                organization, project, stack and parent. To keep the work group when one of those
                is renamed, set its present name here.
            iam_propagation_seconds: Seconds to wait after the execution role was created or
                changed, default 15. Use 0 with an emulator.
            opts: Resource options. ``provider`` or ``providers`` may have an ``aws.Provider``; see
                ``aws_config_from_provider`` for what a session can use of it.

        Raises:
            ValueError: Invalid name or engine version, or both ``aws`` and a provider.
            TypeError: ``database_access`` or ``bucket_access`` is a string.
        """
        opts = opts or ResourceOptions()
        work_group = work_group_name or default_work_group_name(name, opts.parent)
        check_names(name, work_group, result_bucket, kms_key)
        _check_engine(engine_version, logging)
        databases = [_database(item) for item in _listed(database_access, "database_access")]
        buckets = [_bucket(item) for item in _listed(bucket_access, "bucket_access")]
        if aws and opts.provider:
            raise ValueError(f"SparkWorkgroup {name}: set either aws or a provider, not both")
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
        # Several work groups may share an existing bucket.
        prefix = "" if own_bucket else f"{work_group}/"
        self.result_location = Output.concat("s3://", result_bucket, "/", prefix)

        role_policy = Output.all(
            place=place,
            bucket=result_bucket,
            kms_key=kms_key,
            log_group=log_group_name(work_group) if logging else None,
            log_key=logging.kms_key if logging else None,
            databases=databases,
            buckets=buckets,
        ).apply(
            lambda given: iam_policies.execution_role_policy(
                iam_policies.Place(*given["place"]),
                work_group,
                iam_policies.Access(given["bucket"], write=True, prefix=prefix),
                kms_key=given["kms_key"],
                log_group=given["log_group"],
                log_key=given["log_key"],
                databases=[iam_policies.Access(*item) for item in given["databases"]],
                buckets=[iam_policies.Access(*item) for item in given["buckets"]],
            )
        )
        role, permitted = self._role(
            name, work_group, place, role_policy, tags=tags, settle_seconds=iam_propagation_seconds
        )
        ready.append(permitted)

        created = athena.Workgroup(
            name,
            name=work_group,
            configuration={
                "engine_version": {"selected_engine_version": engine_version},
                "execution_role": role.arn,
                "result_configuration": {
                    "output_location": self.result_location,
                    "encryption_configuration": (
                        # An existing bucket has an encryption that its owner has chosen.
                        _result_encryption(kms_key) if own_bucket or kms_key is not None else None
                    ),
                },
                "monitoring_configuration": (
                    self._logging(name, work_group, logging, tags) if logging else None
                ),
            },
            force_destroy=force_destroy,
            tags=tags,
            opts=self._child(
                # The role has propagated, and the bucket is encrypted and private.
                depends_on=ready,
                # The name is fixed, and two work groups cannot share one.
                delete_before_replace=True,
                # The trigger is compared by the engine itself. States that were written before it
                # was set have none; there the plugin's diff decides.
                replacement_trigger=engine_version,
                replace_on_changes=[_ENGINE_PATH],
            ),
        )
        guard = self._guards(
            name,
            created,
            place,
            bucket=own_bucket,
            force_destroy=force_destroy,
            aws=aws,
            depends_on=ready,
        )

        # Resources that use the name of the guard are deleted before the guard.
        self.name = guard.work_group
        self.arn = created.arn
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
        """Return where the provider works; known in preview already."""
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
        """Create the execution role and its policy; the policy completes after the IAM wait."""
        settle = _wait_for_iam(self, work_group, settle_seconds)
        role = iam.Role(
            f"{name}-role",
            description=f"What sessions in the Athena work group {work_group} may do",
            assume_role_policy=place.apply(
                lambda place: json.dumps(iam_policies.trust_policy(place, work_group))
            ),
            tags=tags,
            # No wait after the create: the policy is created next, and waits.
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
        """Create the bucket for results; return it and the settings that must precede its use."""
        bucket = s3.Bucket(
            f"{name}-results", force_destroy=force_destroy, tags=tags, opts=self._child()
        )
        private = s3.BucketPublicAccessBlock(
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
                    # Fewer requests to KMS: one key for many objects.
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
            # S3 refuses concurrent changes of a bucket's access settings.
            opts=self._child(depends_on=[private]),
        )
        return bucket, [private, encrypted, expiring, tls_only]

    def _logging(
        self,
        name: str,
        work_group: str,
        logging: LoggingArgs,
        tags: Input[Mapping[str, Input[str]]] | None,
    ) -> athena.WorkgroupConfigurationMonitoringConfigurationArgsDict:
        """Create the log group and return the configuration that uses it."""
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
            # The service's default.
            "managed_logging_configuration": {"enabled": True},
        }

    def _guards(
        self,
        name: str,
        work_group: athena.Workgroup,
        place: Output[iam_policies.Place],
        *,
        bucket: s3.Bucket | None,
        force_destroy: Input[bool],
        aws: AwsConfig | None,
        depends_on: Sequence[pulumi.Resource],
    ) -> WorkGroupGuard:
        """Create the guards of the work group and of its bucket; return the work group's.

        Deletion order: sessions, work group guard, bucket guard, work group, bucket. When the work
        group is replaced, the bucket's guard stays: it depends on the work group, but on none of
        its properties.
        """
        settings: Output[Any] | None = None
        can_check: Input[bool] = True
        if aws:
            given = {field.name: getattr(aws, field.name) for field in fields(aws)}
            settings = Output.from_input(given)
        elif provider := self.get_provider("aws:athena/workgroup:Workgroup"):
            readable = explicit_provider.readable(provider)
            settings = readable.apply(lambda found: found["aws"])
            can_check = readable.apply(lambda found: not found["refused"])
        common: dict[str, Any] = {
            "region": place.apply(lambda place: place.region),
            "account_id": place.apply(lambda place: place.account_id),
            "force_destroy": force_destroy,
            "aws": settings,
            "can_check": can_check,
        }
        depends_on = [*depends_on, work_group]
        if bucket:
            bucket_guard = BucketGuard(
                f"{name}-results-guard",
                bucket=bucket.bucket,
                **common,
                opts=self._child(depends_on=depends_on),
            )
            depends_on = [*depends_on, bucket_guard]
        return WorkGroupGuard(
            f"{name}-guard",
            work_group=work_group.name,
            **common,
            opts=self._child(depends_on=depends_on),
        )


def _check_engine(engine_version: str, logging: LoggingArgs | None) -> None:
    if "spark" not in engine_version.lower():
        raise ValueError(
            f"SparkWorkgroup: engine_version {engine_version!r} is not an engine for Apache Spark, "
            f"such as {ENGINE_3!r} or {ENGINE_3_5!r}"
        )
    if logging and engine_version == ENGINE_3:
        raise ValueError(
            f"SparkWorkgroup: logging requires engine_version={ENGINE_3_5!r}; {ENGINE_3!r} does "
            "not write to your own log group"
        )


def _listed(items: Sequence[T], argument: str) -> Sequence[T]:
    if isinstance(items, str):
        raise TypeError(f"SparkWorkgroup: {argument} must be a list, such as [{items!r}]")
    return items


def _wait_for_iam(
    component: pulumi.Resource,
    work_group: str,
    seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> pulumi.ResourceHook:
    """Return a hook that delays the completion of a change of the role.

    Everything that depends on the role then starts after the wait. An update without such a
    change does not wait.
    """

    async def wait(args: ResourceHookArgs) -> None:
        if seconds > 0:
            message = f"waiting {seconds:g}s for IAM to propagate {args.name}"
            pulumi.log.info(message, resource=component, ephemeral=True)
            await sleep(seconds)

    # The name must be unique in the stack, and the same in every run.
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
        raise ValueError(
            f"SparkWorkgroup: bucket_access {item.bucket!r} must be a bucket's name, without "
            "s3:// or /; BucketAccessArgs(bucket=..., prefix=...) limits the access to a prefix"
        )
    return [item.bucket, item.write, item.prefix or ""]
