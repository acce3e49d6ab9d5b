"""The emulated service keeps Athena's contract, seen through a real boto3 client."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from athena_session_provider.emulator import Emulator, EmulatorError, messages
from athena_session_provider.emulator.validation import _compile, service_model

if TYPE_CHECKING:
    from botocore.model import StructureShape

TOKEN = "t" * 32
DPUS = {"MaxConcurrentDpus": 4}
SPARK_35 = {"WorkGroup": "spark-35", "EngineConfiguration": {}}


def client(emulator: Emulator, service: str = "athena", **options: Any) -> Any:
    """Return a client that tries once, so that a test sees every answer."""
    given = {
        "region_name": "eu-west-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
        "config": Config(retries={"total_max_attempts": 1}),
        **options,
    }
    connect: Any = boto3.client  # its overloads take literal names only
    return connect(service, endpoint_url=emulator.url, **given)


def start(athena: Any, **parameters: Any) -> str:
    """Start a session in `spark`, as far as the parameters do not say otherwise."""
    request = {"WorkGroup": "spark", "EngineConfiguration": DPUS, **parameters}
    return str(athena.start_session(**request)["SessionId"])


def status(athena: Any, session_id: str) -> dict[str, Any]:
    """Return what GetSessionStatus says."""
    answer: dict[str, Any] = athena.get_session_status(SessionId=session_id)["Status"]
    return answer


def error(call: Any, **parameters: Any) -> dict[str, Any]:
    """Return the response of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return dict(caught.value.response)


def raw(emulator: Emulator, operation: str, body: str) -> tuple[int, dict[str, Any]]:
    """Send a request that boto3 would refuse."""
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
    scope = "testing/20260101/eu-west-1/athena/aws4_request"
    headers = {
        "X-Amz-Target": f"AmazonAthena.{operation}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature=none",
    }
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    answer = response.status, json.load(response)
    connection.close()
    return answer


@pytest.fixture
def athena(emulator: Emulator) -> Any:
    """Return a client of it."""
    return client(emulator)


# Life of a session


def test_a_session_lives_by_the_clock(emulator: Emulator, athena: Any) -> None:
    """CREATING for half of start_seconds, CREATED for the rest, then IDLE."""
    emulator.update_settings(start_seconds=100.0)
    answer = athena.start_session(WorkGroup="spark", EngineConfiguration=DPUS)
    session_id = answer["SessionId"]
    assert answer["State"] == "CREATING"
    states = []
    for _ in range(4):
        states.append(status(athena, session_id)["State"])
        emulator.advance(49.0)
    assert states == ["CREATING", "CREATING", "CREATED", "IDLE"]


def test_times_are_those_of_the_transitions(emulator: Emulator, athena: Any) -> None:
    """It does not matter when somebody looks."""
    emulator.update_settings(start_seconds=100.0)
    session_id = start(athena, SessionIdleTimeoutInMinutes=3)
    emulator.advance(150.0)
    idle = status(athena, session_id)
    assert idle["IdleSinceDateTime"] - idle["StartDateTime"] == timedelta(seconds=100)
    assert idle["LastModifiedDateTime"] == idle["IdleSinceDateTime"]
    assert "EndDateTime" not in idle
    emulator.advance(3600.0)
    ended = status(athena, session_id)
    assert ended["EndDateTime"] - ended["StartDateTime"] == timedelta(seconds=280)
    assert "IdleSinceDateTime" not in ended


@pytest.mark.parametrize(
    ("parameters", "minutes"), [({}, 20), ({"SessionIdleTimeoutInMinutes": 2}, 2)]
)
def test_an_idle_session_ends(
    emulator: Emulator, athena: Any, parameters: dict[str, Any], minutes: int
) -> None:
    """The idle timeout ends it; the reason is that of a manual stop."""
    session_id = start(athena, **parameters)
    emulator.advance(minutes * 60 - 5)
    assert status(athena, session_id)["State"] == "IDLE"
    emulator.advance(5)
    ended = status(athena, session_id)
    assert ended["State"] == "TERMINATED"
    assert ended["StateChangeReason"] == messages.TERMINATED_PER_REQUEST


def test_a_busy_session_has_no_idle_timeout(emulator: Emulator, athena: Any) -> None:
    """Its idle time begins when it is IDLE again."""
    session_id = start(athena)
    emulator.set_state(session_id, "BUSY")
    emulator.advance(3600)
    assert status(athena, session_id)["State"] == "BUSY"
    emulator.set_state(session_id, "IDLE")
    emulator.advance(19 * 60)
    assert status(athena, session_id)["State"] == "IDLE"
    emulator.advance(60)
    assert status(athena, session_id)["State"] == "TERMINATED"


def test_terminate_takes_terminate_seconds(emulator: Emulator, athena: Any) -> None:
    """TERMINATING first, then TERMINATED with a reason; it stays readable."""
    emulator.update_settings(terminate_seconds=10.0)
    session_id = start(athena, Description="mine")
    assert athena.terminate_session(SessionId=session_id)["State"] == "TERMINATING"
    assert status(athena, session_id)["State"] == "TERMINATING"
    assert emulator.live_sessions() == []
    emulator.advance(10.0)
    ended = status(athena, session_id)
    assert ended["State"] == "TERMINATED"
    assert ended["StateChangeReason"] == messages.TERMINATED_PER_REQUEST
    assert athena.get_session(SessionId=session_id)["Description"] == "mine"


