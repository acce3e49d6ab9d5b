"""The account that the contract is tried in: Athena by boto3, and what the run has made there."""

from __future__ import annotations

import contextlib
import email.utils
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPARK_3 = "PySpark engine version 3"
SPARK_35 = "Apache Spark version 3.5"
ENGINES = (SPARK_3, SPARK_35)
READY = {SPARK_3: {"IDLE", "BUSY"}, SPARK_35: {"CREATED", "IDLE", "BUSY"}}
ENDED = {"TERMINATED", "FAILED"}
DPUS = 2
"""The least that MaxConcurrentDpus takes."""
TAG = "athena-session-provider:contract"
UNKNOWN_CODES = {
    "InvalidRequestException",
    "ResourceNotFoundException",
    "AccessDeniedException",
}
_LIVE = ("CREATING", "CREATED", "IDLE", "BUSY", "DEGRADED")


class NotCheckedError(Exception):
    """A clause cannot be checked here; the text says why."""


class Refusal(Exception):  # noqa: N818 - what the service answered, which may be right
    """An error that the service answered with."""

    def __init__(self, error: ClientError) -> None:
        detail = error.response.get("Error", {})
        self.code = detail.get("Code", "")
        self.text = detail.get("Message", "")
        self.athena_code = error.response.get("AthenaErrorCode", "")
        super().__init__(f"{self.code}: {self.text}")


