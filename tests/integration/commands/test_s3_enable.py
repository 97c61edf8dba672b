"""``datalad s3-enable`` in clones, with real git-annex and real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.repo import remotes
from tests.integration.commands.conftest import PublicBucket
from tests.integration.commands.helpers import BOTH_TYPES, enable, setup, state
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]


@pytest.fixture
def filled(annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str) -> AnnexRepo:
    """Return a repository with a file whose content is on SeaweedFS."""
    (record,) = setup(annex, keys, new_bucket, prefix="p", remote_type=remote_type)
    assert record["status"] == "ok", record
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")
    return annex


@pytest.fixture
def clone(filled: AnnexRepo, tmp_path: Path) -> AnnexRepo:
    """Return a clone in which git-annex has not run yet."""
    filled.run("git", "clone", "-q", str(filled.path), str(tmp_path / "clone"))
    copy = AnnexRepo(tmp_path / "clone")
    copy.run("git", "config", "remote.origin.annex-ignore", "true")
    return copy


@BOTH_TYPES
def test_a_fresh_clone_gets_the_content(
    clone: AnnexRepo, filled: AnnexRepo, new_bucket: str, remote_type: str
) -> None:
    (record,) = enable(clone)

    assert record["status"] == "ok", record
    assert record["action"] == "s3_enable"
    assert record["path"] == str(clone.path)
    assert (record["name"], record["bucket"], record["prefix"]) == ("s3", new_bucket, "p/")
    assert record["uuid"] == clone.uuid("s3") == filled.uuid("s3")
    assert record["remote_type"] == remote_type
    clone.annex("get", "data")
    assert (clone.path / "data").read_bytes() == b"some content"


@BOTH_TYPES
def test_the_same_again_is_not_needed(clone: AnnexRepo) -> None:
    enable(clone)
    before = state(clone)

    (record,) = enable(clone)

    assert record["status"] == "notneeded"
    assert state(clone) == before


@BOTH_TYPES
def test_without_keys_a_private_bucket_is_impossible(clone: AnnexRepo, no_keys: None) -> None:
    (record,) = enable(clone)

    assert record["status"] == "impossible"
    assert "AWS_ACCESS_KEY_ID" in record["message"]
    assert remotes.get_config(clone.path, "s3", "annex-uuid") is None


@BOTH_TYPES
def test_a_place_with_another_marker_is_not_enabled(
    clone: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    stranger = "7880a225-1bc6-4012-8f21-f4b877be1b6b"
    boto3_client(keys).put_object(Bucket=new_bucket, Key="p/annex-uuid", Body=stranger.encode())

    (record,) = enable(clone, name="s3")

    assert record["status"] == "error"
    assert stranger in record["message"]
    assert remotes.get_config(clone.path, "s3", "annex-uuid") is None


@BOTH_TYPES
def test_a_place_without_a_marker_is_not_enabled(
    clone: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    boto3_client(keys).delete_object(Bucket=new_bucket, Key="p/annex-uuid")

    (record,) = enable(clone)

    assert record["status"] == "impossible"
    assert "p/annex-uuid" in record["message"]


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_a_profile_serves_this_clone_from_now_on(clone: AnnexRepo, no_keys: None, profile: str) -> None:
    (record,) = enable(clone, profile=profile)

    assert record["status"] == "ok", record
    assert remotes.get_config(clone.path, "s3", "s3x-profile") == "lab"
    clone.annex("get", "data")


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_a_sibling_in_use_gets_other_credentials(clone: AnnexRepo, profile: str) -> None:
    enable(clone)

    (changed,) = enable(clone, profile=profile)
    (wrong,) = enable(clone, profile="no-such-profile")

    assert changed["status"] == "ok", changed
    assert wrong["status"] == "impossible"
    assert remotes.get_config(clone.path, "s3", "s3x-profile") == "lab"


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_one_that_fails_does_not_stop_the_others(
    clone: AnnexRepo, filled: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(filled, keys, new_bucket, prefix="gone", name="gone")
    boto3_client(keys).delete_object(Bucket=new_bucket, Key="gone/annex-uuid")
    clone.run("git", "fetch", "-q", "origin")

    records = enable(clone)

    assert [(record["name"], record["status"]) for record in records] == [
        ("gone", "impossible"),
        ("s3", "ok"),
    ]


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_an_unknown_name_lists_the_known_ones(clone: AnnexRepo) -> None:
    (record,) = enable(clone, name="s4")

    assert record["status"] == "impossible"
    assert "known: s3" in record["message"]


def test_without_any_there_is_nothing_to_do(annex: AnnexRepo) -> None:
    (record,) = enable(annex)

    assert record["status"] == "notneeded"


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_a_sibling_of_the_same_name_is_left_alone(clone: AnnexRepo) -> None:
    clone.run("git", "remote", "add", "s3", "/nowhere")

    (record,) = enable(clone)

    assert record["status"] == "impossible"
    assert "git remote rename" in record["message"]


@BOTH_TYPES
def test_a_public_bucket_needs_no_keys(
    annex: AnnexRepo, public: PublicBucket, remote_type: str, tmp_path: Path
) -> None:
    settings = public.settings(remote_type)
    with public.keys() as moto:
        setup(
            annex, moto, public.name, settings=settings, remote_type=remote_type, autoenable="no"
        )  # fmt: skip
        annex.add("data", b"some content")
        annex.annex("copy", "--to", "s3", "data")
    clone = annex.clone(tmp_path / "clone")

    (record,) = enable(clone)

    assert record["status"] == "ok", record
    assert "anonymous" in record["credential_source"]
    clone.annex("get", "data")
    assert (clone.path / "data").read_bytes() == b"some content"


def test_subdatasets_are_enabled_too(tmp_path: Path, keys: Endpoint, new_bucket: str) -> None:
    from datalad.api import clone, create

    quiet = {"result_renderer": "disabled"}
    top = create(path=str(tmp_path / "top"), **quiet)
    create(path=str(tmp_path / "top" / "sub"), dataset=top, **quiet)
    setup(AnnexRepo(tmp_path / "top"), keys, new_bucket, recursive=True)
    copy = clone(source=str(tmp_path / "top"), path=str(tmp_path / "copy"), **quiet)
    copy.get("sub", get_data=False, **quiet)

    records = enable(AnnexRepo(tmp_path / "copy"), recursive=True)

    assert [(record["status"], record["prefix"]) for record in records] == [
        ("ok", ""),
        ("ok", "sub/"),
    ]


@BOTH_TYPES
def test_a_dry_run_says_where_and_does_nothing(
    clone: AnnexRepo, keys: Endpoint, new_bucket: str, no_keys: None
) -> None:
    clone.annex("init", "-q")
    before = state(clone)

    (record,) = enable(clone, dry_run=True)

    assert record["status"] == "ok", record
    assert f"bucket {new_bucket}, prefix p/, at {keys.url}" in record["message"]
    assert state(clone) == before


@BOTH_TYPES
def test_one_that_git_annex_does_not_trust_yet_is_finished(clone: AnnexRepo, remote_type: str) -> None:
    """Git-annex's own enableremote leaves it unusable until `verifyremote`."""
    local = {"s3x": (), "S3": ("-c", "annex.security.allowed-ip-addresses=all")}[remote_type]
    clone.annex("init", "-q")
    clone.annex("enableremote", *local, "s3")

    (record,) = enable(clone)

    assert record["status"] == "ok", record
    clone.annex("get", "data")


def published_tree(repo: AnnexRepo, public: PublicBucket) -> None:
    """Export a file with keys, and forget that they may go there."""
    with public.keys() as moto:
        repo.add("data", b"some content")
        repo.init_s3x(moto, public.name, "exporttree=yes", name="ex")
        repo.annex("export", "main", "--to", "ex")
    repo.forget_keys()


@pytest.mark.parametrize("is_public", [False, True])
def test_keys_that_were_not_sent_are_told_of(
    annex: AnnexRepo, public: PublicBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *,
    is_public: bool,
) -> None:  # fmt: skip
    """The server lets everybody list a bucket, which does not show that everybody can read it."""
    published_tree(annex, public)
    if not is_public:
        boto3_client(public.endpoint).delete_bucket_policy(Bucket=public.name)
    clone = annex.clone(tmp_path / "clone")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", public.endpoint.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", public.endpoint.secret_access_key)

        (record,) = enable(clone)

    assert record["status"] == ("ok" if is_public else "impossible"), record
    assert f"no keys were sent to {public.endpoint.url}" in record["message"]
    assert f"--trust-endpoint {public.endpoint.url}" in record["message"]
    assert (remotes.get_config(clone.path, "ex", "annex-uuid") is not None) == is_public
