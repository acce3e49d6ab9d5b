"""The texts of the service's errors, with where each of them was published.

Each is part of a clause of docs/contract.md, which is named first. The second group has no public
source: these texts are ours, and nothing may depend on them.
"""

from __future__ import annotations

from typing import Final

# Published

TERMINATED_PER_REQUEST: Final = "Session was terminated per request"
"""`terminate`: StateChangeReason after TerminateSession and after the idle timeout alike (User
Guide, notebooks-spark-troubleshooting-sessions)."""
NO_WORK_GROUP: Final = "WorkGroup is not found."
"""`unknown_work_group`: With AthenaErrorCode INVALID_INPUT (uber/athenadriver issue 70,
aws-athena-mcp issue 23)."""
NOT_SPARK: Final = "Workgroup EngineVersion is not Spark."
"""`not_a_spark_work_group`: At StartSession (ministryofjustice/analytical-platform pull requests
7000 and 7001)."""
NO_EXECUTION_ROLE: Final = "executionRole is null or empty"
"""`work_group_without_role`: At CreateWorkGroup (hashicorp/terraform-provider-aws issue 28386)."""
TOO_MANY_SESSIONS: Final = "Maximum allowed sessions reached"
"""`quota_error`: At StartSession on 3.5 (dbt-labs/dbt-adapters pull request 1874)."""
NO_CAPACITY: Final = (
    "Failed to Provision session due to required capacity not being available for the account"
)
"""`no_capacity`: InvalidRequestException at StartSession (dbt-labs/dbt-adapters pull request
1874)."""
THROTTLED: Final = "Rate exceeded"
"""`throttling`: User Guide, service-limits."""
OTHER_PARAMETERS: Final = "Idempotent parameters do not match"
"""`replay_with_other_parameters`: At StartQueryExecution (DyfanJones/noctua issue 104); for
StartSession, assumed."""
NOT_READY_FOR_CALCULATIONS: Final = (
    "Session is in the {state} state; needs to be IDLE to accept Calculations."
)
"""`calculation_in_ended`: At StartCalculationExecution (dbt-labs/dbt-adapters issue 1507)."""
NO_ENDPOINT: Final = "Can not generate Session endpoint URL for Session in {state} state"
"""`endpoint_of_ended`: At GetSessionEndpoint; STOPPED is the state of an ended session
(dbt-labs/dbt-adapters pull request 1874, sagemaker-studio 1.1.35)."""
NO_NOTEBOOK_VERSION: Final = "NotebookVersion is required when NotebookId is provided."
"""`notebook_version`: At StartSession (aws/aws-sdk-pandas issue 2866)."""
NOT_AUTHORIZED: Final = (
    "You are not authorized to perform: {action} on the resource. After your AWS administrator or "
    "you have updated your permissions, please try again."
)
"""`access_denied`: The usual form (ministryofjustice/modernisation-platform issue 10958)."""
NOT_AUTHORIZED_LONG: Final = (
    "User: {user} is not authorized to perform: {action} on resource: {resource} because no "
    "identity-based policy allows the {action} action"
)
"""`access_denied`: grafana/athena-datasource issue 156."""

# Ours, since no source tells the service's

UNKNOWN_NOT_FOUND: Final = "{kind} {name} not found"
UNKNOWN_OTHER: Final = "{kind} {name} is not valid"
ALREADY_EXISTS: Final = "A session was started with this ClientRequestToken"
NOT_FOR_ENGINE: Final = "{what} not supported for engine version {engine}"
NO_DPUS: Final = "MaxConcurrentDpus is required for engine version {engine}"
TOO_MANY_DPUS: Final = "MaxConcurrentDpus is above the quota of {quota} for one session"
ENGINE_CHANGE: Final = "The engine version of a workgroup cannot be changed from {old} to {new}"
