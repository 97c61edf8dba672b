"""Keys that were replaced at the provider, and the commands that take the new ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext.repo import remotes
from tests.integration.commands.helpers import BOTH_TYPES, enable, recorded, setup, state
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


def kept_file(repo: AnnexRepo) -> Path:
    (file,) = (repo.path / ".git" / "annex" / "creds").iterdir()
    return file


def rotate(repo: AnnexRepo) -> None:
    """Make the kept keys ones that the provider does not know any more."""
    kept_file(repo).write_text("AKIAREPLACEDREPLACED\nno-longer-the-secret-of-anybody-at-all-x")


@pytest.fixture
def rotated(annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str) -> AnnexRepo:
    """Return a repository with a remote whose kept keys are of no use any more."""
    (record,) = setup(annex, keys, new_bucket, remote_type=remote_type)
    assert record["status"] == "ok", record
    annex.add("data", b"some content")
    rotate(annex)
    return annex


@pytest.fixture
def no_keys(keys: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        yield


def check_new_keys_are_kept(repo: AnnexRepo, keys: Endpoint) -> None:
    assert kept_file(repo).read_text().split() == [keys.access_key_id, keys.secret_access_key]
    repo.run("env", "-u", "AWS_ACCESS_KEY_ID", "-u", "AWS_SECRET_ACCESS_KEY",
             "git", "annex", "copy", "--to", "s3", "data")  # fmt: skip


@BOTH_TYPES
def test_setup_hands_over_new_keys_of_the_environment(
    rotated: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    (record,) = setup(rotated, keys, new_bucket, remote_type=remote_type)

    assert record["status"] == "ok", record
    assert "keys replaced" in record["message"]
    check_new_keys_are_kept(rotated, keys)
    (again,) = setup(rotated, keys, new_bucket, remote_type=remote_type)
    assert again["status"] == "notneeded"


@BOTH_TYPES
def test_enable_hands_over_new_keys_of_the_environment(rotated: AnnexRepo, keys: Endpoint) -> None:
    (record,) = enable(rotated)

    assert record["status"] == "ok", record
    assert "keys replaced" in record["message"]
    check_new_keys_are_kept(rotated, keys)
    assert enable(rotated)[0]["status"] == "notneeded"


@BOTH_TYPES
def test_new_keys_of_a_credential_are_handed_over(
    rotated: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str, no_keys: None
) -> None:
    from datalad.support.keyring_ import keyring

    keyring.set("rotated", "key_id", keys.access_key_id)
    keyring.set("rotated", "secret_id", keys.secret_access_key)
    asked = {"remote_type": remote_type, "credential": "rotated"}

    (record,) = setup(rotated, keys, new_bucket, **asked)

    assert record["status"] == "ok", record
    check_new_keys_are_kept(rotated, keys)
    assert setup(rotated, keys, new_bucket, **asked)[0]["status"] == "notneeded"
    assert enable(rotated, credential="rotated")[0]["status"] == "notneeded"


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_a_profile_replaces_keys_once(
    rotated: AnnexRepo, keys: Endpoint, new_bucket: str, no_keys: None, profile: str
) -> None:
    (first,) = setup(rotated, keys, new_bucket, profile=profile)
    (second,) = setup(rotated, keys, new_bucket, profile=profile)

    assert (first["status"], second["status"]) == ("ok", "notneeded"), first
    assert remotes.get_config(rotated.path, "s3", "s3x-profile") == "lab"
    rotated.annex("copy", "--to", "s3", "data")


@BOTH_TYPES
def test_keys_that_do_not_work_replace_nothing(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    setup(annex, keys, new_bucket, remote_type=remote_type)
    before, kept = state(annex), kept_file(annex).read_text()
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-wrong-wrong")

        (refused,) = setup(annex, keys, new_bucket, remote_type=remote_type)
        (named,) = enable(annex, name="s3")
        (unnamed,) = enable(annex)

    assert refused["status"] == "error"
    assert refused["message"].startswith("the keys were not replaced: ")
    assert named["status"] == "error"
    assert unnamed["status"] == "notneeded"
    assert "were not taken" in unnamed["message"]
    assert (state(annex), kept_file(annex).read_text()) == (before, kept)


@BOTH_TYPES
def test_reconfigure_always_hands_over_keys(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    setup(annex, keys, new_bucket, remote_type=remote_type)

    (record,) = setup(annex, keys, new_bucket, remote_type=remote_type, existing="reconfigure")

    assert record["status"] == "ok", record
    assert "keys replaced" in record["message"]


def test_one_enabled_for_reading_gets_keys_that_come_later(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, no_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", keys.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
        setup(annex, keys, new_bucket)
        kept_file(annex).unlink()
        remotes.set_config(annex.path, "s3", "s3x-anonymous", "true")

        (record,) = enable(annex)

    assert record["status"] == "ok", record
    assert remotes.get_config(annex.path, "s3", "s3x-anonymous") is None
    assert kept_file(annex).read_text().split()[0] == keys.access_key_id


# -- the local server says its keys itself --------------------------------------------------------


@pytest.fixture
def local(seaweed: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Make SeaweedFS the local server of `datalad s3-serve`."""
    import json

    record = {"endpoint": seaweed.url, "region": seaweed.region, "pid": 1,
              "access_key_id": seaweed.access_key_id,
              "secret_access_key": seaweed.secret_access_key}  # fmt: skip
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.json").write_text(json.dumps(record))
    with monkeypatch.context() as patch:
        patch.setenv("S3EXT_SERVER_HOME", str(tmp_path / "server"))
        yield seaweed


