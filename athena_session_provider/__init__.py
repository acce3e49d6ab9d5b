"""Apache Spark sessions on Amazon Athena, as Pulumi resources.

``Session`` is a session that ``pulumi up`` starts and ``pulumi destroy`` ends. ``SparkWorkgroup``
is a work group that is ready for sessions; it needs pulumi-aws, which is imported when the name
is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from athena_session_provider.connect import connect_url, remote_spark
from athena_session_provider.errors import AthenaSessionError
from athena_session_provider.policy import session_policy
from athena_session_provider.resource import (
    AwsConfig,
    ClassificationArgs,
    EngineConfigurationArgs,
    Session,
)

if TYPE_CHECKING:
    from athena_session_provider.workgroup import (
        BucketAccessArgs,
        DatabaseAccessArgs,
        LoggingArgs,
        SparkWorkgroup,
        aws_config_from_provider,
    )

__all__ = [
    "AthenaSessionError",
    "AwsConfig",
    "BucketAccessArgs",
    "ClassificationArgs",
    "DatabaseAccessArgs",
    "EngineConfigurationArgs",
    "LoggingArgs",
    "Session",
    "SparkWorkgroup",
    "aws_config_from_provider",
    "connect_url",
    "remote_spark",
    "session_policy",
]

_OF_WORKGROUP = (
    "BucketAccessArgs",
    "DatabaseAccessArgs",
    "LoggingArgs",
    "SparkWorkgroup",
    "aws_config_from_provider",
)


def __getattr__(name: str) -> Any:
    """Import what needs pulumi-aws, which is optional and slow to import, at its first use."""
    if name in _OF_WORKGROUP:
        from athena_session_provider import workgroup

        return getattr(workgroup, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
