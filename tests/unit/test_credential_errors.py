"""Every error of botocore and of STS on the way to an answer is a sentence of the family."""

from __future__ import annotations

import inspect
import string
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from athena_session_provider.service import errors
from athena_session_provider.service.boto_errors import service_error, without_secrets
from athena_session_provider.service.credential_errors import (
    BOTOCORE_ERRORS,
    CREDENTIAL_ANSWERS,
    credentials_error,
    local_error,
)

CLASSES = {
    name: kind
    for name, kind in vars(boto).items()
    if inspect.isclass(kind)
    and issubclass(kind, Exception)
    and not issubclass(kind, (Warning, ClientError))
    and kind.__module__ == boto.__name__
}


def example(kind: type[Exception]) -> Exception:
    """An exception of a class, with a value for every member of its text."""
    text = getattr(kind, "fmt", "")
    names = [name for _, name, _, _ in string.Formatter().parse(text) if name]
    members: dict[str, Any] = dict.fromkeys(names, "value")
    if issubclass(kind, BotoCoreError):
        if issubclass(kind, (boto.ConnectionError, boto.HTTPClientError)):
            members.setdefault("error", "value")
        if kind is boto.WaiterError:
            members["last_response"] = {}
        return kind(**members)
    return kind(**members) if text else kind("value")


def test_there_are_classes() -> None:
    """The walk finds them."""
    assert len(CLASSES) > 80


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_of_botocore_has_a_row(name: str) -> None:
    """A newer botocore cannot bring an error that nobody has thought about."""
    assert name in BOTOCORE_ERRORS


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_gives_a_sentence(name: str) -> None:
    """Of our family, without what belongs to a traceback."""
    error = local_error(
        example(CLASSES[name]),
        "StartSession",
        "eu-west-1",
        "work group spark",
        "http://a",
        profile="team",
    )
    assert isinstance(error, errors.AthenaSessionError)
    assert type(error) is not errors.AthenaSessionError
    assert str(error).endswith((".", "?")), str(error)
    assert "Traceback" not in str(error)


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("NoCredentialsError", errors.MissingCredentialsError, "aws:profile"),
        ("PartialCredentialsError", errors.MissingCredentialsError, "aws:accessKey"),
        ("UnauthorizedSSOTokenError", errors.CredentialsError, "aws sso login --profile team"),
        ("SSOTokenLoadError", errors.CredentialsError, "aws sso login --profile team"),
        ("TokenRetrievalError", errors.CredentialsError, "aws sso login --profile team"),
        ("LoginRefreshRequired", errors.CredentialsError, "aws login --profile team"),
        ("RefreshWithMFAUnsupportedError", errors.CredentialsError, "MFA code"),
        ("CredentialRetrievalError", errors.CredentialsError, "get-caller-identity --profile team"),
        ("ProfileNotFound", errors.ConfigurationError, "aws configure list-profiles"),
        ("ConfigParseError", errors.ConfigurationError, "configuration file"),
        ("InvalidRegionError", errors.ConfigurationError, "aws:region"),
        ("NoRegionError", errors.MissingRegionError, "AWS_REGION"),
        ("SSLError", errors.EndpointUnreachableError, "aws:customCaBundle"),
        ("ProxyConnectionError", errors.EndpointUnreachableError, "aws:httpsProxy"),
        ("ReadTimeoutError", errors.EndpointUnreachableError, "Check the network"),
        ("CapacityNotAvailableError", errors.ThrottledError, "request rate"),
        ("ParamValidationError", errors.InvalidArgumentError, "was not sent"),
        ("DataNotFoundError", errors.ConfigurationError, "Install boto3 anew"),
    ],
)
def test_what_to_do(name: str, kind: type[errors.AthenaSessionError], part: str) -> None:
    """The command to run, or the key to look at."""
    if name not in CLASSES:
        pytest.fail(f"{name} is not in this botocore")
    error = local_error(
        example(CLASSES[name]), "StartSession", "eu-west-1", "work group spark", "a", profile="team"
    )
    assert type(error) is kind
    assert part in str(error)


def test_only_what_was_sent_may_have_acted() -> None:
    """A connection that was never made carried nothing."""
    for name, acted in (("EndpointConnectionError", False), ("ReadTimeoutError", True)):
        error = local_error(example(CLASSES[name]), "StartSession", "r", "s", "a")
        assert isinstance(error, errors.EndpointUnreachableError)
        assert error.may_have_acted is acted


def test_a_class_of_a_newer_botocore_is_like_the_one_that_it_is_made_from() -> None:
    """It is no traceback until somebody adds its row."""

    class NewSSOError(boto.SSOError):
        fmt = "new"

    class NewError(BotoCoreError):
        fmt = "new"

    assert "aws sso login" in str(local_error(NewSSOError(), "o", "r", "s", "e"))
    assert isinstance(local_error(NewError(), "o", "r", "s", "e"), errors.ConfigurationError)


def answer(code: str, operation: str = "AssumeRole", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "The message."},
            "ResponseMetadata": {  # type: ignore[typeddict-item]
                "RequestId": "id-1",
                "HTTPStatusCode": status,
            },
        },
        operation,
    )


def codes_of(service: str) -> set[str]:
    model = botocore.session.get_session().get_service_model(service)
    operations = {
        "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"),
        "sso": ("GetRoleCredentials",),
    }[service]
    shapes = [one for name in operations for one in model.operation_model(name).error_shapes]
    # The code on the wire is not always the name of the shape.
    return {shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes}


@pytest.mark.parametrize("service", ["sts", "sso"])
def test_every_error_of_the_model_is_a_sentence(service: str) -> None:
    """What to do about each stands in the table, or it is worth repeating."""
    found = codes_of(service)
    assert found
    for code in found:
        error = credentials_error(answer(code), region="eu-west-1", subject="role r")
        if isinstance(error, errors.CapacityError):
            continue
        assert code in CREDENTIAL_ANSWERS, code
        assert isinstance(error, errors.CredentialsError)
        for part in ("AssumeRole for role r", "The message (", code, "request id id-1"):
            assert part in str(error)


def test_answers_worth_repeating_stay_such() -> None:
    """A caller waits, as for Athena's own."""
    throttled = credentials_error(answer("Throttling"), region="eu-west-1")
    assert type(throttled) is errors.ThrottledError
    broken = credentials_error(answer("InternalFailure", status=500), region="eu-west-1")
    assert type(broken) is errors.InternalServiceError
    unknown = credentials_error(answer("NewCode"), region="eu-west-1")
    assert "Look the code up in the API reference for AssumeRole" in str(unknown)
    own = errors.CredentialsError("x")
    assert credentials_error(own, region="eu-west-1") is own


@pytest.mark.parametrize(
    "text",
    [
        "Could not connect to http://user:hidden@host/",
        "The signature is wrong.\n\nThe Canonical String for this request should have been hidden",
        "x-amz-security-token:hidden",
    ],
)
def test_no_secret_is_shown(text: str) -> None:
    """Neither a proxy's password nor what STS repeats of a request."""
    assert "hidden" not in without_secrets(text)
    exc = boto.HTTPClientError(error=text)
    assert "hidden" not in str(local_error(exc, "o", "r", "s", "http://user:hidden@host"))
    refused = answer("SignatureDoesNotMatch")
    refused.response["Error"]["Message"] = text
    assert "hidden" not in str(service_error(refused, "o", "r", "s"))
