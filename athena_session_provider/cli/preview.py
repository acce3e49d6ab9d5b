"""A preview environment: a stack with an expiry. Values and decisions only; nothing is called.

A stack is a preview environment if it has the tag ``athena-sessions:expires``. Every backend keeps
tags, and a stack has them before its first update: a run that is killed before that leaves no
history that could be read instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from athena_session_provider.cli.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from athena_session_provider.cli.sessions import NamedSession

EXPIRES = "athena-sessions:expires"
OWNER = "athena-sessions:owner"
COMMIT = "athena-sessions:commit"
CREATED = "athena-sessions:created"
BASE = "athena-sessions:from-stack"

PARALLEL = 64
"""Default of Pulumi's --parallel. Pulumi's own default, 4 for each core, starts few sessions at a
time; waiting for a session needs no core."""

DEFAULT_LOCK_PATIENCE = timedelta(minutes=15)
"""How long `down` waits for the lock by default: the time of a start and an end."""

MAXIMUM_TAG_CHARACTERS = 256

_NAME = re.compile(r"(?:[\w.-]+/){0,2}[\w.-]{1,100}")


def check_name(name: str) -> str:
    """Return the name of a stack. Raises ValueError if it is invalid."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"invalid stack name {name!r}: use letters, digits, hyphens, underscores and dots"
        )
    return name


@dataclass(frozen=True)
class Preview:
    """A preview environment, as the tags of its stack describe it."""

    name: str
    expires: datetime | None
    """None if the tag has no time that can be read."""
    created: datetime | None = None
    owner: str = ""
    commit: str = ""
    base: str = ""
    """The stack whose configuration was copied."""

    @classmethod
    def from_tags(cls, name: str, tags: Mapping[str, str]) -> Preview:
        """Return the preview environment that a stack's tags describe."""
        return cls(
            name=name,
            expires=parse_time(tags[EXPIRES]),
            created=parse_time(tags.get(CREATED, "")),
            owner=tags.get(OWNER, ""),
            commit=tags.get(COMMIT, ""),
            base=tags.get(BASE, ""),
        )

    def tags(self) -> dict[str, str]:
        """Return the tags to write. The first is the one that makes a stack a preview."""
        tags = {
            EXPIRES: self.expires.isoformat() if self.expires else "",
            CREATED: self.created.isoformat() if self.created else "",
            OWNER: self.owner,
            COMMIT: self.commit,
            BASE: self.base,
        }
        return {key: value[:MAXIMUM_TAG_CHARACTERS] for key, value in tags.items() if value}

    def expired(self, now: datetime) -> bool:
        """Return whether the expiry has passed."""
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True)
class Up:
    """Options of `up`."""

    name: str
    base: str | None
    ttl: timedelta
    config: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    """"" keeps the owner of an existing preview environment; a new one gets ``user``."""
    user: str = ""
    commit: str = ""
    parallel: int = PARALLEL
    secrets_provider: str | None = None
    lock_patience: timedelta = timedelta(0)
    break_lock_older_than: timedelta | None = None

    def preview(self, old_tags: Mapping[str, str], now: datetime) -> Preview:
        """Return the preview environment to write, given the stack's present tags."""
        return Preview(
            name=self.name,
            expires=now + self.ttl,
            created=parse_time(old_tags.get(CREATED, "")) or now,
            owner=self.owner or old_tags.get(OWNER, "") or self.user,
            commit=self.commit,
            base=self.base or "",
        )


@dataclass(frozen=True)
class Down:
    """Options of `down`."""

    parallel: int = PARALLEL
    config: Mapping[str, str] = field(default_factory=dict)
    lock_patience: timedelta = DEFAULT_LOCK_PATIENCE
    break_lock_older_than: timedelta | None = None


@dataclass(frozen=True)
class UpResult:
    """Result of `up`."""

    preview: Preview
    created: bool
    sessions: Sequence[NamedSession]


@dataclass(frozen=True)
class DownResult:
    """Result of `down`."""

    name: str
    existed: bool
    ended: Sequence[str] = ()
    """Ids of the sessions in the state."""
    ended_unnamed: Sequence[str] = ()
    """Ids of sessions that a killed run had started and that were not in the state."""


@dataclass(frozen=True)
class SweepResult:
    """Result of `sweep` for one preview environment."""

    preview: Preview
    reason: str
    outcome: DownResult | None = None
    """None after an error, or in a dry run."""
    error: str = ""


@dataclass(frozen=True)
class SessionReport:
    """A session of a preview environment, as the service describes it."""

    session_id: str
    work_group: str
    region: str
    state: str
    """``UNKNOWN`` if the service does not know the session, ``?`` if it cannot be asked."""
    dpu_hours: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class Listed:
    """A preview environment and its sessions."""

    preview: Preview
    sessions: Sequence[SessionReport]
    unfinished: bool
    """Whether a start is under way, or its run was killed."""

    @property
    def dpu_hours(self) -> float:
        """DPU-hours of its present sessions."""
        return sum(session.dpu_hours for session in self.sessions)


def due(
    found: Iterable[Preview], open_names: Iterable[str] | None, now: datetime
) -> list[tuple[Preview, str]]:
    """Return the preview environments to take down, each with the reason.

    ``open_names`` are those whose pull request is open; None if that is not known.
    """
    names = None if open_names is None else set(open_names)
    result = []
    for preview in found:
        if names is not None and not {preview.name, preview.name.rsplit("/", 1)[-1]} & names:
            result.append((preview, "its name is not among the open ones"))
        elif preview.expired(now):
            result.append((preview, f"it expired {preview.expires:%Y-%m-%d %H:%M} UTC"))
        elif preview.expires is None:
            result.append((preview, "its expiry cannot be read"))
    return result


def is_preview(
    tags: Mapping[str, str], deployment: Mapping[str, object], *, has_config_file: bool
) -> bool:
    """Return whether a stack was created by `preview-env up`.

    A run that was killed right after it created the stack left it without tags. Such a stack is
    empty, and nobody has a configuration file for it.
    """
    if EXPIRES in tags:
        return True
    empty = not deployment.get("resources") and not deployment.get("pending_operations")
    return empty and not has_config_file
