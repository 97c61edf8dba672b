"""git-annex's settings for bandwidth, kept by the remote: git-annex does not pass them on."""

from __future__ import annotations

import threading
import time

import pytest

from tests.e2e.helpers import add_all, object_names, pattern
from tests.support import faults
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

RATE = 1_000_000
SIZES = (400_000, 300_000, 200_000, 100_000, *[20_000] * 10)
TOTAL = sum(SIZES)
FILES = {f"file {number}": pattern(size, seed=number) for number, size in enumerate(SIZES)}
FOR_EVER = 10_000


class Meter:
    """When which bytes of content passed a relay."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.passed: list[tuple[float, int]] = []

    def shape(self, body: faults.Body) -> faults.Body:
        for piece in body:
            with self._lock:
                self.passed.append((time.monotonic(), len(piece)))
            yield piece

    @property
    def seconds(self) -> float:
        return self.passed[-1][0] - self.passed[0][0]

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.passed)

    def most_in_one_second(self) -> int:
        return max(
            sum(size for moment, size in self.passed if begin <= moment < begin + 1)
            for begin, _ in self.passed
        )


def is_content(request: faults.Request) -> bool:
    return "/SHA256E-" in request.path


def test_jobs_share_the_bandwidth(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> None:
    with Relay(seaweed.url) as relay:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        keys = add_all(annex, FILES)
        annex.run("git", "config", "annex.bwlimit", "1MB")
        meter = Meter()
        relay.shapers_up.add(is_content, meter.shape, FOR_EVER)

        annex.annex("copy", "-J4", "--to", "s3", ".")

    assert object_names(seaweed, bucket_name) >= set(keys.values())
    assert meter.bytes == TOTAL
    assert 0.8 * TOTAL / RATE < meter.seconds < 1.2 * TOTAL / RATE
    assert meter.most_in_one_second() < 1.4 * RATE


def test_a_limited_transfer_reports_its_progress(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    """A file that is sent by one request."""
    annex.init_s3x(seaweed, bucket_name)
    add_all(annex, {"one": pattern(1_500_000)})
    annex.run("git", "config", "annex.bwlimit", "1MB")

    said = annex.annex("copy", "--json", "--json-progress", "--to", "s3", "one").stdout

    assert said.count('"byte-progress"') >= 3
