"""The command ``athena-sessions``: preview environments, and sessions that nobody owns.

Built on Pulumi's Automation API. One module for one job::

    app          the command line: options, help, what each subcommand calls
    previews     what a preview environment is; up, down, list and sweep
    orphans      live sessions that no stack names
    project      a throw-away Pulumi project around the user's program
    stacks       one stack: its tags, configuration, state, up and destroy
    command      the ``pulumi`` process, which signals reach through this one
    sessions     the sessions that a stack's state names
    snippets     lines to paste that use a session
    progress     engine events as one line of status
    show         tables, JSON, and how long and how much
    failures     every error, with the exit code it gives

Exit codes
----------
====  ==========================================================================================
0     done, or nothing to do
1     Pulumi or AWS refused, or failed; the message says what and why
2     wrong usage: an unknown option, a value that cannot be read
3     the stack is locked: another run works on it, or was killed while it did
4     not set up: no ``pulumi``, no program, no credentials, no passphrase, an unknown base stack
5     some of several were done: of a sweep, of the orphans to terminate
6     refused, because the stack is not a preview environment
10    ``orphans`` found some, and was not told to terminate them
130   interrupted by Ctrl-C; 143 by SIGTERM
====  ==========================================================================================
"""

from __future__ import annotations

import sys

_NEEDED = frozenset({"typer", "rich"})


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        from athena_session_provider.cli.app import run
    except ModuleNotFoundError as exc:
        if exc.name not in _NEEDED:
            raise
        sys.stderr.write(
            f"athena-sessions needs the package {exc.name}, which an extra brings along: "
            "pip install 'athena-session-provider[cli]'\n"
        )
        return 4
    return run(arguments)
