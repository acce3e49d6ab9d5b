"""Start an Athena Spark session with a real `pulumi up`, on an emulator of Athena, and end it.

Where `make spark` has run, it is a session of Apache Spark version 3.5 and runs a Spark query.

No AWS account is needed and nothing is left behind: Pulumi keeps its state and settings in a
temporary folder, and the emulator keeps its sessions in memory. What Pulumi runs is the project's
own Pulumi.yaml and __main__.py, as it would on AWS. `make demo` calls this with the virtual
environment and the Pulumi CLI on PATH.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import boto3

from athena_session_provider.emulator import EmulatorClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parent.parent
SPARK = PROJECT / ".venv-spark"
QUERY = PROJECT / "examples" / "spark-connect" / "table.py"
WORK_GROUPS = {"3": "spark", "3.5": "spark-35"}  # the emulator has them
REGION = "eu-west-1"
STACK = "demo"
START_SECONDS = 5
EMULATOR_SECONDS = 30
"""How long the emulator may take until it listens."""
GRACE_SECONDS = 20
"""How long what was asked to end may take: Pulumi finishes what it has begun."""

LOG_LINES = 20


class DemoError(Exception):
    """A step of the demo failed; the message tells which."""


def say(text: str) -> None:
    """Tell in plain words what comes next."""
    print(f"\n# {text}" if text else "", flush=True)


def end(process: subprocess.Popen[str], first: signal.Signals) -> None:
    """Ask a process to end, and make it if it does not."""
    for number, seconds in ((first, GRACE_SECONDS), (signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(seconds)


def url_in(line: str) -> str | None:
    """Show a line of the emulator; give the URL in it."""
    print(line, end="", flush=True)
    match = re.search(r"https?://[\w.:\[\]]+", line)
    return match[0] if match else None


@contextlib.contextmanager
def emulator(environment: dict[str, str], log: Path, engine: str) -> Iterator[str | None]:
    """Run the emulator; give the URL it listens on, or None where it ended before.

    What it complains of goes into a log, whose end is shown when the demo fails.
    """
    command = ["-m", "athena_session_provider.emulator", "--port", "0"]
    command += ["--start-seconds", str(START_SECONDS)]
    if engine == "3":
        command += ["--spark-python", "none"]
    print(f"$ python {shlex.join(command)}", flush=True)
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # Not into the middle of what Pulumi draws.
            stderr=complaints,
            text=True,
            # Ctrl-C in a terminal must not end it before Pulumi is done with it.
            start_new_session=True,
        ) as process,
    ):
        # The start is bounded by a timer, since reading a line is not.
        assert process.stdout is not None  # noqa: S101 - a pipe, as asked for above
        signal.alarm(EMULATOR_SECONDS)
        try:
            url = next(filter(None, map(url_in, process.stdout)), None)
            signal.alarm(0)
            yield url
        except DemoError:
            if tail := log.read_text().splitlines()[-LOG_LINES:]:
                print("\nThe emulator's last words:", *tail, sep="\n  ", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
            end(process, signal.SIGTERM)


def run(arguments: list[str], environment: dict[str, str], folder: Path = PROJECT) -> None:
    """Show a Pulumi command, run it to its end, and show what it prints."""
    print(f"$ pulumi {shlex.join(arguments)}", flush=True)
    process = subprocess.Popen(
        ["pulumi", *arguments],  # noqa: S607 - the one on PATH is meant
        cwd=folder,
        env=environment,
        # From a terminal, Pulumi redraws its display in place.
        stdin=None if sys.stdin.isatty() else subprocess.DEVNULL,
        text=True,
        # Signals reach it by way of this process alone: to Pulumi, a second one means "at once",
        # and one for a closed terminal would end it without its plugins.
        start_new_session=True,
    )
    try:
        code = process.wait()
    except BaseException:
        end(process, signal.SIGINT)
        raise
    if code:
        raise DemoError(f"`pulumi {arguments[0]}` failed with exit code {code}.")


def environment_in(folder: Path) -> dict[str, str]:
    """Return an environment for Pulumi that is independent of the user's own."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "AWS_"))
    }
    (folder / "home").mkdir()
    (folder / "state").mkdir()
    return {
        **mine,
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "demo",
        "PULUMI_STACK": STACK,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        # The emulator is on this machine, wherever else requests go.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def show_query(session_id: str, url: str, environment: dict[str, str]) -> None:
    """Run the query of examples/spark-connect in a session, and show what it prints."""
    print(f"$ .venv-spark/bin/python {QUERY.relative_to(PROJECT)} {session_id}", flush=True)
    done = subprocess.run(
        [SPARK / "bin" / "python", "-W", "ignore", QUERY, session_id],
        env={
            **environment,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_ATHENA": url,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": EmulatorClient(url).certificate,
        },
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise DemoError(f"The query failed with exit code {done.returncode}.")


def settings(url: str, engine: str) -> str:
    """Return the stack's configuration: on AWS, the region and the work group would be enough."""
    return f"""\
config:
  aws:region: {REGION}
  aws:accessKey: demo
  aws:secretKey: demo
  aws:endpoints:
    - athena: {url}
      sts: {url}
  athena-session:workgroup: {WORK_GROUPS[engine]}
  athena-session:maxConcurrentDpus: 4
  athena-session:tags:
    team: data
"""


class Service:
    """The emulated service, called without Pulumi, in the environment of the demo."""

    def __init__(self, url: str, work_group: str) -> None:
        self._work_group = work_group
        self._athena = boto3.Session(
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - the emulator takes any
            region_name=REGION,
        ).client("athena", endpoint_url=url)

    def sessions(self) -> list[str]:
        """Return the ids of the sessions that run."""
        listed = self._athena.list_sessions(WorkGroup=self._work_group)["Sessions"]
        return [session["SessionId"] for session in listed]

    def show(self, session_ids: list[str]) -> None:
        """Show the state of sessions, ended ones too."""
        for session_id in session_ids:
            status = self._athena.get_session_status(SessionId=session_id)["Status"]
            print(f"GetSessionStatus: {session_id} is {status['State']}", flush=True)


def demo(folder: Path, engine: str) -> None:
    """Run the whole demo in an empty folder, with a session of an engine."""
    environment = environment_in(folder)
    # The boto3 of this process must not use the user's settings either.
    os.environ.clear()
    os.environ.update(environment)

    say("An emulator of Athena, on this machine. It takes 5 seconds to start a session.")
    with emulator(environment, folder / "emulator.log", engine) as url:
        if url is None:
            raise DemoError("The emulator ended before it listened.")
        say(f"A new stack, with its state and settings in {folder}. Its configuration:")
        # A copy, since `pulumi stack init` writes the settings beside Pulumi.yaml.
        shutil.copyfile(PROJECT / "Pulumi.yaml", folder / "Pulumi.yaml")
        config = folder / f"Pulumi.{STACK}.yaml"
        config.write_text(settings(url, engine))
        print(config.read_text(), end="")
        run(["stack", "init", STACK], environment, folder)
        at_config = ["--config-file", str(config)]

        say("Pulumi starts the session and waits until it is ready.")
        run(["up", "--yes", *at_config], environment)

        say("The session is running. Its outputs, for other programs:")
        run(["stack", "output"], environment)
        service = Service(url, WORK_GROUPS[engine])
        sessions = service.sessions()
        service.show(sessions)

        if engine == "3.5":
            say("A Spark query in it, by Spark Connect:")
            show_query(sessions[0], url, environment)

        say("Pulumi terminates the session.")
        run(["destroy", "--yes", *at_config], environment)
        service.show(sessions)


def stop(number: int, _frame: object) -> NoReturn:
    """Exit through the cleanup code on a signal."""
    if number == signal.SIGALRM:
        raise DemoError(f"The emulator does not listen after {EMULATOR_SECONDS} seconds.")
    raise SystemExit


def main() -> int:
    """Run the demo; report a failure in one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=sorted(WORK_GROUPS), help="default: 3.5 if installed")
    has_spark = (SPARK / "installed").exists()
    engine = parser.parse_args().engine or ("3.5" if has_spark else "3")
    if engine == "3.5" and not has_spark:
        print("error: run `make spark` first, or `make demo ENGINE=3.5`.", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(
            prefix="athena-session-demo-", ignore_cleanup_errors=True
        ) as folder:
            demo(Path(folder).resolve(), engine)
    except DemoError as error:
        print(f"\nerror: {error} Everything that the demo had started is ended.", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit):
        print("\nInterrupted; everything that the demo had started is ended.", file=sys.stderr)
        return 130
    seconds = time.monotonic() - start
    say(f"Done in {seconds:.0f} seconds. Nothing is left running, and {folder} is deleted.")
    if engine == "3":
        print("# `make demo ENGINE=3.5` installs Spark (420 MB to download) and runs a query, too.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
