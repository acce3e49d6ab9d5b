"""Workarounds for features missing from Pulumi's Python dynamic-provider host.

The host (``pulumi.dynamic.__main__`` of the SDK) runs a provider on four threads, shows every
exception with its traceback, ignores the engine's Cancel and cannot show progress. The public
interface of dynamic providers reaches none of these, so this module, and only this one, uses
details of the host that Pulumi may change:

=====================  ============================================  ===========================
feature                the detail relied on                          without it
=====================  ============================================  ===========================
more than 4 sessions   the worker thread's ThreadPoolExecutor is     4 at a time
at once                the first argument of its thread target, and
                       its ``_max_workers`` may grow; it makes a
                       thread where ``_idle_semaphore`` has none
progress, warnings     the engine's address is the last argument     no status, and warnings on
                       of the process; ``Engine.Log``                standard error
errors as sentences    ``__main__`` looks ``traceback.format_exc``   errors with a traceback
                       up when an exception is to be shown
Ctrl-C stops waiting   the servicer's ``Cancel`` is a plain Python   the wait goes on until the
                       function of ``__main__``                      engine ends the process
end with the engine    ``Engine`` is served at that address as long  a killed engine leaves a
                       as the engine lives                           process that never ends
=====================  ============================================  ===========================

Each function returns whether it worked, and does nothing outside of the host.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import traceback
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from athena_session_provider.service.errors import AthenaSessionError

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 256
"""Sessions that one provider process works on at the same time; a waiting thread costs little."""

cancelled = threading.Event()
"""Set when the engine asks its providers to stop, or ends."""

BUSY: list[Callable[[], bool]] = []
"""Functions that return whether an operation is running, which the end of the process waits for."""

EXIT_SECONDS = 70.0
"""How long operations may take to give up once the engine is gone."""

LISTEN_SECONDS = 0.2
"""How often a process without a connection to its engine checks that the engine listens."""

_SERVICER = "DynamicResourceProviderServicer"


def prepare() -> None:
    """Adapt the host that this process is, if it is one. Safe to call again."""
    widen_thread_pool()
    show_errors_as_sentences()
    listen_for_cancel()
    end_with_the_engine()


def is_host() -> bool:
    """Whether this process is Pulumi's host of dynamic providers."""
    return hasattr(sys.modules.get("__main__"), _SERVICER)


def widen_thread_pool() -> bool:
    """Let the pool of the thread that we are called on grow to THREADS."""
    pool = _thread_pool(threading.current_thread())
    if pool is None:
        return False
    pool._max_workers = max(pool._max_workers, THREADS)  # noqa: SLF001 - see the module's text
    # A pool counts too many idle threads when calls come faster than it serves them, and then
    # makes none for a call that is to wait. This one makes one for each call, up to its maximum.
    if hasattr(pool, "_idle_semaphore"):
        pool._idle_semaphore = _NoneIdle()  # noqa: SLF001
    # In a destroy, most of the deletes wait already when the first of them comes here.
    queue = getattr(pool, "_work_queue", None)
    for _ in range(queue.qsize() if queue is not None else 0):
        pool.submit(int)
    return True


