"""Apache Spark sessions on Amazon Athena, as Pulumi resources.

``Session`` is a session that ``pulumi up`` starts and ``pulumi destroy`` ends. ``SparkWorkgroup``
is a work group that is ready for sessions; it needs pulumi-aws, which is imported when the name
is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from athena_session_provider.resources.args import (
    AwsConfig,
    BucketAccessArgs,
    ClassificationArgs,
    DatabaseAccessArgs,
    EngineConfigurationArgs,
    LoggingArgs,
)
from athena_session_provider.resources.aws_provider import (
    aws_config_from_provider,
    aws_provider_from_config,
)
from athena_session_provider.resources.dynamic_provider import DynamicProvider
from athena_session_provider.resources.iam import session_policy
from athena_session_provider.resources.session import Session
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.spark_connect import connect_url, remote_spark

if TYPE_CHECKING:
    from athena_session_provider.resources.workgroup import SparkWorkgroup

__version__ = "0.1.0"

__all__ = [
    "AthenaSessionError",
    "AwsConfig",
    "BucketAccessArgs",
    "ClassificationArgs",
    "DatabaseAccessArgs",
    "DynamicProvider",
    "EngineConfigurationArgs",
    "LoggingArgs",
    "Session",
    "SparkWorkgroup",
    "aws_config_from_provider",
    "aws_provider_from_config",
    "connect_url",
    "remote_spark",
    "session_policy",
]


def __getattr__(name: str) -> Any:
    """Import ``SparkWorkgroup`` at its first use: pulumi-aws is optional and slow to import."""
    if name == "SparkWorkgroup":
        from athena_session_provider.resources.workgroup import SparkWorkgroup

        return SparkWorkgroup
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
