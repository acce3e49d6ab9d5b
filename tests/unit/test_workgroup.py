"""The work group in a program, with Pulumi's mocks: every resource and its properties."""

from __future__ import annotations

import dataclasses
import gc
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws
import pytest
from pulumi.runtime import Mocks, set_mocks
from pulumi.runtime import test as pulumi_test
from pulumi.runtime.mocks import MockMonitor

from athena_session_provider import (
    AwsConfig,
    BucketAccessArgs,
    DatabaseAccessArgs,
    LoggingArgs,
    Session,
    aws_config_from_provider,
    aws_provider_from_config,
)
from athena_session_provider.resources.iam import (
    Access,
    Place,
    execution_role_policy,
    tls_only_policy,
    trust_policy,
)
from athena_session_provider.resources.workgroup import SparkWorkgroup, _wait_for_iam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCOUNT = "123456789012"
REGION = "eu-west-1"
PLACE = Place("aws", REGION, ACCOUNT)
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0d5a4d8b-1c0a-4f4e-9a5e-6f1c9c3e7a11"
NAME = "spark-e426cd3"
"""What the name "spark" becomes in this stack, and in every run."""

ANSWERS = {
    "aws:index/getPartition:getPartition": {"partition": "aws"},
    "aws:index/getRegion:getRegion": {"region": REGION},
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
}
ARNS = {
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{bucket}",
    "aws:iam/role:Role": f"arn:aws:iam::{ACCOUNT}:role/{{name}}",
    "aws:athena/workgroup:Workgroup": f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{{name}}",
}
NAMED_BY = {"aws:s3/bucket:Bucket": "bucket", "aws:iam/role:Role": "name"}


class Stack(Mocks):
    """Makes every resource as AWS would, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.inputs: dict[str, dict[str, Any]] = {}
        self.types: dict[str, str] = {}
        self.requests: dict[str, Any] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.inputs[args.name] = args.inputs
        self.types[args.name] = args.typ
        outputs = dict(args.inputs)
        if args.typ in NAMED_BY:
            outputs.setdefault(NAMED_BY[args.typ], f"{args.name}-1234567")
        if args.typ in ARNS:
            outputs["arn"] = ARNS[args.typ].format(**outputs)
        return f"{args.name}-id", outputs

    def call(
        self, args: pulumi.runtime.MockCallArgs
    ) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return ANSWERS[args.token], []

    def dependencies(self, name: str) -> set[str]:
        """The names of the resources that one depends on."""
        return {urn.split("::")[-1] for urn in self.requests[name].dependencies}

    def run(self, program: Callable[[], Any]) -> None:
        """Run a program to its end."""
        pulumi_test(program)()  # type: ignore[no-untyped-call]


class Monitor(MockMonitor):
    """Keeps the requests themselves, which have the resources' options."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        assert isinstance(self.mocks, Stack)
        self.mocks.requests[request.name] = request
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


@pytest.fixture
def stack() -> Iterator[Stack]:
    stack = Stack()
    monitor = Monitor(stack)
    set_mocks(stack, project="project", stack="dev", organization="acme", monitor=monitor)
    yield stack
    # A program that failed leaves futures behind that complain when they are collected. Where that
    # happens within ast.parse, Python 3.11 fails with a SystemError.
    gc.collect()


def outputs_of(group: SparkWorkgroup, into: dict[str, str]) -> pulumi.Output[Any]:
    names = ("name", "arn", "role_arn", "result_location")
    return pulumi.Output.all(**{name: getattr(group, name) for name in names}).apply(into.update)


