"""What the matrix of faults is made of: faults, the steps of operations, and a run of many at once.

A cell is one operation on an object of its own, with one fault at one of the requests it consists of.
Cells run side by side in one process of the remote; faults are armed for the object of their cell.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from datalad_s3ext.units import KIB, MIB
from tests.integration.remote.test_requests import ALL, UUID, started
from tests.support import faults
from tests.support.fake_annex import FakeAnnex
from tests.support.faults import Predicate, Request, Shaper
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

SMALL = os.urandom(20 * KIB)
LARGE = os.urandom(5 * MIB + 100 * KIB)
"""Two parts, and two ranges: servers take no smaller parts."""
RANGE_BYTES = 4 * MIB
PROVIDERS = {"seaweedfs": "seaweedfs", "rclone": "rclone-serve-s3", "moto": "other"}
FOR_EVER = 1_000_000
PAUSE_S = 0.1
BYSTANDER = "bystander"
NO_EXCEPTIONS: Mapping[str, str] = {}


# -- faults ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One request of an operation."""

    name: str
    matches: Predicate
    sends: int = 0
    """An offset within the body of the request, where a fault strikes once; 0: it has no body.

    A fault that lasts strikes at the first byte: else there would be progress in the end.
    """
    receives: int = 0
    """The same of the answer."""


Arm = Callable[[Relay, Predicate, int, Step], None]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and what must become of an operation: ``good``, ``bad``, or ``either``."""

    arm: Arm
    once: str | None = "good"
    """When it is met once; None: left out."""
    for_ever: str | None = "bad"
    """When it lasts."""
    where: Callable[[Step], object] = lambda _: True
    """The steps where it can be."""
    but_at: Mapping[str, str] = field(default_factory=lambda: NO_EXCEPTIONS)
    """Steps with another end."""
    sleeps: bool = False
    """Who meets it does nothing most of the time."""


def answers(answer: faults.Answer) -> Arm:
    """Answer in the server's stead."""
    return lambda relay, fits, times, _: relay.answer(fits, answer, times)


def on_answers(make: Callable[[Relay], Shaper]) -> Arm:
    """Change whole answers; the server has acted by then."""
    return lambda relay, fits, times, _: relay.shapers_of_answers.add(fits, make(relay), times)


def on_bodies_down(make: Callable[[Relay, int], Shaper]) -> Arm:
    """Change the bodies of answers."""
    return lambda relay, fits, times, step: relay.shapers_down.add(
        fits, make(relay, step.receives if times == 1 else 0), times
    )


def on_bodies_up(make: Callable[[Relay, int], Shaper]) -> Arm:
    """Change the bodies of requests."""
    return lambda relay, fits, times, step: relay.shapers_up.add(
        fits, make(relay, step.sends if times == 1 else 0), times
    )


# -- operations -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """A request of git-annex."""

    name: str
    kind: str
    """``store``, ``retrieve``, ``ask``, ``remove`` or ``rename``."""
    lines: tuple[str, ...]
    """What git-annex says, with ``{key}``, ``{name}``, ``{new}``, ``{source}``, ``{target}``."""
    good: str
    bad: str | tuple[str, ...]
    steps: Sequence[Step]
    content: bytes = SMALL
    is_there: bool = True
    """The object is there before."""
    verifies: bool = False
    """s3x verifies what it receives."""

    @property
    def is_export(self) -> bool:
        return self.lines[0].startswith("EXPORT")


@dataclass
class Cell:
    """One operation with one fault at one step."""

    number: int
    operation: Operation
    step: Step
    fault_name: str
    fault: Fault
    times: int
    answer: str = ""
    struck: bool = False
    complaints: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        how_often = "once" if self.times == 1 else "for ever"
        return f"{self.operation.name} / {self.step.name} / {self.fault_name} {how_often}"

    @property
    def expected(self) -> str | None:
        usual = self.fault.once if self.times == 1 else self.fault.for_ever
        return self.fault.but_at.get(self.step.name, usual)

    @cached_property
    def mark(self) -> str:
        """What the names of this cell's objects have, and no other names."""
        return f".c{self.number}x"

    @cached_property
    def key(self) -> str:
        content = self.operation.content
        return f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}{self.mark}"

    @property
    def name(self) -> str:
        """The object's."""
        return f"file{self.mark}" if self.operation.is_export else self.key

    @property
    def new(self) -> str:
        """The object's after it was renamed."""
        return f"new{self.mark}"

    @property
    def target(self) -> str:
        """The file that is received."""
        return f"out{self.number}"

    def fits(self, request: Request) -> bool:
        """Tell whether the fault shall strike, and take note that it does."""
        is_mine = self.mark in request.path and self.step.matches(request)
        self.struck |= is_mine
        return is_mine

    def requests(self) -> list[str]:
        source = "large" if self.operation.content is LARGE else "small"
        values = {"key": self.key, "name": self.name, "new": self.new, "target": self.target}
        return [line.format(**values, source=source) for line in self.operation.lines]

    def require(self, holds: object, what: str) -> None:
        """Take note of what should hold and does not."""
        if not holds:
            self.complaints.append(f"{self.title}: {what} [{self.answer}]")

    @property
    def ended(self) -> str:
        """Return ``good``, ``bad``, or ``neither``."""
        if self.answer == self.operation.good.format(key=self.key):
            return "good"
        bad = self.operation.bad
        starts = tuple(s.format(key=self.key) for s in ([bad] if isinstance(bad, str) else bad))
        return "bad" if self.answer.startswith(starts) else "neither"


