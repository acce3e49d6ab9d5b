"""The texts on the troubleshooting page are the ones that the code gives."""

from __future__ import annotations

import re
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi.runtime.rpc import UNKNOWN

from athena_session_provider import Session
from athena_session_provider.operations.run import ProviderHost, Run
from athena_session_provider.operations.session import SessionOperations
from athena_session_provider.provider import AthenaSessionProvider
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


def create(
    emulator: Emulator, request: dict[str, Any] | None = None, timeout_seconds: float = 0.0
) -> str:
    """Create a session as the provider does, with little time."""
    request = {**SPARK, **(request or {})}
    created = lifecycle_of(emulator, request["WorkGroup"], timeout_seconds).create(
        Identity("urn:pulumi:dev::test::athena:Session::session"),
        request,
        cleanup=lambda: seconds(30),
    )
    return created.status.session_id


def lifecycle_of(emulator: Emulator, work_group: str, timeout_seconds: float) -> SessionLifecycle:
    pollers = PollerPool(SystemClock().monotonic)
    return SessionLifecycle(athena(emulator), work_group, pollers, seconds(timeout_seconds))


def adopt(emulator: Emulator, session_id: str, work_group: str = "spark") -> None:
    lifecycle_of(emulator, work_group, 0).adopt(session_id)


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
    emulator.update_settings(start_seconds=60)
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


def found_dead(emulator: Emulator) -> None:
    raise AthenaSessionError(_warning_about(emulator, "idle timeout"))


def not_checked(emulator: Emulator) -> None:
    raise AthenaSessionError(_warning_about(emulator, "access denied"))


def _warning_about(emulator: Emulator, what: str) -> str:
    """Have diff look at a session of which something is to be told."""
    session_id = create(emulator)
    if what == "idle timeout":
        emulator.advance(3600)
    else:
        for operation in ("ListSessions", "GetSessionStatus"):
            emulator.inject(operation, "access-denied", times=None)
    stack = {
        "aws:region": "eu-west-1",
        "aws:accessKey": "testing",
        "aws:secretKey": "testing",
        "aws:endpoints": [{"athena": emulator.url, "sts": emulator.url}],
    }
    told: list[str] = []
    receiver = ProviderHost(lambda _urn, message: told.append(message), lambda _urn, _message: None)
    properties = {"work_group": "spark", "region": "eu-west-1", "restart_when_dead": True}
    operations = SessionOperations(stack, Run(), receiver, unknown=UNKNOWN)
    operations.diff(session_id, properties, properties)
    return told[0]


def wrong_value(_emulator: Emulator) -> None:
    checked = AthenaSessionProvider().check(
        {},
        {
            "work_group": "spark",
            "engine_configuration": {"max_concurrent_dpu": 4},
            "session_idle_timeout_in_minutes": 481,
            "aws": {"region": "eu-west-1"},
        },
    )
    lines = [f"{failure.property} {failure.reason}".strip() for failure in checked.failures]
    raise AthenaSessionError("\n".join(lines))


CASES: dict[str, Callable[[Emulator], None]] = {
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
    """Put names in place of what differs from run to run."""
    text = re.sub(r"request id [\w-]+", "request id <id>", text)
    text = re.sub(_UUID, "<session>", text)
    return re.sub(r"http://127\.0\.0\.1:\d+", "<endpoint>", text)


def raised(case: Callable[[Emulator], None], emulator: Emulator) -> str:
    with pytest.raises((AthenaSessionError, ValueError)) as caught:
        case(emulator)
    return normalized(str(caught.value))


def on_page() -> dict[str, str]:
    """Give the page's headings with the text block below each."""
    sections = re.findall(
        r"^## (.+?)$.*?^```text\n(.*?)\n^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return dict(sections)


def test_every_text_on_the_page_is_tested() -> None:
    """No section without a case, no case without a section."""
    assert list(on_page()) == list(CASES)


@pytest.mark.parametrize("heading", CASES)
def test_the_text_on_the_page_is_the_codes(
    heading: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever searches for an error finds it here."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert on_page().get(heading) == raised(CASES[heading], emulator)
