"""Request tokens, and what the first request with each of them was answered."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from . import messages
from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .scope import Scope


class _FirstResponse(NamedTuple):
    parameters: dict[str, Any]
    response: dict[str, Any]


class TokenTable:
    """The tokens of one operation, for as long as the emulator runs."""

    def __init__(self) -> None:
        self._first: dict[tuple[Scope, str], _FirstResponse] = {}

    def replay(self, scope: Scope, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the first response to this token, as it was, or None for a new one."""
        token = parameters.get("ClientRequestToken")
        first = self._first.get((scope, token)) if token else None
        if first is None:
            return None
        if first.parameters != parameters:
            raise InvalidRequestError(messages.OTHER_PARAMETERS, "IDEMPOTENT_PARAMETER_MISMATCH")
        return copy.deepcopy(first.response)

    def remember(
        self, scope: Scope, parameters: Mapping[str, Any], response: dict[str, Any]
    ) -> None:
        """Keep the first response to a token."""
        if token := parameters.get("ClientRequestToken"):
            self._first[scope, token] = _FirstResponse(
                copy.deepcopy(dict(parameters)), copy.deepcopy(response)
            )
