"""The policies, against IAM's own definitions, moto's evaluation, and the calls in the code."""

from __future__ import annotations

import ast
import fnmatch
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.iam.policy_validation import IAMPolicyDocumentValidator, IAMTrustPolicyDocumentValidator
from policy_sentry.querying.actions import get_action_data

from athena_session_provider.resources import iam
from athena_session_provider.resources.iam import (
    Access,
    Place,
    execution_role_policy,
    session_policy,
    tls_only_policy,
    trust_policy,
)
from athena_session_provider.service import boto

PLACE = Place("aws", "eu-west-1", "123456789012")
WORK_GROUP_ARN = "arn:aws:athena:eu-west-1:123456789012:workgroup/spark"
SESSION_ARN = f"{WORK_GROUP_ARN}/session/6f1c9c3e-1c0a-4f4e-9a5e-0d5a4d8b7a11"
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/0d5a4d8b-1c0a-4f4e-9a5e-6f1c9c3e7a11"
LOG_KEY_ARN = KEY_ARN[:-1] + "3"
ROLE_ARN = "arn:aws:iam::123456789012:role/other"

LEAST = execution_role_policy(PLACE, "spark", Access("results", write=True))
MOST = execution_role_policy(
    PLACE,
    "spark",
    Access("shared", write=True, prefix="spark/"),
    kms_key=KEY_ARN,
    log_group="/aws-athena/spark",
    log_key=LOG_KEY_ARN,
    databases=[Access("sales"), Access("staging", write=True)],
    buckets=[Access("raw"), Access("lake", write=True), Access("lake", prefix="team/")],
)
POLICIES = {
    "session": session_policy(WORK_GROUP_ARN, execution_roles=[ROLE_ARN]),
    "session, any work group": session_policy("arn:aws:athena:*:123456789012:workgroup/*"),
    "session, required": session_policy(WORK_GROUP_ARN, optional=False),
    "session, with clients": session_policy(WORK_GROUP_ARN, connect=True),
    "execution role, least": LEAST,
    "execution role, most": MOST,
}

# CloudWatch Logs authorizes this one for ":log-group::log-stream:", says its documentation, which
# the definitions leave out.
WITH_A_RESOURCE_ALL_THE_SAME = {"logs:DescribeLogGroups"}


# The names in ARNs that may have slashes themselves.
WITH_SLASHES = {"LogGroupName", "ObjectName", "RoleNameWithPath"}


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def actions(policy: dict[str, Any]) -> set[str]:
    return set(itertools.chain.from_iterable(item["Action"] for item in statements(policy)))


def definitions(action: str) -> list[dict[str, Any]]:
    """What IAM knows of an action: one entry for each kind of resource."""
    service, _, name = action.partition(":")
    found = get_action_data(service, name)
    assert found, f"IAM knows no action {action}"
    entries: list[dict[str, Any]] = found[service]
    return entries


def fits(resource: str, arn_format: str) -> bool:
    """Whether a resource of a policy, wildcards included, is of a kind that IAM knows."""
    parts = re.split(r"\$\{(\w+)\}", arn_format)
    pattern = "".join(
        re.escape(part) if number % 2 == 0 else ".+" if part in WITH_SLASHES else "[^/]+"
        for number, part in enumerate(parts)
    )
    return re.fullmatch(pattern, resource) is not None


def permits(policy: dict[str, Any], action: str, resource: str) -> bool:
    """Evaluate actions and resources as moto does, which knows little of conditions."""
    return any(
        IAMPolicyStatement({**item, "Condition": {}}).is_action_permitted(action, resource)
        is PermissionResult.PERMITTED
        for item in statements(policy)
    )


@pytest.mark.parametrize("name", POLICIES)
def test_iam_takes_the_document(name: str) -> None:
    """The syntax is right, no Sid comes twice, and the text is not too long."""
    text = json.dumps(POLICIES[name], separators=(",", ":"))
    IAMPolicyDocumentValidator(text).validate()
    sids = [item["Sid"] for item in statements(POLICIES[name])]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch("[a-zA-Z0-9]+", sid) for sid in sids)
    # The policies within a role may have 10240 characters together.
    assert len(text) < 10240 / 2


