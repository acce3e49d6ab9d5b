"""One stack: its tags, configuration and state, and the commands that change it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pulumi.automation import (
    CommandError,
    LocalWorkspace,
    StackAlreadyExistsError,
    StackNotFoundError,
)
from pulumi.automation import Stack as AutomationStack

from athena_session_provider.cli.failures import (
    CommandFailedError,
    LockedError,
    NotSetUpError,
    from_pulumi,
)
from athena_session_provider.cli.progress import errors_of
from athena_session_provider.cli.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from pulumi.automation import EngineEvent

    from athena_session_provider.cli.progress import Reporter

T = TypeVar("T")

LOCK_INTERVAL_SECONDS = 2.0
"""Seconds between two attempts to take a lock."""


class _Known(AutomationStack):
    """An Automation API stack that is not selected.

    Every command names it with --stack. Selecting it would leave a file in Pulumi's home folder for
    each temporary project.
    """

    def __init__(self, name: str, workspace: LocalWorkspace) -> None:
        self.name = name
        self.workspace = workspace


class Stack:
    """A stack of the project, which may not exist yet.

    Methods raise the errors of `failures` instead of Pulumi's own.
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
        """Return its tags; None if the stack does not exist."""
        try:
            answer = self._run("stack", "tag", "ls", "--json", "--stack", self.name)
        except StackNotFoundError:
            return None
        except CommandError as exc:
            raise from_pulumi(exc, self.name) from exc
        return {str(key): str(value) for key, value in json.loads(answer or "{}").items()}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, one after the other: Pulumi has no command for several."""
        with self._errors():
            for key, value in tags.items():
                self.workspace.set_tag(self.name, key, value)

    def create(self, base: str | None, secrets_provider: str | None) -> bool:
        """Create the stack with the configuration of another; return False if it exists.

        Pulumi reads the secrets and encrypts them for the new stack: they are never on a command
        line.
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
        """Copy the configuration of another stack; Pulumi encrypts the secrets again."""
        try:
            self._run("config", "cp", "--stack", base, "--dest", self.name)
        except StackNotFoundError as exc:
            raise self._no_base(base) from exc
        except CommandError as exc:
            raise from_pulumi(exc, self.name) from exc

    def _no_base(self, base: str | None) -> NotSetUpError:
        return NotSetUpError(
            f"There is no stack {base} in this project and backend to copy the configuration "
            "from. Name another one with --from-stack, or set the configuration with --config."
        )

    def _secrets_provider_of(self, base: str | None) -> str | None:
        file = self._file(base or "")
        settings = yaml.safe_load(file.read_text()) if base and file.is_file() else None
        return (settings or {}).get("secretsprovider")

    def set_config(self, config: Mapping[str, str]) -> None:
        """Set plain values. Secrets do not belong on a command line."""
        if not config:
            return
        arguments = ["config", "set-all", "--stack", self.name]
        for key, value in config.items():
            arguments += ["--plaintext", f"{key}={value}"]
        with self._errors():
            self._run(*arguments)

    def restore_config(self, base: str | None) -> None:
        """Restore the configuration of the last update, or copy that of its base stack."""
        try:
            # Not refresh_config, which also decrypts all secrets.
            self._run("config", "refresh", "--force", "--stack", self.name)
        except CommandError as exc:
            if "no previous deployment" not in str(exc):
                raise from_pulumi(exc, self.name) from exc
            if base and self._file(base).is_file():
                self.copy_config_from(base)

    def config(self) -> dict[str, str]:
        """Return the configuration with secrets decrypted."""
        with self._errors():
            values = self.workspace.get_all_config(self.name)
        return {key: value.value for key, value in values.items()}

    def deployment(self) -> dict[str, Any]:
        """Return the state with secrets encrypted."""
        with self._errors():
            return dict(self._stack.export_stack().deployment or {})

    def up(self, parallel: int) -> None:
        """Run ``pulumi up``."""
        self._update(self._stack.up, parallel)

    def destroy(self, parallel: int) -> None:
        """Run ``pulumi destroy``."""
        self._update(self._stack.destroy, parallel)

    def _update(self, run: Callable[..., Any], parallel: int) -> None:
        errors: list[str] = []

        def on_event(event: EngineEvent) -> None:
            errors.extend(errors_of(event))
            self._reporter.event(event)

        with self._errors(errors):
            try:
                run(
                    parallel=parallel,
                    color="never",
                    on_event=on_event,
                    on_output=self._reporter.output,
                    show_secrets=False,
                )
            except (KeyError, ValueError) as exc:
                # After the update, the Automation API reads the stack's history. It is incomplete
                # while another run removes the stack.
                raise CommandFailedError(
                    f"Stack {self.name}: its history cannot be read: {exc!r}."
                ) from exc

    def remove(self) -> None:
        """Remove the stack, its history and its configuration. It must have no resources."""
        with self._errors():
            self._run("stack", "rm", "--yes", "--stack", self.name)

    def when_unlocked(
        self, work: Callable[[], T], *, patience: timedelta, break_older_than: timedelta | None
    ) -> T:
        """Run ``work``, which needs the stack's lock; repeat it while another run holds the lock.

        Args:
            work: What to run.
            patience: How long to wait for the lock.
            break_older_than: Age from which a lock is removed, because its run was killed; None
                never removes one.

        Raises:
            LockedError: The lock is still held after ``patience``.
        """
        end = time.monotonic() + patience.total_seconds()
        while True:
            try:
                return work()
            except LockedError as exc:
                if break_older_than is not None and exc.older_than(break_older_than, utc_now()):
                    self._reporter.say(f"{self.name}: removing the lock of {exc.holder}")
                    with self._errors():
                        self._stack.cancel()
                    continue
                if time.monotonic() >= end:
                    raise
                self._reporter.status(f"{self.name}: waiting for {exc.holder}")
                time.sleep(LOCK_INTERVAL_SECONDS)

    @contextmanager
    def _errors(self, diagnostics: Sequence[str] = ()) -> Iterator[None]:
        try:
            yield
        except CommandError as exc:
            raise from_pulumi(exc, self.name, diagnostics) from exc

    def _run(self, *arguments: str) -> str:
        return run_pulumi(self.workspace, *arguments)


def stack_names(workspace: LocalWorkspace, *options: str) -> list[str]:
    """Return the names of the project's stacks (with --all, of the backend's)."""
    try:
        answer = run_pulumi(workspace, "stack", "ls", "--json", *options)
    except CommandError as exc:
        raise from_pulumi(exc, "list") from exc
    return [str(stack["name"]) for stack in json.loads(answer or "[]")]


def run_pulumi(workspace: LocalWorkspace, *arguments: str) -> str:
    """Run a command or option that the Automation API does not support; return its output.

    These are ``stack init --copy-config-from --no-select``, ``stack ls --tag`` and ``config cp``.
    Raises CommandError.
    """
    command = workspace.pulumi_command
    return command.run(list(arguments), workspace.work_dir, workspace.env_vars).stdout