def test_a_work_group_with_all_it_needs(stack: Stack) -> None:
    """Every resource with every property, and no other resource."""
    outputs: dict[str, str] = {}
    stack.run(lambda: outputs_of(SparkWorkgroup("spark", tags={"team": "data"}), outputs))
    bucket = "spark-results-1234567"
    tags = {"team": "data"}
    assert stack.types.pop("spark") == "aws:athena/workgroup:Workgroup"
    workgroup = stack.inputs.pop("spark")
    assert workgroup == {
        "name": NAME,
        "configuration": {
            "engineVersion": {"selectedEngineVersion": "PySpark engine version 3"},
            "executionRole": f"arn:aws:iam::{ACCOUNT}:role/spark-role-1234567",
            "resultConfiguration": {
                "outputLocation": f"s3://{bucket}/",
                "encryptionConfiguration": {"encryptionOption": "SSE_S3"},
            },
        },
        "forceDestroy": False,
        "tags": tags,
    }
    assert stack.types == {
        "spark-results": "aws:s3/bucket:Bucket",
        "spark-results-private": "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "spark-results-encryption": (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
        ),
        "spark-results-expiry": (
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
        ),
        "spark-results-tls-only": "aws:s3/bucketPolicy:BucketPolicy",
        "spark-role": "aws:iam/role:Role",
        "spark-role-policy": "aws:iam/rolePolicy:RolePolicy",
        "spark-guard": "pulumi-python:dynamic/athena:WorkGroupGuard",
        "spark-results-guard": "pulumi-python:dynamic/athena:BucketGuard",
    }
    inputs = stack.inputs
    assert inputs["spark-results"] == {"forceDestroy": False, "tags": tags}
    assert inputs["spark-results-private"] == {
        "bucket": bucket,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    assert inputs["spark-results-encryption"] == {
        "bucket": bucket,
        "rules": [
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"},
                "bucketKeyEnabled": False,
            }
        ],
    }
    assert inputs["spark-results-expiry"] == {
        "bucket": bucket,
        "rules": [
            {
                "id": "expire-results",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": 30},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
            }
        ],
    }
    tls_only = inputs["spark-results-tls-only"]
    assert tls_only["bucket"] == bucket
    assert json.loads(tls_only["policy"]) == tls_only_policy(f"arn:aws:s3:::{bucket}")
    role = inputs["spark-role"]
    assert json.loads(role.pop("assumeRolePolicy")) == trust_policy(PLACE, NAME)
    assert role == {
        "description": f"What sessions in the Athena work group {NAME} may do",
        "tags": tags,
    }
    role_policy = inputs["spark-role-policy"]
    assert role_policy["role"] == "spark-role-1234567"
    assert json.loads(role_policy["policy"]) == execution_role_policy(
        PLACE, NAME, Access(bucket, write=True)
    )
    guard = inputs["spark-guard"]
    assert {key: value for key, value in guard.items() if not key.startswith("__")} == {
        "work_group": NAME,
        "region": REGION,
        "account_id": ACCOUNT,
        "force_destroy": False,
        "can_check": True,
    }
    guard = inputs["spark-results-guard"]
    assert {key: value for key, value in guard.items() if not key.startswith("__")} == {
        "bucket": bucket,
        "region": REGION,
        "account_id": ACCOUNT,
        "force_destroy": False,
        "can_check": True,
    }
    assert outputs == {
        "name": NAME,
        "arn": f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{NAME}",
        "role_arn": f"arn:aws:iam::{ACCOUNT}:role/spark-role-1234567",
        "result_location": f"s3://{bucket}/",
    }


def test_the_order_of_things(stack: Stack) -> None:
    """The work group comes last and goes first; sessions and guards are deleted before it."""

    def program() -> pulumi.Output[Any]:
        group = SparkWorkgroup("spark")
        return Session("session", work_group=group.name).urn

    stack.run(program)
    prepared = {
        "spark-role-policy",
        "spark-results-private",
        "spark-results-encryption",
        "spark-results-expiry",
        "spark-results-tls-only",
    }
    assert prepared < stack.dependencies("spark")
    assert {*prepared, "spark", "spark-results-guard"} <= stack.dependencies("spark-guard")
    assert {*prepared, "spark"} <= stack.dependencies("spark-results-guard")
    assert stack.dependencies("session") == {"spark-guard", f"athena-sessions-{NAME}"}
    assert stack.dependencies(f"athena-sessions-{NAME}") == {"spark-guard"}