@pytest.mark.parametrize("state", ["TERMINATING", "TERMINATED", "FAILED"])
def test_terminating_an_inactive_session_has_no_effect(
    emulator: Emulator, athena: Any, state: str
) -> None:
    """It succeeds and changes nothing."""
    session_id = start(athena)
    emulator.set_state(session_id, state, "as it was")
    before = status(athena, session_id)
    assert athena.terminate_session(SessionId=session_id)["State"] == state
    assert status(athena, session_id) == before


@pytest.mark.parametrize("state", ["CREATING", "CREATED", "IDLE", "BUSY", "DEGRADED"])
def test_any_other_session_is_terminated(emulator: Emulator, athena: Any, state: str) -> None:
    """A session that is still starting included."""
    session_id = start(athena)
    emulator.set_state(session_id, state)
    athena.terminate_session(SessionId=session_id)
    assert status(athena, session_id)["State"] == "TERMINATED"


def test_a_session_can_be_killed(emulator: Emulator, athena: Any) -> None:
    """A test says the state and the reason, and it stays so."""
    session_id = start(athena)
    emulator.set_state(session_id, "FAILED", "out of memory")
    emulator.advance(10_000)
    killed = status(athena, session_id)
    assert (killed["State"], killed["StateChangeReason"]) == ("FAILED", "out of memory")
    assert "EndDateTime" in killed
    with pytest.raises(EmulatorError, match="unknown state"):
        emulator.set_state(session_id, "ASLEEP")


# The token


