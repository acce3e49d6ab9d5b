"""The mark by which a session that this package started is recognized, whoever looks at it.

A session without a description of the user's choice says in its description which resource it
was started for, since ListSessions tells descriptions. One with a description of its own carries
the same as a tag.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from athena_session_provider.service.request import service_model

if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTION = "Started by Pulumi for "
"""How the description of a marked session begins; the resource's URN follows."""

TAG = "athena-session-provider:urn"
"""Tag of a marked session with a description of its own; the value is the resource's URN."""

_NOT_IN_TAGS = re.compile(r"[^\w\s+\-=.:/@]")


def marked(request: Mapping[str, Any], urn: str) -> dict[str, Any]:
    """Give a StartSession request with the mark."""
    if not request.get("Description"):
        longest = service_model().shape_for("DescriptionString").metadata["max"]
        return {**request, "Description": f"{DESCRIPTION}{urn}"[:longest]}
    longest = service_model().shape_for("TagValue").metadata["max"]
    # The "$" between the types of a URN is no character for a tag.
    mark = {"Key": TAG, "Value": _NOT_IN_TAGS.sub("_", urn)[:longest]}
    return {**request, "Tags": [*request.get("Tags", []), mark]}


def marked_urn(description: str, tags: Mapping[str, str] | None = None) -> str | None:
    """Give the URN that a session was started for; None where this package did not start it."""
    if description.startswith(DESCRIPTION):
        return description[len(DESCRIPTION) :]
    return (tags or {}).get(TAG)
