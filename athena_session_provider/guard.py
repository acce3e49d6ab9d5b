"""A resource that ``pulumi destroy`` has to delete before a work group and its bucket.

Whoever deletes a work group or a bucket that is still in use gets two words of the service, halfway
through the destruction and without a way out. This resource looks before anything is lost: it
refuses to be deleted, or, where the user asked for it, ends the sessions that are left.

The module and the name of ``WorkGroupGuardProvider`` are stored in the state of every
``SparkWorkgroup``: they never change, or old stacks could not delete theirs.
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
    from collections.abc import Mapping

    from athena_session_provider.service.api import Athena

POLL_SECONDS = 1.0
"""How often it is asked whether the sessions that were told to end have ended."""

_IDENTITY = ("work_group", "region", "account_id")
_SETTINGS = ("bucket", "force_destroy", "aws", "can_check")


class WorkGroupGuardProvider(ResourceProvider):
    """The dynamic provider of ``WorkGroupGuard``; holds nothing, so that its pickle is its name."""

    serialize_as_secret_always = False

    _config: Any = {}  # noqa: RUF012 - replaced, never changed

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration, once per process of the host."""
        self._config = req.config
        host.prepare()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Take the inputs as they are: a program does not write them."""
        return CheckResult(_properties(news), [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Make a new guard for another work group."""
        replaces = [name for name in _IDENTITY if olds.get(name) != news.get(name)]
        changed = any(olds.get(name) != news.get(name) for name in _SETTINGS)
        return DiffResult(changes=bool(replaces or changed), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Do nothing yet."""
        return CreateResult(str(props["work_group"]), _properties(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Remember what is asked for now."""
        return UpdateResult(_properties(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """See that the work group and its bucket may go. Raises WorkGroupInUseError."""
        if not props["can_check"]:
            _cannot_check(props, "the keys of its explicit provider are not known here")
            return
        try:
            settings = dataclasses.replace(
                aws_settings(self._config, props.get("aws")), region=props["region"]
            )
            athena = shared_athena(settings)
            if athena.account_id not in (None, props["account_id"]):
                _cannot_check(props, f"the credentials in use are of account {athena.account_id}")
                return
            if props["force_destroy"]:
                end_sessions(athena, props["work_group"])
                return
            found = [live_sessions(athena, props["work_group"])]
            if props.get("bucket"):
                found.append(objects(settings, props["bucket"]))
        except (WorkGroupInUseError, CancelledError):
            raise
        except AthenaSessionError as exc:
            # Without the permission to look, the service has the last word.
            _cannot_check(props, str(exc))
            return
        if problems := " ".join(filter(None, found)):
            message = (
                f"{problems} Then run the command again. A SparkWorkgroup with force_destroy=True "
                "ends and deletes them by itself."
            )
            raise WorkGroupInUseError(message)


def live_sessions(athena: Athena, work_group: str) -> str:
    """Tell in a sentence which sessions of a work group are alive; "" for none."""
    try:
        sessions = athena.list_sessions(work_group)
    except WorkGroupNotFoundError:
        return ""
    if not sessions:
        return ""
    ids = ", ".join(session.session_id for session in sessions[:5])
    more = f" and {len(sessions) - 5} more" if len(sessions) > 5 else ""  # noqa: PLR2004
    return (
        f"Work group {work_group} in region {athena.region} still has live sessions, which are "
        f"somebody's work: {ids}{more}. Have them ended, by "
        f"`aws athena terminate-session --session-id <id> --region {athena.region}` for each."
    )


def objects(settings: AwsSettings, bucket: str) -> str:
    """Tell in a sentence that a bucket has objects; "" for an empty one, or none at all.

    Raises AthenaSessionError where that cannot be found out.
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
        return ""
    except (BotoCoreError, ClientError) as exc:
        message = f"Listing bucket {bucket} failed: {exc}."
        raise AthenaSessionError(message) from exc
    if not found:
        return ""
    return (
        f"Bucket {bucket} still holds objects, such as {found[0]['Key']}. Copy what is needed and "
        f"empty it, by `aws s3 rm s3://{bucket} --recursive`."
    )


def end_sessions(athena: Athena, work_group: str) -> None:
    """Terminate the live sessions of a work group and wait until they have ended.

    Raises WorkGroupInUseError where they do not, and ServiceError.
    """
    deadline = Deadline.after(DEFAULT_TIMEOUT_SECONDS, SystemClock(host.cancelled))
    try:
        while sessions := retry(lambda: _unended(athena, work_group), deadline):
            if deadline.passed():
                message = (
                    f"Work group {work_group} in region {athena.region} cannot be deleted: "
                    f"{', '.join(sessions)} did not end within {deadline.timeout_seconds:g} "
                    "seconds. Run the command again."
                )
                raise WorkGroupInUseError(message)
            for session_id in sessions:
                retry(lambda: athena.terminate_session(session_id), deadline)  # noqa: B023
            deadline.sleep(POLL_SECONDS)
    except WorkGroupNotFoundError:
        return


def _unended(athena: Athena, work_group: str) -> list[str]:
    found = athena.list_sessions(work_group)
    found += athena.list_sessions(work_group, SessionState.TERMINATING)
    return [session.session_id for session in found]


def _cannot_check(props: Mapping[str, Any], reason: str) -> None:
    host.warn(
        "",
        f"Could not check whether work group {props['work_group']} is still in use: "
        f"{reason.rstrip('.')}.",
    )


def _properties(props: Mapping[str, Any]) -> dict[str, Any]:
    return {name: props[name] for name in (*_IDENTITY, *_SETTINGS) if props.get(name) is not None}