def test_another_engine_replaces_the_work_group(stack: Stack) -> None:
    """With its session, but without its bucket's guard: that uses no property of it."""

    def program() -> pulumi.Output[Any]:
        group = SparkWorkgroup("spark", engine_version="Apache Spark version 3.5")
        return Session("session", work_group=group.name).urn

    stack.run(program)
    request = stack.requests["spark"]
    assert request.deleteBeforeReplace is True
    assert request.replacement_trigger.string_value == "Apache Spark version 3.5"
    (path,) = request.replaceOnChanges
    found: Any = stack.inputs["spark"]
    for part in path.split("."):
        found = found[part]
    assert found == "Apache Spark version 3.5"

    def used(name: str) -> set[str]:
        properties = stack.requests[name].propertyDependencies.values()
        return {urn.split("::")[-1] for used in properties for urn in used.urns}

    assert "spark-guard" in used("session")
    assert "spark" in used("spark-guard")
    assert "spark" not in used("spark-results-guard")


def test_the_engine_waits_after_each_change_of_the_role(stack: Stack) -> None:
    """After the policy was made or changed, and after the role was changed."""
    stack.run(lambda: SparkWorkgroup("spark").name)
    hook = f"wait for IAM, {NAME}"
    of_role, of_policy = (stack.requests[f"spark-{name}"].hooks for name in ("role", "role-policy"))
    assert (list(of_role.after_create), list(of_role.after_update)) == ([], [hook])
    assert (list(of_policy.after_create), list(of_policy.after_update)) == ([hook], [hook])


