"""Print what the pipeline files in `examples/` are checked with, and get it first where needed.

`actionlint` and `kubeconform` are built from their Go modules, pinned in `tools/pipelines`, into

    ${XDG_CACHE_HOME:-~/.cache}/athena-session-provider/pipeline-tools-<hash of the pins>/bin

The definitions of Flux's and Argo CD's resources lie in the modules pinned in `tools/crds`, which
are fetched and not built. That takes about a minute and happens once.

Standard output is JSON: the folder of the tools, and the folder of each module's source.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pulumi_cli

TOOLS = Path(__file__).resolve().parent
PIPELINES = TOOLS / "pipelines"
CRDS = TOOLS / "crds"

PACKAGES = (
    "github.com/rhysd/actionlint/cmd/actionlint",
    "github.com/yannh/kubeconform/cmd/kubeconform",
)
MODULES = ("github.com/argoproj/argo-cd/v3", "github.com/fluxcd/source-controller")


def tools_folder() -> Path:
    """Return the folder of the tools, which are built unless they are there."""
    pins = hashlib.sha256((PIPELINES / "go.mod").read_bytes()).hexdigest()[:12]
    home = pulumi_cli.built_folder().parent.parent / f"pipeline-tools-{pins}"

    def build(folder: Path) -> None:
        (folder / "bin").mkdir()
        target = f"{folder / 'bin'}{os.sep}"
        with pulumi_cli.progress("compiling actionlint and kubeconform"):
            pulumi_cli.go("build", "-trimpath", "-o", target, *PACKAGES, folder=PIPELINES)

    return pulumi_cli.built_once(home, build) / "bin"


def module_folders() -> dict[str, str]:
    """Return where the source of each module lies, which is fetched unless it is there."""
    output = pulumi_cli.go("mod", "download", "-json", *MODULES, folder=CRDS)
    decoder = json.JSONDecoder()
    folders = {}
    while output := output.strip():
        module, end = decoder.raw_decode(output)
        folders[module["Path"]] = module["Dir"]
        output = output[end:]
    return folders


def main() -> int:
    """Print the folders, or the reason why there are none."""
    try:
        print(json.dumps({"bin": str(tools_folder()), "modules": module_folders()}))
    except pulumi_cli.CannotBuildError as error:
        pulumi_cli.say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