@dataclass
class Account:
    """One work group of one account and region, and the sessions that the run starts in it.

    Args:
        athena: A boto3 client of Athena.
        work_group: The work group; it is read, and never changed.
        wait: Let so many seconds pass, such as `time.sleep`.
        run_id: Part of the description of everything that the run makes.
    """

    athena: Any
    work_group: str
    wait_seconds: Callable[[float], None] = time.sleep
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    takes_tags: bool = True
    seconds_left: float = float("inf")
    """How long the clause at hand may still wait; its cost is bounded by that."""
    _configuration: dict[str, Any] = field(default_factory=dict)
    _unanswered: dict[str, Any] | None = None
    """The StartSession request that is under way, or was when the run was interrupted."""
    _session_ids: list[str] = field(default_factory=list)
    _work_groups: list[str] = field(default_factory=list)

    # What is there

    @property
    def configuration(self) -> dict[str, Any]:
        """The work group's configuration."""
        if not self._configuration:
            group = self.call("get_work_group", WorkGroup=self.work_group)["WorkGroup"]
            self._configuration = group["Configuration"]
        return self._configuration

    @property
    def engine(self) -> str:
        """The work group's engine version."""
        return str(self.configuration["EngineVersion"]["EffectiveEngineVersion"])

    @property
    def region(self) -> str:
        """The region."""
        return str(self.athena.meta.region_name)

    @property
    def description(self) -> str:
        """The description of every session of this run, and of no other one."""
        return f"athena-session-provider contract {self.run_id}"

    @property
    def tags(self) -> list[dict[str, str]]:
        """The tag of everything that this run makes."""
        return [{"Key": TAG, "Value": self.run_id}]

    # Calls

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call the service; raise Refusal for an error that it answers with."""
        try:
            answer: dict[str, Any] = getattr(self.athena, operation)(**parameters)
        except ClientError as error:
            raise Refusal(error) from error
        return answer

    def refusal(self, operation: str, **parameters: Any) -> Refusal:
        """Call the service, which has to refuse."""
        try:
            answer = self.call(operation, **parameters)
        except Refusal as refusal:
            return refusal
        raise AssertionError(f"{operation} was not refused: {answer}")

    def wait(self, seconds: float) -> None:
        """Let time pass, within what the clause may take."""
        if seconds > self.seconds_left:
            raise NotCheckedError("it took longer than the clause may take")
        self.seconds_left -= seconds
        self.wait_seconds(seconds)

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return a StartSession request of this run, without tags."""
        return {
            "WorkGroup": self.work_group,
            "EngineConfiguration": {"MaxConcurrentDpus": DPUS},
            "Description": self.description,
            "SessionIdleTimeoutInMinutes": 5,
            "ClientRequestToken": secrets.token_hex(32),
            **changes,
        }

    def start_exactly(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a session by this request as it is; the session is ended with the run."""
        self._unanswered = request
        try:
            answer = self.call("start_session", **request)
        except Refusal:
            self._unanswered = None
            raise
        self._session_ids.append(answer["SessionId"])
        self._unanswered = None
        return answer

    def start(self, **changes: Any) -> str:
        """Start a session that carries the run's tag, unless the engine refuses tags."""
        request = self.request(**changes)
        if self.takes_tags and "Tags" not in request:
            try:
                return str(self.start_exactly({**request, "Tags": self.tags})["SessionId"])
            except Refusal as refusal:
                if refusal.code != "InvalidRequestException":
                    raise
        session_id = str(self.start_exactly(request)["SessionId"])
        # Without tags it works, so it was them.
        self.takes_tags = self.takes_tags and "Tags" in request
        return session_id

    def start_refusal(self, **changes: Any) -> Refusal:
        """Start a session, which has to be refused. A session that starts is ended."""
        try:
            answer = self.start_exactly(self.request(**changes))
        except Refusal as refusal:
            return refusal
        self.end(answer["SessionId"])
        raise AssertionError(f"StartSession was not refused: {sorted(changes)}")

    # Sessions

    def status(self, session_id: str) -> dict[str, Any]:
        """Return the status of a session."""
        status: dict[str, Any] = self.call("get_session_status", SessionId=session_id)["Status"]
        return status

    def status_or_none(self, session_id: str) -> dict[str, Any] | None:
        """Return the status of a session, or None where its id is not known."""
        try:
            return self.status(session_id)
        except Refusal as refusal:
            if refusal.code in UNKNOWN_CODES:
                return None
            raise

    def until(self, session_id: str, states: set[str], seconds: float) -> dict[str, Any]:
        """Wait until a session is in one of these states; return its status."""
        for pause in pauses(seconds):
            status = self.status(session_id)
            if status["State"] in states:
                return status
            self.wait(pause)
        raise AssertionError(f"the session was {status['State']} after {seconds:g} seconds")

    def until_ended(self, session_id: str, seconds: float = 120) -> dict[str, Any] | None:
        """Wait until a session has ended; None where it is not known any more by then."""
        for pause in pauses(seconds):
            status = self.status_or_none(session_id)
            if status is None or status["State"] in ENDED:
                return status
            self.wait(pause)
        raise AssertionError(f"the session had not ended after {seconds:g} seconds")

    def ready(self, **changes: Any) -> str:
        """Start a session and wait until it is ready."""
        session_id = self.start(**changes)
        self.until(session_id, READY[self.engine] | ENDED, 120)
        return session_id

    def ended(self, **changes: Any) -> str:
        """Start a session and wait until it has ended, by TerminateSession."""
        session_id = self.ready(**changes)
        self.call("terminate_session", SessionId=session_id)
        self.until_ended(session_id)
        return session_id

    def listed(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the sessions of this run that ListSessions shows."""
        found: list[dict[str, Any]] = []
        request = {"WorkGroup": self.work_group, "MaxResults": 100, **parameters}
        while True:
            page = self.call("list_sessions", **request)
            found += [
                item for item in page["Sessions"] if item.get("Description") == self.description
            ]
            if not page.get("NextToken"):
                return found
            request["NextToken"] = page["NextToken"]

    def arn(self, session_id: str, work_group: str = "") -> str:
        """Return the ARN of a session."""
        # Athena's ARNs need the account, which the role of every Spark work group tells.
        role = self.configuration.get("ExecutionRole", "")
        if role.count(":") < 5:
            raise NotCheckedError("the work group has no ExecutionRole that tells the account")
        _, partition, _, _, account, _ = role.split(":", 5)
        group = work_group or self.work_group
        return (
            f"arn:{partition}:athena:{self.region}:{account}:workgroup/{group}/session/{session_id}"
        )

    # Work groups

    @contextlib.contextmanager
    def own_work_group(self) -> Iterator[str]:
        """Make a work group like the one that is tried, and delete it at the end."""
        name = f"athena-session-provider-contract-{self.run_id}-{len(self._work_groups)}"
        kept = ("EngineVersion", "ExecutionRole", "ResultConfiguration")
        configuration = {key: self.configuration[key] for key in kept if key in self.configuration}
        configuration["EngineVersion"] = {"SelectedEngineVersion": self.engine}
        self._work_groups.append(name)
        try:
            self.call(
                "create_work_group",
                Name=name,
                Configuration=configuration,
                Description=self.description,
                Tags=self.tags,
            )
        except Refusal as refusal:
            raise NotCheckedError(f"no work group could be made: {refusal}") from refusal
        try:
            yield name
        finally:
            self.delete_work_group(name)

    def delete_work_group(self, name: str) -> None:
        """Delete a work group of this run, if it is there."""
        assert name in self._work_groups
        with contextlib.suppress(Refusal):
            self.call("delete_work_group", WorkGroup=name, RecursiveDeleteOption=True)

    # The end

    def end(self, session_id: str) -> None:
        """End a session of this run; one that is gone is a success."""
        assert session_id in self._session_ids
        with contextlib.suppress(Refusal):
            self.call("terminate_session", SessionId=session_id)

    def end_all(self) -> list[str]:
        """End everything that this run has made; return what may be left.

        A start whose answer was lost is sent again with its token, which gives its session, and
        found by its description.
        """
        if self._unanswered:
            with contextlib.suppress(Refusal, BotoCoreError):
                self.start_exactly(self._unanswered)
        for name in self._work_groups:
            self.delete_work_group(name)
        with contextlib.suppress(Refusal, BotoCoreError):
            found = [item["SessionId"] for item in self.listed()]
            self._session_ids += [item for item in found if item not in self._session_ids]
        self._session_ids = [item for item in self._session_ids if self._may_live(item)]
        self._work_groups.clear()
        return list(self._session_ids)

    def _may_live(self, session_id: str) -> bool:
        """End a session; tell whether it may live on."""
        try:
            self.end(session_id)
            status = self.status_or_none(session_id)
        except (Refusal, BotoCoreError):
            return True
        return status is not None and status["State"] in _LIVE


def pauses(seconds: float) -> Iterator[float]:
    """Yield pauses that grow from 1 second to 15 and add up to so many seconds."""
    waited = 0.0
    while waited <= seconds:
        pause = 1.0 if waited < 10 else 5.0 if waited < 60 else 15.0
        yield pause
        waited += pause


def service_time(answer: dict[str, Any]) -> float:
    """Return when the service answered, by its own clock, in seconds since the epoch."""
    date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    return email.utils.parsedate_to_datetime(date).timestamp()
