"""A relay that adds a distance and counts what passes, as a process of its own.

    python -m benchmarks.counter --upstream http://127.0.0.1:8333

It prints its URL; after each line of input, what passed since the last one. `benchmarks/relay.py` moves
more, but knows nothing of HTTP; here requests are told apart, and bytes are those of the bodies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.relay import Relay

ROOT = Path(__file__).resolve().parent.parent
ROUND_TRIP_S = 0.03
RATE = 40e6  # bytes per second, per connection and direction


@dataclass(frozen=True)
class Counts:
    """What passed since the last time somebody asked."""

    bytes_down: int
    requests: list[tuple[str, str]]  # (method, path)


class CountingRelay:
    """The relay in a process of its own.

    with CountingRelay(server.url) as relay:
        read_through(relay.url)
        print(relay.take().requests)
    """

    def __init__(self, upstream: str) -> None:
        self._command = [sys.executable, "-m", "benchmarks.counter", f"--upstream={upstream}"]

    def take(self) -> Counts:
        """Return what passed since the last call."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        bytes_down, requests = json.loads(self._answer())
        return Counts(bytes_down, [(method, path) for method, path in requests])

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self._answer().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, which ends it

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def main() -> None:
    """Relay until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--upstream", required=True, metavar="URL")
    upstream = parser.parse_args().upstream
    with Relay(upstream, latency_s=ROUND_TRIP_S, rate_bytes_per_s=RATE) as relay:
        print(relay.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps([relay.bytes_down, relay.requests]), flush=True)
            relay.bytes_down = 0
            relay.requests.clear()


if __name__ == "__main__":
    main()
