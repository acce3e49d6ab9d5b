"""IAM policy documents: for running Pulumi, and for the parts of ``SparkWorkgroup``.

Each document is a dict; ``json.dumps`` makes the text that IAM takes. Each statement is a function
whose docstring names its source:

- SAR: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Athena".
- Athena User Guide: Amazon Athena User Guide, the chapter in quotation marks.

This module imports nothing else of the package, and neither pulumi nor boto3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = "2012-10-17"
_WORK_GROUP_ARN = re.compile(r"arn:[\w*-]+:athena:[\w*-]+:[\d*]+:workgroup/[\w.*?-]+", re.ASCII)

# Spark reads these Glue databases when it starts, whether the program uses them or not.
_DATABASES_OF_SPARK = ("default", "global_temp")

Statement = dict[str, Any]


def session_policy(
    work_group_arn: str,
    *,
    optional: bool = True,
    connect: bool = False,
    execution_roles: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the policy that running ``pulumi up`` needs for the sessions of a work group.

    It has the actions that this package calls, and those that the service checks on the way. The
    Sid of each statement says whether it is required. Asking STS for the account takes no
    permission.

    Args:
        work_group_arn: ``arn:aws:athena:<region>:<account>:workgroup/<name>``, wildcards allowed.
        optional: False omits the permissions that the package can work without. It then polls each
            session with calls of its own, does not recognize a work group for SQL in an error,
            cannot remove tags, and does not find sessions left by an interrupted create.
        connect: True adds GetSessionEndpoint, for Spark Connect clients of engine 3.5
            (``remote_spark``, ``connect_url``). ``pulumi up`` uses it, if permitted, to confirm
            that a session of engine 3.5 accepts connections. Default False.
        execution_roles: ARNs of the roles that sessions run with: those set as ``execution_role``,
            and the role of the work group (``SparkWorkgroup.role_arn``). The Service Authorization
            Reference lists iam:PassRole for StartSession without exception.

    Returns:
        The policy document.

    Raises:
        ValueError: ``work_group_arn`` is not the ARN of a work group.
    """
    if not _WORK_GROUP_ARN.fullmatch(work_group_arn):
        raise ValueError(
            f"{work_group_arn!r} is not the ARN of a work group, which looks like "
            "arn:aws:athena:eu-west-1:123456789012:workgroup/name"
        )
    sessions = f"{work_group_arn}/session/*"
    statements = [_run_sessions(work_group_arn, sessions)]
    if execution_roles:
        statements.append(_pass_roles(execution_roles))
    if connect:
        statements.append(_connect(work_group_arn, sessions))
    if optional:
        statements += [
            _list_sessions(work_group_arn),
            _explain_refused_starts(work_group_arn),
            _remove_tags(sessions),
        ]
    return _document(statements)


def _run_sessions(work_group: str, sessions: str) -> Statement:
    """Start, watch, tag and end sessions.

    StartSession is authorized as athena:StartSession, athena:TagResource and
    athena:ListTagsForResource: by default it copies the tags of the work group to the session.
    All of these actions have the resource types workgroup and session.

    Source: SAR, table of operations and actions; Athena User Guide, "Session level cost
    attribution".
    """
    return _allow(
        "RequiredStartWatchAndEndSessions",
        [
            "athena:GetSession",
            "athena:GetSessionStatus",
            "athena:ListTagsForResource",
            "athena:StartSession",
            "athena:TagResource",
            "athena:TerminateSession",
        ],
        [work_group, sessions],
    )


def _pass_roles(roles: Sequence[str]) -> Statement:
    """Pass execution roles to Athena, and to no other service.

    Source: SAR, StartSession (dependent action iam:PassRole); IAM condition key
    iam:PassedToService.
    """
    return _allow(
        "RequiredForExecutionRole",
        ["iam:PassRole"],
        list(roles),
        {"StringEquals": {"iam:PassedToService": "athena.amazonaws.com"}},
    )


def _connect(work_group: str, sessions: str) -> Statement:
    """Connect Spark Connect clients to sessions of engine 3.5.

    Source: SAR, GetSessionEndpoint; Athena User Guide, "Spark Connect support".
    """
    return _allow("ConnectClients", ["athena:GetSessionEndpoint"], [work_group, sessions])


def _list_sessions(work_group: str) -> Statement:
    """Poll many sessions with one call, and find those of interrupted creates.

    Source: SAR, ListSessions (resource type workgroup).
    """
    return _allow("OptionalWatchManySessionsAtOnce", ["athena:ListSessions"], [work_group])


def _explain_refused_starts(work_group: str) -> Statement:
    """Read the work group's engine for error messages.

    Source: SAR, GetWorkGroup (resource type workgroup).
    """
    return _allow("OptionalExplainRefusedStarts", ["athena:GetWorkGroup"], [work_group])


def _remove_tags(sessions: str) -> Statement:
    """Remove tags that were deleted from a resource's ``tags``.

    Source: SAR, UntagResource (resource type session).
    """
    return _allow("OptionalRemoveTags", ["athena:UntagResource"], [sessions])


class Place(NamedTuple):
    """Partition, region and account of resources."""

    partition: str
    """``aws``, ``aws-cn``..."""
    region: str
    account_id: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def work_group(self, name: str) -> str:
        """Return the ARN of a work group."""
        return self.arn("athena", f"workgroup/{name}")

    def bucket(self, name: str) -> str:
        """Return the ARN of a bucket."""
        return f"arn:{self.partition}:s3:::{name}"


