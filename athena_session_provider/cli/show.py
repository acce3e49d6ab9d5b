"""The command's standard output: tables, or JSON."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from athena_session_provider.cli.snippets import client_lines
from athena_session_provider.cli.times import duration, iso

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import Console

    from athena_session_provider.cli.orphans import Orphan
    from athena_session_provider.cli.preview import DownResult, Listed, SweepResult, UpResult

_WIDEST = 10_000


def print_json(value: Any) -> None:
    """Print JSON, and nothing else, on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - a command's output


def up_json(result: UpResult) -> dict[str, Any]:
    """Return the result of `up`."""
    preview = result.preview
    return {
        "name": preview.name,
        "created": result.created,
        "owner": preview.owner,
        "commit": preview.commit,
        "expires": iso(preview.expires),
        "sessions": [
            {
                "session_id": session.session_id,
                "work_group": session.work_group,
                "region": session.region,
                "arn": session.arn or None,
                "clients": client_lines(session),
            }
            for session in result.sessions
        ],
    }


def print_up(console: Console, result: UpResult) -> None:
    """Print the result of `up`: session ids, and lines of code that use them."""
    preview = result.preview
    done = "created" if result.created else "updated"
    _line(console, f"Preview environment {preview.name} {done}; it expires {_utc(preview.expires)}")
    if not result.sessions:
        _line(console, "The program starts no session.")
    for session in result.sessions:
        where = f"work group {session.work_group}, {session.region}"
        _line(console, f"\nSession {session.session_id} ({where})")
        for client, lines in client_lines(session).items():
            console.print(Text(f"\n# {client}", style="bold"), soft_wrap=True)
            # Neither wrapped nor colored, so that it can be copied.
            _line(console, lines)


def down_json(result: DownResult) -> dict[str, Any]:
    """Return the result of `down`."""
    return {
        "name": result.name,
        "existed": result.existed,
        "ended": list(result.ended),
        "ended_unnamed": list(result.ended_unnamed),
    }


def down_text(result: DownResult) -> str:
    """Return the result of `down` as a sentence."""
    if not result.existed:
        return f"There is no preview environment {result.name}: nothing to do."
    ended = [*result.ended, *result.ended_unnamed]
    sessions = f" Ended {', '.join(ended)}." if ended else ""
    return f"Preview environment {result.name} and its stack are removed.{sessions}"


def listed_json(items: Sequence[Listed], now: datetime) -> list[dict[str, Any]]:
    """Return the result of `list`."""
    return [
        {
            "name": item.preview.name,
            "owner": item.preview.owner,
            "commit": item.preview.commit,
            "from_stack": item.preview.base or None,
            "created": iso(item.preview.created),
            "expires": iso(item.preview.expires),
            "expired": item.preview.expired(now),
            "unfinished": item.unfinished,
            "dpu_hours": round(item.dpu_hours, 4),
            "sessions": [vars(session) for session in item.sessions],
        }
        for item in items
    ]


def print_listed(console: Console, items: Sequence[Listed], now: datetime) -> None:
    """Print the table of the preview environments."""
    if not items:
        _line(console, "There are no preview environments in this project.")
        return
    table = _table("NAME", "OWNER", "AGE", "EXPIRES IN", "SESSION", "STATE", "DPU-HOURS")
    table.columns[-1].justify = "right"
    for item in items:
        preview = item.preview
        left = preview.expires - now if preview.expires else None
        states = [Text(s.state, style=_STYLES.get(s.state, "yellow")) for s in item.sessions]
        table.add_row(
            preview.name,
            preview.owner,
            duration(now - preview.created) if preview.created else "?",
            _left(left),
            "\n".join(session.session_id for session in item.sessions) or "-",
            Text("\n").join(states) if states else ("starting?" if item.unfinished else "-"),
            f"{item.dpu_hours:.2f}",
        )
    _print_table(console, table)
    total = sum(item.dpu_hours for item in items)
    _line(console, f"{total:.2f} DPU-hours in total.")
    for item in items:
        for session in item.sessions:
            if session.problem and session.state not in ("IDLE", "BUSY"):
                _line(console, f"{item.preview.name}: {session.session_id}: {session.problem}")


def _left(left: timedelta | None) -> Text:
    if left is None:
        return Text("?", style="red")
    if left <= timedelta(0):
        return Text(f"expired {duration(-left)} ago", style="red")
    return Text(duration(left))


_STYLES = {"IDLE": "green", "BUSY": "green", "FAILED": "red", "DEGRADED": "red", "?": "red"}


def swept_json(items: Sequence[SweepResult]) -> list[dict[str, Any]]:
    """Return the result of `sweep`."""
    return [
        {
            "name": item.preview.name,
            "reason": item.reason,
            "taken_down": item.outcome is not None,
            "ended": [*item.outcome.ended, *item.outcome.ended_unnamed] if item.outcome else [],
            "error": item.error or None,
        }
        for item in items
    ]


def print_swept(console: Console, items: Sequence[SweepResult], *, dry_run: bool) -> None:
    """Print the result of `sweep`, one line for each preview environment."""
    if not items:
        _line(console, "Nothing to sweep.")
    for item in items:
        done = "would be taken down" if dry_run else "taken down"
        if item.error:
            done = "NOT taken down"
        _line(console, f"{item.preview.name}: {done}, because {item.reason}. {item.error}".strip())


def orphans_json(orphans: Sequence[Orphan]) -> list[dict[str, Any]]:
    """Return the result of `orphans`."""
    return [
        {**vars(orphan), "started_at": iso(orphan.started_at), "error": orphan.error or None}
        for orphan in orphans
    ]


def print_orphans(console: Console, orphans: Sequence[Orphan], now: datetime) -> None:
    """Print the result of `orphans`."""
    known = [orphan for orphan in orphans if orphan.known_stack]
    unknown = [orphan for orphan in orphans if not orphan.known_stack]
    if known:
        _print_sessions(console, known, now)
    else:
        _line(console, "No orphans: the stacks of this backend name all of their sessions.")
    if unknown:
        _line(
            console,
            "\nSessions of unknown stacks, which were removed or are in another backend "
            "(--unknown-stacks treats them as orphans):",
        )
        _print_sessions(console, unknown, now)
    for orphan in orphans:
        if orphan.error:
            _line(console, f"{orphan.session_id}: {orphan.error}")


def _print_sessions(console: Console, orphans: Sequence[Orphan], now: datetime) -> None:
    table = _table("SESSION", "WORK GROUP", "STATE", "AGE", "STARTED FOR", "")
    for orphan in orphans:
        done = "terminated" if orphan.terminated else ("failed" if orphan.error else "")
        table.add_row(
            orphan.session_id,
            orphan.work_group,
            orphan.state,
            duration(now - orphan.started_at) if orphan.started_at else "?",
            orphan.urn.removeprefix("urn:pulumi:") or "?",
            done,
        )
    _print_table(console, table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _print_table(console: Console, table: Table) -> None:
    # A truncated id is useless; a narrow terminal wraps the lines itself.
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    console.width = max(needed, console.width)
    console.print(table, crop=False)


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _utc(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"
