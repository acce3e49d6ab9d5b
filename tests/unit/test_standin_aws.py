"""The stand-in for pulumi-resource-aws is as strict as it says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pulumi_aws as aws
import pytest
from pulumi.runtime.rpc import _special_sig_key
from standin_aws import standin


def misfits(cls: type, **inputs: Any) -> dict[str, str]:
    return dict(standin.misfits(inputs, cls))


def test_properties_that_the_package_has_fit() -> None:
    """Nested ones, too."""
    rule = {"id": "a", "status": "Enabled", "expiration": {"days": 1}, "filter": {"prefix": ""}}
    assert misfits(aws.s3.BucketLifecycleConfiguration, bucket="b", rules=[rule]) == {}


def test_properties_that_the_package_does_not_have_are_named() -> None:
    """By their path, at any depth; a name in snake_case is a wrong name."""
    found = misfits(
        aws.athena.Workgroup,
        forceDestruction=True,
        configuration={
            "execution_role": "arn",
            "engineVersion": {"selectedEngineVersoin": "3"},
            "monitoringConfiguration": {
                "cloudWatchLoggingConfiguration": {"enabled": True, "logTypes": [{"kee": "a"}]}
            },
        },
        tags={"any": "name"},
    )
    logging = "configuration.monitoringConfiguration.cloudWatchLoggingConfiguration.logTypes[0]"
    assert set(found) == {
        "forceDestruction",
        "configuration.execution_role",
        "configuration.engineVersion.selectedEngineVersoin",
        f"{logging}.kee",
        f"{logging}.key",
        f"{logging}.values",
    }


def test_required_properties_are_missed() -> None:
    """Those of the resource, and those of what is in it."""
    assert misfits(aws.iam.RolePolicy, role="r") == {
        "policy": "is required of RolePolicyArgs",
    }
    assert misfits(aws.s3.BucketServerSideEncryptionConfiguration, bucket="b", rules=[{}]) == {}
    found = misfits(aws.s3.BucketLifecycleConfiguration, bucket="b", rules=[{}])
    assert set(found) == {"rules[0].id", "rules[0].status"}


def test_its_own_outputs_are_held_against_the_package() -> None:
    """A slip of ours would hide one of the program."""
    standin.check_outputs({"arn": "a", "tagsAll": {}}, aws.athena.Workgroup)
    with pytest.raises(ValueError, match="tags_all"):
        standin.check_outputs({"tags_all": {}}, aws.athena.Workgroup)


def test_values_of_the_engine_become_plain() -> None:
    """Whole numbers are integers, nulls are absent, and secrets are open."""
    secret = {_special_sig_key: "1b47061264138c4ac30d75fd1eb44270", "value": "hidden"}
    struct = standin.to_struct({"days": 1.0, "none": None, "list": [secret], "__internal": ""})
    assert standin.from_struct(struct) == {"days": 1, "list": ["hidden"]}


def test_it_ends_with_the_engine() -> None:
    """An engine that was killed cannot end its plugins."""
    code = (
        "import subprocess, sys\n"
        "plugin = subprocess.Popen([sys.argv[1]], stdout=-1, stderr=-3, text=True)\n"
        "print(plugin.pid, plugin.stdout.readline())\n"
    )
    plugin = Path(standin.__file__).with_name("pulumi-resource-aws")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"}
    printed = subprocess.run(
        [sys.executable, "-c", code, str(plugin)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout
    pid = int(printed.split()[0])
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("it still runs")
