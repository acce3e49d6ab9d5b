"""A minimal provider in the style of Pulumi's manual, and one that does nothing.

For comparison only. The minimal provider creates a client for each call, polls every two seconds,
sends no token, and runs on the host's four threads.
"""

from __future__ import annotations

import os
import time
from typing import Any

import boto3
import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, ResourceProvider

POLL_SECONDS = 2


def _athena() -> Any:
    return boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=os.environ["BENCH_ENDPOINT"],
        aws_access_key_id="AK",
        aws_secret_access_key="SK",  # noqa: S106 - the emulator's
    )


class PlainProvider(ResourceProvider):
    """Start, poll, terminate."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start a session and poll until it is IDLE."""
        session_id = _athena().start_session(
            WorkGroup=props["work_group"], EngineConfiguration={"MaxConcurrentDpus": 4}
        )["SessionId"]
        while _athena().get_session_status(SessionId=session_id)["Status"]["State"] != "IDLE":
            time.sleep(POLL_SECONDS)
        _athena().get_session(SessionId=session_id)
        return CreateResult(session_id, props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Read the session."""
        _athena().get_session(SessionId=id_)
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Terminate the session and poll until it has ended."""
        _athena().terminate_session(SessionId=_id)
        while _athena().get_session_status(SessionId=_id)["Status"]["State"] != "TERMINATED":
            time.sleep(POLL_SECONDS)


class NothingProvider(ResourceProvider):
    """Does nothing, to measure the time that the engine itself needs for a dynamic resource."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Return a constant id."""
        return CreateResult("nothing", props)


class PlainSession(Resource):
    """A session of the minimal provider."""

    def __init__(self, name: str, work_group: str) -> None:
        super().__init__(PlainProvider(), name, {"work_group": work_group})


class Nothing(Resource):
    """A resource without an effect."""

    def __init__(self, name: str) -> None:
        properties = {"work_group": "spark", "engine_configuration": {"max_concurrent_dpus": 4}}
        super().__init__(NothingProvider(), name, properties, pulumi.ResourceOptions())
