"""Every error that this package raises, as one family.

::

    AthenaSessionError
    ├── ConfigurationError           invalid AWS configuration
    │   ├── MissingRegionError
    │   ├── MissingCredentialsError
    │   ├── CredentialsError         credentials that were refused, expired or need a person
    │   ├── AccountNotAllowedError   of aws:allowedAccountIds and aws:forbiddenAccountIds
    │   └── WrongAccountError        the credentials are of another account than the session
    ├── InvalidArgumentError         an argument that the API model refuses
    ├── EndpointUnreachableError     no answer from the service
    ├── ServiceError                 the service answered with an error
    │   ├── InternalServiceError     HTTP 5xx
    │   ├── AccessDeniedError
    │   ├── ExpiredCredentialsError
    │   ├── WorkGroupNotFoundError
    │   ├── NotASparkWorkGroupError
    │   ├── SessionNotFoundError
    │   ├── InvalidRequestError
    │   ├── TokenReusedError         a ClientRequestToken was sent with other parameters
    │   └── CapacityError            worth waiting for
    │       ├── ThrottledError
    │       ├── QuotaExceededError
    │       └── NoCapacityError
    ├── UnexpectedStateError         a state that this package does not know
    ├── SessionDiedError             the session ended while it was waited for
    ├── AdoptionError                the session to take over cannot be taken over
    ├── WorkGroupInUseError          a work group or its bucket is still in use
    ├── SparkConnectError            a Spark Connect client cannot work with a session
    │   ├── SparkClientError         PySpark is missing, or has a version that does not fit
    │   ├── SessionEndedError
    │   └── EndpointRefusedError     the session's endpoint cannot be reached or refuses
    ├── WaitTimeoutError
    └── CancelledError               the engine asked us to stop

The message of each is one paragraph: what was tried and where, what the service answered, and
what to do about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class AthenaSessionError(Exception):
    """Base of the family; its text is meant to be shown as it is, without a traceback."""

    outcome: str = ""
    """Whether the session that the failed operation had started has ended; part of the text."""

    left_running: str = ""
    """Id of that session, if it could not be terminated."""

    def __str__(self) -> str:
        return f"{super().__str__()} {self.outcome}".strip()


class ConfigurationError(AthenaSessionError):
    """The AWS configuration of the stack, the resource or the environment is invalid."""


class MissingRegionError(ConfigurationError):
    """No region is set anywhere."""

    def __init__(self) -> None:
        super().__init__(
            "No AWS region is set. Run `pulumi config set aws:region <region>`, or set the "
            "environment variable AWS_REGION, or a region in the AWS profile."
        )


class MissingCredentialsError(ConfigurationError):
    """boto3 found no credentials, or only a part of them."""

    def __init__(self, region: str, detail: str) -> None:
        super().__init__(
            f"No usable AWS credentials for region {region} ({detail}). Set `aws:profile`, or "
            "`aws:accessKey` and `aws:secretKey` (with --secret), in the stack's configuration, "
            "or give credentials in any way that the AWS SDK for Python reads."
        )


class CredentialsError(ConfigurationError):
    """Configured credentials cannot be obtained: refused, expired, or a login is needed.

    The message says where they come from and what to run.
    """


class AccountNotAllowedError(ConfigurationError):
    """The account is not one that the settings allow, so that nothing was done in it."""

    def __init__(self, account_id: str | None, reason: str) -> None:
        self.account_id = account_id
        super().__init__(reason)


class WrongAccountError(ConfigurationError):
    """The session runs in another account than the credentials belong to."""

    def __init__(self, session_id: str, *, expected: str, actual: str) -> None:
        self.session_id = session_id
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"Session {session_id} was started in account {expected}, but the credentials in use "
            f"are of account {actual}, so its state is unknown. Use credentials of account "
            f"{expected}. To remove the resource without ending the session, run "
            "`pulumi state delete` on it."
        )


class InvalidArgumentError(AthenaSessionError):
    """An argument that botocore's model of the API refuses."""


class EndpointUnreachableError(AthenaSessionError):
    """The service could not be reached, or did not answer in time."""

    def __init__(
        self,
        operation: str,
        *,
        subject: str,
        region: str,
        endpoint: str,
        detail: str,
        may_have_acted: bool,
    ) -> None:
        self.operation = operation
        self.region = region
        self.endpoint = endpoint
        self.may_have_acted = may_have_acted
        super().__init__(
            f"{operation} for {subject} in region {region} got no answer from {endpoint}: "
            f"{detail}. Check the network, the region's name and, if you set it, "
            "`aws:endpoints`; then run the command again."
        )


@dataclass(frozen=True)
class ServiceAnswer:
    """An error as the service gave it, and what it answered to."""

    operation: str
    """Name of the API operation, such as ``StartSession``."""
    region: str
    subject: str
    """What the operation was about: "work group spark" or "session 1234-..."."""
    code: str
    message: str
    request_id: str


class ServiceError(AthenaSessionError):
    """The service answered with an error that has no class of its own."""

    remedy = "If it stays, look the code up in the Athena API reference for this operation."

    def __init__(self, answer: ServiceAnswer) -> None:
        self.answer = answer
        request_id = f", request id {answer.request_id}" if answer.request_id else ""
        super().__init__(
            f"{answer.operation} for {answer.subject} in region {answer.region} was refused: "
            f"{answer.message.rstrip('.')} ({answer.code}{request_id}). {self.remedy}"
        )


class InternalServiceError(ServiceError):
    """The service failed (HTTP 5xx). It may have acted on the request nevertheless."""

    remedy = "Run the command again: it continues with the session that was started, if any."


