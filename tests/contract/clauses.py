"""What the provider relies on: one clause each, with its source and how far it is known.

A clause is a function of an `Account`. It returns nothing where the clause holds as it is stated,
or the answer to a question that the sources leave open: one of the values of an emulator's variant.
It raises AssertionError or Refusal where the service differs, and NotCheckedError where that
cannot be told in this account.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from contract.account import (
    DPUS,
    ENDED,
    ENGINES,
    READY,
    SPARK_3,
    SPARK_35,
    UNKNOWN_CODES,
    Account,
    NotCheckedError,
    Refusal,
    pauses,
    service_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[Account], Any]

_GUIDE = "https://docs.aws.amazon.com/athena/latest/ug"
_API = "https://docs.aws.amazon.com/athena/latest/APIReference"


class Source(NamedTuple):
    """A public source."""

    name: str
    url: str = ""

    def __str__(self) -> str:
        return f"[{self.name}]({self.url})" if self.url else self.name


def _api(name: str) -> Source:
    return Source(f"API Reference, {name}", f"{_API}/API_{name}.html")


def _guide(title: str, page: str) -> Source:
    return Source(f"User Guide, {title}", f"{_GUIDE}/{page}.html")


def _github(repository: str, kind: str, number: int) -> Source:
    path = {"issue": "issues", "pull request": "pull"}[kind]
    return Source(
        f"{repository} {kind} {number}", f"https://github.com/{repository}/{path}/{number}"
    )


NO_SOURCE = Source("no public source")
BOTOCORE = Source("API model, as botocore 1.41.2 and 1.44.8 have it")
DBT = _github("dbt-labs/dbt-adapters", "pull request", 1874)
DBT_SIZES = _github("dbt-labs/dbt-adapters", "issue", 1854)
DBT_CALCULATIONS = _github("dbt-labs/dbt-adapters", "issue", 1507)
STUDIO = Source("sagemaker-studio 1.1.0 to 1.1.35 (PyPI), utils/spark/session/athena")
PYATHENA = Source("PyAthena (PyPI), pyathena/spark/common.py")
ERRORS = _guide("Troubleshoot session errors", "notebooks-spark-troubleshooting-sessions")
CLOUDTRAIL = _guide("CloudTrail samples", "notebooks-spark-troubleshooting-cloudtrail")
CONNECT = _guide("Spark Connect support", "notebooks-spark-connect")
COST = _guide("Session level cost attribution", "notebooks-spark-cost-attribution")
QUOTAS = _guide("Spark quotas", "notebooks-spark-quotas")
LIMITATIONS = _guide(
    "Considerations and limitations", "notebooks-spark-considerations-and-limitations"
)
SERVICE_LIMITS = _guide("Service Quotas", "service-limits")
AUTHORIZATION = Source(
    "Service Authorization Reference, Athena",
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonathena.html",
)


class Evidence(str, Enum):
    """How far a clause is known without a run on AWS."""

    DOCUMENTED = "documented"
    """By AWS: its documentation, its model or code that it released."""
    SEEN = "seen by others"
    """In a log, or in code that was run on AWS."""
    ASSUMED = "assumed"
    """A conclusion of ours, or one of several possible answers."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Clause:
    """One thing that the provider relies on."""

    name: str
    topic: str
    text: str
    sources: tuple[Source, ...]
    evidence: Evidence
    engines: tuple[str, ...]
    variant: str | None
    """The setting of the emulator whose values are the possible answers."""
    check: Check | None
    """None for what a run cannot or should not provoke on AWS."""
    minutes: float
    """How long the sessions of the check may run, in minutes."""
    dpus: int
    """The DPUs that they may use together."""

    @property
    def dpu_minutes(self) -> float:
        """The most that the check can be billed for."""
        return self.minutes * self.dpus


CLAUSES: list[Clause] = []


def _clause(
    topic: str,
    text: str,
    *sources: Source,
    evidence: Evidence,
    engines: tuple[str, ...] = ENGINES,
    variant: str | None = None,
    minutes: float = 0.0,
    dpus: int = DPUS,
) -> Callable[[Check], Check]:
    """Register the check of a clause; the name is the function's."""

    def register(check: Check) -> Check:
        CLAUSES.append(
            Clause(
                name=getattr(check, "__name__").strip("_"),  # noqa: B009 - a Callable has none
                topic=topic,
                text=text,
                sources=sources,
                evidence=evidence,
                engines=engines,
                variant=variant,
                check=check,
                minutes=minutes,
                dpus=dpus,
            )
        )
        return check

    return register


