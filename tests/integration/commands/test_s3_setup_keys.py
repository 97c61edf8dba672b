"""Whose keys ``datalad s3-setup`` uses, and where they end up."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from datalad_s3ext.repo import remotes
from tests.integration.commands.helpers import (
    BOTH_TYPES,
    recorded,
    setup,
    state,
)
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


@BOTH_TYPES
def test_keys_are_kept_for_later_but_not_shared(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    setup(annex, keys, new_bucket, remote_type=remote_type)
    annex.add("data", b"some content")
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")

        annex.annex("copy", "--to", "s3", "data")

    (kept,) = (annex.path / ".git" / "annex" / "creds").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert keys.access_key_id not in str(recorded(annex))


@BOTH_TYPES
def test_no_secret_is_seen_anywhere(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Neither in the record, nor in the branch, nor in the config, nor in any argument."""
    log = tmp_path / "arguments"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    real = annex.run("sh", "-c", "command -v git").stdout.strip()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")

        (record,) = setup(annex, keys, new_bucket, remote_type=remote_type)

    secret = keys.secret_access_key
    assert record["status"] == "ok"
    assert "initremote" in log.read_text()
    assert secret not in log.read_text()
    assert secret not in json.dumps(record, default=str)
    assert secret not in annex.run("git", "log", "-p", "--all").stdout
    assert secret not in (annex.path / ".git" / "config").read_text()


def test_a_profile_is_noted_in_this_clone_only(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, profile: str
) -> None:
    (record,) = setup(annex, seaweed, new_bucket, profile=profile)

    assert record["status"] == "ok", record
    assert record["credential_source"] == "AWS profile 'lab'"
    assert remotes.get_config(annex.path, "s3", "s3x-profile") == "lab"
    assert "lab" not in recorded(annex).values()
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")


def test_a_profile_wins_over_keys_in_the_environment(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, profile: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-wrong-wrong")

        (record,) = setup(annex, keys, new_bucket, profile=profile)

    assert record["status"] == "ok", record


def test_built_in_s3_knows_no_profiles(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, profile: str
) -> None:
    before = state(annex)

    (record,) = setup(annex, seaweed, new_bucket, profile=profile, remote_type="S3")

    assert record["status"] == "error"
    assert "--remote-type s3x" in record["message"]
    assert state(annex) == before


@BOTH_TYPES
def test_a_credential_of_datalads_store_is_used(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, remote_type: str
) -> None:
    from datalad.support.keyring_ import keyring

    keyring.set("campus", "key_id", seaweed.access_key_id)
    keyring.set("campus", "secret_id", seaweed.secret_access_key)

    (record,) = setup(annex, seaweed, new_bucket, credential="campus", remote_type=remote_type)

    assert record["status"] == "ok", record
    assert record["credential_source"] == "DataLad credential 'campus'"


@pytest.mark.parametrize("good", [True, False])
def test_an_unknown_credential_is_asked_for_and_stored_when_it_worked(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, good: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import datalad.ui
    from datalad.support.keyring_ import keyring

    asked: list[tuple[str, bool]] = []

    class Person:
        is_interactive = True

        def question(self, text: str, *, hidden: bool = False, **_: object) -> str:
            asked.append((text, hidden))
            secret = seaweed.secret_access_key if good else "wrong-wrong-wrong"
            return secret if hidden else seaweed.access_key_id

    name = f"asked-{good}"
    with monkeypatch.context() as patch:
        patch.setattr(datalad.ui, "ui", Person())
        patch.setattr("datalad.downloaders.credentials.ui", Person())
        (record,) = setup(annex, seaweed, new_bucket, credential=name)

    assert asked == [("key_id", False), ("secret_id", True)]
    assert record["status"] == ("ok" if good else "error"), record
    assert keyring.get(name, "secret_id") == (seaweed.secret_access_key if good else None)


def test_an_unknown_credential_is_an_error_when_nobody_can_be_asked(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str
) -> None:
    (record,) = setup(annex, seaweed, new_bucket, credential="nobody")

    assert record["status"] == "error"
    assert "datalad.credential.nobody.key-id" in record["message"]