def test_a_replayed_token_gets_the_first_response(emulator: Emulator, athena: Any) -> None:
    """Its State too, which is stale by then; also after the session has died."""
    emulator.update_settings(start_seconds=10.0)
    request = {
        "WorkGroup": "spark",
        "EngineConfiguration": DPUS,
        "ClientRequestToken": TOKEN,
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    answers = [athena.start_session(**request)]
    emulator.advance(10.0)
    answers.append(athena.start_session(**request))
    athena.terminate_session(SessionId=answers[0]["SessionId"])
    answers.append(athena.start_session(**request))
    for answer in answers:
        del answer["ResponseMetadata"]
    assert answers == [answers[0]] * 3
    assert answers[0]["State"] == "CREATING"
    assert len(emulator.sessions()) == 1
    assert [call.created_session for call in emulator.calls("StartSession")] == [True, False, False]
    assert {call.session_id for call in emulator.calls("StartSession")} == {answers[0]["SessionId"]}


@pytest.mark.parametrize(
    "change",
    [
        {"Description": "other"},
        {"WorkGroup": "spark-35", "EngineConfiguration": {}},
        {"EngineConfiguration": {"MaxConcurrentDpus": 5}},
        {"SessionIdleTimeoutInMinutes": 20},
        {"Tags": [{"Key": "a", "Value": "b"}]},
        {"CopyWorkGroupTags": False},
    ],
)
def test_a_token_with_other_parameters_is_refused(
    emulator: Emulator, athena: Any, change: dict[str, Any]
) -> None:
    """Any parameter counts, even one that says what holds anyway."""
    start(athena, ClientRequestToken=TOKEN)
    answer = error(lambda: start(athena, ClientRequestToken=TOKEN, **change))
    assert answer["Error"]["Code"] == "InvalidRequestException"
    assert answer["Error"]["Message"] == messages.OTHER_PARAMETERS
    assert answer["AthenaErrorCode"] == "IDEMPOTENT_PARAMETER_MISMATCH"
    assert len(emulator.sessions()) == 1


def test_without_a_token_each_call_starts_a_session(emulator: Emulator, athena: Any) -> None:
    """That is what makes a resent request dangerous."""
    assert start(athena) != start(athena)
    assert len(emulator.live_sessions()) == 2


def test_tokens_and_ids_are_scoped_by_region_and_account(emulator: Emulator, athena: Any) -> None:
    """The same token elsewhere is another session, whose id means nothing here."""
    role = "arn:aws:iam::222222222222:role/other"
    credentials = client(emulator, "sts").assume_role(RoleArn=role, RoleSessionName="test")[
        "Credentials"
    ]
    elsewhere = client(emulator, region_name="us-east-1")
    other_account = client(
        emulator,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
    here = start(athena, ClientRequestToken=TOKEN)
    there = [start(c, ClientRequestToken=TOKEN) for c in (elsewhere, other_account)]
    assert len({here, *there}) == 3
    for session_id in there:
        answer = error(athena.get_session, SessionId=session_id)
        assert "not found" in answer["Error"]["Message"]
    assert {(s.account_id, s.region) for s in emulator.sessions()} == {
        ("123456789012", "eu-west-1"),
        ("123456789012", "us-east-1"),
        ("222222222222", "eu-west-1"),
    }


def test_a_refused_start_leaves_the_token_free(emulator: Emulator, athena: Any) -> None:
    """The same request may succeed later."""
    emulator.update_settings(no_capacity=True)
    error(lambda: start(athena, ClientRequestToken=TOKEN))
    emulator.update_settings(no_capacity=False)
    assert start(athena, ClientRequestToken=TOKEN) == emulator.sessions()[0].session_id


# Validation


@pytest.mark.parametrize(
    ("change", "where", "constraint"),
    [
        ({"WorkGroup": "bad!"}, "workGroup", r"regular expression pattern: [a-zA-Z0-9._-]{1,128}"),
        ({"WorkGroup": None}, "workGroup", "must not be null"),
        ({"EngineConfiguration": None}, "engineConfiguration", "must not be null"),
        (
            {"EngineConfiguration": {"MaxConcurrentDpus": 5001}},
            "engineConfiguration.maxConcurrentDpus",
            "value less than or equal to 5000",
        ),
        (
            {"EngineConfiguration": {"MaxConcurrentDpus": 1}},
            "engineConfiguration.maxConcurrentDpus",
            "value greater than or equal to 2",
        ),
        (
            {"EngineConfiguration": {"MaxConcurrentDpus": 4.0}},
            "engineConfiguration.maxConcurrentDpus",
            "type integer",
        ),
        (
            {"EngineConfiguration": {"MaxConcurrentDpus": True}},
            "engineConfiguration.maxConcurrentDpus",
            "type integer",
        ),
        (
            {"EngineConfiguration": {"SparkProperties": {"k" * 256: "v"}}},
            "engineConfiguration.sparkProperties",
            "Map keys must satisfy constraint: [Member must have length less than",
        ),
        (
            {"EngineConfiguration": {"SparkProperties": {"\x00": "v"}}},
            "engineConfiguration.sparkProperties",
            "Map keys must satisfy constraint: [Member must satisfy regular expression",
        ),
        (
            {"EngineConfiguration": {"SparkProperties": {"k": "v" * 51_201}}},
            "engineConfiguration.sparkProperties.k",
            "length less than or equal to 51200",
        ),
        ({"Description": "d" * 1025}, "description", "length less than or equal to 1024"),
        ({"Description": ""}, "description", "length greater than or equal to 1"),
        ({"SessionIdleTimeoutInMinutes": 481}, "sessionIdleTimeoutInMinutes", "equal to 480"),
        ({"ClientRequestToken": "t" * 31}, "clientRequestToken", "greater than or equal to 32"),
        ({"ClientRequestToken": "t" * 129}, "clientRequestToken", "less than or equal to 128"),
        ({"ExecutionRole": "role" * 10}, "executionRole", "regular expression pattern"),
        ({"Tags": [{"Key": "k"}, {"Key": "k" * 129}]}, "tags.2.member.key", "equal to 128"),
        ({"Tags": {"Key": "k"}}, "tags", "type list"),
        ({"CopyWorkGroupTags": "yes"}, "copyWorkGroupTags", "type boolean"),
        (
            {"MonitoringConfiguration": {"S3LoggingConfiguration": {}}},
            "monitoringConfiguration.s3LoggingConfiguration.enabled",
            "must not be null",
        ),
    ],
)
def test_a_request_is_held_against_the_model(
    emulator: Emulator, change: dict[str, Any], where: str, constraint: str
) -> None:
    """Types, required members, ranges, lengths and patterns, maps and lists included."""
    request = {"WorkGroup": "spark", "EngineConfiguration": DPUS, **change}
    code, answer = raw(emulator, "StartSession", json.dumps(request))
    assert code == 400
    assert answer["__type"] == "InvalidRequestException"
    assert answer["AthenaErrorCode"] == "INVALID_INPUT"
    assert answer["Message"].startswith(
        f"1 validation error detected: Value at '{where}' failed to satisfy constraint: "
    )
    assert constraint in answer["Message"]
    assert emulator.sessions() == []


def test_enums_are_validated(athena: Any) -> None:
    """An unknown state to filter by is refused, and the known ones are named."""
    answer = error(athena.list_sessions, WorkGroup="spark", StateFilter="ASLEEP")
    assert "enum value set: [CREATING, CREATED, IDLE" in answer["Error"]["Message"]


def test_every_failure_is_listed(emulator: Emulator) -> None:
    """Not the first alone."""
    request = {"WorkGroup": "bad!", "Description": "", "SessionIdleTimeoutInMinutes": 0}
    _, answer = raw(emulator, "StartSession", json.dumps(request))
    assert answer["Message"].startswith("4 validation errors detected: ")
    for name in ("workGroup", "description", "sessionIdleTimeoutInMinutes", "engineConfiguration"):
        assert f"'{name}'" in answer["Message"]


def test_values_at_the_limits_are_accepted(emulator: Emulator, athena: Any) -> None:
    """Among them characters beyond the basic plane in the name of a property."""
    emulator.update_settings(engine_3_session_dpus=None)
    configuration = {
        "CoordinatorDpuSize": 1,
        "DefaultExecutorDpuSize": 1,
        "MaxConcurrentDpus": 5000,
        "SparkProperties": {"k" * 255: "v" * 51_200, "\N{ROCKET}é\t": ""},
    }
    session_id = start(
        athena,
        EngineConfiguration=configuration,
        Description="d" * 1024,
        SessionIdleTimeoutInMinutes=480,
        ClientRequestToken="t" * 128,
    )
    assert athena.get_session(SessionId=session_id)["EngineConfiguration"] == configuration


def test_every_pattern_of_the_model_compiles() -> None:
    """They are written for Java, and two of its habits are not Python's."""
    model = service_model()
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names}
    for pattern in patterns - {None}:
        _compile(str(pattern))


@pytest.mark.parametrize("body", ["{", "[]", '"text"'])
def test_a_body_that_is_no_json_object_is_refused(emulator: Emulator, body: str) -> None:
    """As a SerializationException, which no model names."""
    code, answer = raw(emulator, "StartSession", body)
    assert (code, answer["__type"]) == (400, "SerializationException")


def test_an_unknown_operation_is_refused(emulator: Emulator) -> None:
    """It does not reach moto."""
    code, answer = raw(emulator, "PauseSession", "{}")
    assert (code, answer["__type"]) == (400, "UnknownOperationException")


# Work groups and engines


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"EngineConfiguration": {**DPUS, "Classifications": [{"Name": "spark-defaults"}]}},
            "Classifications not supported for engine version PySpark engine version 3",
        ),
        (
            {"WorkGroup": "spark-35", "EngineConfiguration": {"CoordinatorDpuSize": 1}},
            "CoordinatorDpuSize not supported for engine version Apache Spark version 3.5",
        ),
        (
            {"WorkGroup": "spark-35", "EngineConfiguration": {"DefaultExecutorDpuSize": 1}},
            "DefaultExecutorDpuSize not supported",
        ),
        (
            {"WorkGroup": "spark-35", "EngineConfiguration": {"SparkProperties": {"a": "b"}}},
            "SparkProperties not supported",
        ),
        (
            {"EngineConfiguration": {**DPUS, "AdditionalConfigs": {"NotebookId": "n"}}},
            messages.NO_NOTEBOOK_VERSION,
        ),
        (
            {
                "NotebookVersion": "2",
                "EngineConfiguration": {**DPUS, "AdditionalConfigs": {"NotebookId": "n"}},
            },
            "only valid notebook version",
        ),
        ({"WorkGroup": "primary"}, messages.NOT_SPARK),
        ({"WorkGroup": "absent"}, messages.NO_WORK_GROUP),
    ],
)
def test_each_engine_refuses_what_it_does_not_take(
    emulator: Emulator, athena: Any, parameters: dict[str, Any], message: str
) -> None:
    """And a work group that is none, or is for SQL, has no sessions at all."""
    answer = error(lambda: start(athena, **parameters))
    assert answer["Error"]["Code"] == "InvalidRequestException"
    assert message in answer["Error"]["Message"]
    assert emulator.sessions() == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"WorkGroup": "spark-35", "EngineConfiguration": {}},
        {
            "WorkGroup": "spark-35",
            "EngineConfiguration": {
                "MaxConcurrentDpus": 8,
                "Classifications": [{"Name": "spark-defaults", "Properties": {"a": "b"}}],
            },
        },
        {
            "NotebookVersion": "Athena notebook version 1",
            "EngineConfiguration": {**DPUS, "AdditionalConfigs": {"NotebookId": "n"}},
        },
    ],
)
def test_each_engine_takes_what_it_is_documented_to_take(
    athena: Any, parameters: dict[str, Any]
) -> None:
    """GetSession gives it back as it was given."""
    session = athena.get_session(SessionId=start(athena, **parameters))
    assert session["EngineConfiguration"] == parameters["EngineConfiguration"]
    assert session.get("NotebookVersion") == parameters.get("NotebookVersion")


