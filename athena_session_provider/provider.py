"""Pulumi's calls on a session, mapped onto the layer below.

The module and the name of ``AthenaSessionProvider`` are stored in the state of every session:
they never change, or old stacks could not delete theirs.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from athena_session_provider import host, inputs
from athena_session_provider.inputs import IDENTITY, REGION, TIMEOUTS
from athena_session_provider.service import lifecycle
from athena_session_provider.service.accounts import require_allowed
from athena_session_provider.service.api import Athena, SessionDetails, session_arn
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import (
    AthenaSessionError,
    ConfigurationError,
    MissingCredentialsError,
    SessionNotFoundError,
)
from athena_session_provider.service.ownership import marked
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.request import Failure, start_session_members, to_request
from athena_session_provider.service.settings import (
    AwsSettings,
    StackConfiguration,
    aws_settings,
    resolved_region,
)
from athena_session_provider.service.states import PHASES, Phase
from athena_session_provider.service.token import Identity
from athena_session_provider.service.waiting import (
    DEFAULT_TIMEOUT_SECONDS,
    Deadline,
    SystemClock,
    retry,
)

POLLERS = PollerPool(time.monotonic)
"""What this process knows of the sessions' states, shared by all its threads."""

LIVENESS_SECONDS = 10.0
"""How old the answer may be by which diff takes a session to be alive."""

READ_SECONDS = 60.0
"""How long read and update repeat a call that the service throttles."""

ORPHAN_SECONDS = 2.0
"""How long after its engine's sudden end a provider still ends the session that it was starting.

No later command can have taken the session up in this time; after it, one may have.
"""


