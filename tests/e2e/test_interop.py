"""Buckets of git-annex's built-in type=S3 and ours are the same thing: each reads the other's."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import object_bytes, object_names, pattern
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

FILES = {
    "empty": b"",
    "one": b"1",
    "some text.txt": b"text\n" * 100,
    "ünïcödé.tär": b"a Unicode extension becomes part of the key",
    "large.bin": pattern(12 * MIB),
}


def add_files(repo: AnnexRepo) -> set[str]:
    """Add the files above; return their keys."""
    for name, content in FILES.items():
        (repo.path / name).write_bytes(content)
    repo.annex("add", ".")
    repo.run("git", "commit", "-q", "-m", "files")
    return set(repo.annex("find", "--format=${key}\\n", "--anything").stdout.split())


def init_pair(repo: AnnexRepo, seaweed: Endpoint, bucket: str, first: str, *common: str) -> None:
    """Set up remote `first`, and then the other kind as another way to the same place."""
    if first == "builtin":
        repo.init_builtin(seaweed, bucket, *common, name="builtin")
        repo.init_s3x(seaweed, bucket, "--sameas=builtin", *common, name="s3x")
    else:
        repo.init_s3x(seaweed, bucket, *common, name="s3x")
        repo.init_builtin(seaweed, bucket, "--sameas=s3x", *common, name="builtin")


def assert_all_here(repo: AnnexRepo) -> None:
    for name, content in FILES.items():
        assert (repo.path / name).read_bytes() == content, name


@pytest.mark.parametrize("common", [(), ("fileprefix=a b/ü/",), ("partsize=6MiB",)])
@pytest.mark.parametrize(("first", "second"), [("builtin", "s3x"), ("s3x", "builtin")])
def test_what_one_has_stored_the_other_reads(
    annex: AnnexRepo,
    seaweed: Endpoint,
    bucket_name: str,
    first: str,
    second: str,
    common: tuple[str, ...],
) -> None:
    keys = add_files(annex)
    init_pair(annex, seaweed, bucket_name, first, *common)

    annex.annex("copy", "--to", first, ".")
    prefix = "a b/ü/" if "fileprefix" in "".join(common) else ""
    expected = {prefix + name for name in keys | {"annex-uuid"}}
    assert object_names(seaweed, bucket_name) == expected

    annex.annex("fsck", "--fast", "--from", second, ".")
    # a remote that cannot be reached by the name of its writer: only `second` can say it is there
    annex.run("git", "config", f"remote.{first}.annex-ignore", "true")
    annex.annex("drop", ".")
    annex.annex("get", "--from", second, ".")
    assert_all_here(annex)
    annex.annex("fsck", ".")


def test_both_give_objects_the_same_names(tmp_path: Path, seaweed: Endpoint, bucket_name: str) -> None:
    repo = AnnexRepo.create(tmp_path / "repo")
    keys = add_files(repo)
    repo.run("git", "config", "annex.backend", "WORM")
    keys.add(repo.add("odd_it's_100%_a+b&c=d#e?f;ü.dat", b"odd"))
    repo.init_s3x(seaweed, f"{bucket_name}-a", "fileprefix=x/y", name="s3x")
    repo.init_builtin(seaweed, f"{bucket_name}-b", "fileprefix=x/y", name="builtin")

    repo.annex("copy", "--to", "s3x", ".")
    repo.annex("copy", "--to", "builtin", ".")

    ours = object_names(seaweed, f"{bucket_name}-a")
    assert ours == object_names(seaweed, f"{bucket_name}-b")
    assert len(ours) == len(FILES) + 2


@pytest.mark.parametrize("first", ["builtin", "s3x"])
def test_the_marker_of_one_is_accepted_by_the_other(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, first: str
) -> None:
    init_pair(annex, seaweed, bucket_name, first)

    assert annex.uuid("s3x") == annex.uuid("builtin")
    marker = object_bytes(seaweed, bucket_name, "annex-uuid")
    assert marker is not None
    assert marker.decode().strip() == annex.uuid("s3x")


def test_the_marker_of_a_stranger_is_refused_by_ours(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.init_builtin(seaweed, bucket_name, name="builtin")

    done = annex.init_s3x(seaweed, bucket_name, name="s3x", check=False)

    assert done.returncode != 0
    assert annex.uuid("builtin") in done.stderr
    assert "fileprefix=" in done.stderr
    assert annex.run("git", "config", "remote.s3x.annex-uuid", check=False).returncode != 0


def test_the_marker_of_ours_is_refused_by_built_in(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(seaweed, bucket_name, name="s3x")

    with pytest.raises(AssertionError, match="used by a different special remote"):
        annex.init_builtin(seaweed, bucket_name, name="builtin")


@pytest.mark.parametrize(
    ("first", "second"),
    [("builtin", "s3x"), pytest.param("s3x", "builtin", marks=pytest.mark.thorough)],
)
def test_encrypted_content_of_one_is_read_by_the_other(
    annex: AnnexRepo,
    seaweed: Endpoint,
    bucket_name: str,
    first: str,
    second: str,
) -> None:
    add_files(annex)
    init_pair(annex, seaweed, bucket_name, first, "encryption=shared", "chunk=1MiB")
    annex.annex("copy", "--to", first, ".")
    annex.run("git", "config", f"remote.{first}.annex-ignore", "true")

    annex.annex("drop", ".")
    annex.annex("get", "--from", second, ".")

    assert_all_here(annex)
