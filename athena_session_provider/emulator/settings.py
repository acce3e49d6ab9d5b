"""How the emulated service behaves, and what a test may change about it.

Where public sources leave open what Athena does, the setting is a *variant*: it has named values,
the most likely one first, and each says where it comes from. A provider has to work with all of
them. `python -m athena_session_provider.emulator --help` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_SOURCE = "no public source"


class Option(NamedTuple):
    """What the command line, the tests and the documentation need to know of one setting."""

    name: str
    default: Any
    about: str
    source: str
    values: Mapping[Any, str]
    """The values of a variant with what each of them means; empty for a plain number or flag."""
    kind: str
    """The annotation: `float`, `int`, `bool`, `str`, or one of them with `| None`."""


def _plain(default: Any, about: str, source: str = "") -> Any:
    return field(default=default, metadata={"about": about, "source": source, "values": {}})


def _variant(about: str, values: Mapping[Any, str], source: str = _NO_SOURCE) -> Any:
    metadata = {"about": about, "source": source, "values": values}
    return field(default=next(iter(values)), metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """How the emulated service behaves. All times are in seconds; None is "no limit"."""

    start_seconds: float = _plain(5.0, "from StartSession until a session is ready")
    terminate_seconds: float = _plain(2.0, "from TerminateSession to TERMINATED")
    start_rate: float | None = _plain(None, "StartSession calls a second that are not throttled")
    start_burst: int = _plain(1, "StartSession calls that may come at once where there is a rate")
    max_sessions: int | None = _plain(None, "live sessions per account and region")
    no_capacity: bool = _plain(default=False, about="refuse StartSession for want of capacity")
    endpoint_token_seconds: float = _plain(
        1800.0,
        "how long a token of GetSessionEndpoint is valid",
        "sagemaker-studio 1.1.35 (athena/interceptors.py): ~30 minutes",
    )
    engine_3_account_dpus: int | None = _plain(
        160,
        "DPUs of all live sessions of engine 3 per account and region: the sum of "
        "MaxConcurrentDpus, 20 where a session gives none",
        "User Guide, notebooks-spark-quotas",
    )
    engine_3_session_dpus: int | None = _plain(
        60, "MaxConcurrentDpus of one session of engine 3", "User Guide, notebooks-spark-quotas"
    )
    on_demand_dpus: int | None = _plain(
        4,
        "DPUs of all live sessions of engine 3.5 per account and region; a session has 2, its "
        "driver and the executor that it starts with",
        "User Guide, notebooks-spark-quotas and notebooks-spark-release-versions",
    )

    # Starting

    start_session_state: str = _variant(
        "the state that StartSession answers",
        {
            "by-engine": "CREATED on engine 3, CREATING on 3.5",
            "CREATING": "CREATING on both",
            "CREATED": "CREATED on both",
        },
        "User Guide, notebooks-spark-troubleshooting-cloudtrail: CREATED in a sample of engine 3; "
        "sagemaker-studio 1.1.0 waits for CREATED on 3.5",
    )
    ready_state_3_5: str = _variant(
        "state of a session of engine 3.5 that no client connects to",
        {"CREATED": "it stays CREATED", "IDLE": "it becomes IDLE"},
        "sagemaker-studio 1.1.0 takes CREATED alone as ready, 1.1.1 CREATED, IDLE and BUSY",
    )
    replay_of_dead: str = _variant(
        "what a ClientRequestToken gives whose session has ended",
        {
            "dead-session": "the first response again",
            "SessionAlreadyExistsException": "",
            "new-session": "a new session, as with a token that was never used",
        },
        "API Reference, StartSession: the same response, another session is not created; for how "
        "long, and when the exception is raised, " + _NO_SOURCE,
    )
    engine_3_tags: str = _variant(
        "whether a session of engine 3 takes tags",
        {"accepted": "it does", "refused": "StartSession and TagResource refuse them"},
        "User Guide, notebooks-spark-cost-attribution names 3.5 only; the Service Authorization "
        "Reference has the resource type session without regard to the engine",
    )
    engine_3_without_dpus: str = _variant(
        "StartSession without MaxConcurrentDpus on engine 3",
        {"accepted": "starts a session", "refused": "InvalidRequestException"},
        "required in botocore up to 1.41.1, optional since 1.41.2",
    )
    engine_3_monitoring: str = _variant(
        "StartSession with MonitoringConfiguration on engine 3",
        {"accepted": "starts a session", "refused": "InvalidRequestException"},
        "User Guide, notebooks-spark-logging is about 3.5 only",
    )
    engine_3_classifications: str = _variant(
        "StartSession with Classifications on engine 3",
        {"refused": "InvalidRequestException", "accepted": "starts a session"},
    )
    quota_error_code: str = _variant(
        "the error code of an exceeded quota",
        {"TooManyRequestsException": "", "InvalidRequestException": ""},
        "API model for the codes; dbt-labs/dbt-adapters pull request 1874 for the text",
    )

    # Reading

    unknown_session_error: str = _variant(
        "the error code for a session id that is not known",
        {"InvalidRequestException": "", "ResourceNotFoundException": ""},
        "PyAthena takes InvalidRequestException for it; the API model lists both",
    )
    unknown_session_text: str = _variant(
        "the text of that error",
        {"not-found": "Session ID not found", "other": "a text without these words"},
    )
    unknown_session_access: str = _variant(
        "how IAM decides on a session id that is not known",
        {
            "allowed": "the service answers",
            "denied": "AccessDeniedException, because the work group is unknown",
        },
    )
    session_retention_seconds: float | None = _variant(
        "how long a session that has ended is known by its id and listed",
        {None: "without end", 0.0: "not at all"},
    )
    session_of_deleted_work_group: str = _variant(
        "what GetSession, GetSessionStatus and TerminateSession answer when the work group is gone",
        {
            "readable": "the session, which is TERMINATED",
            "work-group-not-found": "WorkGroup is not found.",
            "unknown": "the error for an id that is not known",
        },
    )
    get_session_members: str = _variant(
        "what GetSession tells of a session",
        {
            "all": "every member that has a value",
            "no-idle-timeout-minutes": "no SessionIdleTimeoutInMinutes",
            "no-idle-timeout-seconds": "no IdleTimeoutSeconds",
            "few": "no SessionConfiguration and no Statistics",
        },
        "API model: all members are optional; which of them are there, " + _NO_SOURCE,
    )
    idle_since_of_ended: str = _variant(
        "IdleSinceDateTime of a session that has ended",
        {"absent": "", "kept": ""},
        "API Reference, SessionStatus: can be empty if the session is not currently idle",
    )
    degraded_sessions: str = _variant(
        "whether ListSessions shows a DEGRADED session without being asked for that state",
        {"unlisted": "it does not", "listed": "it does"},
        "API Reference, ListSessions: an active state like CREATING, CREATED, IDLE, or BUSY",
    )
    endpoint_without_token: str = _variant(
        "whether GetSessionEndpoint can come without AuthToken",
        {"never": "it comes with one", "at-first": "the first answer for a session has none"},
        "dbt-labs/dbt-adapters pull request 1874: occasionally, for a moment",
    )

    # Refusing

    throttling_code: str = _variant(
        "the error code of throttling",
        {"ThrottlingException": "", "TooManyRequestsException": ""},
        "User Guide, service-limits; the API model",
    )
    access_denied_text: str = _variant(
        "the text of a denied permission",
        {"short": "You are not authorized to perform: ...", "long": "User: ... because no ..."},
        "ministryofjustice/modernisation-platform issue 10958; grafana/athena-datasource issue 156",
    )
    calculation_on_3_5: str = _variant(
        "the error code of a calculation in a session of engine 3.5",
        {"AccessDeniedException": "", "InvalidRequestException": ""},
        "User Guide, notebooks-spark-considerations-and-limitations: not supported; "
        "dbt-labs/dbt-adapters pull request 1874: fails with Not authorized",
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        for option in options():
            _check(option, getattr(self, option.name))
        if self.start_rate == 0:
            raise ValueError("start_rate must be positive, or None for no limit")
        if self.start_burst < 1:
            raise ValueError("start_burst must be at least 1")

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy with some settings changed; ValueError for a name that is not known."""
        known = {item.name for item in fields(self)}
        if unknown := sorted(set(changes) - known):
            raise ValueError(f"unknown settings {unknown}; there are {sorted(known)}")
        return replace(self, **changes)


def options() -> Iterator[Option]:
    """Yield every setting, in the order in which they are declared."""
    for item in fields(Settings):
        yield Option(name=item.name, default=item.default, kind=str(item.type), **item.metadata)


VARIANTS: Mapping[str, tuple[Any, ...]] = {
    option.name: tuple(option.values) for option in options() if option.values
}
"""The values of each variant, the default first."""


def _check(option: Option, value: Any) -> None:
    if "str" in option.kind:
        if value not in option.values:
            raise ValueError(f"{option.name} must be one of {', '.join(option.values)}")
    elif value is None:
        if "None" not in option.kind:
            raise ValueError(f"{option.name} must have a value")
    elif option.kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{option.name} must be true or false")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{option.name} must be a number")
    elif value < 0:
        raise ValueError(f"{option.name} must not be negative")
