"""Arguments that are structures of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from athena_session_provider.resources.explicit_provider import config_members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi
    from pulumi import Input


@dataclass(frozen=True, kw_only=True)
class ClassificationArgs:
    """API structure ``Classification``: settings of the engine `Apache Spark version 3.5`."""

    name: Input[str]
    """1 to 128 characters, such as ``spark-defaults``."""
    properties: Input[Mapping[str, Input[str]]] | None = None
    """Values have at most 51200 characters. Keys are sent as they are."""


@dataclass(frozen=True, kw_only=True)
class EngineConfigurationArgs:
    """API structure ``EngineConfiguration``. What is left out is not sent.

    Work groups of `PySpark engine version 3` take the DPU sizes and spark_properties, those of
    `Apache Spark version 3.5` take classifications; each refuses the other's.
    """

    max_concurrent_dpus: Input[int] | None = None
    """The most DPUs that may run at once, 2 to 5000. Each costs money for each hour."""
    coordinator_dpu_size: Input[int] | None = None
    """DPUs of the coordinator: 1."""
    default_executor_dpu_size: Input[int] | None = None
    """DPUs of an executor: 1."""
    additional_configs: Input[Mapping[str, Input[str]]] | None = None
    """Settings of the notebook engine, such as ``NotebookId``; keys are kept as they are."""
    spark_properties: Input[Mapping[str, Input[str]]] | None = None
    """Spark properties, such as ``spark.sql.shuffle.partitions``; keys are kept as they are."""
    classifications: Input[Sequence[Input[ClassificationArgs | Mapping[str, Any]]]] | None = None
    """Settings of the engine 3.5, by classification."""


@dataclass(frozen=True, kw_only=True)
class AwsConfig:
    """Region, credentials and endpoints of one resource; what is left out comes from the stack.

    There is no member for a key: arguments are stored in the state. Keys are read from the
    stack's configuration, from ``aws:accessKey`` and so on, or from another namespace.
    """

    region: Input[str] | None = None
    """Such as ``eu-west-1``."""
    profile: Input[str] | None = None
    """A profile of the AWS configuration file."""
    assume_roles: Input[Sequence[Input[Mapping[str, Any]]]] | None = None
    """Roles to assume one after the other, as in ``aws:assumeRoles`` (role_arn, external_id...)."""
    endpoints: Input[Any] | None = None
    """A map of service (``athena``, ``sts``) to URL, or a list of such maps."""
    default_tags: Input[Mapping[str, Any]] | None = None
    """Tags for the session that its own tags override."""
    config_namespace: str | None = None
    """The namespace of the stack's configuration to read instead of ``aws``."""

    @classmethod
    def from_provider(cls, provider: pulumi.ProviderResource) -> AwsConfig:
        """Give the region, profile and endpoints of an explicit ``aws.Provider``.

        Pulumi lets a program read no more of one: for roles and default tags, write an
        ``AwsConfig`` and make the provider of it. A provider with keys is refused.
        """
        return cls(**config_members(provider))


@dataclass(frozen=True, kw_only=True)
class BucketAccessArgs:
    """A bucket, or the objects below a prefix in it, that sessions may read."""

    bucket: Input[str]
    """The bucket's name."""
    prefix: Input[str] | None = None
    """Prefix of the keys, such as ``sales/``; None (default) for the whole bucket."""
    write: Input[bool] = False
    """Whether sessions may also write and delete objects. Default False."""


@dataclass(frozen=True, kw_only=True)
class DatabaseAccessArgs:
    """A database of the Glue Data Catalog that sessions may read.

    The data of its tables is in buckets: list them in ``bucket_access``.
    """

    database: Input[str]
    """The database's name."""
    write: Input[bool] = False
    """Whether sessions may also create, change and delete tables. Default False."""


@dataclass(frozen=True, kw_only=True)
class LoggingArgs:
    """A CloudWatch log group for the output of sessions; engine 3.5 and later."""

    retention_in_days: Input[int] = 30
    """Days that CloudWatch keeps the logs: 1, 3, 5, 7, 14, 30 (default), 60, 90... or 0, which keeps
    them until they are deleted (CloudWatch Logs API, ``PutRetentionPolicy``)."""
    kms_key: Input[str] | None = None
    """ARN of a KMS key that encrypts the logs; None (default) for AWS's own key.

    The execution role gets permission to use it. The key's own policy must also allow the service
    principal ``logs.<region>.amazonaws.com``.
    """
