"""IAM policy documents: for whoever runs Pulumi, and for the parts of ``SparkWorkgroup``.

Every function gives a document as a dict; ``json.dumps`` makes the text that IAM takes. This module
imports nothing else of the package, and neither pulumi nor boto3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = "2012-10-17"
_WORK_GROUP_ARN = re.compile(r"arn:[\w*-]+:athena:[\w*-]+:[\d*]+:workgroup/[\w.*?-]+", re.ASCII)

# Of the Glue databases that Spark asks for when it starts, whichever databases are used.
_DATABASES_OF_SPARK = ("default", "global_temp")


def session_policy(
    work_group_arn: str, *, optional: bool = True, execution_roles: Sequence[str] = ()
) -> dict[str, Any]:
    """Give the policy that whoever runs ``pulumi up`` needs for the sessions of a work group.

    It has the actions that this package calls and no other. A Sid tells whether its statement is
    needed. Asking STS for the account takes no permission.

    Args:
        work_group_arn: ``arn:aws:athena:<region>:<account>:workgroup/<name>``, wildcards allowed.
        optional: False leaves out what works without. The package then asks for each session by
            itself, cannot tell in an error that a work group runs SQL, and neither tags sessions
            nor changes their tags. A session with a description of your own or with tags needs
            the tags.
        execution_roles: ARNs of the roles that sessions are given as ``execution_role``. The role
            of the work group itself need not be here.

    Raises:
        ValueError: The ARN is not one of a work group.
    """
    if not _WORK_GROUP_ARN.fullmatch(work_group_arn):
        message = (
            f"{work_group_arn!r} is not the ARN of a work group, which looks like "
            "arn:aws:athena:eu-west-1:123456789012:workgroup/name"
        )
        raise ValueError(message)
    sessions = f"{work_group_arn}/session/*"
    statements = [
        _allow(
            "RequiredStartWatchAndEndSessions",
            [
                "athena:GetSession",
                "athena:GetSessionStatus",
                "athena:StartSession",
                "athena:TerminateSession",
            ],
            [work_group_arn, sessions],
        )
    ]
    if execution_roles:
        statements.append(
            _allow(
                "RequiredForExecutionRole",
                ["iam:PassRole"],
                list(execution_roles),
                {"StringEquals": {"iam:PassedToService": "athena.amazonaws.com"}},
            )
        )
    if optional:
        statements += [
            _allow("OptionalWatchManySessionsAtOnce", ["athena:ListSessions"], [work_group_arn]),
            _allow("OptionalExplainRefusedStarts", ["athena:GetWorkGroup"], [work_group_arn]),
            _allow(
                "OptionalTagSessions",
                ["athena:ListTagsForResource", "athena:TagResource", "athena:UntagResource"],
                [sessions],
            ),
        ]
    return _document(statements)


class Place(NamedTuple):
    """Where resources are."""

    partition: str
    """``aws``, ``aws-cn``..."""
    region: str
    account_id: str

    def arn(self, service: str, resource: str) -> str:
        """Give the ARN of a resource in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def work_group(self, name: str) -> str:
        """Give the ARN of a work group."""
        return self.arn("athena", f"workgroup/{name}")

    def bucket(self, name: str) -> str:
        """Give the ARN of a bucket."""
        return f"arn:{self.partition}:s3:::{name}"


class Access(NamedTuple):
    """What a work group's sessions may use: a bucket, a part of one, or a Glue database."""

    name: str
    write: bool = False
    prefix: str = ""
    """Of a bucket: what the keys begin with."""


def trust_policy(place: Place, work_group: str) -> dict[str, Any]:
    """Let Athena take on an execution role, but for this one work group only.

    Without the conditions, anybody who may make work groups in any account could have Athena act
    with the role ("confused deputy"). Source: Amazon Athena User Guide, "Troubleshoot
    Spark-enabled workgroups".
    """
    return _document(
        [
            {
                "Sid": "AthenaForThisWorkGroup",
                "Effect": "Allow",
                "Principal": {"Service": "athena.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": place.account_id},
                    "ArnLike": {"aws:SourceArn": place.work_group(work_group)},
                },
            }
        ]
    )


