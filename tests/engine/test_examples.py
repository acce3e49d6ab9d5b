"""The files in examples/ are valid, and the shell in them does what it says, on the emulator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from botocore.session import get_session
from pulumi_stack import REPOSITORY, PulumiStack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

EXAMPLES = REPOSITORY / "examples"
WORKFLOWS = sorted((EXAMPLES / "github-actions").glob("*.yml"))
OWN_WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
GITLAB = EXAMPLES / "gitlab-ci" / ".gitlab-ci.yml"
SCHEMAS = REPOSITORY / "tests" / "schemas"
KUBERNETES_VERSION = "1.34.0"
NATIVE_KINDS = ("namespace-v1", "serviceaccount-v1", "clusterrolebinding-rbac-v1")

# The definitions of Flux's and Argo CD's resources that the examples use, by module.
CRDS = {
    "github.com/fluxcd/source-controller": [
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"
    ],
    "github.com/argoproj/argo-cd/v3": [
        "manifests/crds/application-crd.yaml",
        "manifests/crds/applicationset-crd.yaml",
    ],
}


# Valid


@pytest.fixture(scope="session")
def tools() -> dict[str, Any]:
    """Actionlint and kubeconform, and the source of the modules with resource definitions."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "pipeline_tools.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(*command: str) -> str:
    """Run a checker that has to be content; give what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_github_workflows_are_valid(tools: dict[str, Any]) -> None:
    """Actionlint finds nothing, in the examples and in the repository's own workflows."""
    files = [*WORKFLOWS, *OWN_WORKFLOWS]
    assert OWN_WORKFLOWS
    run(f"{tools['bin']}/actionlint", "-shellcheck=", "-pyflakes=", *map(str, files))


def test_actions_are_pinned_and_values_stay_out_of_scripts() -> None:
    """By commit, with the release as a comment; an expression in a script can inject code."""
    for file in WORKFLOWS:
        uses = re.findall(r"uses: (\S+)(.*)", file.read_text())
        assert uses
        for action, comment in uses:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.match(r" # v\d+\.\d+\.\d+", comment), action
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            assert job["permissions"].get("id-token") == "write"
            assert job["timeout-minutes"]
            assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_the_role_allows_what_there_is_and_no_more() -> None:
    """Every Athena action is an operation, on one work group and its sessions."""
    role = json.loads((EXAMPLES / "github-actions" / "role" / "permissions.json").read_text())
    operations = get_session().get_service_model("athena").operation_names
    (sessions,) = (s for s in role["Statement"] if s["Sid"] == "Sessions")
    assert {action.removeprefix("athena:") for action in sessions["Action"]} <= set(operations)
    assert all(":workgroup/spark" in resource for resource in sessions["Resource"])
    trust = (EXAMPLES / "github-actions" / "role" / "trust-policy.json").read_text()
    assert json.loads(trust)["Statement"][0]["Action"] == "sts:AssumeRoleWithWebIdentity"


def test_gitlab_pipeline_is_valid() -> None:
    """By GitLab's own schema, which check-jsonschema ships."""
    run(
        sys.executable,
        "-m",
        "check_jsonschema",
        *("--builtin-schema", "vendor.gitlab-ci"),
        *("--data-transform", "gitlab-ci", str(GITLAB)),
    )
    pipeline = yaml.safe_load(GITLAB.read_text())
    assert pipeline["up"]["environment"]["on_stop"] == "down"
    assert pipeline["down"]["environment"]["action"] == "stop"
    # GitLab runs `down` for `up` only where both run in the same pipelines.
    assert pipeline["up"]["rules"] == pipeline["down"]["rules"]