def _unchecked(
    name: str,
    text: str,
    *sources: Source,
    evidence: Evidence,
    variant: str | None = None,
    engines: tuple[str, ...] = ENGINES,
) -> None:
    CLAUSES.append(
        Clause(name, NOT_PROVOKED, text, sources, evidence, engines, variant, None, 0.0, 0)
    )


STARTING = "Starting a session"
TOKENS = "Request tokens"
STATES = "States and the end"
READING = "Reading"
ENDPOINTS = "Endpoints and calculations"
TAGS = "Tags"
WORK_GROUPS = "Work groups"
NOT_PROVOKED = "Not provoked by `make contract`"

_DOCUMENTED, _SEEN, _ASSUMED = Evidence.DOCUMENTED, Evidence.SEEN, Evidence.ASSUMED


# Starting a session


@_clause(
    STARTING,
    "StartSession answers a SessionId of 1 to 256 characters: on engine 3 in the form of a UUID, "
    "on 3.5 `s-` and 16 letters and digits.",
    CLOUDTRAIL,
    DBT,
    evidence=_SEEN,
    minutes=1,
)
def session_ids(account: Account) -> None:
    session_id = account.start()
    if account.engine == SPARK_35:
        assert re.fullmatch("s-[0-9a-z]{16}", session_id), session_id
    else:
        assert str(uuid.UUID(session_id)) == session_id


@_clause(
    STARTING,
    "StartSession answers the state CREATING or CREATED.",
    _api("StartSession"),
    CLOUDTRAIL,
    evidence=_DOCUMENTED,
    variant="start_session_state",
    minutes=1,
)
def state_of_start(account: Account) -> str:
    answer = account.start_exactly(account.request())
    assert answer["State"] in {"CREATING", "CREATED"}, answer["State"]
    return str(answer["State"])


@_clause(
    STARTING,
    "On 3.5, EngineConfiguration may be empty.",
    CONNECT,
    evidence=_DOCUMENTED,
    engines=(SPARK_35,),
    minutes=1,
    dpus=60,
)
def empty_configuration(account: Account) -> None:
    account.end(account.start(EngineConfiguration={}))


@_clause(
    STARTING,
    "Whether StartSession without MaxConcurrentDpus starts a session on engine 3.",
    BOTOCORE,
    evidence=_ASSUMED,
    engines=(SPARK_3,),
    variant="engine_3_without_dpus",
    minutes=1,
    dpus=20,
)
def without_dpus(account: Account) -> str:
    return _accepted_or_refused(account, EngineConfiguration={})


@_clause(
    STARTING,
    "Engine 3.5 refuses CoordinatorDpuSize, DefaultExecutorDpuSize and SparkProperties with "
    "InvalidRequestException.",
    DBT_SIZES,
    DBT,
    evidence=_SEEN,
    engines=(SPARK_35,),
    minutes=1,
)
def dpu_sizes(account: Account) -> None:
    for name, value in (
        ("CoordinatorDpuSize", 1),
        ("DefaultExecutorDpuSize", 1),
        ("SparkProperties", {"spark.sql.shuffle.partitions": "2"}),
    ):
        refusal = account.start_refusal(
            EngineConfiguration={"MaxConcurrentDpus": DPUS, name: value}
        )
        assert refusal.code == "InvalidRequestException", refusal


@_clause(
    STARTING,
    "Whether engine 3 takes Classifications.",
    NO_SOURCE,
    evidence=_ASSUMED,
    engines=(SPARK_3,),
    variant="engine_3_classifications",
    minutes=1,
)
def classifications(account: Account) -> str:
    properties = [{"Name": "spark-defaults", "Properties": {"spark.sql.shuffle.partitions": "2"}}]
    configuration = {"MaxConcurrentDpus": DPUS, "Classifications": properties}
    return _accepted_or_refused(account, EngineConfiguration=configuration)


