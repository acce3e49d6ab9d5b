"""From botocore's exceptions, and from refused credentials, to the errors of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from athena_session_provider.service import errors
from athena_session_provider.service.boto_errors import (
    ACCESS_DENIED,
    CREDENTIALS_REFUSED,
    service_error,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    _Maker = Callable[["_Failed"], errors.AthenaSessionError]


@dataclass(frozen=True)
class _Failed:
    """What failed, for the sentence about it."""

    operation: str
    subject: str
    region: str
    endpoint: str
    profile: str | None
    source: str
    detail: str

    @property
    def option(self) -> str:
        """The option of the AWS CLI that names the profile."""
        return f" --profile {self.profile}" if self.profile else ""

    @property
    def whose(self) -> str:
        return f"the profile {self.profile}" if self.profile else "the AWS configuration"


def _missing(failed: _Failed) -> errors.AthenaSessionError:
    return errors.MissingCredentialsError(failed.region, failed.detail)


def _sso(failed: _Failed) -> errors.AthenaSessionError:
    return errors.CredentialsError(
        f"The AWS IAM Identity Center (SSO) login of {failed.whose} has expired or was never made "
        f"({failed.detail}). Run `aws sso login{failed.option}` and then the command again."
    )


def _login(failed: _Failed) -> errors.AthenaSessionError:
    return errors.CredentialsError(
        f"The AWS login of {failed.whose} has expired or was never made ({failed.detail}). Run "
        f"`aws login{failed.option}` and then the command again."
    )


def _mfa(failed: _Failed) -> errors.AthenaSessionError:
    name = failed.profile or "default"
    return errors.CredentialsError(
        f"The credentials of {failed.whose} need an MFA code, and there is nobody here to enter "
        f'it. Run `eval "$(aws configure export-credentials --profile {name} --format env)"` in a '
        "shell, which asks for the code, and then the command again in that shell, without "
        "`aws:profile`."
    )


def _supplier(failed: _Failed) -> errors.AthenaSessionError:
    return errors.CredentialsError(
        f"The AWS credentials ({failed.source}) could not be obtained: {failed.detail}. Run "
        f"`aws sts get-caller-identity{failed.option}` to see whether the AWS CLI obtains them."
    )


def _profile(failed: _Failed) -> errors.AthenaSessionError:
    return errors.ConfigurationError(
        f"Invalid AWS settings: {failed.detail}. Check `aws:profile` or the environment variable "
        "AWS_PROFILE, and the files: `aws configure list-profiles` shows the profiles. "
        "`aws:sharedConfigFiles` and `aws:sharedCredentialsFiles` name other files."
    )


def _files(failed: _Failed) -> errors.AthenaSessionError:
    return errors.ConfigurationError(
        f"Invalid AWS settings: {failed.detail}. Correct the AWS configuration file."
    )


def _no_region(_: _Failed) -> errors.AthenaSessionError:
    return errors.MissingRegionError()


def _region(failed: _Failed) -> errors.AthenaSessionError:
    return errors.ConfigurationError(
        f"Invalid AWS settings: {failed.detail}. Check the region (`aws:region`, "
        "`aws:stsRegion`), `aws:useFipsEndpoint` and `aws:useDualstackEndpoint`."
    )


def _setting(failed: _Failed) -> errors.AthenaSessionError:
    return errors.ConfigurationError(
        f"Invalid AWS settings: {failed.detail}. Check the AWS configuration file and the "
        "environment variables that begin with AWS_."
    )


def _argument(failed: _Failed) -> errors.AthenaSessionError:
    about = f" for {failed.subject}" if failed.subject.startswith("role ") else ""
    return errors.InvalidArgumentError(f"{failed.operation}{about} was not sent: {failed.detail}.")


def _installation(failed: _Failed) -> errors.AthenaSessionError:
    return errors.ConfigurationError(
        f"{failed.operation} in region {failed.region} could not be sent by the installed boto3: "
        f"{failed.detail}. Install boto3 anew, or a newer one."
    )


def _throttled(failed: _Failed) -> errors.AthenaSessionError:
    return errors.ThrottledError(
        errors.ServiceAnswer(
            operation=failed.operation,
            region=failed.region,
            subject=failed.subject,
            code="CapacityNotAvailable",
            message=failed.detail,
            request_id="",
        )
    )


def _unreachable(hint: str = "", *, may_have_acted: bool = False) -> _Maker:
    def make(failed: _Failed) -> errors.AthenaSessionError:
        return errors.EndpointUnreachableError(
            failed.operation,
            subject=failed.subject,
            region=failed.region,
            endpoint=failed.endpoint,
            detail=failed.detail + hint,
            may_have_acted=may_have_acted,
        )

    return make


_unanswered = _unreachable(may_have_acted=True)

BOTOCORE_ERRORS: dict[str, _Maker] = {
    **dict.fromkeys(
        ("NoCredentialsError", "NoAuthTokenError", "PartialCredentialsError"), _missing
    ),
    **dict.fromkeys(
        (
            "CredentialRetrievalError",
            "MetadataRetrievalError",
            "UnknownCredentialError",
            "UnknownTokenProviderError",
        ),
        _supplier,
    ),
    **dict.fromkeys(
        ("SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError"), _sso
    ),
    **dict.fromkeys(
        (
            "LoginError",
            "LoginAuthorizationCodeError",
            "LoginInsufficientPermissions",
            "LoginRefreshRequired",
            "LoginTokenLoadError",
        ),
        _login,
    ),
    "RefreshWithMFAUnsupportedError": _mfa,
    "ProfileNotFound": _profile,
    **dict.fromkeys(
        ("ConfigNotFound", "ConfigParseError", "InvalidConfigError", "InfiniteLoopConfigError"),
        _files,
    ),
    "NoRegionError": _no_region,
    **dict.fromkeys(
        (
            "BaseEndpointResolverError",
            "EndpointProviderError",
            "EndpointResolutionError",
            "EndpointVariantError",
            "InvalidRegionError",
            "ServiceNotInRegionError",
            "UnknownEndpointError",
            "UnknownEndpointResolutionBuiltInName",
            "UnknownFIPSEndpointError",
            "UnknownRegionError",
        ),
        _region,
    ),
    **dict.fromkeys(
        (
            "InvalidChecksumConfigError",
            "InvalidDefaultsMode",
            "InvalidEndpointConfigurationError",
            "InvalidEndpointDiscoveryConfigurationError",
            "InvalidIMDSEndpointError",
            "InvalidIMDSEndpointModeError",
            "InvalidMaxRetryAttemptsError",
            "InvalidProxiesConfigError",
            "InvalidRetryConfigurationError",
            "InvalidRetryModeError",
            "InvalidS3AddressingStyleError",
            "InvalidS3UsEast1RegionalEndpointConfigError",
            "InvalidSTSRegionalEndpointsConfigError",
            "UnsupportedS3AccesspointConfigurationError",
            "UnsupportedS3ConfigurationError",
            "UnsupportedS3ControlConfigurationError",
        ),
        _setting,
    ),
    **dict.fromkeys(
        (
            "AliasConflictParameterError",
            "InvalidDNSNameError",
            "InvalidHostLabelError",
            "MissingParametersError",
            "ParamValidationError",
            "RangeError",
            "UnknownKeyError",
            "UnknownParameterError",
            "UnsupportedOutpostResourceError",
            "UnsupportedS3ArnError",
            "UnsupportedS3ControlArnError",
            "ValidationError",
        ),
        _argument,
    ),
    **dict.fromkeys(("ConnectionError", "ConnectTimeoutError"), _unreachable()),
    "EndpointConnectionError": _unreachable(),
    "ProxyConnectionError": _unreachable(
        "; `aws:httpsProxy`, `aws:httpProxy` or the environment names this proxy"
    ),
    "SSLError": _unreachable(
        "; `aws:customCaBundle` names a file of certificates to trust, for a proxy that has its own"
    ),
    **dict.fromkeys(
        (
            "ChecksumError",
            "ConnectionClosedError",
            "FlexibleChecksumError",
            "HTTPClientError",
            "IncompleteReadError",
            "ReadTimeoutError",
            "ResponseStreamingError",
        ),
        _unanswered,
    ),
    "CapacityNotAvailableError": _throttled,
    **dict.fromkeys(
        (
            "ApiVersionNotFoundError",
            "AwsChunkedWrapperError",
            "BotoCoreError",
            "DataNotFoundError",
            "InvalidExpressionError",
            "MD5UnavailableError",
            "MissingDependencyException",
            "MissingServiceIdError",
            "OperationNotPageableError",
            "PaginationError",
            "StubAssertionError",
            "StubResponseError",
            "UnStubbedResponseError",
            "UndefinedModelAttributeError",
            "UnknownClientMethodError",
            "UnknownServiceError",
            "UnknownServiceStyle",
            "UnknownSignatureVersionError",
            "UnseekableStreamError",
            "UnsupportedServiceProtocolsError",
            "UnsupportedSignatureVersionError",
            "WaiterConfigError",
            "WaiterError",
        ),
        _installation,
    ),
}
"""What each class of botocore's exceptions says; a class without a row fails a test."""


