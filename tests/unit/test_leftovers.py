"""Sessions of interrupted creates: which are ended, and which never are."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from scripted import (
    FakeClock,
    FakeHost,
    ScriptedAthena,
    ScriptedOperations,
    ScriptedStackSessions,
    answer,
)

from athena_session_provider.operations.leftovers import end_leftovers
from athena_session_provider.operations.run import Run
from athena_session_provider.service import errors
from athena_session_provider.service.api import session_arn
from athena_session_provider.service.ownership import CREATE_TAG, FINISHED, Mark, hash_of, marked
from athena_session_provider.service.states import SessionState
from athena_session_provider.service.waiting import Deadline

STACK = "0123456789abcdef0123456789abcdef"
OTHER_STACK = "f" * 32
URN = "urn:pulumi:dev::p::pulumi-python:dynamic/athena:Session::etl"
OTHER_URN = "urn:pulumi:dev::p::pulumi-python:dynamic/athena:Session::report"


@pytest.fixture
def athena() -> ScriptedAthena:
    return ScriptedAthena(FakeClock())


@pytest.fixture
def host(athena: ScriptedAthena) -> FakeHost:
    return FakeHost(athena.clock)


def properties(urn: str = URN, dpus: int = 4, stack: str = STACK) -> dict[str, Any]:
    return {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": dpus},
        "region": "eu-west-1",
        "identity": {"urn": urn, "owner": stack},
    }


def command(athena: ScriptedAthena, host: FakeHost, run: Run | None = None) -> ScriptedOperations:
    athena.clock.now += 60
    return ScriptedOperations(athena, host, run)


def stack_sessions(
    athena: ScriptedAthena, host: FakeHost, run: Run | None = None
) -> ScriptedStackSessions:
    athena.clock.now += 60
    return ScriptedStackSessions(athena, host, run)


def interrupted(athena: ScriptedAthena, host: FakeHost, **given: Any) -> str:
    """Kill a create just after StartSession; return the id of the session that it leaves."""
    athena.lost["StartSession"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        command(athena, host).create(properties(**given))
    return athena.live()[-1]


def end(
    athena: ScriptedAthena, host: FakeHost, run: Run | None = None, **options: Any
) -> list[str]:
    """Run a search for leftovers on its own."""
    athena.clock.now += 60
    return end_leftovers(
        athena,
        "spark",
        STACK,
        run or Run(athena.clock),
        Deadline.after(60, athena.clock),
        warn=host.warnings.append,
        **options,
    )


def mark_of(urn: str = URN, stack: str = STACK) -> Mark:
    return Mark(stack, hash_of(urn), hash_of("arguments"), urn)


def terminating(athena: ScriptedAthena) -> list[str]:
    return [name for name in athena.scripts if athena.state(name) is SessionState.TERMINATING]


def test_a_leftover_is_ended_with_a_warning(athena: ScriptedAthena, host: FakeHost) -> None:
    """The warning names the session and its resource."""
    left = interrupted(athena, host)
    assert end(athena, host) == [left]
    assert host.warnings == [
        f"Session {left} was left over from an interrupted create of {URN}. It has been terminated."
    ]
    assert end(athena, host) == []


# -- what is never ended ---------------------------------------------------------------------------


def test_a_session_of_another_stack_is_left_alone(athena: ScriptedAthena, host: FakeHost) -> None:
    """Even one with an equal URN."""
    left = interrupted(athena, host, stack=OTHER_STACK)
    assert end(athena, host) == []
    assert athena.live() == [left]
    assert "ListTagsForResource" not in athena.calls


def test_a_session_whose_create_finished_is_left_alone(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """A state names it or has named it: adopted elsewhere, retained, or removed from the state."""
    kept, _ = command(athena, host).create(properties())
    run = Run(athena.clock)
    assert end(athena, host, run) == []
    assert athena.live() == [kept]
    # Its tags are read once in a command.
    athena.calls.clear()
    assert end(athena, host, run) == []
    assert "ListTagsForResource" not in athena.calls


def test_a_session_that_an_operation_was_about_is_left_alone(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """The state names it, though its create could not say that it had finished."""
    athena.failures["TagResource"] = [errors.AccessDeniedError(answer("AccessDeniedException"))]
    session_id, outs = command(athena, host).create(properties())
    run = Run(athena.clock)
    command(athena, host, run).diff(session_id, outs, properties())
    assert end(athena, host, run) == []


def test_a_session_of_a_create_in_this_process_is_left_alone(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """Another thread is starting it."""
    left = interrupted(athena, host)
    run = Run(athena.clock)
    with run.starting(mark_of()):
        assert end(athena, host, run) == []
        with run.starting(mark_of()):
            pass
        assert end(athena, host, run) == []
    assert end(athena, host, run) == [left]


def _hold(mark: Mark, ready: Any, done: Any) -> None:
    with Run().starting(mark):
        ready.set()
        done.wait(60)


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_a_session_of_a_create_in_another_process_is_left_alone(
    athena: ScriptedAthena, host: FakeHost, how: str
) -> None:
    """The operating system releases its lock when that process ends, however it ends."""
    left = interrupted(athena, host)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(mark_of(), ready, done))
    other.start()
    try:
        assert ready.wait(60)
        assert end(athena, host) == []
    finally:
        done.set() if how == "ends" else other.kill()
        other.join(60)
    assert end(athena, host) == [left]


@pytest.mark.parametrize(
    "tags", [{}, {CREATE_TAG: FINISHED}, {CREATE_TAG: "something else"}, {"team": "a"}]
)
def test_a_session_without_the_tag_is_left_alone(
    athena: ScriptedAthena, host: FakeHost, tags: dict[str, str]
) -> None:
    """It was started by a role without tags, or by a version that had none."""
    left = interrupted(athena, host)
    athena.tags[str(session_arn(athena, "spark", left))] = tags
    assert end(athena, host) == []
    assert athena.live() == [left]
    assert host.warnings == []


def test_a_session_without_a_mark_is_left_alone(athena: ScriptedAthena, host: FakeHost) -> None:
    """Somebody's notebook, or a session of version 0.1."""
    for description in ("", "notebook", f"Started by Pulumi for {URN}"):
        athena.start_session({"WorkGroup": "spark", "Description": description}, description)
    assert end(athena, host) == []
    assert len(athena.live()) == 3


