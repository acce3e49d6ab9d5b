"""A whole work group by the real Pulumi CLI, with a stand-in for the plugin pulumi-resource-aws."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.s3.models import s3_backends
from pulumi_stack import REPOSITORY, PulumiStack

from athena_session_provider.resources.iam import (
    Access,
    Place,
    execution_role_policy,
    tls_only_policy,
    trust_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

STANDIN = Path(__file__).parent.parent / "standin_aws"
ACCOUNT = "123456789012"
OTHER_ACCOUNT = "210987654321"

PROGRAM = """
import pulumi
from athena_session_provider import Session
from athena_session_provider import SparkWorkgroup

config = pulumi.Config()
group = SparkWorkgroup(
    "spark",
    engine_version=config.get("engine") or "PySpark engine version 3",
    database_access=["sales"],
    iam_propagation_seconds=0,
)
session = Session("session", work_group=group.name)
for name in ("name", "arn", "role_arn", "result_location"):
    pulumi.export(name, getattr(group, name))
"""


@pytest.fixture
def aws_stack(tmp_path: Path, emulator: Emulator) -> PulumiStack:
    """A new stack whose pulumi-aws is the stand-in, with a work group and a session in it."""
    stack = PulumiStack(tmp_path, emulator)
    stack.environment["PATH"] = f"{STANDIN}{os.pathsep}{stack.env()['PATH']}"
    stack.init(PROGRAM)
    stack.configure({"aws:endpoints": [endpoints(emulator)]})
    return stack


def endpoints(emulator: Emulator) -> dict[str, str]:
    return dict.fromkeys(("athena", "iam", "logs", "s3", "sts"), emulator.url)


def client(emulator: Emulator, service: str, region: str = "eu-west-1", **keys: str) -> Any:
    keys = keys or {"aws_access_key_id": "AK", "aws_secret_access_key": "SK"}
    return boto3.client(  # type: ignore[call-overload]
        service, endpoint_url=emulator.url, region_name=region, **keys
    )


ROLE_ARN = f"arn:aws:iam::{OTHER_ACCOUNT}:role/deploy"


def keys_of_role(emulator: Emulator) -> dict[str, str]:
    """Keys in another account."""
    role = client(emulator, "sts").assume_role(RoleArn=ROLE_ARN, RoleSessionName="test")
    return {
        "aws_access_key_id": role["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": role["Credentials"]["SecretAccessKey"],
        "aws_session_token": role["Credentials"]["SessionToken"],
    }


def put_object(bucket: str, key: str) -> None:
    """Write an object past the bucket's policy, as Athena does, which has TLS."""
    s3_backends[ACCOUNT]["aws"].put_object(bucket, key, b"42")


def work_groups(emulator: Emulator, region: str = "eu-west-1", **keys: str) -> set[str]:
    """The work groups that were made, beside those that the emulator has from the start."""
    found = client(emulator, "athena", region, **keys).list_work_groups()["WorkGroups"]
    return {group["Name"] for group in found} - {"primary", "spark", "spark-35"}