class AccessDeniedError(ServiceError):
    """The credentials lack a permission."""

    def __init__(self, answer: ServiceAnswer) -> None:
        # The service names the action, which need not be the operation's (iam:PassRole).
        named = re.search(r"perform: ([\w-]+:\w+)", answer.message)
        self.action = named.group(1) if named else f"athena:{answer.operation}"
        self.remedy = f"Allow the IAM action {self.action} for the credentials in use."
        super().__init__(answer)


class ExpiredCredentialsError(ServiceError):
    """The credentials are expired or unknown to AWS."""

    remedy = "Renew the credentials (for example `aws sso login`) and run the command again."


class WorkGroupNotFoundError(ServiceError):
    """The work group does not exist in this account and region."""

    remedy = (
        "Check the work group's name, the region and the account: "
        "`aws athena list-work-groups` shows what there is."
    )


class NotASparkWorkGroupError(ServiceError):
    """The work group runs SQL, not Spark."""

    remedy = (
        "Use a work group whose analytics engine is Apache Spark "
        "(engine version `PySpark engine version 3` or `Apache Spark version 3.5`)."
    )


class SessionNotFoundError(ServiceError):
    """The service does not know the session."""

    remedy = "It may have been started in another region or account."


class InvalidRequestError(ServiceError):
    """The service refuses the parameters."""

    remedy = (
        "Correct the argument that the service names. Work groups of `Apache Spark version 3.5` "
        "refuse DPU sizes and spark_properties and take classifications; those of "
        "`PySpark engine version 3` the other way round."
    )


class TokenReusedError(ServiceError):
    """The ClientRequestToken was used before with other parameters."""

    remedy = (
        "A session was started for this resource with other parameters that are not part of the "
        "state. Change the resource's `triggers` to start a new one, and end the other one if it "
        "still runs."
    )


class CapacityError(ServiceError):
    """Refused for now; the same request may be accepted later."""

    remedy = "Run the command again later."


class ThrottledError(CapacityError):
    """More requests per second than the account may make."""

    remedy = "The account's request rate is used up: run the command again later."


class QuotaExceededError(CapacityError):
    """The account's quota for Spark is used up. Athena counts DPUs, not sessions."""

    remedy = (
        "End sessions that are not needed, or lower max_concurrent_dpus. Athena's quotas for Spark "
        "are in DPUs (160 for an account and 60 for a session on PySpark engine version 3, 4 "
        "On-Demand DPUs on Apache Spark version 3.5) and cannot be adjusted in Service Quotas: AWS "
        "Support raises them."
    )


class NoCapacityError(CapacityError):
    """The service has no capacity for the session at present."""

    remedy = "Try again later, with fewer DPUs, or in another region."


class UnexpectedStateError(AthenaSessionError):
    """The service named a state that the API did not have when this package was made."""

    def __init__(self, session_id: str, *, state: str) -> None:
        self.session_id = session_id
        self.state = state
        super().__init__(
            f"Session {session_id} is in the state {state}, which this version of "
            "athena-session-provider does not know. Upgrade the package."
        )


class SessionDiedError(AthenaSessionError):
    """The session ended while it was waited for."""

    def __init__(self, session_id: str, *, region: str, state: str, reason: str) -> None:
        self.session_id = session_id
        self.state = state
        self.reason = reason
        super().__init__(
            f"Session {session_id} in region {region} is {state} and never became ready: "
            f"{reason or 'the service gave no reason'}. Correct the cause and run the command "
            "again; a new session will be started."
        )


class AdoptionError(AthenaSessionError):
    """The session named by adopt_session_id cannot be taken over."""


class WorkGroupInUseError(AthenaSessionError):
    """A work group has live sessions, or its bucket has objects, that were not to be deleted."""


class SparkConnectError(AthenaSessionError):
    """A Spark Connect client cannot work with a session."""


class SparkClientError(SparkConnectError):
    """PySpark is missing, or its version or Python's does not fit the server's."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}. Sessions of `Apache Spark version 3.5` need a client of the same version: "
            "run `pip install 'pyspark[connect]==3.5.6' 'numpy<2' 'pandas<3'` in a virtual "
            "environment of Python 3.10 or 3.11."
        )


class SessionEndedError(SparkConnectError):
    """The session of a Spark Connect client has ended."""

    def __init__(self, session_id: str, *, region: str, state: str, reason: str) -> None:
        self.session_id = session_id
        self.state = state
        self.reason = reason
        super().__init__(
            f"Session {session_id} in region {region} has ended, it is {state}: "
            f"{reason or 'the service gave no reason'}. Run `pulumi up` to start a new session, "
            "and connect to the id that the stack has then."
        )


class EndpointRefusedError(SparkConnectError):
    """A session's endpoint has no usable address, cannot be reached or refuses its client."""

    def __init__(self, session_id: str, *, region: str, problem: str, remedy: str) -> None:
        self.session_id = session_id
        super().__init__(
            f"The Spark Connect endpoint of session {session_id} in region {region} {problem}. "
            f"{remedy}"
        )


class WaitTimeoutError(AthenaSessionError):
    """A session did not reach a state before its deadline."""

    def __init__(
        self,
        session_id: str,
        *,
        region: str,
        target: str,
        state: str,
        timeout_seconds: float,
        reason: str = "",
    ) -> None:
        self.session_id = session_id
        self.target = target
        self.state = state
        self.timeout_seconds = timeout_seconds
        detail = f": {reason}" if reason else ""
        super().__init__(
            f"Session {session_id} in region {region} was still {state} after "
            f"{timeout_seconds:g} seconds, waiting for {target}{detail}. "
            "`custom_timeouts` of the resource sets how long to wait."
        )


class CancelledError(AthenaSessionError):
    """The engine asked its providers to stop (Ctrl-C)."""

    def __init__(self) -> None:
        super().__init__("Stopped waiting, because the command was cancelled.")