def test_the_wait_takes_as_long_as_it_is_told(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 seconds are none."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, **_: said.append(text))

    def program() -> pulumi.Output[Any]:
        group = SparkWorkgroup("spark")
        args = pulumi.ResourceHookArgs(urn="", id="", name="spark-role-policy", type="")

        async def wait() -> None:
            for number, seconds in enumerate((15.0, 0.0)):
                waiting = _wait_for_iam(group, f"group-{number}", seconds, sleep)(args)
                assert waiting is not None
                await waiting

        return pulumi.Output.from_input(wait())

    stack.run(program)
    assert slept == [15.0]
    assert said == ["waiting 15s for IAM to propagate spark-role-policy"]


def test_a_bucket_that_was_given(stack: Stack) -> None:
    """It is left as it is; results go into a folder of their own, and nothing else is opened."""
    outputs: dict[str, str] = {}
    stack.run(
        lambda: outputs_of(
            SparkWorkgroup("spark", result_bucket=pulumi.Output.from_input("shared")), outputs
        )
    )
    assert not [name for name, typ in stack.types.items() if typ.startswith("aws:s3/")]
    assert outputs["result_location"] == f"s3://shared/{NAME}/"
    # Nor is its own encryption overruled.
    results = stack.inputs["spark"]["configuration"]["resultConfiguration"]
    assert results == {"outputLocation": f"s3://shared/{NAME}/"}
    assert json.loads(stack.inputs["spark-role-policy"]["policy"]) == execution_role_policy(
        PLACE, NAME, Access("shared", write=True, prefix=f"{NAME}/")
    )
    assert "spark-results-guard" not in stack.types


def test_a_key(stack: Stack) -> None:
    """It encrypts the bucket and the results, and the role may use it."""
    stack.run(lambda: SparkWorkgroup("spark", kms_key=KEY_ARN).name)
    assert stack.inputs["spark-results-encryption"]["rules"] == [
        {
            "applyServerSideEncryptionByDefault": {
                "sseAlgorithm": "aws:kms",
                "kmsMasterKeyId": KEY_ARN,
            },
            "bucketKeyEnabled": True,
        }
    ]
    results = stack.inputs["spark"]["configuration"]["resultConfiguration"]
    assert results["encryptionConfiguration"] == {
        "encryptionOption": "SSE_KMS",
        "kmsKeyArn": KEY_ARN,
    }
    assert json.loads(stack.inputs["spark-role-policy"]["policy"]) == execution_role_policy(
        PLACE, NAME, Access("spark-results-1234567", write=True), kms_key=KEY_ARN
    )


def test_logging(stack: Stack) -> None:
    """A log group that the role may write to, beside what the service keeps itself."""
    stack.run(
        lambda: (
            SparkWorkgroup(
                "spark",
                engine_version="Apache Spark version 3.5",
                logging=LoggingArgs(retention_in_days=7, kms_key=KEY_ARN),
                tags={"team": "data"},
            ).name
        )
    )
    assert stack.inputs["spark-logs"] == {
        "name": f"/aws-athena/{NAME}",
        "retentionInDays": 7,
        "kmsKeyId": KEY_ARN,
        "tags": {"team": "data"},
    }
    configuration = stack.inputs["spark"]["configuration"]
    assert configuration["engineVersion"] == {"selectedEngineVersion": "Apache Spark version 3.5"}
    assert configuration["monitoringConfiguration"] == {
        "cloudWatchLoggingConfiguration": {"enabled": True, "logGroup": f"/aws-athena/{NAME}"},
        "managedLoggingConfiguration": {"enabled": True},
    }
    assert json.loads(stack.inputs["spark-role-policy"]["policy"]) == execution_role_policy(
        PLACE,
        NAME,
        Access("spark-results-1234567", write=True),
        log_group=f"/aws-athena/{NAME}",
        log_key=KEY_ARN,
    )


def test_access(stack: Stack) -> None:
    """Names are for reading; outputs work wherever names do."""
    stack.run(
        lambda: (
            SparkWorkgroup(
                "spark",
                database_access=[
                    "sales",
                    DatabaseAccessArgs(database=pulumi.Output.from_input("staging"), write=True),
                ],
                bucket_access=[
                    pulumi.Output.from_input("raw"),
                    BucketAccessArgs(bucket="lake", prefix="team/", write=True),
                ],
            ).name
        )
    )
    assert json.loads(stack.inputs["spark-role-policy"]["policy"]) == execution_role_policy(
        PLACE,
        NAME,
        Access("spark-results-1234567", write=True),
        databases=[Access("sales"), Access("staging", write=True)],
        buckets=[Access("raw"), Access("lake", write=True, prefix="team/")],
    )


def test_force_destroy(stack: Stack) -> None:
    """The work group, the bucket and the guard are told."""
    stack.run(lambda: SparkWorkgroup("spark", force_destroy=True).name)
    assert stack.inputs["spark"]["forceDestroy"] is True
    assert stack.inputs["spark-results"]["forceDestroy"] is True
    assert stack.inputs["spark-guard"]["force_destroy"] is True
    assert stack.inputs["spark-results-guard"]["force_destroy"] is True


class Team(pulumi.ComponentResource):
    """Somebody's component with a work group in it."""

    def __init__(self, name: str) -> None:
        super().__init__("acme:index:Team", name)
        self.group = SparkWorkgroup(
            f"{name}-spark" if name == "a" else "spark", opts=pulumi.ResourceOptions(parent=self)
        )


def test_names_differ_by_parent_and_stay_the_same(stack: Stack) -> None:
    """Two of the same name in one stack get different names; the name's own run does not matter."""
    names: list[str] = []

    def program() -> pulumi.Output[Any]:
        groups = [SparkWorkgroup("spark"), Team("b").group, Team("c").group]
        groups.append(SparkWorkgroup("mine", work_group_name="analytics.spark_1"))
        return pulumi.Output.all(*[group.name for group in groups]).apply(names.extend)

    stack.run(program)
    assert names[0] == NAME
    assert names[3] == "analytics.spark_1"
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"engine_version": "Athena engine version 3"}, "is not an engine for Apache Spark"),
        ({"engine_version": "AUTO"}, "is not an engine for Apache Spark"),
        ({"logging": LoggingArgs()}, "logging requires engine_version='Apache Spark version 3.5'"),
        ({"name": "x" * 48}, "at most 47 characters"),
        ({"name": "my_spark"}, "choose another one, or set result_bucket"),
        ({"name": "my spark", "result_bucket": "results"}, "set it with work_group_name"),
        ({"work_group_name": "no spaces"}, "must be 1 to 128 letters, digits and ._-"),
        ({"result_bucket": "s3://results/"}, "must be a bucket's name, without s3:// or /"),
        ({"kms_key": "alias/results"}, "must be the key's ARN"),
        ({"bucket_access": ["s3://raw"]}, r"BucketAccessArgs\(bucket=..., prefix=...\)"),
    ],
)
def test_what_aws_would_refuse_is_refused_at_once(arguments: dict[str, Any], problem: str) -> None:
    """In preview, with what to write instead."""
    with pytest.raises(ValueError, match=problem):
        SparkWorkgroup(**{"name": "spark", **arguments})