@pytest.mark.parametrize("region", ["eu-west-1", "ap-southeast-2"])
def test_two_spark_work_groups_exist_everywhere(emulator: Emulator, region: str) -> None:
    """Beside moto's own, which is for SQL."""
    athena = client(emulator, region_name=region)
    engines = {
        group["Name"]: group["EngineVersion"]["EffectiveEngineVersion"]
        for group in athena.list_work_groups()["WorkGroups"]
    }
    assert engines == {
        "primary": "Athena engine version 3",
        "spark": "PySpark engine version 3",
        "spark-35": "Apache Spark version 3.5",
    }


def test_a_work_group_is_created_updated_and_deleted(emulator: Emulator, athena: Any) -> None:
    """With the members that moto lacks."""
    role = "arn:aws:iam::123456789012:role/spark"
    athena.create_work_group(
        Name="mine",
        Description="first",
        Configuration={
            "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"},
            "ExecutionRole": role,
            "ResultConfiguration": {"OutputLocation": "s3://bucket/a/"},
        },
    )
    session = athena.get_session(SessionId=start(athena, WorkGroup="mine"))
    assert session["SessionConfiguration"]["ExecutionRole"] == role
    assert session["SessionConfiguration"]["WorkingDirectory"].startswith("s3://bucket/a/")
    athena.update_work_group(
        WorkGroup="mine",
        Description="second",
        State="DISABLED",
        ConfigurationUpdates={
            "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"},
            "ResultConfigurationUpdates": {"RemoveOutputLocation": True},
            "RequesterPaysEnabled": True,
        },
    )
    group = athena.get_work_group(WorkGroup="mine")["WorkGroup"]
    assert (group["Description"], group["State"]) == ("second", "DISABLED")
    assert group["Configuration"]["ResultConfiguration"] == {}
    assert group["Configuration"]["RequesterPaysEnabled"] is True
    assert group["Configuration"]["ExecutionRole"] == role
    answer = error(lambda: start(athena, WorkGroup="mine", EngineConfiguration={}))
    assert "disabled" in answer["Error"]["Message"]
    athena.delete_work_group(WorkGroup="mine", RecursiveDeleteOption=True)
    assert emulator.live_sessions() == []
    answer = error(athena.get_work_group, WorkGroup="mine")
    assert answer["Error"]["Message"] == messages.NO_WORK_GROUP
    assert answer["AthenaErrorCode"] == "INVALID_INPUT"


