"""Print what programs in YAML, TypeScript and Go are run with, and get it first where needed.

    language_tools.py               print the folders as JSON
    language_tools.py sdks FOLDER   write the SDKs of the plugin's schema into a folder

The language host for YAML and the generator of the SDKs are built from their Go modules, pinned in
`tools/languages`; the Node packages are those of the lock file in `tools/languages/node`. Both stay
below

    ${XDG_CACHE_HOME:-~/.cache}/athena-session-provider/

and are made once, in about a minute. Only the tests and `make sdks` need them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pulumi_cli

LANGUAGES = Path(__file__).resolve().parent / "languages"
NODE = LANGUAGES / "node"
YAML_HOST = "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"


def cached(name: str, *sources: Path) -> Path:
    """Return the folder of the cache that is made from these files as they are now."""
    content = b"".join(source.read_bytes() for source in sources)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return pulumi_cli.built_folder().parent.parent / f"{name}-{digest}"


def go_tools() -> Path:
    """Return the folder of `pulumi-language-yaml` and `sdks`, which are built once."""
    home = cached(
        "languages", LANGUAGES / "go.mod", LANGUAGES / "go.sum", LANGUAGES / "sdks" / "main.go"
    )

    def build(folder: Path) -> None:
        flags = ("-trimpath", "-ldflags", "-s -w", "-o", f"{folder}{os.sep}")
        with pulumi_cli.progress("compiling the language host for YAML and the SDK generator"):
            pulumi_cli.go("build", *flags, YAML_HOST, "./sdks", folder=LANGUAGES)

    return pulumi_cli.built_once(home, build)


def node_modules() -> Path:
    """Return the folder of the Node packages, which are installed once."""
    home = cached("node", NODE / "package.json", NODE / "package-lock.json")

    def build(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(NODE / name, folder / name)
        npm = shutil.which("npm")
        if npm is None:
            message = "There is no `npm` on PATH. Install Node.js 20 or newer (https://nodejs.org)."
            raise pulumi_cli.CannotBuildError(message)
        with pulumi_cli.progress("installing the Node packages"):
            # No package of them needs its scripts.
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise pulumi_cli.CannotBuildError(f"`npm ci` failed:\n{done.stderr.strip()[-2000:]}")

    return pulumi_cli.built_once(home, build) / "node_modules"


def write_sdks(folder: Path) -> None:
    """Write the SDKs in TypeScript, Go and .NET; what the folder had of them is replaced."""
    from athena_session_provider.plugin.schema import package_schema

    generator = go_tools() / "sdks"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as schema:
        json.dump(package_schema(), schema)
        schema.flush()
        subprocess.run([generator, schema.name, folder], check=True)


def main(arguments: list[str]) -> int:
    """Do what the arguments ask for, or say why it cannot be done."""
    try:
        if arguments[:1] == ["sdks"]:
            write_sdks(Path(arguments[1]))
        else:
            print(json.dumps({"bin": str(go_tools()), "node_modules": str(node_modules())}))
    except pulumi_cli.CannotBuildError as error:
        pulumi_cli.say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
