"""From the service's error answers to the errors of this package.

The only module that reads the code or the text of an answer of Athena.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from athena_session_provider.service import errors

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

ACCESS_DENIED = {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}
CREDENTIALS_REFUSED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_INTERNAL = 500

# Seen by others, as InvalidRequestException and as TooManyRequestsException: dbt-labs/dbt-adapters
# pull request 1874. Nobody has reported the text for an exceeded quota of DPUs; the service's other
# quota errors contain "quota".
_QUOTA = re.compile(r"maximum allowed (sessions|dpu)|\bquotas?\b", re.IGNORECASE)
_NO_CAPACITY = re.compile(r"required capacity not being available", re.IGNORECASE)
_NOT_FOUND = re.compile(r"not found|does not exist", re.IGNORECASE)
_WORK_GROUP = re.compile(r"work\s?group", re.IGNORECASE)
# "Idempotent parameters do not match": seen for StartQueryExecution (DyfanJones/noctua issue 104).
_TOKEN_REUSED = re.compile(r"idempoten|client\s?request\s?token", re.IGNORECASE)

_SESSION_OPERATIONS = frozenset({"GetSession", "GetSessionStatus", "TerminateSession"})
_STATE_NAMED = re.compile(
    r"\b(CREATING|CREATED|IDLE|BUSY|TERMINATING|TERMINATED|STOPPED|DEGRADED|FAILED)\b"
)


@dataclass(frozen=True)
class _Rule:
    """Which error class stands for an answer. Every condition that is set must hold."""

    error: type[errors.ServiceError]
    codes: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    text: re.Pattern[str] | None = None
    without_text: re.Pattern[str] | None = None
    http_status: int = 0

    def matches(self, answer: errors.ServiceAnswer, http_status: int) -> bool:
        return (
            (not self.codes or answer.code in self.codes)
            and (not self.operations or answer.operation in self.operations)
            and (self.text is None or self.text.search(answer.message) is not None)
            and (self.without_text is None or self.without_text.search(answer.message) is None)
            and http_status >= self.http_status
        )


_INVALID = frozenset({"InvalidRequestException"})
_ABSENT = frozenset({"ResourceNotFoundException"})
_START = frozenset({"StartSession"})

_RULES: tuple[_Rule, ...] = (
    # The service did not act, and may act later.
    _Rule(errors.QuotaExceededError, operations=_START, text=_QUOTA),
    _Rule(errors.NoCapacityError, text=_NO_CAPACITY),
    _Rule(errors.ThrottledError, codes=frozenset(_THROTTLED)),
    # The caller may not ask: never an absence.
    _Rule(errors.AccessDeniedError, codes=frozenset(ACCESS_DENIED)),
    _Rule(errors.ExpiredCredentialsError, codes=frozenset(CREDENTIALS_REFUSED)),
    _Rule(errors.InternalServiceError, codes=frozenset({"InternalServerException"})),
    _Rule(errors.InternalServiceError, http_status=_INTERNAL),
    # The token was used before. When the service answers so is not documented.
    _Rule(errors.TokenReusedError, codes=frozenset({"SessionAlreadyExistsException"})),
    _Rule(errors.TokenReusedError, codes=_INVALID, operations=_START, text=_TOKEN_REUSED),
    # The session is gone. ResourceNotFoundException: API reference of the three operations.
    # InvalidRequestException: seen with texts that nobody recorded (PyAthena takes every one of
    # GetSession for "not found"); once its work group is deleted, the text may name that. A text
    # that names a state is about a session that exists.
    _Rule(errors.SessionNotFoundError, codes=_ABSENT, operations=_SESSION_OPERATIONS),
    _Rule(
        errors.SessionNotFoundError,
        codes=_INVALID,
        operations=_SESSION_OPERATIONS,
        without_text=_STATE_NAMED,
    ),
    _Rule(
        errors.SessionNotFoundError,
        codes=_ABSENT | _INVALID,
        operations=frozenset({"GetSessionEndpoint"}),
        text=_NOT_FOUND,
    ),
    # "WorkGroup is not found.": seen for GetWorkGroup and StartQueryExecution
    # (uber/athenadriver issue 70).
    _Rule(
        errors.WorkGroupNotFoundError,
        codes=_ABSENT,
        operations=frozenset({"StartSession", "ListSessions", "GetWorkGroup"}),
    ),
    _Rule(
        errors.WorkGroupNotFoundError,
        codes=_INVALID,
        text=re.compile(
            f"(?:{_WORK_GROUP.pattern}).*(?:{_NOT_FOUND.pattern})", re.IGNORECASE | re.DOTALL
        ),
    ),
    _Rule(errors.SessionNotFoundError, codes=_ABSENT),
    _Rule(errors.InvalidRequestError, codes=_INVALID),
)
"""The first rule that matches decides.

Sources are given for texts, because the API's model documents codes only.
"""

_REPEATED_REQUEST = re.compile(r"\s*(?:The Canonical String|x-amz-security-token:|Authorization=)")
_URL_PASSWORD = re.compile(r"://[^/@\s]+@")


def service_error(
    exc: ClientError, operation: str, region: str, subject: str
) -> errors.ServiceError:
    """Return the error of this package for an error answer of the service.

    Args:
        exc: What botocore raised.
        operation: The API operation, such as ``GetSession``.
        region: The region of the call.
        subject: What the call was about, such as ``session 1234``.

    Returns:
        The error, not raised.
    """
    detail = exc.response.get("Error", {})
    metadata = exc.response.get("ResponseMetadata", {})
    answer = errors.ServiceAnswer(
        operation=operation,
        region=region,
        subject=subject,
        code=detail.get("Code", "Unknown"),
        message=without_secrets(detail.get("Message") or "") or "no message was given",
        request_id=metadata.get("RequestId", ""),
    )
    http_status = int(metadata.get("HTTPStatusCode", 0))
    matching = (rule.error for rule in _RULES if rule.matches(answer, http_status))
    return next(matching, errors.ServiceError)(answer)


def without_secrets(text: str) -> str:
    """Return one line without passwords of URLs, and without what STS repeats of a request."""
    # The answer to a wrong signature has the whole request in it, the session token too.
    text = _REPEATED_REQUEST.split(text, maxsplit=1)[0]
    return " ".join(_URL_PASSWORD.sub("://", text).split())
