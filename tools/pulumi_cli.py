"""Print the folder of a usable Pulumi CLI, and build one first where the machine has none.

A `pulumi` on PATH is taken as it is, together with its language host for Python. Without one, the
CLI is built from its Go modules, which are pinned in `tools/engine` and `tools/language-host`, into

    ${XDG_CACHE_HOME:-~/.cache}/athena-session-provider/pulumi-<version>/bin

That takes about 5 minutes and happens once. The folder is complete from the moment that it exists:
a build runs in a folder beside it, which is renamed at the end and deleted when the build fails or
is interrupted. Of two that start at once, the second waits and uses what the first has built.

Only the folder goes to standard output, so that a shell can say `PATH="$(...):$PATH"`; messages
go to standard error. This file needs nothing but Python's standard library.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOOLS = Path(__file__).resolve().parent
ENGINE = TOOLS / "engine"
LANGUAGE_HOST = TOOLS / "language-host"

SDK = "github.com/pulumi/pulumi/sdk/v3"
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LANGUAGE_HOST_PACKAGE = f"{SDK}/python/cmd/pulumi-language-python"

# What `pulumi` looks for on PATH or beside itself to run a Python program and a dynamic provider.
COMPANIONS = (
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)
# Scripts among them, by their place in the module of the SDK.
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")

# A line of progress this often, where standard error is a file or the log of a CI run.
PROGRESS_SECONDS = 60

INSTALL_PULUMI = (
    "You can also install the Pulumi CLI (https://www.pulumi.com/docs/install/): "
    "whatever `pulumi` is on PATH is used."
)


class CannotBuildError(Exception):
    """Pulumi cannot be built here; the message tells why and what to do."""


def say(text: str) -> None:
    """Tell the user what happens, without touching what a shell captures."""
    print(text, file=sys.stderr, flush=True)


def module_version(module: str, folder: Path) -> str:
    """Return the version of a module that a go.mod file asks for, without the leading v."""
    text = (folder / "go.mod").read_text()
    match = re.search(rf"^\s*{re.escape(module)} v(\S+)", text, re.MULTILINE)
    if not match:
        raise CannotBuildError(f"{folder / 'go.mod'} does not name {module}.")
    return match[1]


def on_path() -> Path | None:
    """Return the folder of the Pulumi CLI on PATH, or None where there is none that works."""
    found = shutil.which("pulumi")
    if not found:
        return None
    # Package managers link the CLI alone into a folder on PATH; the rest lies beside the original.
    for folder in (Path(found).parent, Path(found).resolve().parent):
        if is_complete(folder):
            return folder
    missing = [name for name in COMPANIONS if not shutil.which(name)]
    if missing:
        say(f"{found} is not used: there is no {' and no '.join(missing)} beside it or on PATH.")
        return None
    return Path(found).parent


def built_folder() -> Path:
    """Return the folder that holds the built CLI, whether or not it exists yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    base = cache if cache.is_absolute() else Path.home() / ".cache"
    return base / "athena-session-provider" / f"pulumi-{module_version(SDK, ENGINE)}" / "bin"


