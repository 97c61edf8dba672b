"""What is measured, with which tools, and what s3x shall reach.

A *work* is a set of files that goes up and comes down again over one kind of network; each direction
of it is a *case*, one line of the table.
"""

# ruff: noqa: RUF001  (the multiplication sign is one)

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Direction = Literal["copy", "get"]
Network = Literal["relay", "loopback"]
BOTH: tuple[Direction, ...] = ("copy", "get")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MAX_RSS_BYTES = 250e6
MAX_GROWTH_BYTES = 8e6  # "no growth": what an allocator may keep, less than a kilobyte per file

BUILTIN, S3X, VERIFYING, RCLONE, S5CMD, NULL = (
    *("built-in", "s3x", "s3x verifies"),
    *("rclone", "s5cmd", "null"),
)
BASE = (BUILTIN, S3X, RCLONE, S5CMD)
FLOORED = (*BASE, NULL)
TOOLS = (BUILTIN, S3X, VERIFYING, RCLONE, S5CMD, NULL)
JUDGED = (S3X, VERIFYING)


@dataclass(frozen=True)
class Target:
    """The largest part of built-in's time that a tool may take."""

    ratio: float
    tool: str = S3X


@dataclass(frozen=True)
class Work:
    """Files, a network, and who shall carry them."""

    name: str
    title: str
    network: Network
    files: int
    size_bytes: int
    jobs: int = 1
    directions: tuple[Direction, ...] = BOTH
    tools: tuple[str, ...] = BASE
    targets: Mapping[Direction, tuple[Target, ...]] = field(default_factory=dict)
    is_slow: bool = False  # only on request
    watches_memory: bool = False
    watches_growth: bool = False

    @property
    def total_bytes(self) -> int:
        """All files together."""
        return self.files * self.size_bytes

    def scaled_down(self) -> Work:
        """Return the same with a tenth of the data, for trying the program out."""
        title = f"1/10 of {self.title}"
        if self.size_bytes < MIB:
            return replace(self, title=title, files=max(10, self.files // 10))
        return replace(self, title=title, size_bytes=math.ceil(self.size_bytes / 10 / MIB) * MIB)


def _small_loopback(jobs: int) -> Work:
    return Work(
        f"small-J{jobs}", f"1000 × 4 KiB, loopback, -J{jobs}", "loopback", 1000, 4 * KIB, jobs,
        tools=FLOORED, targets={"copy": (Target(1.0),), "get": (Target(1.35),)},
    )  # fmt: skip


def _small_relay(jobs: int) -> Work:
    return Work(
        f"relay-small-J{jobs}", f"200 × 4 KiB, relay, -J{jobs}", "relay", 200, 4 * KIB, jobs,
        ("copy",), (BUILTIN, S3X, NULL), {"copy": (Target(1.0),)},
    )  # fmt: skip


WORKS = (
    Work(
        "relay-large", "256 MiB, relay", "relay", 1, 256 * MIB,
        targets={"copy": (Target(1 / 3.3),), "get": (Target(1 / 4),)},
    ),
    Work(
        "loopback-large", "1 GiB, loopback", "loopback", 1, GIB,
        tools=(BUILTIN, S3X, VERIFYING, RCLONE, S5CMD),
        targets={
            "copy": (Target(1.05),),
            "get": (Target(0.8), Target(0.5, VERIFYING)),
        },
    ),
    *(_small_loopback(jobs) for jobs in (1, 8)),
    *(_small_relay(jobs) for jobs in (1, 8, 32)),
    Work(
        "memory-one", "one file of 5 GiB, loopback", "loopback", 1, 5 * GIB,
        tools=(BUILTIN, S3X), is_slow=True, watches_memory=True,
    ),
    Work(
        "memory-J8", "8 × 512 MiB, loopback, -J8", "loopback", 8, 512 * MIB, 8,
        tools=(BUILTIN, S3X), is_slow=True, watches_memory=True,
    ),
    Work(
        "memory-many", "10 000 × 4 KiB, loopback, -J8", "loopback", 10_000, 4 * KIB, 8,
        tools=(BUILTIN, S3X), is_slow=True, watches_memory=True, watches_growth=True,
    ),
)  # fmt: skip