class _NoneIdle:
    """Stands for the semaphore that counts a pool's idle threads."""

    def acquire(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - as the pool calls it
        return False

    def release(self) -> None:
        pass


def _thread_pool(thread: threading.Thread) -> Any:
    """Return the executor whose worker a thread is; None for any other thread."""
    for argument in getattr(thread, "_args", None) or ():
        # concurrent.futures hands its workers a weak reference to the executor.
        pool = argument() if isinstance(argument, weakref.ref) else argument
        if isinstance(pool, ThreadPoolExecutor) and isinstance(
            getattr(pool, "_max_workers", None), int
        ):
            return pool
    return None


def show_errors_as_sentences() -> bool:
    """Make the host show our own errors by their message; every other keeps its traceback."""
    main = sys.modules.get("__main__")
    if not is_host() or getattr(main, "traceback", None) is not traceback:
        return False
    view = types.ModuleType("traceback")
    view.__dict__.update(traceback.__dict__)
    view.format_exc = format_exception  # type: ignore[attr-defined]
    main.traceback = view  # type: ignore[union-attr]
    return True


def format_exception() -> str:
    """Return the text to show for the exception that is being handled."""
    error = sys.exc_info()[1]
    if isinstance(error, AthenaSessionError):
        return str(error)
    return traceback.format_exc()


def listen_for_cancel() -> bool:
    """Have ``cancelled`` set when the engine calls Cancel.

    gRPC holds the servicer's bound method already, so replacing the attribute would change
    nothing; the function behind it is given other code instead.
    """
    cancel = getattr(getattr(sys.modules.get("__main__"), _SERVICER, None), "Cancel", None)
    if not isinstance(cancel, types.FunctionType) or cancel.__closure__:
        return False
    cancel.__code__ = _cancel.__code__
    return True


def _cancel(self: Any, request: Any, context: Any) -> Any:  # noqa: ARG001 - gRPC's signature
    # Runs with the globals of the host's module, not with this module's.
    from google.protobuf import empty_pb2

    from athena_session_provider import host  # noqa: PLW0406

    host.cancelled.set()
    return empty_pb2.Empty()


def end_with_the_engine() -> bool:
    """Set ``cancelled`` and end the process when the engine ends without a word.

    A killed engine (``kill -9``, out of memory) leaves this process behind. It would wait on for a
    session that no state names, and start one as soon as there is capacity. Returns whether this
    call is the one that starts to watch the engine.
    """
    import grpc

    disconnected = threading.Event()

    def changed(state: Any) -> None:
        if state is grpc.ChannelConnectivity.READY:
            disconnected.clear()
        else:
            disconnected.set()

    def watch() -> None:
        # A process that is killed closes its connections before the socket on which it listens.
        while disconnected.wait() and _listens(_address()):
            time.sleep(LISTEN_SECONDS)
        _engine_is_gone()

    if not _ENGINE.watch(changed):
        return False
    threading.Thread(target=watch, daemon=True).start()
    return True


def engine_lost_for() -> float:
    """Return the seconds since the engine was found to be gone; 0 while it runs."""
    lost_at = _ENGINE.lost_at
    return 0.0 if lost_at is None else time.monotonic() - lost_at


def _engine_is_gone() -> None:
    if _ENGINE.lose():
        cancelled.set()
        threading.Thread(target=_exit_when_idle, daemon=True).start()


def _exit_when_idle() -> None:
    """End the process once its operations have given up, or EXIT_SECONDS have passed.

    Not by a signal: a process that was started in the background of a shell ignores SIGINT.
    """
    give_up_at = time.monotonic() + EXIT_SECONDS
    while any(busy() for busy in BUSY) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    os._exit(1)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True


def show_status(urn: str, message: str) -> None:
    """Show a message in the status column of a resource until the next one replaces it."""
    _log("INFO", urn, message, ephemeral=True)


def warn(urn: str, message: str) -> None:
    """Show a warning that stays in the diagnostics of a resource."""
    if not _log("WARNING", urn, message, ephemeral=False):
        sys.stderr.write(f"warning: {message}\n")


def _log(severity: str, urn: str, message: str, *, ephemeral: bool) -> bool:
    import grpc
    from pulumi.runtime.proto import engine_pb2

    try:
        stub = _ENGINE.stub()
        if stub is None:
            return False
        stub.Log(
            engine_pb2.LogRequest(
                severity=engine_pb2.LogSeverity.Value(severity),
                message=message,
                urn=urn,
                ephemeral=ephemeral,
            ),
            timeout=5,
        )
    except grpc.RpcError:
        return False
    return True


def _address() -> str:
    return sys.argv[-1] if is_host() else ""


class _Engine:
    """The connection to the engine, made once."""

    def __init__(self) -> None:
        self.lost_at: float | None = None
        self._lock = threading.Lock()
        self._channel: Any = None
        self._stub: Any = None
        self._watching = False

    def stub(self) -> Any:
        """Return the engine's stub; None if its address is not known."""
        with self._lock:
            return self._connected()

    def watch(self, changed: Callable[[Any], None]) -> bool:
        """Have ``changed`` called when the connection's state changes.

        Returns whether it will be: only the first call acts, and only if there is an engine.
        """
        with self._lock:
            if self._connected() is None or self._watching:
                return False
            self._watching = True
            self._channel.subscribe(changed, try_to_connect=True)
            return True

    def lose(self) -> bool:
        """Note that the engine is gone; return whether that is new."""
        with self._lock:
            if self.lost_at is not None:
                return False
            self.lost_at = time.monotonic()
            return True

    def _connected(self) -> Any:
        import grpc
        from pulumi.runtime.proto import engine_pb2_grpc

        if self._stub is None and ":" in (address := _address()):
            self._channel = grpc.insecure_channel(address)
            self._stub = engine_pb2_grpc.EngineStub(self._channel)
        return self._stub


_ENGINE = _Engine()
