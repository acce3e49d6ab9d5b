"""Names of a work group and of the resources that belong to it, validated in preview."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pulumi

if TYPE_CHECKING:
    from pulumi import Input

WORK_GROUP_NAME = re.compile(r"[a-zA-Z0-9._-]{1,128}")
"""API type ``WorkGroupName``."""
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

# A bucket's name has up to 63 characters: this many, "-results" and Pulumi's "-1234567". A role's
# name may have 64.
_LONGEST_NAME = 47


def default_work_group_name(name: str, parent: pulumi.Resource | None) -> str:
    """Return a work group's name that is known in preview.

    The role's policies name the work group, so it cannot be a name that Pulumi generates when it
    creates the work group.
    """
    parts = [pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack(), name]
    if parent is not None:
        parts += [parent.pulumi_resource_type, parent.pulumi_resource_name]
    return f"{name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:7]}"


def log_group_name(work_group: str) -> str:
    """Return the name of a work group's CloudWatch log group."""
    return f"/aws-athena/{work_group}"


def check_names(
    name: str, work_group: str, result_bucket: Input[str] | None, kms_key: Input[str] | None
) -> None:
    """Refuse in preview what AWS would refuse halfway through an update. Raises ValueError."""
    problem = None
    if len(name) > _LONGEST_NAME:
        problem = f"its name may have at most {_LONGEST_NAME} characters"
    elif result_bucket is None and not BUCKET_NAME.fullmatch(f"{name}-results".lower()):
        problem = (
            "the name of its results bucket starts with its name, which may therefore have only "
            "letters, digits, hyphens and dots: choose another one, or set result_bucket"
        )
    elif not WORK_GROUP_NAME.fullmatch(work_group):
        problem = (
            f"the work group's name {work_group!r} must be 1 to 128 letters, digits and ._-: "
            "set it with work_group_name"
        )
    elif isinstance(result_bucket, str) and not BUCKET_NAME.fullmatch(result_bucket):
        problem = f"result_bucket {result_bucket!r} must be a bucket's name, without s3:// or /"
    elif isinstance(kms_key, str) and not kms_key.startswith("arn:"):
        problem = f"kms_key {kms_key!r} must be the key's ARN, which the role's permission names"
    if problem:
        raise ValueError(f"SparkWorkgroup {name}: {problem}")
