"""``datalad s3-import`` with real git-annex and real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers import confirm
from tests.integration.commands.conftest import keys_of
from tests.integration.commands.helpers import PRESET, QUIET
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

BIG = b"0123456789abcdef" * 4096
FILES = {"study/a.txt": b"aaa", "study/sub/b.bin": BIG, "study/twin": b"aaa", "other/c": b"ccc"}


def fill(endpoint: Endpoint, bucket: str, files: dict[str, bytes]) -> None:
    client = boto3_client(endpoint)
    client.create_bucket(Bucket=bucket)
    for name, content in files.items():
        client.put_object(Bucket=bucket, Key=name, Body=content)


@pytest.fixture
def any_keys(any_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Put the keys of one server, or of each in turn, into the environment."""
    with keys_of(any_endpoint, monkeypatch) as endpoint:
        yield endpoint


def s3_import(repo: AnnexRepo, url: str | None, endpoint: Endpoint, **options: Any) -> dict[str, Any]:
    from datalad_s3ext.commands.s3_import import S3Import

    given = {"dataset": str(repo.path), **QUIET}
    if url is not None:
        given |= {"endpoint": endpoint.url, "provider": PRESET[endpoint.kind]}
    given |= options
    (record,) = S3Import()(url, **given)
    return record


def files_of(repo: AnnexRepo) -> set[str]:
    return {line for line in repo.run("git", "ls-files", "-z").stdout.split("\0") if line}


def test_what_lies_below_a_prefix_becomes_files_and_nothing_is_downloaded(
    annex: AnnexRepo, any_keys: Endpoint, bucket_name: str
) -> None:
    """Sent with SHA-256, which each server keeps. Everybody may list on moto: reading is tried there."""
    client = boto3_client(any_keys)
    client.create_bucket(Bucket=bucket_name)
    for name, content in FILES.items():
        client.put_object(Bucket=bucket_name, Key=name, Body=content, ChecksumAlgorithm="SHA256")
    annex.add("own", b"a file of the data set")
    with Relay(any_keys.url) as relay:
        record = s3_import(annex, f"s3://{bucket_name}/study", any_keys.at(relay.url))

        gets = [path for method, path in relay.requests if method == "GET" and "study/" in path]
        assert relay.bytes_down < len(BIG)
    assert record["status"] == "ok", record["message"]
    assert (record["added"], record["changed"], record["removed"]) == (3, 0, 0)
    assert files_of(annex) == {"a.txt", "sub/b.bin", "twin", "own"}
    asked = {"annex-uuid", "a.txt"} if any_keys.kind == "moto" else {"annex-uuid"}
    assert set(gets) <= {f"/{bucket_name}/study/{name}" for name in asked}


def test_running_it_again_takes_over_what_has_changed(
    annex: AnnexRepo, any_keys: Endpoint, bucket_name: str
) -> None:
    fill(any_keys, bucket_name, FILES)
    url = f"s3://{bucket_name}/study/"
    first = s3_import(annex, url, any_keys, name="lab", include=["*.txt", "sub/*", "new"])
    again = s3_import(annex, url, any_keys, name="lab", include=["*.txt", "sub/*", "new"])
    client = boto3_client(any_keys)
    client.put_object(Bucket=bucket_name, Key="study/a.txt", Body=b"changed")
    client.put_object(Bucket=bucket_name, Key="study/new", Body=b"new")
    client.delete_object(Bucket=bucket_name, Key="study/sub/b.bin")

    third = s3_import(annex, None, any_keys, name="lab")

    assert first["status"] == "ok", first["message"]
    assert (first["status"], first["added"]) == ("ok", 2), first
    assert again["status"] == "notneeded", again
    assert third["status"] == "ok", third["message"]
    assert (third["added"], third["changed"], third["removed"]) == (1, 1, 1), third
    assert files_of(annex) == {"a.txt", "new"}
    annex.annex("get", ".")
    assert (annex.path / "a.txt").read_bytes() == b"changed"


