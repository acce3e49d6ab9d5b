"""Times and durations as text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def utc_now() -> datetime:
    """Return the present time, to the second."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def parse_time(text: str) -> datetime | None:
    """Return the time of ISO 8601 text, by default in UTC; None if the text is something else."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def iso(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 text."""
    return time.isoformat() if time else None


def duration(time: timedelta) -> str:
    """Return a duration in its two largest units, such as "3h 5m"."""
    seconds = int(abs(time.total_seconds()))
    sign = "-" if time.total_seconds() < 0 and seconds else ""
    units = ((seconds // _DAY, "d"), (seconds % _DAY // _HOUR, "h"),
             (seconds % _HOUR // _MINUTE, "m"), (seconds % _MINUTE, "s"))  # fmt: skip
    first = next((number for number, (count, _) in enumerate(units) if count), len(units) - 1)
    parts = [f"{count}{unit}" for count, unit in units[first : first + 2] if count]
    return sign + (" ".join(parts) or "0s")
