"""The command behind `make contract`: try the contract in a work group of an account.

Exit codes: 0 every clause that was checked holds; 1 one differs, or a session may be left; 2 wrong
use, or no confirmation; 130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from contract.account import ENGINES, Account, Refusal
from contract.clauses import CLAUSES
from contract.page import (
    DIFFERS,
    HOLDS,
    PAGE,
    REPOSITORY,
    Result,
    load,
    merged,
    render,
    save,
    spelt,
)
from contract.run import PRICE_PER_DPU_HOUR, Outcome, check, greatest_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contract.clauses import Clause

TRIAL_PAGE = REPOSITORY / "build" / "contract.md"
"""Where the page goes that another endpoint than AWS's gave the answers for."""


def main(
    arguments: Sequence[str] | None = None, wait_seconds: Callable[[float], None] = time.sleep
) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    if options.page_only:
        PAGE.write_text(render(load()))
        return 0
    try:
        account = _account(options, wait_seconds)
        clauses = _chosen(options.only, account.engine)
    except (BotoCoreError, Refusal, ValueError) as error:
        _say(f"error: {error}", sys.stderr)
        return 2
    if not clauses:
        _say(f"error: no clause is about {account.engine}", sys.stderr)
        return 2
    _announce(account, clauses, options)
    if not options.yes and not _confirmed():
        _say("Nothing was started.")
        return 2
    return _run(account, clauses, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make contract", description=__doc__)
    parser.add_argument("--work-group", default="")
    parser.add_argument("--region", default="")
    parser.add_argument("--profile", help="of the AWS configuration; else the default credentials")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--endpoint-url", help="of another service than AWS, such as the emulator")
    parser.add_argument("--only", nargs="*", default=[], metavar="CLAUSE", help="check these alone")
    parser.add_argument("--page", type=Path, help="where to write the page of another service")
    parser.add_argument("--page-only", action="store_true", help="write the page; ask nothing")
    return parser


def _account(options: argparse.Namespace, wait_seconds: Callable[[float], None]) -> Account:
    if not options.work_group or not options.region:
        raise ValueError("WORK_GROUP and REGION are required")
    session = boto3.Session(profile_name=options.profile, region_name=options.region)
    connect: Any = session.client  # its overloads take literal names only
    athena = connect(
        "athena",
        endpoint_url=options.endpoint_url,
        config=Config(retries={"mode": "standard", "total_max_attempts": 5}),
    )
    account = Account(athena, options.work_group, wait_seconds=wait_seconds)
    if account.engine not in ENGINES:
        raise ValueError(f"work group {options.work_group} has {account.engine}, which is no Spark")
    return account


def _chosen(names: Sequence[str], engine: str) -> list[Clause]:
    known = {clause.name for clause in CLAUSES if clause.check}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"no clauses {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [
        clause
        for clause in CLAUSES
        if clause.check and engine in clause.engines and (not names or clause.name in names)
    ]


def _announce(account: Account, clauses: Sequence[Clause], options: argparse.Namespace) -> None:
    minutes = sum(clause.minutes for clause in clauses)
    _say(
        f"{len(clauses)} clauses in work group {account.work_group} ({account.engine}) in "
        f"{account.region}{f' at {options.endpoint_url}' if options.endpoint_url else ''}.\n"
        f"It takes up to {minutes:g} minutes and costs at most {greatest_cost(clauses):.2f} USD: "
        f"{sum(clause.dpu_minutes for clause in clauses):g} DPU-minutes at {PRICE_PER_DPU_HOUR} "
        "USD a DPU-hour, a list price that differs between regions.\n"
        f"Everything that it starts is described as {account.description!r}, and is ended."
    )


def _confirmed() -> bool:
    """Ask on the terminal; without one, the answer is no."""
    try:
        return input("Start? Only `yes` is taken: ").strip() == "yes"
    except EOFError:
        _say("")
        return False


def _run(account: Account, clauses: Sequence[Clause], options: argparse.Namespace) -> int:
    results: list[Result] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    code, left = 0, []
    try:
        for clause in clauses:
            _say(f"{clause.name}: ", end="")
            outcome = check(clause, account)
            result = _result(clause, account, outcome, options.endpoint_url or "")
            _say(f"{result.outcome}{f' ({result.detail})' if result.detail else ''}")
            results.append(result)
            code = max(code, int(outcome.kind == DIFFERS))
    except KeyboardInterrupt:
        _say("\nInterrupted: ending what was started.")
        code = 130
    except BotoCoreError as error:
        _say(f"\nerror: {error}", sys.stderr)
        code = 1
    finally:
        # A second Ctrl-C has to wait: a session that is not ended costs money.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        left = account.end_all()
    if left:
        _say(f"Not known to be ended: {', '.join(left)}", sys.stderr)
        code = code or 1
    _write(results, options)
    return code


def _result(clause: Clause, account: Account, outcome: Outcome, endpoint: str) -> Result:
    answered = clause.variant and outcome.kind == HOLDS
    return Result(
        clause=clause.name,
        engine=account.engine,
        region=account.region,
        date=dt.datetime.now(dt.timezone.utc).date().isoformat(),
        outcome=outcome.kind,
        detail=spelt(outcome.answer) if answered else outcome.detail,
        endpoint=endpoint,
    )


def _write(results: Sequence[Result], options: argparse.Namespace) -> None:
    """Write the page; what another service than AWS answered never goes into the project's own."""
    if options.endpoint_url:
        page = options.page or TRIAL_PAGE
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render(results))
    else:
        page, kept = PAGE, merged(load(), results)
        save(kept)
        page.write_text(render(kept))
    _say(f"Wrote {page}")


def _say(text: str, stream: Any = None, end: str = "\n") -> None:
    print(text, file=stream or sys.stdout, end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
