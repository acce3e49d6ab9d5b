"""docs/contract.md: the clauses, their sources, and what runs against AWS have shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.account import ENGINES
from contract.clauses import CLAUSES, Evidence

from athena_session_provider.emulator import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from contract.clauses import Clause

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "contract.md"
RESULTS = Path(__file__).with_name("results.json")
"""What runs against AWS have shown; kept, since each run is of one engine and region."""

HOLDS, DIFFERS, NOT_CHECKED = "holds", "differs", "not checked"


@dataclass(frozen=True)
class Result:
    """What one run has shown of one clause."""

    clause: str
    engine: str
    region: str
    date: str
    """The day of the run, such as 2026-11-30."""
    outcome: str
    detail: str = ""
    """The answer to an open question, what differs, or why it was not checked."""
    endpoint: str = ""
    """Where the answers came from, if not from AWS; such a result verifies nothing."""

    def __str__(self) -> str:
        where = f"on {self.date} in {self.region}, {self.engine}"
        if self.endpoint:
            where += f", at {self.endpoint}"
        detail = f": {_escaped(self.detail)}" if self.detail else ""
        return {
            HOLDS: f"{'holds' if self.endpoint else '**verified**'} {where}{detail}",
            DIFFERS: f"**differs** {where}{detail}",
            NOT_CHECKED: f"not checked {where}{detail}",
        }[self.outcome]


def load(file: Path = RESULTS) -> list[Result]:
    """Return the results that are kept."""
    if not file.exists():
        return []
    return [Result(**entry) for entry in json.loads(file.read_text())]


def merged(old: Sequence[Result], new: Sequence[Result]) -> list[Result]:
    """Return the results with the new ones in place of those of the same clause and engine.

    A clause that was not checked this time keeps what an earlier run has shown.
    """
    kept = {(item.clause, item.engine): item for item in old}
    for item in new:
        key = (item.clause, item.engine)
        if item.outcome != NOT_CHECKED or kept.get(key, item).outcome == NOT_CHECKED:
            kept[key] = item
    names = {clause.name for clause in CLAUSES}
    return sorted(
        (item for item in kept.values() if item.clause in names),
        key=lambda item: (item.clause, item.engine),
    )


def save(results: Sequence[Result], file: Path = RESULTS) -> None:
    """Keep results."""
    file.write_text(json.dumps([asdict(item) for item in results], indent=1) + "\n")


def render(results: Sequence[Result]) -> str:
    """Return the page."""
    return "\n".join(_lines(results)) + "\n"


_INTRODUCTION = """\
# The contract with Athena

What the provider relies on, clause by clause: where it is published, and how far it is known. The
same clauses are tests. `make test` runs them against the [emulator](reference/emulator.md), in each
value of each variant and in random combinations; `make contract` runs them against AWS.

## What is known of the service

{count}

- *documented*: by AWS, in its documentation, its API model or code that it released.
- *seen by others*: in a log, or in code that was run on AWS.
- *assumed*: a conclusion, or one of several answers that no source rules out. The emulator has
  each of these answers as a variant, the most likely one first, and the provider works with all of
  them.
- *verified*: by `make contract`, on the day, in the region and with the engine that are given.

## Check it in an account

```shell
make contract WORK_GROUP=spark REGION=eu-west-1 PROFILE=sandbox
```

It asks the work group for its engine, so it takes one run for each of two work groups to check both
engines. It says beforehand what it costs at most, which is below 1 USD, and asks, unless `YES=1` is
given. It starts short sessions of its own, tagged `athena-session-provider:contract`, touches no
other one, and ends all of them, also after Ctrl-C. For some clauses it makes a work group like the
given one and deletes it again; where the credentials do not allow that, they are *not checked*.
At the end it writes this page. `ONLY="replay_of_live replay_of_dead"` checks some clauses alone.

The first to try are {first}: what the sources leave open, and most depends on.

Not to be seen within one run: how long a request token lives (`replay_of_dead` anew after a day),
and the answers to credentials that are limited to one work group (run it with a `PROFILE` that has
`session_policy(optional=False)` alone)."""

FIRST = (
    "ready_state",
    "replay_of_dead",
    "unknown_session_error",
    "without_dpus",
    "tags_on_engine_3",
    "idle_timeout",
    "session_of_deleted_work_group",
)
"""The open questions that most depends on."""


def _lines(results: Sequence[Result]) -> Iterator[str]:
    yield _INTRODUCTION.format(
        count=_count(results), first=", ".join(f"`{name}`" for name in FIRST)
    )
    topics = dict.fromkeys(clause.topic for clause in CLAUSES)
    for topic in topics:
        yield f"\n## {topic}\n"
        yield "| Clause | What | Source | Evidence |"
        yield "| --- | --- | --- | --- |"
        for clause in CLAUSES:
            if clause.topic == topic:
                yield _row(clause, [item for item in results if item.clause == clause.name])


def _count(results: Sequence[Result]) -> str:
    counts = [
        f"{sum(clause.evidence is kind for clause in CLAUSES)} are {kind}" for kind in Evidence
    ]
    known = {item.clause for item in results if item.outcome != NOT_CHECKED}
    runs = (
        f"{len(known)} of them were tried on AWS."
        if known
        else "None of them was tried on AWS by this project yet."
    )
    return f"Of {len(CLAUSES)} clauses {', '.join(counts)}. {runs}"


def _row(clause: Clause, results: Sequence[Result]) -> str:
    engines = "" if clause.engines == ENGINES else f" ({', '.join(clause.engines)})"
    what = clause.text
    if clause.variant:
        values = ", ".join(f"`{spelt(value)}`" for value in VARIANTS[clause.variant])
        what += f" Variant `{clause.variant}`: {values}."
    evidence = "<br>".join([str(clause.evidence), *map(str, results)])
    sources = ", ".join(map(str, clause.sources))
    return f"| `{clause.name}`{engines} | {_escaped(what)} | {sources} | {evidence} |"


def spelt(value: Any) -> str:
    """Spell the value of a variant as the emulator's command line does."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
