"""Whether a setting forbids that everybody reads: what is no answer is none."""

from __future__ import annotations

import pytest

from datalad_s3ext.store import public_block
from tests.support.raw_server import RawServer, answer, refusal
from tests.unit.store.conftest import KEYS, connection

LIST = b"<ListBucketResult><Name>bucket</Name></ListBucketResult>"
OPEN = b"""<PublicAccessBlockConfiguration><BlockPublicPolicy>false</BlockPublicPolicy>
<RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>"""


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (answer("200 OK", OPEN), "no"),
        (answer("200 OK", OPEN.replace(b"false", b"true", 1)), "yes"),
        (refusal("404 Not Found", "NoSuchPublicAccessBlockConfiguration"), "no"),
        (answer("200 OK", LIST), "unknown"),  # what a server says that ignores the question
        (answer("200 OK"), "unknown"),
        (refusal("403 Forbidden", "AccessDenied"), "unknown"),
    ],
)
def test_three_answers(said: bytes, found: str) -> None:
    with RawServer() as server:
        server.connections = [[said]]
        assert public_block.of_bucket(connection(server.url), KEYS, "bucket") == found