@_clause(
    STARTING,
    "Whether engine 3 takes MonitoringConfiguration.",
    _guide("Logging and monitoring", "notebooks-spark-logging"),
    evidence=_ASSUMED,
    engines=(SPARK_3,),
    variant="engine_3_monitoring",
    minutes=1,
)
def monitoring(account: Account) -> str:
    logging = {"ManagedLoggingConfiguration": {"Enabled": True}}
    return _accepted_or_refused(account, MonitoringConfiguration=logging)


@_clause(
    STARTING,
    "StartSession in a work group that does not exist is refused with InvalidRequestException, "
    "`WorkGroup is not found.` and the AthenaErrorCode INVALID_INPUT.",
    _github("uber/athenadriver", "issue", 70),
    evidence=_SEEN,
)
def unknown_work_group(account: Account) -> None:
    name = f"no-such-work-group-{account.run_id}"
    for refusal in (
        account.start_refusal(WorkGroup=name),
        account.refusal("get_work_group", WorkGroup=name),
        account.refusal("list_sessions", WorkGroup=name),
    ):
        if refusal.code == "AccessDeniedException":
            raise NotCheckedError("the credentials are limited to the work group")
        assert refusal.code == "InvalidRequestException", refusal
        assert refusal.text == "WorkGroup is not found.", refusal
        assert refusal.athena_code == "INVALID_INPUT", refusal.athena_code


@_clause(
    STARTING,
    "StartSession in a work group for SQL is refused with InvalidRequestException and "
    "`Workgroup EngineVersion is not Spark.`",
    _github("ministryofjustice/analytical-platform", "pull request", 7000),
    evidence=_SEEN,
)
def not_a_spark_work_group(account: Account) -> None:
    refusal = account.start_refusal(WorkGroup="primary")
    if refusal.code == "AccessDeniedException":
        raise NotCheckedError("the credentials are limited to the work group")
    assert refusal.code == "InvalidRequestException", refusal
    assert refusal.text == "Workgroup EngineVersion is not Spark.", refusal


@_clause(
    STARTING,
    "The service refuses values outside the ranges of the API model.",
    BOTOCORE,
    evidence=_DOCUMENTED,
)
def ranges(account: Account) -> None:
    refusal = account.start_refusal(SessionIdleTimeoutInMinutes=481)
    assert refusal.code == "InvalidRequestException", refusal


def _accepted_or_refused(account: Account, **changes: Any) -> str:
    """Tell whether StartSession takes a request; a session that it starts is ended at once."""
    try:
        session_id = account.start_exactly(account.request(**changes))["SessionId"]
    except Refusal as refusal:
        assert refusal.code == "InvalidRequestException", refusal
        return "refused"
    account.end(session_id)
    return "accepted"


# Request tokens


@_clause(
    TOKENS,
    "A ClientRequestToken that was used before gives the first response again, and starts nothing, "
    "while its session lives.",
    _api("StartSession"),
    evidence=_DOCUMENTED,
    minutes=1,
)
def replay_of_live(account: Account) -> None:
    request = account.request()
    first = account.start_exactly(request)["SessionId"]
    assert account.start_exactly(request)["SessionId"] == first
    assert account.start_exactly(request)["SessionId"] == first


@_clause(
    TOKENS,
    "What StartSession answers to a ClientRequestToken whose session has ended.",
    _api("StartSession"),
    evidence=_ASSUMED,
    variant="replay_of_dead",
    minutes=3,
)
def replay_of_dead(account: Account) -> str:
    request = account.request()
    first = account.start_exactly(request)["SessionId"]
    account.until(first, READY[account.engine] | ENDED, 120)
    account.call("terminate_session", SessionId=first)
    account.until_ended(first)
    try:
        again = account.start_exactly(request)["SessionId"]
    except Refusal as refusal:
        return refusal.code
    return "dead-session" if again == first else "new-session"


@_clause(
    TOKENS,
    "The same token with other parameters is refused with InvalidRequestException and `Idempotent "
    "parameters do not match` (seen at StartQueryExecution).",
    _github("DyfanJones/noctua", "issue", 104),
    evidence=_ASSUMED,
    minutes=1,
)
def replay_with_other_parameters(account: Account) -> None:
    request = account.request()
    account.start_exactly(request)
    try:
        account.start_exactly({**request, "SessionIdleTimeoutInMinutes": 6})
    except Refusal as refusal:
        assert refusal.code == "InvalidRequestException", refusal
        assert refusal.text == "Idempotent parameters do not match", refusal
        return
    raise AssertionError("a token with other parameters was not refused")


