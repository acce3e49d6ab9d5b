"""No credential anywhere that is written down: state, logs at -v=9, diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pulumi_stack import PROGRAM, PulumiStack

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRETS = {
    "aws:accessKey": ACCESS_KEY,
    "aws:secretKey": "wJalrXUtnFEMIK7MDENGbPxRfiCYSECRETKEY",
    "aws:token": "FwoGZXIvYXdzESESSIONTOKENthatNobodyMaySee",
}


def test_credentials_are_written_nowhere(stack: PulumiStack, emulator: Emulator) -> None:
    """Up, a refused up, refresh and destroy, all with every log that Pulumi has.

    Each is set with --secret: Pulumi stores the configuration of a provider in the state.
    """
    for key in SECRETS:
        stack.config.pop(key, None)
    stack.configure({})
    for key, value in SECRETS.items():
        stack.succeed("config", "set", "--secret", key, value)
    logging = ("-v=9", "--logtostderr", "--logflow")
    outputs = [stack.up(*logging).output]
    (call, *_) = emulator.calls("StartSession")
    assert call.access_key_id == ACCESS_KEY
    outputs.append(stack.stdout("stack", "export"))
    stack.write(PROGRAM.replace("20", "40"))
    emulator.inject("StartSession", "access-denied", times=None)
    outputs += [
        stack.up_fails(*logging).output,
        stack.refresh(*logging).output,
        stack.destroy(*logging).output,
    ]
    for file in (stack.folder / "state").rglob("*"):
        if file.is_file():
            outputs.append(file.read_bytes().decode("utf-8", "replace"))
    for text in outputs:
        for line in text.splitlines():
            # From level 8 on, the engine itself writes the configuration that it hands to any
            # provider, with the secrets in it; nobody else may.
            if ".Configure()." in line and "arshaling property for RPC[Provider" in line:
                continue
            for value in SECRETS.values():
                at = line.find(value)
                assert at < 0, line[max(0, at - 300) : at]


HOSTILE = """
from athena_session_provider import Session

deep = "end"
for _ in range(200):
    deep = {"deeper": deep}
Session(
    "hostile",
    work_group="\U0001f680 ${aws.region}",
    description="bad\\x07bell",
    engine_configuration={
        "max_concurrent_dpus": 2**53,
        "classifications": [{"name": "a", "properties": {"key": "x" * 51201}}],
    },
    session_idle_timeout_in_minutes=float("nan"),
    triggers={"deep": deep},
)
"""


def test_hostile_values_are_refused_by_property(stack: PulumiStack, emulator: Emulator) -> None:
    """Each is told in preview, and nothing is sent."""
    stack.write(HOSTILE)
    output = stack.fail("preview").output
    for text in (
        "control character U+0007",
        "has 51201 characters",
        "must match [a-zA-Z0-9._-]{1,128}",
        "property triggers value",
        "is nested more than 32 deep",
        "must be a whole number from 1 to 480",
        "must be a whole number from 2 to 5000",
    ):
        assert text in output
    assert "Traceback" not in output
    assert emulator.calls("StartSession") == []


ODD = """
from athena_session_provider import Session

Session("odd", work_group="spark", description="rocket \\U0001f680 ${stack.name} {{}}",
        engine_configuration={"max_concurrent_dpus": 4, "spark_properties": {"spark.x": "${y}"}},
        triggers={"at": 2**53, "empty": {}, "none": None})
"""


def test_odd_but_legal_values_arrive_as_they_are(stack: PulumiStack, emulator: Emulator) -> None:
    """What the API allows is sent unchanged, and no change the next time."""
    stack.write(ODD)
    stack.up()
    (session,) = emulator.live_sessions()
    mark = " [athena-session-provider "
    assert str(session.description).startswith("rocket 🚀 ${stack.name} {{}}" + mark)
    configuration = session.parameters["EngineConfiguration"]
    assert configuration["SparkProperties"] == {"spark.x": "${y}"}
    stack.up("--expect-no-changes")
