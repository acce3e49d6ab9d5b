"""Which error stands for which answer of the service.

Each row names its source: "API" is the reference of the operation, "seen" is a log or code of
somebody who ran it against AWS, "unknown" is an answer that the provider has to survive.
"""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from athena_session_provider.service import errors
from athena_session_provider.service.boto_errors import service_error

SESSION_OPERATIONS = ("GetSession", "GetSessionStatus", "TerminateSession")


def error_of(operation: str, code: str, message: str, status: int = 400) -> errors.ServiceError:
    """Return the error for an answer."""
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return service_error(ClientError(response, operation), operation, "eu-west-1", "session 1")  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", SESSION_OPERATIONS)
@pytest.mark.parametrize(
    ("code", "message"),
    [
        # API: GetSession, GetSessionStatus, TerminateSession.
        ("ResourceNotFoundException", "anything"),
        # Seen: PyAthena takes every InvalidRequestException of GetSession for "not found".
        ("InvalidRequestException", "Session 1 not found"),
        ("InvalidRequestException", "Session 1 does not exist"),
        # Unknown: the text, and what the service says once the work group is deleted.
        ("InvalidRequestException", "Invalid session id"),
        ("InvalidRequestException", ""),
        ("InvalidRequestException", "WorkGroup is not found."),
    ],
)
def test_the_session_is_gone(operation: str, code: str, message: str) -> None:
    """Delete succeeds, and refresh removes the resource."""
    assert type(error_of(operation, code, message)) is errors.SessionNotFoundError


@pytest.mark.parametrize("operation", SESSION_OPERATIONS)
@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        # Seen: dbt-adapters issue 1507. A text that names a state is about a session that exists.
        (
            "InvalidRequestException",
            "Session is in the TERMINATED state; needs to be IDLE to accept Calculations.",
            400,
            errors.InvalidRequestError,
        ),
        ("InvalidRequestException", "not found in STOPPED state", 400, errors.InvalidRequestError),
        # Seen: grafana/athena-datasource issue 156 and others.
        (
            "AccessDeniedException",
            "You are not authorized to perform: athena:GetSession on the resource.",
            400,
            errors.AccessDeniedError,
        ),
        ("AccessDeniedException", "Session 1 not found", 403, errors.AccessDeniedError),
        ("UnauthorizedOperation", "Session not found", 403, errors.AccessDeniedError),
        ("ExpiredTokenException", "token not found", 403, errors.ExpiredCredentialsError),
        ("UnrecognizedClientException", "does not exist", 403, errors.ExpiredCredentialsError),
        # Athena user guide, "Service quotas": "ThrottlingException ... Rate exceeded".
        ("ThrottlingException", "Rate exceeded", 400, errors.ThrottledError),
        # API: TooManyRequestsException.
        ("TooManyRequestsException", "Session not found", 400, errors.ThrottledError),
        # API: InternalServerException.
        ("InternalServerException", "Session not found", 500, errors.InternalServiceError),
        ("ServiceUnavailable", "not found", 503, errors.InternalServiceError),
        # Unknown.
        ("SerializationException", "Session not found", 400, errors.ServiceError),
        ("404", "not found", 404, errors.ServiceError),
    ],
)
def test_something_else_is_wrong(
    operation: str, code: str, message: str, status: int, kind: type[errors.ServiceError]
) -> None:
    """Nothing is removed from a state because a call was denied, throttled or misunderstood."""
    assert type(error_of(operation, code, message, status)) is kind


@pytest.mark.parametrize(
    "message",
    [
        # Seen: dbt-adapters pull request 1874.
        "Maximum allowed sessions reached",
        # Unknown: the text of an exceeded quota of DPUs.
        "Maximum allowed DPUs exceeded for the account",
        "You have exceeded the quota for active DPUs",
        "DPU Quotas exceeded",
    ],
)
@pytest.mark.parametrize("code", ["InvalidRequestException", "TooManyRequestsException"])
def test_the_quota_is_waited_for(code: str, message: str) -> None:
    """With either code, since nobody has recorded it."""
    assert type(error_of("StartSession", code, message)) is errors.QuotaExceededError


@pytest.mark.parametrize(
    ("operation", "code", "message", "kind"),
    [
        # Seen: dbt-adapters pull request 1874.
        (
            "StartSession",
            "InvalidRequestException",
            "Failed to Provision session due to required capacity not being available",
            errors.NoCapacityError,
        ),
        ("StartSession", "TooManyRequestsException", "Rate exceeded", errors.ThrottledError),
        # Seen for StartQueryExecution: DyfanJones/noctua issue 104.
        (
            "StartSession",
            "InvalidRequestException",
            "Idempotent parameters do not match",
            errors.TokenReusedError,
        ),
        # API: StartSession. When the service answers so is not documented.
        ("StartSession", "SessionAlreadyExistsException", "", errors.TokenReusedError),
        # Seen for GetWorkGroup and StartQueryExecution: uber/athenadriver issue 70.
        (
            "StartSession",
            "InvalidRequestException",
            "WorkGroup is not found.",
            errors.WorkGroupNotFoundError,
        ),
        (
            "ListSessions",
            "InvalidRequestException",
            "WorkGroup is not found.",
            errors.WorkGroupNotFoundError,
        ),
        # API: ListSessions has ResourceNotFoundException.
        ("ListSessions", "ResourceNotFoundException", "gone", errors.WorkGroupNotFoundError),
        # A role, a key or a bucket may be what is not found.
        (
            "StartSession",
            "InvalidRequestException",
            "The execution role does not exist",
            errors.InvalidRequestError,
        ),
        # Seen: dbt-adapters pull request 1874.
        (
            "GetSessionEndpoint",
            "InvalidRequestException",
            "Can not generate Session endpoint URL for Session in STOPPED state",
            errors.InvalidRequestError,
        ),
        (
            "GetSessionEndpoint",
            "InvalidRequestException",
            "Session not found",
            errors.SessionNotFoundError,
        ),
    ],
)
def test_other_answers(
    operation: str, code: str, message: str, kind: type[errors.ServiceError]
) -> None:
    """By code and text, the first rule of the table that matches."""
    assert type(error_of(operation, code, message)) is kind
