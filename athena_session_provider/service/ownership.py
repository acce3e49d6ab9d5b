"""The mark on each session: which stack and which resource it was started for.

The mark is part of the session's description, because ListSessions returns descriptions and no
tags. A tag says whether the create that started the session has finished: a session whose create
was cut off is in no state, and the next command of its stack ends it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from athena_session_provider.service.request import service_model

if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTION = "Started by Pulumi for "
"""How the description of a session begins that has none from the user; the URN follows."""

URN_TAG = "athena-session-provider:urn"
"""Tag with the resource's URN, on a session whose description is the user's."""

CREATE_TAG = "athena-session-provider:create"
"""Tag with the progress of the create that started the session: STARTED or FINISHED."""
STARTED = "started"
"""The create is under way, or was cut off. Set by StartSession itself."""
FINISHED = "finished"
"""The create has succeeded, so the session is in a state. Such a session is never cleaned up."""

MAXIMUM_TAGS = 50
"""Tags of one resource (AWS's limit)."""

_MARK = re.compile(
    r"\s?\[athena-session-provider"
    r" (?P<identity>[0-9a-f]{32})/(?P<urn_hash>[0-9a-f]{16})/(?P<request_hash>[0-9a-f]{16})\]\Z"
)
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_NOT_IN_TAGS = re.compile(r"[^\w\s+\-=.:/@]")


@dataclass(frozen=True)
class Mark:
    """What the mark of a session says."""

    identity: str
    """The stack's identity; empty for sessions of versions before 0.2."""
    urn_hash: str
    """Hash of the URN of the resource that the session was started for."""
    request_hash: str = ""
    """Hash of the arguments that the session was started with."""
    urn: str = ""
    """The URN, possibly altered or cut by a tag's limits; empty if it is not known."""

    def is_for(self, urn: str) -> bool:
        """Return whether the session was started for the resource with this URN."""
        if self.urn_hash:
            return self.urn_hash == hash_of(urn)
        # Versions before 0.2 cut and altered the URN where it did not fit.
        return self.urn in (
            urn,
            _as_tag_value(urn),
            urn[: _longest_description() - len(DESCRIPTION)],
        )

    def text(self) -> str:
        """Return the mark as it stands in a description."""
        return f"[athena-session-provider {self.identity}/{self.urn_hash}/{self.request_hash}]"


def is_identity(text: object) -> bool:
    """Return whether a text is an identity of this version: 32 hexadecimal digits."""
    return isinstance(text, str) and _IDENTITY.fullmatch(text) is not None


def hash_of(value: Any) -> str:
    """Return 16 hexadecimal digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def marked(request: Mapping[str, Any], mark: Mark) -> dict[str, Any]:
    """Return a StartSession request with the mark in its description, and the URN.

    A description that leaves no room for the mark is kept as it is: the session is then never
    cleaned up.
    """
    longest = _longest_description()
    text = request.get("Description") or f"{DESCRIPTION}{mark.urn}"
    suffix = f" {mark.text()}" if mark.identity else ""
    if not request.get("Description"):
        return {**request, "Description": text[: longest - len(suffix)] + suffix}
    if len(text) + len(suffix) <= longest:
        request = {**request, "Description": text + suffix}
    return _tagged(request, URN_TAG, _as_tag_value(mark.urn))


def with_create_tag(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a StartSession request with the tag that says that its create is under way.

    It is left out if the session cannot be found by its mark, or has as many tags as AWS allows.
    """
    if _MARK.search(request.get("Description", "")) is None:
        return dict(request)
    return _tagged(request, CREATE_TAG, STARTED)


def without_own_tags(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a StartSession request without the tags of this module."""
    tags = [tag for tag in request.get("Tags", []) if not is_own_tag(tag["Key"])]
    rest = {key: value for key, value in request.items() if key != "Tags"}
    return {**rest, "Tags": tags} if tags else rest


def is_own_tag(key: str) -> bool:
    """Return whether a tag is one of this module."""
    return key in (URN_TAG, CREATE_TAG)


def _tagged(request: Mapping[str, Any], key: str, value: str) -> dict[str, Any]:
    tags = request.get("Tags", [])
    if len(tags) >= MAXIMUM_TAGS:
        return dict(request)
    return {**request, "Tags": [*tags, {"Key": key, "Value": value}]}


def _longest_description() -> int:
    longest: int = service_model().shape_for("DescriptionString").metadata["max"]
    return longest


def _as_tag_value(urn: str) -> str:
    # The "$" between the types of a URN is not allowed in a tag.
    longest: int = service_model().shape_for("TagValue").metadata["max"]
    return _NOT_IN_TAGS.sub("_", urn)[:longest]


def parse_mark(description: str, tags: Mapping[str, str] | None = None) -> Mark | None:
    """Return the mark of a session, or None if this package did not start it.

    Args:
        description: The session's description, from ListSessions or GetSession.
        tags: The session's tags, if they were read; they add the URN of a session whose
            description is the user's.
    """
    tags = tags or {}
    found = _MARK.search(description)
    text = description[: found.start()] if found else description
    urn = text.removeprefix(DESCRIPTION) if text.startswith(DESCRIPTION) else tags.get(URN_TAG, "")
    if found:
        return Mark(**found.groupdict(), urn=urn)
    # Versions before 0.2 wrote the URN alone.
    return Mark("", "", urn=urn) if urn else None


def without_mark(description: str) -> str:
    """Return the description as the user wrote it; empty if the user wrote none."""
    text = _MARK.sub("", description)
    return "" if text.startswith(DESCRIPTION) else text