class AthenaSessionProvider(ResourceProvider):
    """The dynamic provider of ``Session``; holds nothing, so that its pickle is its name."""

    serialize_as_secret_always = False

    _config: StackConfiguration = MappingProxyType({})

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration, once per process of the host."""
        self._config = req.config
        host.prepare()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Validate and normalize the inputs, and fill in what the stack's configuration says."""
        given = {key: value for key, value in news.items() if not key.startswith("__")}
        properties = _unknown_as_text(given)
        checked, failures = inputs.check_properties(properties, UNKNOWN)
        timeouts = checked.get(TIMEOUTS) or {}
        if not isinstance(timeouts, Mapping):
            failures.append(Failure(TIMEOUTS, "has to be a map of create and delete"))
            timeouts = {}
        for name, text in timeouts.items():
            try:
                inputs.timeout_seconds(text, DEFAULT_TIMEOUT_SECONDS)
            except ValueError as exc:
                failures.append(Failure(f"{TIMEOUTS}.{name}", str(exc)))
        if not any(failure.path.startswith("aws") for failure in failures):
            failures += self._fill_in(checked)
        return CheckResult(
            checked, [CheckFailure(failure.path, failure.reason) for failure in failures]
        )

    def _fill_in(self, checked: dict[str, Any]) -> list[Failure]:
        aws = checked.get("aws") or {}
        if aws == UNKNOWN or aws.get("region") == UNKNOWN:
            checked[REGION] = UNKNOWN
            return []
        known = {key: value for key, value in aws.items() if not _has_unknown(value)}
        try:
            settings = aws_settings(self._config, known)
            checked[REGION] = resolved_region(settings)
        except ConfigurationError as exc:
            return [Failure("aws", str(exc))]
        tags = checked.get("tags") or {}
        if isinstance(tags, Mapping) and (tags := settings.tags(tags)) != (
            checked.get("tags") or {}
        ):
            checked["tags"] = tags
        return self._check_account(settings)

    def _check_account(self, settings: AwsSettings) -> list[Failure]:
        """Refuse an account that is not allowed in preview already, if there are credentials."""
        region = resolved_region(settings)
        try:
            athena = shared_athena(dataclasses.replace(settings, region=region), host.cancelled)
            athena.require_allowed_account()
        except MissingCredentialsError:
            return []
        except AthenaSessionError as exc:
            return [Failure("aws", str(exc))]
        return []

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Report what changed; a session found dead is a replacement, and the user is told."""
        news = _unknown_as_text(news)
        replaces = inputs.replaced_by(olds, news, id_)
        if not replaces and news.get("restart_when_dead") is not False:
            replaces = self._found_dead(id_, olds, news)
        changes = bool(replaces or inputs.updated_by(olds, news))
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def _found_dead(
        self, session_id: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> list[str]:
        urn = _urn(news)
        try:
            athena = self._athena(olds)
            try:
                poller = POLLERS.of(athena, olds.get("work_group", ""))
                status = poller.recent_status(session_id, time.monotonic() - LIVENESS_SECONDS)
            except SessionNotFoundError:
                lifecycle.require_account(athena, session_id, olds.get("account_id"))
                end = "is not known to the service any more"
            else:
                if PHASES[status.state] is not Phase.DEAD:
                    return []
                end = inputs.end_of_session(status, olds.get("session_idle_timeout_in_minutes"))
        except AthenaSessionError as exc:
            host.warn(urn, f"Could not check whether session {session_id} still runs. {exc}")
            return []
        host.warn(urn, f"Session {session_id} {end}; it will be started again.")
        return ["session_id"]

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start a session, or take one over, and wait until it takes calculations."""
        urn = _urn(props)
        athena = self._athena(props)
        # Asked for now: once a session runs, nothing but waiting comes before it is in the state.
        _ = athena.account_id
        deadline = _deadline(props, "create")

        progress = _progress(urn)
        if props.get("adopt_session_id"):
            token = ""
            details = lifecycle.adopt_session(
                athena,
                props["adopt_session_id"],
                props["work_group"],
                pollers=POLLERS,
                deadline=deadline,
                progress=progress,
            )
        else:
            identity = Identity(
                urn=urn,
                owner=props.get(IDENTITY, {}).get("owner", ""),
                triggers=inputs.plain(props.get("triggers") or {}),
            )
            started, details = lifecycle.create(
                athena,
                identity,
                marked(to_request(inputs.service_arguments(props)), urn),
                pollers=POLLERS,
                deadline=deadline,
                cleanup=_cleanup_deadline,
                progress=progress,
            )
            token = started.client_request_token
        outs = {**_stored_inputs(props), **_outputs(athena, details), "client_request_token": token}
        return CreateResult(details.status.session_id, outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Refresh the outputs from GetSession; a dead or unknown session is gone."""
        athena = self._athena(props)
        deadline = Deadline.after(READ_SECONDS, SystemClock(host.cancelled))
        try:
            details = retry(lambda: athena.get_session(id_), deadline)
        except SessionNotFoundError:
            lifecycle.require_account(athena, id_, props.get("account_id"))
            return ReadResult("", {})
        if PHASES[details.status.state] is Phase.DEAD:
            return ReadResult("", {})
        # The arguments of a session never change, and the service adds defaults of its own to
        # what it tells: what the state has is better. `Session.get` has none yet.
        outs = _stored_inputs(props) | _present(props, ["client_request_token"])
        if "work_group" not in outs:
            outs |= details.arguments
        return ReadResult(id_, outs | _outputs(athena, details))

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change the tags, the only thing about a session that can be changed."""
        athena = self._athena(news)
        tags, removed = inputs.changed_tags(olds, news)
        ignored = aws_settings(self._config, news.get("aws")).ignore_tags
        removed = [key for key in removed if key not in ignored]
        if tags or removed:
            arn = session_arn(athena, news["work_group"], id_)
            if arn is None:
                message = (
                    f"The tags of session {id_} cannot be changed, because its ARN has the account "
                    "in it, and the account of the credentials could not be found out. Make STS "
                    "GetCallerIdentity reachable, or take the change of the tags back."
                )
                raise ConfigurationError(message)
            deadline = Deadline.after(READ_SECONDS, SystemClock(host.cancelled))
            if removed:
                retry(lambda: athena.untag_resource(arn, removed), deadline)
            if tags:
                retry(lambda: athena.tag_resource(arn, tags), deadline)
        return UpdateResult(_stored_inputs(news) | _present(olds, (*inputs.OUTPUTS, REGION)))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Terminate the session and wait until it has ended."""
        lifecycle.terminate_session(
            self._athena(props),
            id_,
            props.get("work_group", ""),
            pollers=POLLERS,
            deadline=_deadline(props, "delete"),
            progress=_progress(_urn(props)),
            account_id=props.get("account_id"),
        )

    def _athena(self, props: Mapping[str, Any]) -> Athena:
        """Give the client of a resource: in the region that is stored with it."""
        settings: AwsSettings = aws_settings(self._config, props.get("aws"))
        # Where the session is; without a session yet, the credentials' account is checked.
        if account_id := props.get("account_id"):
            require_allowed(settings, account_id)
        region = props.get(REGION) or settings.region
        return shared_athena(dataclasses.replace(settings, region=region), host.cancelled)


def _unknown_as_text(value: Any, depth: int = 0) -> Any:
    """Give each unknown value as the text that stands for it on the wire.

    The host has them as objects, and hands what check gives back to the engine as it is. What is
    nested too deep is left as it is: check refuses it.
    """
    if depth > 2 * inputs.MAXIMUM_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: _unknown_as_text(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unknown_as_text(item, depth + 1) for item in value]
    return UNKNOWN if isinstance(value, Unknown) else value


def _has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_unknown(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def _urn(props: Mapping[str, Any]) -> str:
    return str((props.get(IDENTITY) or {}).get("urn", ""))


def _progress(urn: str) -> lifecycle.Progress:
    """Show progress in the status column, each message once: the engine pays for every one."""
    last = ""

    def progress(message: str) -> None:
        nonlocal last
        if message != last:
            last = message
            host.show_status(urn, message)

    return progress


def _deadline(props: Mapping[str, Any], operation: str) -> Deadline:
    text = (props.get(TIMEOUTS) or {}).get(operation)
    seconds = inputs.timeout_seconds(text, DEFAULT_TIMEOUT_SECONDS)
    return Deadline.after(seconds, SystemClock(host.cancelled))


def _cleanup_deadline() -> Deadline | None:
    if host.engine_lost_for() > ORPHAN_SECONDS:
        return None
    # Once cancelled, the engine waits for nobody long: the session is told to end, and that it
    # does so is left to the service.
    seconds = 0.0 if host.cancelled.is_set() else lifecycle.CLEANUP_SECONDS
    return Deadline.after(seconds, SystemClock())


def _stored_inputs(props: Mapping[str, Any]) -> dict[str, Any]:
    members = start_session_members()
    return _present(
        props, (*members, *inputs.OWN_ARGUMENTS, inputs.IDENTITY, inputs.TIMEOUTS, inputs.REGION)
    )


def _present(props: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: props[name] for name in names if props.get(name) is not None}


def _outputs(athena: Athena, details: SessionDetails) -> dict[str, Any]:
    started = details.status.started_at
    return {
        "session_id": details.status.session_id,
        "state": details.status.state.value,
        "arn": session_arn(athena, details.work_group, details.status.session_id),
        "engine_version": details.engine_version,
        REGION: athena.region,
        "account_id": athena.account_id,
        "started_at": started.isoformat() if started else None,
    }