def strict(schema: Any) -> Any:
    """Refuse members that a resource definition does not name, as the API server prunes them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result


def inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Put definitions where they are referred to, by a path that only a web server would know."""
    if isinstance(schema, list):
        return [inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    return {key: inlined(value, definitions) for key, value in schema.items()}


def test_kubernetes_resources_are_valid(tools: dict[str, Any], tmp_path: Path) -> None:
    """kubeconform, strictly, with the definitions of every kind that the examples use."""
    for module, files in CRDS.items():
        for file in files:
            definition = yaml.safe_load((Path(tools["modules"][module]) / file).read_text())
            spec = definition["spec"]
            group, kind = spec["group"].split(".")[0], spec["names"]["kind"].lower()
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                # The API server's own part of every resource.
                schema["properties"]["metadata"] = {"type": "object"}
                target = tmp_path / f"{kind}-{group}-{version['name']}.json"
                target.write_text(json.dumps(schema))
    native = (
        Path(kubernetes_validate.__file__).parent
        / "kubernetes-json-schema"
        / f"v{KUBERNETES_VERSION}-local-strict"
    )
    definitions = json.loads((native / "_definitions.json").read_text())["$defs"]
    for name in NATIVE_KINDS:
        schema = json.loads((native / f"{name}.json").read_text())
        (tmp_path / f"{name}.json").write_text(json.dumps(inlined(schema, definitions)))
    schemas = [
        f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json" for folder in (tmp_path, SCHEMAS)
    ]
    files = [
        str(file)
        for file in sorted((EXAMPLES / "kubernetes").rglob("*.yaml"))
        if file.name != "kustomization.yaml"  # read by Argo CD, not by the cluster
    ]
    summary = run(
        f"{tools['bin']}/kubeconform",
        *("-strict", "-summary", "-output", "json"),
        *(part for schema in schemas for part in ("-schema-location", schema)),
        *files,
    )
    counts = json.loads(summary)["summary"]
    assert counts["valid"] == sum(len(documents(file)) for file in files)
    assert counts["invalid"] == counts["errors"] == counts["skipped"] == 0


def documents(file: str) -> list[Any]:
    """Read a file of several documents."""
    return [document for document in yaml.safe_load_all(Path(file).read_text()) if document]


def test_the_schema_of_the_operator_refuses_what_it_does_not_know() -> None:
    """A misspelt member of a Stack is an error, and so are two sources."""
    from jsonschema import Draft7Validator

    schema = Draft7Validator(json.loads((SCHEMAS / "stack-pulumi-v1.json").read_text()))
    stack = documents(str(EXAMPLES / "kubernetes" / "argocd" / "stack" / "stack.yaml"))[0]
    assert schema.is_valid(stack)
    wrongs: list[dict[str, Any]] = [
        {"destroyOnFinalise": True},
        {"fluxSource": {}},
        {"commit": "c0ffee"},
    ]
    for wrong in wrongs:
        assert not schema.is_valid({**stack, "spec": {**stack["spec"], **wrong}})


def test_previews_of_argo_cd_patch_what_is_there() -> None:
    """Each path that the patch replaces or removes is in the Stack that it patches."""
    folder = EXAMPLES / "kubernetes" / "argocd"
    stack = documents(str(folder / "stack" / "stack.yaml"))[0]
    template = documents(str(folder / "previews.yaml"))[0]["spec"]["template"]
    (patch,) = template["spec"]["source"]["kustomize"]["patches"]
    operations = yaml.safe_load(
        patch["patch"].replace("{{.number}}", "7").replace("{{.head_sha}}", "c0ffee")
    )
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        node = stack
        for parent in parents:
            node = node[parent]
        assert (last in node) == (operation["op"] != "add"), operation


# At work

STUB_PIP = "#!/bin/sh\nexit 0\n"
# What the workflows use of GitHub's command: to comment, and to list the open pull requests.
STUB_GH = """#!/bin/sh
case "$1 $2" in
  "pr comment") shift 2; while [ $# -gt 1 ]; do shift; done; cat "$1" >> "$GH_COMMENTS" ;;
  "pr list") cat "$GH_OPEN" ;;
  *) exit 9 ;;
esac
"""


class Checkout:
    """A checkout of a repository with the program, in a CI job with the commands it has."""

    def __init__(self, stack: PulumiStack) -> None:
        self.stack = stack
        self.bin = stack.folder / "bin"
        self.bin.mkdir()
        self.comments = stack.folder / "comments"
        self.open = stack.folder / "open-pull-requests"
        self.open.write_text("")
        command = f'#!/bin/sh\nexec {sys.executable} -m athena_session_provider "$@"\n'
        stubs = {"pip": STUB_PIP, "gh": STUB_GH, "athena-sessions": command}
        for name, text in stubs.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        (stack.program_folder / "requirements.txt").write_text("athena-session-provider\n")

    def bash(self, script: str, environment: Mapping[str, str]) -> str:
        """Run a script as a CI system does, with nothing on standard input."""
        env = {
            **self.stack.env(),
            "GH_COMMENTS": str(self.comments),
            "GH_OPEN": str(self.open),
            "GITHUB_STEP_SUMMARY": str(self.stack.folder / "summary"),
            **environment,
        }
        env["PATH"] = f"{self.bin}{os.pathsep}{env['PATH']}"
        # The settings of the test's own backend, not those that the example would have.
        for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
            env[name] = self.stack.env()[name]
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.stack.program_folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def github(self, file: str, job: str, values: Mapping[str, str]) -> str:
        """Run the steps of a job of a workflow."""
        workflow = yaml.safe_load((EXAMPLES / "github-actions" / file).read_text())
        output = ""
        for step in workflow["jobs"][job]["steps"]:
            if "run" in step:
                variables = {**workflow["env"], **step.get("env", {})}
                environment = {key: resolved(str(text), values) for key, text in variables.items()}
                output += self.bash(step["run"], environment)
        return output

    def gitlab(self, job: str, variables: Mapping[str, str]) -> str:
        """Run the scripts of a job of the pipeline."""
        pipeline = yaml.safe_load(GITLAB.read_text())
        base, own = pipeline[".pulumi"], pipeline[job]
        environment = {
            key: re.sub(r"\$(\w+)", lambda match: variables[match[1]], text)
            for key, text in {**base["variables"], **own.get("variables", {})}.items()
        }
        environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(self.stack.folder / "token")
        lines = [*own.get("before_script", base["before_script"]), *own["script"]]
        return self.bash("\n".join(lines), {**environment, **variables})


def resolved(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of GitHub's expressions."""
    return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: values[match[1]], text)


@pytest.fixture
def checkout(stack: PulumiStack) -> Checkout:
    """A checkout of a program whose stack dev has a configuration."""
    return Checkout(stack)


def test_github_steps_work(checkout: Checkout, emulator: Emulator) -> None:
    """A pull request is planned, gets its session, and loses it; the sweep finds the others."""
    values = {
        "github.event.number": "7",
        "github.event.pull_request.head.sha": "c0ffee",
        "github.repository": "example-org/example-repository",
        "github.token": "t",
        "vars.AWS_REGION": "eu-west-1",
        "vars.PULUMI_BACKEND_URL": "",
        "vars.WORK_GROUP": "spark",
        "secrets.PULUMI_CONFIG_PASSPHRASE": "",
    }
    checkout.github("preview.yml", "plan", values)
    assert "athena:Session" in checkout.comments.read_text()
    assert not emulator.sessions(), "a plan starts nothing"

    checkout.github("preview.yml", "up", values)
    (session,) = emulator.live_sessions()
    assert session.session_id in checkout.comments.read_text()
    checkout.github("preview.yml", "down", values)
    assert not emulator.live_sessions()

    checkout.github("deploy.yml", "up", values)
    checkout.github("preview.yml", "up", {**values, "github.event.number": "8"})
    checkout.github("preview.yml", "up", values)
    assert len(emulator.live_sessions()) == 3
    checkout.open.write_text("pr-8\n")
    # `orphans` has no --from-stack here: in CI, the environment has the credentials.
    checkout.stack.environment.update(
        AWS_ENDPOINT_URL=emulator.url,
        AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
        AWS_SECRET_ACCESS_KEY="made-up",
    )
    swept = checkout.github("sweep.yml", "sweep", values)
    assert "pr-7: taken down" in swept
    assert "No orphans" in swept
    assert len(emulator.live_sessions()) == 2, "dev and pr-8 are left"


def test_gitlab_scripts_work(checkout: Checkout, emulator: Emulator) -> None:
    """The same with GitLab's jobs; `down` works on a clone of the default branch."""
    program = checkout.stack.program_folder
    git = shutil.which("git")
    assert git
    for arguments in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all"],
    ):
        subprocess.run([git, *arguments], cwd=program, check=True)
    variables = {
        "AWS_TOKEN": "t",
        "CI_COMMIT_SHA": "c0ffee",
        "CI_DEFAULT_BRANCH": "main",
        "CI_JOB_ID": "1",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_PROJECT_ID": "2",
        "CI_REPOSITORY_URL": program.as_uri(),
        "WORK_GROUP": "spark",
    }
    assert "athena:Session" in checkout.gitlab("plan", variables)
    printed = checkout.gitlab("up", variables)
    (session,) = emulator.live_sessions()
    assert session.session_id in printed
    checkout.gitlab("down", variables)
    assert not emulator.live_sessions()
    checkout.stack.environment.update(
        AWS_ENDPOINT_URL=emulator.url,
        AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
        AWS_SECRET_ACCESS_KEY="made-up",
        AWS_REGION="eu-west-1",
    )
    assert "Nothing to sweep" in checkout.gitlab("sweep", variables)
    checkout.gitlab("deploy", variables)
    assert len(emulator.live_sessions()) == 1
