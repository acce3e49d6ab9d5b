"""The identity of a stack in a work group: what it means to create, update and delete it.

The identity is random. Pulumi stores it before the first session starts, because every session
depends on it. Deleting it ends what interrupted creates have left over.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from athena_session_provider.operations.leftovers import end_leftovers
from athena_session_provider.service.accounts import require_allowed
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import (
    AccessDeniedError,
    ConfigurationError,
    WorkGroupNotFoundError,
)
from athena_session_provider.service.lifecycle import CLEANUP_SECONDS
from athena_session_provider.service.settings import aws_settings, check_aws, resolved_region
from athena_session_provider.service.values import normal
from athena_session_provider.service.waiting import Deadline

if TYPE_CHECKING:
    from athena_session_provider.operations.run import ProviderHost, Run
    from athena_session_provider.service.api import Athena
    from athena_session_provider.service.settings import StackConfiguration

INPUTS = ("work_group", "aws", "sessions", "used")
"""``work_group`` and ``aws`` as of the sessions; ``sessions`` are hashes of their names, so that
the removal of one is an update, which ends what an interrupted create of it has left over;
``used`` are the ids of sessions that the program reads or adopts, which stay."""

PLACE = ("work_group", "aws", "region")


class StackSessionsOperations:
    """Pulumi's calls on the identity."""

    def __init__(self, config: StackConfiguration, run: Run, host: ProviderHost) -> None:
        """Prepare; nothing is called yet."""
        self._config = config
        self._run = run
        self._host = host

    def check(self, news: Mapping[str, Any], unknown: object) -> dict[str, Any]:
        """Return the inputs to store.

        Raises:
            ConfigurationError: The region cannot be determined, or ``aws`` is wrong.
        """
        inputs = {name: news[name] for name in INPUTS if news.get(name) is not None}
        for session_id in _used(inputs):
            self._run.know(session_id)
        aws = inputs.get("aws") or {}
        if unknown not in (inputs.get("work_group"), aws):
            if not isinstance(aws, Mapping) or check_aws(aws, unknown):
                # The check of the sessions names the wrong members.
                message = "aws is not a map of AWS settings"
                raise ConfigurationError(message)
            settings = aws_settings(self._config, aws)
            inputs["region"] = resolved_region(settings)
        return inputs

    def changes(self, identity: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
        """Return the names of the changed inputs. None of them makes a new identity necessary."""
        for session_id in _used(news):
            self._run.know(session_id)
        try:
            # A session that moves to another place looks for its leftovers in this one, too.
            self._run.note_place(identity, self._athena(olds), str(olds.get("work_group", "")))
        except ConfigurationError as exc:
            self._warn(f"Could not look for sessions of interrupted creates. {exc}")
        names = ("sessions", *PLACE)
        changed = [name for name in names if normal(olds.get(name)) != normal(news.get(name))]
        # An id that is no longer used may stay in the state: its session has ended or is named.
        added = set(_used(news)) - set(_used(olds))
        return changed + ["used"] * bool(added)

    def create(self, props: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return a new identity, and the properties to store."""
        identity = uuid.uuid4().hex
        return identity, self._outputs(identity, props)

    def update(
        self, identity: str, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> dict[str, Any]:
        """End leftovers of resources that are gone from the program, and return what to store."""
        removed = set(olds.get("sessions") or ()) - set(news.get("sessions") or ())
        moved = any(normal(olds.get(name)) != normal(news.get(name)) for name in PLACE)
        if removed or moved:
            self._end_leftovers(identity, olds)
        return self._outputs(identity, news)

    def delete(self, identity: str, props: Mapping[str, Any]) -> None:
        """End what is left over. The last session of the stack is gone by now."""
        self._end_leftovers(identity, props)

    def _end_leftovers(self, identity: str, props: Mapping[str, Any]) -> None:
        for session_id in _used(props):
            self._run.know(session_id)
        athena = self._athena(props)
        account_id = props.get("account_id")
        if account_id is not None and athena.account_id not in (None, account_id):
            message = (
                f"The sessions of this stack in work group {props['work_group']} run in account "
                f"{account_id}, but the credentials in use are of account {athena.account_id}. Use "
                f"credentials of account {account_id}."
            )
            raise ConfigurationError(message)
        try:
            end_leftovers(
                athena,
                str(props["work_group"]),
                identity,
                self._run,
                Deadline.after(CLEANUP_SECONDS, self._host.clock()),
                warn=self._warn,
                must_list=True,
            )
        except WorkGroupNotFoundError:
            return
        except AccessDeniedError as exc:
            self._warn(f"Could not look for sessions of interrupted creates. {exc}")

    def _warn(self, text: str) -> None:
        self._host.warn("", text)

    def _athena(self, props: Mapping[str, Any]) -> Athena:
        settings = aws_settings(self._config, props.get("aws"))
        if account_id := props.get("account_id"):
            require_allowed(settings, account_id)
        settings = replace(settings, region=props.get("region") or settings.region)
        return shared_athena(settings, self._host.cancelled)

    def _outputs(self, identity: str, props: Mapping[str, Any]) -> dict[str, Any]:
        stored = {name: props[name] for name in (*INPUTS, "region") if name in props}
        account_id = self._athena(props).account_id
        return {**stored, "identity": identity, "account_id": account_id}


def _used(props: Mapping[str, Any]) -> list[str]:
    used = props.get("used")
    return [str(session_id) for session_id in used] if isinstance(used, list) else []
