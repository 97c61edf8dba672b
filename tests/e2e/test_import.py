"""Imported trees, by real git-annex commands in front of real servers."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e.helpers import confirm, object_names
from tests.support.fake_annex import FakeAnnex
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

BIG = bytes(range(256)) * 400
FILES = {"a.txt": b"aaa", "sub dir/ü+%.bin": BIG, "twin": b"aaa", "empty": b"", "c;d": b"semi"}


def put(endpoint: Endpoint, bucket: str, files: dict[str, bytes], *, sha256: bool = False) -> None:
    client = boto3_client(endpoint)
    if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)
    for name, content in files.items():
        more = {"ChecksumAlgorithm": "SHA256"} if sha256 else {}
        client.put_object(Bucket=bucket, Key=name, Body=content, **more)  # type: ignore[arg-type]


def put_in_parts(endpoint: Endpoint, bucket: str, name: str, content: bytes) -> None:
    client, place = boto3_client(endpoint), {"Bucket": bucket, "Key": name}
    upload = client.create_multipart_upload(**place)["UploadId"]
    etag = client.upload_part(**place, UploadId=upload, PartNumber=1, Body=content)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)


def import_tree(repo: AnnexRepo, *more: str, name: str = "s3", merge: bool = True) -> str:
    done = repo.annex("import", "main", "--from", name, "--no-content", *more)
    if merge:
        repo.run("git", "merge", "-q", "--allow-unrelated-histories", "-m", "merge", f"{name}/main")
    return done.stdout + done.stderr


def keys(repo: AnnexRepo) -> dict[str, str]:
    """Return the key of each file; ``--anything`` also finds those that are not here."""
    lines = repo.annex("find", "--anything", "--format=${file}\\t${key}\\n").stdout.splitlines()
    return dict(line.split("\t") for line in lines)


def key_by(backend: str, content: bytes) -> str:
    return f"{backend}-s{len(content)}--{hashlib.new(backend.lower(), content).hexdigest()}"


@pytest.mark.parametrize(
    ("server", "sha256"),
    [
        ("seaweed", False),
        pytest.param("seaweed", True, marks=pytest.mark.thorough),
        pytest.param("moto", True, marks=pytest.mark.thorough),
        pytest.param("moto", False, marks=pytest.mark.thorough),
        pytest.param("rclone", True, marks=pytest.mark.thorough),
        ("rclone", False),
    ],
)
def test_keys_come_from_the_server_and_the_content_later(
    annex: AnnexRepo,
    request: pytest.FixtureRequest,
    bucket_name: str,
    tmp_path: Path,
    server: str,
    sha256: bool,
) -> None:
    """By SHA-256 where it was sent along; by the ETag where the preset knows it to be an MD5; else by
    reading: of moto and rclone nothing is known. An empty file needs no server."""
    endpoint: Endpoint = request.getfixturevalue(server)
    put(endpoint, bucket_name, {f"p/{name}": data for name, data in FILES.items()}, sha256=sha256)
    put(endpoint, bucket_name, {"q": b"beside the prefix"})
    with Relay(endpoint.url) as relay:
        annex.init_s3x(endpoint.at(relay.url), bucket_name, "importtree=yes", "fileprefix=p/")
        before = relay.bytes_down
        import_tree(annex)
        got = relay.bytes_down - before
        assert {method for method, _ in relay.requests} <= {"GET", "HEAD"}

    is_told = sha256 or endpoint.kind == "seaweedfs"
    assert (got < len(BIG)) == is_told
    backend = "MD5" if endpoint.kind == "seaweedfs" and not sha256 else "SHA256"
    expected = {name: key_by(backend, data) for name, data in FILES.items()}
    assert keys(annex) == {**expected, "empty": key_by("SHA256", b"")}
    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "s3", f"endpoint={endpoint.url}")
    confirm(copy, "s3")
    copy.annex("get", "-J2", ".")
    for name, content in FILES.items():
        assert (copy.path / name).read_bytes() == content, name
    copy.annex("fsck", "--fast", "--from", "s3", ".")


def test_what_was_added_changed_and_removed_is_taken_over(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str
) -> None:
    put(any_endpoint, bucket_name, {"same": BIG, "changes": b"old", "goes": b"gone"})
    with Relay(any_endpoint.url) as relay:
        annex.init_s3x(any_endpoint.at(relay.url), bucket_name, "importtree=yes")
        import_tree(annex)
        put(any_endpoint, bucket_name, {"changes": b"new", "comes": b"new too"})
        boto3_client(any_endpoint).delete_object(Bucket=bucket_name, Key="goes")
        before = len(relay.requests)

        import_tree(annex)

        asked = {path.split("/")[-1] for method, path in relay.requests[before:] if method == "HEAD"}
        annex.annex("get", ".")
    assert asked == {"changes", "comes"}
    names = {path.name for path in annex.path.iterdir()} - {".git"}
    assert names == {"same", "changes", "comes"}
    assert (annex.path / "changes").read_bytes() == b"new"


@pytest.mark.parametrize(
    "server",
    ["rclone", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("seaweed", "moto"))],
)
def test_an_object_that_was_replaced_since_is_refused_and_not_believed_to_be_there(
    annex: AnnexRepo, request: pytest.FixtureRequest, bucket_name: str, tmp_path: Path, server: str
) -> None:
    """rclone ignores If-Match. Of the same size, and in another clone, which has not listed the bucket itself."""
    endpoint: Endpoint = request.getfixturevalue(server)
    put(endpoint, bucket_name, {"f": b"old"})
    annex.init_s3x(endpoint, bucket_name, "importtree=yes")
    import_tree(annex)
    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "s3")
    confirm(copy, "s3")
    put(endpoint, bucket_name, {"f": b"new"})

    done = copy.annex("get", "f", check=False)
    fsck = copy.annex("fsck", "--fast", "--from", "s3", "f", check=False)

    assert done.returncode != 0
    assert "not in the bucket any more as it was when it was imported" in done.stdout + done.stderr
    assert fsck.returncode != 0
    assert copy.annex("find", "--not", "--in=s3", "f").stdout.strip() == "f"


NO_FILES = ("d/", ".git/config", "x/.GIT/hooks/post-merge", "a//b", "a/../../up", "git~1/config")


@pytest.mark.parametrize(
    "server",
    ["moto", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("seaweed", "rclone"))],
)
def test_names_that_cannot_be_files_are_left_out_and_told(
    annex: AnnexRepo, request: pytest.FixtureRequest, bucket_name: str, server: str
) -> None:
    """moto takes every name; the others keep objects as files: a//b as a/b, d/ as d."""
    endpoint: Endpoint = request.getfixturevalue(server)
    fine = ("folder/below", " blank ", "..fine", "-o")
    names = (*NO_FILES, *(() if server == "rclone" else ("n" * 300,)), "folder", *fine)
    for name in names:
        with contextlib.nullcontext() if server == "moto" else contextlib.suppress(ClientError):
            put(endpoint, bucket_name, {f"p/{name}": b"x"})
    annex.init_s3x(endpoint, bucket_name, "importtree=yes", "fileprefix=p/")

    said = import_tree(annex)

    there = {name.removeprefix("p/") for name in object_names(endpoint, bucket_name)}
    made_of_others = {"seaweed": {"a/b"}, "rclone": {"d", "folder"}}.get(server, set())
    assert set(keys(annex)) == there & {*fine, *made_of_others}
    assert (annex.path / ".git" / "config").read_text().startswith("[")
    if server != "moto":
        return
    assert there >= set(fine)
    for reason in (
        "marker of a folder",
        "means .git",
        "is empty, . or ..",
        "too long",
        "as in a folder",
    ):
        assert reason in said, said


