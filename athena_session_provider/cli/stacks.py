"""One stack: its tags, its configuration, its state, and the commands that change it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pulumi.automation import (
    CommandError,
    ConcurrentUpdateError,
    LocalWorkspace,
    StackAlreadyExistsError,
    StackNotFoundError,
)
from pulumi.automation import Stack as AutomationStack

from athena_session_provider.cli.failures import (
    NotSetUpError,
    from_pulumi,
    holder_of_lock,
    times_of_lock,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from athena_session_provider.cli.progress import Reporter

T = TypeVar("T")

PARALLEL = 64
"""Steps that Pulumi works on at once. Its own default, 4 for each core, starts few sessions at a
time; a session that is waited for costs this machine nothing."""

LOCK_INTERVAL_SECONDS = 2.0


class _Known(AutomationStack):
    """A stack that is neither created nor selected by being named.

    Every command names it with --stack. Selecting it would leave a file in Pulumi's home for each
    throw-away folder.
    """

    def __init__(self, name: str, workspace: LocalWorkspace) -> None:
        self.name = name
        self.workspace = workspace


class Stack:
    """A stack of the project, whether it exists or not.

    Methods raise the errors of `failures`, never Pulumi's own.
    """

    def __init__(self, name: str, workspace: LocalWorkspace, reporter: Reporter) -> None:
        self.name = name
        self.workspace = workspace
        self._reporter = reporter
        self._stack = _Known(name, workspace)

    @property
    def has_config_file(self) -> bool:
        """Whether the program's folder has configuration for the stack."""
        return self._file(self.name).is_file()

    def _file(self, name: str) -> Path:
        return Path(self.workspace.work_dir) / f"Pulumi.{name.rsplit('/', 1)[-1]}.yaml"

    def tags(self) -> dict[str, str] | None:
        """Give its tags; None where there is no such stack."""
        try:
            answer = self._run("stack", "tag", "ls", "--json", "--stack", self.name)
        except StackNotFoundError:
            return None
        except CommandError as exc:
            raise from_pulumi(exc, self.name) from exc
        return {str(key): str(value) for key, value in json.loads(answer or "{}").items()}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, one after the other: there is no command for several."""
        with self._errors():
            for key, value in tags.items():
                self.workspace.set_tag(self.name, key, value)

    def create(self, base: str | None, secrets_provider: str | None) -> bool:
        """Make the stack, with the configuration of another; False where it exists already.

        Pulumi itself reads the secrets and encrypts them for the new stack: they are never on a
        command line.
        """
        arguments = ["stack", "init", self.name, "--no-select"]
        provider = secrets_provider or self._secrets_provider_of(base)
        if base:
            arguments += ["--copy-config-from", base]
        if provider:
            arguments += ["--secrets-provider", provider]
        try:
            self._run(*arguments)
        except StackAlreadyExistsError:
            return False
        except StackNotFoundError as exc:
            raise self._no_base(base) from exc
        except CommandError as exc:
            raise from_pulumi(exc, self.name) from exc
        return True

    def copy_config_from(self, base: str) -> None:
        """Take over the configuration of another stack, secrets encrypted anew."""
        try:
            self._run("config", "cp", "--stack", base, "--dest", self.name)
        except StackNotFoundError as exc:
            raise self._no_base(base) from exc
        except CommandError as exc:
            raise from_pulumi(exc, self.name) from exc

    def _no_base(self, base: str | None) -> NotSetUpError:
        return NotSetUpError(
            f"There is no stack {base} in this project and backend to copy the configuration "
            "from. Name another one with --from-stack, or give the configuration with --config."
        )

    def _secrets_provider_of(self, base: str | None) -> str | None:
        file = self._file(base or "")
        settings = yaml.safe_load(file.read_text()) if base and file.is_file() else None
        return (settings or {}).get("secretsprovider")

    def set_config(self, config: Mapping[str, str]) -> None:
        """Set values, not secret ones: they were on our own command line too."""
        if not config:
            return
        arguments = ["config", "set-all", "--stack", self.name]
        for key, value in config.items():
            arguments += ["--plaintext", f"{key}={value}"]
        with self._errors():
            self._run(*arguments)

    def restore_config(self, base: str | None) -> None:
        """Have the configuration of the last update again, or else that of its base stack."""
        try:
            # Not refresh_config: that reads all secrets as well, for nobody.
            self._run("config", "refresh", "--force", "--stack", self.name)
        except CommandError as exc:
            if "no previous deployment" not in str(exc):
                raise from_pulumi(exc, self.name) from exc
            if base and self._file(base).is_file():
                self.copy_config_from(base)

    def config(self) -> dict[str, str]:
        """Give the configuration, with secrets readable."""
        with self._errors():
            values = self.workspace.get_all_config(self.name)
        return {key: value.value for key, value in values.items()}

    def deployment(self) -> dict[str, Any]:
        """Give the state, with secrets encrypted."""
        with self._errors():
            return dict(self._stack.export_stack().deployment or {})

    def up(self, parallel: int) -> None:
        """Run ``pulumi up``."""
        with self._errors():
            self._stack.up(
                parallel=parallel,
                color="never",
                on_event=self._reporter.event,
                on_output=self._reporter.output,
                show_secrets=False,
            )

    def destroy(self, parallel: int) -> None:
        """Run ``pulumi destroy``."""
        with self._errors():
            self._stack.destroy(
                parallel=parallel,
                color="never",
                on_event=self._reporter.event,
                on_output=self._reporter.output,
                show_secrets=False,
            )

    def remove(self) -> None:
        """Remove the stack, its history and its configuration; it has no resources any more."""
        with self._errors():
            self._run("stack", "rm", "--yes", "--stack", self.name)

    def when_unlocked(
        self, work: Callable[[], T], *, patience: timedelta, break_older_than: timedelta | None
    ) -> T:
        """Do something that needs the stack's lock; wait for it where another run holds it.

        Raises LockedError after ``patience``. A lock older than ``break_older_than`` is that of a
        run that was killed, and is taken away.
        """
        end = time.monotonic() + patience.total_seconds()
        while True:
            try:
                return self._locked_or(work)
            except ConcurrentUpdateError as exc:
                text = str(exc)
                if break_older_than is not None and _all_older(text, break_older_than):
                    self._reporter.say(f"{self.name}: removing the lock of {holder_of_lock(text)}")
                    with self._errors():
                        self._stack.cancel()
                    continue
                if time.monotonic() >= end:
                    raise from_pulumi(exc, self.name) from exc
                self._reporter.status(f"{self.name}: waiting for {holder_of_lock(text)}")
                time.sleep(LOCK_INTERVAL_SECONDS)

    def _locked_or(self, work: Callable[[], T]) -> T:
        """Let the one error through that is no end, as Pulumi's own."""
        try:
            return work()
        except Exception as exc:
            if isinstance(exc.__cause__, ConcurrentUpdateError):
                raise exc.__cause__ from exc
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        self._reporter.forget_errors()
        try:
            yield
        except CommandError as exc:
            raise from_pulumi(exc, self.name, self._reporter.errors) from exc

    def _run(self, *arguments: str) -> str:
        return run_pulumi(self.workspace, *arguments)


def _all_older(text: str, age: timedelta) -> bool:
    times = [_time(time_) for time_ in times_of_lock(text)]
    limit = datetime.now(timezone.utc) - age
    return bool(times) and all(time_ is not None and time_ <= limit for time_ in times)


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def stack_names(workspace: LocalWorkspace, *options: str) -> list[str]:
    """List the stacks of the project (or, with --all, of the backend)."""
    try:
        answer = run_pulumi(workspace, "stack", "ls", "--json", *options)
    except CommandError as exc:
        raise from_pulumi(exc, "list") from exc
    return [str(stack["name"]) for stack in json.loads(answer or "[]")]


def run_pulumi(workspace: LocalWorkspace, *arguments: str) -> str:
    """Run a command, or an option, that the Automation API has no method for.

    These are ``stack init --copy-config-from --no-select``, ``stack ls --tag`` and ``config cp``.
    Raises CommandError.
    """
    command = workspace.pulumi_command
    return command.run(list(arguments), workspace.work_dir, workspace.env_vars).stdout
