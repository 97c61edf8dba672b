"""s3x verifies instead of git-annex: whatever is in the bucket or on the way, nothing wrong gets in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import add_all, copies, failure, is_here, pattern, reasons, report
from tests.integration.commands.helpers import enable
from tests.support import faults
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

SMALL = pattern(300_000)
LARGE = pattern(18 * MIB, seed=1)
WITHOUT_VERIFYING = ("git", "-c", "remote.s3.s3x-verify=false", "annex")
OFTEN = 20


def is_get(request: faults.Request) -> bool:
    """Match the reading of content."""
    return request.method == "GET" and "/SHA256E-" in request.path


class Store:
    """A remote behind a relay, whose content is not in the repository, and that s3x verifies."""

    def __init__(self, repo: AnnexRepo, endpoint: Endpoint, bucket: str, relay: Relay) -> None:
        self.repo, self.endpoint, self.bucket, self.relay = repo, endpoint, bucket, relay
        repo.init_s3x(endpoint.at(relay.url), bucket)
        self.verify_by("s3x")

    def verify_by(self, who: str) -> None:
        (record,) = enable(self.repo, name="s3", verify_by=who)
        assert (record["status"], record["verify_by"]) == ("ok", who), record

    def fill(self, files: dict[str, bytes]) -> dict[str, str]:
        keys = add_all(self.repo, files)
        self.repo.annex("copy", "--to", "s3", ".")
        self.repo.annex("drop", ".")
        return keys

    def put(self, key: str, content: bytes) -> None:
        boto3_client(self.endpoint).put_object(Bucket=self.bucket, Key=key, Body=content)

    def add_key(self, name: str, key: str) -> None:
        """Make a file of a key that somebody else made, with content in the bucket only."""
        self.repo.annex("fromkey", "--force", key, name)
        self.repo.annex("setpresentkey", key, self.repo.uuid("s3"), "1")

    def left_behind(self) -> bytes:
        """Return what partial downloads are kept to go on with."""
        folder = self.repo.path / ".git" / "annex" / "tmp"
        return b"".join(file.read_bytes() for file in folder.glob("*"))

    def assert_arrives(self, name: str, content: bytes) -> None:
        self.repo.annex("get", name)
        assert (self.repo.path / name).read_bytes() == content


@pytest.fixture
def store(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> Iterator[Store]:
    with Relay(seaweed.url) as relay:
        yield Store(annex, seaweed, bucket_name, relay)


@pytest.mark.parametrize(
    ("command", "content"),
    [("get", LARGE), ("copy", SMALL), ("move", SMALL)],
    ids=["get-large", "copy-small", "move-small"],
)
def test_a_byte_flipped_on_the_way_never_gets_in(store: Store, command: str, content: bytes) -> None:
    store.fill({"file": content})
    for _ in range(OFTEN):
        store.relay.flip_byte_down(is_get, offset=100_000)

    assert "not the content" in failure(store.repo, command, "--from", "s3", "file")

    assert not is_here(store.repo, "file")
    assert store.left_behind() == b""
    assert store.repo.uuid("s3") in copies(store.repo, "file")
    store.relay.heal()
    store.assert_arrives("file", content)


def test_a_byte_flipped_in_the_bucket_never_gets_in(store: Store) -> None:
    keys = store.fill({"file": SMALL, "other": SMALL[1:]})
    damaged = bytes([SMALL[0] ^ 1]) + SMALL[1:]
    store.put(keys["file"], damaged)
    store.put(keys["other"], damaged[:-1])

    assert "not the content" in failure(store.repo, "get", "file")

    assert not is_here(store.repo, "file")
    # git-annex's own two settings would let it in: s3x's switch is what keeps it out
    store.repo.run(*WITHOUT_VERIFYING, "get", "other")
    assert is_here(store.repo, "other")


def test_a_truncated_object_never_gets_in(store: Store) -> None:
    key = store.fill({"file": SMALL})["file"]
    store.put(key, SMALL[:-1])

    assert f"{len(SMALL) - 1} bytes" in failure(store.repo, "get", "file")

    assert not is_here(store.repo, "file")


def test_nor_does_one_whose_key_tells_no_size(store: Store) -> None:
    key = f"SHA256--{hashlib.sha256(SMALL).hexdigest()}"
    store.add_key("file", key)

    for stored in (SMALL[:-1], b"", SMALL + b"\n"):
        store.put(key, stored)
        assert "not the content" in failure(store.repo, "get", "file")
        assert not is_here(store.repo, "file")

    store.put(key, SMALL)
    store.assert_arrives("file", SMALL)


def test_content_of_a_key_that_cannot_be_verified_never_gets_in(store: Store) -> None:
    good = hashlib.sha256(b"content").hexdigest()
    keys = [
        "URL--http&c%%example.org%file",
        "URL-s7--http&c%%example.org%file",
        "VURL-s7--http&c%%example.org%file",
        "WORM-s7-m1700000000--file",
        "XOWN-s7--file",
        f"SHA256-s7--{good}.txt",
        f"SKEIN256-s7--{good}",
        "GITMANIFEST--00000000-0000-4000-8000-000000000000",
        f"GITMANIFEST--{store.repo.uuid('s3')}",
    ]
    for number, key in enumerate(keys):
        store.put(key, b"content")
        store.add_key(f"file{number}", key)
    requests = len(store.relay.requests)

    code, records = report(store.repo, "get", ".")

    assert code != 0
    assert {str(record["key"]) for record in records} == set(keys)
    for record in records:
        text = " ".join(reasons(record))
        assert f"cannot verify {record['key']}" in text
        assert "--verify-by git-annex" in text
        assert not is_here(store.repo, str(record["file"]))
    assert len(store.relay.requests) == requests


def test_what_s3x_cannot_verify_git_annex_can_again(store: Store) -> None:
    store.repo.run("git", "config", "annex.backend", "SKEIN256")
    key = store.fill({"file": SMALL})["file"]
    assert f"cannot verify {key}" in failure(store.repo, "get", "file")

    store.verify_by("git-annex")
    store.assert_arrives("file", SMALL)

    store.repo.annex("drop", "file")
    store.put(key, SMALL[:-1] + b"?")
    assert report(store.repo, "get", "file")[0] != 0
    assert not is_here(store.repo, "file")


def test_every_kind_of_key_that_is_taken_is_verified(store: Store) -> None:
    for number, backend in enumerate(("SHA512", "SHA3_256E", "BLAKE2B160", "BLAKE2S256E", "MD5E")):
        (store.repo.path / f"file{number}").write_bytes(pattern(1000, seed=number))
        store.repo.annex("add", f"--backend={backend}", f"file{number}")
    keys = store.fill({})
    store.repo.annex("get", ".")
    store.repo.annex("drop", ".")
    for key in keys.values():
        store.put(key, b"?" * 1000)

    code, records = report(store.repo, "get", ".")

    assert code != 0
    assert {str(record["file"]) for record in records} == set(keys)
    for record in records:
        assert "not the content" in " ".join(reasons(record))
        assert not is_here(store.repo, str(record["file"]))


def test_an_interrupted_download_goes_on_and_is_verified_as_a_whole(store: Store) -> None:
    key = store.fill({"file": SMALL})["file"]
    begun = store.repo.path / ".git" / "annex" / "tmp" / key
    begun.parent.mkdir(exist_ok=True)
    begun.write_bytes(SMALL[:200_000])
    before = store.relay.bytes_down

    store.assert_arrives("file", SMALL)

    assert store.relay.bytes_down - before < 110_000


def test_a_damaged_beginning_never_gets_in(store: Store) -> None:
    key = store.fill({"file": SMALL})["file"]
    begun = store.repo.path / ".git" / "annex" / "tmp" / key
    begun.parent.mkdir(exist_ok=True)
    for size in (200_000, len(SMALL)):
        begun.write_bytes(b"?" + SMALL[1:size])

        store.repo.annex("get", "file", check=False)

        if is_here(store.repo, "file"):  # git-annex tries again by itself when bytes had moved
            assert (store.repo.path / "file").read_bytes() == SMALL
        store.assert_arrives("file", SMALL)
        store.repo.annex("drop", "file")


def test_many_files_at_once(store: Store) -> None:
    files = {f"file{number}": pattern(5000, seed=number) for number in range(12)}
    keys = store.fill(files)
    store.put(keys["file7"], files["file8"])

    code, records = report(store.repo, "get", "-J4", ".")

    assert code != 0
    assert {str(record["file"]) for record in records if not record["success"]} == {"file7"}
    for name, content in files.items():
        if name != "file7":
            assert (store.repo.path / name).read_bytes() == content


def test_fsck_finds_damage_but_notes_it_only_when_git_annex_may_look(store: Store) -> None:
    key = store.fill({"file": SMALL})["file"]
    store.put(key, SMALL[1:] + b"?")

    assert store.repo.annex("fsck", "--from", "s3", "file", check=False).returncode != 0
    assert store.repo.uuid("s3") in copies(store.repo, "file")

    assert store.repo.run(*WITHOUT_VERIFYING, "fsck", "--from", "s3", check=False).returncode != 0
    assert store.repo.uuid("s3") not in copies(store.repo, "file")


def test_git_history_comes_through_and_a_damaged_bundle_does_not(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(seaweed, bucket_name)
    annex.add("file", b"content")
    (record,) = enable(annex, name="s3", verify_by="s3x")
    assert record["status"] == "ok"
    annex.run("git", "config", "remote.s3.url", "annex::")
    annex.run("git", "config", "remote.s3.fetch", "+refs/heads/*:refs/remotes/s3/*")
    annex.run("git", "push", "s3", "main")
    assert annex.run("git", "ls-remote", "s3", "main").stdout
    annex.run("git", "fetch", "s3")

    client = boto3_client(seaweed)
    listed = client.list_objects_v2(Bucket=bucket_name, Prefix="GITBUNDLE-")["Contents"]
    (bundle,) = [found["Key"] for found in listed]
    good = client.get_object(Bucket=bucket_name, Key=bundle)["Body"].read()
    client.put_object(Bucket=bucket_name, Key=bundle, Body=good[:-1] + bytes([good[-1] ^ 1]))
    for file in (annex.path / ".git" / "annex" / "objects").rglob(bundle):
        if file.is_file():
            file.parent.chmod(0o755)
            file.unlink()

    done = annex.run("git", "fetch", "s3", check=False)

    assert done.returncode != 0
    assert "not the content of GITBUNDLE" in done.stdout + done.stderr