def execution_role_policy(
    place: Place,
    work_group: str,
    results: Access,
    *,
    kms_key: str | None = None,
    log_group: str | None = None,
    databases: Sequence[Access] = (),
    buckets: Sequence[Access] = (),
) -> dict[str, Any]:
    """Give the policy of a work group's execution role.

    Its first statements, which are always there, are the default policy in the Amazon Athena User
    Guide, "Troubleshoot Spark-enabled workgroups": without any of them, a session starts and then
    does not answer. Left out of it are CreatePresignedNotebookUrl, which the console calls and not
    the session, and ListExecutors, which IAM does not grant for a single work group.
    """
    statements = [
        # The names of the whole bucket, whatever part of it holds the results: that the service
        # never asks for others is nowhere promised.
        _allow("ListResults", ["s3:ListBucket"], [place.bucket(results.name)]),
        _allow(
            "ReadAndWriteResults",
            ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            [_objects(place, results)],
        ),
        _allow(
            "RunCalculations",
            [
                "athena:ExportNotebook",
                "athena:GetCalculationExecution",
                "athena:GetCalculationExecutionCode",
                "athena:GetCalculationExecutionStatus",
                "athena:GetSession",
                "athena:GetSessionStatus",
                "athena:GetWorkGroup",
                "athena:ListCalculationExecutions",
                "athena:ListSessions",
                "athena:StartCalculationExecution",
                "athena:StopCalculationExecution",
                "athena:TerminateSession",
                "athena:UpdateNotebook",
            ],
            [place.work_group(work_group)],
        ),
        _allow(
            "WriteLogs",
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            [
                place.arn("logs", "log-group:/aws-athena:*"),
                place.arn("logs", "log-group:/aws-athena*:log-stream:*"),
            ],
        ),
        _allow("FindLogs", ["logs:DescribeLogGroups"], [place.arn("logs", "log-group:*")]),
        _allow(
            "WriteMetrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": "AmazonAthenaForApacheSpark"}},
        ),
    ]
    if log_group:
        statements.append(
            _allow(
                "WriteToLogGroup",
                ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                [
                    place.arn("logs", f"log-group:{log_group}:*"),
                    place.arn("logs", f"log-group:{log_group}:log-stream:*"),
                ],
            )
        )
    if kms_key:
        statements.append(_allow("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [kms_key]))
    if databases:
        statements += _glue_access(place, databases)
    statements += _bucket_access(place, buckets)
    return _document(statements)


def tls_only_policy(bucket_arn: str) -> dict[str, Any]:
    """Give the policy of a bucket that refuses every request that is not encrypted."""
    return _document(
        [
            {
                "Sid": "RefuseWithoutTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, f"{bucket_arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ]
    )


def _bucket_access(place: Place, buckets: Sequence[Access]) -> list[dict[str, Any]]:
    statements = []
    if whole := sorted({place.bucket(item.name) for item in buckets if not item.prefix}):
        statements.append(_allow("ListBuckets", ["s3:ListBucket"], whole))
    # A prefix is a condition, which holds for a whole statement.
    parts = sorted({(item.name, item.prefix) for item in buckets if item.prefix})
    for number, (name, prefix) in enumerate(parts, start=1):
        statements.append(
            _allow(
                f"ListPartOfBucket{number}",
                ["s3:ListBucket"],
                [place.bucket(name)],
                {"StringLike": {"s3:prefix": sorted({prefix.rstrip("/"), f"{prefix}*"})}},
            )
        )
    if readable := sorted({_objects(place, item) for item in buckets}):
        statements.append(_allow("ReadBuckets", ["s3:GetObject"], readable))
    if writable := sorted({_objects(place, item) for item in buckets if item.write}):
        statements.append(_allow("WriteBuckets", ["s3:DeleteObject", "s3:PutObject"], writable))
    return statements


def _objects(place: Place, item: Access) -> str:
    return f"{place.bucket(item.name)}/{item.prefix}*"


def _glue_access(place: Place, databases: Sequence[Access]) -> list[dict[str, Any]]:
    catalog = place.arn("glue", "catalog")

    def of_databases(names: Sequence[str]) -> list[str]:
        return [place.arn("glue", f"database/{name}") for name in sorted(set(names))]

    def with_tables(names: Sequence[str]) -> list[str]:
        tables = [place.arn("glue", f"table/{name}/*") for name in sorted(set(names))]
        return [catalog, *of_databases(names), *tables]

    named = [item.name for item in databases]
    statements = [
        _allow(
            "FindDatabases",
            ["glue:GetDatabase", "glue:GetDatabases"],
            [catalog, *of_databases([*_DATABASES_OF_SPARK, *named])],
        ),
        _allow(
            "ReadTables",
            [
                "glue:BatchGetPartition",
                "glue:GetPartition",
                "glue:GetPartitions",
                "glue:GetTable",
                "glue:GetTables",
            ],
            with_tables(named),
        ),
    ]
    if written := [item.name for item in databases if item.write]:
        statements.append(
            _allow(
                "WriteTables",
                [
                    "glue:BatchCreatePartition",
                    "glue:BatchDeletePartition",
                    "glue:CreatePartition",
                    "glue:CreateTable",
                    "glue:DeletePartition",
                    "glue:DeleteTable",
                    "glue:UpdatePartition",
                    "glue:UpdateTable",
                ],
                with_tables(written),
            )
        )
    return statements


def _allow(
    sid: str,
    actions: list[str],
    resources: list[str],
    condition: dict[str, Any] | None = None,
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": statements}
