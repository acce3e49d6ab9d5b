"""Pulumi's calls on a session, in plain values.

Properties are maps in snake_case, as ``athena_session_provider.inputs`` describes them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from athena_session_provider import inputs
from athena_session_provider.inputs import IDENTITY, REGION, TIMEOUTS
from athena_session_provider.operations.leftovers import end_leftovers, is_unfinished
from athena_session_provider.service.accounts import require_allowed
from athena_session_provider.service.api import session_arn
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import (
    AccessDeniedError,
    AthenaSessionError,
    CancelledError,
    ConfigurationError,
    MissingCredentialsError,
    SessionNotFoundError,
)
from athena_session_provider.service.lifecycle import (
    CLEANUP_SECONDS,
    SessionLifecycle,
    require_account,
    why_ended,
)
from athena_session_provider.service.ownership import (
    Mark,
    hash_of,
    is_identity,
    is_own_tag,
    marked,
)
from athena_session_provider.service.request import Failure, start_session_members, to_request
from athena_session_provider.service.settings import aws_settings, resolved_region
from athena_session_provider.service.states import Phase, SessionState
from athena_session_provider.service.token import Identity
from athena_session_provider.service.values import comparable, leaves
from athena_session_provider.service.waiting import (
    DEFAULT_TIMEOUT_SECONDS,
    Deadline,
    retry,
    timeout_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from athena_session_provider.operations.run import ProviderHost, Run
    from athena_session_provider.service.api import Athena, SessionStatus
    from athena_session_provider.service.boto import BotoAthena
    from athena_session_provider.service.settings import AwsSettings, StackConfiguration

LIVENESS_SECONDS = 10.0
"""How old the status may be by which diff takes a session to be alive."""

CALL_SECONDS = 60.0
"""How long read and update repeat a call that the service throttles."""

ORPHAN_SECONDS = 2.0
"""How long after its engine's sudden end a provider still ends the session that it was starting.

No later command can have adopted the session in this time; after it, one may have.
"""

PREVIOUS_OUTPUTS = (*inputs.OUTPUTS, REGION)


@dataclass(frozen=True)
class Diff:
    """What a change of properties means."""

    replaces: list[str] = field(default_factory=list)
    """Names of the properties that require a new session."""
    updates: list[str] = field(default_factory=list)
    """Names of the properties that change in place."""

    @property
    def changes(self) -> bool:
        """Whether anything changes."""
        return bool(self.replaces or self.updates)


class AfterEnd(Enum):
    """The effect of a session's end on its resource. Diff and read agree on it."""

    RESTART = "The next `pulumi up` starts a new session."
    STAY = "The resource keeps the ended session until its triggers or arguments change."
    STAY_PROTECTED = (
        "It is not replaced, because the resource is protected. To start a new session, remove "
        "protect from the program and run `pulumi up` twice: for the option, and for the session."
    )
    STAY_ADOPTED = (
        "It was taken over by adopt_session_id. Remove that argument, and the next `pulumi up` "
        "starts a new session."
    )


def after_end(olds: Mapping[str, Any], news: Mapping[str, Any], session_id: str) -> AfterEnd:
    """Return the effect of a session's end on its resource.

    Args:
        olds: The stored properties.
        news: The properties now; the stored ones again if the program is not run.
        session_id: The session.
    """
    if news.get("restart_when_dead") is False:
        return AfterEnd.STAY
    # The engine refuses to replace what the state has as protected.
    if inputs.is_protected(olds) or inputs.is_protected(news):
        return AfterEnd.STAY_PROTECTED
    if news.get("adopt_session_id") == session_id:
        return AfterEnd.STAY_ADOPTED
    return AfterEnd.RESTART


