"""``datalad s3-setup`` with real git-annex and real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.commands.conftest import PublicBucket
from tests.integration.commands.helpers import (
    BOTH_TYPES,
    PRESET,
    QUIET,
    objects,
    recorded,
    setup,
    state,
)
from tests.support.faults import Answer
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]


@BOTH_TYPES
def test_a_bucket_is_made_and_becomes_a_sibling(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, remote_type: str
) -> None:
    (record,) = setup(annex, keys, bucket_name, prefix="study", remote_type=remote_type)

    assert record["status"] == "ok", record
    assert record["action"] == "s3_setup"
    assert record["type"] == "sibling"
    assert record["path"] == str(annex.path)
    assert (record["name"], record["bucket"], record["prefix"]) == ("s3", bucket_name, "study/")
    assert record["uuid"] == annex.uuid("s3")
    assert record["remote_type"] == remote_type
    assert record["bucket_created"] is True
    assert record["autoenable"] is False
    assert "AWS_ACCESS_KEY_ID" in record["credential_source"]
    assert "datalad push --to s3" in record["message"]
    assert objects(keys, bucket_name) == ["study/annex-uuid"]


@BOTH_TYPES
def test_content_goes_there_and_comes_back(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    setup(annex, keys, new_bucket, remote_type=remote_type)
    key = annex.add("data", b"some content")

    annex.annex("copy", "--to", "s3", "data")
    annex.annex("drop", "data")
    annex.annex("get", "data")

    assert key in objects(keys, new_bucket)
    assert (annex.path / "data").read_bytes() == b"some content"


@BOTH_TYPES
@pytest.mark.parametrize("has_keys", [True, False])
def test_the_same_again_changes_nothing_and_asks_nobody(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str, has_keys: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    setup(annex, keys, new_bucket, prefix="p", remote_type=remote_type)
    before = state(annex)
    with monkeypatch.context() as patch:
        if not has_keys:
            patch.delenv("AWS_ACCESS_KEY_ID")
            patch.delenv("AWS_SECRET_ACCESS_KEY")

        (record,) = setup(annex, keys, new_bucket, prefix="p/", remote_type=remote_type)

    assert record["status"] == "notneeded"
    assert record["message"] == "'s3' already set up, nothing changed"
    assert record["uuid"] == annex.uuid("s3")
    assert state(annex) == before


@BOTH_TYPES
def test_other_settings_are_named_and_change_on_request_only(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    setup(annex, keys, new_bucket, remote_type=remote_type)
    before = state(annex)
    asked = {"settings": ["storageclass=REDUCED_REDUNDANCY"], "remote_type": remote_type}

    (refused,) = setup(annex, keys, new_bucket, **asked)
    (skipped,) = setup(annex, keys, new_bucket, existing="skip", **asked)

    assert refused["status"] == "error"
    assert "REDUCED_REDUNDANCY" in refused["message"]
    assert "--existing reconfigure" in refused["message"]
    assert skipped["status"] == "notneeded"
    assert state(annex) == before

    (changed,) = setup(annex, keys, new_bucket, existing="reconfigure", **asked)

    assert changed["status"] == "ok", changed
    assert recorded(annex)["storageclass"] == "REDUCED_REDUNDANCY"
    assert recorded(annex)["bucket"] == new_bucket


@BOTH_TYPES
def test_a_remote_that_is_known_but_not_in_use_is_enabled(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str, tmp_path: Path
) -> None:
    setup(annex, keys, new_bucket, remote_type=remote_type)
    clone = annex.clone(tmp_path / "clone")

    (record,) = setup(clone, keys, new_bucket, remote_type=remote_type)

    assert record["status"] == "ok", record
    assert "enabled" in record["message"]
    assert clone.uuid("s3") == annex.uuid("s3")


@BOTH_TYPES
def test_a_dry_run_contacts_nothing_and_changes_nothing(
    annex: AnnexRepo, nobody: Endpoint, bucket_name: str, remote_type: str
) -> None:
    before = state(annex)

    (record,) = setup(annex, nobody, bucket_name, prefix="p", remote_type=remote_type, dry_run=True)

    assert record["status"] == "ok", record
    assert record["message"].startswith("dry run")
    (command,) = [step for step in record["planned"] if step.startswith("git annex")]
    assert command.startswith("git annex initremote s3 type=")
    assert f"bucket={bucket_name}" in command
    assert "fileprefix=p/" in command
    assert state(annex) == before


def test_a_dry_run_shows_what_really_works(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    (record,) = setup(annex, keys, new_bucket, dry_run=True)
    (command,) = [step for step in record["planned"] if step.startswith("git annex")]

    annex.run("sh", "-c", command)

    assert setup(annex, keys, new_bucket)[0]["status"] == "notneeded"


@BOTH_TYPES
def test_subdatasets_get_prefixes_of_their_own(
    tmp_path: Path, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    from datalad.api import create

    quiet = {"result_renderer": "disabled"}
    top = create(path=str(tmp_path / "top"), **quiet)
    create(path=str(tmp_path / "top" / "in" / "sub"), dataset=top, **quiet)

    records = setup(
        AnnexRepo(tmp_path / "top"), keys, new_bucket,
        prefix="study", recursive=True, remote_type=remote_type,
    )  # fmt: skip

    assert [(record["status"], record["prefix"]) for record in records] == [
        ("ok", "study/"), ("ok", "study/in/sub/"),
    ]  # fmt: skip
    assert records[1]["path"] == str(tmp_path / "top" / "in" / "sub")
    assert objects(keys, new_bucket) == ["study/annex-uuid", "study/in/sub/annex-uuid"]


@BOTH_TYPES
def test_a_public_bucket_is_enabled_by_clones(
    annex: AnnexRepo, public: PublicBucket, remote_type: str
) -> None:
    settings = public.settings(remote_type)
    with public.keys() as moto:
        (record,) = setup(annex, moto, public.name, settings=settings, remote_type=remote_type)

    assert record["status"] == "ok", record
    assert record["autoenable"] is True
    assert recorded(annex)["autoenable"] == "true"


def test_autoenable_can_be_decided_by_hand(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    (record,) = setup(annex, keys, new_bucket, autoenable="yes")

    assert record["autoenable"] is True
    assert recorded(annex)["autoenable"] == "true"


def test_encryption_and_chunks_are_git_annexs(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket, encryption="none", chunk="64KiB")
    annex.add("data", b"x" * 160 * 1024)

    annex.annex("copy", "--to", "s3", "data")

    assert len(objects(keys, new_bucket)) == 1 + 3


@BOTH_TYPES
def test_datalad_pushes_to_it_and_gets_from_it(
    tmp_path: Path, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    """The sibling has no URL and is the only target: DataLad's own push and get work."""
    top = AnnexRepo(tmp_path)
    top.run("datalad", "create", "ds")
    ds = AnnexRepo(tmp_path / "ds")
    (ds.path / "data").write_bytes(b"some content")
    ds.run("datalad", "save", "-m", "data")

    shown = ds.run(
        "datalad", "s3-setup", PRESET[keys.kind], "--set", "cost=150", "--bucket", new_bucket,
        "--endpoint", keys.url, "-s", "campus", "--remote-type", remote_type,
    ).stdout  # fmt: skip
    ds.run("datalad", "push", "--to", "campus")
    ds.run("datalad", "drop", "data")
    ds.run("datalad", "get", "data")

    assert "campus: ready" in shown
    assert "next      datalad push --to campus" in shown
    assert (ds.path / "data").read_bytes() == b"some content"