@_clause(
    TOKENS,
    "Another token starts another session.",
    _api("StartSession"),
    evidence=_DOCUMENTED,
    minutes=1,
    dpus=2 * DPUS,
)
def another_token(account: Account) -> None:
    assert account.start() != account.start()


# States and the end


@_clause(
    STATES,
    "A session of engine 3 becomes IDLE, with StartDateTime and IdleSinceDateTime.",
    _api("SessionStatus"),
    evidence=_DOCUMENTED,
    engines=(SPARK_3,),
    minutes=2,
)
def engine_3_becomes_idle(account: Account) -> None:
    status = account.until(account.start(), {"IDLE", *ENDED}, 120)
    assert status["State"] == "IDLE", status
    assert status["StartDateTime"] <= status["IdleSinceDateTime"]
    assert "EndDateTime" not in status


@_clause(
    STATES,
    "A session of 3.5 is usable once it is CREATED. Whether it becomes IDLE within 3 minutes while "
    "no client connects.",
    STUDIO,
    CONNECT,
    evidence=_ASSUMED,
    engines=(SPARK_35,),
    variant="ready_state_3_5",
    minutes=4,
)
def ready_state(account: Account) -> str:
    session_id = account.start()
    for pause in pauses(180):
        status = account.status(session_id)
        assert status["State"] not in ENDED, status
        if status["State"] in {"IDLE", "BUSY"}:
            return "IDLE"
        account.wait(pause)
    assert status["State"] == "CREATED", status
    return "CREATED"


@_clause(
    STATES,
    "TerminateSession answers TERMINATING or TERMINATED, and the session becomes TERMINATED with "
    "an EndDateTime and the StateChangeReason `Session was terminated per request`.",
    ERRORS,
    _api("TerminateSession"),
    evidence=_DOCUMENTED,
    minutes=2,
)
def terminate(account: Account) -> None:
    session_id = account.ready()
    answer = account.call("terminate_session", SessionId=session_id)
    assert answer["State"] in {"TERMINATING", "TERMINATED"}, answer
    _terminated_per_request(account.until_ended(session_id))


@_clause(
    STATES,
    "TerminateSession of a session that has ended succeeds and has no effect.",
    _api("TerminateSession"),
    evidence=_DOCUMENTED,
    minutes=2,
)
def terminate_again(account: Account) -> None:
    session_id = account.ended()
    before = account.status_or_none(session_id)
    if before is None:
        raise NotCheckedError("a session that has ended is not known any more")
    account.call("terminate_session", SessionId=session_id)
    assert account.status(session_id) == before


@_clause(
    STATES,
    "An idle session ends after SessionIdleTimeoutInMinutes, with the same StateChangeReason as "
    "after TerminateSession.",
    ERRORS,
    evidence=_DOCUMENTED,
    engines=(SPARK_3,),
    minutes=4,
)
def idle_timeout(account: Account) -> None:
    session_id = account.start(SessionIdleTimeoutInMinutes=1)
    idle_since = account.until(session_id, {"IDLE", *ENDED}, 120)["IdleSinceDateTime"]
    status = _terminated_per_request(account.until_ended(session_id, 180))
    idle_seconds = (status["EndDateTime"] - idle_since).total_seconds()
    assert 55 <= idle_seconds <= 150, idle_seconds


@_clause(
    STATES,
    "A session of 3.5 that no client connects to ends after SessionIdleTimeoutInMinutes, too.",
    NO_SOURCE,
    evidence=_ASSUMED,
    engines=(SPARK_35,),
    minutes=4,
)
def idle_timeout_without_a_client(account: Account) -> None:
    session_id = account.start(SessionIdleTimeoutInMinutes=1)
    _terminated_per_request(account.until_ended(session_id, 180))


@_clause(
    STATES,
    "Whether a session is known by its id after it has ended.",
    NO_SOURCE,
    evidence=_ASSUMED,
    variant="session_retention_seconds",
    minutes=2,
)
def ended_sessions_are_known(account: Account) -> float | None:
    session_id = account.ended()
    try:
        answer = account.call("get_session", SessionId=session_id)
    except Refusal as refusal:
        assert refusal.code in UNKNOWN_CODES, refusal
        return 0.0
    assert answer["Status"]["State"] == "TERMINATED"
    return None