class SessionOperations:
    """The operations of one provider process."""

    def __init__(
        self, config: StackConfiguration, run: Run, host: ProviderHost, *, unknown: object
    ) -> None:
        """Prepare; nothing is called yet.

        Args:
            config: The stack's configuration, by full keys such as ``aws:region``.
            run: What this command knows, shared by all operations of the process.
            host: Warnings, progress and cancellation.
            unknown: The placeholder for a value that is not known yet.
        """
        self._config = config
        self._run = run
        self._host = host
        self._unknown = unknown

    # -- check and diff ---------------------------------------------------------------------------

    def check(
        self, news: Mapping[str, Any], olds: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Validate and normalize the inputs, and fill in what the configuration says.

        Args:
            news: The inputs as the program gives them.
            olds: The stored inputs; empty or None for a new session.

        Returns:
            The inputs to store, and the failures as they are to be shown. Never raises.
        """
        checked, failures = inputs.check_properties(news, self._unknown)
        if not any(failure.path.startswith("aws") for failure in failures):
            failures += self._fill_in(checked)
        if not failures and not olds:
            self._warn_of_cost(checked)
        return checked, inputs.present(failures, news)

    def _fill_in(self, checked: dict[str, Any]) -> list[Failure]:
        aws = checked.get("aws") or {}
        if self._unknown in (aws, aws.get("region") if aws != self._unknown else None):
            checked[REGION] = self._unknown
            return []
        known = {key: value for key, value in aws.items() if self._unknown not in leaves(value)}
        try:
            settings = aws_settings(self._config, known)
            checked[REGION] = resolved_region(settings)
        except ConfigurationError as exc:
            return [Failure("aws", str(exc))]
        tags = checked.get("tags") or {}
        if isinstance(tags, dict) and settings.tags(tags) != tags:
            checked["tags"] = settings.tags(tags)
        # What is not known yet may say as whom to call.
        return self._check_account(settings, checked[REGION]) if known == aws else []

    def _check_account(self, settings: AwsSettings, region: str) -> list[Failure]:
        """Refuse an account that is not allowed in preview already, if there are credentials."""
        try:
            self._client(settings, region).require_allowed_account()
        except MissingCredentialsError:
            return []
        except AthenaSessionError as exc:
            return [Failure("aws", str(exc))]
        return []

    def _warn_of_cost(self, checked: Mapping[str, Any]) -> None:
        engine = checked.get("engine_configuration")
        if (
            engine != self._unknown
            and "max_concurrent_dpus" not in (engine or {})
            and not checked.get("adopt_session_id")
            and checked.get("work_group") is not None
        ):
            self._host.warn(self._urn(checked), inputs.NO_MAXIMUM_DPUS)

    def diff(self, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> Diff:
        """Return what changed. A session that has ended is replaced, with a warning.

        Args:
            session_id: The session.
            olds: The stored properties.
            news: The checked inputs.
        """
        self._remember(session_id, olds)
        replaces = inputs.replaced_by(olds, news, session_id)
        if not replaces and news.get("restart_when_dead") is not False:
            replaces = self._found_dead(session_id, olds, news)
        return Diff(replaces, inputs.updated_by(olds, news))

    def _found_dead(
        self, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> list[str]:
        warn = self._warning(news)
        try:
            athena = self._athena(olds)
            try:
                poller = self._run.pollers.of(athena, olds.get("work_group", ""))
                since = self._host.cleanup_clock().monotonic() - LIVENESS_SECONDS
                status = poller.recent_status(session_id, since)
            except SessionNotFoundError:
                require_account(athena, session_id, olds.get("account_id"))
                end = "is not known to the service any more"
            else:
                if status.phase is not Phase.DEAD:
                    return []
                end = why_ended(status, olds.get("session_idle_timeout_in_minutes"))
        except AthenaSessionError as exc:
            warn(f"Could not check whether session {session_id} still runs. {exc}")
            return []
        consequence = after_end(olds, news, session_id)
        if consequence is not AfterEnd.RESTART:
            warn(f"Session {session_id} {end}. {consequence.value}")
            return []
        warn(f"Session {session_id} {end}; it will be started again.")
        return ["session_id"]

    # -- create, read, update, delete -------------------------------------------------------------

    def create(
        self, props: Mapping[str, Any], timeout: float | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start a session, or take one over, and wait until it is ready.

        Args:
            props: The checked inputs.
            timeout: Seconds to wait; None for the ``timeouts`` input, or its default.

        Returns:
            The session's id, and the properties to store.

        Raises:
            AthenaSessionError: No session is left running, or the text says so.
        """
        identity = self._identity(props)
        with self._run.working(identity.owner):
            athena = self._athena(props)
            deadline = self._deadline(props, "create", timeout)
            if props.get("adopt_session_id"):
                token = ""
                details = self._lifecycle(athena, props, deadline).adopt(props["adopt_session_id"])
                status = details.status
            else:
                token, status = self._start(athena, props, identity, deadline)
            self._run.know(status.session_id)
            self._end_leftovers_after(props, identity.owner)
        outs = {
            **_stored_inputs(props),
            **_outputs(athena, props["work_group"], status),
            "client_request_token": token,
        }
        return status.session_id, outs

    def _start(
        self, athena: Athena, props: Mapping[str, Any], identity: Identity, deadline: Deadline
    ) -> tuple[str, SessionStatus]:
        request = to_request(inputs.service_arguments(props))
        mark = Mark(
            identity.owner if is_identity(identity.owner) else "",
            hash_of(identity.urn),
            hash_of([request, identity.triggers]),
            identity.urn,
        )
        self._end_older_starts(athena, props, mark, deadline)
        with self._run.starting(mark):
            created = self._lifecycle(athena, props, deadline).create(
                identity,
                marked(request, mark),
                previous_token=self._run.token_of(identity.urn),
                cleanup=self._cleanup_deadline,
                on_started=self._run.know,
                may_adopt=self._may_adopt(athena, props, deadline),
            )
        return created.client_request_token, created.status

    def _may_adopt(
        self, athena: Athena, props: Mapping[str, Any], deadline: Deadline
    ) -> Callable[[str], bool] | None:
        """Return what decides whether a session of an earlier create may be adopted.

        In a replacement that creates first, it may be the old session, which the engine deletes
        afterwards.
        """
        if not (props.get(IDENTITY) or {}).get("create_before_delete"):
            return None

        def may_adopt(session_id: str) -> bool:
            try:
                return is_unfinished(athena, props["work_group"], session_id, deadline)
            except (AccessDeniedError, SessionNotFoundError):
                return False

        return may_adopt

    def _end_older_starts(
        self, athena: Athena, props: Mapping[str, Any], mark: Mark, deadline: Deadline
    ) -> None:
        """End what an interrupted create of the same resource, with other arguments, has left.

        It may hold the quota that the new session needs. One with the same arguments is adopted.
        """
        try:
            end_leftovers(
                athena,
                props["work_group"],
                mark.identity,
                self._run,
                deadline,
                warn=self._warning(props),
                only=lambda other: (
                    other.urn_hash == mark.urn_hash and other.request_hash != mark.request_hash
                ),
            )
        except CancelledError:
            raise
        except AthenaSessionError as exc:
            self._warning(props)(f"Could not look for sessions of interrupted creates. {exc}")

    def _end_leftovers_after(self, props: Mapping[str, Any], identity: str) -> None:
        """End leftovers of the stack's other resources, where no other operation is running.

        By then the operations of this command have said which sessions the state names.
        """
        self._run.note_place(identity, self._athena(props), str(props.get("work_group", "")))
        seconds = 0.0 if self._host.cancelled.is_set() else CLEANUP_SECONDS
        for owner, (athena, work_group) in self._run.idle_places(identity).items():
            try:
                end_leftovers(
                    athena,
                    work_group,
                    owner,
                    self._run,
                    Deadline.after(seconds, self._host.cleanup_clock()),
                    warn=self._warning(props),
                )
            except AthenaSessionError as exc:
                # The operation itself has succeeded; the next command looks again.
                self._warning(props)(f"Could not look for sessions of interrupted creates. {exc}")

    def read(self, session_id: str, props: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Return the session's id and properties from the service; None if the resource is gone.

        Args:
            session_id: The session.
            props: The stored properties; only ``aws`` and such for a session that is read for the
                first time.

        Raises:
            AthenaSessionError: The session's state could not be determined.
        """
        self._remember(session_id, props)
        athena = self._athena(props)
        deadline = Deadline.after(CALL_SECONDS, self._host.clock())
        # The arguments of a session never change, and the service adds defaults of its own to
        # what it returns: the stored ones are better. `Session.get` has none yet.
        outs = _stored_inputs(props) | _present(props, ["client_request_token"])
        try:
            details = retry(lambda: athena.get_session(session_id), deadline)
        except SessionNotFoundError:
            require_account(athena, session_id, props.get("account_id"))
            if after_end(props, props, session_id) is AfterEnd.RESTART:
                return None
            outs |= _present(props, PREVIOUS_OUTPUTS)
            return session_id, outs | {"state": SessionState.TERMINATED.value}
        dead = details.status.phase is Phase.DEAD
        if dead and after_end(props, props, session_id) is AfterEnd.RESTART:
            return None
        is_new = "work_group" not in outs
        if is_new:
            outs |= details.arguments
        if (is_new or outs.get("tags")) and not dead:
            stored = None if is_new else outs["tags"]
            outs["tags"] = self._tags(athena, details.work_group, session_id, stored)
        return session_id, outs | _outputs(athena, details.work_group, details.status)

    def _tags(
        self, athena: Athena, work_group: str, session_id: str, stored: Mapping[str, str] | None
    ) -> dict[str, str]:
        """Return the values that the stored tags have now; all tags if None is stored yet.

        Other tags than the stored ones may come from the work group, and are not the resource's.
        """
        arn = session_arn(athena, work_group, session_id)
        if arn is None:
            return dict(stored or {})
        deadline = Deadline.after(CALL_SECONDS, self._host.clock())
        try:
            found = retry(lambda: athena.list_tags(arn), deadline)
        except AthenaSessionError as exc:
            self._host.warn("", f"Could not read the tags of session {session_id}. {exc}")
            return dict(stored or {})
        return {
            key: value
            for key, value in found.items()
            if not is_own_tag(key)
            and not key.startswith("aws:")
            and (stored is None or key in stored)
        }

    def update(
        self, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change the tags, the only thing about a session that can be changed.

        Args:
            session_id: The session.
            olds: The stored properties.
            news: The checked inputs.

        Returns:
            The properties to store.

        Raises:
            AthenaSessionError: The tags could not be changed.
        """
        self._remember(session_id, olds)
        identity = self._identity(news).owner
        with self._run.working(identity):
            tags, removed = inputs.changed_tags(olds, news)
            ignored = aws_settings(self._config, news.get("aws")).ignore_tags
            removed = [key for key in removed if key not in ignored]
            if tags or removed:
                self._change_tags(session_id, news, tags, removed)
            self._end_leftovers_after(news, identity)
        return _stored_inputs(news) | _present(olds, PREVIOUS_OUTPUTS)

    def _change_tags(
        self,
        session_id: str,
        news: Mapping[str, Any],
        tags: Mapping[str, str],
        removed: list[str],
    ) -> None:
        athena = self._athena(news)
        arn = session_arn(athena, news["work_group"], session_id)
        if arn is None:
            message = (
                f"The tags of session {session_id} cannot be changed: its ARN contains the "
                "account, and the account of the credentials could not be determined. Make STS "
                "GetCallerIdentity reachable, or undo the change of the tags."
            )
            raise ConfigurationError(message)
        deadline = Deadline.after(CALL_SECONDS, self._host.clock())
        if removed:
            retry(lambda: athena.untag_resource(arn, removed), deadline)
        if tags:
            retry(lambda: athena.tag_resource(arn, tags), deadline)

    def delete(
        self, session_id: str, props: Mapping[str, Any], timeout: float | None = None
    ) -> None:
        """Terminate the session and wait until it has ended.

        Args:
            session_id: The session.
            props: The stored properties.
            timeout: Seconds to wait; None for the ``timeouts`` input, or its default.

        Raises:
            AthenaSessionError: The session may still be running.
        """
        self._remember(session_id, props)
        identity = self._identity(props).owner
        with self._run.working(identity):
            deadline = self._deadline(props, "delete", timeout)
            lifecycle = self._lifecycle(self._athena(props), props, deadline)
            lifecycle.terminate(session_id, props.get("account_id"))
            self._end_leftovers_after(props, identity)

    # -- what the operations share ----------------------------------------------------------------

    def _remember(self, session_id: str, stored: Mapping[str, Any]) -> None:
        self._run.know(session_id)
        if token := stored.get("client_request_token"):
            self._run.note_token(self._urn(stored), str(token))

    def _urn(self, props: Mapping[str, Any]) -> str:
        return str((props.get(IDENTITY) or {}).get("urn", ""))

    def _identity(self, props: Mapping[str, Any]) -> Identity:
        given = props.get(IDENTITY) or {}
        return Identity(
            urn=str(given.get("urn", "")),
            owner=str(given.get("owner", "")),
            triggers=comparable(props.get("triggers") or {}),
        )

    def _athena(self, props: Mapping[str, Any]) -> Athena:
        """Return the client of a resource: in the region that is stored with it."""
        settings = aws_settings(self._config, props.get("aws"))
        # The account that the session is in; that of the credentials is checked at each call.
        if account_id := props.get("account_id"):
            require_allowed(settings, account_id)
        return self._client(settings, props.get(REGION) or settings.region)

    def _client(self, settings: AwsSettings, region: str | None) -> BotoAthena:
        return shared_athena(dataclasses.replace(settings, region=region), self._host.cancelled)

    def _lifecycle(
        self, athena: Athena, props: Mapping[str, Any], deadline: Deadline
    ) -> SessionLifecycle:
        return SessionLifecycle(
            athena,
            props.get("work_group", ""),
            self._run.pollers,
            deadline,
            progress=self._progress(self._urn(props)),
            warn=self._warning(props),
        )

    def _warning(self, props: Mapping[str, Any]) -> Callable[[str], None]:
        urn = self._urn(props)
        return lambda message: self._host.warn(urn, message)

    def _progress(self, urn: str) -> Callable[[str], None]:
        """Show progress in the status column, each message once: the engine pays for every one."""
        last = ""

        def progress(message: str) -> None:
            nonlocal last
            if message != last:
                last = message
                self._host.show_status(urn, message)

        return progress

    def _deadline(
        self, props: Mapping[str, Any], operation: str, timeout: float | None
    ) -> Deadline:
        if timeout is None:
            text = (props.get(TIMEOUTS) or {}).get(operation)
            timeout = timeout_seconds(text, DEFAULT_TIMEOUT_SECONDS)
        return Deadline.after(timeout, self._host.clock())

    def _cleanup_deadline(self) -> Deadline | None:
        if self._host.engine_lost_for() > ORPHAN_SECONDS:
            return None
        # After a cancellation, the engine kills its providers within seconds: TerminateSession is
        # called, and its effect is not waited for.
        seconds = 0.0 if self._host.cancelled.is_set() else CLEANUP_SECONDS
        return Deadline.after(seconds, self._host.cleanup_clock())


def _stored_inputs(props: Mapping[str, Any]) -> dict[str, Any]:
    names = (*start_session_members(), *(own.name for own in inputs.PROPERTIES), REGION)
    return _present(props, names)


def _present(props: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: props[name] for name in names if props.get(name) is not None}


def _outputs(athena: Athena, work_group: str, status: SessionStatus) -> dict[str, Any]:
    started = status.started_at
    return {
        "session_id": status.session_id,
        "state": status.state.value,
        "arn": session_arn(athena, work_group, status.session_id),
        "engine_version": status.engine_version,
        REGION: athena.region,
        "account_id": athena.account_id,
        "started_at": started.isoformat() if started else None,
    }