def test_a_work_group_with_live_sessions_is_not_deleted(athena: Any) -> None:
    """Unless the option says so; a dead session does not prevent it."""
    session_id = start(athena)
    answer = error(athena.delete_work_group, WorkGroup="spark")
    assert answer["Error"]["Code"] == "InvalidRequestException"
    assert "not empty" in answer["Error"]["Message"]
    athena.terminate_session(SessionId=session_id)
    athena.delete_work_group(WorkGroup="spark")
    names = [group["Name"] for group in athena.list_work_groups()["WorkGroups"]]
    assert names == ["primary", "spark-35"]


@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        ("delete_work_group", {"WorkGroup": "primary"}, "primary workgroup cannot be deleted"),
        ("delete_work_group", {"WorkGroup": "absent"}, "is not found"),
        ("update_work_group", {"WorkGroup": "absent"}, "is not found"),
        ("create_work_group", {"Name": "spark"}, "already created"),
        (
            "create_work_group",
            {
                "Name": "new",
                "Configuration": {"EngineVersion": {"SelectedEngineVersion": "Spark 9"}},
            },
            "Engine version Spark 9 is not one of",
        ),
        ("list_sessions", {"WorkGroup": "absent"}, messages.NO_WORK_GROUP),
    ],
)
def test_what_work_groups_refuse(
    athena: Any, operation: str, parameters: dict[str, Any], message: str
) -> None:
    """With an InvalidRequestException each."""
    answer = error(getattr(athena, operation), **parameters)
    assert answer["Error"]["Code"] == "InvalidRequestException"
    assert message in answer["Error"]["Message"]


# Reading


