"""What a server tells of an object when it is asked for checksums, too."""

from __future__ import annotations

import pytest

from datalad_s3ext.store.base import CUSTOMER
from datalad_s3ext.store.s3 import S3Store
from tests.unit.store.conftest import REQUEST_ID, Reply, Request, Scripted

HEAD = {**REQUEST_ID, "ETag": '"900150983cd24fb0d6963f7d28e17f72"'}
SSE = "x-amz-server-side-encryption"


@pytest.mark.parametrize(
    ("header", "expected"),
    [({}, None), ({SSE: "aws:kms"}, "aws:kms"), ({f"{SSE}-customer-algorithm": "AES256"}, CUSTOMER)],
)
@pytest.mark.parametrize("refuses_checksums", [False, True])
def test_how_an_object_is_encrypted_is_told_even_when_checksums_are_refused(
    scripted: Scripted,
    store: S3Store,
    header: dict[str, str],
    expected: str | None,
    refuses_checksums: bool,
) -> None:
    """Amazon refuses them to whoever may not use the key of KMS; and then the ETag is no MD5."""

    def answer(request: Request) -> Reply:
        if refuses_checksums and "x-amz-checksum-mode" in request.headers:
            return Reply(403, headers=REQUEST_ID)
        return Reply(200, b"abc", {**HEAD, **header})

    scripted.answer = answer

    found = store.describe("a")

    assert (found.size_bytes, found.encryption) == (3, expected)
