"""The mark on each session: what is written is read back, whatever the URN and the description."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from athena_session_provider.service.ownership import (
    CREATE_TAG,
    DESCRIPTION,
    MAXIMUM_TAGS,
    STARTED,
    URN_TAG,
    Mark,
    hash_of,
    is_identity,
    is_own_tag,
    marked,
    parse_mark,
    with_create_tag,
    without_mark,
    without_own_tags,
)
from athena_session_provider.service.request import service_model

LONGEST = service_model().shape_for("DescriptionString").metadata["max"]
IDENTITY = "0123456789abcdef0123456789abcdef"
URN = "urn:pulumi:dev::shop::my:mod:Component$pulumi-python:dynamic/athena:Session::nightly, eu"
MARK = Mark(IDENTITY, hash_of(URN), hash_of("arguments"), URN)

urns = st.text(min_size=1, max_size=LONGEST + 100) | st.builds(
    "urn:pulumi:{}::{}::{}${}::{}".format,
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=300),
    st.just("pulumi-python:dynamic/athena:Session"),
    st.text(max_size=300),
)
descriptions = st.none() | st.text(min_size=1, max_size=LONGEST)
tags = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=20), max_size=3)


def requested(description: str | None, user_tags: dict[str, str]) -> dict[str, Any]:
    """A StartSession request of a user."""
    request: dict[str, Any] = {"WorkGroup": "spark", "EngineConfiguration": {}}
    if description is not None:
        request["Description"] = description
    if user_tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in user_tags.items()]
    return request


def tags_of(request: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}


@given(urn=urns, other=urns, description=descriptions, user_tags=tags)
def test_the_mark_is_read_back(
    urn: str, other: str, description: str | None, user_tags: dict[str, str]
) -> None:
    """By the description alone, as ListSessions returns it; the tags add the URN."""
    mark = Mark(IDENTITY, hash_of(urn), hash_of(user_tags), urn)
    request = marked(requested(description, user_tags), mark)
    text = request["Description"]
    assert len(text) <= LONGEST
    found = parse_mark(text)
    if description is not None and len(description) + len(mark.text()) + 1 > LONGEST:
        # No room: the user's description is kept, and the tag alone says whose session it is.
        assert text == description
        found = parse_mark(text, tags_of(request))
        assert found is not None
        assert found.is_for(urn)
        return
    assert found is not None
    assert (found.identity, found.urn_hash, found.request_hash) == (
        IDENTITY,
        mark.urn_hash,
        mark.request_hash,
    )
    assert found.is_for(urn)
    assert found.is_for(other) is (urn == other)
    if description is None:
        assert urn.startswith(found.urn)


@given(urn=urns, description=st.text(min_size=1, max_size=LONGEST))
def test_the_users_description_is_read_back(urn: str, description: str) -> None:
    """As GetSession returns it to ``Session.get``, whatever it ends with."""
    assume(not description.startswith(DESCRIPTION))
    assume(not description.endswith(MARK.text()))
    request = marked(requested(description, {}), Mark(IDENTITY, hash_of(urn), hash_of(""), urn))
    assert without_mark(request["Description"]) == description


@given(urn=urns, description=descriptions, user_tags=tags)
def test_own_tags_come_and_go_without_those_of_the_user(
    urn: str, description: str | None, user_tags: dict[str, str]
) -> None:
    """They are added to the user's, and taken out again where the service refuses them."""
    plain = requested(description, user_tags)
    request = with_create_tag(marked(plain, Mark(IDENTITY, hash_of(urn), hash_of(""), urn)))
    own = {key: value for key, value in tags_of(request).items() if is_own_tag(key)}
    assert {**user_tags, **own} == tags_of(request)
    assert (URN_TAG in own) is (description is not None)
    assert own.get(CREATE_TAG) == (STARTED if "[athena" in request["Description"][-100:] else None)
    for value in own.values():
        assert len(value) <= service_model().shape_for("TagValue").metadata["max"]
        assert re.fullmatch(r"[\w\s+\-=.:/@]*", value)
    assert tags_of(without_own_tags(request)) == user_tags


@pytest.mark.parametrize(
    ("description", "text"),
    [
        (None, f"Started by Pulumi for {URN} {MARK.text()}"),
        ("nightly load", f"nightly load {MARK.text()}"),
        # The text of another mark, copied from another session.
        (f"x {MARK.text()}", f"x {MARK.text()} {MARK.text()}"),
        ("x" * 1024, "x" * 1024),
    ],
)
def test_the_mark_follows_the_description(description: str | None, text: str) -> None:
    """Without one of the user, the description names the resource."""
    assert marked(requested(description, {}), MARK)["Description"] == text


def test_a_mark_of_another_form_is_the_users_text() -> None:
    """Only the whole mark, at the end, counts."""
    for text in ("", "nightly", "[athena-session-provider ]", f"{MARK.text()} copied"):
        assert parse_mark(text) is None
        assert without_mark(text) == text


def test_a_full_set_of_tags_is_left_as_it_is() -> None:
    """AWS allows 50: the session is then never cleaned up, but it starts."""
    user_tags = {f"key-{number}": "" for number in range(MAXIMUM_TAGS)}
    request = with_create_tag(marked(requested("mine", user_tags), MARK))
    assert tags_of(request) == user_tags


@pytest.mark.parametrize("urn", [URN, "urn:pulumi:dev::p::t::" + "n" * 2000])
def test_marks_of_version_0_1_are_read(urn: str) -> None:
    """The URN alone: cut in a description, altered and cut in a tag."""
    in_description = parse_mark(f"{DESCRIPTION}{urn}"[:LONGEST])
    in_tag = parse_mark("mine", {URN_TAG: re.sub(r"[^\w\s+\-=.:/@]", "_", urn)[:256]})
    for mark in (in_description, in_tag):
        assert mark is not None
        assert mark.identity == ""
        assert mark.is_for(urn)
        assert not mark.is_for("urn:pulumi:dev::p::t::other")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (IDENTITY, True),
        (IDENTITY.upper(), False),
        (IDENTITY[:-1], False),
        (f"{IDENTITY}\n", False),
        ("acme", False),
        (None, False),
    ],
)
def test_an_identity_is_32_hexadecimal_digits(text: object, *, expected: bool) -> None:
    """An organization's name, as version 0.1 stored it, is none."""
    assert is_identity(text) is expected