@_clause(
    STATES,
    "Whether a session that has ended keeps its IdleSinceDateTime.",
    _api("SessionStatus"),
    evidence=_ASSUMED,
    engines=(SPARK_3,),
    variant="idle_since_of_ended",
    minutes=2,
)
def idle_since_of_ended(account: Account) -> str:
    status = account.status_or_none(account.ended())
    if status is None:
        raise NotCheckedError("a session that has ended is not known any more")
    return "kept" if "IdleSinceDateTime" in status else "absent"


def _terminated_per_request(status: dict[str, Any] | None) -> dict[str, Any]:
    if status is None:
        raise NotCheckedError("a session that has ended is not known any more")
    assert status["State"] == "TERMINATED", status
    assert status["StateChangeReason"] == "Session was terminated per request", status
    assert status["EndDateTime"] >= status["StartDateTime"], status
    return status


# Reading


@_clause(
    READING,
    "GetSession gives back WorkGroup, EngineVersion, EngineConfiguration and Description. Which of "
    "the other members are there.",
    _api("GetSession"),
    evidence=_ASSUMED,
    variant="get_session_members",
    minutes=2,
)
def get_session(account: Account) -> str:
    answer = account.call("get_session", SessionId=account.ready())
    assert answer["WorkGroup"] == account.work_group
    assert answer["EngineVersion"] == account.engine
    assert answer["EngineConfiguration"]["MaxConcurrentDpus"] == DPUS
    assert answer["Description"] == account.description
    assert answer["Status"]["State"] in READY[account.engine]
    if "SessionConfiguration" not in answer:
        return "few"
    configuration = answer["SessionConfiguration"]
    if "SessionIdleTimeoutInMinutes" not in configuration:
        assert configuration["IdleTimeoutSeconds"] == 300
        return "no-idle-timeout-minutes"
    assert configuration["SessionIdleTimeoutInMinutes"] == 5
    if "IdleTimeoutSeconds" not in configuration:
        return "no-idle-timeout-seconds"
    assert configuration["IdleTimeoutSeconds"] == 300
    return "all"


@_clause(
    READING,
    "ListSessions shows live sessions with their description, the newest first, within 30 seconds "
    "of their start; ended ones only where StateFilter asks for them.",
    _api("ListSessions"),
    evidence=_DOCUMENTED,
    minutes=3,
    dpus=2 * DPUS,
)
def list_sessions(account: Account) -> None:
    older, newer = account.ready(), account.ready()
    for pause in pauses(30):
        listed = [item["SessionId"] for item in account.listed()]
        if {older, newer} <= set(listed):
            break
        account.wait(pause)
    assert {older, newer} <= set(listed), listed
    assert listed.index(newer) < listed.index(older)
    account.call("terminate_session", SessionId=older)
    status = account.until_ended(older)
    assert older not in [item["SessionId"] for item in account.listed()]
    if status is not None:
        terminated = account.listed(StateFilter="TERMINATED")
        assert older in [item["SessionId"] for item in terminated]


_ABSENT_IDS = (str(uuid.UUID(int=0xABCDEF)), "s-0000000000000000", "x")


def _unknown(account: Account) -> list[Refusal]:
    return [
        account.refusal(operation, SessionId=session_id)
        for operation in ("get_session", "get_session_status", "terminate_session")
        for session_id in _ABSENT_IDS
    ]


@_clause(
    READING,
    "Whether IAM refuses the calls for a session id that is not known (credentials that are "
    "limited to one work group may get another answer than an administrator's).",
    AUTHORIZATION,
    evidence=_ASSUMED,
    variant="unknown_session_access",
)
def unknown_session_access(account: Account) -> str:
    codes = {refusal.code for refusal in _unknown(account)}
    return "denied" if "AccessDeniedException" in codes else "allowed"


@_clause(
    READING,
    "The error code of GetSession, GetSessionStatus and TerminateSession for an id that is not "
    "known, malformed or not.",
    BOTOCORE,
    PYATHENA,
    evidence=_ASSUMED,
    variant="unknown_session_error",
)
def unknown_session_error(account: Account) -> str:
    codes = {refusal.code for refusal in _unknown(account)}
    if "AccessDeniedException" in codes:
        raise NotCheckedError("the credentials may not ask for an id that is not known")
    assert len(codes) == 1, codes
    return codes.pop()


