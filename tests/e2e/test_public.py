"""A public bucket is read by people who have no keys at all."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import add_all, confirm, pattern
from tests.integration.commands.helpers import publish
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

CONTENT = pattern(2 * MIB + 5)


def stranger(repo: AnnexRepo, path: Path) -> AnnexRepo:
    """Return a clone of somebody without keys, where git-annex has enabled the remote by itself."""
    copy = AnnexRepo(repo.path).clone(path)
    assert not list((copy.path / ".git" / "annex").glob("creds/*"))
    assert copy.run("git", "config", "remote.s3.annex-uuid").stdout.strip() == repo.uuid("s3")
    confirm(copy, "s3")
    return copy


def shown_urls(repo: AnnexRepo, name: str) -> list[str]:
    """Return what `git annex whereis` shows of the special remote, below the line with its name."""
    lines = repo.annex("whereis", name).stdout.splitlines()
    return [line.split(": ", 1)[1] for line in lines if line.startswith("  s3: ")]


def test_content_in_chunks_is_read_and_checked_without_keys(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    publish(seaweed, new_bucket)
    url = f"{seaweed.url}/{new_bucket}"
    annex.init_s3x(seaweed, new_bucket, "chunk=1MiB", "autoenable=true", f"publicurl={url}")
    keys = add_all(annex, {"f": CONTENT, "gone": b"gone"})
    annex.annex("copy", "--to", "s3", ".")
    gone = keys["gone"].replace("--", f"-S{MIB}-C1--", 1)
    boto3_client(seaweed).delete_object(Bucket=new_bucket, Key=gone)

    copy = stranger(annex, tmp_path / "copy")
    copy.annex("get", "f")
    copy.annex("fsck", "--from", "s3", "f")

    assert (copy.path / "f").read_bytes() == CONTENT
    copy.annex("fsck", "--fast", "--from", "s3", "gone", check=False)
    assert copy.annex("find", "--in=s3", ".").stdout == "f\n"
    assert copy.annex("drop", "--from", "s3", "--force", "f", check=False).returncode != 0
    assert shown_urls(copy, "f") == []  # there is no URL of all chunks


@pytest.mark.thorough
def test_a_tree_is_read_and_checked_without_keys(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    publish(seaweed, new_bucket)
    annex.init_s3x(seaweed, new_bucket, "exporttree=yes", "autoenable=true")
    annex.add("f", CONTENT)
    annex.annex("export", "main", "--to", "s3")

    copy = stranger(annex, tmp_path / "copy")
    copy.annex("get", "f")

    assert (copy.path / "f").read_bytes() == CONTENT
    copy.annex("fsck", "--from", "s3", "f")


def test_whereis_gives_a_url_that_opens(annex: AnnexRepo, seaweed: Endpoint, new_bucket: str) -> None:
    publish(seaweed, new_bucket)
    url = f"{seaweed.url}/{new_bucket}"
    annex.init_s3x(seaweed, new_bucket, f"publicurl={url}", "fileprefix=a b/")
    annex.add("f", b"for everybody")
    annex.annex("copy", "--to", "s3", "f")

    (shown,) = shown_urls(annex, "f")

    with urlopen(shown) as found:
        assert found.read() == b"for everybody"
    annex.annex("drop", "f")
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    annex.annex("initremote", "http", "--sameas=s3", "type=httpalso", f"url={url}/a%20b")
    annex.annex("get", "--from", "http", "f")
    assert (annex.path / "f").read_bytes() == b"for everybody"


def test_whereis_tells_where_people_read_a_file_of_an_exported_tree(
    annex: AnnexRepo, rclone: Endpoint, bucket_name: str
) -> None:
    annex.add("a b.txt", b"content")
    url = f"publicurl=https://data.example.org/{bucket_name}"
    annex.init_s3x(rclone, bucket_name, "exporttree=yes", "fileprefix=p/", url)
    annex.annex("export", "main", "--to", "s3")

    said = annex.annex("whereis", "a b.txt").stdout

    assert f"s3: https://data.example.org/{bucket_name}/p/a%20b.txt" in said
