"""Faults that a test orders for calls to come, one at each call at most."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import botocore.session

from . import messages
from .errors import ServiceError, access_denied
from .validation import service_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .scope import Scope
    from .settings import Settings

KINDS = {
    "drop-before": "close the connection without acting",
    "drop-after": "act, then close the connection without an answer",
    "reset": "reset the connection (TCP RST) without acting",
    "throttle": "answer that the rate is exceeded, without acting",
    "error": "answer with `code`, `message` and `status`, without acting",
    "error-after": "act, then answer with `code`, `message` and `status`",
    "slow": "wait `seconds`, then act and answer",
    "slow-after": "act, wait `seconds`, then answer",
    "access-denied": "answer that the user may not do this, without acting",
    "fail-start": "start the session, and let it end FAILED because of `message`",
    "expired-token": "answer that the credentials have expired, without acting",
}
ANY = "*"
ACTS_FIRST = frozenset({"drop-after", "error-after", "slow-after"})


class ConnectionDropped(Exception):  # noqa: N818 - what happened, not an error
    """Raised through the WSGI stack: the client gets no answer."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


@dataclass
class Fault:
    """One order: which calls, what happens to them, how often."""

    fault_id: int
    operation: str
    kind: str
    times: int | None = 1
    """How many calls; None is every one from now on."""
    after: int = 0
    """How many matching calls pass first."""
    seconds: float = 0.0
    """How long to wait, whatever the kind: before acting, or after it in the kinds
    that act first."""
    code: str | None = None
    message: str | None = None
    status: int | None = None
    session_id: str | None = None
    """Only calls that name this session."""
    work_group: str | None = None
    """Only calls about this work group or one of its sessions."""
    region: str | None = None
    """Only calls in this region."""
    fired: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        """Refuse what would never fire, which a test would take for success."""
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; there are {', '.join(KINDS)}")
        if self.operation != ANY and self.operation not in _operations():
            raise ValueError(f"neither Athena nor STS has an operation {self.operation!r}")
        if self.kind == "fail-start" and self.operation not in {ANY, "StartSession"}:
            raise ValueError("fail-start is for StartSession only")
        if (self.times is not None and self.times < 1) or self.after < 0:
            raise ValueError("times must be at least 1 (or None for always), after at least 0")

    def due(
        self, operation: str, parameters: Mapping[str, Any], work_group: str, region: str
    ) -> bool:
        """Count a call if it matches, and say whether the fault is due at it."""
        if self.operation not in {ANY, operation}:
            return False
        if self.kind == "fail-start" and operation != "StartSession":
            return False
        if self.session_id is not None and self.session_id not in _names(parameters):
            return False
        if self.work_group not in {None, work_group} or self.region not in {None, region}:
            return False
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.fired < self.times)

    def error(
        self, service: str, operation: str, scope: Scope, work_group: str, settings: Settings
    ) -> ServiceError | None:
        """Return the error that the fault answers with, or None if it has none."""
        if self.kind == "throttle":
            return self._error(settings.throttling_code, messages.THROTTLED)
        if self.kind in {"error", "error-after"}:
            return self._error("InternalServerException", "Internal server error")
        if self.kind == "access-denied":
            action, form = f"{service}:{operation}", settings.access_denied_text
            denied = access_denied(scope, action, work_group, form)
            return self._error(denied.code, denied.message)
        if self.kind == "expired-token":
            message = "The security token included in the request is expired"
            return self._error("ExpiredTokenException", message)
        return None

    def _error(self, code: str, message: str) -> ServiceError:
        code = self.code or code
        status = self.status or (500 if code == "InternalServerException" else 400)
        return ServiceError(code, self.message or message, status)


class FaultPlan:
    """The faults on order. The first that is due at a call is what happens to it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._lock = Lock()

    def add(self, operation: str, kind: str, **options: Any) -> int:
        """Order a fault and return its id."""
        with self._lock:
            fault = Fault(next(self._ids), operation, kind, **options)
            self._faults.append(fault)
            return fault.fault_id

    def take(
        self, operation: str, parameters: Mapping[str, Any], work_group: str, region: str
    ) -> Fault | None:
        """Count a call in every fault, and return the one that is to happen."""
        with self._lock:
            due = [
                item for item in self._faults if item.due(operation, parameters, work_group, region)
            ]
            if not due:
                return None
            due[0].fired += 1
            return due[0]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return every order with how often it fired."""
        with self._lock:
            return [asdict(item) for item in self._faults]


def _names(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    arn = parameters.get("ResourceARN")
    of_arn = arn.rpartition("/session/")[2] if isinstance(arn, str) else None
    return parameters.get("SessionId"), of_arn


@cache
def _operations() -> frozenset[str]:
    sts = botocore.session.get_session().get_service_model("sts")
    return frozenset(service_model().operation_names) | frozenset(sts.operation_names)