def local_error(
    exc: Exception,
    operation: str,
    region: str,
    subject: str,
    endpoint: str,
    *,
    profile: str | None = None,
    source: str = "",
) -> errors.AthenaSessionError:
    """Return the error of this package for a call that got no answer.

    Args:
        exc: An exception of botocore.
        operation: What was to be called, such as ``StartSession``.
        region: Where.
        subject: What it was about.
        endpoint: The endpoint's URL, or its name.
        profile: The profile in use.
        source: Where the credentials come from.
    """
    failed = _Failed(
        operation=operation,
        subject=subject,
        region=region,
        endpoint=without_secrets(endpoint),
        profile=profile,
        source=source or "from the AWS SDK's chain",
        detail=without_secrets(str(exc)).rstrip("."),
    )
    # A class that a newer botocore has is treated as the one that it is made from.
    names = (kind.__name__ for kind in type(exc).__mro__)
    make = next((BOTOCORE_ERRORS[name] for name in names if name in BOTOCORE_ERRORS), _installation)
    return make(failed)


CREDENTIAL_ANSWERS: dict[str, str] = {
    **dict.fromkeys(
        (*sorted(ACCESS_DENIED), "ForbiddenException", "UnauthorizedException"),
        "Check that the trust policy of the role lets these credentials in, that their own "
        "policies allow sts:AssumeRole (with tags sts:TagSession too, with a source identity "
        "sts:SetSourceIdentity), and that role and external id in `aws:assumeRoles` or in the "
        "profile are right",
    ),
    **dict.fromkeys(
        sorted(CREDENTIALS_REFUSED | {"InvalidAccessKeyId", "ExpiredTradeInTokenException"}),
        "Renew the credentials (for example by `aws sso login`), or correct `aws:accessKey`, "
        "`aws:secretKey` and `aws:token`; and check this machine's clock",
    ),
    **dict.fromkeys(
        ("InvalidIdentityToken", "InvalidIdentityTokenException", "IDPRejectedClaim"),
        "Check the web identity token: its audience, its issuer and whether it has expired, and "
        "the identity provider in IAM",
    ),
    "IDPCommunicationError": "AWS could not reach the identity provider: run the command again",
    **dict.fromkeys(
        ("MalformedPolicyDocument", "MalformedPolicyDocumentException"),
        "Correct the policy of the role in `aws:assumeRoles`",
    ),
    **dict.fromkeys(
        ("PackedPolicyTooLarge", "PackedPolicyTooLargeException"),
        "Make the policy and the tags of the role in `aws:assumeRoles` smaller",
    ),
    **dict.fromkeys(
        ("RegionDisabledException", "RegionDisabled"),
        "Enable STS in this region in the settings of the account, or set `aws:stsRegion`",
    ),
    **dict.fromkeys(
        ("ValidationError", "ValidationException", "InvalidParameterValue"),
        "Correct the role in `aws:assumeRoles`; a role that another role assumes lasts at most one "
        "hour",
    ),
    "NoSuchEntity": "Correct the role's ARN",
    "ResourceNotFoundException": "Correct the account and the role of the SSO profile",
    "InvalidRequestException": "Correct the SSO profile",
    **dict.fromkeys(
        (
            "InvalidAuthorizationMessageException",
            "JWTPayloadSizeExceededException",
            "OutboundWebIdentityFederationDisabledException",
            "SessionDurationEscalationException",
        ),
        "Look the code up in the API reference of AWS STS",
    ),
}
"""What to do about each error code of STS and SSO, on the way to credentials."""


