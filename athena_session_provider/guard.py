"""The provider of the guards: checks that a work group and its bucket may be deleted.

Without it, deleting a work group or a bucket in use fails with a terse service error halfway
through ``pulumi destroy``. A guard is deleted first: it refuses with an error that says what to do,
or terminates the remaining sessions if the user asked for that.

The module and the name of ``WorkGroupGuardProvider`` are stored in the state of every
``SparkWorkgroup``. They must never change, or old stacks could not be destroyed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import (
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ResourceProvider,
    UpdateResult,
)

from athena_session_provider import host
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import (
    AthenaSessionError,
    CancelledError,
    WorkGroupInUseError,
    WorkGroupNotFoundError,
)
from athena_session_provider.service.settings import (
    AwsSettings,
    aws_settings,
    boto3_session,
    client_config,
)
from athena_session_provider.service.states import SessionState
from athena_session_provider.service.waiting import (
    DEFAULT_TIMEOUT_SECONDS,
    Deadline,
    SystemClock,
    retry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from athena_session_provider.service.api import Athena

POLL_SECONDS = 1.0
"""Seconds between two polls of terminating sessions."""

_SHOWN_SESSIONS = 5

_IDENTITY = ("work_group", "region", "account_id")
_SETTINGS = ("bucket", "force_destroy", "aws", "can_check")


class WorkGroupGuardProvider(ResourceProvider):
    """The dynamic provider of ``WorkGroupGuard`` and ``BucketGuard``.

    Stateless when pickled, before ``configure``: the state stores its import path only. A guard
    with a ``work_group`` checks its sessions, one with a ``bucket`` its objects; guards of older
    versions have both.
    """

    serialize_as_secret_always = False

    _config: Any = {}  # noqa: RUF012 - replaced, never changed

    def configure(self, req: ConfigureRequest) -> None:
        """Store the stack's configuration; called once in a host process."""
        self._config = req.config
        host.prepare()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Return the inputs; ``SparkWorkgroup`` has validated them."""
        return CheckResult(_properties(news), [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace the guard for another work group; update it for other settings."""
        replaces = [name for name in _IDENTITY if olds.get(name) != news.get(name)]
        changed = any(olds.get(name) != news.get(name) for name in _SETTINGS)
        return DiffResult(changes=bool(replaces or changed), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Store the inputs."""
        return CreateResult(str(props.get("work_group") or props["bucket"]), _properties(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Store the inputs."""
        return UpdateResult(_properties(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Check that the work group and the bucket may be deleted.

        Raises:
            WorkGroupInUseError: There are live sessions or objects.
            CancelledError: The engine was cancelled during the wait.
        """
        if not props["can_check"]:
            _warn_unchecked(props, "the keys of its explicit provider are not known here")
            return
        try:
            settings = dataclasses.replace(
                aws_settings(self._config, props.get("aws")), region=props["region"]
            )
            athena = shared_athena(settings, host.cancelled)
            if athena.account_id not in (None, props["account_id"]):
                _warn_unchecked(props, f"the credentials are of account {athena.account_id}")
                return
            work_group, bucket = props.get("work_group"), props.get("bucket")
            if props["force_destroy"]:
                if work_group:
                    clock = SystemClock(host.cancelled)
                    deadline = Deadline.after(DEFAULT_TIMEOUT_SECONDS, clock)
                    end_sessions(athena, work_group, deadline)
                return
            sessions = live_sessions(athena, work_group) if work_group else []
            key = first_object(settings, bucket) if bucket else None
        except (WorkGroupInUseError, CancelledError):
            raise
        except AthenaSessionError as exc:
            # Without permission to check, the service decides.
            _warn_unchecked(props, str(exc))
            return
        if sessions or key is not None:
            raise WorkGroupInUseError(_refusal(props, sessions, key))


def live_sessions(athena: Athena, work_group: str) -> list[str]:
    """Return the ids of a work group's live sessions; none if the work group does not exist.

    Raises AthenaSessionError if ListSessions fails.
    """
    try:
        return [session.session_id for session in athena.list_sessions(work_group)]
    except WorkGroupNotFoundError:
        return []


def first_object(settings: AwsSettings, bucket: str) -> str | None:
    """Return the key of one object of a bucket; None if it is empty or does not exist.

    Raises AthenaSessionError if ListObjectsV2 fails.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3_session(settings).client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint("s3"),
        config=client_config(settings),
    )
    try:
        found = client.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents", [])
    except client.exceptions.NoSuchBucket:
        return None
    except (BotoCoreError, ClientError) as exc:
        raise AthenaSessionError(f"Listing bucket {bucket} failed: {exc}.") from exc
    return str(found[0]["Key"]) if found else None


def end_sessions(athena: Athena, work_group: str, deadline: Deadline) -> None:
    """Terminate a work group's live sessions and wait until they have ended.

    Raises:
        WorkGroupInUseError: Sessions have not ended at the deadline.
        CancelledError: The deadline's clock was cancelled.
        AthenaSessionError: ListSessions or TerminateSession fails.
    """
    try:
        while sessions := retry(lambda: _unended(athena, work_group), deadline):
            if deadline.passed():
                raise WorkGroupInUseError(
                    f"Work group {work_group} in region {athena.region} cannot be deleted: "
                    f"{', '.join(sessions)} did not end within {deadline.timeout_seconds:g} "
                    "seconds. Run the command again."
                )
            for session_id in sessions:
                retry(lambda: athena.terminate_session(session_id), deadline)  # noqa: B023
            deadline.sleep(POLL_SECONDS)
    except WorkGroupNotFoundError:
        return


def _unended(athena: Athena, work_group: str) -> list[str]:
    found = athena.list_sessions(work_group)
    found += athena.list_sessions(work_group, SessionState.TERMINATING)
    return [session.session_id for session in found]


def _refusal(props: Mapping[str, Any], sessions: Sequence[str], key: str | None) -> str:
    """Return the error message for live sessions and the key of an object, if any."""
    sentences = []
    if sessions:
        shown, more = sessions[:_SHOWN_SESSIONS], len(sessions) - _SHOWN_SESSIONS
        ids = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        region = props["region"]
        sentences.append(
            f"Work group {props['work_group']} in region {region} still has live sessions, which "
            f"this stack did not start: {ids}. End them, each with "
            f"`aws athena terminate-session --session-id <id> --region {region}`."
        )
    if key is not None:
        bucket = props["bucket"]
        sentences.append(
            f"Bucket {bucket} still has objects, such as {key}. Copy what you need and empty it, "
            f"with `aws s3 rm s3://{bucket} --recursive`."
        )
    sentences.append(
        "Then run the command again. A SparkWorkgroup with force_destroy=True terminates the "
        "sessions and deletes the objects itself."
    )
    return " ".join(sentences)


def _warn_unchecked(props: Mapping[str, Any], reason: str) -> None:
    if props.get("work_group"):
        what = f"work group {props['work_group']} is still in use"
    else:
        what = f"bucket {props['bucket']} is empty"
    host.warn("", f"Could not check whether {what}: {reason.rstrip('.')}.")


def _properties(props: Mapping[str, Any]) -> dict[str, Any]:
    return {name: props[name] for name in (*_IDENTITY, *_SETTINGS) if props.get(name) is not None}
