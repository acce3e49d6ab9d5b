"""The dynamic providers of sessions: Pulumi's calls, handed on to the operations.

The module and the names of both classes are stored in the state of every stack: they never change,
or old stacks could not delete their resources.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

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

from athena_session_provider import host
from athena_session_provider.operations.run import ProviderHost, Run
from athena_session_provider.operations.session import SessionOperations
from athena_session_provider.operations.stack_sessions import StackSessionsOperations
from athena_session_provider.service.errors import ConfigurationError
from athena_session_provider.service.values import is_too_deep, map_leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from athena_session_provider.service.settings import StackConfiguration

RUN = Run()
"""What this process knows of the command; both providers and all threads share it."""

host.BUSY.append(lambda: RUN.busy)

_HOST = ProviderHost(host.warn, host.show_status, host.cancelled, host.engine_lost_for)


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
        checked, failures = self._operations().check(_given(news), _olds)
        return CheckResult(
            checked, [CheckFailure(failure.path, failure.reason) for failure in failures]
        )

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Report what changed; a session that has ended is replaced, with a warning."""
        diff = self._operations().diff(id_, olds, _given(news))
        return DiffResult(changes=diff.changes, replaces=diff.replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start a session, or take one over, and wait until it is ready."""
        return CreateResult(*self._operations().create(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Refresh the outputs from GetSession."""
        found = self._operations().read(id_, props)
        return ReadResult("", {}) if found is None else ReadResult(*found)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change the tags, the only thing about a session that can be changed."""
        return UpdateResult(self._operations().update(id_, olds, news))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Terminate the session and wait until it has ended."""
        self._operations().delete(id_, props)

    def _operations(self) -> SessionOperations:
        return SessionOperations(self._config, RUN, _HOST, unknown=UNKNOWN)


class StackSessionsProvider(ResourceProvider):
    """The dynamic provider of ``StackSessions``; holds nothing, like the other one."""

    serialize_as_secret_always = False

    _config: StackConfiguration = MappingProxyType({})

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration, once per process of the host."""
        self._config = req.config
        host.prepare()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Fill in the region."""
        try:
            return CheckResult(self._operations().check(_given(news), UNKNOWN), [])
        except ConfigurationError as exc:
            return CheckResult(news, [CheckFailure("", str(exc))])

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Report changed inputs; the identity stays."""
        return DiffResult(changes=bool(self._operations().changes(id_, olds, _given(news))))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make a random identity."""
        return CreateResult(*self._operations().create(props))

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """End the leftovers of sessions that are gone from the program."""
        return UpdateResult(self._operations().update(id_, olds, news))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """End what interrupted creates have left over."""
        self._operations().delete(id_, props)

    def _operations(self) -> StackSessionsOperations:
        return StackSessionsOperations(self._config, RUN, _HOST)


def _given(news: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs without the host's own, and unknown values as they stand on the wire.

    The host has unknown values as objects, and hands what check returns back to the engine as it
    is. What is nested too deep is left as it is: check refuses it.
    """
    return {
        key: value if is_too_deep(value) else map_leaves(value, _unknown_as_text)
        for key, value in news.items()
        if not key.startswith("__")
    }


def _unknown_as_text(value: Any) -> Any:
    return UNKNOWN if isinstance(value, Unknown) else value
