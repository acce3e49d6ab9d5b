"""What the emulated service does by default, by its sources, and what else it can be made to do."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from athena_session_provider.emulator import VARIANTS, Emulator, EmulatorError, messages
from athena_session_provider.emulator.__main__ import main
from athena_session_provider.emulator.settings import options

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "t" * 32
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "emulator.md"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Run an emulator with the default of every variant and every quota."""
    with Emulator(start_seconds=0.0, terminate_seconds=0.0) as running:
        yield running


@pytest.fixture
def athena(emulator: Emulator) -> Any:
    connect: Any = boto3.client  # its overloads take literal names only
    return connect(
        "athena",
        endpoint_url=emulator.url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


def start(athena: Any, work_group: str = "spark", dpus: int | None = 4, **more: Any) -> str:
    configuration = {} if dpus is None else {"MaxConcurrentDpus": dpus}
    request = {"WorkGroup": work_group, "EngineConfiguration": configuration, **more}
    return str(athena.start_session(**request)["SessionId"])


def state(athena: Any, session_id: str) -> str:
    return str(athena.get_session_status(SessionId=session_id)["Status"]["State"])


def error(call: Any, **parameters: Any) -> tuple[str, str]:
    """Give the code and the text of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    detail = caught.value.response["Error"]
    return detail["Code"], detail["Message"]


# What is known


def test_ids_have_the_form_of_their_engine(athena: Any) -> None:
    """User Guide (CloudTrail sample) for engine 3, dbt-adapters pull request 1874 for 3.5."""
    for _ in range(20):
        athena.terminate_session(SessionId=start(athena, "spark-35"))
        id_35 = start(athena, "spark-35")
        athena.terminate_session(SessionId=id_35)
        assert re.fullmatch("s-[0-9a-z]{16}", id_35)
        session_id = start(athena)
        athena.terminate_session(SessionId=session_id)
        assert str(uuid.UUID(session_id)) == session_id
        assert uuid.UUID(session_id).version is None


def test_a_session_of_35_stays_created(emulator: Emulator, athena: Any) -> None:
    """Until a client connects; the idle timeout counts from there, too."""
    emulator.update_settings(start_seconds=10.0)
    session_id = start(athena, "spark-35")
    assert state(athena, session_id) == "CREATING"
    emulator.advance(10.0)
    assert state(athena, session_id) == "CREATED"
    emulator.advance(1190.0)
    assert state(athena, session_id) == "CREATED"
    emulator.advance(10.0)
    assert state(athena, session_id) == "TERMINATED"


@pytest.mark.parametrize(
    ("setting", "work_group", "states"),
    [
        ({}, "spark", ["CREATED", "CREATED", "IDLE"]),
        ({}, "spark-35", ["CREATING", "CREATING", "CREATED"]),
        ({"start_session_state": "CREATING"}, "spark", ["CREATING", "CREATED", "IDLE"]),
        ({"start_session_state": "CREATED"}, "spark-35", ["CREATED", "CREATED", "CREATED"]),
        ({"ready_state_3_5": "IDLE"}, "spark-35", ["CREATING", "CREATED", "IDLE"]),
    ],
)
def test_the_states_of_a_start(
    emulator: Emulator, athena: Any, setting: dict[str, str], work_group: str, states: list[str]
) -> None:
    """At first, after 6 and after 12 seconds of a start that takes 10."""
    emulator.update_settings(start_seconds=10.0, **setting)
    request = {"WorkGroup": work_group, "EngineConfiguration": {"MaxConcurrentDpus": 4}}
    answer = athena.start_session(**request)
    seen = [answer["State"]]
    for _ in range(2):
        emulator.advance(6.0)
        seen.append(state(athena, answer["SessionId"]))
    assert seen == states


@pytest.mark.parametrize("code", VARIANTS["quota_error_code"])
def test_quotas_are_in_dpus(emulator: Emulator, athena: Any, code: str) -> None:
    """160 of an account and 60 of a session on engine 3, 4 on 3.5; each engine has its own."""
    emulator.update_settings(quota_error_code=code)
    for dpus in (60, 60, 38):
        last = start(athena, dpus=dpus)
    assert error(lambda: start(athena, dpus=3)) == (code, messages.TOO_MANY_SESSIONS)
    start(athena, dpus=2)
    athena.terminate_session(SessionId=last)
    assert error(lambda: start(athena, dpus=61))[0] == "InvalidRequestException"
    start(athena, dpus=38)
    ids = [start(athena, "spark-35", None) for _ in range(2)]
    assert error(lambda: start(athena, "spark-35", None)) == (code, messages.TOO_MANY_SESSIONS)
    athena.terminate_session(SessionId=ids[0])
    start(athena, "spark-35", None)
    emulator.update_settings(on_demand_dpus=None, engine_3_account_dpus=None)
    start(athena, dpus=60)
    start(athena, "spark-35", None)


def test_the_engine_of_a_work_group_stays(athena: Any) -> None:
    """User Guide, considerations and limitations: no upgrade from engine 3 to 3.5."""
    answer = error(
        athena.update_work_group,
        WorkGroup="spark",
        ConfigurationUpdates={
            "EngineVersion": {"SelectedEngineVersion": "Apache Spark version 3.5"}
        },
    )
    assert answer[0] == "InvalidRequestException"
    group = athena.get_work_group(WorkGroup="spark")["WorkGroup"]
    assert group["Configuration"]["EngineVersion"]["EffectiveEngineVersion"] == (
        "PySpark engine version 3"
    )


def test_a_spark_work_group_needs_a_role(athena: Any) -> None:
    """hashicorp/terraform-provider-aws issue 28386."""
    engine = {"SelectedEngineVersion": "Apache Spark version 3.5"}
    answer = error(athena.create_work_group, Name="mine", Configuration={"EngineVersion": engine})
    assert answer == ("InvalidRequestException", messages.NO_EXECUTION_ROLE)


# What is not known


def test_a_replayed_token_of_a_dead_session(emulator: Emulator, athena: Any) -> None:
    """Gives the dead session, an error or a new session; a live one is given each time."""
    for answer in VARIANTS["replay_of_dead"]:
        emulator.reset()
        emulator.update_settings(replay_of_dead=answer)
        first = start(athena, ClientRequestToken=TOKEN)
        assert start(athena, ClientRequestToken=TOKEN) == first
        athena.terminate_session(SessionId=first)
        if answer == "SessionAlreadyExistsException":
            assert error(lambda: start(athena, ClientRequestToken=TOKEN))[0] == answer
            continue
        second = start(athena, ClientRequestToken=TOKEN)
        assert (second == first) == (answer == "dead-session")
        assert start(athena, ClientRequestToken=TOKEN) == second
        assert len(emulator.sessions()) == (1 if second == first else 2)


def test_an_ended_session_can_be_forgotten(emulator: Emulator, athena: Any) -> None:
    """At once, or after some time; it is in no list then, either."""
    emulator.update_settings(session_retention_seconds=86_400.0, unknown_session_text="other")
    session_id = start(athena)
    athena.terminate_session(SessionId=session_id)
    emulator.advance(86_000)
    listed = athena.list_sessions(WorkGroup="spark", StateFilter="TERMINATED")["Sessions"]
    assert [item["SessionId"] for item in listed] == [session_id]
    emulator.advance(500)
    for call in (athena.get_session, athena.get_session_status, athena.terminate_session):
        code, text = error(call, SessionId=session_id)
        assert code == "InvalidRequestException"
        assert "not found" not in text
    assert athena.list_sessions(WorkGroup="spark", StateFilter="TERMINATED")["Sessions"] == []


def test_an_unknown_session_can_be_denied(emulator: Emulator, athena: Any) -> None:
    """Since IAM cannot tell its work group; a known one is not."""
    emulator.update_settings(unknown_session_access="denied")
    assert error(athena.get_session, SessionId="x")[0] == "AccessDeniedException"
    assert state(athena, start(athena)) == "IDLE"


def test_sessions_of_a_deleted_work_group(emulator: Emulator, athena: Any) -> None:
    """Are readable, or lost in one of two ways."""
    session_id = start(athena)
    athena.delete_work_group(WorkGroup="spark", RecursiveDeleteOption=True)
    assert state(athena, session_id) == "TERMINATED"
    emulator.update_settings(session_of_deleted_work_group="work-group-not-found")
    assert error(athena.get_session, SessionId=session_id)[1] == messages.NO_WORK_GROUP
    emulator.update_settings(session_of_deleted_work_group="unknown")
    assert error(athena.get_session, SessionId=session_id)[1] != messages.NO_WORK_GROUP


@pytest.mark.parametrize(
    ("setting", "request_", "default"),
    [
        ("engine_3_tags", {"Tags": [{"Key": "a", "Value": "b"}]}, "accepted"),
        ("engine_3_without_dpus", {"EngineConfiguration": {}}, "accepted"),
        (
            "engine_3_monitoring",
            {"MonitoringConfiguration": {"ManagedLoggingConfiguration": {"Enabled": True}}},
            "accepted",
        ),
        (
            "engine_3_classifications",
            {
                "EngineConfiguration": {
                    "MaxConcurrentDpus": 4,
                    "Classifications": [{"Name": "spark-defaults"}],
                }
            },
            "refused",
        ),
    ],
)
def test_what_engine_3_may_refuse(
    emulator: Emulator, athena: Any, setting: str, request_: dict[str, Any], default: str
) -> None:
    """Each at a setting of its own; engine 3.5 takes all of it."""
    assert VARIANTS[setting][0] == default
    for value in VARIANTS[setting]:
        emulator.update_settings(**{setting: value})
        if value == "accepted":
            start(athena, **request_)
        else:
            assert error(lambda: start(athena, **request_))[0] == "InvalidRequestException"
        start(athena)
        athena.terminate_session(SessionId=start(athena, "spark-35", **request_))


def test_refused_tags_are_refused_later_too(emulator: Emulator, athena: Any) -> None:
    """And those of the work group are not copied; there are none to list."""
    emulator.update_settings(engine_3_tags="refused")
    scope = "arn:aws:athena:eu-west-1:123456789012:workgroup/spark"
    tags = [{"Key": "a", "Value": "b"}]
    athena.tag_resource(ResourceARN=scope, Tags=tags)
    resource = f"{scope}/session/{start(athena)}"
    assert error(athena.tag_resource, ResourceARN=resource, Tags=tags)[0] == (
        "InvalidRequestException"
    )
    assert athena.list_tags_for_resource(ResourceARN=resource)["Tags"] == []


@pytest.mark.parametrize(
    ("members", "missing"),
    [
        ("no-idle-timeout-minutes", "SessionIdleTimeoutInMinutes"),
        ("no-idle-timeout-seconds", "IdleTimeoutSeconds"),
    ],
)
def test_get_session_without_an_idle_timeout(
    emulator: Emulator, athena: Any, members: str, missing: str
) -> None:
    """One of the two members, which say the same."""
    session_id = start(athena)
    assert missing in athena.get_session(SessionId=session_id)["SessionConfiguration"]
    emulator.update_settings(get_session_members=members)
    assert missing not in athena.get_session(SessionId=session_id)["SessionConfiguration"]
    emulator.update_settings(get_session_members="few")
    answer = athena.get_session(SessionId=session_id)
    assert not {"SessionConfiguration", "Statistics"} & set(answer)
    assert answer["Status"]["State"] == "IDLE"


def test_a_degraded_session_may_be_listed(emulator: Emulator, athena: Any) -> None:
    """API Reference: states "like" four that are named."""
    session_id = start(athena)
    emulator.set_state(session_id, "DEGRADED")
    assert athena.list_sessions(WorkGroup="spark")["Sessions"] == []
    emulator.update_settings(degraded_sessions="listed")
    assert len(athena.list_sessions(WorkGroup="spark")["Sessions"]) == 1


# The settings themselves


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_set_both_ways(emulator: Emulator, name: str) -> None:
    """Over HTTP; another value is refused there, and by the command line."""
    assert len(VARIANTS[name]) > 1
    for value in VARIANTS[name]:
        emulator.update_settings(**{name: value})
    with pytest.raises(EmulatorError):
        emulator.update_settings(**{name: "another"})
    with pytest.raises(SystemExit):
        main([f"--{name.replace('_', '-')}", "another"])


def test_the_page_has_the_help() -> None:
    """docs/reference/emulator.md shows what `--help` prints, variants and sources included."""
    command = [sys.executable, "-m", "athena_session_provider.emulator", "--help"]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"COLUMNS": "100"}
    )
    assert f"```text\n{run.stdout}```\n" in PAGE.read_text()
    for option in options():
        assert f"--{option.name.replace('_', '-')} " in run.stdout
