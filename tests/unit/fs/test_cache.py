"""Blocks in memory and on disk."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path

import pytest

from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.fs.cache import DiskBlocks, MemoryBlocks
from datalad_s3ext.fs.checking import WholeCheck
from datalad_s3ext.repo.digests import key_digest
from datalad_s3ext.repo.keys import parse_key


def test_memory_keeps_what_was_used_last() -> None:
    memory = MemoryBlocks(30)
    for number in range(3):
        memory.put("a", number, bytes(10))
    memory.get("a", 0)
    memory.put("b", 0, bytes(10))

    assert [memory.get("a", number) is not None for number in range(3)] == [True, False, True]
    memory.drop("a")
    assert memory.get("a", 0) is None
    assert memory.get("b", 0) == bytes(10)


def test_a_block_larger_than_the_memory_is_not_kept() -> None:
    memory = MemoryBlocks(5)
    memory.put("a", 0, bytes(10))

    assert memory.get("a", 0) is None


def test_two_processes_share_a_disk(tmp_path: Path) -> None:
    one, other = DiskBlocks(tmp_path / "x", 1000), DiskBlocks(tmp_path / "x", 1000)
    one.put("abcd", 7, b"content")
    one.flush()

    assert other.get("abcd", 7, 7) == b"content"
    assert other.get("abcd", 8, 7) is None
    other.drop("abcd")
    assert one.get("abcd", 7, 7) is None


@pytest.mark.parametrize("damage", [b"", b"conTent", b"content and more", bytes(11)])
def test_damaged_blocks_are_none(tmp_path: Path, damage: bytes) -> None:
    disk = DiskBlocks(tmp_path, 1000)
    disk.put("abcd", 7, b"content")
    disk.flush()
    file = tmp_path / "ab" / "cd" / "7"
    file.write_bytes(damage + file.read_bytes()[-4:] if damage else b"")

    assert disk.get("abcd", 7, 7) is None


def test_the_disk_has_a_bound(tmp_path: Path) -> None:
    disk = DiskBlocks(tmp_path, 1000)
    for number in range(50):
        disk.put("abcd", number, bytes(96))
        disk.flush()

    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 1000
    assert disk.get("abcd", 49, 96) == bytes(96)
    assert disk.get("abcd", 0, 96) is None


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    disk = DiskBlocks(tmp_path / "file" / "below", 1000)
    disk.put("abcd", 0, b"content")
    disk.flush()

    assert disk.get("abcd", 0, 7) is None


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "blocks"
    own = DiskBlocks(folder, 1000)
    own.put("abcd", 7, b"content")
    own.flush()
    folder.chmod(mode)
    disk = DiskBlocks(folder, 1000)
    disk.put("abcd", 8, b"content")
    disk.flush()

    assert disk.get("abcd", 7, 7) is None
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["7"]
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_what_is_made_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        disk = DiskBlocks(tmp_path / "blocks", 1000)
        disk.put("abcd", 7, b"content")
        disk.flush()
    finally:
        os.umask(before)

    made = [tmp_path / "blocks", *(tmp_path / "blocks").rglob("*")]
    assert {path.name for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077} == set()
    assert disk.get("abcd", 7, 7) == b"content"


@pytest.mark.parametrize("kind", ["pipe", "sparse", "link", "folder", "foreign"])
def test_what_is_no_block_of_ours_is_not_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskBlocks(tmp_path, 1000)
    disk.put("abcd", 7, b"content")
    disk.flush()
    block = tmp_path / "ab" / "cd" / "7"
    if kind == "sparse":
        os.truncate(block, 40 * 10**9)
    elif kind == "foreign":
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda handle: _owned_by(real(handle), os.getuid() + 1))
    else:
        block.rename(tmp_path / "aside")
        if kind == "link":
            block.symlink_to(tmp_path / "aside")
        else:
            (os.mkfifo if kind == "pipe" else os.mkdir)(block)

    assert disk.get("abcd", 7, 7) is None


def _owned_by(found: os.stat_result, user: int) -> os.stat_result:
    return os.stat_result([*found[:4], user, *found[5:]])


def _check(content: bytes, blocks: dict[int, bytes]) -> WholeCheck:
    key = f"SHA256-s{len(content)}--{hashlib.sha256(content).hexdigest()}"
    digest = key_digest(parse_key(key), key)
    assert digest is not None
    return WholeCheck(digest, len(blocks), blocks.get)


def test_blocks_may_come_in_any_order() -> None:
    blocks = {number: random.Random(number).randbytes(10) for number in range(20)}
    for seed in range(20):
        check = _check(b"".join(blocks.values()), blocks)
        order = list(blocks)
        random.Random(seed).shuffle(order)
        for number in order[:-1]:
            check.note(number, blocks[number])
        assert not check.is_good
        check.note(order[-1], blocks[order[-1]])
        assert check.is_good


def test_other_content_is_found_out_with_the_last_block() -> None:
    blocks = {0: b"one", 1: b"two"}
    check = _check(b"onetwO", blocks)
    check.note(1, b"two")

    for _ in range(2):
        with pytest.raises(IntegrityError, match="its checksum differs"):
            check.note(0, b"one")


def test_what_is_forgotten_is_not_verified() -> None:
    blocks = {0: b"one", 1: b"two"}
    check = _check(b"onetwo", blocks)
    check.note(1, b"two")
    blocks.clear()
    check.note(0, b"one")

    assert not check.is_good
    assert check.error is None
