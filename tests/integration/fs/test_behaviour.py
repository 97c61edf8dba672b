"""What reading promises besides the right bytes: how much is asked, by whom, and what faults say."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.fs.faults import ContentUnavailable
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.integration.fs.scenes import BIG, FILES
from tests.support.file_server import serving
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.server, pytest.mark.annex]
OBJECT = "data/big.dat"


@pytest.fixture(scope="module")
def through_relay(
    scenes: Callable[[str, str], AnnexRepo],
    seaweed: Endpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[AnnexRepo, Relay]]:
    source = scenes("seaweed", "plain")
    with Relay(seaweed.url) as relay:
        clone = source.clone(tmp_path_factory.mktemp("relayed") / "clone")
        clone.annex(
            "enableremote", "s3", f"endpoint={relay.url}", env={"S3X_TRUST_ENDPOINT": relay.url}
        )
        yield clone, relay


@pytest.fixture
def relayed(through_relay: tuple[AnnexRepo, Relay]) -> tuple[AnnexRepo, Relay]:
    """Return a clone that reaches the bucket through a relay, which counts from now on."""
    _, relay = through_relay
    relay.requests.clear()
    relay.bytes_down = 0
    return through_relay


class TestRequests:
    """Each byte is asked for once, in as few requests as it takes."""

    def test_a_part_of_a_file_is_one_request(self, relayed: tuple[AnnexRepo, Relay]) -> None:
        clone, relay = relayed

        assert BIG[500_000:700_000] == AnnexFileSystem(str(clone.path)).cat_file(
            OBJECT, 500_000, 700_000
        )

        assert len(relay.requests) == 1
        assert relay.bytes_down < 202_000

    def test_names_and_sizes_are_no_request(self, relayed: tuple[AnnexRepo, Relay]) -> None:
        clone, relay = relayed
        fs = AnnexFileSystem(str(clone.path))

        fs.find("", detail=True)
        fs.ukey(OBJECT)
        fs.modified(OBJECT)
        fs.open(OBJECT).close()

        assert relay.requests == []

    def test_what_was_read_is_not_fetched_again(self, relayed: tuple[AnnexRepo, Relay]) -> None:
        clone, relay = relayed
        fs = AnnexFileSystem(str(clone.path))
        with fs.open(OBJECT) as file:
            for _ in range(3):
                for start in (0, 900_000, 400_000):
                    file.seek(start)
                    assert BIG[start : start + 1000] == file.read(1000)

        assert len(relay.requests) == 1  # the first read fetched what lies ahead, which is all
        assert fs.cat_file(OBJECT) == BIG
        assert AnnexFileSystem(str(clone.path), "v1").cat_file(OBJECT) == BIG
        assert len(relay.requests) == 1

    def test_blocks_on_disk_serve_other_processes(
        self, relayed: tuple[AnnexRepo, Relay], own_cache: Path
    ) -> None:
        from datalad_s3ext.fs import processwide
        from datalad_s3ext.fs.cache import BlockCache

        clone, relay = relayed
        fs = AnnexFileSystem(str(clone.path))
        assert fs.cat_file(OBJECT) == BIG
        disk = BlockCache.of(fs.options.cache).disk
        assert disk is not None
        disk.flush()
        assert own_cache.stat().st_mode & 0o777 == 0o700
        processwide._reset_all()  # as if another process began

        assert AnnexFileSystem(str(clone.path)).cat_file(OBJECT) == BIG
        assert len(relay.requests) == 1

    def test_no_cache_is_no_obstacle(self, relayed: tuple[AnnexRepo, Relay], own_cache: Path) -> None:
        clone, _ = relayed
        fs = AnnexFileSystem(str(clone.path), cache_memory=0, cache_disk=0)

        with fs.open(OBJECT) as file:
            assert hashlib.sha256(BIG).digest() == hashlib.file_digest(file, "sha256").digest()
        assert not own_cache.exists()


class TestKeeping:
    """What was read completely can stay."""

    @pytest.mark.parametrize("keep", [True, False])
    def test_a_file_that_was_read(self, relayed: tuple[AnnexRepo, Relay], keep: bool) -> None:
        clone, _ = relayed
        fs = AnnexFileSystem(str(clone.path), keep=keep)
        with fs.open(OBJECT) as file:
            assert BIG[:10] == file.read(10)
            assert not (clone.path / OBJECT).exists()
            file.seek(0)
            assert file.read() == BIG

        assert keep == (clone.path / OBJECT).exists()
        if keep:
            clone.annex("fsck", OBJECT)
            assert "here" in clone.annex("whereis", OBJECT).stdout
            assert AnnexFileSystem(str(clone.path)).cat_file(OBJECT) == BIG
            clone.annex("drop", "--force", OBJECT)


class TestProcessesAndThreads:
    """One file system for many readers."""

    def test_many_threads(self, in_bucket: AnnexRepo) -> None:
        fs = AnnexFileSystem(str(in_bucket.path))
        start = threading.Barrier(8)

        def read(number: int) -> bool:
            start.wait()
            with fs.open(OBJECT) as file:
                file.seek(number * 100_000)
                return file.read(300_000) == BIG[number * 100_000 : number * 100_000 + 300_000]

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(8)))

    def test_a_forked_process(self, in_bucket: AnnexRepo) -> None:
        fs = AnnexFileSystem(str(in_bucket.path))
        assert BIG[:10] == fs.cat_file(OBJECT, 0, 10)
        context = multiprocessing.get_context("fork")
        answers: Any = context.Queue()

        def child() -> None:
            answers.put((fs.cat_file(OBJECT, 700_000, 700_010), fs.cat(["plain.txt"])))

        process = context.Process(target=child)
        process.start()
        found = answers.get(timeout=30)
        process.join(30)

        assert (BIG[700_000:700_010], {"plain.txt": FILES["plain.txt"]}) == found
        assert BIG[-10:] == fs.cat_file(OBJECT, -10, None)

    def test_a_spawned_process(self, in_bucket: AnnexRepo) -> None:
        fs = AnnexFileSystem(str(in_bucket.path))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert BIG[5:9] == pool.apply(fs.cat_file, (OBJECT, 5, 9))


class TestFaults:
    """Each is one line, of the right kind."""

    def test_damaged_content_is_found_out(self, relayed: tuple[AnnexRepo, Relay]) -> None:
        clone, relay = relayed
        fs = AnnexFileSystem(str(clone.path))
        relay.flip_byte_down(offset=1234)

        with pytest.raises(ContentUnavailable, match="its checksum differs"):
            fs.cat_file(OBJECT)
        assert fs.cat_file(OBJECT) == BIG

    def test_damaged_content_is_found_out_piece_by_piece(
        self, relayed: tuple[AnnexRepo, Relay]
    ) -> None:
        clone, relay = relayed
        relay.flip_byte_down(offset=1234)
        with (
            AnnexFileSystem(str(clone.path)).open(OBJECT) as file,
            pytest.raises(ContentUnavailable, match="its checksum differs"),
        ):
            list(iter(lambda: file.read(100_000), b""))

    def test_broken_connections_are_replaced(self, relayed: tuple[AnnexRepo, Relay]) -> None:
        clone, relay = relayed
        relay.kill_after_bytes_down(500_000)

        assert AnnexFileSystem(str(clone.path)).cat_file(OBJECT) == BIG

    def test_a_server_that_is_gone(self, relayed: tuple[AnnexRepo, Relay]) -> None:
        clone, relay = relayed
        clone.run("git", "config", "remote.s3.s3x-retries", "0")
        with relay.refusing(), pytest.raises(ContentUnavailable) as caught:
            AnnexFileSystem(str(clone.path)).cat_file(OBJECT)
        clone.run("git", "config", "--unset", "remote.s3.s3x-retries")

        assert "the content of data/big.dat cannot be read: s3: " in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not isinstance(caught.value, FileNotFoundError)

    def test_an_object_that_is_gone(
        self, annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
    ) -> None:
        annex.init_s3x(seaweed, bucket_name)
        key = annex.add("lost.dat", b"lost content")
        annex.annex("move", "lost.dat", "--to", "s3")
        boto3_client(seaweed).delete_object(Bucket=bucket_name, Key=key)

        with pytest.raises(ContentUnavailable, match=r"lost\.dat cannot be read: s3: "):
            AnnexFileSystem(str(annex.path)).cat_file("lost.dat")

    def test_content_that_nobody_has(self, annex: AnnexRepo) -> None:
        annex.add("file.dat", b"content")
        annex.annex("drop", "--force", "file.dat")

        with pytest.raises(ContentUnavailable, match="no place that this clone can read is known"):
            AnnexFileSystem(str(annex.path)).cat_file("file.dat")

    def test_an_encrypted_remote(self, annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> None:
        annex.init_s3x(seaweed, bucket_name, "encryption=shared")
        annex.add("file.dat", b"content")
        annex.annex("move", "file.dat", "--to", "s3")

        with pytest.raises(ContentUnavailable, match=r"is encrypted \(shared\).*datalad get"):
            AnnexFileSystem(str(annex.path)).cat_file("file.dat")

    def test_an_unknown_remote(self, in_bucket: AnnexRepo) -> None:
        with pytest.raises(ConfigError, match="knows no remote on S3 called 'nobody'"):
            AnnexFileSystem(str(in_bucket.path), remote="nobody").cat_file(OBJECT)

    def test_an_unknown_commit(self, annex: AnnexRepo) -> None:
        annex.add("file.dat", b"content")
        for ref in ("nothing", "--help", "HEAD:file.dat", "a\nb"):
            with pytest.raises(ConfigError, match="has no commit, tag or branch"):
                AnnexFileSystem(str(annex.path), ref)

    def test_no_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is no data set"):
            AnnexFileSystem(str(tmp_path))
        with pytest.raises(ConfigError, match="no data set lies at"):
            fsspec.open(f"annex://{tmp_path}/file").open()

    def test_a_subdataset_that_is_not_installed(self, in_bucket: AnnexRepo, annex: AnnexRepo) -> None:
        annex.run("git", "submodule", "--quiet", "add", str(in_bucket.path), "sub")
        annex.run("git", "commit", "-q", "-m", "subdataset")
        annex.run("git", "submodule", "--quiet", "deinit", "-f", "sub")
        copy = annex.clone(annex.path.parent / "copy")
        fs = AnnexFileSystem(str(copy.path))

        assert fs.isdir("sub")
        with pytest.raises(FileNotFoundError, match="not installed; run: datalad get -n sub"):
            fs.ls("sub")
        assert fs.find("") == [".gitmodules"]

    def test_keys_go_nowhere_without_consent(
        self, in_bucket: AnnexRepo, seaweed: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.secret_access_key)
        with Relay(seaweed.url) as relay:
            clone = in_bucket.clone(tmp_path / "clone")
            clone.annex("enableremote", "s3", f"endpoint={relay.url}",
                        env={"S3X_TRUST_ENDPOINT": relay.url})  # fmt: skip
            clone.run("git", "config", "--unset-all", f"s3x.{clone.uuid('s3')}.endpoint")

            with pytest.raises(ContentUnavailable, match="nobody here has agreed"):
                AnnexFileSystem(str(clone.path)).cat_file(OBJECT)


class TestUrls:
    """What everybody can read."""

    def test_nothing_is_below_a_file(self, in_bucket: AnnexRepo) -> None:
        fs = AnnexFileSystem(str(in_bucket.path))
        assert fs.exists(OBJECT)
        assert not fs.exists(f"{OBJECT}/below")

    def test_no_url_leads_to_folders_and_to_what_git_keeps(self, in_bucket: AnnexRepo) -> None:
        fs = AnnexFileSystem(str(in_bucket.path))
        with pytest.raises(IsADirectoryError):
            fs.sign("data")
        with pytest.raises(ContentUnavailable, match="is kept in git"):
            fs.sign("plain.txt")

    def test_a_signed_url(self, in_bucket: AnnexRepo) -> None:
        url = AnnexFileSystem(str(in_bucket.path)).sign(OBJECT, 60)

        with urllib.request.urlopen(url) as answer:
            assert answer.read() == BIG

    def test_the_web(self, annex: AnnexRepo, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(BIG)
        with serving(tmp_path) as url:
            self._add(annex, f"{url}/file")
            fs = AnnexFileSystem(str(annex.path))

            assert BIG[100:900_000] == fs.cat_file("web.dat", 100, 900_000)
            assert fs.info("relaxed.dat")["size"] is None
            with fs.open("relaxed.dat") as file:
                assert file.read() == BIG
            assert f"{url}/file" == fs.sign("web.dat")

    def test_a_web_server_that_sends_whole_files_only(self, annex: AnnexRepo, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(BIG)
        with serving(tmp_path, ranges=False) as url:
            self._add(annex, f"{url}/file")
            fs = AnnexFileSystem(str(annex.path))

            with pytest.raises(ContentUnavailable, match="does not send parts of files"):
                fs.cat_file("web.dat", 100, 200)
            assert fs.cat_file("web.dat") == BIG

    def test_a_page_that_is_gone(self, annex: AnnexRepo, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(BIG)
        with serving(tmp_path) as url:
            self._add(annex, f"{url}/file")
            (tmp_path / "file").unlink()

            with pytest.raises(ContentUnavailable, match="answers 404"):
                AnnexFileSystem(str(annex.path)).cat_file("web.dat")

    def test_the_web_is_not_this_machine(self, annex: AnnexRepo, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(BIG)
        with serving(tmp_path) as url:
            self._add(annex, f"{url}/file")
            annex.run("git", "config", "--unset", "annex.security.allowed-ip-addresses")

            with pytest.raises(
                ContentUnavailable, match=r"127\.0\.0\.1, which is not a public address"
            ):
                AnnexFileSystem(str(annex.path)).cat_file("web.dat")

    def _add(self, annex: AnnexRepo, url: str) -> None:
        annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
        annex.annex("addurl", "--fast", "--file", "web.dat", url)
        annex.annex("addurl", "--relaxed", "--file", "relaxed.dat", url)
        annex.run("git", "commit", "-q", "-m", "from the web")
