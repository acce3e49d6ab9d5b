"""Whose stack it is: the organization, or else the backend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi
import pytest

from athena_session_provider.resources import stack_identity
from athena_session_provider.resources.stack_identity import backend_url, owner_of_backend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket?region=eu-west-1", "s3://bucket?region=us-east-1&profile=me"),
        ("https://user:password@state.example.com/a", "https://state.example.com/a"),
    ],
    ids=["slash", "options", "credentials"],
)
def test_the_same_backend_has_one_owner(one: str, other: str) -> None:
    """How a backend is reached does not change whose its stacks are."""
    assert owner_of_backend(one, "m1") == owner_of_backend(other, "m2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://bucket", "s3://other"),
        ("s3://bucket", "gs://bucket"),
        ("s3://bucket/a", "s3://bucket/b"),
        ("file:///home/a", "file:///home/b"),
    ],
)
def test_other_backends_have_other_owners(one: str, other: str) -> None:
    """Each of scheme, bucket and path counts."""
    assert owner_of_backend(one, "machine") != owner_of_backend(other, "machine")


@pytest.mark.parametrize("url", ["file:///state", "file://~", ""])
def test_local_files_are_other_ones_on_each_machine(url: str) -> None:
    """Everybody's `pulumi login --local` is another backend, at the same address."""
    assert owner_of_backend(url, "m1") == owner_of_backend(url, "m1")
    assert owner_of_backend(url, "m1") != owner_of_backend(url, "m2")


def test_the_owner_shows_nothing_of_the_address() -> None:
    """It is stored in the state, and an address may hold a password."""
    name = owner_of_backend("https://user:password@state.example.com", "m")
    assert len(name) == 16
    assert set(name) <= set("0123456789abcdef")


def test_the_backend_is_found_where_the_cli_looks_for_it(tmp_path: Path) -> None:
    """The environment before the project before the login; "" where nothing tells."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PULUMI_HOME": str(home)}
    assert backend_url(environment, tmp_path) == ""
    (home / "credentials.json").write_text(json.dumps({"current": "s3://login"}))
    assert backend_url(environment, tmp_path) == "s3://login"
    (tmp_path / "Pulumi.yaml").write_text("name: test\nbackend:\n  url: s3://project\n")
    assert backend_url(environment, tmp_path) == "s3://project"
    environment["PULUMI_BACKEND_URL"] = "s3://environment"
    assert backend_url(environment, tmp_path) == "s3://environment"


@pytest.mark.parametrize("text", ["", "- a\n", "backend: none\n", "{", "\x00"])
def test_files_that_cannot_be_read_tell_nothing(tmp_path: Path, text: str) -> None:
    """They are Pulumi's to complain about."""
    (tmp_path / "Pulumi.yaml").write_text(text)
    assert backend_url({"PULUMI_HOME": str(tmp_path)}, tmp_path) == ""


def test_an_organization_of_pulumi_cloud_is_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, neither the machine nor the address matters."""
    monkeypatch.setattr(pulumi, "get_organization", lambda: "acme")
    assert stack_identity.owner_of_stack() == "acme"


def test_without_organizations_the_backend_is_part_of_the_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every self-managed backend calls its organization the same."""
    monkeypatch.setattr(pulumi, "get_organization", lambda: "organization")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://a")
    first = stack_identity.owner_of_stack()
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://b")
    assert first != stack_identity.owner_of_stack()
    assert first.startswith("organization@")
