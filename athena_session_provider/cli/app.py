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
from athena_session_provider.cli import preview, previews, show
from athena_session_provider.cli.command import Interrupts, Pulumi
from athena_session_provider.cli.failures import CommandFailedError, Exit, exit_code_of
from athena_session_provider.cli.preview import PARALLEL
from athena_session_provider.cli.progress import Reporter
from athena_session_provider.cli.project import temporary_project
from athena_session_provider.cli.stacks import Stack
from athena_session_provider.cli.times import utc_now
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import AthenaSessionError
from athena_session_provider.service.settings import aws_settings
from athena_session_provider.service.waiting import timeout_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EPILOG = f"Exit codes: {'; '.join(f'{code:d} {code.meaning}' for code in Exit)}."

app = typer.Typer(
    name="athena-sessions",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Preview environments with Spark sessions on Amazon Athena, and sessions without a stack.",
    epilog=EPILOG,
)
preview_env = typer.Typer(
    no_args_is_help=True,
    help="A stack with its own sessions for each pull request.",
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
        return preview.check_name(name)
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


@dataclass
class _Output:
    """How results and errors are printed: the ``obj`` of every context."""

    json: bool = False


def _json(ctx: typer.Context, value: bool) -> bool:  # noqa: FBT001 - Typer's signature
    ctx.ensure_object(_Output).json |= value
    return value


Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output.", callback=_json)
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show the output of pulumi on standard error.")
]
Parallel = Annotated[int, typer.Option(min=1, help="Concurrent steps of pulumi (its --parallel).")]
Config = Annotated[
    list[str] | None,
    typer.Option("--config", "-c", metavar="KEY=VALUE", help="A configuration value; repeatable."),
]
LockTimeout = Annotated[
    timedelta,
    typer.Option(
        parser=_duration, metavar="DURATION", help="How long to wait for another run's lock."
    ),
]
BreakLock = Annotated[
    timedelta | None,
    typer.Option(
        parser=_duration,
        metavar="DURATION",
        help="Remove a lock of at least this age, whose run was killed. Longer than any run takes.",
    ),
]


@dataclass
class _Run:
    """Console, progress and workspace of one invocation."""

    out: Console
    reporter: Reporter
    workspace: LocalWorkspace


_interrupts = Interrupts()


@contextmanager
def _running(program: Path, what: str, *, verbose: bool) -> Iterator[_Run]:
    reporter = Reporter(Console(stderr=True), verbose=verbose)
    with ExitStack() as stack:
        stack.enter_context(reporter.working(what))
        workspace = stack.enter_context(temporary_project(program, Pulumi(_interrupts)))
        yield _Run(Console(), reporter, workspace)


