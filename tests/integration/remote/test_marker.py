"""What a remote does that cannot see whose bucket it is, or that was refused once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.remote.test_requests import UUID, key_of, started
from tests.support.faults import Request, s3_error
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

pytestmark = pytest.mark.server

CONTENT = b"content"
KEY = key_of(CONTENT)


def asks_for_the_marker(request: Request) -> bool:
    return request.path.endswith("/annex-uuid")


def names(endpoint: Endpoint, bucket: str) -> list[str]:
    found = boto3_client(endpoint).list_objects_v2(Bucket=bucket)
    return [row["Key"] for row in found.get("Contents", [])]


def test_without_its_marker_a_bucket_is_only_read_until_it_is_marked_again(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    other = key_of(b"other")
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key=other, Body=b"other")
    with started(seaweed, new_bucket, tmp_path) as remote:
        remote.start()

        assert remote.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-FAILURE {KEY}"
        stored = remote.ask(f"TRANSFER STORE {KEY} in")
        removed = remote.ask(f"REMOVE {other}")
        assert remote.ask(f"TRANSFER RETRIEVE {other} out").startswith("TRANSFER-SUCCESS ")
        assert names(seaweed, new_bucket) == [other]
        for refusal in (stored, removed):
            assert "-FAILURE " in refusal
            assert "has lost the object annex-uuid" in refusal
            assert "git annex enableremote" in refusal

        assert remote.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert remote.ask(f"TRANSFER STORE {KEY} in") == f"TRANSFER-SUCCESS STORE {KEY}"


def test_a_bucket_that_was_marked_by_somebody_else_meanwhile_is_not_written_to(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    with started(seaweed, new_bucket, tmp_path) as remote:
        remote.start()
        assert remote.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-FAILURE {KEY}"
        boto3_client(seaweed).put_object(Bucket=new_bucket, Key="annex-uuid", Body=UUID[::-1].encode())

        assert "already belongs to another" in remote.ask(f"TRANSFER STORE {KEY} in")

    assert names(seaweed, new_bucket) == ["annex-uuid"]


def test_a_refusal_that_passes_does_not_turn_a_tree_anonymous_for_good(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="f", Body=CONTENT)
    with (
        Relay(seaweed.url) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, exporttree="yes") as remote,
    ):
        remote.start()
        relay.answer(asks_for_the_marker, s3_error(403, "AccessDenied"))
        answers = []
        for _ in range(2):
            remote.send("EXPORT f")
            answers.append(remote.ask(f"CHECKPRESENTEXPORT {KEY}"))

    assert answers[0].startswith(f"CHECKPRESENT-UNKNOWN {KEY} ")
    assert answers[1] == f"CHECKPRESENT-SUCCESS {KEY}"
