"""The errors that the emulated service answers with, in the service's own shapes.

ServiceError
└── InvalidRequestError

Names and HTTP status are those of botocore's model: InternalServerException is a
500, everything else a 400.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from . import messages

if TYPE_CHECKING:
    from .scope import Scope


class ServiceError(Exception):
    """An error of the service, on its way to the wire."""

    def __init__(
        self,
        code: str,
        message: str,
        status: int = HTTPStatus.BAD_REQUEST,
        **members: str,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = int(status)
        self.members = members

    def body(self) -> dict[str, Any]:
        """Return the error as the JSON 1.1 protocol spells it."""
        return {"__type": self.code, "Message": self.message, **self.members}


class InvalidRequestError(ServiceError):
    """InvalidRequestException, which also carries an AthenaErrorCode."""

    def __init__(self, message: str, athena_error_code: str = "INVALID_INPUT") -> None:
        super().__init__("InvalidRequestException", message, AthenaErrorCode=athena_error_code)


def not_found(arn: str) -> ServiceError:
    """Return the error for the ARN of something that does not exist."""
    return ServiceError(
        "ResourceNotFoundException", f"Resource {arn} was not found", ResourceName=arn
    )


def access_denied(scope: Scope, action: str, work_group: str, form: str) -> ServiceError:
    """Return the error of a denied permission, in its `short` or `long` form."""
    text = messages.NOT_AUTHORIZED if form == "short" else messages.NOT_AUTHORIZED_LONG
    message = text.format(
        action=action,
        user=f"arn:{scope.partition}:iam::{scope.account_id}:user/emulator",
        resource=scope.arn(f"workgroup/{work_group}"),
    )
    return ServiceError("AccessDeniedException", message)
