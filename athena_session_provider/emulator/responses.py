"""The operations: from the parameters of a request to the members of its response.

Those that are not here (queries, catalogs, reservations) are moto's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from . import messages, workgroups
from .calculations import FINAL_STATES, Calculation, CalculationStore
from .errors import InvalidRequestError, ServiceError, access_denied, not_found
from .models import INACTIVE_STATES, SPARK_3, Session, SessionStore, check_tag_count
from .spark_connect import SparkServerError
from .validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .scope import Scope
    from .spark_connect import SparkConnect

_ARN = re.compile(
    r"arn:[^:]+:athena:(?P<region>[^:]*):(?P<account>[^:]*)"
    r":workgroup/(?P<work_group>[^/]+)(?:/session/(?P<session>.+))?"
)


@dataclass
class Request:
    """One call of an operation, and its result."""

    operation: str
    parameters: dict[str, Any]
    scope: Scope
    fail_start: str | None = None
    """The reason to let the session that this request starts end FAILED."""
    created_session: bool = field(default=False, init=False)
    session_id: str | None = field(default=None, init=False)
    before_answer: Callable[[], None] | None = field(default=None, init=False)
    """What the answer has to wait for, outside of the lock of the sessions."""


class _Tags(Protocol):
    def read(self) -> Mapping[str, str]: ...

    def write(self, tags: Mapping[str, str]) -> None: ...


class Operations:
    """Everything the emulator answers itself, by the name of the operation."""

    def __init__(
        self, sessions: SessionStore, calculations: CalculationStore, spark_connect: SparkConnect
    ) -> None:
        self._sessions = sessions
        self._spark_connect = spark_connect
        self._calculations = calculations
        self._handlers: dict[str, Callable[[Request], dict[str, Any]]] = {
            "StartSession": self._start_session,
            "GetSession": self._get_session,
            "GetSessionStatus": self._get_session_status,
            "GetSessionEndpoint": self._get_session_endpoint,
            "ListSessions": self._list_sessions,
            "TerminateSession": self._terminate_session,
            "StartCalculationExecution": self._start_calculation,
            "StopCalculationExecution": self._stop_calculation,
            "GetCalculationExecution": self._get_calculation,
            "GetCalculationExecutionStatus": self._get_calculation_status,
            "GetCalculationExecutionCode": self._get_calculation_code,
            "ListCalculationExecutions": self._list_calculations,
            "TagResource": self._tag_resource,
            "UntagResource": self._untag_resource,
            "ListTagsForResource": self._list_tags_for_resource,
            "CreateWorkGroup": self._create_work_group,
            "GetWorkGroup": self._get_work_group,
            "ListWorkGroups": self._list_work_groups,
            "UpdateWorkGroup": self._update_work_group,
            "DeleteWorkGroup": self._delete_work_group,
            "ListEngineVersions": self._list_engine_versions,
        }

    def handles(self, request: Request) -> bool:
        """Whether a request is ours to answer, and not moto's."""
        arn = request.parameters.get("ResourceARN")
        if isinstance(arn, str) and not _ARN.fullmatch(arn):
            # moto tags its own resources, such as data catalogs.
            return False
        return request.operation in self._handlers

    def handle(self, request: Request) -> dict[str, Any]:
        """Answer a request; an error of the service is raised as ServiceError."""
        if message := validate(request.operation, request.parameters):
            raise InvalidRequestError(message)
        with self._sessions.lock:
            answer = self._handlers[request.operation](request)
        if request.before_answer:
            request.before_answer()
        return answer

    # Sessions

    def _start_session(self, request: Request) -> dict[str, Any]:
        sessions, parameters, scope = (
            self._sessions,
            request.parameters,
            request.scope,
        )
        sessions.throttle_start()
        # Before anything that can change in time: a replay is answered alike even
        # when the work group is gone.
        if response := sessions.tokens.replay(scope, parameters):
            request.session_id = response["SessionId"]
            if not self._replay_of_dead(scope, response["SessionId"]):
                return response
        work_group = workgroups.get(scope, parameters["WorkGroup"])
        if not work_group.is_spark:
            raise InvalidRequestError(messages.NOT_SPARK)
        if work_group.state != "ENABLED":
            raise InvalidRequestError(f"WorkGroup {work_group.name} is disabled.")
        session = sessions.start(scope, work_group, parameters, request.fail_start)
        request.created_session = True
        request.session_id = session.session_id
        response = {"SessionId": session.session_id, "State": session.state}
        sessions.tokens.remember(scope, parameters, response)
        return response

    def _replay_of_dead(self, scope: Scope, session_id: str) -> bool:
        """Whether a token whose session has ended starts a new one, as the settings have it."""
        session = self._sessions.find(scope, session_id)
        if session is not None and session.state not in INACTIVE_STATES:
            return False
        answer = self._sessions.settings.replay_of_dead
        if answer == "SessionAlreadyExistsException":
            raise ServiceError(answer, messages.ALREADY_EXISTS)
        return answer == "new-session"

    def _get_session(self, request: Request) -> dict[str, Any]:
        session = self._session(request)
        parameters, work_group = session.parameters, session.work_group
        members = {
            "SessionId": session.session_id,
            "Description": parameters.get("Description"),
            "WorkGroup": work_group.name,
            "EngineVersion": work_group.engine_version,
            "EngineConfiguration": parameters["EngineConfiguration"],
            "NotebookVersion": parameters.get("NotebookVersion"),
            "MonitoringConfiguration": parameters.get("MonitoringConfiguration"),
            "SessionConfiguration": _present(
                {
                    "ExecutionRole": parameters.get("ExecutionRole") or work_group.execution_role,
                    "WorkingDirectory": session.working_directory,
                    "IdleTimeoutSeconds": session.idle_timeout_minutes * 60,
                    "SessionIdleTimeoutInMinutes": session.idle_timeout_minutes,
                }
            ),
            "Status": self._status(session),
            "Statistics": {
                "DpuExecutionInMillis": session.dpu_milliseconds(self._sessions.clock.now())
            },
        }
        configuration = members["SessionConfiguration"]
        match self._sessions.settings.get_session_members:
            case "few":
                del members["SessionConfiguration"], members["Statistics"]
            case "no-idle-timeout-minutes":
                del configuration["SessionIdleTimeoutInMinutes"]
            case "no-idle-timeout-seconds":
                del configuration["IdleTimeoutSeconds"]
        return _present(members)

    def _get_session_status(self, request: Request) -> dict[str, Any]:
        session = self._session(request)
        return {"SessionId": session.session_id, "Status": self._status(session)}

    def _get_session_endpoint(self, request: Request) -> dict[str, Any]:
        session = self._session(request)
        answer = self._sessions.endpoint(session, self._spark_connect.url())
        self._spark_connect.admit(session, answer)
        request.before_answer = lambda: self._wait_for_server(session)
        return answer

    def _wait_for_server(self, session: Session) -> None:
        try:
            self._spark_connect.wait(session)
        except SparkServerError as error:
            text = f"Session {session.session_id} has no endpoint: {error}"
            raise InvalidRequestError(text) from error

    def _list_sessions(self, request: Request) -> dict[str, Any]:
        workgroups.get(request.scope, request.parameters["WorkGroup"])
        page, token = self._sessions.page(request.scope, request.parameters)
        return _present({"Sessions": [self._summary(item) for item in page], "NextToken": token})

    def _terminate_session(self, request: Request) -> dict[str, Any]:
        session = self._session(request)
        self._sessions.terminate(session)
        return {"State": session.state}

    def _session(self, request: Request) -> Session:
        request.session_id = session_id = request.parameters["SessionId"]
        sessions, scope = self._sessions, request.scope
        session = sessions.find(scope, session_id)
        if session is not None and not workgroups.exists(scope, session.work_group.name):
            match sessions.settings.session_of_deleted_work_group:
                case "work-group-not-found":
                    raise InvalidRequestError(messages.NO_WORK_GROUP)
                case "unknown":
                    session = None
        if session is not None:
            return session
        if sessions.settings.unknown_session_access == "denied":
            action = f"athena:{request.operation}"
            raise access_denied(scope, action, "*", sessions.settings.access_denied_text)
        raise sessions.unknown("Session", session_id)

    def _status(self, session: Session) -> dict[str, Any]:
        kept = self._sessions.settings.idle_since_of_ended == "kept"
        was_idle = kept and session.state in INACTIVE_STATES
        return _present(
            {
                "StartDateTime": session.started_at,
                "LastModifiedDateTime": session.modified_at,
                "EndDateTime": session.ended_at,
                "IdleSinceDateTime": session.was_idle_since if was_idle else session.idle_since,
                "State": session.state,
                "StateChangeReason": session.state_change_reason,
            }
        )

    def _summary(self, session: Session) -> dict[str, Any]:
        engine = session.work_group.engine_version
        return _present(
            {
                "SessionId": session.session_id,
                "Description": session.parameters.get("Description"),
                "EngineVersion": {
                    "SelectedEngineVersion": engine,
                    "EffectiveEngineVersion": engine,
                },
                "NotebookVersion": session.parameters.get("NotebookVersion"),
                "Status": self._status(session),
            }
        )

    # Calculations

    def _start_calculation(self, request: Request) -> dict[str, Any]:
        session, tokens = self._session(request), self._calculations.tokens
        if response := tokens.replay(request.scope, request.parameters):
            return response
        calculation = self._calculations.start(session, request.parameters)
        response = {
            "CalculationExecutionId": calculation.calculation_id,
            "State": calculation.state,
        }
        tokens.remember(request.scope, request.parameters, response)
        return response

    def _stop_calculation(self, request: Request) -> dict[str, Any]:
        calculation = self._calculation(request)
        self._calculations.stop(calculation)
        return {"State": calculation.state}

    def _get_calculation(self, request: Request) -> dict[str, Any]:
        calculation = self._calculation(request)
        return _present(
            {
                "CalculationExecutionId": calculation.calculation_id,
                "SessionId": calculation.session.session_id,
                "Description": calculation.description,
                "WorkingDirectory": calculation.session.working_directory,
                **self._progress(calculation),
                "Result": calculation.result or None,
            }
        )

    def _get_calculation_status(self, request: Request) -> dict[str, Any]:
        return self._progress(self._calculation(request))

    def _get_calculation_code(self, request: Request) -> dict[str, Any]:
        return {"CodeBlock": self._calculation(request).code}

    def _list_calculations(self, request: Request) -> dict[str, Any]:
        page, token = self._calculations.page(self._session(request), request.parameters)
        listed = [
            _present(
                {
                    "CalculationExecutionId": item.calculation_id,
                    "Description": item.description,
                    "Status": _calculation_status(item),
                }
            )
            for item in page
        ]
        return _present({"Calculations": listed, "NextToken": token})

    def _calculation(self, request: Request) -> Calculation:
        calculation_id = request.parameters["CalculationExecutionId"]
        calculation = self._calculations.get(request.scope, calculation_id)
        request.session_id = calculation.session.session_id
        return calculation

    def _progress(self, calculation: Calculation) -> dict[str, Any]:
        # Clients fail without Statistics, in whatever state the calculation is.
        done = calculation.state in FINAL_STATES
        return {
            "Status": _calculation_status(calculation),
            "Statistics": {
                "DpuExecutionInMillis": calculation.milliseconds(self._sessions.clock.now()),
                "Progress": "100%" if done else "0%",
            },
        }

    # Tags

    def _tag_resource(self, request: Request) -> dict[str, Any]:
        tags = self._tags(request)
        changed = {
            **tags.read(),
            **{tag["Key"]: tag.get("Value", "") for tag in request.parameters["Tags"]},
        }
        check_tag_count(changed)
        tags.write(changed)
        return {}

    def _untag_resource(self, request: Request) -> dict[str, Any]:
        tags, keys = self._tags(request), request.parameters["TagKeys"]
        tags.write({key: item for key, item in tags.read().items() if key not in keys})
        return {}

    def _list_tags_for_resource(self, request: Request) -> dict[str, Any]:
        tags = self._tags(request).read()
        return {"Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}

    def _tags(self, request: Request) -> _Tags:
        arn, scope = request.parameters["ResourceARN"], request.scope
        match = _ARN.fullmatch(arn)
        if not match or (match["region"], match["account"]) != (
            scope.region,
            scope.account_id,
        ):
            raise not_found(arn)
        if match["session"] is None:
            return workgroups.WorkGroupTags(scope, match["work_group"])
        session = self._sessions.find(scope, match["session"])
        if session is None or session.arn != arn:
            raise not_found(arn)
        request.session_id = session.session_id
        engine = session.work_group.engine_version
        refuses = engine == SPARK_3 and self._sessions.settings.engine_3_tags == "refused"
        if refuses and request.operation != "ListTagsForResource":
            raise InvalidRequestError(messages.NOT_FOR_ENGINE.format(what="Tags", engine=engine))
        return _SessionTags(session)

    # Work groups

    def _create_work_group(self, request: Request) -> dict[str, Any]:
        now = self._sessions.clock.now()
        workgroups.create(request.scope, request.parameters, now)
        return {}

    def _get_work_group(self, request: Request) -> dict[str, Any]:
        name = request.parameters["WorkGroup"]
        return {"WorkGroup": workgroups.describe(request.scope, name)}

    def _list_work_groups(self, request: Request) -> dict[str, Any]:
        return {"WorkGroups": workgroups.summaries(request.scope)}

    def _update_work_group(self, request: Request) -> dict[str, Any]:
        workgroups.update(request.scope, request.parameters)
        return {}

    def _delete_work_group(self, request: Request) -> dict[str, Any]:
        workgroups.delete(request.scope, request.parameters, self._sessions)
        return {}

    def _list_engine_versions(self, _: Request) -> dict[str, Any]:
        return {
            "EngineVersions": [
                {
                    "SelectedEngineVersion": name,
                    "EffectiveEngineVersion": (workgroups.SQL_ENGINE if name == "AUTO" else name),
                }
                for name in workgroups.ENGINE_VERSIONS
            ]
        }


class _SessionTags:
    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self) -> Mapping[str, str]:
        return dict(self._session.tags)

    def write(self, tags: Mapping[str, str]) -> None:
        self._session.tags = dict(tags)


def _calculation_status(calculation: Calculation) -> dict[str, Any]:
    return _present(
        {
            "SubmissionDateTime": calculation.submitted_at,
            "CompletionDateTime": calculation.completed_at,
            "State": calculation.state,
            "StateChangeReason": calculation.reason,
        }
    )


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the members that have no value, as the service does."""
    return {name: value for name, value in members.items() if value is not None}
