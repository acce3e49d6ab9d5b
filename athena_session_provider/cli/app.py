"""The command line: options, help, and what each subcommand calls."""

# ruff: noqa: FBT002, PLR0917 - the options of a command are the parameters of its function

from __future__ import annotations

import getpass
import os
import stat
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pulumi.automation import LocalWorkspace
from rich.console import Console

from athena_session_provider.cli import orphans as orphans_
from athena_session_provider.cli import previews, show
from athena_session_provider.cli.command import Interrupts, Pulumi
from athena_session_provider.cli.failures import CommandFailedError, Exit, exit_code_of
from athena_session_provider.cli.progress import Reporter
from athena_session_provider.cli.project import throw_away_project
from athena_session_provider.cli.stacks import PARALLEL, Stack
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.settings import aws_settings
from athena_session_provider.service.waiting import timeout_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRICE_PER_DPU_HOUR = 0.35
"""US dollars: the list price in us-east-1. Other regions differ."""

EPILOG = (
    "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 the stack is locked; 4 not set up; "
    "5 only some of several done; 6 not a preview environment; 10 orphans found; 130 interrupted."
)

app = typer.Typer(
    name="athena-sessions",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Preview environments with a Spark session on Amazon Athena each.",
    epilog=EPILOG,
)
preview_env = typer.Typer(
    no_args_is_help=True,
    help="One stack, with its own sessions, for each pull request.",
    epilog=EPILOG,
)
app.add_typer(preview_env, name="preview-env")


