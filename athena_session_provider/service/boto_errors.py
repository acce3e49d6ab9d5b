"""From the errors of botocore to those of this package.

The only module that reads an error's code or text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from athena_session_provider.service import errors

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_ACCESS_DENIED = {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}
_CREDENTIALS_REFUSED = {
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
# The service tells these apart by its message only.
_QUOTA = re.compile(r"maximum allowed sessions", re.IGNORECASE)
_NO_CAPACITY = re.compile(r"required capacity not being available", re.IGNORECASE)
_NOT_FOUND = re.compile(r"not found|does not exist", re.IGNORECASE)
_WORK_GROUP = re.compile(r"work\s?group", re.IGNORECASE)
_TOKEN_REUSED = re.compile(r"idempoten|client\s?request\s?token", re.IGNORECASE)
_INTERNAL = 500


def service_error(
    exc: ClientError, operation: str, region: str, subject: str
) -> errors.ServiceError:
    """Give the error of this package for one that the service answered with."""
    detail = exc.response.get("Error", {})
    metadata = exc.response.get("ResponseMetadata", {})
    answer = errors.ServiceAnswer(
        operation=operation,
        region=region,
        subject=subject,
        code=detail.get("Code", "Unknown"),
        message=detail.get("Message", "") or "no message was given",
        request_id=metadata.get("RequestId", ""),
    )
    return _error_class(answer, int(metadata.get("HTTPStatusCode", 0)))(answer)


def _error_class(  # noqa: C901, PLR0911 - a table, most specific first
    answer: errors.ServiceAnswer, http_status: int
) -> type[errors.ServiceError]:
    code, message = answer.code, answer.message
    if _QUOTA.search(message):
        return errors.QuotaExceededError
    if _NO_CAPACITY.search(message):
        return errors.NoCapacityError
    if code in _THROTTLED:
        return errors.ThrottledError
    if code in _ACCESS_DENIED:
        return errors.AccessDeniedError
    if code in _CREDENTIALS_REFUSED:
        return errors.ExpiredCredentialsError
    if code == "SessionAlreadyExistsException":
        return errors.TokenReusedError
    # An unknown session is documented as ResourceNotFoundException and has been seen as
    # InvalidRequestException; any other InvalidRequestException is not an absence.
    if code == "ResourceNotFoundException" or (
        code == "InvalidRequestException" and _NOT_FOUND.search(message)
    ):
        about_work_group = answer.operation in ("StartSession", "ListSessions", "GetWorkGroup")
        if about_work_group or _WORK_GROUP.match(message):
            return errors.WorkGroupNotFoundError
        return errors.SessionNotFoundError
    if code == "InvalidRequestException":
        if _TOKEN_REUSED.search(message):
            return errors.TokenReusedError
        return errors.InvalidRequestError
    if code == "InternalServerException" or http_status >= _INTERNAL:
        return errors.InternalServiceError
    return errors.ServiceError


def local_error(
    exc: BotoCoreError, operation: str, region: str, subject: str, endpoint: str
) -> errors.AthenaSessionError:
    """Give the error of this package for a call that got no answer."""
    from botocore import exceptions as boto

    detail = str(exc).strip().rstrip(".")
    if isinstance(exc, boto.ParamValidationError):
        return errors.InvalidArgumentError(f"{operation} was not sent: {detail}.")
    if isinstance(exc, (boto.NoRegionError,)):
        return errors.MissingRegionError()
    if isinstance(
        exc,
        (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.TokenRetrievalError,
            boto.NoAuthTokenError,
            boto.SSOError,
            boto.LoginError,
            boto.RefreshWithMFAUnsupportedError,
        ),
    ):
        return errors.MissingCredentialsError(region, detail)
    if isinstance(exc, (boto.ConnectionError, boto.HTTPClientError)):
        return errors.EndpointUnreachableError(
            operation,
            subject=subject,
            region=region,
            endpoint=endpoint,
            detail=detail,
            # A connection that was never made carried nothing.
            may_have_acted=not isinstance(exc, boto.ConnectionError),
        )
    return errors.ConfigurationError(f"{operation} in region {region} could not be sent: {detail}.")
