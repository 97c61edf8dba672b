"""Journals of unfinished uploads are looked at without being touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from datalad_s3ext.transfer.journal import Begun, Confirmed, Journals
from datalad_s3ext.transfer.unfinished import Unfinished, unfinished_uploads

BEGUN = Begun("https://h/b", "p/KEY", "id", size_bytes=25, part_bytes=10)


def begin(folder: Path, *parts: int) -> None:
    with Journals(folder).open(BEGUN.name) as journal:
        assert journal is not None
        journal.begin(BEGUN)
        for number in parts:
            journal.note(Confirmed(number, "md5:00", "etag"))


def test_what_the_server_has_is_told(tmp_path: Path) -> None:
    begin(tmp_path, 1, 3)

    (found,) = unfinished_uploads(tmp_path)

    assert found == Unfinished("p/KEY", 25, 15, found.touched_at)
    assert datetime.now(UTC) - found.touched_at < timedelta(hours=1)


def test_one_that_is_under_way_is_not_disturbed(tmp_path: Path) -> None:
    begin(tmp_path, 1)
    with Journals(tmp_path).open(BEGUN.name) as journal:
        assert journal is not None
        (found,) = unfinished_uploads(tmp_path)
        journal.note(Confirmed(2, "md5:00", "etag"))
        (later,) = unfinished_uploads(tmp_path)

    assert (found.confirmed_bytes, later.confirmed_bytes) == (10, 20)


def test_what_is_no_journal_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "torn.jsonl").write_text('{"format": 1, "place"')
    (tmp_path / "newer.jsonl").write_text('{"format": 2}\n')

    assert list(unfinished_uploads(tmp_path)) == []
    assert list(unfinished_uploads(tmp_path / "absent")) == []
