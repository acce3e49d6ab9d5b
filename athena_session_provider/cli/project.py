"""A temporary Pulumi project around the user's program.

Pulumi keeps a stack's configuration in a file beside the program. A preview environment's must be
removed with the preview, and the checkout of a CI job may be read-only. Therefore the command works
in a temporary folder, whose ``Pulumi.yaml`` runs the program in its place.
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
def temporary_project(program: Path, pulumi: Pulumi) -> Iterator[LocalWorkspace]:
    """Yield a workspace in a temporary folder. Raises NotSetUpError."""
    file = project_file(program)
    try:
        settings = yaml.safe_load(file.read_text())
    except yaml.YAMLError as exc:
        raise NotSetUpError(f"{file} cannot be read: {exc}") from exc
    if not isinstance(settings, dict) or not settings.get("name"):
        raise NotSetUpError(f"{file} is not a Pulumi project: it has no name.")
    source = file.parent
    with tempfile.TemporaryDirectory(prefix="athena-sessions-") as folder:
        target = Path(folder)
        (target / "Pulumi.yaml").write_text(yaml.safe_dump(moved(settings, source)))
        for entry in source.iterdir():
            if entry.name.startswith("Pulumi.") and entry.name not in _NAMES:
                shutil.copy(entry, target)
            elif entry.name not in (*_NAMES, ".git"):
                # Pulumi looks for uv, Poetry and virtual environments beside Pulumi.yaml.
                (target / entry.name).symlink_to(entry)
        config = settings.get("stackConfigDir") or settings.get("config")
        if isinstance(config, str):
            for entry in (source / config).glob("Pulumi.*"):
                shutil.copy(entry, target)
        yield LocalWorkspace(
            work_dir=folder, pulumi_command=pulumi, env_vars=_backend_from_anywhere()
        )


def project_file(program: Path) -> Path:
    """Return the path of a folder's project file. Raises NotSetUpError."""
    for name in _NAMES:
        if (program / name).is_file():
            return (program / name).resolve()
    raise NotSetUpError(
        f"There is no Pulumi program in {program.resolve()}: it has no Pulumi.yaml. Name the "
        "folder of the program with --program."
    )


def moved(settings: dict[str, Any], source: Path) -> dict[str, Any]:
    """Return the settings of a project in ``source`` for a project file in another folder.

    A plain dict: ``ProjectSettings`` of the Automation API drops keys that it does not know, such
    as ``packages`` and ``plugins``.
    """
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
    """Return a backend's URL with an absolute path."""
    scheme, separator, path = url.partition("://")
    if scheme != "file" or not separator or path.startswith(("/", "~")):
        return url
    return f"file://{(base / path).resolve()}"
