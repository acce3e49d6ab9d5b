"""The plugin by the real Pulumi CLI, from YAML programs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from plugin_stack import KEYS, SESSION, PluginStack, session
from pulumi_stack import REPOSITORY, PulumiStack, wait_until

from athena_session_provider.plugin.schema import package_schema
from athena_session_provider.service.ownership import parse_mark

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine


@pytest.fixture
def yaml_stack(tmp_path: Path, emulator: Emulator) -> PluginStack:
    """A new stack with the YAML program of one session."""
    return PluginStack(tmp_path, emulator).init()


def live_ids(emulator: Emulator) -> list[str]:
    return [item.session_id for item in emulator.live_sessions()]


def athena_client(emulator: Emulator) -> Any:
    return boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


def test_up_starts_a_session_and_destroy_ends_it(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """The state names the one live session and has the stack's identity before it."""
    stack = yaml_stack
    stack.declare({"spark": session(tags={"team": "a"})}, {"id": "${spark.sessionId}"})
    assert "Traceback" not in stack.up().output
    (record,) = emulator.live_sessions()
    assert stack.session_ids() == [record.session_id] == [stack.outputs()["id"]]
    (stored,) = stack.sessions()
    assert stored["inputs"] == {
        "workGroup": "spark",
        "engineConfiguration": {"maxConcurrentDpus": 20},
        "tags": {"team": "a"},
        "region": "eu-west-1",
    }
    identity = stack.provider()["inputs"]["identity"]
    mark = parse_mark(record.description or "")
    assert mark is not None
    assert mark.identity == identity
    resources = [item["type"] for item in stack.state()["resources"]]
    assert resources.index("pulumi:providers:athena-session") < resources.index(SESSION)

    emulator.clear_calls()
    assert "2 unchanged" in stack.succeed("up", "--yes", "--expect-no-changes").output
    assert emulator.calls("StartSession", "TerminateSession", "TagResource") == []
    assert stack.provider()["inputs"]["identity"] == identity
    stack.destroy()
    assert live_ids(emulator) == []


def test_keys_are_stored_encrypted(yaml_stack: PluginStack) -> None:
    """Also those that the configuration has as plain text."""
    yaml_stack.up()
    text = json.dumps(yaml_stack.state())
    assert KEYS["athena-session:secretKey"] not in text
    assert KEYS["athena-session:accessKey"] not in text
    assert "eu-west-1" in text


