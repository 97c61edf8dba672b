"""Reading as everybody can, from services that do not say what is not there."""

from __future__ import annotations

from pathlib import Path

from tests.integration.commands.helpers import publish
from tests.integration.remote.test_requests import UUID, key_of
from tests.support.fake_annex import FakeAnnex
from tests.support.faults import s3_error
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client
from tests.support.wire import Request

HERE, GONE = key_of(b"here"), key_of(b"gone")


def test_what_may_not_be_asked_for_is_neither_there_nor_not(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """Amazon answers 403 for an object that is not there to those who may not list the bucket."""
    client = boto3_client(seaweed)
    client.put_object(Bucket=new_bucket, Key="annex-uuid", Body=UUID.encode())
    client.put_object(Bucket=new_bucket, Key=HERE, Body=b"here")
    publish(seaweed, new_bucket)

    def is_about_gone(request: Request) -> bool:
        return GONE in request.path

    with Relay(seaweed.url) as relay:
        relay.answer(is_about_gone, s3_error(403, "AccessDenied"), times=100)
        config = {
            "provider": "other",
            "endpoint": relay.url,
            "bucket": new_bucket,
            "encryption": "none",
        }
        with FakeAnnex(config, cwd=tmp_path, uuid=UUID) as annex:
            annex.start()

            assert annex.ask(f"CHECKPRESENT {HERE}") == f"CHECKPRESENT-SUCCESS {HERE}"
            assert annex.ask(f"CHECKPRESENT {GONE}").startswith(f"CHECKPRESENT-UNKNOWN {GONE} ")
            assert annex.ask(f"TRANSFER RETRIEVE {GONE} f").startswith("TRANSFER-FAILURE")
            annex.urls[GONE] = [f"s3://{new_bucket}/{HERE}"]
            assert annex.ask(f"CHECKPRESENT {GONE}") == f"CHECKPRESENT-SUCCESS {GONE}"
