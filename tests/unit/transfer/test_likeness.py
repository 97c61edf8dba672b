"""What a service's words about two objects are worth."""

from __future__ import annotations

from typing import Any

import pytest

from datalad_s3ext.store.base import ObjectInfo
from datalad_s3ext.transfer.likeness import Likeness, likeness, shown_alike
from datalad_s3ext.transfer.verify import EtagTrust

A, B = "0123456789abcdef" * 2, "fedcba9876543210" * 2
CRC = {"CRC64NVME": "n3My/igjT2E=", "CRC32": "3X8LOA=="}


def info(etag: str = A, size_bytes: int = 5, **more: Any) -> ObjectInfo:
    return ObjectInfo("a", size_bytes, etag, **more)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (info(), info(), Likeness(True, "ETag")),
        (info(), info(A.upper()), Likeness(True, "ETag")),
        (info(), info(B), Likeness(False, "ETag")),
        (info(), info(size_bytes=6), Likeness(False, "size")),
        (info(f"{A}-2"), info(f"{A}-2"), Likeness(None, "size")),
        (info(f"{A}-2"), info(B), Likeness(None, "size")),
        (info("opaque"), info("opaque"), Likeness(None, "size")),
        (info(), info(B, encryption="aws:kms"), Likeness(None, "size")),
        (info(encryption="customer"), info(), Likeness(None, "size")),
        (info(encryption="AES256"), info(encryption="AES256"), Likeness(True, "ETag")),
        (info(checksums=CRC), info(), Likeness(True, "ETag")),
        (info(f"{A}-2", checksums=CRC), info(B, checksums=CRC), Likeness(True, "CRC64NVME")),
        (info(checksums=CRC), info(checksums={**CRC, "CRC32": "AAAAAA=="}), Likeness(False, "CRC32")),
    ],
)
def test_three_answers_and_what_they_rest_on(
    one: ObjectInfo, other: ObjectInfo, expected: Likeness
) -> None:
    unknown = EtagTrust(known_to_be_md5=None)

    assert likeness(one, other, unknown) == expected
    assert likeness(other, one, unknown) == expected


def test_etags_that_are_known_to_mean_nothing_tell_nothing() -> None:
    nothing = EtagTrust(known_to_be_md5=False)

    assert likeness(info(A), info(B), nothing) == Likeness(None, "size")
    assert likeness(info(A), info(A), nothing) == Likeness(None, "size")


@pytest.mark.parametrize(
    ("one", "other", "source", "target", "expected"),
    [
        (info(), info(), True, None, "ETag"),
        (info(), info(), None, True, "ETag"),
        (info(), info(), False, True, "ETag"),
        (info(), info(), None, None, None),
        (info(), info(), False, False, None),
        (info(), info(B), True, True, None),
        (info(f"{A}-2"), info(f"{A}-2"), True, True, None),
        (info(f"{A}-2", checksums=CRC), info(B, checksums=CRC), False, False, "CRC64NVME"),
    ],
)
def test_what_may_be_anybodys_is_shown_to_be_the_same_by_known_etags_only(
    one: ObjectInfo, other: ObjectInfo, source: bool | None, target: bool | None, expected: str | None
) -> None:
    trusts = [EtagTrust(known_to_be_md5=known) for known in (source, target)]

    assert shown_alike(one, other, *trusts) == expected