@_clause(
    READING,
    "Whether the text of that error says `not found` or `does not exist`.",
    NO_SOURCE,
    evidence=_ASSUMED,
    variant="unknown_session_text",
)
def unknown_session_text(account: Account) -> str:
    refusals = _unknown(account)
    if any(refusal.code == "AccessDeniedException" for refusal in refusals):
        raise NotCheckedError("the credentials may not ask for an id that is not known")
    named = [re.search("not found|does not exist", refusal.text) for refusal in refusals]
    return "not-found" if all(named) else "other"


# Endpoints and calculations


@_clause(
    ENDPOINTS,
    "GetSessionEndpoint answers as soon as a session of 3.5 is CREATED: an https URL, to which "
    "Amazon's clients append port 443 (the emulator's has its own), and a token for about 30 "
    "minutes.",
    STUDIO,
    CONNECT,
    evidence=_DOCUMENTED,
    engines=(SPARK_35,),
    minutes=3,
)
def endpoint(account: Account) -> None:
    session_id = account.ready()
    for pause in pauses(60):
        answer = account.call("get_session_endpoint", SessionId=session_id)
        assert re.fullmatch(r"https://[^/]+/?", answer["EndpointUrl"]), "the URL has another form"
        if answer.get("AuthToken"):
            break
        account.wait(pause)
    assert answer.get("AuthToken"), "no token within 60 seconds"
    lasts = answer["AuthTokenExpirationTime"].timestamp() - service_time(answer)
    assert 1500 <= lasts <= 2100, lasts


@_clause(
    ENDPOINTS,
    "GetSessionEndpoint of a session that is CREATING is refused with InvalidRequestException.",
    NO_SOURCE,
    evidence=_ASSUMED,
    engines=(SPARK_35,),
    minutes=1,
)
def endpoint_of_creating(account: Account) -> None:
    session_id = account.start()
    refused = None
    try:
        account.call("get_session_endpoint", SessionId=session_id)
    except Refusal as refusal:
        refused = refusal
    if refused is None and account.status(session_id)["State"] != "CREATING":
        raise NotCheckedError("the session was CREATED at once")
    assert refused is not None, "GetSessionEndpoint answered"
    assert refused.code == "InvalidRequestException", refused


@_clause(
    ENDPOINTS,
    "Whether GetSessionEndpoint can come without AuthToken at first.",
    DBT,
    evidence=_SEEN,
    engines=(SPARK_35,),
    variant="endpoint_without_token",
    minutes=2,
)
def endpoint_without_token(account: Account) -> str:
    answer = account.call("get_session_endpoint", SessionId=account.ready())
    return "never" if answer.get("AuthToken") else "at-first"


@_clause(
    ENDPOINTS,
    "GetSessionEndpoint of an ended session is refused with InvalidRequestException and `Can not "
    "generate Session endpoint URL for Session in STOPPED state`.",
    DBT,
    STUDIO,
    evidence=_SEEN,
    engines=(SPARK_35,),
    minutes=2,
)
def endpoint_of_ended(account: Account) -> None:
    session_id = account.ended()
    if account.status_or_none(session_id) is None:
        raise NotCheckedError("a session that has ended is not known any more")
    refusal = account.refusal("get_session_endpoint", SessionId=session_id)
    assert refusal.code == "InvalidRequestException", refusal
    assert refusal.text == "Can not generate Session endpoint URL for Session in STOPPED state"


@_clause(
    ENDPOINTS,
    "GetSessionEndpoint of a session of engine 3 is refused.",
    CONNECT,
    evidence=_ASSUMED,
    engines=(SPARK_3,),
    minutes=2,
)
def endpoint_on_engine_3(account: Account) -> None:
    account.refusal("get_session_endpoint", SessionId=account.ready())


@_clause(
    ENDPOINTS,
    "A calculation in a session of 3.5 is refused; the error code.",
    LIMITATIONS,
    DBT,
    evidence=_ASSUMED,
    engines=(SPARK_35,),
    variant="calculation_on_3_5",
    minutes=2,
)
def calculation_on_3_5(account: Account) -> str:
    return account.refusal(
        "start_calculation_execution", SessionId=account.ready(), CodeBlock="1"
    ).code


