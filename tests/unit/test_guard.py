"""What stands between a work group and its deletion, without an engine."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider
from scripted import FakeClock

from athena_session_provider import guard
from athena_session_provider.guard import WorkGroupGuardProvider
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.errors import WorkGroupInUseError
from athena_session_provider.service.settings import aws_settings, client_config
from athena_session_provider.service.waiting import Deadline

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator
    from athena_session_provider.service.api import Athena

PROPS: dict[str, Any] = {
    "work_group": "spark",
    "region": "eu-west-1",
    "account_id": "123456789012",
    "force_destroy": False,
    "can_check": True,
}
"""Of a work group's guard."""

BUCKET_PROPS = {**{key: PROPS[key] for key in PROPS if key != "work_group"}, "bucket": "results"}
"""Of a bucket's guard."""

OLD_PROPS = PROPS | {"bucket": "results"}
"""Of a guard in a state of version 0.1, for both."""


def client(emulator: Emulator, service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=emulator.url,
        region_name="eu-west-1",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
    )


@pytest.fixture
def provider(emulator: Emulator) -> WorkGroupGuardProvider:
    provider = WorkGroupGuardProvider()
    config = {
        # Not the region of the work group: that is stored with the guard.
        "aws:region": "us-east-1",
        "aws:accessKey": "AK",
        "aws:secretKey": "SK",
        "aws:endpoints": f'[{{"athena": "{emulator.url}", "s3": "{emulator.url}"}}]',
    }
    provider.configure(ConfigureRequest(Config(config, "p")))
    client(emulator, "s3").create_bucket(
        Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return provider


def start_session(emulator: Emulator, work_group: str = "spark") -> str:
    answer = client(emulator, "athena").start_session(
        WorkGroup=work_group, EngineConfiguration={"MaxConcurrentDpus": 2}
    )
    session_id: str = answer["SessionId"]
    return session_id


def test_an_unused_work_group_may_go(provider: WorkGroupGuardProvider, emulator: Emulator) -> None:
    """So may one whose sessions have ended, whatever other work groups do."""
    client(emulator, "athena").terminate_session(SessionId=start_session(emulator))
    start_session(emulator, "spark-35")
    provider.delete("spark", PROPS)


def test_live_sessions_are_named(provider: WorkGroupGuardProvider, emulator: Emulator) -> None:
    """With the command that ends them; they go on."""
    session_id = start_session(emulator)
    with pytest.raises(WorkGroupInUseError) as caught:
        provider.delete("spark", PROPS)
    message = str(caught.value)
    assert "Work group spark in region eu-west-1 still has live sessions" in message
    assert session_id in message
    assert "`aws athena terminate-session --session-id <id> --region eu-west-1`" in message
    assert "force_destroy=True" in message
    assert [session.session_id for session in emulator.live_sessions()] == [session_id]


def test_many_live_sessions_are_counted(
    provider: WorkGroupGuardProvider, emulator: Emulator
) -> None:
    """A message stays readable."""
    ids = [start_session(emulator) for _ in range(7)]
    with pytest.raises(WorkGroupInUseError, match=" and 2 more") as caught:
        provider.delete("spark", PROPS)
    assert sum(session_id in str(caught.value) for session_id in ids) == 5


def test_objects_are_named(provider: WorkGroupGuardProvider, emulator: Emulator) -> None:
    """With the command that deletes them; they stay. Sessions are the other guard's part."""
    start_session(emulator)
    client(emulator, "s3").put_object(Bucket="results", Key="6f1c/stdout", Body=b"42")
    with pytest.raises(WorkGroupInUseError) as caught:
        provider.delete("results", BUCKET_PROPS)
    message = str(caught.value)
    assert "Bucket results still has objects, such as 6f1c/stdout" in message
    assert "`aws s3 rm s3://results --recursive`" in message
    assert "live sessions" not in message
    assert client(emulator, "s3").list_objects_v2(Bucket="results")["KeyCount"] == 1


def test_a_guard_of_version_0_1_checks_both(
    provider: WorkGroupGuardProvider, emulator: Emulator
) -> None:
    """Sessions and objects are reported in one message."""
    start_session(emulator)
    client(emulator, "s3").put_object(Bucket="results", Key="1", Body=b"")
    with pytest.raises(WorkGroupInUseError, match=r"live sessions.*has objects"):
        provider.delete("spark", OLD_PROPS)


def test_an_empty_bucket_may_go(provider: WorkGroupGuardProvider, emulator: Emulator) -> None:
    """Whatever runs in the work group."""
    start_session(emulator)
    provider.delete("results", BUCKET_PROPS)


class EmulatedClock(FakeClock):
    """A clock whose sleeping moves the emulator's, too."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self.emulator = emulator

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.emulator.advance(seconds)


def athena_of(provider: WorkGroupGuardProvider) -> Athena:
    return shared_athena(aws_settings(provider._config, {"region": "eu-west-1"}))


def test_force_destroy_ends_the_sessions(
    provider: WorkGroupGuardProvider, emulator: Emulator
) -> None:
    """Those of this work group; objects are pulumi-aws's part."""
    for _ in range(2):
        start_session(emulator)
    other = start_session(emulator, "spark-35")
    client(emulator, "s3").put_object(Bucket="results", Key="1", Body=b"")
    provider.delete("results", BUCKET_PROPS | {"force_destroy": True})
    assert len(emulator.live_sessions()) == 3
    provider.delete("spark", OLD_PROPS | {"force_destroy": True})
    assert [session.session_id for session in emulator.live_sessions()] == [other]


def test_ending_sessions_waits_until_they_have_ended(
    provider: WorkGroupGuardProvider, emulator: Emulator
) -> None:
    """A work group is not deleted below sessions that are TERMINATING."""
    emulator.update_settings(terminate_seconds=5)
    session_id = start_session(emulator)
    clock = EmulatedClock(emulator)
    guard.end_sessions(athena_of(provider), "spark", Deadline.after(600, clock))
    assert emulator.session(session_id).state == "TERMINATED"
    assert 5 <= sum(clock.slept) <= 7


def test_ending_sessions_stops_at_its_deadline(
    provider: WorkGroupGuardProvider, emulator: Emulator
) -> None:
    """A session that does not end is named."""
    emulator.update_settings(terminate_seconds=600)
    session_id = start_session(emulator)
    deadline = Deadline.after(60, EmulatedClock(emulator))
    with pytest.raises(WorkGroupInUseError, match=f"{session_id} did not end within 60 seconds"):
        guard.end_sessions(athena_of(provider), "spark", deadline)


@pytest.mark.parametrize("force_destroy", [False, True])
def test_what_is_gone_already_may_go(
    provider: WorkGroupGuardProvider,
    emulator: Emulator,
    force_destroy: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A work group, or a bucket, that somebody deleted by hand."""
    client(emulator, "s3").delete_bucket(Bucket="results")
    provider.delete("gone", PROPS | {"work_group": "gone", "force_destroy": force_destroy})
    provider.delete("results", BUCKET_PROPS | {"force_destroy": force_destroy})


def test_who_may_not_look_is_warned(
    provider: WorkGroupGuardProvider, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The deletion goes on: the service has the last word."""
    start_session(emulator)
    emulator.inject("ListSessions", "access-denied")
    provider.delete("spark", PROPS)
    warning = capsys.readouterr().err
    assert "Could not check whether work group spark is still in use" in warning
    assert "Allow the IAM action athena:ListSessions" in warning


def test_whose_bucket_may_not_be_seen_is_warned(
    provider: WorkGroupGuardProvider,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same, by an address where no S3 answers."""
    config = provider._config
    monkeypatch.setattr(guard, "client_config", lambda _: client_config(attempts=1))
    nowhere = '[{"athena": "%s", "s3": "http://127.0.0.1:9"}]'
    athena = json.loads(config.get("aws:endpoints"))[0]["athena"]
    provider._config = {
        **{key: config.get(key) for key in ("aws:accessKey", "aws:secretKey")},
        "aws:endpoints": nowhere % athena,
    }
    provider.delete("results", BUCKET_PROPS)
    warning = capsys.readouterr().err
    assert "Could not check whether bucket results is empty: Listing" in warning


def test_another_account_is_not_asked(
    provider: WorkGroupGuardProvider, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says is about other work groups of the same name."""
    start_session(emulator)
    provider.delete("spark", PROPS | {"account_id": "210987654321", "force_destroy": True})
    assert "the credentials are of account 123456789012" in capsys.readouterr().err
    assert len(emulator.live_sessions()) == 1


def test_without_keys_nobody_is_asked(
    provider: WorkGroupGuardProvider, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of an explicit provider are not stored."""
    provider.delete("spark", PROPS | {"can_check": False})
    assert "the keys of its explicit provider are not known here" in capsys.readouterr().err
    assert emulator.calls() == []


def test_another_work_group_gets_another_guard(provider: WorkGroupGuardProvider) -> None:
    """A changed setting is remembered in place."""
    assert provider.diff("spark", PROPS, PROPS).changes is False
    moved = provider.diff("spark", PROPS, PROPS | {"region": "us-east-1"})
    assert (moved.changes, moved.replaces) == (True, ["region"])
    forced = provider.diff("spark", PROPS, PROPS | {"force_destroy": True})
    assert (forced.changes, forced.replaces) == (True, [])


def test_the_inputs_are_kept(provider: WorkGroupGuardProvider) -> None:
    """And nothing that the host adds, such as the provider itself."""
    news = PROPS | {"__provider": "pickle", "aws": None}
    assert provider.check({}, news).inputs == PROPS
    created = provider.create(news)
    assert (created.id, created.outs) == ("spark", PROPS)
    assert provider.update("spark", PROPS, news).outs == PROPS
    assert provider.create(BUCKET_PROPS).id == "results"


def test_a_guard_of_version_0_1_is_updated(provider: WorkGroupGuardProvider) -> None:
    """Its bucket gets a guard of its own; nothing is replaced."""
    result = provider.diff("spark", OLD_PROPS, PROPS)
    assert (result.changes, result.replaces) == (True, [])


def test_the_provider_is_stored_by_its_frozen_name() -> None:
    """Every state has these bytes: whoever changes them breaks the delete of old stacks."""
    stored = base64.b64decode(serialize_provider(WorkGroupGuardProvider()))
    assert len(stored) < 100
    assert b"athena_session_provider.guard" in stored
    assert b"WorkGroupGuardProvider" in stored