def test_a_changed_region_of_the_provider_keeps_its_identity(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """The session is replaced where it ran; the provider is updated, and not replaced."""
    stack = yaml_stack
    stack.up()
    before = stack.provider()
    stack.configure({"athena-session:region": "us-east-1"})
    assert stack.steps()["spark"]["op"] == "replace"
    stack.up()
    assert [item.region for item in emulator.live_sessions()] == ["us-east-1"]
    after = stack.provider()
    assert after["id"] == before["id"]
    assert after["inputs"]["identity"] == before["inputs"]["identity"]


def test_wrong_values_are_refused_in_preview_by_their_names(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """Each is named as the program has it, with what is allowed; nothing is sent."""
    yaml_stack.declare(
        {
            "spark": session(
                workGroup="bad!",
                engineConfiguration={"maxConcurrentDpus": 1},
                sessionIdleTimeoutInMinutes=481,
            )
        }
    )
    output = yaml_stack.fail("preview").output
    assert "property workGroup value {bad!} has a problem:" in output
    assert "engineConfiguration.maxConcurrentDpus is 1, and" in output
    assert "sessionIdleTimeoutInMinutes" in output
    assert "_" not in re.sub(r"pulumi_|\S*/\S*|\[a-zA-Z0-9\._-\]", "", output)
    assert "Traceback" not in output
    assert emulator.calls("StartSession") == []


def test_settings_that_do_not_exist_are_refused(yaml_stack: PluginStack) -> None:
    """A typo in the configuration is named, with the setting that is near."""
    yaml_stack.configure({"athena-session:regoin": "eu-west-1"})
    output = yaml_stack.fail("preview").output
    assert "regoin" in output
    assert 'did you mean "region"?' in output
    yaml_stack.configure({"athena-session:regoin": None, "athena-session:secretKey": None})
    output = yaml_stack.fail("preview").output
    assert "athena-session:secretKey" in output
    assert "Traceback" not in output


def test_differences_are_shown_by_nested_property(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """Of what changes, and nothing else; tags change in place."""
    stack = yaml_stack
    engine = {"maxConcurrentDpus": 20, "sparkProperties": {"spark.a": "1", "b": "1"}}
    stack.declare({"spark": session(engineConfiguration=engine, tags={"a": "1", "b": "1"})})
    stack.up()
    (before,) = live_ids(emulator)
    stack.declare({"spark": session(engineConfiguration=engine, tags={"a": "2", "c": "1"})})
    step = stack.steps()["spark"]
    assert step["op"] == "update"
    assert {path: item["kind"] for path, item in step["detailedDiff"].items()} == {
        "tags.a": "update",
        "tags.b": "delete",
        "tags.c": "add",
    }
    stack.up()
    (record,) = emulator.live_sessions()
    assert record.session_id == before
    assert {key: record.tags.get(key) for key in "abc"} == {"a": "2", "b": None, "c": "1"}

    changed = {"maxConcurrentDpus": 40, "sparkProperties": {"spark.a": "2", "b": "1"}}
    stack.declare({"spark": session(engineConfiguration=changed, tags={"a": "2", "c": "1"})})
    step = stack.steps()["spark"]
    assert step["op"] == "replace"
    assert {path: item["kind"] for path, item in step["detailedDiff"].items()} == {
        "engineConfiguration.maxConcurrentDpus": "update-replace",
        'engineConfiguration.sparkProperties["spark.a"]': "update-replace",
    }
    shown = stack.succeed("preview", "--diff").output
    assert "~ maxConcurrentDpus: 20 => 40" in shown
    assert "~ spark.a: " in shown
    stack.up()
    calls = [call.operation for call in emulator.calls("StartSession", "TerminateSession")]
    assert calls == ["StartSession", "TerminateSession", "StartSession"]


def test_ignore_and_replace_on_changes_of_nested_names(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """The engine's own options work by the names of the schema."""
    stack = yaml_stack
    options = {
        "ignoreChanges": ["engineConfiguration.maxConcurrentDpus", "tags.ignored"],
        "replaceOnChanges": ["tags.team"],
    }
    stack.declare({"spark": session(tags={"team": "a", "ignored": "1"}, options=options)})
    stack.up()
    (before,) = live_ids(emulator)
    engine = {"maxConcurrentDpus": 40}
    tags = {"team": "a", "ignored": "2"}
    stack.declare({"spark": session(engineConfiguration=engine, tags=tags, options=options)})
    stack.succeed("up", "--yes", "--expect-no-changes")
    tags = {"team": "b", "ignored": "2"}
    stack.declare({"spark": session(engineConfiguration=engine, tags=tags, options=options)})
    stack.up()
    (record,) = emulator.live_sessions()
    assert record.session_id != before


def test_import_writes_the_code_and_changes_nothing(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """A session that runs is taken over by its id; `up` with the code finds no change."""
    stack = yaml_stack
    stack.declare({})
    started = athena_client(emulator).start_session(
        WorkGroup="spark",
        EngineConfiguration={"MaxConcurrentDpus": 20, "SparkProperties": {"spark.a": "1"}},
        Description="by hand",
        SessionIdleTimeoutInMinutes=30,
        Tags=[{"Key": "team", "Value": "a"}],
    )
    session_id = started["SessionId"]
    code = stack.folder / "code.yaml"
    stack.succeed("import", SESSION, "spark", session_id, "--yes", "--out", str(code))
    generated = yaml.safe_load(code.read_text())["resources"]
    properties = generated["spark"]["properties"]
    assert properties["workGroup"] == "spark"
    assert properties["engineConfiguration"]["maxConcurrentDpus"] == 20
    assert properties["engineConfiguration"]["sparkProperties"] == {"spark.a": "1"}
    assert properties["tags"] == {"team": "a"}
    stack.declare(generated)
    assert "2 unchanged" in stack.succeed("up", "--yes", "--expect-no-changes").output
    assert live_ids(emulator) == [session_id]
    generated["spark"].setdefault("options", {})["protect"] = False
    stack.declare(generated)
    stack.up()
    stack.destroy()
    assert live_ids(emulator) == []


def test_import_of_an_unknown_id_is_refused(yaml_stack: PluginStack) -> None:
    """With a sentence."""
    output = yaml_stack.fail("import", SESSION, "other", "no-such-id", "--yes").output
    assert "no-such-id" in output
    assert "Traceback" not in output


def test_secrets_stay_secret(yaml_stack: PluginStack, emulator: Emulator) -> None:
    """What was secret in the inputs is encrypted in the state, and nothing else is."""
    stack = yaml_stack
    stack.configure({"word": "very-secret-1"})
    engine = {
        "maxConcurrentDpus": 20,
        "sparkProperties": {"spark.a": {"fn::secret": "very-secret-2"}, "spark.b": "open"},
    }
    description = {"fn::secret": "very-secret-3"}
    stack.declare({"spark": session(engineConfiguration=engine, description=description)})
    stack.up()
    text = json.dumps(stack.state())
    assert "very-secret" not in text
    assert "open" in text
    (record,) = emulator.live_sessions()
    assert (record.description or "").startswith("very-secret-3")
    stack.succeed("refresh", "--yes", "--expect-no-changes")
    stack.succeed("up", "--yes", "--expect-no-changes")
    assert "very-secret" not in json.dumps(stack.state())
    secret = {"maxConcurrentDpus": {"fn::secret": 123456}}
    stack.declare({"spark": session(engineConfiguration=secret)})
    output = stack.fail("preview").output
    assert "engineConfiguration" in output
    assert "123456" not in output


def test_custom_timeouts_and_sentences(yaml_stack: PluginStack, emulator: Emulator) -> None:
    """A session that is not ready in time is ended; the error says so in a sentence."""
    emulator.update_settings(start_seconds=60.0)
    yaml_stack.declare({"spark": session(options={"customTimeouts": {"create": "1s"}})})
    output = yaml_stack.up_fails().output
    assert "after 1 seconds" in output
    assert "customTimeouts" in output
    assert "was terminated" in output
    assert "Traceback" not in output
    assert 'File "' not in output
    assert live_ids(emulator) == []
    assert yaml_stack.sessions() == []


def test_a_session_that_could_not_be_ended_is_kept_in_the_state(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """State and service agree after the failed create, and after the next up."""
    stack = yaml_stack
    emulator.update_settings(start_seconds=60.0)
    emulator.inject("TerminateSession", "access-denied", times=None)
    stack.declare({"spark": session(options={"customTimeouts": {"create": "1s"}})})
    output = stack.up_fails().output
    assert "kept in the state" in output
    (left,) = live_ids(emulator)
    assert stack.session_ids() == [left]
    emulator.clear_faults()
    emulator.update_settings(start_seconds=0.0)
    stack.up()
    (new,) = live_ids(emulator)
    assert new != left
    assert stack.session_ids() == [new]
    stack.succeed("up", "--yes", "--expect-no-changes")


def test_refused_calls_are_sentences(yaml_stack: PluginStack, emulator: Emulator) -> None:
    """What the service refuses is told with what to do, and without a traceback."""
    emulator.inject("StartSession", "access-denied", times=None)
    output = yaml_stack.up_fails().output
    assert "Allow the IAM action" in output
    assert "Traceback" not in output
    assert 'File "' not in output
    assert yaml_stack.sessions() == []


def test_a_session_that_has_ended_is_started_again(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """With a warning that says why; refresh forgets it."""
    stack = yaml_stack
    stack.up()
    (old,) = live_ids(emulator)
    emulator.advance(21 * 60)
    output = stack.up().output
    assert f"Session {old}" in output
    (new,) = live_ids(emulator)
    assert stack.session_ids() == [new]
    emulator.advance(21 * 60)
    stack.refresh()
    assert stack.session_ids() == []


def test_explicit_providers_work_in_two_regions(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """Each with an identity of its own, next to the default provider's session."""
    endpoints = [{"athena": emulator.url, "sts": emulator.url}]
    keys = {"accessKey": "AKIAIOSFODNN7EXAMPLE", "secretKey": "s", "endpoints": endpoints}
    resources: dict[str, Any] = {"default": session(), "here": session(region="eu-central-1")}
    for region in ("us-east-1", "us-west-2"):
        resources[f"provider-{region}"] = {
            "type": "pulumi:providers:athena-session",
            "properties": {"region": region, **keys},
        }
        resources[f"spark-{region}"] = session(options={"provider": f"${{provider-{region}}}"})
    yaml_stack.declare(resources)
    yaml_stack.up()
    regions = sorted(item.region for item in emulator.live_sessions())
    assert regions == ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"]
    yaml_stack.succeed("up", "--yes", "--expect-no-changes")
    yaml_stack.destroy()
    assert live_ids(emulator) == []


def test_get_session_tells_about_any_session(yaml_stack: PluginStack, emulator: Emulator) -> None:
    """The function is called in preview, too."""
    started = athena_client(emulator).start_session(
        WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 20}, Description="by hand"
    )
    call = {
        "fn::invoke": {
            "function": "athena-session:getSession",
            "arguments": {"sessionId": started["SessionId"]},
        }
    }
    yaml_stack.declare({}, {"found": "${found}"}, {"found": call})
    yaml_stack.up()
    found = yaml_stack.outputs()["found"]
    assert found["sessionId"] == started["SessionId"]
    assert found["workGroup"] == "spark"
    assert found["state"] == "IDLE"
    assert found["description"] == "by hand"
    assert found["engineVersion"] == "PySpark engine version 3"
    call["fn::invoke"]["arguments"] = {"sessionId": "no-such-id"}
    yaml_stack.declare({}, {"found": "${found}"}, {"found": call})
    output = yaml_stack.up_fails().output
    assert "no-such-id" in output
    assert "Traceback" not in output


def test_unknown_values_are_left_alone_in_preview(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """An output of one session is an input of another."""
    yaml_stack.declare(
        {
            "a": session(),
            "b": session(description="after ${a.sessionId}", tags={"of": "${a.sessionId}"}),
        }
    )
    steps = yaml_stack.steps()
    assert {steps[name]["op"] for name in "ab"} == {"create"}
    yaml_stack.up()
    assert len(live_ids(emulator)) == 2
    yaml_stack.succeed("up", "--yes", "--expect-no-changes")


def test_the_status_column_shows_what_is_waited_for(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """By the session's state."""
    emulator.update_settings(start_seconds=3.0)
    assert re.search(r"creating \(\d+s\) CREAT(ING|ED) for \d+s", yaml_stack.up().output)


def test_cancel_stops_waiting_and_ends_the_session(
    yaml_stack: PluginStack, emulator: Emulator
) -> None:
    """The engine's Cancel reaches the plugin, which leaves nothing behind."""
    emulator.update_settings(start_seconds=3600.0)
    process = yaml_stack.start("up", "--yes", "--skip-preview")
    wait_until(lambda: len(live_ids(emulator)) == 1)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    wait_until(lambda: live_ids(emulator) == [], timeout=20.0)
    stopped = time.monotonic() - began
    result = yaml_stack.finish(process)
    assert result.exit_code != 0
    assert "cancelled" in result.output
    assert "Traceback" not in result.output
    assert yaml_stack.sessions() == []
    assert stopped < 10.0  # 2 s on an idle machine


def test_256_sessions_wait_at_the_same_time(yaml_stack: PluginStack, emulator: Emulator) -> None:
    """None is ready before the last one is started."""
    emulator.update_settings(start_seconds=3600.0)
    yaml_stack.declare({f"spark{number}": session() for number in range(256)})
    process = yaml_stack.start("up", "--yes", "--skip-preview", "--parallel", "256")
    wait_until(lambda: len(live_ids(emulator)) == 256)
    emulator.advance(3600.0)
    result = yaml_stack.finish(process)
    assert result.exit_code == 0, result
    assert sorted(yaml_stack.session_ids()) == sorted(live_ids(emulator))
    yaml_stack.destroy("--parallel", "256")
    assert live_ids(emulator) == []


# -- processes that are killed ---------------------------------------------------------------------


def processes(session_of: int, name: str) -> list[int]:
    """Find processes by name among those that a command started, in any process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            command = (folder / "cmdline").read_bytes().decode()
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session_of and name in command:
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("killed", ["engine", "plugin", "both"])
def test_killed_processes_leave_what_the_next_command_repairs(
    yaml_stack: PluginStack, emulator: Emulator, killed: str
) -> None:
    """Whether StartSession was sent, acted on or answered: one live session, which is stored."""
    stack = yaml_stack
    groups = ("unsent", "unanswered", "waiting", "deleting")
    for group in groups:
        athena_client(emulator).create_work_group(
            Name=group,
            Configuration={
                "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"},
                "ExecutionRole": "arn:aws:iam::123456789012:role/spark",
            },
        )
    stack.declare({"deleting": session(workGroup="deleting")})
    stack.up()
    emulator.update_settings(start_seconds=20.0, terminate_seconds=20.0)
    emulator.inject("StartSession", "slow", work_group="unsent", seconds=6.0)
    emulator.inject("StartSession", "slow-after", work_group="unanswered", seconds=6.0)
    wanted = {group: session(workGroup=group) for group in groups[:3]}
    wanted["deleting"] = session(workGroup="deleting", description="another")
    stack.declare(wanted)
    process = stack.start("up", "--yes", "--skip-preview", "--parallel", "16")
    wait_until(lambda: reached(emulator))
    plugins = processes(process.pid, "pulumi-resource-athena-session")
    assert plugins
    if killed in ("engine", "both"):
        process.kill()
    if killed in ("plugin", "both"):
        for plugin in plugins:
            with suppress(ProcessLookupError):
                os.kill(plugin, signal.SIGKILL)
    output = stack.finish(process).output
    assert "Traceback" not in output
    if killed != "plugin":
        stack.unlock()
        # Pulumi's own, which does not notice.
        for language_host in processes(process.pid, "pulumi-language-yaml"):
            os.kill(language_host, signal.SIGKILL)
    # A plugin whose engine is gone ends by itself.
    wait_until(lambda: not any(Path(f"/proc/{plugin}").exists() for plugin in plugins))
    time.sleep(6.0)  # what was sent before may act yet
    emulator.clear_faults()
    emulator.update_settings(start_seconds=0.0, terminate_seconds=0.0)
    emulator.advance(30.0)
    stack.up("--parallel", "16")
    live = {item.work_group: item.session_id for item in emulator.live_sessions()}
    assert len(emulator.live_sessions()) == 4
    stored = {item["outputs"]["workGroup"]: item["id"] for item in stack.sessions()}
    assert stored == live
    assert len(stored) == 4
    stack.succeed("up", "--yes", "--expect-no-changes")
    stack.destroy()
    assert live_ids(emulator) == []


def reached(emulator: Emulator) -> bool:
    """Each of the calls that are to be interrupted is on its way."""
    calls = emulator.calls("StartSession", "TerminateSession")
    groups = {call.parameters.get("WorkGroup") for call in calls}
    return {"unsent", "unanswered", "waiting"} <= groups and any(
        call.operation == "TerminateSession" for call in calls
    )


# -- from one provider to the other ----------------------------------------------------------------

PYTHON = """
import pulumi
from athena_session_provider import Session

session = Session("spark", work_group="spark", engine_configuration={"max_concurrent_dpus": 20},
                  tags={"team": "a"}, opts=pulumi.ResourceOptions(retain_on_delete=True))
pulumi.export("session_id", session.session_id)
"""


def test_a_session_moves_from_a_python_program_to_the_plugin_and_back(
    tmp_path: Path, emulator: Emulator
) -> None:
    """By the recipe of the docs: import it there, forget it here; it runs all the time."""
    python = PulumiStack(tmp_path / "python", emulator).init(PYTHON)
    python.up()
    session_id = python.outputs()["session_id"]

    stack = PluginStack(tmp_path / "yaml", emulator, project="other").init()
    stack.declare({})
    code = tmp_path / "code.yaml"
    stack.succeed(
        "import", SESSION, "spark", session_id, "--yes", "--protect=false", f"--out={code}"
    )
    stack.declare(yaml.safe_load(code.read_text())["resources"])
    assert "2 unchanged" in stack.succeed("up", "--yes", "--expect-no-changes").output
    python.destroy()
    assert live_ids(emulator) == [session_id]

    emulator.clear_calls()
    python.write(PYTHON.replace("opts=", f'adopt_session_id="{session_id}", opts='))
    python.up()
    stack.succeed("state", "delete", stack.sessions()[0]["urn"], "--yes")
    assert live_ids(emulator) == [session_id]
    assert python.outputs() == {"session_id": session_id}
    python.write(PYTHON.replace(", opts=pulumi.ResourceOptions(retain_on_delete=True)", ""))
    python.up()
    assert live_ids(emulator) == [session_id]
    assert emulator.calls("StartSession", "TerminateSession") == []
    python.destroy()
    assert live_ids(emulator) == []


# -- the package -----------------------------------------------------------------------------------


def test_the_schema_passes_the_engine(yaml_stack: PluginStack) -> None:
    """What get-schema prints is what the plugin has, after the engine's own checks."""
    plugin = yaml_stack.folder / "plugin" / "pulumi-resource-athena-session"
    printed = json.loads(yaml_stack.stdout("package", "get-schema", str(plugin)))
    assert printed["name"] == "athena-session"
    assert printed["version"] == package_schema()["version"]
    ours = package_schema()["resources"][SESSION]
    assert set(printed["resources"][SESSION]["inputProperties"]) == set(ours["inputProperties"])


def test_package_add_takes_the_plugin(yaml_stack: PluginStack) -> None:
    """It generates the SDK; the YAML host of the tests is too old for what follows (Link)."""
    stack = yaml_stack
    result = stack.run("package", "add", "../plugin/pulumi-resource-athena-session")
    assert "Successfully generated an SDK for the athena-session package" in result.output
    assert result.exit_code == 0 or "method Link not implemented" in result.output
    (written,) = (stack.program_folder / "sdks").rglob("athena-session*.yaml")
    assert "athena-session" in written.read_text()


def test_the_folder_of_the_checkout_is_a_plugin(emulator: Emulator) -> None:  # noqa: ARG001
    """Pulumi runs it with the Python of its own virtual environment, which gets the package."""
    folder = REPOSITORY / "pulumi-plugin"
    runtime = yaml.safe_load((folder / "PulumiPlugin.yaml").read_text())["runtime"]
    assert runtime["name"] == "python"
    assert (folder / "requirements.txt").read_text().splitlines()[-1] == ".."
    done = subprocess.run(
        [sys.executable, str(folder)], capture_output=True, text=True, check=False
    )
    assert "is a plugin" in done.stderr