@pytest.mark.parametrize("name", POLICIES)
def test_every_action_fits_a_resource_and_the_other_way_round(name: str) -> None:
    """Otherwise the action is not granted, or the resource is there for nothing."""
    for statement in statements(POLICIES[name]):
        unused = set(statement["Resource"])
        for action in statement["Action"]:
            known = {entry["resource_arn_format"] for entry in definitions(action)}
            fitting = {
                resource
                for resource in statement["Resource"]
                if any(fits(resource, arn_format) for arn_format in known - {"*"})
                or (known == {"*"} and (resource == "*" or action in WITH_A_RESOURCE_ALL_THE_SAME))
            }
            assert fitting, f"{statement['Sid']}: {action}"
            unused -= fitting
        assert not unused, statement["Sid"]


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_is_allowed_for_everything(name: str) -> None:
    """No wildcard for actions, nor for resources where IAM can name them, nor for services."""
    for statement in statements(POLICIES[name]):
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
        if "*" in statement["Resource"]:
            assert statement["Action"] == ["cloudwatch:PutMetricData"]
            assert {
                entry["resource_arn_format"] for entry in definitions(statement["Action"][0])
            } == {"*"}
            assert statement["Condition"] == {
                "StringEquals": {"cloudwatch:namespace": "AmazonAthenaForApacheSpark"}
            }


@pytest.mark.parametrize("name", POLICIES)
def test_conditions_are_on_keys_that_the_actions_have(name: str) -> None:
    """A key that an action does not have never matches, so that nothing is allowed."""
    for statement in statements(POLICIES[name]):
        keys = {key for tests in statement.get("Condition", {}).values() for key in tests}
        for action in statement["Action"]:
            known = {key for entry in definitions(action) for key in entry["condition_keys"]}
            assert keys <= known, f"{statement['Sid']}: {action}"


def operations_in_the_code() -> set[str]:
    """The operations that the client calls: the first arguments of `_call`."""
    tree = ast.parse(Path(boto.__file__).read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_call"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_session_policy_has_the_operations_that_the_code_calls() -> None:
    """No action is missing and none is unused."""
    called = {f"athena:{operation}" for operation in operations_in_the_code()}
    assert "athena:StartSession" in called
    assert actions(session_policy(WORK_GROUP_ARN, connect=True)) == called
    # Only clients need this one; `pulumi up` uses it if it is permitted.
    called.remove("athena:GetSessionEndpoint")
    assert actions(session_policy(WORK_GROUP_ARN)) == called


def test_session_policy_without_the_optional() -> None:
    """The rest is what StartSession is authorized for, and watching and ending sessions.

    Source: Service Authorization Reference for Amazon Athena, operation StartSession.
    """
    required = session_policy(WORK_GROUP_ARN, optional=False)
    assert actions(required) == {
        "athena:StartSession",
        "athena:TagResource",
        "athena:ListTagsForResource",
        "athena:GetSession",
        "athena:GetSessionStatus",
        "athena:TerminateSession",
    }
    # Copying the tags of the work group reads them there.
    for resource in (WORK_GROUP_ARN, SESSION_ARN):
        assert permits(required, "athena:TagResource", resource)
        assert permits(required, "athena:ListTagsForResource", resource)
    whole = statements(session_policy(WORK_GROUP_ARN))
    assert [item for item in whole if item["Sid"].startswith("Required")] == statements(required)
    assert all(re.match("Required|Optional", item["Sid"]) for item in whole)


@pytest.mark.parametrize("resource", [WORK_GROUP_ARN, SESSION_ARN])
def test_session_policy_for_clients(resource: str) -> None:
    """Connecting is permitted only if asked for."""
    action = "athena:GetSessionEndpoint"
    assert permits(session_policy(WORK_GROUP_ARN, connect=True), action, resource)
    assert permits(session_policy(WORK_GROUP_ARN, connect=True, optional=False), action, resource)
    assert not permits(session_policy(WORK_GROUP_ARN), action, resource)


def test_every_statement_names_its_source() -> None:
    """In the docstring of the function that makes it."""
    makers = [
        node
        for node in ast.walk(ast.parse(Path(iam.__file__).read_text()))
        if isinstance(node, ast.FunctionDef)
        and node.name != "_allow"
        and any(isinstance(part, ast.Constant) and part.value == "Sid" for part in ast.walk(node))
        | any(
            isinstance(part, ast.Call) and getattr(part.func, "id", "") == "_allow"
            for part in ast.walk(node)
        )
    ]
    assert len(makers) > 15
    for maker in makers:
        assert "\n\nSource: " in (ast.get_docstring(maker) or ""), maker.name


def test_session_policy_is_for_one_work_group() -> None:
    """Its sessions, and no others."""
    policy = session_policy(WORK_GROUP_ARN)
    for action in actions(policy):
        kinds = {entry["resource_arn_format"] for entry in definitions(action)}
        of_session = any(kind.endswith("/session/${SessionId}") for kind in kinds)
        assert permits(policy, action, SESSION_ARN if of_session else WORK_GROUP_ARN)
        assert not permits(policy, action, WORK_GROUP_ARN.replace("spark", "other"))
        assert not permits(policy, action, SESSION_ARN.replace("spark", "other"))
        assert not permits(policy, action, SESSION_ARN.replace("eu-west-1", "us-east-1"))


def test_session_policy_for_an_execution_role_of_the_session() -> None:
    """The role may be passed to Athena, and to nobody else."""
    policy = session_policy(WORK_GROUP_ARN, execution_roles=[ROLE_ARN])
    (statement,) = (item for item in statements(policy) if item["Action"] == ["iam:PassRole"])
    assert statement["Sid"].startswith("Required")
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "athena.amazonaws.com"}
    }
    assert permits(policy, "iam:PassRole", ROLE_ARN)
    assert not permits(policy, "iam:PassRole", f"{ROLE_ARN}-2")


