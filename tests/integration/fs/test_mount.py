"""``datalad s3-mount`` with the real FUSE of this machine; content in a bucket of a real server."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.fs import mounted
from datalad_s3ext.server.process import wait_until
from tests.integration.commands.helpers import QUIET
from tests.integration.fs.scenes import ANNEXED, BIG, FILES
from tests.integration.fs.test_hostile_sizes import claiming
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytest.importorskip("mfusepy", exc_type=(ImportError, OSError))  # type: ignore[arg-type]
pytestmark = [
    pytest.mark.annex,
    pytest.mark.server,
    pytest.mark.skipif(
        shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK),
        reason="this machine has no FUSE: install fuse3, and have /dev/fuse",
    ),
]

Mount = Callable[..., dict[str, Any]]


def umount(folder: Path, **options: Any) -> dict[str, Any]:
    """Run s3-mount --umount and return its record."""
    from datalad_s3ext.commands.s3_mount import S3Mount

    (record,) = S3Mount()(str(folder), umount=True, **{**QUIET, **options})
    found: dict[str, Any] = record
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a mount, ü"


@pytest.fixture
def mount(folder: Path) -> Iterator[Mount]:
    """Return what mounts on `folder`; nothing stays mounted."""
    from datalad_s3ext.commands.s3_mount import S3Mount

    def run(repo: AnnexRepo, **options: Any) -> dict[str, Any]:
        (record,) = S3Mount()(str(folder), dataset=str(repo.path), **{**QUIET, **options})
        found: dict[str, Any] = record
        return found

    yield run
    if mounted.state_of(folder) != "none":
        mounted.unmount(folder, wait_s=5, detach=True)


def ok(record: dict[str, Any]) -> dict[str, Any]:
    assert record["status"] == "ok", record["message"]
    return record


def test_all_files_are_there_and_read_as_they_are(
    mount: Mount, in_bucket: AnnexRepo, folder: Path
) -> None:
    ok(mount(in_bucket, ref="v1"))

    found = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert found == {name: len(content) for name, content in FILES.items()}
    assert (folder / "link.dat").readlink() == Path("data/big.dat")
    for name, content in FILES.items():
        assert (folder / name).read_bytes() == content, name
    assert (folder / "link.dat").read_bytes() == BIG
    with (folder / "data/big.dat").open("rb") as file:
        file.seek(1_000_000)
        assert file.read(1000) == BIG[1_000_000:1_001_000]
    assert ok(umount(folder))["message"] == "unmounted"
    assert umount(folder)["status"] == "notneeded"


def test_nothing_can_be_changed(mount: Mount, in_bucket: AnnexRepo, folder: Path) -> None:
    ok(mount(in_bucket))

    assert stat.S_IMODE((folder / "plain.txt").stat().st_mode) == 0o444
    for change in (
        lambda: (folder / "plain.txt").write_bytes(b"x"),
        lambda: (folder / "new").touch(),
        lambda: (folder / "data").rename(folder / "else"),
        (folder / "plain.txt").unlink,
    ):
        with pytest.raises(OSError) as raised:  # noqa: PT011
            change()
        assert raised.value.errno == errno.EROFS
    with pytest.raises(FileNotFoundError):
        (folder / "nothing").stat()


def test_eight_readers_at_once(mount: Mount, in_bucket: AnnexRepo, folder: Path) -> None:
    ok(mount(in_bucket))

    with ThreadPoolExecutor(8) as readers:
        found = list(readers.map(lambda name: (folder / name).read_bytes(), [*ANNEXED] * 4))

    assert found == [*ANNEXED.values()] * 4


def test_while_it_is_in_use_the_user_is_named(mount: Mount, in_bucket: AnnexRepo, folder: Path) -> None:
    ok(mount(in_bucket))
    with (folder / "data/big.dat").open("rb") as file:
        record = umount(folder, wait=0.2)

        assert record["status"] == "error"
        assert f"(process {os.getpid()})" in record["message"]
        assert file.read(10) == BIG[:10]
        assert ok(umount(folder, force=True))
        assert mounted.state_of(folder) == "none"
        assert file.read(10) == BIG[10:20]


def test_it_comes_off_when_the_last_user_leaves(
    mount: Mount, in_bucket: AnnexRepo, folder: Path
) -> None:
    ok(mount(in_bucket))
    command = [sys.executable, "-c", "input()"]
    with (
        subprocess.Popen(command, cwd=folder / "data", stdin=subprocess.PIPE) as user,
        ThreadPoolExecutor(1) as other,
    ):
        assert umount(folder, wait=0)["status"] == "error"
        coming = other.submit(umount, folder, wait=60)
        user.communicate(b"\n")
        assert ok(coming.result())["message"] == "unmounted"


def test_a_stale_mount_is_taken_off(mount: Mount, in_bucket: AnnexRepo, folder: Path) -> None:
    os.kill(ok(mount(in_bucket))["pid"], signal.SIGKILL)
    assert wait_until(lambda: mounted.state_of(folder) == "stale", 20)

    again = ok(mount(in_bucket))

    assert "stale" in again["message"]
    assert (folder / "plain.txt").read_bytes() == FILES["plain.txt"]
    os.kill(again["pid"], signal.SIGKILL)
    assert wait_until(lambda: mounted.state_of(folder) == "stale", 20)
    assert "stale" in ok(umount(folder))["message"]
    assert list(folder.iterdir()) == []


def test_a_folder_may_be_named_by_a_link(
    mount: Mount, in_bucket: AnnexRepo, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    folder.symlink_to("target")

    pid = ok(mount(in_bucket))["pid"]

    assert mounted.state_of(target) == "ours"
    assert "mounted there already" in mount(in_bucket)["message"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: mounted.state_of(folder) == "stale", 20)
    ok(mount(in_bucket))
    assert (target / "plain.txt").read_bytes() == FILES["plain.txt"]
    assert ok(umount(folder))["message"] == "unmounted"
    assert mounts_on(target) == 0
    assert folder.is_symlink()


MANY = 3000
COUNTING = """
import os, sys
from datalad_s3ext.fs import mount
asked, real = os.open(sys.argv.pop(1), os.O_CREAT | os.O_WRONLY | os.O_APPEND), mount.Commit.getattr
mount.Commit.getattr = lambda *given: os.write(asked, b"!") and real(*given)
sys.exit(mount.main())
"""
"""Serves a mount, and writes one byte for each question about one name."""


def test_a_large_folder_is_listed_with_sizes_without_a_question_for_each_file(
    tmp_path: Path, folder: Path, mount: Mount
) -> None:
    del mount  # which takes the mount off
    repo = AnnexRepo(tmp_path / "repo")
    repo.path.mkdir()
    repo.run("git", "init", "-q")
    for number in range(MANY):
        (repo.path / f"{number}.txt").write_text(str(number))
    repo.run("git", "add", ".")
    repo.run("git", "commit", "-q", "-m", "many")
    commit = repo.run("git", "rev-parse", "HEAD").stdout.strip()
    folder.mkdir()
    asked = {"folder": str(folder), "repo": str(repo.path), "ref": commit, "options": {},
             "foreign_users": False}  # fmt: skip
    command = [sys.executable, "-c", COUNTING, str(tmp_path / "asked"), json.dumps(asked)]
    with subprocess.Popen(command) as program:
        assert wait_until(lambda: mounted.state_of(folder) == "ours", 30)
        found = {name.name: name.stat().st_size for name in os.scandir(folder)}
        ok(umount(folder))
        program.wait(30)

    assert found == {f"{number}.txt": len(str(number)) for number in range(MANY)}
    assert (tmp_path / "asked").stat().st_size < MANY / 10


def mounts_on(folder: Path) -> int:
    """Return how many mounts lie on `folder`, one over the other."""
    wanted = os.fsencode(folder).replace(b" ", b"\\040")
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return sum(line.split(b" ")[4] == wanted for line in lines)


def test_one_data_set_at_two_places(
    mount: Mount, in_bucket: AnnexRepo, folder: Path, tmp_path: Path
) -> None:
    from datalad_s3ext.commands.s3_mount import S3Mount

    other = tmp_path / "other"
    ok(mount(in_bucket))
    (record,) = S3Mount()(str(other), dataset=str(in_bucket.path), ref="v1", **QUIET)
    ok(record)

    with ThreadPoolExecutor(4) as readers:
        names = ["data/big.dat", "unlocked.dat"] * 2
        found = list(readers.map(lambda name: (folder / name).read_bytes(), names))
        again = list(readers.map(lambda name: (other / name).read_bytes(), names))
    assert found == again == [ANNEXED[name] for name in names]
    ok(umount(other))
    assert (folder / "plain.txt").read_bytes() == FILES["plain.txt"]


def test_of_those_who_mount_on_one_folder_at_once_one_succeeds(
    mount: Mount, in_bucket: AnnexRepo, folder: Path
) -> None:
    many = 3
    together = threading.Barrier(many)

    def begin(_: int) -> dict[str, Any]:
        together.wait()
        return mount(in_bucket)

    with ThreadPoolExecutor(many) as starters:
        records = list(starters.map(begin, range(many)))

    assert mounts_on(folder) == 1
    assert sorted(record["status"] for record in records) == ["error", "error", "ok"]
    refused = [record["message"] for record in records if record["status"] == "error"]
    assert all("this command has mounted there already" in message for message in refused), refused
    assert (folder / "plain.txt").read_bytes() == FILES["plain.txt"]


def test_wrong_content_is_not_kept_by_the_kernel(
    mount: Mount, annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, folder: Path
) -> None:
    with Relay(seaweed.url) as relay:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        key = annex.add("file.bin", BIG)
        annex.annex("move", "--to", "s3", "file.bin")
        ok(mount(annex))
        for _ in range(2):
            relay.flip_byte_down(lambda request: key in request.path, offset=1234)
            with pytest.raises(OSError) as raised:  # noqa: PT011
                (folder / "file.bin").read_bytes()
            assert raised.value.errno == errno.EIO

        assert (folder / "file.bin").read_bytes() == BIG
        assert umount(folder)["status"] == "ok"


def test_in_the_foreground_it_stays_until_it_is_unmounted(
    in_bucket: AnnexRepo, folder: Path, mount: Mount
) -> None:
    command = [f"{Path(sys.executable).parent}/datalad", "s3-mount", str(folder), "--foreground"]
    with subprocess.Popen(command, cwd=in_bucket.path, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert "shows commit" in program.stdout.readline()
        assert (folder / "plain.txt").read_bytes() == FILES["plain.txt"]
        assert "mounted there already" in mount(in_bucket)["message"]
        ok(umount(folder))
        assert program.wait(30) == 0


def test_refusals(
    mount: Mount, in_bucket: AnnexRepo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no commit" in mount(in_bucket, ref="nothing")["message"]
    folder.mkdir()
    (folder / "file").touch()
    assert "not empty" in mount(in_bucket)["message"]
    (folder / "file").unlink()
    with monkeypatch.context() as patch:  # the program that is started cannot load the library
        patch.setenv("FUSE_LIBRARY_PATH", str(folder / "nothing.so"))
        record = mount(in_bucket)
    assert record["status"] == "error"
    assert "cannot be loaded" in record["message"]
    assert "\n" not in record["message"]
    assert "Traceback" not in record["message"]
    ok(mount(in_bucket))
    assert "mounted there already" in mount(in_bucket)["message"]


def test_names_do_not_wait_for_readers_of_a_silent_server(
    mount: Mount, annex: AnnexRepo, folder: Path
) -> None:
    many = 14  # libfuse has ten threads if nobody asks for more
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    key = f"SHA256-s{many * 1_000_000}--{'0' * 64}"
    with socket.create_server(("127.0.0.1", 0), backlog=many) as silent:
        silent.settimeout(30)
        annex.annex("registerurl", key, f"http://127.0.0.1:{silent.getsockname()[1]}/file")
        annex.annex("fromkey", "--force", key, "far")
        annex.run("git", "commit", "-q", "-m", "far")
        record = ok(mount(annex))
        command = ["dd", f"if={folder}/far", "of=/dev/null", "bs=1", "count=1"]
        readers = [
            subprocess.Popen([*command, f"skip={number * 900_000}"], stderr=subprocess.DEVNULL)
            for number in range(many)
        ]
        try:
            waiting = [silent.accept() for _ in readers]
            subprocess.run(["stat", "-f", str(folder)], check=True, timeout=30, capture_output=True)
            assert ok(umount(folder, force=True))["message"] == "unmounted"
        finally:
            with suppress(ProcessLookupError):
                os.kill(record["pid"], signal.SIGKILL)  # so that nobody waits for the server's answer
            for reader in readers:
                reader.wait(30)
        for connection, _ in waiting:
            connection.close()


@pytest.mark.thorough
@pytest.mark.parametrize("size", [999_999_999_999_999_999, 100, 0])
def test_a_key_that_lies_about_its_size(
    mount: Mount, seaweed: Endpoint, annex: AnnexRepo, folder: Path, bucket_name: str, size: int
) -> None:
    ok(mount(claiming(annex, seaweed, bucket_name, size)))

    assert (folder / "file").stat().st_size == size
    for start in (0, size // 2):
        with pytest.raises(OSError) as raised:  # noqa: PT011
            _read_at(folder / "file", start)
        assert raised.value.errno == errno.EIO


def _read_at(path: Path, start: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), 1000, start)


def test_a_server_that_goes_away_during_a_read_and_comes_back(
    mount: Mount, seaweed: Endpoint, annex: AnnexRepo, folder: Path, bucket_name: str
) -> None:
    content = BIG * 4
    with Relay(seaweed.url) as relay:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        annex.add("large", content)
        annex.annex("move", "--to", "s3", "large")
        for setting, value in {"retries": "1", "patience": "1"}.items():
            annex.run("git", "config", f"remote.s3.s3x-{setting}", value)
        before = relay.bytes_up
        ok(mount(annex))
        assert (folder / "large").stat().st_size == len(content)
        assert relay.bytes_up == before  # names and sizes are git's
        with (folder / "large").open("rb", buffering=0) as file:
            assert os.pread(file.fileno(), 1000, 0) == content[:1000]
            with relay.refusing(), pytest.raises(OSError) as raised:  # noqa: PT011
                os.pread(file.fileno(), 1000, len(content) - 1000)
            assert raised.value.errno == errno.EIO
            assert os.pread(file.fileno(), 1000, len(content) - 1000) == content[-1000:]
