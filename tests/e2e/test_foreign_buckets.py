"""What lies in the bucket of one remote is no copy of another: real git-annex deletes content by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.export_helpers import commit, export
from tests.e2e.helpers import confirm, object_names, records_of
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

CONTENT = b"the only copy that is meant to stay"
MARKER = "annex-uuid"


def places_of(repo: AnnexRepo, name: str) -> dict[str, list[str]]:
    """Return the URLs of each place that git-annex believes to have the content, by its UUID."""
    found = records_of(repo.annex("whereis", "--json", name, check=False).stdout)[0]
    return {place["uuid"]: place["urls"] for place in found["whereis"]}


@pytest.fixture
def exported(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> str:
    """Export a file of `annex` to the remote ``tree`` beside ``backup``; return its bucket's name."""
    bucket = f"{bucket_name}-tree"
    commit(annex, {"f": CONTENT})
    annex.init_s3x(seaweed, bucket_name, name="backup")
    annex.init_s3x(seaweed, bucket, "exporttree=yes", "bucketversioning=yes", name="tree")
    export(annex, to="tree")
    return bucket


@pytest.mark.parametrize("more", [(), pytest.param(("chunk=1MiB",), marks=pytest.mark.thorough)])
def test_an_exported_file_is_stored_where_it_is_copied_to(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, exported: str, more: tuple[str, ...]
) -> None:
    if more:
        annex.annex("enableremote", "backup", *more)

    annex.annex("fsck", "--fast", "--from", "backup", "f")
    assert annex.uuid("backup") not in places_of(annex, "f")
    annex.annex("move", "--to", "backup", "f")

    assert places_of(annex, "f").keys() == {annex.uuid("backup")}
    (name,) = set(object_names(seaweed, bucket_name)) - {MARKER}
    found = boto3_client(seaweed).get_object(Bucket=bucket_name, Key=name)["Body"].read()
    assert found == CONTENT
    assert not places_of(annex, "f")[annex.uuid("backup")]
    boto3_client(seaweed).delete_object(Bucket=bucket_name, Key=name)
    assert annex.annex("fsck", "--fast", "--from", "backup", "f", check=False).returncode != 0
    assert annex.uuid("backup") not in places_of(annex, "f")


def test_the_view_of_a_tree_still_finds_its_versions(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, exported: str, tmp_path: Path
) -> None:
    annex.init_s3x(seaweed, exported, "bucketversioning=yes", "--sameas=tree", name="old")
    annex.annex("drop", "--force", "f")
    annex.annex("get", "--from", "old", "f")

    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "backup")
    confirm(copy, "backup")
    copy.annex("fsck", "--fast", "--from", "backup", "f")

    assert (annex.path / "f").read_bytes() == CONTENT
    assert copy.uuid("backup") not in places_of(copy, "f")


def test_a_url_in_the_bucket_of_another_remote_is_taken_by_nobody(
    annex: AnnexRepo, seaweed: Endpoint, exported: str
) -> None:
    done = annex.annex("addurl", f"s3://{exported}/f", "--file=g", check=False)

    assert done.returncode != 0
    assert not (annex.path / "g").is_symlink()


def test_content_at_a_url_in_a_bucket_of_nobody_is_stored_when_its_url_is_forgotten(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    """A copy there is what the data set knows of: it counts, and its remote is not asked to store."""
    theirs = f"{bucket_name}-theirs"
    boto3_client(seaweed).create_bucket(Bucket=theirs)
    boto3_client(seaweed).put_object(Bucket=theirs, Key="x", Body=CONTENT)
    remotes = ("one", "two")
    for name in remotes:
        annex.init_s3x(seaweed, bucket_name, f"fileprefix={name}/", name=name)
    annex.annex("addurl", f"s3://{theirs}/x", "--file=f")

    for name in remotes:
        annex.annex("copy", "--to", name, "f")
    owner = min(remotes, key=annex.uuid)
    (other,) = set(remotes) - {owner}
    stored = {name.split("/")[0] for name in object_names(seaweed, bucket_name) if MARKER not in name}
    assert stored == {other}

    annex.annex("rmurl", "f", f"s3://{theirs}/x")
    annex.annex("copy", "--to", owner, "f")
    stored = {name.split("/")[0] for name in object_names(seaweed, bucket_name) if MARKER not in name}
    assert stored == set(remotes)
