"""Run clauses in an account, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from contract.account import NotCheckedError, Refusal
from contract.page import DIFFERS, HOLDS, NOT_CHECKED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.account import Account
    from contract.clauses import Clause

PRICE_PER_DPU_HOUR = 0.35
"""US dollars, the list price of the cheapest regions in 2025; other regions differ."""
_SPARE_SECONDS = 5.0
"""What a clause may wait that runs no session of its own."""


class Outcome(NamedTuple):
    """What came of a clause."""

    kind: str
    """`holds`, `differs` or `not checked`."""
    answer: Any = None
    """The answer to an open question."""
    detail: str = ""


def check(clause: Clause, account: Account) -> Outcome:
    """Check one clause, and end what it has started."""
    if clause.check is None:
        return Outcome(NOT_CHECKED, detail="a run does not provoke it")
    account.seconds_left = clause.minutes * 60 + _SPARE_SECONDS
    try:
        return Outcome(HOLDS, clause.check(account))
    except NotCheckedError as reason:
        return Outcome(NOT_CHECKED, detail=str(reason))
    except Refusal as refusal:
        denied = refusal.code == "AccessDeniedException"
        return Outcome(NOT_CHECKED if denied else DIFFERS, detail=str(refusal))
    except (AssertionError, KeyError) as error:
        return Outcome(DIFFERS, detail=f"{type(error).__name__}: {error}")
    finally:
        account.end_all()


def greatest_cost(clauses: Sequence[Clause]) -> float:
    """Return the most that a run of these clauses costs, in US dollars."""
    return sum(clause.dpu_minutes for clause in clauses) / 60 * PRICE_PER_DPU_HOUR