@pytest.mark.parametrize(
    "arn", ["spark", SESSION_ARN, "arn:aws:s3:::spark", f"{WORK_GROUP_ARN}\n", "*", ""]
)
def test_session_policy_refuses_what_is_no_work_group(arn: str) -> None:
    """A policy for something else would only show when a session is refused."""
    with pytest.raises(ValueError, match="not the ARN of a work group"):
        session_policy(arn)


def test_trust_is_in_athena_for_one_work_group_of_one_account() -> None:
    """Both conditions against the confused deputy are there."""
    policy = trust_policy(PLACE, "spark")
    IAMTrustPolicyDocumentValidator(json.dumps(policy)).validate()
    (statement,) = statements(policy)
    assert statement["Principal"] == {"Service": "athena.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": WORK_GROUP_ARN},
    }


def test_bucket_policy_refuses_requests_without_tls() -> None:
    """For the bucket and its objects, whoever asks."""
    (statement,) = statements(tls_only_policy("arn:aws:s3:::results"))
    assert statement == {
        "Sid": "RefuseWithoutTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::results", "arn:aws:s3:::results/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


OBJECT = "arn:aws:s3:::{}/part-0.parquet"
GLUE = "arn:aws:glue:eu-west-1:123456789012:"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:ListBucket", "arn:aws:s3:::results"),
        ("s3:GetObject", OBJECT.format("results")),
        ("s3:PutObject", OBJECT.format("results")),
        ("s3:DeleteObject", OBJECT.format("results")),
        ("athena:StartCalculationExecution", WORK_GROUP_ARN),
        ("athena:GetSessionStatus", WORK_GROUP_ARN),
        (
            "logs:PutLogEvents",
            "arn:aws:logs:eu-west-1:123456789012:log-group:/aws-athena-x:log-stream:y",
        ),
        ("cloudwatch:PutMetricData", "*"),
    ],
)
def test_every_execution_role_may_run_calculations(action: str, resource: str) -> None:
    """What AWS's default policy allows."""
    assert permits(LEAST, action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", OBJECT.format("others")),
        ("s3:ListBucket", "arn:aws:s3:::results-2"),
        ("s3:PutBucketPolicy", "arn:aws:s3:::results"),
        ("athena:StartCalculationExecution", f"{WORK_GROUP_ARN}-2"),
        ("athena:StartSession", WORK_GROUP_ARN),
        ("glue:GetTable", f"{GLUE}table/sales/orders"),
        ("glue:GetDatabase", f"{GLUE}catalog"),
        ("kms:Decrypt", KEY_ARN),
        ("logs:PutLogEvents", "arn:aws:logs:eu-west-1:123456789012:log-group:x:log-stream:y"),
    ],
)
def test_no_execution_role_may_do_more_than_asked(action: str, resource: str) -> None:
    """Neither other data, nor other work groups, nor settings."""
    assert not permits(LEAST, action, resource)


