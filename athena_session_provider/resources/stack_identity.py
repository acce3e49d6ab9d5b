"""Whose stack this is: what tells two stacks with equal URNs apart.

URNs carry the project and the stack, but neither the organization nor the backend. Pulumi Cloud
keeps organizations apart. Every other backend calls its organization "organization", so there the
backend's address is taken, and for a backend in local files, which is another one on each
machine, the machine's name too.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pulumi
import yaml

ORGANIZATION_OF_SELF_MANAGED_BACKENDS = "organization"


def owner_of_stack() -> str:
    """Give the organization, or a hash of the backend where there is no organization."""
    organization = pulumi.get_organization()
    if organization != ORGANIZATION_OF_SELF_MANAGED_BACKENDS:
        return organization
    url = backend_url(os.environ, Path.cwd())
    return f"{organization}@{owner_of_backend(url, platform.node())}"


def owner_of_backend(url: str, machine: str) -> str:
    """Give 16 digits that stand for a backend; its URL may hold a password."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname or ''}{parts.path.rstrip('/')}"
    if parts.scheme in ("", "file"):
        place += f"@{machine}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def backend_url(environment: Mapping[str, str], project: Path) -> str:
    """Find the backend's URL where the Pulumi CLI looks for it; "" where it is not told."""
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    return str(
        environment.get("PULUMI_BACKEND_URL")
        or _member(project / "Pulumi.yaml", "backend", "url")
        or _member(home / "credentials.json", "current")
        or ""
    )


def _member(file: Path, *path: str) -> Any:
    """Read one member of a YAML or JSON file; None where it is not there."""
    try:
        value = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError):
        return None
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
