"""A YAML stack whose sessions come from the plugin."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pulumi_stack import REPOSITORY, PulumiStack

SESSION = "athena-session:index:Session"
KEYS = {
    "athena-session:region": "eu-west-1",
    "athena-session:accessKey": "AKIAIOSFODNN7EXAMPLE",
    "athena-session:secretKey": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
}


@functools.cache
def language_tools() -> dict[str, Path]:
    """Return the folders of the YAML host and of the Node packages; made where they are missing."""
    printed = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "language_tools.py")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return {name: Path(folder) for name, folder in json.loads(printed).items()}


def session(**properties: Any) -> dict[str, Any]:
    """Return a session of a YAML program; `options` are its resource options."""
    options = properties.pop("options", {})
    return {
        "type": "athena-session:Session",
        "properties": {
            "workGroup": "spark",
            "engineConfiguration": {"maxConcurrentDpus": 20},
            **properties,
        },
        "options": options,
    }


@dataclass
class PluginStack(PulumiStack):
    """A project in YAML, with the plugin of this checkout."""

    resources: dict[str, Any] = field(default_factory=dict)

    def init(self, program: str = "") -> PluginStack:  # noqa: ARG002 - the program is `resources`
        """Make the project and the stack."""
        for part in ("program", "home", "state"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        # An executable in a folder, which the engine runs with no word about PATH.
        (self.folder / "plugin").mkdir()
        plugin = Path(sys.executable).parent / "pulumi-resource-athena-session"
        (self.folder / "plugin" / plugin.name).symlink_to(plugin)
        self.environment["PATH"] = os.pathsep.join(
            [str(language_tools()["bin"]), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        self.declare({"spark": session()})
        self.succeed("stack", "init", self.name)
        endpoints = [{"athena": self.emulator.url, "sts": self.emulator.url}]
        self.configure({**KEYS, "athena-session:endpoints": endpoints})
        return self

    def declare(
        self,
        resources: dict[str, Any],
        outputs: dict[str, Any] | None = None,
        variables: dict[str, Any] | None = None,
    ) -> None:
        """Write the program."""
        self.resources = resources
        project = {
            "name": self.project,
            "runtime": "yaml",
            "plugins": {"providers": [{"name": "athena-session", "path": "../plugin"}]},
            "resources": resources,
            "outputs": outputs or {},
            "variables": variables or {},
        }
        # Through JSON, so that no value is written as an alias, which the YAML host refuses.
        text = yaml.safe_dump(json.loads(json.dumps(project)))
        (self.program_folder / "Pulumi.yaml").write_text(text)

    def sessions(self) -> list[dict[str, Any]]:
        """Return the session resources that the state has."""
        return [item for item in self.state().get("resources", []) if item["type"] == SESSION]

    def provider(self) -> dict[str, Any]:
        """Return the provider resource that the state has."""
        found: dict[str, Any]
        (found,) = [
            item
            for item in self.state().get("resources", [])
            if item["type"] == "pulumi:providers:athena-session"
        ]
        return found

    def steps(self) -> dict[str, dict[str, Any]]:
        """Return the steps of a preview, by the resource's name."""
        preview = json.loads(self.stdout("preview", "--json"))
        return {step["urn"].rpartition("::")[2]: step for step in preview["steps"]}