@_clause(
    ENDPOINTS,
    "A calculation in an ended session is refused with InvalidRequestException and `Session is in "
    "the TERMINATED state; needs to be IDLE to accept Calculations.`",
    DBT_CALCULATIONS,
    evidence=_SEEN,
    engines=(SPARK_3,),
    minutes=2,
)
def calculation_in_ended(account: Account) -> None:
    session_id = account.ended()
    if account.status_or_none(session_id) is None:
        raise NotCheckedError("a session that has ended is not known any more")
    refusal = account.refusal("start_calculation_execution", SessionId=session_id, CodeBlock="1")
    assert refusal.code == "InvalidRequestException", refusal
    assert refusal.text == (
        "Session is in the TERMINATED state; needs to be IDLE to accept Calculations."
    ), refusal


# Tags


@_clause(
    TAGS,
    "Whether a session of engine 3 takes tags.",
    COST,
    AUTHORIZATION,
    evidence=_ASSUMED,
    engines=(SPARK_3,),
    variant="engine_3_tags",
    minutes=1,
)
def tags_on_engine_3(account: Account) -> str:
    return _accepted_or_refused(account, Tags=account.tags)


@_clause(
    TAGS,
    "A session is tagged by StartSession, and changed in place by TagResource and UntagResource, "
    "by the ARN `arn:PARTITION:athena:REGION:ACCOUNT:workgroup/WORK_GROUP/session/ID`.",
    COST,
    AUTHORIZATION,
    evidence=_DOCUMENTED,
    minutes=1,
)
def tags_in_place(account: Account) -> None:
    session_id = account.start()
    if not account.takes_tags:
        raise NotCheckedError("the engine refuses tags")
    arn = account.arn(session_id)
    assert _tags(account, arn)[account.tags[0]["Key"]] == account.run_id
    account.call("tag_resource", ResourceARN=arn, Tags=[{"Key": "contract", "Value": "1"}])
    account.call("tag_resource", ResourceARN=arn, Tags=[{"Key": "contract", "Value": "2"}])
    assert _tags(account, arn)["contract"] == "2"
    account.call("untag_resource", ResourceARN=arn, TagKeys=["contract"])
    assert "contract" not in _tags(account, arn)


@_clause(
    TAGS,
    "A session that has ended can be tagged.",
    NO_SOURCE,
    evidence=_ASSUMED,
    minutes=2,
)
def tags_of_ended(account: Account) -> None:
    session_id = account.ended()
    if not account.takes_tags:
        raise NotCheckedError("the engine refuses tags")
    if account.status_or_none(session_id) is None:
        raise NotCheckedError("a session that has ended is not known any more")
    arn = account.arn(session_id)
    account.call("tag_resource", ResourceARN=arn, Tags=[{"Key": "contract", "Value": "1"}])
    assert _tags(account, arn)["contract"] == "1"


@_clause(
    TAGS,
    "The tags of the work group are copied to a session, unless CopyWorkGroupTags is false.",
    COST,
    evidence=_DOCUMENTED,
    minutes=1,
    dpus=2 * DPUS,
)
def work_group_tags(account: Account) -> None:
    key = account.tags[0]["Key"]
    with account.own_work_group() as name:
        copied = account.start_exactly(account.request(WorkGroup=name))["SessionId"]
        bare = account.start_exactly(account.request(WorkGroup=name, CopyWorkGroupTags=False))
        try:
            account.call(
                "tag_resource",
                ResourceARN=account.arn(copied, name),
                Tags=[{"Key": "contract", "Value": "1"}],
            )
        except Refusal as refusal:
            raise NotCheckedError(f"the session takes no tags: {refusal}") from refusal
        assert _tags(account, account.arn(copied, name)).get(key) == account.run_id
        assert key not in _tags(account, account.arn(bare["SessionId"], name))


def _tags(account: Account, arn: str) -> dict[str, str]:
    tags = account.call("list_tags_for_resource", ResourceARN=arn)["Tags"]
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


# Work groups


@_clause(
    WORK_GROUPS,
    "A work group with a live session is deleted with RecursiveDeleteOption, and the session ends. "
    "What GetSession, GetSessionStatus and TerminateSession answer 30 seconds later.",
    NO_SOURCE,
    evidence=_ASSUMED,
    variant="session_of_deleted_work_group",
    minutes=2,
)
def session_of_deleted_work_group(account: Account) -> str:
    with account.own_work_group() as name:
        session_id = account.ready(WorkGroup=name)
        account.call("delete_work_group", WorkGroup=name, RecursiveDeleteOption=True)
        account.wait(30)  # some answers are there at once, others when the session has ended
        answers = {
            _answer_about(account, operation, session_id)
            for operation in ("get_session", "get_session_status", "terminate_session")
        }
    assert len(answers) == 1, answers
    return answers.pop()


