"""Content at ``s3://`` URLs: real git-annex and DataLad, objects that others have put into a bucket."""

from __future__ import annotations

import csv
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.helpers import clone_of, failure, object_names, pattern, records_of
from tests.integration.commands.helpers import publish
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

WEB = "00000000-0000-0000-0000-000000000001"
FILES = {"raw/a b.txt": b"first", "raw/sub/c%d.txt": b"second", "raw/\u00e4.txt": b"third"}


def fill(endpoint: Endpoint, bucket: str) -> None:
    for name, content in FILES.items():
        boto3_client(endpoint).put_object(Bucket=bucket, Key=name, Body=content)


@pytest.fixture
def bucket(annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str) -> str:
    """Return the name of a bucket with `FILES`, part of which is a remote of `annex`."""
    boto3_client(any_endpoint).create_bucket(Bucket=bucket_name)
    fill(any_endpoint, bucket_name)
    annex.init_s3x(any_endpoint, bucket_name, "fileprefix=annex/")
    return bucket_name


def link_for_everybody(endpoint: Endpoint, bucket: str, name: str) -> str:
    """Return a URL that needs no keys; rclone has no public buckets, but links that are signed."""
    if endpoint.kind == "rclone":
        asked = {"Bucket": bucket, "Key": name}
        return boto3_client(endpoint).generate_presigned_url("get_object", Params=asked)
    publish(endpoint, bucket)
    return f"{endpoint.url}/{bucket}/{quote(name)}"


def urls_of(repo: AnnexRepo, name: str, remote: str = "s3") -> list[str]:
    found = records_of(repo.annex("whereis", "--json", "--", name).stdout)[0]
    uuid = WEB if remote == "web" else repo.uuid(remote)
    return {place["uuid"]: place["urls"] for place in found["whereis"]}[uuid]


def test_content_of_a_url_is_dropped_and_comes_back(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket: str
) -> None:
    url = f"s3://{bucket}/raw/a%20b.txt"

    annex.annex("addurl", url)

    assert (annex.path / "a_b.txt").read_bytes() == b"first"
    assert urls_of(annex, "a_b.txt") == [url]
    annex.annex("drop", "a_b.txt")
    annex.annex("get", "a_b.txt")
    assert (annex.path / "a_b.txt").read_bytes() == b"first"
    annex.annex("fsck", "--from", "s3", "a_b.txt")

    annex.annex("drop", "--from", "s3", "a_b.txt")
    assert "raw/a b.txt" in object_names(any_endpoint, bucket)
    annex.annex("fsck", "--fast", "--from", "s3", "a_b.txt")
    found = records_of(annex.annex("whereis", "--json", "a_b.txt").stdout)[0]
    assert annex.uuid("s3") not in {place["uuid"] for place in found["whereis"]}


def test_many_urls_at_once(annex: AnnexRepo, bucket: str) -> None:
    (annex.path.parent / "batch").write_text(
        f"s3://{bucket}/raw/a%20b.txt one\ns3://{bucket}/raw/sub/c%25d.txt two\n"
    )

    annex.run("sh", "-c", "git annex addurl --batch --with-files < ../batch")
    annex.annex("addurl", f"s3://{bucket}/raw/")

    files = annex.annex("find", "--format=${file}\\n").stdout.splitlines()
    found = {name: (annex.path / name).read_bytes() for name in files}
    folder = f"{bucket}_raw_"  # git-annex's way with the name of many
    assert found == {
        "one": b"first", "two": b"second", f"{folder}/a_b.txt": b"first",
        f"{folder}/sub_c_d.txt": b"second", f"{folder}/\u00e4.txt": b"third",
    }  # fmt: skip


def test_content_without_a_checksum_is_fetched_with_keys_only_if_a_person_asked_for_it(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket: str, tmp_path: Path
) -> None:
    private = f"{bucket}-private"
    boto3_client(any_endpoint).create_bucket(Bucket=private)
    boto3_client(any_endpoint).put_object(Bucket=private, Key="secret", Body=b"of somebody else")

    annex.annex("addurl", "--fast", f"s3://{private}/secret", "--file=fast")
    annex.annex("addurl", "--relaxed", f"s3://{bucket}/raw/a%20b.txt", "--file=relaxed")
    annex.annex("get", ".")
    annex.run("git", "commit", "-q", "-m", "urls")
    copy = clone_of(annex, tmp_path / "copy")

    assert (annex.path / "fast").read_bytes() == b"of somebody else"
    assert (annex.path / "relaxed").read_bytes() == b"first"
    copy.annex("get", "relaxed")
    reason = failure(copy, "get", "fast")
    setting = f"s3x.{copy.uuid('s3')}.bucket"
    assert f"git config --add {setting} 's3://{private}/'" in reason
    copy.run("git", "config", "--add", setting, f"s3://{private}/")
    copy.annex("get", "fast")
    assert (copy.path / "fast").read_bytes() == b"of somebody else"


def test_datalad_adds_and_downloads(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket: str, tmp_path: Path
) -> None:
    with (tmp_path / "table.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerows([["url", "name"], [f"s3://{bucket}/raw/a%20b.txt", "one"]])
        rows.writerows([[f"s3://{bucket}/raw/sub/c%25d.txt", "folder/two"]])
    annex.run("datalad", "create", "--force", "-D", "x", ".")

    annex.run("datalad", "addurls", str(tmp_path / "table.csv"), "{url}", "{name}")

    assert (annex.path / "one").read_bytes() == b"first"
    assert (annex.path / "folder" / "two").read_bytes() == b"second"
    web = link_for_everybody(any_endpoint, bucket, "raw/a b.txt")
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    annex.run("datalad", "download-url", "-O", "web", web)
    assert (annex.path / "web").read_bytes() == b"first"
    assert urls_of(annex, "web", "web") == [web]
    annex.run("datalad", "drop", "one")
    annex.run("datalad", "get", "one")
    assert (annex.path / "one").read_bytes() == b"first"


@pytest.mark.thorough
def test_a_version_is_read_although_there_is_a_newer_one(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket: str
) -> None:
    if any_endpoint.kind == "rclone":
        done = annex.annex("addurl", f"s3://{bucket}/raw/a%20b.txt?versionId=v1", check=False)
        assert done.returncode
        assert "this service cannot do it: NotImplemented" in done.stderr
        return
    client = boto3_client(any_endpoint)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="v", Body=b"old content")["VersionId"]
    client.put_object(Bucket=bucket, Key="v", Body=b"new")

    annex.annex("addurl", f"s3://{bucket}/v?versionId={old}", "--file=old")
    annex.annex("drop", "old")
    annex.annex("get", "old")

    assert (annex.path / "old").read_bytes() == b"old content"


def test_git_annex_downloads_by_presigned_links(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    annex.init_s3x(any_endpoint, bucket_name, "chunk=100KiB")
    content = pattern(250_000)
    annex.add("f", content)
    annex.annex("copy", "--to", "s3", "f")
    annex.annex("drop", "f")
    annex.run("git", "config", "remote.s3.s3x-presign", "true")

    refused = failure(annex, "get", "f")
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    done = annex.annex("get", "--debug", "f")

    assert "annex.security.allowed-ip-addresses" in refused
    assert "TRANSFER-RETRIEVE-URL" in done.stderr
    assert (annex.path / "f").read_bytes() == content