def is_complete(folder: Path) -> bool:
    """Tell whether a folder holds the CLI and all that it needs."""
    return all(os.access(folder / name, os.X_OK) for name in ("pulumi", *COMPANIONS))


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Keep every other process out of the block, also where this one dies without a word."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Pulumi is being built by another process; waiting for it...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Show that something long is under way, and for how long."""
    start = time.monotonic()
    done = threading.Event()
    terminal = sys.stderr.isatty()

    def tick() -> None:
        while not done.wait(1 if terminal else PROGRESS_SECONDS):
            seconds = int(time.monotonic() - start)
            shown = f"  {what}: {seconds // 60}:{seconds % 60:02}"
            print(shown, end="\r" if terminal else "\n", file=sys.stderr, flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
        seconds = int(time.monotonic() - start)
        say(f"  {what}: {seconds // 60}:{seconds % 60:02}")


def go(*arguments: str, folder: Path) -> str:
    """Run Go in the folder of a module and return what it printed."""
    # A workspace or flags of the user's own projects must not change what is built.
    environment = {**os.environ, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
    with subprocess.Popen(
        ["go", *arguments],  # noqa: S607 - which Go is the user's choice, by PATH
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            # Ctrl-C in a terminal reaches Go as well; a signal to this process alone does not.
            process.terminate()
            raise
    if process.returncode:
        tail = "\n".join(f"  {line}" for line in err.strip().splitlines()[-15:])
        hint = (
            "The Go modules could not be fetched. Is the network reachable, and GOPROXY right?"
            if re.search(r"dial tcp|i/o timeout|proxyconnect|tls:|reading https?://|GOPROXY", err)
            else "Go could not do that."
        )
        raise CannotBuildError(f"`go {' '.join(arguments)}` failed:\n{tail}\n{hint}")
    return out


def require_go() -> None:
    """Raise an error that says what to do where Go is missing or too old."""
    wanted = module_go_version()
    wanted_text = ".".join(map(str, wanted))
    if not shutil.which("go"):
        raise CannotBuildError(
            f"There is neither `pulumi` nor `go` on PATH. Install Go {wanted_text} or newer "
            f"(https://go.dev/doc/install), and Pulumi is built with it. {INSTALL_PULUMI}"
        )
    try:
        # Asked inside the module, so that a Go which fetches the right release by itself does so.
        version = go("env", "GOVERSION", folder=ENGINE).strip()
    except CannotBuildError as error:
        raise CannotBuildError(
            f"Go {wanted_text} or newer is needed to build Pulumi. {INSTALL_PULUMI}\n{error}"
        ) from error
    match = re.match(r"go(\d+)\.(\d+)", version)
    # A version without numbers is a development build: let it try.
    if match and (int(match[1]), int(match[2])) < wanted:
        raise CannotBuildError(
            f"Go {wanted_text} or newer is needed to build Pulumi, and `go` on PATH is {version}. "
            f"{INSTALL_PULUMI}"
        )


def module_go_version() -> tuple[int, int]:
    """Return the oldest Go that the pinned modules build with."""
    match = re.search(r"^go (\d+)\.(\d+)", (ENGINE / "go.mod").read_text(), re.MULTILINE)
    if not match:
        raise CannotBuildError(f"{ENGINE / 'go.mod'} does not name a version of Go.")
    return int(match[1]), int(match[2])


def build_into(folder: Path) -> None:
    """Build the CLI, its language host and their scripts into an empty folder."""
    version = module_version(SDK, ENGINE)
    flags = f"-s -w -X {SDK}/go/common/version.Version=v{version}"
    arguments = ("build", "-trimpath", "-ldflags", flags, "-o", str(folder) + os.sep)
    with progress("fetching the Go modules"):
        # Not `go mod download`: it would fetch modules that only other packages' tests need.
        go("list", "-deps", LANGUAGE_HOST_PACKAGE, folder=LANGUAGE_HOST)
        go("list", "-deps", CLI_PACKAGE, folder=ENGINE)
    with progress("compiling the language host"):
        go(*arguments, LANGUAGE_HOST_PACKAGE, folder=LANGUAGE_HOST)
    with progress("compiling the CLI"):
        go(*arguments, CLI_PACKAGE, folder=ENGINE)
    sdk = Path(go("list", "-m", "-f", "{{.Dir}}", SDK, folder=ENGINE).strip())
    for script in SCRIPTS:
        copy = folder / Path(script).name
        shutil.copyfile(sdk / script, copy)
        copy.chmod(0o755)  # the module cache keeps no executable bit


def built_once(home: Path, build: Callable[[Path], None]) -> Path:
    """Return a folder below the cache, built unless it is there; it is complete if it exists.

    Args:
        home: The folder. Its name has to change with what is built.
        build: Builds into the empty folder that it gets, which is renamed afterwards.
    """
    if home.exists():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with only_one(home.parent / f"{home.name}.lock"):
        if home.exists():
            return home
        temporary = Path(tempfile.mkdtemp(prefix=f"{home.name}.building-", dir=home.parent))
        try:
            temporary.chmod(0o755)  # mkdtemp makes it private
            build(temporary)
            temporary.rename(home)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return home


def build(target: Path) -> None:
    """Build the CLI, so that the target folder either does not exist or is complete."""
    require_go()
    home = target.parent
    home.parent.mkdir(parents=True, exist_ok=True)
    with only_one(home.parent / f"{home.name}.lock"):
        if is_complete(target):
            return
        # What a killed build left behind. The lock is ours, so nobody is at work in it.
        for leftover in home.parent.glob(f"{home.name}.building-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        say(
            f"There is no Pulumi CLI on PATH: building {module_version(SDK, ENGINE)} from its Go "
            f"modules.\nThis takes about 5 minutes, once; it stays in {target}"
        )
        temporary = Path(tempfile.mkdtemp(prefix=f"{home.name}.building-", dir=home.parent))
        try:
            temporary.chmod(0o755)  # mkdtemp makes it private
            (temporary / "bin").mkdir()
            build_into(temporary / "bin")
            if home.exists():  # a file of it was deleted: it is built anew as a whole
                shutil.rmtree(home)
            temporary.rename(home)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def stop(_signal: int, _frame: object) -> NoReturn:
    """Leave through the clean-up code when the process is asked to end."""
    sys.exit("Stopped; nothing half-built is left behind.")


def main() -> int:
    """Print the folder, or the reason why there is none."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), stop)
    try:
        folder = on_path()
        if folder is None:
            folder = built_folder()
            if not is_complete(folder):
                build(folder)
    except CannotBuildError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: Pulumi could not be put into {built_folder()}: {error}")
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