def setup_local(repo: AnnexRepo, bucket: str, **options: object) -> dict[str, object]:
    from datalad_s3ext.commands.s3_setup import S3Setup
    from tests.integration.commands.helpers import QUIET

    (record,) = S3Setup()("local", bucket=bucket, dataset=str(repo.path), **QUIET, **options)
    return record


def test_keys_of_the_local_server_are_not_kept(
    annex: AnnexRepo, local: Endpoint, new_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand in its own record; kept ones would be wrong when the server gets new ones."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFANOTHERSERVICE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-wrong-wrong")
        record = setup_local(annex, new_bucket)
        again = setup_local(annex, new_bucket)

    assert (record["status"], again["status"]) == ("ok", "notneeded"), record
    assert list((annex.path / ".git" / "annex" / "creds").glob("*")) == []
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "local", "data")


def test_old_keys_of_a_local_server_are_cleared_away(
    annex: AnnexRepo, local: Endpoint, new_bucket: str
) -> None:
    setup_local(annex, new_bucket)
    creds = annex.path / ".git" / "annex" / "creds"
    creds.mkdir(exist_ok=True)
    (creds / f"{annex.uuid('local')}-s3xcreds").write_text("AKIAOLDOLDOLDOLDOLD1\nwrong-wrong-wrong")

    record = setup_local(annex, new_bucket)

    assert record["status"] == "ok", record
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "local", "data")


def test_a_clone_enables_built_in_s3_on_the_local_server(
    annex: AnnexRepo, local: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    setup_local(annex, new_bucket, remote_type="S3")
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "local", "data")
    clone = annex.clone(tmp_path / "clone")

    (record,) = enable(clone)

    assert record["status"] == "ok", record
    assert "local S3 server" in record["credential_source"]
    clone.annex("get", "data")


def test_built_in_s3_in_the_same_place_is_called_by_its_name(
    annex: AnnexRepo, local: Endpoint, new_bucket: str
) -> None:
    setup_local(annex, new_bucket, remote_type="S3", name="first")

    record = setup_local(annex, new_bucket, name="second")
    dry = setup_local(annex, new_bucket, name="second", dry_run=True)

    for refused in (record, dry):
        assert refused["status"] == "error"
        assert "special remote 'first'" in str(refused["message"])
    assert recorded(annex)["name"] == "first"