def test_filters_hold_while_listing(annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str) -> None:
    names = ("sub-1/a.nii", "sub-1/a.bak", "sub-2/a.nii", "other/x.nii", "README")
    put(any_endpoint, bucket_name, dict.fromkeys(names, b"x"))
    with Relay(any_endpoint.url) as relay:
        filters = ("include=sub-*.nii;README", "exclude=*-2/*")
        annex.init_s3x(any_endpoint.at(relay.url), bucket_name, "importtree=yes", *filters)
        import_tree(annex)

        lists = [path for _, path in relay.requests if "max-keys=1000" in path]
    assert set(keys(annex)) == {"sub-1/a.nii", "README"}
    assert [path.split("prefix=")[1].split("&")[0] for path in lists] == ["README", "sub-"]


def test_what_has_no_checksum_can_be_left_out(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str
) -> None:
    """SeaweedFS has an MD5 of what came in one piece, and none of what came in parts."""
    put(any_endpoint, bucket_name, {"plain": b"x", "big": BIG})
    put(any_endpoint, bucket_name, {"told": b"y"}, sha256=True)
    put_in_parts(any_endpoint, bucket_name, "parts", b"z")
    annex.init_s3x(any_endpoint, bucket_name, "importtree=yes", "unhashed=skip")

    said = import_tree(annex)

    has_md5 = any_endpoint.kind == "seaweedfs"
    assert set(keys(annex)) == ({"told", "plain", "big"} if has_md5 else {"told"})
    count = "1 object was" if has_md5 else "3 objects were"
    assert f"{count} left out (no checksum is told of it)" in said


