"""What host.py relies on in Pulumi's Python host, detail by detail, and what is without it.

A test that fails here names the detail that Pulumi has changed: nothing is broken by it but what
the table in host.py says, as the second half of this file shows.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import PROGRAM, PulumiStack

from athena_session_provider import host

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

MANY = """
import pulumi
from athena_session_provider import Session

for number in range({count}):
    engine = {{"max_concurrent_dpus": 4}}
    Session(f"session-{{number}}", work_group="spark", engine_configuration=engine)
"""

PROBE = """
import sys, threading
from athena_session_provider import host
from athena_session_provider.provider import AthenaSessionProvider

configure = AthenaSessionProvider.configure


def probing(self, req):
    configure(self, req)
    main = sys.modules["__main__"]
    facts = dict(
        servicer=host.is_host(),
        pool=host._thread_pool(threading.current_thread()) is not None,
        queue=hasattr(host._thread_pool(threading.current_thread()), "_work_queue"),
        semaphore=hasattr(host._thread_pool(threading.current_thread()), "_idle_semaphore"),
        address=host._address(),
        engine=host._ENGINE.stub() is not None,
        traceback=getattr(main.traceback, "format_exc", None) is host.format_exception,
        cancel=main.DynamicResourceProviderServicer.Cancel.__code__ is host._cancel.__code__,
        watching=host._ENGINE._watching,
    )
    open("facts", "w").write(repr(facts))


AthenaSessionProvider.configure = probing
"""
"""Runs in the host as sitecustomize: it looks at the host from inside, after prepare()."""

WITHOUT = {
    "thread pool": "host._thread_pool = lambda thread: None",
    "idle threads": "import threading; host._NoneIdle = lambda: threading.Semaphore(0)",
    "engine address": "host._address = lambda: ''",
    "traceback": "host.show_errors_as_sentences = lambda: False",
    "Cancel": "host.listen_for_cancel = lambda: False",
    "end of the engine": "host.end_with_the_engine = lambda: False",
    "servicer": "host.is_host = lambda: False",
    "everything": "host.prepare = lambda: None; host.is_host = lambda: False",
}


def inside_host(stack: PulumiStack, code: str) -> None:
    """Have code run in every Python process of the stack, before anything else."""
    folder = stack.folder / "inside"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\nif any('pulumi.dynamic' in part for part in sys.orig_argv):\n"
        + "".join(f"    {line}\n" for line in code.strip().splitlines())
    )
    stack.environment["PYTHONPATH"] = f"{folder}:{stack.env()['PYTHONPATH']}"


@pytest.fixture
def facts(stack: PulumiStack) -> dict[str, object]:
    """What the host looks like from inside."""
    inside_host(stack, PROBE)
    stack.up()
    found: dict[str, object] = eval((stack.program_folder / "facts").read_text())  # noqa: S307
    return found


def test_the_host_has_every_detail_that_is_relied_on(facts: dict[str, object]) -> None:
    """Each key that is wrong names the detail; host.py's table says what it is for."""
    address = str(facts.pop("address"))
    assert facts == {
        "servicer": True,  # __main__.DynamicResourceProviderServicer
        "pool": True,  # a worker thread's ThreadPoolExecutor is an argument of its target
        "queue": True,  # ThreadPoolExecutor._work_queue
        "semaphore": True,  # ThreadPoolExecutor._idle_semaphore
        "engine": True,  # Engine at the address in sys.argv[-1]
        "traceback": True,  # __main__.traceback.format_exc is looked up for each error
        "cancel": True,  # Servicer.Cancel is a plain function without a closure
        "watching": True,  # the channel to the engine tells when it is gone
    }
    assert address.startswith("127.0.0.1:"), "sys.argv[-1] is the engine's address"


def test_a_pool_hands_its_workers_a_reference_to_itself() -> None:
    """Python's own ThreadPoolExecutor, from 3.10 to the version that runs."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        assert pool.submit(lambda: host._thread_pool(threading.current_thread())).result() is pool


def test_destroy_ends_many_sessions_at_the_same_time(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """All deletes are waiting for the host's four threads before the first comes to widen them."""
    stack.write(MANY.format(count=12))
    stack.up("--parallel", "64")
    emulator.update_settings(terminate_seconds=6.0)
    emulator.clear_calls()
    stack.destroy("--parallel", "64")
    times = [call.received_at for call in emulator.calls("TerminateSession")]
    assert len(times) == 12
    late = [time for time in times if time > times[0] + 5.0]
    assert late == []


@pytest.mark.parametrize("detail", WITHOUT)
def test_without_a_detail_it_is_merely_slower_or_less_pretty(
    stack: PulumiStack, emulator: Emulator, detail: str
) -> None:
    """Sessions are started, an error is told, a dead one is replaced, and all are ended."""
    inside_host(stack, f"from athena_session_provider import host\n{WITHOUT[detail]}")
    stack.write(MANY.format(count=5))
    emulator.update_settings(start_seconds=1.0)
    stack.up("--parallel", "64")
    assert sorted(stack.session_ids()) == sorted(
        session.session_id for session in emulator.live_sessions()
    )
    emulator.set_state(stack.session_ids()[0], "TERMINATED", "killed")
    stack.write(PROGRAM)
    emulator.inject("StartSession", "access-denied", times=None)
    output = stack.up_fails("--parallel", "64").output
    assert "Allow the IAM action athena:StartSession" in output
    assert ("Traceback" in output) == (detail in {"traceback", "servicer", "everything"})
    stack.destroy("--parallel", "64")
    assert emulator.live_sessions() == []
