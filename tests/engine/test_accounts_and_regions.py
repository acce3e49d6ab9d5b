"""The account, the role and the region that a stack says, or a refusal, by the real Pulumi CLI."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import REPOSITORY, PulumiStack, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

STANDIN = REPOSITORY / "tests" / "standin_aws"
ACCOUNT = "123456789012"
"""The emulator's account for keys that no role has given."""


@pytest.fixture
def aws_stack(tmp_path: Path, emulator: Emulator) -> PulumiStack:
    """A new stack whose plugin pulumi-aws is the stand-in."""
    stack = PulumiStack(tmp_path, emulator)
    stack.environment["PATH"] = f"{STANDIN}{os.pathsep}{stack.env()['PATH']}"
    return stack.init()


def test_an_account_that_is_not_allowed(stack: PulumiStack, emulator: Emulator) -> None:
    """Refused in preview, and before anything is started."""
    stack.configure({"aws:allowedAccountIds": ["999999999999"]})
    sentence = f"Nothing was done in account {ACCOUNT}, because aws:allowedAccountIds does not have"
    for output in (stack.fail("preview").output, stack.up_fails().output):
        assert sentence in output
        assert "Traceback" not in output
    assert emulator.calls("StartSession") == []
    stack.configure({"aws:allowedAccountIds": [ACCOUNT]})
    stack.up()
    # Not allowed any more: the session stays as it is, and the user is told.
    stack.configure({"aws:allowedAccountIds": None, "aws:forbiddenAccountIds": [ACCOUNT]})
    for command in ("up", "refresh", "destroy"):
        more = [] if command == "up" else ["--run-program"]
        output = stack.fail(command, "--yes", "--skip-preview", *more).output
        assert f"Nothing was done in account {ACCOUNT}, because aws:forbiddenAccountIds" in output
        assert "Traceback" not in output
    assert len(emulator.live_sessions()) == 1
    assert len(stack.session_ids()) == 1
    stack.configure({"aws:forbiddenAccountIds": None})
    stack.destroy("--run-program")
    assert emulator.live_sessions() == []


EXPLICIT = """
import pulumi
import pulumi_aws as aws
from athena_session_provider import AwsConfig, Session

eu = aws.Provider("eu", region="eu-north-1", endpoints=[{endpoints}], {more})


class Group(pulumi.ComponentResource):
    def __init__(self, name, **options):
        super().__init__("test:index:Group", name, None, pulumi.ResourceOptions(**options))
        self.session = Session(
            f"{{name}}-session", work_group="spark", opts=pulumi.ResourceOptions(parent=self)
        )


{program}
"""

OWN = 'Session("session", work_group="spark", opts=pulumi.ResourceOptions(provider=eu))'
COMPONENT = """
Group("one", providers=[eu])
Group("two", providers={"aws": eu})
"""


def explicit(emulator: Emulator, program: str, more: str = "") -> str:
    endpoints = {"athena": emulator.url, "sts": emulator.url}
    return EXPLICIT.format(endpoints=endpoints, more=more, program=program)