def _duration(text: str | timedelta) -> timedelta:
    if isinstance(text, timedelta):
        return text
    try:
        return timedelta(seconds=timeout_seconds(text, 0))
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def _stack_name(name: str) -> str:
    try:
        return previews.check_name(name)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def _pairs(values: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for value in values or ():
        key, separator, text = value.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{value!r} is not of the form key=value")
        pairs[key] = text
    return pairs


Name = Annotated[str, typer.Argument(help="The stack's name, such as pr-17.", callback=_stack_name)]
Program = Annotated[
    Path, typer.Option("--program", metavar="DIR", help="Folder of the Pulumi program.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show all that pulumi prints, on standard error.")
]
Parallel = Annotated[
    int, typer.Option(min=1, help="Steps that pulumi works on at once (pulumi's --parallel).")
]
Config = Annotated[
    list[str] | None,
    typer.Option("--config", "-c", metavar="KEY=VALUE", help="A configuration value; repeatable."),
]
LockTimeout = Annotated[
    timedelta,
    typer.Option(
        parser=_duration, metavar="DURATION", help="How long to wait for a run that holds the lock."
    ),
]
BreakLock = Annotated[
    timedelta | None,
    typer.Option(
        parser=_duration,
        metavar="DURATION",
        help="Take a lock away that is older than this: its run was killed. Longer than any run.",
    ),
]


@dataclass
class _Run:
    """What one invocation works with."""

    out: Console
    reporter: Reporter
    workspace: LocalWorkspace


_interrupts = Interrupts()


@contextmanager
def _running(program: Path, what: str, *, verbose: bool) -> Iterator[_Run]:
    reporter = Reporter(Console(stderr=True), verbose=verbose)
    with ExitStack() as stack:
        stack.enter_context(reporter.working(what))
        workspace = stack.enter_context(throw_away_project(program, Pulumi(_interrupts)))
        yield _Run(Console(), reporter, workspace)


@preview_env.command()
def up(
    name: Name,
    program: Program = Path(),
    from_stack: Annotated[
        str | None,
        typer.Option(help="Stack whose configuration is copied; its secrets stay secret."),
    ] = None,
    ttl: Annotated[
        timedelta,
        typer.Option(parser=_duration, metavar="DURATION", help="When `sweep` takes it down."),
    ] = "8h",  # type: ignore[assignment]
    config: Config = None,
    owner: Annotated[
        str | None,
        typer.Option(
            help="Whose it is.",
            envvar=["ATHENA_SESSIONS_OWNER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"],
            show_default="who made it",
        ),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(
            help="What it runs.",
            envvar=["ATHENA_SESSIONS_COMMIT", "CI_COMMIT_SHA"],
            show_default="HEAD of the program's checkout",
        ),
    ] = None,
    secrets_provider: Annotated[
        str | None,
        typer.Option(help="For a new stack.", show_default="that of --from-stack"),
    ] = None,
    parallel: Parallel = PARALLEL,
    lock_timeout: LockTimeout = "0s",  # type: ignore[assignment]
    break_lock_older_than: BreakLock = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Create the preview environment NAME, or update it, and start its sessions."""
    wanted = previews.Up(
        name=name,
        base=from_stack,
        ttl=ttl,
        config=_pairs(config),
        owner=owner or "",
        user=_user(),
        commit=commit or _commit(program),
        parallel=parallel,
        secrets_provider=secrets_provider,
        lock_patience=lock_timeout,
        break_lock_older_than=break_lock_older_than,
    )
    with _running(program, f"{name}: starting", verbose=verbose) as run:
        raised = previews.up(run.workspace, wanted, run.reporter)
    if json:
        show.print_json(show.raised_json(raised))
    else:
        show.print_raised(run.out, raised)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # a container whose user has no name


def _commit(program: Path) -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the user's git
            cwd=program,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("GITHUB_SHA", "")


@preview_env.command()
def down(
    name: Name,
    program: Program = Path(),
    config: Config = None,
    parallel: Parallel = PARALLEL,
    lock_timeout: LockTimeout = "15m",  # type: ignore[assignment]
    break_lock_older_than: BreakLock = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """End everything of the preview environment NAME and remove its stack.

    Where there is none, there is nothing to do: it may be called twice, also at once.
    """
    how = previews.Down(
        parallel=parallel,
        config=_pairs(config),
        lock_patience=lock_timeout,
        break_lock_older_than=break_lock_older_than,
    )
    with _running(program, f"{name}: ending", verbose=verbose) as run:
        outcome = previews.down(run.workspace, name, how, run.reporter)
    if json:
        show.print_json(show.taken_down_json(outcome))
    else:
        run.out.print(show.taken_down_text(outcome), markup=False, soft_wrap=True)


@preview_env.command("list")
def list_(
    program: Program = Path(),
    dpu_hour_price: Annotated[
        float,
        typer.Option(
            envvar="ATHENA_SESSIONS_DPU_HOUR_PRICE",
            min=0,
            help="US dollars per DPU-hour; the default is the list price in us-east-1.",
        ),
    ] = PRICE_PER_DPU_HOUR,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the preview environments, the states of their sessions and what they cost so far."""
    with _running(program, "reading the stacks", verbose=verbose) as run:
        items = previews.listed(run.workspace, run.reporter)
    now = previews.utc_now()
    if json:
        show.print_json(show.listed_json(items, dpu_hour_price, now))
    else:
        show.print_listed(run.out, items, dpu_hour_price, now)


@preview_env.command()
def sweep(
    program: Program = Path(),
    open_file: Annotated[
        typer.FileText | None,
        typer.Option(
            help="File with the names whose pull request is open, one a line; - is standard "
            "input. All others are taken down, so an empty file takes down all."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    parallel: Parallel = PARALLEL,
    lock_timeout: LockTimeout = "15m",  # type: ignore[assignment]
    break_lock_older_than: BreakLock = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Take down the expired ones, and those whose pull request is closed.

    The open names come from --open-file, or from a pipe. A pipe that brings nothing is taken for
    a command that failed: only the expired ones are taken down then.
    """
    names = _names(open_file.read()) if open_file else _names_from_pipe()
    how = previews.Down(
        parallel=parallel,
        lock_patience=lock_timeout,
        break_lock_older_than=break_lock_older_than,
    )
    with _running(program, "reading the stacks", verbose=verbose) as run:
        swept = previews.sweep(
            run.workspace, run.reporter, open_names=names, dry_run=dry_run, how=how
        )
    if json:
        show.print_json(show.swept_json(swept))
    else:
        show.print_swept(run.out, swept, dry_run=dry_run)
    if any(item.error for item in swept):
        raise typer.Exit(Exit.PARTLY)


def _names(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _names_from_pipe() -> list[str] | None:
    # A terminal, or the socket or device that a CI system leaves open, would be waited for.
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
        return None
    return _names(sys.stdin.read()) or None


@app.command()
def orphans(
    work_group: Annotated[
        list[str], typer.Option("--work-group", "-w", help="Work group to look in; repeatable.")
    ],
    terminate: Annotated[bool, typer.Option("--terminate", help="End what is found.")] = False,
    older_than: Annotated[
        timedelta,
        typer.Option(parser=_duration, metavar="DURATION", help="Leave younger sessions alone."),
    ] = "0s",  # type: ignore[assignment]
    region: Annotated[
        str | None,
        typer.Option(help="AWS region.", show_default="the stack's, then AWS_REGION"),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile.")] = None,
    program: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Program whose stack --from-stack names."),
    ] = None,
    from_stack: Annotated[
        str | None,
        typer.Option(help="Stack of the program whose AWS settings (aws:...) are used."),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Backend whose stacks may name a session; repeatable, since a session that only "
            "an unnamed backend knows looks like an orphan.",
            show_default="the current one",
        ),
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Find live sessions that this package started and that no stack names."""
    reporter = Reporter(Console(stderr=True), verbose=verbose)
    with ExitStack() as stack:
        stack.enter_context(reporter.working("reading the sessions"))
        pulumi = Pulumi(_interrupts)
        config: dict[str, Any] = {}
        if from_stack:
            project = throw_away_project(program or Path(), pulumi)
            config = dict(Stack(from_stack, stack.enter_context(project), reporter).config())
        settings = aws_settings(config, {"region": region, "profile": profile})
        if settings.region is None:
            # boto3 knows AWS_DEFAULT_REGION only; CI systems and all other SDKs have this one.
            settings = replace(settings, region=os.environ.get("AWS_REGION"))
        athena = shared_athena(settings)
        workspaces = [
            LocalWorkspace(
                work_dir=str(Path.cwd()),
                pulumi_command=pulumi,
                env_vars={"PULUMI_BACKEND_URL": url} if url else None,
            )
            for url in backend or [""]
        ]
        found = orphans_.find_orphans(
            athena,
            work_group,
            workspaces,
            reporter,
            now=previews.utc_now(),
            older_than=older_than,
        )
        if terminate:
            found = list(orphans_.terminate(athena, found, reporter))
    if json:
        show.print_json(show.orphans_json(found))
    else:
        show.print_orphans(Console(), found, previews.utc_now())
    if any(orphan.error for orphan in found):
        raise typer.Exit(Exit.PARTLY)
    if found and not terminate:
        raise typer.Exit(Exit.ORPHANS_FOUND)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Errors become a paragraph on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _interrupts.install()
    try:
        app(args=given, prog_name="athena-sessions")
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else Exit.DONE
    except (CommandFailedError, AthenaSessionError) as exc:
        code = exit_code_of(exc)
        Console(stderr=True).print(f"error: {exc}", markup=False, highlight=False, soft_wrap=True)
        if "--json" in given:
            show.print_json({"error": {"exit_code": code, "message": str(exc)}})
        return code
    return Exit.DONE
