"""Apache Spark sessions on Amazon Athena, as Pulumi resources."""

from athena_session_provider.errors import AthenaSessionError
from athena_session_provider.resource import (
    AwsConfig,
    ClassificationArgs,
    EngineConfigurationArgs,
    Session,
)

__all__ = [
    "AthenaSessionError",
    "AwsConfig",
    "ClassificationArgs",
    "EngineConfigurationArgs",
    "Session",
]
