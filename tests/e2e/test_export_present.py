"""Which objects an export takes for files that are there already, by real git-annex commands.

git-annex asks before it sends a file; another clone, or one that was killed, asks about objects that it
has not stored itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.export_helpers import commit, export, in_bucket, init_export, write
from tests.e2e.helpers import confirm, kill_group, object_names, start, wait_until
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

IN_GIT = {"README": b"what this is\n", "code/run.py": b"print(1)\n", "none": b""}
ANNEXED = {"data": bytes(range(256))}


def commit_in_git(repo: AnnexRepo, files: Mapping[str, bytes]) -> None:
    write(repo, dict(files))
    repo.run("git", "-c", "annex.largefiles=nothing", "add", "-A", ".")
    repo.run("git", "commit", "-q", "-m", "in git")


def use_in(copy: AnnexRepo, url: str) -> None:
    copy.annex("enableremote", "s3", f"endpoint={url}")
    confirm(copy, "s3")


def put_names(relay: Relay) -> list[str]:
    return sorted(path.partition("?")[0] for method, path in relay.requests if method == "PUT")


def test_another_clone_goes_on_with_a_tree_that_has_files_of_git(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """Git has their content, so their size is known, and where ETags are MD5 that, too."""
    commit(annex, ANNEXED)
    commit_in_git(annex, IN_GIT)
    init_export(annex, any_endpoint, bucket_name)
    export(annex)
    copy = annex.clone(tmp_path / "copy")
    with Relay(any_endpoint.url) as relay:
        use_in(copy, relay.url)
        commit_in_git(copy, {"added": b"more\n"})

        export(copy)

        assert put_names(relay) == [f"/{bucket_name}/added"]
    everything = {**IN_GIT, **ANNEXED, "added": b"more\n"}
    assert in_bucket(any_endpoint, bucket_name, set(everything)) == everything
    assert object_names(any_endpoint, bucket_name) == set(everything)


def test_a_file_of_git_that_is_another_one_there_is_stored_anew(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    commit_in_git(annex, IN_GIT)
    init_export(annex, seaweed, bucket_name)
    export(annex)
    copy = annex.clone(tmp_path / "copy")
    use_in(copy, seaweed.url)
    other = {"README": b"what that is\n", "code/run.py": b"print()\n"}
    for name, content in other.items():
        boto3_client(seaweed).put_object(Bucket=bucket_name, Key=name, Body=content)

    export(copy)

    assert in_bucket(seaweed, bucket_name, set(IN_GIT)) == IN_GIT


def test_a_file_whose_key_tells_nothing_is_stored_anew(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    """A key of a URL without a size; answered in any other way, the export would never be complete."""
    write(annex, {"content": b"of a page"})
    key = "URL--http&c%%example.org%page"
    annex.annex("setkey", key.replace("&c", ":").replace("%", "/"), "content")
    annex.annex("fromkey", "--force", key.replace("&c", ":").replace("%", "/"), "page")
    annex.run("git", "commit", "-q", "-m", "a page", "page")
    init_export(annex, seaweed, bucket_name)
    boto3_client(seaweed).put_object(Bucket=bucket_name, Key="page", Body=b"something")

    export(annex)

    assert in_bucket(seaweed, bucket_name, {"page"}) == {"page": b"of a page"}


@pytest.mark.parametrize("backend", ["MD5E", "SHA256E"])
def test_an_object_that_somebody_replaced_is_not_taken_for_the_file(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, backend: str
) -> None:
    """Of the same size; its checksum tells: the ETag, or the SHA-256 that was sent with it."""
    annex.run("git", "config", "annex.backend", backend)
    init_export(annex, seaweed, bucket_name)
    client = boto3_client(seaweed)
    more = {"ChecksumAlgorithm": "SHA256"} if backend == "SHA256E" else {}
    client.put_object(Bucket=bucket_name, Key="a.txt", Body=b"theirs", **more)  # type: ignore[arg-type]
    commit(annex, {"a.txt": b"my own"})

    export(annex)

    assert in_bucket(seaweed, bucket_name, {"a.txt"}) == {"a.txt": b"my own"}


def test_an_object_that_somebody_replaced_is_not_renamed(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.run("git", "config", "annex.backend", "MD5E")
    commit(annex, {"a.txt": b"my own"})
    init_export(annex, seaweed, bucket_name)
    export(annex)
    client = boto3_client(seaweed)
    client.put_object(Bucket=bucket_name, Key="a.txt", Body=b"theirs")
    annex.run("git", "mv", "a.txt", "c.txt")
    annex.run("git", "commit", "-q", "-m", "moved")

    said = export(annex)

    assert in_bucket(seaweed, bucket_name, {"c.txt"}) == {"c.txt": b"my own"}, said
    assert "was replaced by somebody else" in said


def test_an_export_that_was_killed_is_completed_by_the_next(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    """git-annex notes nothing of the files it has stored before it was killed."""
    files = {f"{number}.txt": b"text %d\n" % number for number in range(4)}
    commit_in_git(annex, files)
    with Relay(seaweed.url) as relay:
        init_export(annex, seaweed.at(relay.url), bucket_name)
        process = start(annex, "export", "main", "--to", "s3")
        wait_until(lambda: len(put_names(relay)) > 1, 30, "a second file is sent")
        kill_group(process)

        export(annex)

    assert in_bucket(seaweed, bucket_name, set(files)) == files