@preview_env.command()
def up(
    name: Name,
    program: Program = Path(),
    from_stack: Annotated[
        str | None,
        typer.Option(help="Stack whose configuration is copied; secrets stay encrypted."),
    ] = None,
    ttl: Annotated[
        timedelta,
        typer.Option(
            parser=_duration, metavar="DURATION", help="Time until `sweep` takes it down."
        ),
    ] = "8h",  # type: ignore[assignment]
    config: Config = None,
    owner: Annotated[
        str | None,
        typer.Option(
            help="Owner, shown by `list`.",
            envvar=["ATHENA_SESSIONS_OWNER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"],
            show_default="the creator",
        ),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(
            help="Commit, shown by `list`.",
            envvar=["ATHENA_SESSIONS_COMMIT", "CI_COMMIT_SHA"],
            show_default="HEAD of the program's checkout",
        ),
    ] = None,
    secrets_provider: Annotated[
        str | None,
        typer.Option(help="Secrets provider of a new stack.", show_default="that of --from-stack"),
    ] = None,
    parallel: Parallel = PARALLEL,
    lock_timeout: LockTimeout = "0s",  # type: ignore[assignment]
    break_lock_older_than: BreakLock = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Create or update the preview environment NAME and start its sessions."""
    options = preview.Up(
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
        result = previews.up(run.workspace, options, run.reporter)
    if json:
        show.print_json(show.up_json(result))
    else:
        show.print_up(run.out, result)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # the user of a container may have no name


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
    """End everything in the preview environment NAME and remove its stack.

    If there is none, there is nothing to do. The command may be repeated, also concurrently.
    """
    options = preview.Down(
        parallel=parallel,
        config=_pairs(config),
        lock_patience=lock_timeout,
        break_lock_older_than=break_lock_older_than,
    )
    with _running(program, f"{name}: ending", verbose=verbose) as run:
        result = previews.down(run.workspace, name, options, run.reporter)
    if json:
        show.print_json(show.down_json(result))
    else:
        run.out.print(show.down_text(result), markup=False, soft_wrap=True)


@preview_env.command("list")
def list_(
    program: Program = Path(),
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the preview environments, the states of their sessions, and their DPU-hours so far."""
    with _running(program, "reading the stacks", verbose=verbose) as run:
        items = previews.listed(run.workspace, run.reporter)
    if json:
        show.print_json(show.listed_json(items, utc_now()))
    else:
        show.print_listed(run.out, items, utc_now())


@preview_env.command()
def sweep(
    program: Program = Path(),
    open_file: Annotated[
        typer.FileText | None,
        typer.Option(
            help="File with the names whose pull request is open, one per line; - is standard "
            "input. All others are taken down: an empty file takes down all."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done.")
    ] = False,
    parallel: Parallel = PARALLEL,
    lock_timeout: LockTimeout = "15m",  # type: ignore[assignment]
    break_lock_older_than: BreakLock = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Take down preview environments that have expired or whose pull request is closed.

    The open names are read from --open-file, or from a pipe. An empty pipe is treated as a command
    that failed: then only expired ones are taken down.
    """
    names = _names(open_file.read()) if open_file else _names_from_pipe()
    options = preview.Down(
        parallel=parallel,
        lock_patience=lock_timeout,
        break_lock_older_than=break_lock_older_than,
    )
    with _running(program, "reading the stacks", verbose=verbose) as run:
        swept = previews.sweep(
            run.workspace, run.reporter, open_names=names, dry_run=dry_run, options=options
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
    # Reading from a terminal, or from a socket or device that a CI system leaves open, blocks.
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
    terminate: Annotated[
        bool, typer.Option("--terminate", help="Terminate the orphans of known stacks.")
    ] = False,
    unknown_stacks: Annotated[
        bool,
        typer.Option(
            "--unknown-stacks",
            help="Treat sessions of unknown stacks as orphans, too. Use it only if no stack of "
            "another backend starts sessions in the work group.",
        ),
    ] = False,
    older_than: Annotated[
        timedelta,
        typer.Option(parser=_duration, metavar="DURATION", help="Ignore younger sessions."),
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
            help="Backend whose stacks are read; repeatable.",
            show_default="the current one",
        ),
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Find live sessions that this package started and that no stack names.

    A session is an orphan if the state of the stack that started it is in the backend, and no state
    names the session. Sessions of other stacks are listed separately, as of an unknown stack: one
    that was removed, or one in another backend.
    """
    reporter = Reporter(Console(stderr=True), verbose=verbose)
    with ExitStack() as stack:
        stack.enter_context(reporter.working("reading the sessions"))
        pulumi = Pulumi(_interrupts)
        config: dict[str, Any] = {}
        if from_stack:
            project = temporary_project(program or Path(), pulumi)
            config = dict(Stack(from_stack, stack.enter_context(project), reporter).config())
        settings = aws_settings(config, {"region": region, "profile": profile})
        if settings.region is None:
            # boto3 reads AWS_DEFAULT_REGION only; CI systems and other SDKs use AWS_REGION.
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
            now=utc_now(),
            older_than=older_than,
        )
        if terminate:
            found = list(orphans_.terminate(athena, found, reporter, unknown_stacks=unknown_stacks))
    if json:
        show.print_json(show.orphans_json(found))
    else:
        show.print_orphans(Console(), found, utc_now())
    if any(orphan.error for orphan in found):
        raise typer.Exit(Exit.PARTLY)
    if not terminate and any(orphan.known_stack or unknown_stacks for orphan in found):
        raise typer.Exit(Exit.ORPHANS_FOUND)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Errors become a paragraph on standard error."""
    output = _Output()
    _interrupts.install()
    try:
        app(args=arguments, prog_name="athena-sessions", obj=output)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else Exit.DONE
    except (CommandFailedError, AthenaSessionError) as exc:
        code = exit_code_of(exc)
        Console(stderr=True).print(f"error: {exc}", markup=False, highlight=False, soft_wrap=True)
        if output.json:
            show.print_json({"error": {"exit_code": int(code), "message": str(exc)}})
        return code
    return Exit.DONE
