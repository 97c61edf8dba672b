"""When ``datalad s3-setup`` must not go on, nothing is recorded."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.integration.commands.helpers import (
    BOTH_TYPES,
    objects,
    setup,
    state,
)
from tests.support.hostile import HtmlServer
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]


@BOTH_TYPES
def test_another_bucket_is_refused_even_when_reconfiguring(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    setup(annex, keys, new_bucket, remote_type=remote_type)
    before = state(annex)

    (record,) = setup(annex, keys, f"{new_bucket}-2", existing="reconfigure", remote_type=remote_type)

    assert record["status"] == "error"
    assert "out of sight" in record["message"]
    assert state(annex) == before


@BOTH_TYPES
def test_nothing_is_recorded_when_the_keys_are_wrong(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = state(annex)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-wrong-wrong")

        (record,) = setup(annex, keys, new_bucket, remote_type=remote_type)

    assert record["status"] == "error"
    assert "\n" not in record["message"]
    assert "wrong-wrong" not in json.dumps(record, default=str)
    assert state(annex) == before
    assert objects(keys, new_bucket) == []


@BOTH_TYPES
def test_nothing_is_recorded_when_nobody_listens(
    annex: AnnexRepo, nobody: Endpoint, bucket_name: str, remote_type: str
) -> None:
    before = state(annex)

    (record,) = setup(annex, nobody, bucket_name, remote_type=remote_type)

    assert record["status"] == "error"
    assert state(annex) == before


@BOTH_TYPES
def test_a_console_that_says_yes_to_everything_is_refused(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, remote_type: str
) -> None:
    """The MinIO console: it answers 200 to everything."""
    before = state(annex)
    with HtmlServer() as console:
        (record,) = setup(annex, keys.at(console.url), bucket_name, remote_type=remote_type)

    assert record["status"] == "error"
    assert state(annex) == before


@BOTH_TYPES
def test_a_place_that_belongs_to_another_remote_is_refused(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    owner = "7880a225-1bc6-4012-8f21-f4b877be1b6b"
    boto3_client(keys).put_object(
        Bucket=new_bucket, Key="p/annex-uuid", Body=io.BytesIO(owner.encode())
    )
    before = state(annex)

    (record,) = setup(annex, keys, new_bucket, prefix="p", remote_type=remote_type)

    assert record["status"] == "error"
    assert owner in record["message"]
    assert "--prefix" in record["message"]
    assert state(annex) == before


def test_a_name_that_is_taken_is_refused(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    annex.run("git", "remote", "add", "s3", "/nowhere")
    before = state(annex)

    (record,) = setup(annex, keys, new_bucket)

    assert record["status"] == "error"
    assert "--name" in record["message"]
    assert state(annex) == before


def test_two_ways_to_name_keys_exclude_each_other(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    (record,) = setup(annex, seaweed, bucket_name, profile="lab", anonymous=True)

    assert record["status"] == "error"
    assert "--profile and --anonymous exclude each other" in record["message"]


def test_a_plain_git_repository_is_told_what_to_do(
    tmp_path: Path, keys: Endpoint, new_bucket: str
) -> None:
    AnnexRepo(tmp_path).run("git", "init", "-q")

    (record,) = setup(AnnexRepo(tmp_path), keys, new_bucket)

    assert record["status"] == "error"
    assert "git annex init" in record["message"]


def test_a_wrong_setting_is_found_before_anything_is_done(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    (record,) = setup(annex, keys, bucket_name, settings=["storageclas=COLD"])

    assert record["status"] == "error"
    assert "storageclass" in record["message"]
    existing = [row["Name"] for row in boto3_client(keys).list_buckets()["Buckets"]]
    assert bucket_name not in existing


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"encryption": "foo"}, "no encryption 'foo'"),
        ({"encryption": "hybrid"}, "keyid="),
        ({"settings": ["partsize=1TB"]}, "partsize"),
        ({"settings": ["cost=cheap"]}, "cost"),
        ({"chunk": "1"}, "--chunk"),
        ({"name": "a/../b"}, "name of a git remote"),
        ({"prefix": "../x"}, "--prefix"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_a_bucket_is_made(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, options: dict[str, object], expected: str
) -> None:
    before = state(annex)

    (record,) = setup(annex, keys, bucket_name, **options)

    assert record["status"] == "error"
    assert expected in record["message"]
    assert state(annex) == before
    existing = [row["Name"] for row in boto3_client(keys).list_buckets()["Buckets"]]
    assert bucket_name not in existing


def test_a_bucket_that_was_made_for_nothing_is_named(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    options = {"encryption": "hybrid", "settings": ["keyid=nobody@example.org"]}

    (record,) = setup(annex, keys, bucket_name, **options)

    assert record["status"] == "error"
    assert f"bucket '{bucket_name}' was created before this and is still there" in record["message"]


def test_a_remote_of_the_same_data_set_in_the_same_place_is_called_by_its_name(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket, name="first", remote_type="S3")
    other_spelling = keys.url.replace("127.0.0.1", "localhost")

    (record,) = setup(annex, keys.at(other_spelling), new_bucket, name="second")

    assert record["status"] == "error"
    assert "special remote 'first'" in record["message"]
    assert "--name first" in record["message"]


def test_who_comes_second_is_told_our_own_option(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker of another remote appears between our look and git-annex's."""
    from datalad_s3ext.commands import _setup

    def late(*_: object, **__: object) -> None:
        boto3_client(keys).put_object(
            Bucket=new_bucket, Key="annex-uuid", Body=b"7880a225-1bc6-4012-8f21-f4b877be1b6b"
        )

    with monkeypatch.context() as patch:
        patch.setattr(_setup.Setup, "_check_owner", late)
        (record,) = setup(annex, keys, new_bucket)

    assert record["status"] == "error"
    assert "--prefix NAME" in record["message"]
    assert "fileprefix" not in record["message"]


def test_a_missing_program_of_ours_is_named(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import shutil

    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "git-annex"):
        (programs / name).symlink_to(shutil.which(name) or "")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{programs}:/usr/bin:/bin")

        (record,) = setup(annex, keys, bucket_name)

    assert record["status"] == "error"
    assert "git-annex-remote-s3x was not found" in record["message"]
    assert "activate the environment" in record["message"]