def _answer_about(account: Account, operation: str, session_id: str) -> str:
    try:
        account.call(operation, SessionId=session_id)
    except Refusal as refusal:
        if refusal.text == "WorkGroup is not found.":
            return "work-group-not-found"
        assert refusal.code in UNKNOWN_CODES, refusal
        return "unknown"
    return "readable"


@_clause(
    WORK_GROUPS,
    "A work group cannot be changed from engine 3 to 3.5.",
    LIMITATIONS,
    evidence=_DOCUMENTED,
    engines=(SPARK_3,),
)
def engine_change(account: Account) -> None:
    with account.own_work_group() as name:
        version = {"EngineVersion": {"SelectedEngineVersion": SPARK_35}}
        account.refusal("update_work_group", WorkGroup=name, ConfigurationUpdates=version)


@_clause(
    WORK_GROUPS,
    "A work group of Spark cannot be created without ExecutionRole: InvalidRequestException, "
    "`executionRole is null or empty`.",
    _github("hashicorp/terraform-provider-aws", "issue", 28386),
    evidence=_SEEN,
)
def work_group_without_role(account: Account) -> None:
    name = f"athena-session-provider-contract-{account.run_id}-no-role"
    try:
        account.call(
            "create_work_group",
            Name=name,
            Configuration={"EngineVersion": {"SelectedEngineVersion": account.engine}},
            Tags=account.tags,
        )
    except Refusal as refusal:
        if refusal.code == "AccessDeniedException":
            raise NotCheckedError("the credentials may not create work groups") from refusal
        assert refusal.code == "InvalidRequestException", refusal
        assert refusal.text == "executionRole is null or empty", refusal
        return
    account.call("delete_work_group", WorkGroup=name)
    raise AssertionError("the work group was created")


# Not provoked

_unchecked(
    "quotas",
    "Quotas are in DPUs: 160 an account and 60 a session on engine 3, 4 On-Demand DPUs on 3.5; "
    "none of them can be raised in Service Quotas. They grow by use.",
    QUOTAS,
    evidence=_DOCUMENTED,
)
_unchecked(
    "quota_error",
    "An exceeded quota is `Maximum allowed sessions reached`; the code is not known.",
    DBT,
    evidence=_SEEN,
    variant="quota_error_code",
)
_unchecked(
    "no_capacity",
    "A region without capacity answers InvalidRequestException, `Failed to Provision session due "
    "to required capacity not being available for the account`.",
    DBT,
    evidence=_SEEN,
)
_unchecked(
    "throttling",
    "A throttled call is ThrottlingException, `Rate exceeded`.",
    SERVICE_LIMITS,
    DBT,
    evidence=_DOCUMENTED,
    variant="throttling_code",
)
_unchecked(
    "access_denied",
    "A denied permission is AccessDeniedException, in a short form, `You are not authorized to "
    "perform: ACTION on the resource. After your AWS administrator or you have updated your "
    "permissions, please try again.`, or in a long form, `User: USER is not authorized to perform: "
    "ACTION on resource: RESOURCE because no identity-based policy allows the ACTION action`.",
    _github("ministryofjustice/modernisation-platform", "issue", 10958),
    _github("grafana/athena-datasource", "issue", 156),
    evidence=_SEEN,
    variant="access_denied_text",
)
_unchecked(
    "degraded_sessions",
    'Whether ListSessions shows DEGRADED sessions without StateFilter: it shows states "like '
    'CREATING, CREATED, IDLE, or BUSY".',
    _api("ListSessions"),
    evidence=_ASSUMED,
    variant="degraded_sessions",
)
_unchecked(
    "notebook_version",
    "A NotebookId without NotebookVersion is refused with InvalidRequestException, "
    "`NotebookVersion is required when NotebookId is provided.`",
    _github("aws/aws-sdk-pandas", "issue", 2866),
    evidence=_SEEN,
    engines=(SPARK_3,),
)
