"""A throw-away Pulumi project around the user's program.

Pulumi keeps a stack's configuration in a file beside the program. A preview environment's has to
come and go with the preview, and the checkout of a CI job may be read-only. So the command works
in a folder of its own, whose ``Pulumi.yaml`` runs the program where it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pulumi.automation import LocalWorkspace

from athena_session_provider.cli.failures import NotSetUpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from athena_session_provider.cli.command import Pulumi

_NAMES = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")


@contextmanager
def throw_away_project(program: Path, pulumi: Pulumi) -> Iterator[LocalWorkspace]:
    """Give a workspace whose files are gone afterwards. Raises NotSetUpError."""
    file = project_file(program)
    try:
        settings = yaml.safe_load(file.read_text())
    except yaml.YAMLError as exc:
        raise NotSetUpError(f"{file} cannot be read: {exc}") from exc
    if not isinstance(settings, dict) or not settings.get("name"):
        raise NotSetUpError(f"{file} is no Pulumi project: it has no name.")
    source = file.parent
    with tempfile.TemporaryDirectory(prefix="athena-sessions-") as folder:
        target = Path(folder)
        (target / "Pulumi.yaml").write_text(yaml.safe_dump(moved(settings, source)))
        for entry in source.iterdir():
            if entry.name.startswith("Pulumi.") and entry.name not in _NAMES:
                shutil.copy(entry, target)
            elif entry.name not in (*_NAMES, ".git"):
                # uv, Poetry and a virtual environment are looked for beside Pulumi.yaml.
                (target / entry.name).symlink_to(entry)
        config = settings.get("stackConfigDir") or settings.get("config")
        if isinstance(config, str):
            for entry in (source / config).glob("Pulumi.*"):
                shutil.copy(entry, target)
        yield LocalWorkspace(
            work_dir=folder, pulumi_command=pulumi, env_vars=_backend_from_anywhere()
        )


def project_file(program: Path) -> Path:
    """Find the project file in a folder. Raises NotSetUpError."""
    for name in _NAMES:
        if (program / name).is_file():
            return (program / name).resolve()
    raise NotSetUpError(
        f"There is no Pulumi program in {program.resolve()}: it has no Pulumi.yaml. Name the "
        "folder of the program with --program."
    )


def moved(settings: dict[str, Any], source: Path) -> dict[str, Any]:
    """Give the settings of a project for another folder than the one they were written in."""
    settings = dict(settings)
    settings["main"] = str(source / (settings.get("main") or "."))
    settings.pop("stackConfigDir", None)
    if isinstance(settings.get("config"), str):
        del settings["config"]
    runtime = settings.get("runtime")
    if isinstance(runtime, dict) and (runtime.get("options") or {}).get("virtualenv"):
        options = dict(runtime["options"])
        options["virtualenv"] = str(source / options["virtualenv"])
        settings["runtime"] = {**runtime, "options": options}
    backend = settings.get("backend")
    if isinstance(backend, dict) and backend.get("url"):
        settings["backend"] = {**backend, "url": _absolute(str(backend["url"]), source)}
    return settings


def _backend_from_anywhere() -> dict[str, str]:
    url = os.environ.get("PULUMI_BACKEND_URL", "")
    return {"PULUMI_BACKEND_URL": _absolute(url, Path.cwd())} if url else {}


def _absolute(url: str, base: Path) -> str:
    """Give a backend's URL with the folder in it made absolute."""
    scheme, separator, path = url.partition("://")
    if scheme != "file" or not separator or path.startswith(("/", "~")):
        return url
    return f"file://{(base / path).resolve()}"