@pytest.mark.parametrize("identity", ["", "acme", OTHER_STACK.upper()])
def test_without_an_identity_nothing_is_looked_for(
    athena: ScriptedAthena, host: FakeHost, identity: str
) -> None:
    """A resource of version 0.1 has none."""
    run, deadline = Run(athena.clock), Deadline.after(60, athena.clock)
    assert end_leftovers(athena, "spark", identity, run, deadline, warn=host.warnings.append) == []
    assert athena.calls == []


@pytest.mark.parametrize("state", ["TERMINATING", "DEGRADED"])
def test_a_dead_session_is_left_alone(athena: ScriptedAthena, host: FakeHost, state: str) -> None:
    """Where the listing has it at all."""
    left = interrupted(athena, host)
    athena.scripts[left] = [state]
    assert end(athena, host) == []


# -- missing permissions ---------------------------------------------------------------------------


@pytest.mark.parametrize("denied", ["ListTagsForResource", "TerminateSession"])
def test_a_leftover_that_cannot_be_looked_at_or_ended_is_a_warning(
    athena: ScriptedAthena, host: FakeHost, denied: str
) -> None:
    """With the command that ends it."""
    left = interrupted(athena, host)
    athena.denied = frozenset({denied})
    assert end(athena, host) == []
    assert len(host.warnings) == 1
    assert f"terminate-session --session-id {left} --region eu-west-1" in host.warnings[0]


