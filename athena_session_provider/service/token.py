"""The ClientRequestToken: what makes a StartSession safe to send again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Identity:
    """Which resource a session is started for.

    The same in every process and on every machine that works on the same stack, and different
    for any two resources that are different ones.
    """

    urn: str
    """The resource's URN: stack, project, types of the parents, type and name."""
    owner: str = ""
    """What URNs do not carry: the organization, or the backend where there is none."""
    triggers: Mapping[str, Any] = field(default_factory=dict)
    """The user's own reasons to start a new session."""


def client_request_token(identity: Identity, request: Mapping[str, Any], generation: int) -> str:
    """Give the ClientRequestToken of one start: 64 hexadecimal digits (the API takes 32 to 128).

    ``request`` is part of it because the service refuses a token that comes back with other
    parameters. ``generation`` counts the sessions of this identity and request that are dead,
    because a token that was used once gives the same, dead, session for ever.
    """
    canonical = json.dumps(
        [identity.owner, identity.urn, request, identity.triggers, generation],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