def credentials_error(
    exc: Exception,
    *,
    region: str,
    profile: str | None = None,
    subject: str = "the credentials",
    source: str = "",
    endpoint: str = "",
) -> errors.AthenaSessionError:
    """Return the error of this package for credentials that cannot be obtained.

    An answer of STS or SSO that is worth repeating stays one: throttled, or HTTP 5xx.

    Args:
        exc: What botocore raised; errors of this package are returned as they are.
        region: The region of STS.
        profile: The profile in use.
        subject: Which credentials: ``role arn:...``.
        source: Where the first credentials come from.
        endpoint: The endpoint of STS.
    """
    from botocore.exceptions import ClientError

    if isinstance(exc, errors.AthenaSessionError):
        return exc
    if not isinstance(exc, ClientError):
        return local_error(
            exc,
            "GetCredentials",
            region,
            subject,
            endpoint or f"sts in {region}",
            profile=profile,
            source=source,
        )
    operation = exc.operation_name or "GetCredentials"
    error = service_error(exc, operation, region, subject)
    if isinstance(error, (errors.CapacityError, errors.InternalServiceError)):
        return error
    answer = error.answer
    remedy = CREDENTIAL_ANSWERS.get(
        answer.code, f"Look the code up in the API reference for {operation}"
    )
    request_id = f", request id {answer.request_id}" if answer.request_id else ""
    with_what = f" with credentials {source}" if source else ""
    return errors.CredentialsError(
        f"{operation} for {subject} in region {region}{with_what} was refused: "
        f"{answer.message.rstrip('.')} ({answer.code}{request_id}). {remedy}."
    )
