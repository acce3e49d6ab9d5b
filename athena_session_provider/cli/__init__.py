"""The command ``athena-sessions``: preview environments, and sessions without a stack.

Built on Pulumi's Automation API. One module for one job::

    app          the command line: options, help, what each subcommand calls
    preview      a preview environment: values and decisions
    previews     the commands on preview environments: up, down, list and sweep
    orphans      live sessions that no stack names
    project      a temporary Pulumi project around the user's program
    stacks       one stack: its tags, configuration, state, up and destroy
    command      the ``pulumi`` process, and passing signals on to it
    sessions     sessions in a stack's state, and marked sessions in the service
    snippets     lines of code that use a session
    progress     engine events as one line of status
    show         tables and JSON
    times        times and durations as text
    failures     every error, and the exit codes (``Exit``)
"""

from __future__ import annotations

import sys

_NEEDED = frozenset({"rich", "semver", "typer", "yaml"})


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        from athena_session_provider.cli.app import run
    except ModuleNotFoundError as exc:
        if exc.name not in _NEEDED:
            raise
        sys.stderr.write(
            f"athena-sessions requires the package {exc.name}, which is in an extra: "
            "pip install 'athena-session-provider[cli]'\n"
        )
        from athena_session_provider.cli.failures import Exit

        return Exit.NOT_SET_UP
    return run(arguments)
