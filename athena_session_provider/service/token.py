"""The ClientRequestToken: what makes a StartSession safe to send again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_SEARCH = 1000
"""Generations that ``generation_of`` tries."""


@dataclass(frozen=True)
class Identity:
    """Which resource a session is started for.

    It is the same in every process and on every machine that works on the same stack, and
    different for any two resources.
    """

    urn: str
    """The resource's URN: stack, project, types of the parents, type and name."""
    owner: str = ""
    """The stack's identity, which URNs do not carry."""
    triggers: Mapping[str, Any] = field(default_factory=dict)
    """The user's own reasons to start a new session."""


def client_request_token(identity: Identity, request: Mapping[str, Any], generation: int) -> str:
    """Return the ClientRequestToken of one start.

    Args:
        identity: The resource that the session is for.
        request: StartSession's parameters. They are part of the token because the service refuses
            a token that comes back with other parameters.
        generation: How many sessions of this identity and request have ended before. It is part
            of the token because a token that was used once always returns the same session.

    Returns:
        64 hexadecimal digits (the API takes 32 to 128 characters).
    """
    return hashlib.sha256(f"{_canonical(identity, request)},{generation}]".encode()).hexdigest()


def generation_of(token: str, identity: Identity, request: Mapping[str, Any]) -> int | None:
    """Return the generation that a token was made with, or None if it was not made for these.

    Generations from LONGEST_SEARCH on are not found.
    """
    begun = hashlib.sha256(_canonical(identity, request).encode())
    for generation in range(LONGEST_SEARCH):
        digest = begun.copy()
        digest.update(f",{generation}]".encode())
        if digest.hexdigest() == token:
            return generation
    return None


def _canonical(identity: Identity, request: Mapping[str, Any]) -> str:
    text = json.dumps(
        [identity.owner, identity.urn, request, identity.triggers],
        sort_keys=True,
        separators=(",", ":"),
    )
    return text.removesuffix("]")