def test_two_answers_to_one_question_are_refused(stack: Stack) -> None:
    """Whose credentials would be meant?"""

    def program() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("other", region="us-west-2"))
        SparkWorkgroup("spark", aws=AwsConfig(region="us-east-1"), opts=opts)

    with pytest.raises(ValueError, match="either aws or a provider, not both"):
        stack.run(program)


@pytest.mark.parametrize("argument", ["database_access", "bucket_access"])
def test_a_name_is_no_list(argument: str) -> None:
    """Its letters would each become a name."""
    with pytest.raises(TypeError, match=rf"{argument} must be a list, such as \['sales'\]"):
        SparkWorkgroup("spark", **{argument: "sales"})  # type: ignore[arg-type]


def test_what_can_be_read_of_an_explicit_provider(stack: Stack) -> None:
    """It is taken over, and nothing of the stack's configuration."""

    def program() -> pulumi.Output[Any]:
        provider = aws.Provider(
            "other",
            region="us-west-2",
            profile="sandbox",
            endpoints=[{"athena": "http://127.0.0.1:1"}],
        )
        group = SparkWorkgroup("spark", opts=pulumi.ResourceOptions(provider=provider))
        config = aws_config_from_provider(provider)
        return Session("session", work_group=group.name, aws=config).urn

    stack.run(program)
    expected = {
        "region": "us-west-2",
        "profile": "sandbox",
        "endpoints": [{"athena": "http://127.0.0.1:1"}],
        "config_namespace": "explicit-provider",
    }
    assert stack.inputs["session"]["aws"] == expected
    assert stack.inputs["spark-guard"]["aws"] == expected
    assert stack.inputs["spark-guard"]["can_check"] is True
    of_aws = [name for name, typ in stack.types.items() if typ.startswith("aws:")]
    assert of_aws
    for name in of_aws:
        assert stack.requests[name].provider.split("::")[3] == "other"


