"""Old versions of exported files, by real git-annex in front of servers that keep versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.export_helpers import commit, export
from tests.e2e.helpers import confirm
from tests.support.faults import Predicate
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

OLD, NEW, NEWEST = b"old content", b"new content", b"newest content"


@pytest.fixture(params=["seaweed", pytest.param("moto", marks=pytest.mark.thorough)])
def versioned(request: pytest.FixtureRequest) -> Endpoint:
    """Each server that keeps versions; `rclone serve s3` keeps none."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


def key_of(repo: AnnexRepo, name: str) -> str:
    return repo.annex("lookupkey", name).stdout.strip()


def has(repo: AnnexRepo, key: str) -> bool:
    return repo.annex("contentlocation", key, check=False).returncode == 0


def content(repo: AnnexRepo, key: str) -> bytes:
    return (repo.path / repo.annex("contentlocation", key).stdout.strip()).read_bytes()


def versions(endpoint: Endpoint, bucket: str) -> dict[str, int]:
    """Return how many versions there are of each name."""
    rows = boto3_client(endpoint).list_object_versions(Bucket=bucket).get("Versions", [])
    names = [row["Key"] for row in rows]
    return {name: names.count(name) for name in names}


def stores(name: str) -> Predicate:
    """Match the upload of a small file."""
    return lambda request: request.method == "PUT" and request.path.endswith(f"/{name}")


def init_view(repo: AnnexRepo, endpoint: Endpoint, bucket: str, *more: str) -> None:
    repo.init_s3x(endpoint, bucket, "bucketversioning=yes", *more, name="old")


def test_what_was_replaced_is_got_by_key_and_can_be_removed_for_good(
    annex: AnnexRepo, versioned: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    commit(annex, {"changes": OLD, "moves": b"moved"})
    old = key_of(annex, "changes")
    annex.init_s3x(versioned, bucket_name, "exporttree=yes", "bucketversioning=yes", "fileprefix=p/")
    export(annex)
    commit(annex, {"changes": NEW})
    annex.run("git", "mv", "moves", "moved")
    annex.run("git", "commit", "-q", "-m", "moved")
    export(annex)
    assert versions(versioned, bucket_name) == {"p/changes": 2, "p/moves": 1, "p/moved": 1}
    init_view(annex, versioned, bucket_name, "fileprefix=p/")
    annex.annex("fsck", "--fast", "--from", "old", "--all")
    annex.annex("drop", "--force", "--key", old)
    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "old")
    confirm(copy, "old")

    copy.annex("get", "--key", old)

    assert content(copy, old) == OLD
    assert copy.annex("drop", "--key", old, check=False).returncode == 0  # it counts as a copy
    refused = copy.annex("drop", "--force", "--from", "old", "changes", check=False)
    assert "as a file of the exported tree" in refused.stdout + refused.stderr
    copy.annex("drop", "--force", "--from", "old", "--key", old)
    assert versions(versioned, bucket_name) == {"p/changes": 1, "p/moves": 1, "p/moved": 1}
    assert copy.annex("get", "--key", old, check=False).returncode != 0


def test_what_was_removed_renamed_or_overwritten_at_once_is_got_by_key(
    annex: AnnexRepo, versioned: Endpoint, bucket_name: str
) -> None:
    """Somebody else writes between the upload of a file and whatever the remote may ask after it."""
    files = {"removed": b"removed", "moves": b"moves", "taken": b"taken", "contended": OLD}
    commit(annex, files)
    keys = {name: key_of(annex, name) for name in files}
    other = boto3_client(versioned)
    with Relay(versioned.url) as relay:
        annex.init_s3x(versioned.at(relay.url), bucket_name, "exporttree=yes", "bucketversioning=yes")

        def overwritten(message: Iterator[bytes]) -> Iterator[bytes]:
            other.put_object(Bucket=bucket_name, Key="contended", Body=b"x" * len(OLD))
            yield from message

        relay.shapers_of_answers.add(stores("contended"), overwritten, 1)
        export(annex)
        other.put_object(Bucket=bucket_name, Key="taken", Body=b"TAKEN")
        annex.run("git", "rm", "-q", "removed")
        for name in ("moves", "taken"):
            annex.run("git", "mv", name, f"{name} now")
        commit(annex, {"contended": NEW})
        said = export(annex)
        assert len(relay.shapers_of_answers) == 0
    assert "the version of taken now is not noted" in said
    init_view(annex, versioned, bucket_name, "--sameas=s3")
    annex.annex("fsck", "--fast", "--from", "old", "--all")
    annex.annex("drop", "--force", "--all")

    for key in keys.values():
        annex.annex("get", "--from", "old", "--key", key)

    assert {name: content(annex, key) for name, key in keys.items()} == files


