"""copy, get, drop, fsck and move with real git-annex; content is compared in a clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.units import KIB, MIB
from tests.e2e.helpers import (
    add_all,
    clone_of,
    copies,
    is_here,
    log_starts,
    object_bytes,
    object_names,
    pattern,
)
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

PART = 5 * MIB
SIZES = (0, 1, 4096, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1)
NAMES = (
    "with some  spaces ",
    "Unicode ünïcödé 脳 🧠.tär",
    "quotes ' and \".txt",
    "-leading dash",
    "--",
    "line\nbreak.dat",
    "back\\slash $HOME `id` *?[a].b+c&d=e%20f#g;h",
    "a folder/with one\tmore/name",
)


def assert_content(repo: AnnexRepo, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = repo.path / name
        assert path.is_file(), name
        assert path.read_bytes() == content, name


@pytest.mark.parametrize("jobs", [pytest.param("-J1", marks=pytest.mark.thorough), "-J8"])
def test_content_of_every_size_goes_round(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path, jobs: str
) -> None:
    files = {f"{size} bytes": pattern(size, seed=size) for size in SIZES}
    annex.init_s3x(endpoint, bucket_name, "partsize=5MiB")
    add_all(annex, files)

    annex.annex("copy", jobs, "--to", "s3", ".")
    annex.annex("fsck", jobs, "--from", "s3", ".")
    clone = clone_of(annex, tmp_path / "clone")
    clone.annex("get", jobs, ".")
    assert_content(clone, files)
    clone.annex("fsck", jobs, ".")

    annex.annex("drop", jobs, ".")  # proves that CHECKPRESENT says yes
    assert not is_here(annex, "1 bytes")
    annex.annex("get", jobs, "--from", "s3", ".")
    assert_content(annex, files)


@pytest.mark.parametrize("jobs", [pytest.param("-J1", marks=pytest.mark.thorough), "-J8"])
def test_move_takes_content_away_from_where_it_was(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, jobs: str
) -> None:
    files = {f"{size} bytes": pattern(size, seed=size) for size in (0, 1, 100 * KIB, PART + 1)}
    annex.init_s3x(seaweed, bucket_name, "partsize=5MiB")
    add_all(annex, files)

    annex.annex("move", jobs, "--to", "s3", ".")
    assert annex.annex("find", "--in=here").stdout == ""
    assert len(object_names(seaweed, bucket_name)) == len(files) + 1

    annex.annex("move", jobs, "--from", "s3", ".")
    assert_content(annex, files)
    assert object_names(seaweed, bucket_name) == {"annex-uuid"}
    assert annex.uuid("s3") not in copies(annex, "1 bytes")


def test_drop_from_the_store_removes_the_object_and_can_be_repeated(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(seaweed, bucket_name)
    key = annex.add("a", b"content")
    annex.annex("copy", "--to", "s3", "a")
    assert object_bytes(seaweed, bucket_name, key) == b"content"

    annex.annex("drop", "--from", "s3", "a")
    assert object_names(seaweed, bucket_name) == {"annex-uuid"}
    annex.annex("dropkey", "--from", "s3", "--force", key, check=False)
    annex.annex("drop", "--from", "s3", "a")
    assert is_here(annex, "a")


def test_fsck_finds_an_object_that_went_missing(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(seaweed, bucket_name)
    key = annex.add("a", b"content")
    annex.annex("copy", "--to", "s3", "a")
    assert annex.uuid("s3") in copies(annex, "a")
    boto3_client(seaweed).delete_object(Bucket=bucket_name, Key=key)

    assert annex.annex("fsck", "--fast", "--from", "s3", "a", check=False).returncode != 0

    assert annex.uuid("s3") not in copies(annex, "a")


def test_fsck_finds_damaged_content_of_the_right_size(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(seaweed, bucket_name)
    key = annex.add("a", b"content")
    annex.annex("copy", "--to", "s3", "a")
    boto3_client(seaweed).put_object(Bucket=bucket_name, Key=key, Body=b"kontent")

    assert annex.annex("fsck", "--from", "s3", "a", check=False).returncode != 0

    assert annex.uuid("s3") not in copies(annex, "a")


def test_strange_names_and_extensions_go_round(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    files = {name: f"content of {name}".encode() for name in NAMES}
    annex.init_s3x(endpoint, bucket_name, "fileprefix=study 1+2/ünï/")
    add_all(annex, files)

    annex.annex("copy", "-J4", "--to", "s3", ".")
    clone = clone_of(annex, tmp_path / "clone")
    clone.annex("get", "-J4", ".")

    assert_content(clone, files)
    clone.annex("fsck", "-J4", "--from", "s3", ".")


def test_keys_made_of_file_names_go_round(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    # no blanks: git-annex gives no key with blanks to external remotes
    names = ("it's_100%.dat", "a+b&c=d#e?f.dat", "ünï:cöde;脳.dat", "..%2Fup", "~tilde")
    files = {name: f"content of {name}".encode() for name in names}
    annex.init_s3x(endpoint, bucket_name)
    annex.run("git", "config", "annex.backend", "WORM")
    add_all(annex, files)
    annex.annex("copy", "--to", "s3", ".")

    clone = clone_of(annex, tmp_path / "clone")
    clone.run("git", "config", "annex.security.allow-unverified-downloads", "ACKTHPPT")
    clone.annex("get", ".")

    assert_content(clone, files)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(("encryption=shared",), marks=pytest.mark.thorough, id="encrypted"),
        pytest.param(("chunk=1MiB",), marks=pytest.mark.thorough, id="chunked"),
        pytest.param(("encryption=shared", "chunk=1MiB"), id="both"),
    ],
)
def test_encrypted_and_chunked_content_goes_round(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path, parameters: tuple[str, ...]
) -> None:
    assert_goes_round(annex, seaweed, bucket_name, tmp_path, parameters)


@pytest.mark.thorough
@pytest.mark.parametrize("server", ["rclone", "moto"])
def test_encrypted_chunks_go_round_on_other_servers(
    annex: AnnexRepo,
    bucket_name: str,
    tmp_path: Path,
    server: str,
    request: pytest.FixtureRequest,
) -> None:
    endpoint = request.getfixturevalue(server)
    assert_goes_round(annex, endpoint, bucket_name, tmp_path, ("encryption=shared", "chunk=1MiB"))


def assert_goes_round(
    annex: AnnexRepo, endpoint: Endpoint, bucket: str, folder: Path, parameters: tuple[str, ...]
) -> None:
    """Store files through a remote with `parameters`, and read them in a clone."""
    files = {f"{size} bytes": pattern(size, seed=size) for size in (0, 1, MIB, 3 * MIB + 1, 7 * MIB)}
    annex.init_s3x(endpoint, bucket, *parameters)
    add_all(annex, files)

    annex.annex("copy", "-J4", "--to", "s3", ".")
    clone = clone_of(annex, folder / "clone")
    clone.annex("get", "-J4", ".")

    assert_content(clone, files)
    clone.annex("fsck", "-J4", "--from", "s3", ".")
    clone.annex("drop", ".")
    if "encryption=shared" in parameters:
        assert not any(name.startswith("SHA256E") for name in object_names(endpoint, bucket))


@pytest.mark.slow
def test_300_mib_go_round(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    content = pattern(300 * MIB)
    annex.init_s3x(seaweed, bucket_name)
    key = annex.add("large", content)

    annex.annex("copy", "--to", "s3", "large")
    clone = clone_of(annex, tmp_path / "clone")
    clone.annex("get", "large")

    assert (clone.path / "large").read_bytes() == content
    assert object_names(seaweed, bucket_name) == {"annex-uuid", key}


@pytest.mark.parametrize("command", ["copy", "get", "fsck"])
def test_eight_jobs_share_one_process(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path, command: str
) -> None:
    annex.init_s3x(seaweed, bucket_name)
    add_all(annex, {f"file {number}": pattern(50 * KIB, seed=number) for number in range(24)})
    if command != "copy":
        annex.annex("copy", "-J8", "--to", "s3", ".")
    if command == "get":
        annex.annex("drop", "-J8", ".")
    log = log_starts(annex, tmp_path / "bin")

    annex.annex(command, "-J8", "--to" if command == "copy" else "--from", "s3", ".")

    assert log.read_text() == "started \n"
    assert len(object_names(seaweed, bucket_name)) == 25