# -- running --------------------------------------------------------------------------------------


class Bench:
    """A bucket behind a relay, and a repository in which the remote is patient for a moment only."""

    def __init__(
        self, endpoint: Endpoint, bucket: str, folder: Path, relay: Relay, **settings: object
    ) -> None:
        self.endpoint, self.bucket, self.folder, self.relay = endpoint, bucket, folder, relay
        self.client = boto3_client(endpoint)
        self.client.create_bucket(Bucket=bucket)
        self.put("annex-uuid", UUID.encode())
        self.put(BYSTANDER, SMALL)
        subprocess.run(["git", "init", "-q", folder], check=True)
        for name, content in (("small", SMALL), ("large", LARGE)):
            (folder / name).write_bytes(content)
        self._configure("s3x-test", settings)
        self._configure("s3x-verifying", {**settings, "verify": "true"})

    def _configure(self, remote: str, settings: Mapping[str, object]) -> None:
        rows = [f"\ts3x-{name.replace('_', '-')} = {value}\n" for name, value in settings.items()]
        with (self.folder / ".git" / "config").open("a") as file:
            file.writelines([f'[remote "{remote}"]\n', *rows])

    @contextmanager
    def remote(self, operation: Operation) -> Iterator[FakeAnnex]:
        """Start a process that can do `operation`."""
        config = {"partsize": "5MiB", "provider": PROVIDERS[self.endpoint.kind]}
        if operation.is_export:
            config["exporttree"] = "yes"
        endpoint = self.endpoint.at(self.relay.url)
        with started(endpoint, self.bucket, self.folder, **config) as annex:
            annex.remote_name = "s3x-verifying" if operation.verifies else "s3x-test"
            annex.start(ALL)
            yield annex

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Arm the faults, and store what has to be there before."""
        for cell in cells:
            if cell.operation.is_there:
                self.put(cell.name, cell.operation.content)
            cell.fault.arm(self.relay, cell.fits, cell.times, cell.step)

    def run(self, annex: FakeAnnex, cells: Sequence[Cell], width: int) -> None:
        """Have all cells answered, `width` at a time; those that sleep are not counted.

        But they do not begin all at once: a server that is busy would look like one that stalls.
        """
        waiting = sorted(cells, key=lambda cell: cell.fault.sleeps)
        under_way: dict[str, Cell] = {}
        free = [str(number) for number in range(len(cells))]
        while waiting or under_way:
            awake = sum(not cell.fault.sleeps for cell in under_way.values())
            if waiting and (waiting[-1].fault.sleeps or awake < width):
                job, cell = free.pop(), waiting.pop()
                under_way[job] = cell
                for line in cell.requests():
                    annex.send(f"J {job} {line}")
                time.sleep(PAUSE_S if cell.fault.sleeps and cell.operation.content is LARGE else 0)
                continue
            _, job, answer = annex.receive().split(" ", 2)
            under_way.pop(job).answer = answer
            free.append(job)

    # -- what is at the server, asked for past the relay -------------------------------------------

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=name, Body=content)

    def get(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=name)["Body"].read()

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {row["Key"] for page in pages for row in page.get("Contents", [])}

    def uploads(self) -> set[tuple[str, str]]:
        """Return name and id of all unfinished uploads."""
        try:
            answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchUpload":  # rclone's way to say: none
                return set()
            raise
        assert not answer.get("IsTruncated")
        return {(row["Key"], row["UploadId"]) for row in answer.get("Uploads", [])}

    def has_parts(self, name: str, upload_id: str) -> bool:
        """Tell whether an unfinished upload holds anything."""
        answer = self.client.list_parts(Bucket=self.bucket, Key=name, UploadId=upload_id)
        return bool(answer.get("Parts"))

    def journals(self) -> set[tuple[str, str]]:
        """Return name and id of the uploads that a journal knows of."""
        files = (self.folder / ".git" / "annex" / "s3x").glob("*/*.jsonl")
        heads = [json.loads(text.splitlines()[0]) for file in files if (text := file.read_text())]
        return {(head["name"], head["upload_id"]) for head in heads}