def test_json_output_is_one_record(tmp_path: Path, keys: Endpoint, new_bucket: str) -> None:
    AnnexRepo(tmp_path).run("datalad", "create", "ds")

    done = AnnexRepo(tmp_path / "ds").run(
        "datalad", "-f", "json", "s3-setup", PRESET[keys.kind], "cost=150", "--bucket", new_bucket,
        "--endpoint", keys.url,
    )  # fmt: skip

    record = json.loads(done.stdout)
    assert (record["status"], record["name"]) == ("ok", "seaweedfs")
    assert isinstance(record["message"], str)


@BOTH_TYPES
def test_what_skip_leaves_alone_is_named(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, remote_type: str
) -> None:
    setup(annex, keys, new_bucket, remote_type=remote_type)

    (record,) = setup(annex, keys, "other-b", existing="skip", remote_type=remote_type)

    assert record["message"] == (
        "'s3' exists with other settings and was left alone "
        f"(asked for bucket other-b, has {new_bucket})"
    )


def test_the_next_step_is_quoted_for_the_shell(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    (record,) = setup(annex, keys, new_bucket, name="lab's")

    assert record["status"] == "ok", record
    assert record["message"].endswith("""next: datalad push --to 'lab'"'"'s'""")


def test_a_tree_of_files_is_filled_by_an_export(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    (record,) = setup(annex, keys, new_bucket, settings=["exporttree=yes"])

    assert record["status"] == "ok", record
    assert record["message"].endswith("next: datalad s3-export -s s3")


def test_metadata_of_a_new_bucket_go_along(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datalad_s3ext.commands.s3_setup import S3Setup

    made: list[Request] = []

    def note(request: Request) -> bool:
        if request.method == "PUT" and request.path.strip("/") == bucket_name:
            made.append(request)
        return False

    with Relay(keys.url) as relay, monkeypatch.context() as patch:
        patch.setenv("S3X_TRUST_ENDPOINT", relay.url)
        relay.answer(note, Answer(200))
        (record,) = S3Setup()(
            "internet-archive", ["x-amz-meta=title=Brains", "signature=v2"], endpoint=relay.url,
            bucket=bucket_name, name="s3", dataset=str(annex.path), **QUIET,
        )  # fmt: skip

    assert record["status"] == "ok", record["message"]
    assert [request.headers["x-archive-meta-title"] for request in made] == ["Brains"]
