"""Content that lies where few look: old versions, objects beside an exported tree, archives."""

from __future__ import annotations

import pytest

from datalad_s3ext.fs import processwide
from datalad_s3ext.fs.faults import ContentUnavailable
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.server, pytest.mark.annex]


def commit(repo: AnnexRepo, content: bytes, name: str = "file.dat") -> None:
    (repo.path / name).unlink(missing_ok=True)
    (repo.path / name).write_bytes(content)
    repo.annex("add", name)
    repo.run("git", "commit", "-q", "-m", "more")


@pytest.mark.parametrize("kind", ["s3x", pytest.param("built-in", marks=pytest.mark.thorough)])
def test_old_versions_of_an_exported_tree(
    request: pytest.FixtureRequest, annex: AnnexRepo, bucket_name: str, kind: str
) -> None:
    server: Endpoint = request.getfixturevalue("seaweed" if kind == "s3x" else "moto")
    asked = ("exporttree=yes", "bucketversioning=yes", "fileprefix=p/")
    commit(annex, b"old content")
    annex.run("git", "tag", "v1")
    if kind == "s3x":
        annex.init_s3x(server, bucket_name, *asked)
    else:
        annex.init_builtin(server, bucket_name, "exporttree=yes", "versioning=yes", name="s3")
        annex.run("git", "config", f"s3x.{annex.uuid('s3')}.endpoint", server.url)
    annex.annex("export", "main", "--to", "s3")
    commit(annex, b"new content")
    annex.annex("export", "main", "--to", "s3")
    if kind == "s3x":
        annex.init_s3x(server, bucket_name, "bucketversioning=yes", "fileprefix=p/", name="old")
        annex.annex("fsck", "--fast", "--from", "old", "--all")
    annex.annex("drop", "--force", "--all")

    assert AnnexFileSystem(str(annex.path), "v1").cat_file("file.dat", 0, 3) == b"old"
    assert AnnexFileSystem(str(annex.path)).cat_file("file.dat") == b"new content"


def test_objects_beside_an_exported_tree(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> None:
    commit(annex, b"not in the tree", "other.dat")
    annex.run("git", "tag", "v1")
    annex.init_s3x(seaweed, bucket_name, "exporttree=yes", "annexobjects=yes", "fileprefix=p/")
    annex.run("git", "rm", "-q", "other.dat")
    commit(annex, b"in the tree")
    annex.annex("export", "main", "--to", "s3")
    annex.annex("copy", "--all", "--to", "s3")
    annex.annex("drop", "--force", "--all")

    assert AnnexFileSystem(str(annex.path), "v1").cat_file("other.dat", 4, 6) == b"in"
    assert AnnexFileSystem(str(annex.path)).cat_file("file.dat") == b"in the tree"


@pytest.mark.thorough
def test_an_archived_object_is_told(annex: AnnexRepo, moto: Endpoint, bucket_name: str) -> None:
    annex.init_s3x(moto, bucket_name, "storageclass=GLACIER")
    commit(annex, b"content in an archive")
    annex.annex("move", "--all", "--to", "s3")

    with pytest.raises(ContentUnavailable, match=r"archive.*s3-restore"):
        AnnexFileSystem(str(annex.path)).cat_file("file.dat", 0, 3)


@pytest.mark.parametrize("versioned", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_an_imported_object_that_was_replaced_by_one_of_equal_size(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, versioned: bool
) -> None:
    client = boto3_client(seaweed)
    client.create_bucket(Bucket=bucket_name)
    if versioned:
        client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket_name, Key="p/file.dat", Body=b"imported")
    how = ["importtree=yes", "fileprefix=p/", *(["bucketversioning=yes"] if versioned else [])]
    annex.init_s3x(seaweed, bucket_name, *how)
    annex.annex("import", "main", "--from", "s3", "--no-content")
    annex.annex("merge", "--allow-unrelated-histories", "s3/main")
    fs = AnnexFileSystem(str(annex.path))
    assert fs.cat_file("file.dat", 0, 3) == b"imp"
    client.put_object(Bucket=bucket_name, Key="p/file.dat", Body=b"foreign!")
    processwide._reset_all()  # as if another process began, without what this one knows of the object

    if versioned:
        assert AnnexFileSystem(str(annex.path), cache_disk=0).cat_file("file.dat", 2, 5) == b"por"
    else:
        with pytest.raises(ContentUnavailable, match=r"file\.dat cannot be read: s3: .*replaced"):
            AnnexFileSystem(str(annex.path), cache_disk=0).cat_file("file.dat", 2, 5)
