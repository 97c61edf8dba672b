"""What people see of `s3-status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from datalad_s3ext.commands._status_table import details, table

NOTHING = {"keys": 0, "bytes": 0, "of_unknown_size": 0}


def record(**changes: Any) -> dict[str, Any]:
    return {
        "name": "lab", "uuid": "u", "remote_type": "s3x", "enabled": "yes", "provider": "other",
        "endpoint": "https://h", "region": "r", "bucket": "b", "prefix": "", "encryption": "none",
        "exporttree": False, "content": NOTHING, "missing": NOTHING, "missing_here": NOTHING,
        "unfinished": [], "available": "yes", "available_because": "its marker is there",
        "credentials": {"source": "the test", "expires": None, "problem": None}, **changes,
    }  # fmt: skip


def test_what_others_wrote_does_not_act_on_a_terminal() -> None:
    evil = "\x1b[31m\nx"
    upload = {"object": evil, "size_bytes": 2, "confirmed_bytes": 1}
    odd = record(
        name=evil, bucket=evil, prefix=evil, provider=evil, endpoint=evil, region=evil, encryption=evil,
        chunk=evil, unfinished=[upload], available="unknown", available_because=evil,
        missing={"keys": 1, "bytes": 1, "of_unknown_size": 1}, missing_here=NOTHING | {"keys": 1},
    )  # fmt: skip

    lines = [*table([odd, record()]), *details(odd)]

    assert all(line.isprintable() for line in lines)
    assert "?[31m x" in lines[1]


def test_amounts_of_unknown_size_are_told() -> None:
    shown = details(record(content={"keys": 3, "bytes": 2048, "of_unknown_size": 1}))

    assert "  there         3 keys, 2.0 KiB and 1 of unknown size, by git-annex's location log" in shown


def test_only_what_somebody_should_know_stands_below_the_table() -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    expiring = {"source": "the test", "expires": soon, "problem": None}
    off = record(name="off", enabled="no", available="unknown", available_because="not enabled here")

    quiet = table([record(), off])
    loud = table([record(), record(name="other", credentials=expiring)])

    assert len(quiet) == 3
    assert quiet[2].split()[-2:] == ["not", "enabled"]
    assert loud[-1] == "other: the keys expire within an hour: renew them before a long transfer"


def test_only_the_first_of_many_uploads_are_shown() -> None:
    uploads = [{"object": f"k{n}", "size_bytes": 2, "confirmed_bytes": 1} for n in range(7)]

    shown = details(record(unfinished=uploads))

    assert sum("begun and not completed" in line for line in shown) == 5
    assert shown[-1].strip() == "and 2 more"