def test_without_listsessions_a_create_and_a_delete_go_on(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """As they did before there were marks."""
    left = interrupted(athena, host)
    athena.denied = frozenset({"ListSessions"})
    session_id, outs = command(athena, host).create(properties(dpus=5))
    command(athena, host).delete(session_id, outs)
    assert athena.live()[0] == left


def test_only_the_identity_insists_on_the_listing(athena: ScriptedAthena, host: FakeHost) -> None:
    """Its delete is the last command that could find a leftover, and says that it could not."""
    athena.denied = frozenset({"ListSessions"})
    assert end(athena, host) == []
    with pytest.raises(errors.AccessDeniedError):
        end(athena, host, must_list=True)
    stack_sessions(athena, host).delete(STACK, {"work_group": "spark", "region": "eu-west-1"})
    assert len(host.warnings) == 1
    assert host.warnings[0].startswith("Could not look for sessions of interrupted creates.")


def test_a_leftover_that_ends_meanwhile_is_no_error(athena: ScriptedAthena, host: FakeHost) -> None:
    """The service forgets it between the listing and the call."""
    interrupted(athena, host)
    for operation in ("ListTagsForResource", "TerminateSession"):
        missing = errors.SessionNotFoundError(answer("ResourceNotFoundException"))
        athena.failures[operation] = [missing]
        athena.failures["GetSessionStatus"] = [missing]
        assert end(athena, host) == []
    assert host.warnings == []


# -- when it is looked for -------------------------------------------------------------------------


def test_a_create_with_other_arguments_ends_its_own_leftover_first(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """It may hold the quota that the new session needs."""
    left = interrupted(athena, host)
    other = interrupted(athena, host, urn=OTHER_URN)
    athena.calls.clear()
    # Another resource's operation is running, which may be about the other session.
    run = Run(athena.clock)
    with run.working(STACK):
        session_id, _ = command(athena, host, run).create(properties(dpus=5))
    assert athena.calls.index("TerminateSession") < athena.calls.index("StartSession")
    assert terminating(athena) == [left]
    assert {other, session_id} <= set(athena.live())


def test_a_create_with_the_same_arguments_adopts_its_leftover(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """Nothing is started twice."""
    left = interrupted(athena, host)
    assert command(athena, host).create(properties())[0] == left
    assert athena.live() == [left]
    assert host.warnings == []


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_the_last_operation_of_a_stack_ends_the_leftovers_of_the_others(
    athena: ScriptedAthena, host: FakeHost, operation: str
) -> None:
    """Their resources may be gone from the program."""
    session_id, outs = command(athena, host).create(properties())
    left = interrupted(athena, host, urn=OTHER_URN)
    if operation == "create":
        command(athena, host).create(properties(urn=f"{URN}-2"))
    elif operation == "update":
        command(athena, host).update(session_id, outs, properties())
    else:
        command(athena, host).delete(session_id, outs)
    assert left in terminating(athena)


def test_an_operation_that_is_not_the_last_one_leaves_them(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """Those that still run have not yet said which sessions the state names."""
    left = interrupted(athena, host, urn=OTHER_URN)
    run = Run(athena.clock)
    with run.working(STACK):
        command(athena, host, run).create(properties())
    assert left in athena.live()
    assert terminating(athena) == []


def test_a_search_that_fails_does_not_fail_the_operation(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """The next command looks again."""
    interrupted(athena, host, urn=OTHER_URN)
    failed = errors.InternalServiceError(answer("InternalServerException"))
    athena.failures["ListTagsForResource"] = [failed] * 1000
    command(athena, host).create(properties())
    assert host.warnings[-1].startswith("Could not look for sessions of interrupted creates.")


# -- the identity ----------------------------------------------------------------------------------

PLACE = {"work_group": "spark", "region": "eu-west-1"}


def test_each_stack_gets_an_identity_of_its_own(athena: ScriptedAthena, host: FakeHost) -> None:
    """32 random hexadecimal digits, with what delete needs."""
    operations = stack_sessions(athena, host)
    first, outs = operations.create({**PLACE, "sessions": ["a"]})
    second, _ = operations.create({**PLACE, "sessions": ["a"]})
    assert first != second
    assert outs == {
        **PLACE,
        "sessions": ["a"],
        "identity": first,
        "account_id": athena.account_id,
    }


@pytest.mark.parametrize(
    ("olds", "news", "ends"),
    [
        ({"sessions": ["a", "b"]}, {"sessions": ["a"]}, True),
        ({"sessions": ["a", "b"]}, {"sessions": ["a", "c"]}, True),
        ({"sessions": ["a"]}, {"sessions": ["a", "b"]}, False),
        ({"sessions": ["a"]}, {"sessions": ["a"]}, False),
        ({}, {"sessions": ["a"]}, False),
        ({"sessions": ["a"]}, {"sessions": ["a"], "region": "us-east-1"}, True),
        ({"sessions": ["a"]}, {"sessions": ["a"], "work_group": "other"}, True),
        ({"sessions": ["a"]}, {"sessions": ["a"], "aws": {"profile": "p"}}, True),
    ],
)
def test_its_update_ends_leftovers_if_a_session_was_removed_or_all_moved(
    athena: ScriptedAthena,
    host: FakeHost,
    olds: dict[str, Any],
    news: dict[str, Any],
    *,
    ends: bool,
) -> None:
    """Where they were; nothing is called otherwise."""
    left = interrupted(athena, host)
    athena.calls.clear()
    stored = stack_sessions(athena, host).update(STACK, {**PLACE, **olds}, {**PLACE, **news})
    assert (terminating(athena) == [left]) is ends
    assert ends or athena.calls == []
    assert stored == {**PLACE, **news, "identity": STACK, "account_id": athena.account_id}


def test_its_delete_ends_what_is_left(athena: ScriptedAthena, host: FakeHost) -> None:
    """After the last session of the stack."""
    left = interrupted(athena, host)
    stack_sessions(athena, host).delete(STACK, PLACE)
    assert terminating(athena) == [left]


def test_its_delete_needs_the_account_of_the_sessions(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """Another account lists other sessions, and would find nothing."""
    with pytest.raises(errors.ConfigurationError, match="run in account 999999999999"):
        stack_sessions(athena, host).delete(STACK, {**PLACE, "account_id": "999999999999"})
    assert athena.calls == []


def test_its_delete_succeeds_without_the_work_group(athena: ScriptedAthena, host: FakeHost) -> None:
    """The sessions went with it."""
    gone = errors.WorkGroupNotFoundError(answer())
    athena.failures["ListSessions"] = [gone, gone]
    stack_sessions(athena, host).delete(STACK, PLACE)
    assert host.warnings == []


def test_nothing_about_it_replaces_it(athena: ScriptedAthena, host: FakeHost) -> None:
    """Its changes are updates, and a number that comes back as a float is none."""
    operations = stack_sessions(athena, host)

    def changes(**news: Any) -> list[str]:
        return operations.changes(STACK, olds, {**olds, **news})

    olds = {**PLACE, "sessions": ["a"], "aws": {"default_tags": {"n": 4.0}}}
    assert changes(aws={"default_tags": {"n": 4}}) == []
    assert changes(sessions=[]) == ["sessions"]
    assert changes(region="x", work_group="y") == ["work_group", "region"]


def test_a_session_that_the_program_uses_is_known(athena: ScriptedAthena, host: FakeHost) -> None:
    """One that it reads or adopts is left alone, though another stack's create was interrupted."""
    left = interrupted(athena, host)
    run = Run(athena.clock)
    place = {**PLACE, "sessions": []}
    stack_sessions(athena, host, run).changes(STACK, place, {**place, "used": [left]})
    assert end(athena, host, run) == []
    assert athena.live() == [left]


def test_a_listing_of_the_whole_command_is_shared(athena: ScriptedAthena, host: FakeHost) -> None:
    """64 creates do not list 64 times."""
    run = Run(athena.clock)
    for number in range(8):
        athena.start_session(
            marked({"WorkGroup": "spark"}, mark_of(f"urn-{number}", OTHER_STACK)), f"t-{number}"
        )
    athena.calls.clear()
    for _ in range(64):
        end_leftovers(
            athena,
            "spark",
            STACK,
            run,
            Deadline.after(60, athena.clock),
            warn=host.warnings.append,
        )
    assert athena.calls == ["ListSessions"]