def test_one_bucket_is_exported_to_and_imported_from(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str
) -> None:
    """One UUID with two configurations; somebody else's file comes back by the import."""
    mine = annex.add("mine", b"mine")
    annex.init_s3x(any_endpoint, bucket_name, "exporttree=yes", name="out")
    annex.init_s3x(any_endpoint, bucket_name, "importtree=yes", "--sameas=out", name="in")
    annex.annex("export", "main", "--to", "out")
    put(any_endpoint, bucket_name, {"theirs": b"theirs"})

    import_tree(annex, name="in")
    assert keys(annex)["mine"] == mine  # its content came back as what it was
    annex.annex("get", "theirs")
    annex.run("git", "mv", "theirs", "ours")
    annex.run("git", "commit", "-q", "-m", "moved")
    annex.annex("export", "main", "--to", "out")

    objects = boto3_client(any_endpoint).list_objects_v2(Bucket=bucket_name)["Contents"]
    assert {"mine", "ours"} <= {found["Key"] for found in objects}
    assert (annex.path / "ours").read_bytes() == b"theirs"


@pytest.mark.parametrize("server", ["moto", pytest.param("seaweed", marks=pytest.mark.thorough)])
def test_version_ids_tell_contents_apart_and_fetch_what_was_imported(
    annex: AnnexRepo, request: pytest.FixtureRequest, bucket_name: str, tmp_path: Path, server: str
) -> None:
    endpoint: Endpoint = request.getfixturevalue(server)
    client = boto3_client(endpoint)
    client.create_bucket(Bucket=bucket_name)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    put(endpoint, bucket_name, {"f": b"old", "gone": b"x"})
    client.delete_object(Bucket=bucket_name, Key="gone")
    annex.init_s3x(endpoint, bucket_name, "importtree=yes", "bucketversioning=yes")
    import_tree(annex)
    put(endpoint, bucket_name, {"f": b"new"})
    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "s3")
    confirm(copy, "s3")

    copy.annex("get", ".")

    assert set(keys(copy)) == {"f"}
    assert (copy.path / "f").read_bytes() == b"old"
    copy.annex("fsck", "--fast", "--from", "s3", ".")


