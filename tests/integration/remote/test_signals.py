"""However the remote is asked to end: what is under way is taken back first."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.integration.remote.test_requests import ALL, key_of, started
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

ENOUGH_BYTES = 12 * MIB
LIMIT_S = 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None])
def test_no_parts_are_left_when_the_remote_is_asked_to_end(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, number: signal.Signals | None
) -> None:
    content = os.urandom(MIB) * 200
    (tmp_path / "in").write_bytes(content)
    with (
        Relay(seaweed.url, rate_bytes_per_s=MIB) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, partsize="5MiB") as annex,
    ):
        annex.start(ALL)
        annex.send(f"J 1 TRANSFER STORE {key_of(content)} in")
        end = time.monotonic() + LIMIT_S
        while relay.bytes_up < ENOUGH_BYTES:
            assert not annex.has_line()
            assert time.monotonic() < end
            time.sleep(0.05)
        began = time.monotonic()
        if number is not None:
            os.kill(annex.pid, number)
        annex.hang_up()
        took = time.monotonic() - began

    client = boto3_client(seaweed)
    assert client.list_multipart_uploads(Bucket=new_bucket).get("Uploads", []) == []
    assert "Contents" not in client.list_objects_v2(Bucket=new_bucket, Prefix="SHA256E")
    assert took < LIMIT_S