@pytest.mark.parametrize(
    "keys",
    [
        {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI"},
        {"token": "FwoGZXIvYXdzE"},
    ],
)
def test_a_provider_with_keys_is_refused(stack: Stack, keys: dict[str, Any]) -> None:
    """A session cannot store them; the error says where to put them, and shows none."""

    def program() -> pulumi.Output[Any]:
        provider = aws.Provider("other", region="us-west-2", **keys)
        return Session("session", work_group="spark", aws=aws_config_from_provider(provider)).urn

    with pytest.raises(pulumi.RunError) as caught:
        stack.run(program)
    message = str(caught.value)
    assert f"has {', '.join(keys)}, which a session cannot take over from it" in message
    assert "give aws=config to SparkWorkgroup and Session alike" in message
    assert not [value for value in keys.values() if value in message]
    assert "session" not in stack.inputs


ROLE = {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/deploy", "external_id": "x"}


def test_one_config_for_a_work_group_and_its_session(stack: Stack) -> None:
    """Its provider is handed everything that the session has, as JSON with Pulumi's names."""
    config = AwsConfig(
        region="us-west-2",
        profile="sandbox",
        assume_roles=[ROLE],
        endpoints={"athena": "http://127.0.0.1:1"},
        default_tags={"cost_center": "7"},
        config_namespace="other",
    )
    pulumi.runtime.set_all_config({"other:accessKey": "A", "other:secretKey": "B"})
    stack.run(lambda: SparkWorkgroup("spark", aws=config).name)
    inputs = stack.inputs["spark-aws"]
    assert stack.types["spark-aws"] == "pulumi:providers:aws"
    assert inputs["region"] == "us-west-2"
    assert inputs["profile"] == "sandbox"
    # As Pulumi sends secrets.
    assert [inputs[name]["value"] for name in ("accessKey", "secretKey")] == ["A", "B"]
    assert json.loads(inputs["assumeRoles"]) == [
        {"roleArn": ROLE["role_arn"], "externalId": "x"},
    ]
    assert json.loads(inputs["endpoints"]) == [{"athena": "http://127.0.0.1:1"}]
    assert json.loads(inputs["defaultTags"]) == {"tags": {"cost_center": "7"}}
    of_aws = [name for name, typ in stack.types.items() if typ.startswith("aws:")]
    assert {stack.requests[name].provider.split("::")[3] for name in of_aws} == {"spark-aws"}
    assert stack.inputs["spark-guard"]["aws"] == {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if getattr(config, field.name) is not None
    }
    assert stack.inputs["spark-guard"]["can_check"] is True


def test_a_provider_made_from_a_config_that_says_nothing(stack: Stack) -> None:
    """It works as the stack's configuration says, as a session does."""
    pulumi.runtime.set_all_config(
        {
            "aws:region": "eu-north-1",
            "aws:assumeRoles": '[{"roleArn": "arn", "externalId": "x"}]',
            "aws:defaultTags": '{"tags": {"cost_center": "7"}}',
        }
    )
    stack.run(lambda: aws_provider_from_config("other", AwsConfig()).urn)
    inputs = stack.inputs["other"]
    assert inputs["region"] == "eu-north-1"
    assert json.loads(inputs["assumeRoles"]) == [{"roleArn": "arn", "externalId": "x"}]
    assert json.loads(inputs["defaultTags"]) == {"tags": {"cost_center": "7"}}
    assert "endpoints" not in inputs
    assert "accessKey" not in inputs


def test_a_work_group_with_a_provider_with_keys(stack: Stack) -> None:
    """It is made all the same; its guard stores no key and knows that it cannot look."""

    def program() -> pulumi.Output[Any]:
        provider = aws.Provider("other", region="us-west-2", access_key="A", secret_key="hidden")
        return SparkWorkgroup("spark", opts=pulumi.ResourceOptions(providers=[provider])).name

    stack.run(program)
    assert stack.inputs["spark-guard"]["can_check"] is False
    assert "hidden" not in str(stack.inputs["spark-guard"])


WITHOUT_PULUMI_AWS = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pulumi_aws":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run_without_pulumi_aws(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_PULUMI_AWS + code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_package_works_without_pulumi_aws() -> None:
    """Everything but SparkWorkgroup imports; a session can be declared."""
    code = """
import pulumi
from pulumi.runtime import Mocks, set_mocks, test

class Made(Mocks):
    def new_resource(self, args):
        print(args.typ, args.inputs["work_group"])
        return "id", args.inputs

    def call(self, args):
        return {}, []

set_mocks(Made())

import athena_session_provider.guard
import athena_session_provider.resources.iam
import athena_session_provider.provider
from athena_session_provider import Session

test(lambda: Session("session", work_group="spark").urn)()
"""
    assert "pulumi-python:dynamic/athena:Session spark\n" in run_without_pulumi_aws(code)


def test_spark_workgroup_says_what_to_install() -> None:
    """Where pulumi-aws is not installed."""
    code = """
try:
    import athena_session_provider.resources.workgroup
except ModuleNotFoundError as exc:
    print(exc, exc.name)
"""
    printed = run_without_pulumi_aws(code)
    assert "pip install 'athena-session-provider[aws]' pulumi_aws" in printed


def test_the_package_itself_does_not_import_pulumi_aws() -> None:
    """It is the largest package of all, and slow to import."""
    code = "import sys, athena_session_provider; print('pulumi_aws' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "False\n"
