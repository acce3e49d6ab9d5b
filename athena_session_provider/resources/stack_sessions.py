"""The identity of a stack in a work group, a resource that ``Session`` registers by itself.

Sessions depend on it, so Pulumi stores the identity before the first session is started, and
deletes it after the last one has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import weakref
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import Output
from pulumi.dynamic import Resource
from pulumi.output import Unknown

from athena_session_provider.provider import StackSessionsProvider
from athena_session_provider.resources.workgroup_names import WORK_GROUP_NAME
from athena_session_provider.service.values import leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input

NAME = "athena-sessions"
"""How the names of the resources begin; the work group's name follows."""

TYPE = "pulumi-python:dynamic/athena:StackSessions"


class StackSessions(Resource, module="athena", name="StackSessions"):
    """What marks the sessions of this stack in one work group as its own."""

    identity: Output[str]
    """32 random hexadecimal digits."""

    def __init__(
        self,
        name: str,
        *,
        work_group: Input[str],
        aws: Input[Mapping[str, Any]] | None,
        sessions: Input[list[str]],
        used: Input[list[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the identity.

        Args:
            name: The resource's name in the stack.
            work_group: The work group.
            aws: Region and credentials, as of the sessions.
            sessions: Hashes of the names of the program's sessions.
            used: Ids of the sessions that the program reads or adopts.
            opts: Resource options.
        """
        super().__init__(
            StackSessionsProvider(),
            name,
            {
                "work_group": work_group,
                "aws": aws,
                "sessions": sessions,
                "used": used,
                "region": None,
                "account_id": None,
                "identity": None,
            },
            opts,
        )


class _Program:
    """The sessions of one run of a program."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.used: list[str] = []
        self.identities: dict[str, StackSessions] = {}
        # Done once the program has declared its resources. Sessions that are declared later, in an
        # apply, come at no fixed time: with them, the lists could differ from run to run.
        self.declared: asyncio.Task[tuple[list[str], list[str]]] = asyncio.ensure_future(
            self._declared()
        )

    async def _declared(self) -> tuple[list[str], list[str]]:
        return sorted(self.names), sorted(self.used)

    def lists(self) -> Output[tuple[list[str], list[str]]]:
        """Return what the program declares at once: hashes of names, and ids in use."""

        async def true() -> bool:
            return True

        return Output(set(), self.declared, asyncio.ensure_future(true()))


_PROGRAMS: weakref.WeakKeyDictionary[Any, _Program] = weakref.WeakKeyDictionary()


def identity_for(
    name: str,
    parent: pulumi.Resource | None,
    work_group: Input[str] | None,
    aws: Input[Mapping[str, Any]] | None,
    provider: pulumi.ProviderResource | None = None,
) -> Output[str]:
    """Return the identity that a session is marked with, registering its resource if needed.

    The resource's name contains the name of the work group, so it stays the same when sessions
    come and go. As long as that name is unknown in a preview, so is the identity.

    Args:
        name: The session's name.
        parent: The session's parent.
        work_group: The session's work group.
        aws: The session's ``aws`` argument, as plain maps.
        provider: The explicit provider of dynamic resources that the session has.
    """
    program = _program()
    parents = [parent.pulumi_resource_type, parent.pulumi_resource_name] if parent else []
    program.names.append(_hash([name, *parents]))
    found = Output.all(Output.from_input(work_group), Output.from_input(aws))

    def identity(known: list[Any]) -> Any:
        if any(isinstance(leaf, Unknown) for leaf in leaves(known)):
            return Unknown()  # type: ignore[no-untyped-call]
        if not isinstance(known[0], str) or not WORK_GROUP_NAME.fullmatch(known[0]):
            # The check of the session refuses it, and says why.
            return ""
        key = f"{NAME}-{known[0]}" + (f"-{_hash(known[1])}" if known[1] else "")
        if key not in program.identities:
            lists = program.lists()
            program.identities[key] = StackSessions(
                key,
                work_group=work_group or "",
                aws=aws,
                sessions=lists.apply(lambda declared: declared[0]),
                used=lists.apply(lambda declared: declared[1]),
                opts=pulumi.ResourceOptions(provider=provider),
            )
        return program.identities[key].identity

    result: Output[str] = found.apply(identity, run_with_unknowns=True)
    return result


def note_used(session_id: Any) -> None:
    """Note that the program reads or adopts a session, which must not be taken for a leftover.

    Args:
        session_id: The session's id. An output is not noted: its resource may need the identity.
    """
    if isinstance(session_id, str):
        _program().used.append(session_id)


def _program() -> _Program:
    """Return what is known of the program that is running; several may run in one process."""
    # One for each run of a program, also with Pulumi's mocks, which keep their root resource.
    monitor = pulumi.runtime.settings.get_monitor()
    if monitor is None:
        return _Program()
    if monitor not in _PROGRAMS:
        _PROGRAMS[monitor] = _Program()
    return _PROGRAMS[monitor]


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