class Access(NamedTuple):
    """What a work group's sessions may use: a bucket, a prefix in one, or a Glue database."""

    name: str
    write: bool = False
    prefix: str = ""
    """Buckets only: prefix of the keys; "" for the whole bucket."""


def trust_policy(place: Place, work_group: str) -> dict[str, Any]:
    """Return the trust policy of an execution role: Athena may assume it for one work group.

    Without the conditions, a work group of another account could run with the role ("confused
    deputy").

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
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
    log_key: str | None = None,
    databases: Sequence[Access] = (),
    buckets: Sequence[Access] = (),
) -> dict[str, Any]:
    """Return the policy of a work group's execution role.

    The first six statements are always there. They are the default policy in the Athena User Guide,
    "Troubleshoot Spark-enabled workgroups", without two actions: CreatePresignedNotebookUrl, which
    the console calls and not the session, and ListExecutors, which has no resource type in the SAR
    and so cannot be granted for one work group. If one of the rest is missing, a session starts and
    then does not respond.

    Args:
        place: Partition, region and account.
        work_group: The work group's name.
        results: The bucket for results, and the prefix in it.
        kms_key: ARN of the KMS key that encrypts results.
        log_group: Name of the CloudWatch log group for sessions of engine 3.5.
        log_key: ARN of the KMS key that encrypts the log group.
        databases: Glue databases that sessions may use.
        buckets: Buckets that sessions may use.

    Returns:
        The policy document.
    """
    statements = [
        _list_results(place, results),
        _read_and_write_results(place, results),
        _run_calculations(place, work_group),
        _write_logs(place),
        _find_logs(place),
        _write_metrics(),
    ]
    if log_group:
        statements.append(_write_to_log_group(place, log_group))
    if log_key:
        statements.append(_use_log_key(log_key))
    if kms_key:
        statements.append(_use_result_key(kms_key))
    if databases:
        statements += _glue_access(place, databases)
    statements += _bucket_access(place, buckets)
    return _document(statements)


def _list_results(place: Place, results: Access) -> Statement:
    """List the results bucket, without a limit to a prefix: AWS's policy has none.

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
    """
    return _allow("ListResults", ["s3:ListBucket"], [place.bucket(results.name)])


def _read_and_write_results(place: Place, results: Access) -> Statement:
    """Read, write and delete results.

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
    """
    return _allow(
        "ReadAndWriteResults",
        ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
        [_objects(place, results)],
    )


def _run_calculations(place: Place, work_group: str) -> Statement:
    """Run sessions and calculations in the work group.

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
    """
    return _allow(
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
    )


def _write_logs(place: Place) -> Statement:
    """Write to the log groups that Athena creates.

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
    """
    return _allow(
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
    )


def _find_logs(place: Place) -> Statement:
    """Describe log groups.

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
    """
    return _allow("FindLogs", ["logs:DescribeLogGroups"], [place.arn("logs", "log-group:*")])


def _write_metrics() -> Statement:
    """Write metrics to Athena's namespace.

    Source: Athena User Guide, "Troubleshoot Spark-enabled workgroups".
    """
    return _allow(
        "WriteMetrics",
        ["cloudwatch:PutMetricData"],
        ["*"],
        {"StringEquals": {"cloudwatch:namespace": "AmazonAthenaForApacheSpark"}},
    )


def _write_to_log_group(place: Place, log_group: str) -> Statement:
    """Write to the work group's own log group, on engine 3.5.

    Source: Athena User Guide, "Logging and monitoring" for Spark.
    """
    return _allow(
        "WriteToLogGroup",
        ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        [
            place.arn("logs", f"log-group:{log_group}:*"),
            place.arn("logs", f"log-group:{log_group}:log-stream:*"),
        ],
    )


def _use_log_key(key: str) -> Statement:
    """Use the KMS key of logs, on engine 3.5.

    The source has ``ReEncrypt*`` and ``GenerateDataKey*``. The actions are written out, without
    those for asymmetric key pairs. The key's own policy must also admit
    ``logs.<region>.amazonaws.com``.

    Source: Athena User Guide, "Logging and monitoring" for Spark.
    """
    return _allow(
        "UseLogKey",
        [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        [key],
    )


def _use_result_key(key: str) -> Statement:
    """Use the KMS key of results.

    Source: Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys", permissions to
    upload and download.
    """
    return _allow("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [key])


def tls_only_policy(bucket_arn: str) -> dict[str, Any]:
    """Return the policy of a bucket that refuses requests without TLS.

    Source: Amazon S3 User Guide, "Security best practices", condition key aws:SecureTransport.
    """
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


def _bucket_access(place: Place, buckets: Sequence[Access]) -> list[Statement]:
    """Read, and write where asked for, buckets or prefixes in them.

    Source: Service Authorization Reference for Amazon S3: ListBucket on the bucket, with the
    condition key s3:prefix; the rest on objects.
    """
    statements = []
    if whole := sorted({place.bucket(item.name) for item in buckets if not item.prefix}):
        statements.append(_allow("ListBuckets", ["s3:ListBucket"], whole))
    # A prefix is a condition, which applies to a whole statement.
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


def _glue_access(place: Place, databases: Sequence[Access]) -> list[Statement]:
    """Read, and write where asked for, tables of Glue databases.

    Source: Service Authorization Reference for AWS Glue (resource types catalog, database and
    table); Athena User Guide, "Access to databases and tables in the AWS Glue Data Catalog".
    """
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
) -> Statement:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _document(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": statements}