def test_what_somebody_else_has_replaced_is_still_got_from_the_tree(
    annex: AnnexRepo, versioned: Endpoint, bucket_name: str
) -> None:
    commit(annex, {"f": OLD})
    annex.init_s3x(versioned, bucket_name, "exporttree=yes", "bucketversioning=yes")
    export(annex)
    boto3_client(versioned).put_object(Bucket=bucket_name, Key="f", Body=b"x" * len(OLD))
    annex.annex("drop", "--force", "f")

    annex.annex("get", "f")

    assert (annex.path / "f").read_bytes() == OLD


def test_a_view_stores_nothing(annex: AnnexRepo, versioned: Endpoint, bucket_name: str) -> None:
    commit(annex, {"f": OLD})
    annex.init_s3x(versioned, bucket_name, "exporttree=yes", "bucketversioning=yes")
    init_view(annex, versioned, bucket_name)

    done = annex.annex("copy", "--to", "old", "f", check=False)

    assert done.returncode != 0
    assert "only finds old versions of an exported tree" in done.stdout + done.stderr
    assert versions(versioned, bucket_name) == {}


def test_a_service_without_versions_says_so_when_the_remote_is_set_up(
    annex: AnnexRepo, rclone: Endpoint, bucket_name: str
) -> None:
    done = annex.init_s3x(rclone, bucket_name, "exporttree=yes", "bucketversioning=yes", check=False)

    assert done.returncode != 0
    assert "cannot switch on the versioning of bucket" in done.stderr
    assert annex.run("git", "config", "remote.s3.annex-uuid", check=False).returncode != 0


def test_a_bucket_without_versioning_has_no_view(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str
) -> None:
    done = annex.init_s3x(seaweed, new_bucket, "bucketversioning=yes", check=False)

    assert done.returncode != 0
    assert "keeps no old versions" in done.stderr


def test_versioning_that_was_switched_off_again_is_noticed(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    commit(annex, {"f": OLD})
    annex.init_s3x(moto, bucket_name, "exporttree=yes", "bucketversioning=yes")
    boto3_client(moto).put_bucket_versioning(
        Bucket=bucket_name, VersioningConfiguration={"Status": "Suspended"}
    )

    done = annex.annex("export", "main", "--to", "s3", check=False)

    assert done.returncode != 0
    assert "keeps no old versions of it" in done.stdout + done.stderr


def test_a_tree_of_built_in_s3_with_versioning_is_read_and_continued(
    annex: AnnexRepo, versioned: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """Published by real git-annex alone; the same UUID goes on with s3x, which reads what it recorded."""
    common = ("exporttree=yes", "fileprefix=p/")
    commit(annex, {"f": OLD, "sub dir/ü": b"stays"})
    old, stays = key_of(annex, "f"), key_of(annex, "sub dir/ü")
    annex.init_builtin(versioned, bucket_name, *common, "versioning=yes", name="builtin")
    export(annex, to="builtin")
    commit(annex, {"f": NEW})
    new = key_of(annex, "f")
    export(annex, to="builtin")
    annex.run("git", "config", "remote.builtin.annex-ignore", "true")

    init_view(annex, versioned, bucket_name, "--sameas=builtin", "fileprefix=p/")
    annex.init_s3x(
        versioned, bucket_name, "--sameas=builtin", *common, "bucketversioning=yes", name="tree"
    )
    annex.annex("drop", "--force", "--all")
    for key, expected in ((old, OLD), (new, NEW), (stays, b"stays")):
        annex.annex("get", "--from", "old", "--key", key)
        assert content(annex, key) == expected
    commit(annex, {"f": NEWEST})
    newest = key_of(annex, "f")
    export(annex, to="tree")
    annex.annex("drop", "--force", "--all")

    annex.annex("fsck", "--fast", "--from", "old", "--all", check=False)
    for key, expected in ((old, OLD), (new, NEW), (newest, NEWEST)):
        annex.annex("get", "--key", key)
        assert content(annex, key) == expected
    assert versions(versioned, bucket_name)["p/f"] == 3
