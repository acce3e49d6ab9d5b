"""The texts on the troubleshooting page are those that the code produces."""

from __future__ import annotations

import re
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from athena_session_provider import Session
from athena_session_provider.operations.run import ProviderHost, Run
from athena_session_provider.operations.session import SessionOperations
from athena_session_provider.service.boto import BotoAthena
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.lifecycle import SessionLifecycle, require_account
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.settings import AwsSettings, resolved_region
from athena_session_provider.service.token import Identity
from athena_session_provider.service.waiting import Deadline, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from athena_session_provider.emulator import Emulator

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
SPARK = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 4}}


def settings(emulator: Emulator, **changes: Any) -> AwsSettings:
    given: dict[str, Any] = {
        "region": "eu-west-1",
        "access_key": "testing",
        "secret_key": "testing",
        "endpoints": (("athena", emulator.url), ("sts", emulator.url)),
    }
    return AwsSettings(**{**given, **changes})


def athena(emulator: Emulator, **changes: Any) -> BotoAthena:
    return BotoAthena(settings(emulator, **changes))


def seconds(number: float) -> Deadline:
    return Deadline.after(number, SystemClock())


def lifecycle(emulator: Emulator, work_group: str, timeout_seconds: float) -> SessionLifecycle:
    pollers = PollerPool(SystemClock().monotonic)
    return SessionLifecycle(athena(emulator), work_group, pollers, seconds(timeout_seconds))


def create(
    emulator: Emulator, request: dict[str, Any] | None = None, timeout_seconds: float = 0.0
) -> str:
    """Create a session as the provider does, and return its id."""
    request = {**SPARK, **(request or {})}
    created = lifecycle(emulator, request["WorkGroup"], timeout_seconds).create(
        Identity("urn:pulumi:dev::test::athena:Session::session"),
        request,
        cleanup=lambda: seconds(30),
    )
    return created.status.session_id


def adopt(emulator: Emulator, session_id: str, work_group: str = "spark") -> None:
    lifecycle(emulator, work_group, 0).adopt(session_id)


def refused(emulator: Emulator, code: str, message: str, status: int = 400) -> None:
    emulator.inject("StartSession", "error", times=None, code=code, message=message, status=status)
    create(emulator)


def no_region(_emulator: Emulator) -> None:
    resolved_region(AwsSettings())


def no_credentials(emulator: Emulator) -> None:
    athena(emulator, access_key=None, secret_key=None).list_sessions("spark")


def no_such_profile(emulator: Emulator) -> None:
    athena(emulator, access_key=None, secret_key=None, profile="nobody")


def expired(emulator: Emulator) -> None:
    emulator.inject("StartSession", "expired-token", times=None)
    create(emulator)


def denied(emulator: Emulator) -> None:
    emulator.inject("StartSession", "access-denied", times=None)
    create(emulator)


