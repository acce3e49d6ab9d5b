"""Names of a work group and of what belongs to it, checked in preview."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pulumi

if TYPE_CHECKING:
    from pulumi import Input

_WORK_GROUP_NAME = re.compile(r"[a-zA-Z0-9._-]{1,128}")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

# Of the 63 characters of a bucket's name, "-results" and Pulumi's "-1234567" take the rest; those
# of a role's name, 64, are enough then.
_LONGEST_NAME = 47


def default_work_group_name(name: str, parent: pulumi.Resource | None) -> str:
    """Make a name that is known in preview, since the role has to name the work group.

    Pulumi's own names are made when a resource is, which is too late.
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
    """Refuse in preview what AWS would refuse halfway through an up."""
    problem = None
    if len(name) > _LONGEST_NAME:
        problem = f"its own name may have at most {_LONGEST_NAME} characters"
    elif result_bucket is None and not BUCKET_NAME.fullmatch(f"{name}-results".lower()):
        problem = (
            "its own name begins the results bucket's, and so may have letters, digits, hyphens "
            "and dots only: choose another one, or give result_bucket"
        )
    elif not _WORK_GROUP_NAME.fullmatch(work_group):
        problem = (
            f"the work group's name {work_group!r} has to be 1 to 128 letters, digits and ._-: "
            "set it by work_group_name"
        )
    elif isinstance(result_bucket, str) and not BUCKET_NAME.fullmatch(result_bucket):
        problem = f"result_bucket {result_bucket!r} has to be a bucket's name, without s3:// or /"
    elif isinstance(kms_key, str) and not kms_key.startswith("arn:"):
        problem = f"kms_key {kms_key!r} has to be the key's ARN, which its permission names"
    if problem:
        message = f"SparkWorkgroup {name}: {problem}"
        raise ValueError(message)
