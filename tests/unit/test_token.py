"""The ClientRequestToken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from athena_session_provider.service.request import service_model
from athena_session_provider.service.token import Identity, client_request_token

IDENTITY = Identity(urn="urn:pulumi:dev::p::t::n", owner="acme", triggers={"a": 1})
REQUEST = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 4}}


def test_token_has_the_length_that_the_api_takes() -> None:
    """32 to 128 characters, by the model."""
    shape = service_model().shape_for("IdempotencyToken")
    token = client_request_token(IDENTITY, REQUEST, 0)
    assert shape.metadata["min"] <= len(token) <= shape.metadata["max"]


def test_token_is_the_same_in_another_process() -> None:
    """Neither hash seeds nor the order of keys matter; the value is part of the promise."""
    code = (
        "from athena_session_provider.service.token import *;"
        "print(client_request_token(Identity('urn:pulumi:dev::p::t::n', 'acme', {'a': 1}),"
        "{'EngineConfiguration': {'MaxConcurrentDpus': 4}, 'WorkGroup': 'spark'}, 0))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == client_request_token(IDENTITY, REQUEST, 0)
    assert printed == "e3714b87d989b4c8a8b103174722749a7c6e5279d9a5db251852804b4273bfa4"


@pytest.mark.parametrize(
    ("identity", "request_", "generation"),
    [
        (Identity("urn:pulumi:dev::p::t::other", "acme", {"a": 1}), REQUEST, 0),
        (Identity(IDENTITY.urn, "other", {"a": 1}), REQUEST, 0),
        (Identity(IDENTITY.urn, "acme", {"a": 2}), REQUEST, 0),
        (IDENTITY, {**REQUEST, "Description": "x"}, 0),
        (IDENTITY, REQUEST, 1),
    ],
)
def test_whatever_differs_gives_another_token(
    identity: Identity, request_: dict[str, object], generation: int
) -> None:
    """Each part of the rule counts."""
    assert client_request_token(identity, request_, generation) != client_request_token(
        IDENTITY, REQUEST, 0
    )