def no_answer(emulator: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    closed = (("athena", f"http://127.0.0.1:{port}"),)
    athena(emulator, endpoints=closed).start_session(SPARK, "t" * 32)


def no_work_group(emulator: Emulator) -> None:
    create(emulator, {"WorkGroup": "spork"})


def sql_work_group(emulator: Emulator) -> None:
    create(emulator, {"WorkGroup": "primary"})


def wrong_engine(emulator: Emulator) -> None:
    create(emulator, {"WorkGroup": "spark-35", "EngineConfiguration": {"CoordinatorDpuSize": 1}})


def token_reused(emulator: Emulator) -> None:
    client = athena(emulator)
    client.start_session(SPARK, "t" * 32)
    client.start_session({**SPARK, "Description": "another"}, "t" * 32)


def quota(emulator: Emulator) -> None:
    emulator.update_settings(max_sessions=0)
    create(emulator)


def no_capacity(emulator: Emulator) -> None:
    refused(emulator, "InvalidRequestException", _NO_CAPACITY)


_NO_CAPACITY = (
    "Failed to Provision session due to required capacity not being available for the account"
)


def throttled(emulator: Emulator) -> None:
    emulator.inject("StartSession", "throttle", times=None)
    create(emulator)


def internal(emulator: Emulator) -> None:
    refused(emulator, "InternalServerException", "Internal error", 500)


def died(emulator: Emulator) -> None:
    emulator.inject("StartSession", "fail-start", message="Execution role cannot be assumed")
    create(emulator, timeout_seconds=30)


def timed_out(emulator: Emulator) -> None:
    emulator.update_settings(start_seconds=3600)
    create(emulator, timeout_seconds=1)


def adopt_unknown(emulator: Emulator) -> None:
    adopt(emulator, str(uuid.uuid4()))


def adopt_dead(emulator: Emulator) -> None:
    session_id = create(emulator)
    athena(emulator).terminate_session(session_id)
    adopt(emulator, session_id)


def adopt_elsewhere(emulator: Emulator) -> None:
    adopt(emulator, create(emulator), "analytics")


def other_account(emulator: Emulator) -> None:
    require_account(athena(emulator), str(uuid.uuid4()), "999999999999")


def imported(_emulator: Emulator) -> None:
    Session("etl", work_group="spark", opts=pulumi.ResourceOptions(import_="6dfa4b51"))


def operations(emulator: Emulator, warnings: list[str]) -> SessionOperations:
    """Return the operations of a stack on the emulator; warnings are added to the list."""
    config = {
        "aws:region": "eu-west-1",
        "aws:accessKey": "testing",
        "aws:secretKey": "testing",
        "aws:endpoints": [{"athena": emulator.url}],
    }
    host = ProviderHost(
        warn=lambda _urn, message: warnings.append(message), show_status=lambda _urn, _message: None
    )
    return SessionOperations(config, Run(), host, unknown="unknown")


def warning_of_diff(emulator: Emulator, session_id: str) -> str:
    warnings: list[str] = []
    properties = {"work_group": "spark", "region": "eu-west-1"}
    operations(emulator, warnings).diff(session_id, properties, properties)
    (warning,) = warnings
    return warning


def found_dead(emulator: Emulator) -> str:
    session_id = create(emulator)
    emulator.advance(3600)
    return warning_of_diff(emulator, session_id)


def not_checked(emulator: Emulator) -> str:
    session_id = create(emulator)
    for operation in ("ListSessions", "GetSessionStatus"):
        emulator.inject(operation, "access-denied", times=None)
    return warning_of_diff(emulator, session_id)


def wrong_value(emulator: Emulator) -> str:
    _, failures = operations(emulator, []).check(
        {
            "work_group": "spark",
            "engine_configuration": {"max_concurrent_dpu": 4},
            "session_idle_timeout_in_minutes": 481,
        }
    )
    return "\n".join(f"{failure.path} {failure.reason}".strip() for failure in failures)


CASES: dict[str, Callable[[Emulator], str | None]] = {
    "No region": no_region,
    "No credentials": no_credentials,
    "Unknown profile": no_such_profile,
    "Expired credentials": expired,
    "A permission is missing": denied,
    "No answer": no_answer,
    "Unknown work group": no_work_group,
    "A work group for SQL": sql_work_group,
    "Arguments of the other engine": wrong_engine,
    "A wrong value in preview": wrong_value,
    "A token with other parameters": token_reused,
    "The quota is used up": quota,
    "No capacity": no_capacity,
    "Too many requests": throttled,
    "The service failed": internal,
    "The session failed": died,
    "The start took too long": timed_out,
    "The session ended by itself": found_dead,
    "It could not be checked": not_checked,
    "Another account": other_account,
    "`import_` and `pulumi import`": imported,
    "Taking over: unknown": adopt_unknown,
    "Taking over: dead": adopt_dead,
    "Taking over: another work group": adopt_elsewhere,
}

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def normalized(text: str) -> str:
    """Replace what differs from run to run with placeholders."""
    text = re.sub(r"request id [\w-]+", "request id <id>", text)
    text = re.sub(_UUID, "<session>", text)
    return re.sub(r"http://127\.0\.0\.1:\d+", "<endpoint>", text)


def text_of(case: Callable[[Emulator], str | None], emulator: Emulator) -> str:
    """Return the text of the error that a case raises, or the warning that it returns."""
    try:
        text = case(emulator)
    except (AthenaSessionError, ValueError) as error:
        text = str(error)
    assert text, "the case neither raised nor returned a text"
    return normalized(text)


def on_page() -> dict[str, str]:
    """Return the text block below each heading of the page."""
    sections = re.findall(
        r"^## (.+?)$.*?^```text\n(.*?)\n^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return dict(sections)


def test_every_text_on_the_page_is_tested() -> None:
    """Each section has a case, and each case a section."""
    assert list(on_page()) == list(CASES)


@pytest.mark.parametrize("heading", CASES)
def test_the_page_shows_the_text_of_the_error(
    heading: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A search for the error finds the section."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert on_page().get(heading) == text_of(CASES[heading], emulator)
