"""The clauses, held against the emulator in everything that it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from contract.account import ENGINES, SPARK_3, Account
from contract.behaviours import CASES, DEFAULTS, NAMES, WORK_GROUPS
from contract.clauses import CLAUSES, Evidence
from contract.page import FIRST, HOLDS, NOT_CHECKED, PAGE, load, render
from contract.run import check, greatest_cost

from athena_session_provider.emulator import VARIANTS, Emulator, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: dict[str, Any] = {"start_seconds": 1.0, "terminate_seconds": 1.0}


@pytest.fixture(scope="module")
def emulated() -> Iterator[Emulator]:
    """One emulator, which each test resets."""
    with Emulator(**SECONDS) as running:
        yield running


def accounts(emulator: Emulator) -> dict[str, Account]:
    """Give the account with a work group of each engine; to wait sets the clock forward."""
    connect: Any = boto3.client  # its overloads take literal names only
    athena = connect(
        "athena",
        endpoint_url=emulator.url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )
    return {
        engine: Account(athena, name, wait_seconds=emulator.advance)
        for engine, name in WORK_GROUPS.items()
    }


def expected(variant: str, engine: str, settings: dict[str, Any]) -> Any:
    """Give the answer of an emulator with these settings to the question of a variant."""
    value = settings[variant]
    if variant == "start_session_state" and value == "by-engine":
        return "CREATED" if engine == SPARK_3 else "CREATING"
    if variant == "session_of_deleted_work_group" and settings["session_retention_seconds"] == 0:
        return "unknown"
    return value


def excused(name: str, settings: dict[str, Any]) -> bool:
    """Whether a clause cannot be checked while the service behaves like that."""
    forgets = {"terminate", "terminate_again", "idle_timeout", "idle_timeout_without_a_client"} | {
        "idle_since_of_ended",
        "endpoint_of_ended",
        "calculation_in_ended",
        "tags_of_ended",
    }
    refuses_tags = {"tags_in_place", "tags_of_ended", "work_group_tags"}
    at_once = settings["start_session_state"] == "CREATED"
    denied = {"unknown_session_error", "unknown_session_text"}
    return (
        (name == "endpoint_of_creating" and at_once)
        or (name in forgets and settings["session_retention_seconds"] == 0)
        or (name in refuses_tags and settings["engine_3_tags"] == "refused")
        or (name in denied and settings["unknown_session_access"] == "denied")
    )


@pytest.mark.parametrize("changes", CASES, ids=NAMES)
def test_the_contract_holds(emulated: Emulator, changes: dict[str, Any]) -> None:
    """Each clause as it is stated, and each open question with the answer that is set."""
    emulated.reset()
    emulated.update_settings(**changes)
    settings = {**DEFAULTS, **changes}
    wrong = []
    for engine, account in accounts(emulated).items():
        for clause in CLAUSES:
            if engine not in clause.engines or clause.check is None:
                continue
            outcome = check(clause, account)
            if outcome.kind == NOT_CHECKED and excused(clause.name, settings):
                continue
            answer = expected(clause.variant, engine, settings) if clause.variant else None
            if (outcome.kind, outcome.answer) != (HOLDS, answer):
                wrong.append((clause.name, engine, outcome))
    assert wrong == []
    assert emulated.live_sessions() == []


def test_each_variant_has_its_clause() -> None:
    """What the emulator can be is what the contract asks or says to be open."""
    asked = {clause.variant for clause in CLAUSES if clause.variant}
    assert asked == set(VARIANTS)


TEXTS = {
    "terminate": messages.TERMINATED_PER_REQUEST,
    "unknown_work_group": messages.NO_WORK_GROUP,
    "not_a_spark_work_group": messages.NOT_SPARK,
    "work_group_without_role": messages.NO_EXECUTION_ROLE,
    "quota_error": messages.TOO_MANY_SESSIONS,
    "no_capacity": messages.NO_CAPACITY,
    "throttling": messages.THROTTLED,
    "replay_with_other_parameters": messages.OTHER_PARAMETERS,
    "calculation_in_ended": messages.NOT_READY_FOR_CALCULATIONS.format(state="TERMINATED"),
    "endpoint_of_ended": messages.NO_ENDPOINT.format(state="STOPPED"),
    "notebook_version": messages.NO_NOTEBOOK_VERSION,
}
"""The clauses that the emulator's published texts come from."""


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_the_service_are_in_clauses(name: str) -> None:
    """What another test asserts as `messages.X` has its source here."""
    (clause,) = [clause for clause in CLAUSES if clause.name == name]
    assert f"`{TEXTS[name]}`" in clause.text


def test_both_forms_of_a_denied_permission_are_in_a_clause() -> None:
    """The clause access_denied."""
    (clause,) = [clause for clause in CLAUSES if clause.name == "access_denied"]
    words = {"action": "ACTION", "user": "USER", "resource": "RESOURCE"}
    for text in (messages.NOT_AUTHORIZED, messages.NOT_AUTHORIZED_LONG):
        assert f"`{text.format(**words)}`" in clause.text


def test_clauses_have_sources() -> None:
    """Only an assumption may have none; names are unique."""
    names = [clause.name for clause in CLAUSES]
    assert len(names) == len(set(names)) > 40
    assert set(FIRST) <= set(names)
    for clause in CLAUSES:
        assert clause.sources
        if any(source.name == "no public source" for source in clause.sources):
            assert clause.evidence is Evidence.ASSUMED, clause.name


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_costs_less_than_a_dollar(engine: str) -> None:
    """At most, and with the default quota of 4 DPUs on 3.5."""
    clauses = [clause for clause in CLAUSES if engine in clause.engines]
    assert 0.1 < greatest_cost(clauses) < 1.0


def test_the_page_is_the_clauses() -> None:
    """docs/contract.md is what `make contract PAGE_ONLY=1` writes."""
    assert PAGE.read_text() == render(load())