def test_a_public_bucket_needs_no_keys_here_nor_in_a_clone(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    fill(seaweed, bucket_name, FILES)
    rights = {"s3:GetObject": f"{bucket_name}/*", "s3:ListBucket": bucket_name}
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": right, "Resource": f"arn:aws:s3:::{where}"}
        for right, where in rights.items()
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    boto3_client(seaweed).put_bucket_policy(Bucket=bucket_name, Policy=json.dumps(policy))
    annex.add("own", b"a file of the data set")

    record = s3_import(annex, f"s3://{bucket_name}/study", seaweed)

    assert record["status"] == "ok", record["message"]
    assert record["autoenable"] is True
    copy = annex.clone(tmp_path / "copy")
    confirm(copy, record["name"])
    copy.annex("get", "a.txt")
    assert (copy.path / "a.txt").read_bytes() == b"aaa"


@pytest.mark.parametrize(
    ("url", "why"), [("s3://no-such-bucket-here", "no bucket"), ("http://x/y", "not of the form s3://")]
)
def test_what_cannot_be_imported_is_refused_and_changes_nothing(
    annex: AnnexRepo, keys: Endpoint, url: str, why: str
) -> None:
    annex.add("own", b"a file of the data set")
    head = annex.run("git", "rev-parse", "HEAD").stdout

    record = s3_import(annex, url, keys)

    assert record["status"] == "error", record
    assert why in record["message"]
    assert annex.run("git", "rev-parse", "HEAD").stdout == head
    assert "[remote" not in (annex.path / ".git" / "config").read_text()
    names = [found["Name"] for found in boto3_client(keys).list_buckets()["Buckets"]]
    assert "no-such-bucket-here" not in names


def test_changes_that_would_be_overwritten_stop_the_merge(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    fill(keys, bucket_name, FILES)
    annex.add("own", b"a file of the data set")
    (annex.path / "a.txt").write_text("not committed")

    record = s3_import(annex, f"s3://{bucket_name}/study", keys)

    assert record["status"] == "error", record
    assert "cannot be merged" in record["message"]
    assert (annex.path / "a.txt").read_text() == "not committed"
    assert annex.run("git", "status", "--porcelain").stdout == "?? a.txt\n"


def test_what_git_keeps_comes_back_as_files_of_git(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    """Exported to a bucket and imported from it: as links they would be in conflict with themselves."""
    odd = "notes (old) 1*.txt"
    for name in ("README", odd, ".gitattributes"):
        (annex.path / name).write_text(f"{name} annex.largefiles=nothing\n")
    (annex.path / "sub").mkdir()
    (annex.path / "sub" / "README").write_text("another\n")
    annex.run("git", "-c", "annex.largefiles=nothing", "add", ".")
    annex.run("git", "commit", "-q", "-m", "kept in git")
    annex.add("annexed", b"annexed")
    annex.init_s3x(seaweed, bucket_name, "exporttree=yes", name="out")
    annex.init_s3x(seaweed, bucket_name, "importtree=yes", "--sameas=out", name="in")
    annex.annex("export", "main", "--to", "out")
    before = annex.run("git", "ls-tree", "-r", "HEAD").stdout

    first = s3_import(annex, None, seaweed, name="in")
    after = annex.run("git", "ls-tree", "-r", "HEAD").stdout
    put = boto3_client(seaweed).put_object
    put(Bucket=bucket_name, Key="README", Body=b"changed by somebody else\n")
    put(Bucket=bucket_name, Key=".gitattributes", Body=b"* filter=evil\n")
    put(Bucket=bucket_name, Key=".gitmodules", Body=b"git merges no link of this name\n")
    second = s3_import(annex, None, seaweed, name="in")

    assert (first["status"], after) == ("notneeded", before), first["message"]
    assert (second["status"], second["changed"]) == ("ok", 1), second
    assert (annex.path / "README").read_text() == "changed by somebody else\n"
    assert not (annex.path / "README").is_symlink()
    assert "2 objects were left out (it would say how git or DataLad work here)" in second["message"]


def test_one_command_sets_up_import_and_export_of_one_place(
    annex: AnnexRepo, any_keys: Endpoint, bucket_name: str
) -> None:
    fill(any_keys, bucket_name, FILES)
    url = f"s3://{bucket_name}/study"

    first = s3_import(annex, url, any_keys, name="in", export_as="out")
    again = s3_import(annex, url, any_keys, name="in", export_as="out")

    assert first["status"] == "ok", first["message"]
    assert (first["added"], first["export_as"]) == (3, "out")
    assert again["status"] == "notneeded", again
    uuids = {annex.run("git", "config", f"remote.{name}.annex-uuid").stdout for name in ("in", "out")}
    assert len(uuids) == 1
    mine = annex.add("mine", b"mine")
    annex.run("git", "mv", "a.txt", "moved.txt")
    annex.run("git", "commit", "-q", "-m", "moved")
    annex.annex("get", ".")
    annex.annex("export", "main", "--to", "out")
    rows = boto3_client(any_keys).list_objects_v2(Bucket=bucket_name)["Contents"]
    names = {row["Key"] for row in rows}
    assert {"study/mine", "study/moved.txt", "study/twin", "study/sub/b.bin", "other/c"} <= names
    back = s3_import(annex, None, any_keys, name="in")
    assert back["status"] == "notneeded", back["message"]
    assert annex.annex("lookupkey", "mine").stdout.strip() == mine
    taken = s3_import(annex, f"s3://{bucket_name}/other", any_keys, name="c", export_as="out")
    assert taken["status"] == "error", taken
    assert "not another way to what 'c' has" in taken["message"]


@pytest.mark.parametrize("provider", ["other", "seaweedfs"])
def test_what_an_export_has_added_comes_back_with_its_key(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, provider: str
) -> None:
    """The round trip of the manual, with DataLad's backend and files that git keeps itself.

    The first preset vouches for no ETag, so that objects are read. Be its content in this clone or
    not, be it that of an imported file or not: a file has the key it had.
    """
    annex.run("git", "config", "annex.backend", "MD5E")
    fill(keys, bucket_name, FILES)
    url = f"s3://{bucket_name}/study"
    first = s3_import(annex, url, keys, provider=provider, name="in", export_as="out")
    annex.annex("get", ".")
    contents = {"n.bin": b"n", "y.bin": b"y", "twin too.txt": FILES["study/twin"], "empty.txt": b""}
    mine = {file: annex.add(file, content) for file, content in contents.items()}
    (annex.path / "README").write_text("kept in git\n")
    annex.run("git", "-c", "annex.largefiles=nothing", "add", "README")
    annex.run("git", "commit", "-q", "-m", "kept in git")
    annex.annex("export", "main", "--to", "out")
    annex.annex("drop", "--force", "y.bin")

    back = s3_import(annex, None, keys, name="in")
    again = annex.add("again", b"more")
    annex.annex("export", "main", "--to", "out")
    third = s3_import(annex, None, keys, name="in")

    assert first["status"] == "ok", first["message"]
    assert (back["status"], third["status"]) == ("notneeded", "notneeded"), (back, third)
    for name, key in {**mine, "again": again}.items():
        assert annex.annex("lookupkey", name).stdout.strip() == key


def test_files_that_were_changed_here_and_there_are_named_with_what_to_do(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    fill(keys, bucket_name, FILES)
    s3_import(annex, f"s3://{bucket_name}/study", keys, name="in")
    boto3_client(keys).put_object(Bucket=bucket_name, Key="study/twin", Body=b"changed")
    annex.run("git", "rm", "-q", "twin")
    (annex.path / "twin").write_text("kept in git\n")
    annex.run("git", "-c", "annex.largefiles=nothing", "add", "twin")
    annex.run("git", "commit", "-q", "-m", "changed here")

    record = s3_import(annex, None, keys, name="in")

    assert record["status"] == "error", record
    assert "changed here and there: 'twin'" in record["message"], record["message"]
    assert "no reason" not in record["message"]
    assert "git checkout --theirs" in record["message"]
    assert annex.run("git", "status", "--porcelain").stdout == ""
