"""One large file uses several connections, up and down, and arrives in order."""

from __future__ import annotations

import os
from pathlib import Path

from datalad_s3ext.units import MIB
from tests.integration.remote.test_requests import key_of, started
from tests.support.relay import Relay
from tests.support.servers import Endpoint

SEVERAL = 4


def test_parts_of_one_file_go_up_and_come_down_side_by_side(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    content = os.urandom(48 * MIB)
    (tmp_path / "in").write_bytes(content)
    key = key_of(content)
    with Relay(seaweed.url, latency_s=0.01) as relay:
        with started(seaweed.at(relay.url), marked_bucket, tmp_path, partsize="8MiB") as annex:
            annex.start()
            assert annex.ask(f"TRANSFER STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
        up = relay.connections

        with started(seaweed.at(relay.url), marked_bucket, tmp_path) as annex:
            annex.start()
            answer = annex.ask(f"TRANSFER RETRIEVE {key} out")
        down = relay.connections - up

    assert answer == f"TRANSFER-SUCCESS RETRIEVE {key}"
    assert (tmp_path / "out").read_bytes() == content
    assert up >= SEVERAL
    assert down >= SEVERAL


def test_a_growing_file_is_at_every_moment_a_true_beginning(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    content = os.urandom(48 * MIB)
    (tmp_path / "in").write_bytes(content)
    key = key_of(content)
    seen: set[int] = set()
    with started(seaweed, marked_bucket, tmp_path) as annex:
        annex.start()
        assert annex.ask(f"TRANSFER STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
    with (
        Relay(seaweed.url, rate_bytes_per_s=4 * MIB) as relay,
        started(seaweed.at(relay.url), marked_bucket, tmp_path) as annex,
    ):
        annex.start()
        annex.send(f"TRANSFER RETRIEVE {key} out")
        while not annex.has_line():
            beginning = (tmp_path / "out").read_bytes() if (tmp_path / "out").exists() else b""
            assert content.startswith(beginning)
            seen.add(len(beginning))
        assert annex.receive() == f"TRANSFER-SUCCESS RETRIEVE {key}"

    assert (tmp_path / "out").read_bytes() == content
    assert len(seen) > SEVERAL
