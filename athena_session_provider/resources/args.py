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

    The members have the names of the stack's configuration keys (``aws:assumeRoles``) in
    snake_case. A member replaces the stack's value as a whole; with a ``profile``, neither the keys
    nor the web identity of the stack are used.

    There is no member for a key: arguments are stored in the state. Keys are read from the
    stack's configuration, from ``aws:accessKey`` and so on, or from another namespace.
    """

    region: Input[str] | None = None
    """Such as ``eu-west-1``."""
    profile: Input[str] | None = None
    """A profile of the AWS configuration files."""
    assume_role: Input[Mapping[str, Any]] | None = None
    """One role to assume, as in ``assume_roles``."""
    assume_roles: Input[Sequence[Input[Mapping[str, Any]]]] | None = None
    """Roles to assume one after the other: role_arn, session_name, external_id, policy,
    policy_arns, source_identity, tags, transitive_tag_keys and duration (``15m`` to ``12h``)."""
    assume_role_with_web_identity: Input[Mapping[str, Any]] | None = None
    """The role to assume with the token of an identity provider: role_arn, session_name, policy,
    policy_arns, duration and web_identity_token_file."""
    shared_config_files: Input[Sequence[Input[str]]] | None = None
    """Configuration files instead of ``~/.aws/config``; a later one wins."""
    shared_credentials_files: Input[Sequence[Input[str]]] | None = None
    """Credentials files instead of ``~/.aws/credentials``; a later one wins."""
    endpoints: Input[Any] | None = None
    """A map of service (``athena``, ``sts``) to URL, or a list of such maps."""
    default_tags: Input[Mapping[str, Any]] | None = None
    """Tags for the session that its own tags override."""
    ignore_tags: Input[Mapping[str, Any]] | None = None
    """Tags that are neither set nor changed nor removed: keys and key_prefixes."""
    allowed_account_ids: Input[Sequence[Input[str]]] | None = None
    """The accounts to work in; nothing is done in another one."""
    forbidden_account_ids: Input[Sequence[Input[str]]] | None = None
    """Accounts in which nothing is done."""
    use_fips_endpoint: Input[bool] | None = None
    """Whether to call the FIPS endpoint."""
    use_dualstack_endpoint: Input[bool] | None = None
    """Whether to call the dual-stack endpoint."""
    http_proxy: Input[str] | None = None
    """The URL of the proxy for http, and for https without one of its own; ``""`` for none."""
    https_proxy: Input[str] | None = None
    """The URL of the proxy for https; ``""`` for none."""
    no_proxy: Input[str] | None = None
    """Hosts, domains and networks, with commas between them, to call without a proxy."""
    custom_ca_bundle: Input[str] | None = None
    """A file of certificates that TLS trusts."""
    insecure: Input[bool] | None = None
    """Whether to call without checking certificates."""
    max_retries: Input[int] | None = None
    """How often a call is sent at the most, 0 to 1000; 3 by default."""
    retry_mode: Input[str] | None = None
    """``standard``, the default, or ``adaptive``."""
    ec2_metadata_service_endpoint: Input[str] | None = None
    """The URL where credentials of an EC2 instance are read."""
    ec2_metadata_service_endpoint_mode: Input[str] | None = None
    """``IPv4`` or ``IPv6``."""
    sts_region: Input[str] | None = None
    """The region of the calls to STS, where it is not that of the session."""
    skip_metadata_api_check: Input[bool] | None = None
    """Whether not to look for credentials of an EC2 instance."""
    skip_region_validation: Input[bool] | None = None
    """False to refuse a region that the SDK does not know."""
    skip_requesting_account_id: Input[bool] | None = None
    """Whether not to ask STS for the account: the outputs arn and account_id are empty then."""
    skip_credentials_validation: Input[bool] | None = None
    """Without effect: credentials are never called for validation alone."""
    s3_use_path_style: Input[bool] | None = None
    """How the deletion guard of a work group calls S3."""
    s3_us_east1_regional_endpoint: Input[str] | None = None
    """``legacy`` or ``regional``: where the deletion guard calls S3 in us-east-1."""
    token_bucket_rate_limiter_capacity: Input[int] | None = None
    """Without effect: ``max_retries`` bounds repeated calls."""
    tag_policy_compliance: Input[str] | None = None
    """``disabled`` or ``warning``; ``error`` is refused."""
    user_agents: Input[Sequence[Input[str]]] | None = None
    """Products to add to the header User-Agent."""
    config_namespace: str | None = None
    """The namespace of the stack's configuration to read instead of ``aws``."""

    @classmethod
    def from_provider(cls, provider: pulumi.ProviderResource) -> AwsConfig:
        """Return the region, profile and endpoints of an explicit ``aws.Provider``.

        A provider with keys, roles, default tags, accounts or anything else that a session would
        need to know is refused with a sentence: write an ``AwsConfig``, and make the provider from
        it by ``aws_provider_from_config``.
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
    """Days that CloudWatch keeps the logs: 1, 3, 5, 7, 14, 30 (default), 60, 90... or 0, which
    keeps them until they are deleted (CloudWatch Logs API, ``PutRetentionPolicy``)."""
    kms_key: Input[str] | None = None
    """ARN of a KMS key that encrypts the logs; None (default) for AWS's own key.

    The execution role gets permission to use it. The key's own policy must also allow the service
    principal ``logs.<region>.amazonaws.com``.
    """