def test_get_session_returns_what_was_given(emulator: Emulator, athena: Any) -> None:
    """Every member but the tags, which it never returns."""
    given = {
        "WorkGroup": "spark-35",
        "EngineConfiguration": {},
        "Description": "mine",
        "ExecutionRole": "arn:aws:iam::123456789012:role/own",
        "SessionIdleTimeoutInMinutes": 7,
        "MonitoringConfiguration": {"ManagedLoggingConfiguration": {"Enabled": True}},
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    session = athena.get_session(SessionId=start(athena, **given))
    assert session["WorkGroup"] == "spark-35"
    assert session["EngineVersion"] == "Apache Spark version 3.5"
    assert session["Description"] == "mine"
    assert session["MonitoringConfiguration"] == given["MonitoringConfiguration"]
    configuration = session["SessionConfiguration"]
    assert configuration["ExecutionRole"] == given["ExecutionRole"]
    assert configuration["IdleTimeoutSeconds"] == 420
    assert configuration["SessionIdleTimeoutInMinutes"] == 7
    assert session["Statistics"]["DpuExecutionInMillis"] >= 0
    # Not from the client, which would drop what the model does not have.
    _, answer = raw(emulator, "GetSession", json.dumps({"SessionId": session["SessionId"]}))
    members = cast("StructureShape", service_model().shape_for("GetSessionResponse")).members
    assert set(answer) == set(members) - {"NotebookVersion"}
    assert "Tags" not in members


@pytest.mark.parametrize(
    "operation", ["get_session", "get_session_status", "terminate_session", "get_session_endpoint"]
)
@pytest.mark.parametrize("code", ["InvalidRequestException", "ResourceNotFoundException"])
def test_an_unknown_session(emulator: Emulator, athena: Any, operation: str, code: str) -> None:
    """Clients have seen both errors, so a test can have either."""
    emulator.update_settings(unknown_session_error=code)
    session_id = str(uuid.uuid4())
    answer = error(getattr(athena, operation), SessionId=session_id)
    assert answer["Error"]["Code"] == code
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_list_sessions_shows_active_ones_newest_first(emulator: Emulator, athena: Any) -> None:
    """Those of one work group; the others only where the filter asks for them."""
    ids = [start(athena) for _ in range(5)]
    start(athena, **SPARK_35)
    athena.terminate_session(SessionId=ids[1])
    emulator.set_state(ids[2], "BUSY")
    emulator.set_state(ids[3], "DEGRADED")

    def listed(**parameters: Any) -> list[str]:
        answer = athena.list_sessions(WorkGroup="spark", **parameters)
        return [item["SessionId"] for item in answer["Sessions"]]

    assert listed() == [ids[4], ids[2], ids[0]]
    assert listed(StateFilter="TERMINATED") == [ids[1]]
    assert listed(StateFilter="BUSY") == [ids[2]]
    assert listed(StateFilter="DEGRADED") == [ids[3]]
    summary = athena.list_sessions(WorkGroup="spark")["Sessions"][0]
    assert summary["Status"]["State"] == "IDLE"
    assert summary["EngineVersion"]["EffectiveEngineVersion"] == "PySpark engine version 3"


def test_list_sessions_pages(athena: Any) -> None:
    """Each session once, whatever starts and ends between two pages."""
    ids = [start(athena) for _ in range(5)]
    first = athena.list_sessions(WorkGroup="spark", MaxResults=2)
    assert [item["SessionId"] for item in first["Sessions"]] == [ids[4], ids[3]]
    start(athena)
    athena.terminate_session(SessionId=ids[3])
    second = athena.list_sessions(WorkGroup="spark", MaxResults=2, NextToken=first["NextToken"])
    assert [item["SessionId"] for item in second["Sessions"]] == [ids[2], ids[1]]
    third = athena.list_sessions(WorkGroup="spark", MaxResults=2, NextToken=second["NextToken"])
    assert [item["SessionId"] for item in third["Sessions"]] == [ids[0]]
    assert "NextToken" not in third


def test_a_page_is_full_and_the_last_without_a_token(athena: Any) -> None:
    """No empty page follows a list that fits exactly."""
    for _ in range(2):
        start(athena)
    assert "NextToken" not in athena.list_sessions(WorkGroup="spark", MaxResults=2)


@pytest.mark.parametrize("token", ["garbage", "", None])
def test_a_foreign_page_token_is_refused(athena: Any, token: str | None) -> None:
    """One of another query included."""
    for _ in range(2):
        start(athena)
    if token is None:
        token = athena.list_sessions(WorkGroup="spark", StateFilter="IDLE", MaxResults=1)[
            "NextToken"
        ]
    answer = error(athena.list_sessions, WorkGroup="spark", NextToken=token)
    assert "NextToken" in answer["Error"]["Message"]


def test_a_session_endpoint_has_a_fresh_token(emulator: Emulator, athena: Any) -> None:
    """For sessions of engine 3.5, from CREATED on, for 30 minutes."""
    session_id = start(athena, **SPARK_35)
    assert status(athena, session_id)["State"] == "CREATED"
    first, second = (athena.get_session_endpoint(SessionId=session_id) for _ in range(2))
    assert first["EndpointUrl"] == second["EndpointUrl"]
    assert first["AuthToken"] != second["AuthToken"]
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+", first["EndpointUrl"])
    expires = first["AuthTokenExpirationTime"].timestamp()
    assert expires - emulator.now() == pytest.approx(1800, abs=30)
    for state in ("IDLE", "BUSY"):
        emulator.set_state(session_id, state)
        athena.get_session_endpoint(SessionId=session_id)
    for state in ("CREATING", "TERMINATING", "TERMINATED", "FAILED", "DEGRADED"):
        emulator.set_state(session_id, state)
        answer = error(athena.get_session_endpoint, SessionId=session_id)
        assert answer["Error"]["Code"] == "InvalidRequestException"
        if state in ("TERMINATING", "TERMINATED"):
            assert answer["Error"]["Message"] == messages.NO_ENDPOINT.format(state="STOPPED")


def test_an_endpoint_can_come_before_its_token(emulator: Emulator, athena: Any) -> None:
    """The first time for each session."""
    emulator.update_settings(endpoint_without_token="at-first")
    session_id = start(athena, **SPARK_35)
    first, second = (athena.get_session_endpoint(SessionId=session_id) for _ in range(2))
    assert {"AuthToken", "AuthTokenExpirationTime"} & set(first) == set()
    assert first["EndpointUrl"] == second["EndpointUrl"]
    assert second["AuthToken"]


def test_engine_3_has_no_session_endpoint(athena: Any) -> None:
    """It runs calculations instead."""
    answer = error(athena.get_session_endpoint, SessionId=start(athena))
    assert "not supported" in answer["Error"]["Message"]


# Tags


def arn(session_id: str) -> str:
    """Return the ARN of a session in `spark`."""
    return f"arn:aws:athena:eu-west-1:123456789012:workgroup/spark/session/{session_id}"


def tags(athena: Any, resource: str) -> dict[str, str]:
    """Return the tags of a resource."""
    listed = athena.list_tags_for_resource(ResourceARN=resource)["Tags"]
    return {tag["Key"]: tag["Value"] for tag in listed}


def test_a_session_is_tagged_in_place(emulator: Emulator, athena: Any) -> None:
    """From its start, then by TagResource and UntagResource, also when it is dead."""
    session_id = start(athena, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    assert tags(athena, arn(session_id)) == {"a": "1", "b": ""}
    athena.tag_resource(
        ResourceARN=arn(session_id),
        Tags=[{"Key": "a", "Value": "2"}, {"Key": "c", "Value": "3"}],
    )
    athena.untag_resource(ResourceARN=arn(session_id), TagKeys=["b", "absent"])
    assert tags(athena, arn(session_id)) == {"a": "2", "c": "3"}
    athena.terminate_session(SessionId=session_id)
    assert tags(athena, arn(session_id)) == emulator.session(session_id).tags


def test_a_session_without_tags_has_an_empty_list(athena: Any) -> None:
    """Where moto would say that the resource does not exist."""
    assert tags(athena, arn(start(athena))) == {}


def test_tags_of_the_work_group_are_copied(athena: Any) -> None:
    """Unless the request says no; the session's own come first."""
    group = "arn:aws:athena:eu-west-1:123456789012:workgroup/spark"
    athena.tag_resource(
        ResourceARN=group, Tags=[{"Key": "team", "Value": "x"}, {"Key": "a", "Value": "group"}]
    )
    assert tags(athena, group) == {"team": "x", "a": "group"}
    own = [{"Key": "a", "Value": "own"}]
    for copied in (start(athena, Tags=own), start(athena, CopyWorkGroupTags=True, Tags=own)):
        assert tags(athena, arn(copied)) == {"team": "x", "a": "own"}
    assert tags(athena, arn(start(athena, CopyWorkGroupTags=False, Tags=own))) == {"a": "own"}
    athena.untag_resource(ResourceARN=group, TagKeys=["team"])
    assert tags(athena, group) == {"a": "group"}


@pytest.mark.parametrize(
    "resource",
    [
        arn(str(uuid.UUID(int=0))),
        "arn:aws:athena:eu-west-1:123456789012:workgroup/absent",
        "arn:aws:athena:us-east-1:123456789012:workgroup/spark",
        "arn:aws:athena:eu-west-1:210987654321:workgroup/spark",
    ],
)
def test_tags_of_what_is_not_there(athena: Any, resource: str) -> None:
    """Are a ResourceNotFoundException."""
    for call, more in (
        (athena.list_tags_for_resource, {}),
        (athena.tag_resource, {"Tags": [{"Key": "a", "Value": "b"}]}),
        (athena.untag_resource, {"TagKeys": ["a"]}),
    ):
        answer = error(call, ResourceARN=resource, **more)
        assert answer["Error"]["Code"] == "ResourceNotFoundException"


def test_a_resource_has_at_most_50_tags(emulator: Emulator, athena: Any) -> None:
    """At its start and later."""
    many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    assert "at most 50" in error(lambda: start(athena, Tags=many))["Error"]["Message"]
    assert emulator.sessions() == []
    session_id = start(athena, Tags=many[:50])
    answer = error(athena.tag_resource, ResourceARN=arn(session_id), Tags=many[50:])
    assert "at most 50" in answer["Error"]["Message"]
    athena.tag_resource(ResourceARN=arn(session_id), Tags=many[:50])


def test_tags_of_other_resources_are_motos(athena: Any) -> None:
    """A data catalog, for one."""
    athena.create_data_catalog(Name="cat", Type="GLUE", Tags=[{"Key": "a", "Value": "b"}])
    resource = "arn:aws:athena:eu-west-1:123456789012:datacatalog/cat"
    assert tags(athena, resource) == {"a": "b"}


# Quotas


def test_max_sessions(emulator: Emulator, athena: Any) -> None:
    """Counts live sessions of one account and region; a replay creates none."""
    emulator.update_settings(max_sessions=2)
    ids = [start(athena), start(athena, ClientRequestToken=TOKEN)]
    answer = error(lambda: start(athena))
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["Error"]["Message"] == messages.TOO_MANY_SESSIONS
    assert start(athena, ClientRequestToken=TOKEN) == ids[1]
    start(client(emulator, region_name="us-east-1"))
    athena.terminate_session(SessionId=ids[0])
    start(athena)


def test_no_capacity(emulator: Emulator, athena: Any) -> None:
    """Is told by its message alone."""
    emulator.update_settings(no_capacity=True)
    answer = error(lambda: start(athena))
    assert answer["Error"]["Code"] == "InvalidRequestException"
    assert answer["Error"]["Message"] == messages.NO_CAPACITY
    assert emulator.sessions() == []


def test_start_rate(emulator: Emulator, athena: Any) -> None:
    """A burst at once, then as many a second as the rate says."""
    emulator.update_settings(start_rate=0.5, start_burst=3)
    for _ in range(3):
        start(athena)
    answer = error(lambda: start(athena))
    assert answer["Error"]["Code"] == "ThrottlingException"
    assert answer["Error"]["Message"] == messages.THROTTLED
    emulator.advance(4.0)
    for _ in range(2):
        start(athena)
    error(lambda: start(athena))
    emulator.advance(3600.0)
    for _ in range(3):
        start(athena)
    error(lambda: start(athena))
    assert len(emulator.sessions()) == 8


# Answers


def test_answers_have_a_request_id(athena: Any) -> None:
    """Errors too, each its own."""
    metadata = [
        athena.list_sessions(WorkGroup="spark")["ResponseMetadata"],
        error(athena.list_sessions, WorkGroup="absent")["ResponseMetadata"],
    ]
    ids = {item["HTTPHeaders"]["x-amzn-requestid"] for item in metadata}
    assert len(ids) == 2
    assert ids == {item["RequestId"] for item in metadata}


def test_a_request_without_a_signature_is_refused(emulator: Emulator) -> None:
    """There would be no region to serve it from."""
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
    connection.request("POST", "/", "{}", {"X-Amz-Target": "AmazonAthena.ListSessions"})
    response = connection.getresponse()
    assert json.load(response)["__type"] == "MissingAuthenticationTokenException"
    connection.close()


def test_a_region_without_athena_is_refused(emulator: Emulator) -> None:
    """Instead of an error of the emulator's own."""
    answer = error(lambda: start(client(emulator, region_name="mars-north-1")))
    assert "mars-north-1" in answer["Error"]["Message"]


def test_the_rest_of_aws_is_on_the_same_port(emulator: Emulator, athena: Any) -> None:
    """S3 and STS as moto has them, and Athena's queries."""
    s3 = client(emulator, "s3", region_name="us-east-1")
    s3.create_bucket(Bucket="results")
    s3.put_object(Bucket="results", Key="a b", Body=b"x" * 300_000)
    assert s3.get_object(Bucket="results", Key="a b")["Body"].read() == b"x" * 300_000
    assert s3.head_object(Bucket="results", Key="a b")["ContentLength"] == 300_000
    s3.delete_object(Bucket="results", Key="a b")
    assert client(emulator, "sts").get_caller_identity()["Account"] == "123456789012"
    query = athena.start_query_execution(QueryString="SELECT 1", WorkGroup="primary")
    assert query["QueryExecutionId"]


def test_the_account_id_can_be_chosen() -> None:
    """It is in STS's answer, in the ARNs and in the records."""
    with Emulator(account_id="111111111111") as emulator:
        assert client(emulator, "sts").get_caller_identity()["Account"] == "111111111111"
        athena = client(emulator)
        session_id = start(athena, Tags=[{"Key": "a", "Value": "b"}])
        resource = arn(session_id).replace("123456789012", "111111111111")
        assert tags(athena, resource) == {"a": "b"}
        assert emulator.sessions()[0].account_id == "111111111111"


def test_other_partitions_have_their_own_arns(emulator: Emulator) -> None:
    """China, for one."""
    athena = client(emulator, region_name="cn-north-1")
    session_id = start(athena)
    resource = f"arn:aws-cn:athena:cn-north-1:123456789012:workgroup/spark/session/{session_id}"
    assert tags(athena, resource) == {}


# Books


def test_calls_are_recorded(emulator: Emulator, athena: Any) -> None:
    """With parameters, answer, region and key, whatever came of them."""
    session_id = start(athena, Description="d")
    error(athena.get_session, SessionId="absent")
    client(emulator, "sts", aws_access_key_id="other").get_caller_identity()
    athena.list_data_catalogs()
    started, refused, identity, catalogs = emulator.calls()
    assert started.parameters["Description"] == "d"
    assert (started.status, started.error_code) == (200, None)
    assert (started.created_session, started.session_id) == (True, session_id)
    assert (started.region, started.access_key_id) == ("eu-west-1", "testing")
    assert started.received_at == pytest.approx(emulator.now(), abs=60)
    assert (refused.status, refused.error_code) == (400, "InvalidRequestException")
    assert (refused.created_session, refused.session_id) == (False, "absent")
    assert (identity.service, identity.operation) == ("sts", "GetCallerIdentity")
    assert (identity.status, identity.access_key_id) == (200, "other")
    assert (catalogs.service, catalogs.operation) == ("athena", "ListDataCatalogs")
    assert [call.operation for call in emulator.calls("GetSession")] == ["GetSession"]
    emulator.clear_calls()
    assert emulator.calls() == []


def test_sessions_are_recorded(emulator: Emulator, athena: Any) -> None:
    """Dead ones too, in the state that the clock has brought them to."""
    given = {"ClientRequestToken": TOKEN, "Description": "d", "Tags": [{"Key": "a", "Value": "b"}]}
    session_id = start(athena, **given)
    record = emulator.session(session_id)
    assert (record.work_group, record.region) == ("spark", "eu-west-1")
    assert (record.client_request_token, record.description) == (TOKEN, "d")
    assert record.tags == {"a": "b"}
    assert record.parameters == {**given, "WorkGroup": "spark", "EngineConfiguration": DPUS}
    assert (record.state, record.ended_at) == ("IDLE", None)
    emulator.advance(1200)
    assert emulator.live_sessions() == []
    ended = emulator.session(session_id)
    assert ended.ended_at == pytest.approx(ended.started_at + 1200)
    assert ended.state_change_reason == messages.TERMINATED_PER_REQUEST


def test_reset_forgets_everything(emulator: Emulator, athena: Any) -> None:
    """Sessions, tokens, calls, faults, settings, the clock, and moto's resources."""
    first = start(athena, ClientRequestToken=TOKEN)
    athena.delete_work_group(WorkGroup="spark-35")
    client(emulator, "s3", region_name="us-east-1").create_bucket(Bucket="results")
    emulator.inject("*", "throttle", times=None)
    emulator.update_settings(start_seconds=60.0)
    emulator.advance(10_000)
    before = emulator.now()
    emulator.reset()
    assert emulator.sessions() == []
    assert emulator.calls() == []
    assert emulator.faults() == []
    assert emulator.now() < before - 5_000
    assert client(emulator, "s3").list_buckets()["Buckets"] == []
    second = start(athena, ClientRequestToken=TOKEN)
    assert second != first
    assert status(athena, second)["State"] == "IDLE"
    start(athena, **SPARK_35)


def test_one_emulator_after_the_other_starts_empty() -> None:
    """Though moto's state is the process's."""
    for _ in range(3):
        with Emulator(start_seconds=0.0) as emulator:
            athena = client(emulator)
            assert emulator.sessions() == []
            assert len(athena.list_work_groups()["WorkGroups"]) == 3
            athena.create_work_group(Name="new")
            start(athena, ClientRequestToken=TOKEN)


def test_two_emulators_at_once_are_refused(emulator: Emulator) -> None:
    """They would share moto's state."""
    with pytest.raises(RuntimeError, match="already runs"):
        Emulator().start()
    assert emulator.sessions() == []


def test_unknown_and_impossible_settings_are_refused(emulator: Emulator) -> None:
    """Here and in the constructor."""
    for changes in (
        {"starts": 1},
        {"start_seconds": -1},
        {"start_rate": 0},
        {"start_burst": 0},
        {"unknown_session_error": "NoSuchException"},
    ):
        with pytest.raises(EmulatorError):
            emulator.update_settings(**changes)
    with pytest.raises(ValueError, match="negative"):
        Emulator(terminate_seconds=-1)