@pytest.mark.parametrize("program", [OWN, COMPONENT], ids=["own", "component"])
def test_the_region_of_an_explicit_provider(
    aws_stack: PulumiStack, emulator: Emulator, program: str
) -> None:
    """In preview too; and not the region of the stack."""
    aws_stack.configure(dict.fromkeys(("aws:accessKey", "aws:secretKey")))
    aws_stack.environment |= {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
    aws_stack.write(explicit(emulator, program))
    assert "eu-north-1" in aws_stack.succeed("preview", "--diff").output
    aws_stack.up()
    assert {session.region for session in emulator.live_sessions()} == {"eu-north-1"}
    aws_stack.up("--expect-no-changes")
    aws_stack.destroy()
    assert emulator.live_sessions() == []


ROLE = f'{{"role_arn": "arn:aws:iam::{ACCOUNT}:role/x"}}'


@pytest.mark.parametrize(
    ("program", "more", "named"),
    [
        (OWN, f"assume_roles=[{ROLE}]", "assume_roles"),
        (OWN, 'access_key="AKIA", secret_key="hidden"', "access_key, secret_key"),
        (OWN, 'default_tags={"tags": {"a": "b"}}', "default_tags"),
        (COMPONENT, f'allowed_account_ids=["{ACCOUNT}"]', "allowed_account_ids"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(
    aws_stack: PulumiStack, emulator: Emulator, program: str, more: str, named: str
) -> None:
    """In preview, with a sentence that names AwsConfig."""
    aws_stack.write(explicit(emulator, program, more))
    output = aws_stack.fail("preview").output
    assert f"The aws.Provider has {named}, which a session cannot take over from it" in output
    assert "AwsConfig" in output
    assert "Traceback" not in output
    assert "hidden" not in output
    assert emulator.calls("StartSession") == []


def test_an_aws_argument_wins_over_the_provider(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """It says itself what cannot be taken over; the rest is the provider's."""
    aws_stack.configure(dict.fromkeys(("aws:accessKey", "aws:secretKey")))
    aws_stack.environment |= {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
    program = f"""
config = AwsConfig(assume_roles=[{ROLE}])
opts = pulumi.ResourceOptions(provider=eu)
Session("session", work_group="spark", aws=config, opts=opts)
"""
    aws_stack.write(explicit(emulator, program, f"assume_roles=[{ROLE}]"))
    aws_stack.up()
    assert {session.region for session in emulator.live_sessions()} == {"eu-north-1"}
    (call,) = emulator.calls("StartSession")
    assert call.access_key_id.startswith("ASIA")
    aws_stack.destroy()


def test_a_session_below_a_work_group_of_a_config(
    aws_stack: PulumiStack, emulator: Emulator
) -> None:
    """The group's provider has the stack's keys, which the session has as well."""
    program = f"""
from athena_session_provider import aws_provider_from_config
config = AwsConfig(region="us-west-2", assume_roles=[{ROLE}])
provider = aws_provider_from_config("made", config)
Session("session", work_group="spark", aws=config, opts=pulumi.ResourceOptions(provider=provider))
"""
    aws_stack.write(explicit(emulator, program))
    aws_stack.succeed("preview")
    aws_stack.up()
    assert {session.region for session in emulator.live_sessions()} == {"us-west-2"}
    aws_stack.destroy()


def test_a_profile_that_is_not_there(stack: PulumiStack) -> None:
    """In preview, although the region is known without it."""
    stack.configure({"aws:accessKey": None, "aws:secretKey": None, "aws:profile": "nobody"})
    output = stack.fail("preview").output
    assert "The config profile (nobody) could not be found" in output
    assert "Traceback" not in output


MFA = f"""
[profile careful]
role_arn = arn:aws:iam::{ACCOUNT}:role/x
source_profile = careful
mfa_serial = arn:aws:iam::{ACCOUNT}:mfa/me
aws_access_key_id = AK
aws_secret_access_key = SK
[profile slow]
credential_process = {sys.executable} -c "import time; open('started', 'w'); time.sleep(600)"
"""


def test_mfa_is_a_sentence_and_ctrl_c_ends_a_wait_for_credentials(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """Nobody sees a prompt in the process of a provider."""
    config = stack.folder / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(MFA.replace("'started'", f"'{stack.folder}/started'"))
    stack.configure({"aws:accessKey": None, "aws:secretKey": None, "aws:profile": "careful"})
    output = stack.up_fails().output
    assert "aws configure export-credentials --profile careful" in output
    assert "Traceback" not in output
    stack.configure({"aws:profile": "slow"})
    process = stack.start("up", "--yes", "--skip-preview")
    wait_until((stack.folder / "started").exists)
    pressed = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    output = stack.finish(process, timeout=30).output
    assert "Stopped waiting, because the command was cancelled" in output
    assert "Traceback" not in output
    assert time.monotonic() - pressed < 10  # the whole command, on a busy machine
    assert emulator.calls("StartSession") == []


EXPLICIT_DYNAMIC = """
import pulumi
from athena_session_provider import DynamicProvider, Session

sessions = DynamicProvider("sessions")
opts = pulumi.ResourceOptions(provider=sessions)
Session("session", work_group="spark", opts=opts)
"""


def test_without_default_providers(stack: PulumiStack, emulator: Emulator) -> None:
    """With a provider of its own, that has the stack's configuration, secrets encrypted."""
    stack.configure({"pulumi:disable-default-providers": ["*"]})
    assert "explicit provider" in stack.fail("preview").output
    stack.write(EXPLICIT_DYNAMIC)
    stack.succeed("config", "set", "--secret", "aws:secretKey", "hidden-secret")
    stack.succeed("preview")
    stack.up()
    (session,) = emulator.live_sessions()
    assert session.region == "eu-west-1"
    stack.up("--expect-no-changes")
    stack.refresh()
    assert "hidden-secret" not in str(stack.state())
    stack.destroy()
    assert emulator.live_sessions() == []


EXPLICIT_GROUP = """
import pulumi
from athena_session_provider import AwsConfig, DynamicProvider, Session, SparkWorkgroup

config = AwsConfig(region="us-west-2")
sessions = DynamicProvider("sessions")
opts = pulumi.ResourceOptions(providers=[sessions])
group = SparkWorkgroup("spark", aws=config, iam_propagation_seconds=0, opts=opts)
opts = pulumi.ResourceOptions(parent=group)
Session("session", work_group=group.name, aws=config, opts=opts)
"""


def test_a_work_group_without_default_providers(aws_stack: PulumiStack, emulator: Emulator) -> None:
    """Its guards and the sessions below it have the explicit provider from it."""
    everywhere = dict.fromkeys(("athena", "iam", "logs", "s3", "sts"), emulator.url)
    aws_stack.configure({"pulumi:disable-default-providers": ["*"], "aws:endpoints": [everywhere]})
    aws_stack.write(EXPLICIT_GROUP)
    aws_stack.up()
    assert {session.region for session in emulator.live_sessions()} == {"us-west-2"}
    aws_stack.up("--expect-no-changes")
    aws_stack.destroy()
    assert emulator.live_sessions() == []


def test_rotated_keys(stack: PulumiStack, emulator: Emulator) -> None:
    """Pulumi hands a command that runs no program the keys of the last `up`."""
    stack.up()
    stack.configure({"aws:accessKey": "AKIAIOSFODNN7ROTATED"})
    stack.refresh()
    assert emulator.calls("GetSession")[-1].access_key_id == "AKIAIOSFODNN7EXAMPLE"
    stack.refresh("--run-program")
    assert emulator.calls("GetSession")[-1].access_key_id == "AKIAIOSFODNN7ROTATED"
    stack.destroy("--run-program")
    assert emulator.calls("TerminateSession")[-1].access_key_id == "AKIAIOSFODNN7ROTATED"