@pytest.mark.parametrize(
    ("action", "resource", "permitted"),
    [
        # A bucket that was given for results: the work group's own folder.
        ("s3:PutObject", "arn:aws:s3:::shared/spark/1", True),
        ("s3:PutObject", "arn:aws:s3:::shared/other/1", False),
        # A bucket to read, one to write, and a part of one.
        ("s3:GetObject", OBJECT.format("raw"), True),
        ("s3:PutObject", OBJECT.format("raw"), False),
        ("s3:DeleteObject", OBJECT.format("raw"), False),
        ("s3:GetObject", OBJECT.format("lake"), True),
        ("s3:PutObject", OBJECT.format("lake"), True),
        # A database to read, and one to write.
        ("glue:GetDatabase", f"{GLUE}database/default", True),
        ("glue:GetTables", f"{GLUE}database/default", False),
        ("glue:GetTable", f"{GLUE}table/sales/orders", True),
        ("glue:UpdateTable", f"{GLUE}table/sales/orders", False),
        ("glue:GetTable", f"{GLUE}table/staging/orders", True),
        ("glue:CreateTable", f"{GLUE}table/staging/orders", True),
        ("glue:DeleteDatabase", f"{GLUE}database/staging", False),
        ("glue:GetTable", f"{GLUE}table/others/orders", False),
        ("kms:Decrypt", KEY_ARN, True),
        ("kms:GenerateDataKey", KEY_ARN, True),
        ("kms:Decrypt", f"{KEY_ARN[:-1]}2", False),
        # The key of the logs, on engine 3.5.
        ("kms:Encrypt", LOG_KEY_ARN, True),
        ("kms:Decrypt", LOG_KEY_ARN, True),
        ("kms:DescribeKey", LOG_KEY_ARN, True),
        ("kms:ReEncryptFrom", LOG_KEY_ARN, True),
        ("kms:ReEncryptTo", LOG_KEY_ARN, True),
        ("kms:GenerateDataKey", LOG_KEY_ARN, True),
        ("kms:Encrypt", KEY_ARN, False),
        (
            "logs:CreateLogStream",
            "arn:aws:logs:eu-west-1:123456789012:log-group:/aws-athena/spark:log-stream:x",
            True,
        ),
    ],
)
def test_access_is_what_was_asked_for(
    action: str,
    resource: str,
    permitted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Reading and writing are apart, and nothing else is opened."""
    assert permits(MOST, action, resource) is permitted


def test_part_of_a_bucket() -> None:
    """Its keys alone may be listed and read."""
    policy = execution_role_policy(
        PLACE,
        "spark",
        Access("results", write=True),
        buckets=[Access("lake", prefix="team/"), Access("lake", prefix="free", write=True)],
    )
    listing = [
        item
        for item in statements(policy)
        if item["Action"] == ["s3:ListBucket"] and item["Resource"] == ["arn:aws:s3:::lake"]
    ]
    assert [item["Condition"] for item in listing] == [
        {"StringLike": {"s3:prefix": ["free", "free*"]}},
        {"StringLike": {"s3:prefix": ["team", "team/*"]}},
    ]
    assert permits(policy, "s3:GetObject", "arn:aws:s3:::lake/team/1")
    assert not permits(policy, "s3:GetObject", "arn:aws:s3:::lake/teams/1")
    assert not permits(policy, "s3:PutObject", "arn:aws:s3:::lake/team/1")
    assert permits(policy, "s3:PutObject", "arn:aws:s3:::lake/free/1")


def test_another_partition() -> None:
    """ARNs of China and GovCloud begin otherwise."""
    place = Place("aws-cn", "cn-north-1", "123456789012")
    text = json.dumps(
        [
            execution_role_policy(
                place,
                "spark",
                Access("results", write=True),
                databases=[Access("sales")],
                buckets=[Access("raw")],
            ),
            trust_policy(place, "spark"),
        ]
    )
    arns = re.findall(r'"(arn:[^"]+)"', text)
    assert arns
    assert not [arn for arn in arns if not fnmatch.fnmatch(arn, "arn:aws-cn:*")]