def test_a_server_without_versions_says_so_at_the_import(
    annex: AnnexRepo, rclone: Endpoint, bucket_name: str
) -> None:
    put(rclone, bucket_name, {"f": b"x"})

    annex.init_s3x(rclone, bucket_name, "importtree=yes", "bucketversioning=yes")

    done = annex.annex("import", "main", "--from", "s3", "--no-content", check=False)

    assert done.returncode != 0
    assert "cannot list the versions in bucket" in done.stderr
    assert "this service cannot do it" in done.stderr


def test_a_bucket_that_is_not_there_is_not_made_for_an_import(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str
) -> None:
    done = annex.init_s3x(any_endpoint, bucket_name, "importtree=yes", check=False)

    assert done.returncode != 0
    assert f"there is no bucket '{bucket_name}'" in done.stderr
    names = [found["Name"] for found in boto3_client(any_endpoint).list_buckets()["Buckets"]]
    assert bucket_name not in names


# -- message by message ---------------------------------------------------------------------------


def talk(endpoint: Endpoint, bucket: str, folder: Path) -> FakeAnnex:
    config = {"provider": "seaweedfs", "endpoint": endpoint.url, "bucket": bucket, "importtree": "yes"}
    env = {
        "AWS_ACCESS_KEY_ID": endpoint.access_key_id,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_access_key,
    }
    return FakeAnnex(config, cwd=folder, env=env)


def test_each_import_message_is_answered(seaweed: Endpoint, bucket_name: str, tmp_path: Path) -> None:
    put(seaweed, bucket_name, {"f": b"abc"})
    key = key_by("MD5", b"abc")
    named = hashlib.sha256(b"f").hexdigest()[:32]
    cid = f"etag={hashlib.md5(b'abc').hexdigest()} size=3 name={named}"
    with talk(seaweed, bucket_name, tmp_path).start("INFO IMPORTKEY") as annex:
        assert annex.ask("IMPORTSUPPORTED") == "IMPORTSUPPORTED-SUCCESS"
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
        for request in (f"IMPORTKEY 3 {cid}", "RETRIEVEIMPORT f", f"CHECKPRESENTIMPORT {key}"):
            assert annex.ask(request) == "UNSUPPORTED-REQUEST"  # no IMPORT before it
        assert annex.ask("LISTIMPORTABLECONTENTS") == "IMPORTABLECONTENT 3 f"
        annex.expect(f"IMPORTABLECONTENTIDENTIFIER {cid}")
        annex.expect("LISTIMPORTABLECONTENTS-SUCCESS")
        for request, answer in (
            (f"IMPORTKEY 3 {cid}", f"IMPORTKEY-SUCCESS {key}"),
            ("IMPORTKEY x y", "UNSUPPORTED-REQUEST"),
            (f"CHECKPRESENTIMPORT {key}", f"CHECKPRESENT-SUCCESS {key}"),
            (f"RETRIEVEIMPORT {tmp_path / 'got'}", "RETRIEVEIMPORT-SUCCESS"),
        ):
            annex.send("IMPORT f")
            assert annex.ask(request) == answer
        annex.send("IMPORT f")
        assert annex.ask(f"IMPORTKEY 4 {cid}").startswith("IMPORTKEY-FAILURE f is not in the bucket")
        annex.send("IMPORT g")
        assert annex.ask(f"CHECKPRESENTIMPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
        annex.send("IMPORT g")
        assert annex.ask(f"RETRIEVEIMPORT {tmp_path / 'no'}").startswith("RETRIEVEIMPORT-FAILURE there")
    assert (tmp_path / "got").read_bytes() == b"abc"


def test_a_list_that_cannot_be_had_is_a_failure_not_an_empty_one(
    seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    with talk(seaweed, bucket_name, tmp_path).start("INFO IMPORTKEY") as annex:
        answer = annex.ask("LISTIMPORTABLECONTENTS")

    assert answer.startswith("LISTIMPORTABLECONTENTS-FAILURE ")
    assert "there is no bucket" in answer
