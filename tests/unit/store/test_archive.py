"""What servers say of archived objects."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datalad_s3ext.store.archive import ARCHIVE_CLASSES, state_of
from datalad_s3ext.store.base import ObjectInfo


@pytest.mark.parametrize(
    ("storage_class", "restore", "archive_status", "expected"),
    [
        (None, None, None, "ready"),
        ("GLACIER_IR", None, None, "ready"),
        ("GLACIER", None, None, "archived"),
        ("DEEP_ARCHIVE", 'ongoing-request="true"', None, "restoring"),
        ("GLACIER", 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"', None,
         "restored"),
        ("INTELLIGENT_TIERING", None, None, "ready"),
        ("INTELLIGENT_TIERING", None, "DEEP_ARCHIVE_ACCESS", "archived"),
        ("GLACIER", "nonsense", None, "archived"),
    ],
)  # fmt: skip
def test_head_tells_whether_an_object_can_be_read(
    storage_class: str | None, restore: str | None, archive_status: str | None, expected: str
) -> None:
    info = ObjectInfo(
        "a", 5, "e", storage_class=storage_class, restore=restore, archive_status=archive_status
    )

    found = state_of(info, ARCHIVE_CLASSES)

    assert found.state == expected
    assert found.is_readable is (expected in ("ready", "restored"))
    assert found.until == (datetime(2029, 12, 21, tzinfo=UTC) if expected == "restored" else None)


def test_a_date_that_is_none_does_no_harm() -> None:
    info = ObjectInfo("a", 5, "e", restore='ongoing-request="false", expiry-date="some day"')

    assert state_of(info).until is None