def test_a_work_group_from_the_first_up_to_destroy(
    aws_stack: PulumiStack, emulator: Emulator
) -> None:
    """It is made as AWS wants it, changes nothing in a second up, and goes after its session."""
    aws_stack.configure({"aws:defaultTags": {"tags": {"env": "dev"}}})
    preview = aws_stack.succeed("preview", "--json").output
    assert "known after" not in preview
    aws_stack.up()

    # What was made.
    outputs = aws_stack.outputs()
    name = outputs["name"]
    bucket = outputs["result_location"].removeprefix("s3://").removesuffix("/")
    place = Place("aws", "eu-west-1", ACCOUNT)
    assert outputs["arn"] == place.work_group(name)
    athena, iam, s3 = (client(emulator, service) for service in ("athena", "iam", "s3"))
    configuration = athena.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
    assert configuration["EngineVersion"]["EffectiveEngineVersion"] == "PySpark engine version 3"
    assert configuration["ExecutionRole"] == outputs["role_arn"]
    assert configuration["ResultConfiguration"] == {
        "OutputLocation": f"s3://{bucket}/",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
    }
    role_name = outputs["role_arn"].split("/")[-1]
    role = iam.get_role(RoleName=role_name)["Role"]
    assert role["AssumeRolePolicyDocument"] == trust_policy(place, name)
    (policy_name,) = iam.list_role_policies(RoleName=role_name)["PolicyNames"]
    role_policy = iam.get_role_policy(RoleName=role_name, PolicyName=policy_name)
    assert role_policy["PolicyDocument"] == execution_role_policy(
        place, name, Access(bucket, write=True), databases=[Access("sales")]
    )
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    (encryption,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"][
        "Rules"
    ]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (expiry,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (expiry["Status"], expiry["Expiration"]) == ("Enabled", {"Days": 30})
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == tls_only_policy(
        f"arn:aws:s3:::{bucket}"
    )

    # The session is in it, with the same default tags.
    (session,) = emulator.live_sessions()
    assert session.work_group == name
    assert session.tags["env"] == "dev"
    tags = athena.list_tags_for_resource(ResourceARN=outputs["arn"])["Tags"]
    assert tags == [{"Key": "env", "Value": "dev"}]

    aws_stack.refresh("--expect-no-changes")
    assert "14 unchanged" in aws_stack.up("--expect-no-changes").output

    # The session ends before its work group goes, and nothing is left.
    emulator.clear_calls()
    aws_stack.destroy()
    ended_at = emulator.session(session.session_id).ended_at
    (deletion,) = emulator.calls("DeleteWorkGroup")
    assert ended_at is not None
    assert ended_at <= deletion.received_at
    assert deletion.status == 200
    assert work_groups(emulator) == set()
    assert iam.list_roles()["Roles"] == []
    assert s3.list_buckets()["Buckets"] == []


def engine_of(emulator: Emulator, work_group: str) -> str:
    """The engine version of a work group."""
    found = client(emulator, "athena").get_work_group(WorkGroup=work_group)["WorkGroup"]
    version: str = found["Configuration"]["EngineVersion"]["EffectiveEngineVersion"]
    return version


ENGINES = ["PySpark engine version 3", "Apache Spark version 3.5"]


def forget_triggers(stack: PulumiStack) -> None:
    """Make the state one of a version that set no replacement trigger."""
    file = stack.state_file
    text, count = re.subn(r',\s*"replacementTrigger":\s*"[^"]*"', "", file.read_text())
    assert count == 1
    file.write_text(text)


@pytest.mark.parametrize(
    ("engines", "before"),
    [
        pytest.param(ENGINES, lambda _stack: None, id="upgrade"),
        pytest.param(ENGINES[::-1], forget_triggers, id="downgrade, state of an older version"),
    ],
)
def test_another_engine_replaces_the_work_group(
    aws_stack: PulumiStack,
    emulator: Emulator,
    engines: list[str],
    before: Callable[[PulumiStack], None],
) -> None:
    """Same name, another session; the bucket keeps its objects, and nothing is left after it."""
    aws_stack.configure({"test:engine": engines[0]})
    aws_stack.up()
    outputs = aws_stack.outputs()
    (session,) = emulator.live_sessions()
    bucket = outputs["result_location"].removeprefix("s3://").removesuffix("/")
    put_object(bucket, "6f1c/stdout")

    before(aws_stack)
    aws_stack.configure({"test:engine": engines[1]})
    preview = json.loads(aws_stack.stdout("preview", "--json"))
    replaced = {step["urn"].split("::")[-1] for step in preview["steps"] if step["op"] == "replace"}
    assert replaced == {"spark", "spark-guard", "session"}
    emulator.clear_calls()
    aws_stack.up()
    assert aws_stack.outputs() == outputs
    assert engine_of(emulator, outputs["name"]) == engines[1]
    assert emulator.calls("UpdateWorkGroup") == [], "AWS refuses another engine"
    (deletion,) = emulator.calls("DeleteWorkGroup")
    (live,) = emulator.live_sessions()
    assert live.session_id != session.session_id
    ended_at = emulator.session(session.session_id).ended_at
    assert ended_at is not None
    assert ended_at <= deletion.received_at
    assert client(emulator, "s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    aws_stack.up("--expect-no-changes")

    s3_backends[ACCOUNT]["aws"].delete_object(bucket, "6f1c/stdout")
    aws_stack.destroy()
    assert emulator.live_sessions() == []
    assert work_groups(emulator) == set()
    assert client(emulator, "s3").list_buckets()["Buckets"] == []


def test_another_engine_waits_for_other_sessions(
    aws_stack: PulumiStack, emulator: Emulator
) -> None:
    """A session that the stack did not start keeps the work group; then it is replaced."""
    aws_stack.up()
    name = aws_stack.outputs()["name"]
    athena = client(emulator, "athena")
    foreign = athena.start_session(WorkGroup=name, EngineConfiguration={})["SessionId"]
    aws_stack.configure({"test:engine": ENGINES[1]})
    output = aws_stack.up_fails().output
    assert f"which this stack did not start: {foreign}" in output
    assert [live.session_id for live in emulator.live_sessions()] == [foreign]
    assert engine_of(emulator, name) == ENGINES[0]

    athena.terminate_session(SessionId=foreign)
    aws_stack.up()
    assert engine_of(emulator, name) == ENGINES[1]
    assert len(emulator.live_sessions()) == len(aws_stack.sessions()) == 1
    aws_stack.destroy()
    assert emulator.live_sessions() == []
    assert work_groups(emulator) == set()


def test_the_role_is_given_time_to_spread(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """After it was made, and after its policy was changed; and only then."""
    aws_stack.write(PROGRAM.replace("iam_propagation_seconds=0", "iam_propagation_seconds=3"))
    result = aws_stack.up()
    assert "waiting 3s for IAM to propagate spark-role-policy" in result.output
    (role,) = client(emulator, "iam").list_roles()["Roles"]
    (creation,) = emulator.calls("CreateWorkGroup")
    assert creation.received_at - role["CreateDate"].timestamp() >= 3
    (start,) = emulator.calls("StartSession")
    assert start.received_at > creation.received_at

    assert "waiting" not in aws_stack.up("--expect-no-changes").output

    changed = PROGRAM.replace("iam_propagation_seconds=0", "iam_propagation_seconds=2")
    aws_stack.write(changed.replace('"sales"', '"sales", "staging"'))
    assert "waiting 2s for IAM to propagate spark-role-policy" in aws_stack.up().output


def test_what_is_in_use_is_not_deleted(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """The message says who uses it and what to do; what it says works."""
    aws_stack.up()
    outputs = aws_stack.outputs()
    bucket = outputs["result_location"].removeprefix("s3://").removesuffix("/")
    athena = client(emulator, "athena")
    foreign = athena.start_session(WorkGroup=outputs["name"], EngineConfiguration={})["SessionId"]
    put_object(bucket, "6f1c/stdout")

    output = aws_stack.fail("destroy", "--yes", "--skip-preview").output
    assert f"still has live sessions, which this stack did not start: {foreign}" in output
    assert "`aws athena terminate-session --session-id <id> --region eu-west-1`" in output
    assert "Traceback" not in output
    # The stack's own session has ended, and nothing else is lost.
    assert [live.session_id for live in emulator.live_sessions()] == [foreign]
    assert work_groups(emulator) == {outputs["name"]}
    assert client(emulator, "iam").list_roles()["Roles"]

    athena.terminate_session(SessionId=foreign)
    output = aws_stack.fail("destroy", "--yes", "--skip-preview").output
    assert "still has objects, such as 6f1c/stdout" in output
    assert f"`aws s3 rm s3://{bucket} --recursive`" in output
    assert "Traceback" not in output
    assert work_groups(emulator) == {outputs["name"]}
    assert client(emulator, "iam").list_roles()["Roles"]

    s3_backends[ACCOUNT]["aws"].delete_object(bucket, "6f1c/stdout")
    aws_stack.destroy()
    assert work_groups(emulator) == set()
    assert client(emulator, "s3").list_buckets()["Buckets"] == []


def test_force_destroy_deletes_what_is_in_use(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """Sessions are ended, not left to run without a work group."""
    aws_stack.write(PROGRAM.replace("database_access", "force_destroy=True, database_access"))
    aws_stack.up()
    outputs = aws_stack.outputs()
    bucket = outputs["result_location"].removeprefix("s3://").removesuffix("/")
    client(emulator, "athena").start_session(WorkGroup=outputs["name"], EngineConfiguration={})
    put_object(bucket, "6f1c/stdout")
    aws_stack.destroy()
    assert emulator.live_sessions() == []
    assert work_groups(emulator) == set()
    assert client(emulator, "s3").list_buckets()["Buckets"] == []


def test_two_of_one_name_below_two_parents(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """A component that has a work group can be used twice."""
    aws_stack.write(
        """
import pulumi
from athena_session_provider.resources.workgroup import LoggingArgs, SparkWorkgroup

class Team(pulumi.ComponentResource):
    def __init__(self, name, result_bucket):
        super().__init__("acme:index:Team", name)
        self.group = SparkWorkgroup(
            f"spark-{name}",
            work_group_name=None,
            result_bucket=result_bucket,
            engine_version="Apache Spark version 3.5",
            logging=LoggingArgs(),
            iam_propagation_seconds=0.1,
            opts=pulumi.ResourceOptions(parent=self),
        )

for name in ("a", "b"):
    pulumi.export(name, Team(name, "shared").group.result_location)
"""
    )
    aws_stack.up()
    outputs = aws_stack.outputs()
    names = work_groups(emulator)
    assert set(outputs.values()) == {f"s3://shared/{name}/" for name in names}
    assert len(names) == 2
    logs = client(emulator, "logs").describe_log_groups()["logGroups"]
    assert {(group["logGroupName"], group["retentionInDays"]) for group in logs} == {
        (f"/aws-athena/{name}", 30) for name in names
    }
    aws_stack.destroy()
    assert client(emulator, "logs").describe_log_groups()["logGroups"] == []


def test_one_config_for_the_work_group_and_the_session(
    aws_stack: PulumiStack, emulator: Emulator
) -> None:
    """Both are in one account and region, which are not the stack's."""
    aws_stack.write(
        f"""
import pulumi
from athena_session_provider import AwsConfig, Session
from athena_session_provider import SparkWorkgroup

config = AwsConfig(
    region="us-west-2",
    assume_roles=[{{"role_arn": "{ROLE_ARN}"}}],
    default_tags={{"cost_center": "7"}},
    config_namespace="other",
    endpoints={endpoints(emulator)},
)
group = SparkWorkgroup("spark", iam_propagation_seconds=0, aws=config)
session = Session("session", work_group=group.name, aws=config)
for resource in (group, session):
    pulumi.export(type(resource).__name__, resource.arn)
"""
    )
    aws_stack.configure({"other:accessKey": "AKIAIOSFODNN7OTHER00", "other:secretKey": "SK"})
    aws_stack.up()
    outputs = aws_stack.outputs()
    (session,) = emulator.live_sessions()
    assert (session.account_id, session.region) == (OTHER_ACCOUNT, "us-west-2")
    assert session.tags["cost_center"] == "7"
    assert outputs["SparkWorkgroup"].startswith(f"arn:aws:athena:us-west-2:{OTHER_ACCOUNT}:")
    assert outputs["Session"] == f"{outputs['SparkWorkgroup']}/session/{session.session_id}"
    assert work_groups(emulator) == set()
    aws_stack.up("--expect-no-changes")
    # The guard looks there, too.
    athena = client(emulator, "athena", "us-west-2", **keys_of_role(emulator))
    foreign = athena.start_session(WorkGroup=session.work_group, EngineConfiguration={})
    output = aws_stack.fail("destroy", "--yes", "--skip-preview").output
    assert f"which this stack did not start: {foreign['SessionId']}" in output
    athena.terminate_session(SessionId=foreign["SessionId"])
    aws_stack.destroy()
    assert emulator.live_sessions() == []


FROM_PROVIDER = """
import pulumi
import pulumi_aws as aws
from athena_session_provider import Session
from athena_session_provider import SparkWorkgroup, aws_config_from_provider

provider = aws.Provider("other", region="us-west-2", endpoints=[{endpoints}], {more})
group = SparkWorkgroup(
    "spark", iam_propagation_seconds=0, opts=pulumi.ResourceOptions(provider=provider)
)
session = Session("session", work_group=group.name, aws=aws_config_from_provider(provider))
"""


def test_a_config_read_from_a_provider(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """Region and endpoints are the provider's, credentials the environment's, as its own are."""
    aws_stack.configure(dict.fromkeys(("aws:region", "aws:accessKey", "aws:secretKey")))
    aws_stack.environment |= {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
    aws_stack.write(FROM_PROVIDER.format(endpoints=endpoints(emulator), more=""))
    assert "us-west-2" in aws_stack.succeed("preview", "--json").output
    aws_stack.up()
    (session,) = emulator.live_sessions()
    assert session.region == "us-west-2"
    assert work_groups(emulator, "us-west-2") == {session.work_group}
    aws_stack.up("--expect-no-changes")
    aws_stack.destroy()
    assert work_groups(emulator, "us-west-2") == set()


def test_a_provider_with_keys_is_refused_in_a_sentence(
    aws_stack: PulumiStack, emulator: Emulator
) -> None:
    """In preview already, and without a traceback."""
    keys = 'access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI"'
    aws_stack.write(FROM_PROVIDER.format(endpoints=endpoints(emulator), more=keys))
    output = aws_stack.fail("preview").output
    assert "error: The aws.Provider has access_key, secret_key, which a session" in output
    assert "Traceback" not in output
    assert "wJalrXUtnFEMI" not in output


@pytest.fixture
def main_program(aws_stack: PulumiStack) -> PulumiStack:
    """The project's own Pulumi.yaml and __main__.py."""
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copy(REPOSITORY / name, aws_stack.program_folder)
    file = aws_stack.program_folder / "Pulumi.yaml"
    file.write_text(file.read_text().replace("    virtualenv: .venv\n", "    {}\n"))
    aws_stack.project = "athena-session"
    aws_stack.succeed("stack", "init", "dev")
    aws_stack.configure({})
    return aws_stack


def test_the_main_program_makes_a_work_group(main_program: PulumiStack, emulator: Emulator) -> None:
    """Where none is configured, in the account of the stack's role, as the session.

    Another engine replaces the work group and the session, which gets the same DPUs.
    """
    main_program.configure(
        {"athena-session:tags": {"team": "data"}, "aws:assumeRoles": [{"roleArn": ROLE_ARN}]}
    )
    main_program.up()
    keys = keys_of_role(emulator)
    (name,) = work_groups(emulator, **keys)
    (session,) = emulator.live_sessions()
    assert (session.account_id, session.work_group) == (OTHER_ACCOUNT, name)
    assert session.tags["team"] == "data"
    athena = client(emulator, "athena", **keys)
    started = athena.get_session(SessionId=session.session_id)
    assert started["EngineConfiguration"]["MaxConcurrentDpus"] == 4
    (role,) = client(emulator, "iam", **keys).list_roles()["Roles"]
    (creation,) = emulator.calls("CreateWorkGroup")
    assert creation.received_at - role["CreateDate"].timestamp() >= 15

    main_program.configure({"athena-session:engineVersion": "Apache Spark version 3.5"})
    main_program.up()
    (restarted,) = emulator.live_sessions()
    assert restarted.session_id != session.session_id
    engine = athena.get_session(SessionId=restarted.session_id)
    assert engine["EngineVersion"] == "Apache Spark version 3.5"
    assert engine["EngineConfiguration"]["MaxConcurrentDpus"] == 4

    main_program.destroy()
    assert emulator.live_sessions() == []
    assert work_groups(emulator, **keys) == set()


def test_the_main_program_without_pulumi_aws(main_program: PulumiStack, emulator: Emulator) -> None:
    """In a work group that there is it needs none; to make one it says what to install."""
    blocker = main_program.folder / "without_pulumi_aws"
    blocker.mkdir()
    (blocker / "pulumi_aws.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'pulumi_aws'\", name='pulumi_aws')\n"
    )
    main_program.environment["PYTHONPATH"] = f"{blocker}{os.pathsep}{REPOSITORY}"
    output = main_program.fail("preview").output
    assert "error: 'athena-session:workgroup' is not set. SparkWorkgroup requires" in output
    assert "pip install 'athena-session-provider[aws]'" in output
    assert "Traceback" not in output
    main_program.configure({"athena-session:workgroup": "spark"})
    main_program.up()
    (session,) = emulator.live_sessions()
    assert session.work_group == "spark"
    main_program.destroy()
    assert emulator.live_sessions() == []
