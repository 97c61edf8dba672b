"""Carry out the works: servers, repositories, rounds.

For each work every tool gets a repository with the files, made once. A round copies it, sends the
files, drops them, gets them back, checks them, and empties the bucket: so each round finds
everything as the first one did. The tools take turns within a round, in an order that rotates.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import cases
from benchmarks.cases import Work
from benchmarks.meter import CommandFailed, cpu_seconds, run_measured
from benchmarks.relay import RelayProcess
from benchmarks.tools import PROGRAMS, TOOLS, AnnexTool, Null, S5cmd, Tool, Unavailable
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, SeaweedServer, boto3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BLOCK_BYTES = 1 << 20
GIT_CONFIG = (
    "[user]\n\tname = Benchmark\n\temail = bench@example.org\n[init]\n\tdefaultBranch = main\n"
    "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[annex]\n\tautoupgraderepository = false\n"
)
Say = Callable[[str], None]


class WrongContent(RuntimeError):
    """A tool brought back something else than was sent."""


@dataclass(frozen=True)
class Sample:
    """One measured command."""

    work: str
    direction: str
    tool: str
    round: int
    seconds: float
    remote_cpu_s: float
    total_cpu_s: float
    peak_rss_bytes: int
    growth_bytes: int
    processes: int
    relay_cpu_s: float


@dataclass
class Outcome:
    """What was measured of one work."""

    samples: list[Sample] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # tool: why

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"samples": [asdict(sample) for sample in self.samples], "skipped": self.skipped}


@contextmanager
def own_environment(scratch: Path) -> Iterator[None]:
    """Let all that is started find our programs, and none of the user's settings and keys."""
    home = scratch / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(GIT_CONFIG)
    foreign = ("AWS_", "XDG_", "GIT_", "RCLONE_", "S3X", "S3EXT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(
        kept,
        HOME=str(home),
        PATH=f"{PROGRAMS}{os.pathsep}{kept['PATH']}",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
        AWS_EC2_METADATA_DISABLED="true",
        NO_PROXY="127.0.0.1,localhost",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def carry_out(
    work: Work, tools: Sequence[str], rounds: int, scratch: Path, say: Say = print
) -> Outcome:
    """Measure one work with a server, and a relay where wanted, of its own."""
    outcome = Outcome()
    folder = scratch / work.name
    with ExitStack() as stack:
        stack.callback(remove, folder)
        folder.mkdir()
        server = stack.enter_context(SeaweedServer())
        relay = stack.enter_context(RelayProcess(server.url)) if work.network == "relay" else None
        endpoint = server if relay is None else server.at(relay.url)
        lanes = _set_up(work, tools, endpoint, folder, outcome, say)
        janitor = stack.enter_context(_Janitor(server, folder))
        for lane in lanes:
            janitor.note(lane.tool.bucket)
        for number in range(rounds):
            turn = number % max(1, len(lanes))
            for lane in lanes[turn:] + lanes[:turn]:
                try:
                    outcome.samples += lane.go(number, relay, say)
                except (CommandFailed, WrongContent) as failure:  # the others go on
                    say(f"  {lane.tool.name}: FAILED, {failure}")
                    outcome.skipped[lane.tool.name] = str(failure).partition("\n")[0]
                    lanes.remove(lane)
                janitor.clean(lane.tool)
    outcome.samples = [s for s in outcome.samples if s.tool not in outcome.skipped]
    return outcome


def _set_up(
    work: Work, tools: Sequence[str], endpoint: Endpoint, folder: Path, outcome: Outcome, say: Say
) -> list[_Lane]:
    """Return who takes part; who cannot is noted in `outcome`."""
    base = _make_files(work, folder / "base")
    lanes = []
    for name in (tool for tool in work.tools if tool in tools):
        tool = TOOLS[name](endpoint, folder)
        repo = AnnexRepo(folder / f"template-{tool.bucket}")
        _clone(base, repo.path)
        try:
            tool.set_up(repo)
        except (Unavailable, AssertionError) as reason:  # AnnexRepo is made for tests
            say(f"  {name}: skipped, {reason}")
            outcome.skipped[name] = str(reason).partition("\n")[0]
        else:
            lanes.append(_Lane(work, tool, repo, folder))
    return lanes


class _Lane:
    """One tool at one work."""

    def __init__(self, work: Work, tool: Tool, template: AnnexRepo, folder: Path) -> None:
        self.work = work
        self.tool = tool
        self._template = template
        self._folder = folder

    def go(self, number: int, relay: RelayProcess | None, say: Say) -> Iterator[Sample]:
        """Do one round; what it needs is made before and gone after."""
        repo = AnnexRepo(self._folder / "round", self._template.env)
        _clone(self._template.path, repo.path)
        try:
            self._make_ready(repo)
            for direction in self.work.directions:
                if direction == "get":
                    self._drop(repo)
                sample = self._measure(direction, number, repo, relay)
                say(
                    f"  round {number + 1}  {direction:4}  {self.tool.name:12} {sample.seconds:7.2f} s"
                    f"  {sample.peak_rss_bytes / 1e6:6.0f} MB  CPU {sample.remote_cpu_s:5.2f}"
                    f" of {sample.total_cpu_s:5.2f} s"
                    + (f"  relay {sample.relay_cpu_s:4.2f} s" if relay else "")
                )
                yield sample
            self._check(repo)
        finally:
            remove(repo.path)

    def _measure(
        self, direction: cases.Direction, number: int, repo: AnnexRepo, relay: RelayProcess | None
    ) -> Sample:
        command = self.tool.command(direction, self.work, repo.path)
        relay_before = cpu_seconds(relay.process.pid) if relay else 0.0
        used = run_measured(
            command, repo.path, os.environ | repo.env, self._folder / "log", self.tool.is_remote
        )
        relay_cpu_s = cpu_seconds(relay.process.pid) - relay_before if relay else 0.0
        return Sample(
            self.work.name, direction, self.tool.name, number, used.seconds, used.remote_cpu_s,
            used.total_cpu_s, used.peak_rss_bytes, used.growth_bytes, used.processes, relay_cpu_s,
        )  # fmt: skip

    def _make_ready(self, repo: AnnexRepo) -> None:
        if isinstance(self.tool, S5cmd):
            plain = repo.path / "plain"
            plain.mkdir()
            for link in (repo.path / "files").iterdir():
                os.link(link.resolve(), plain / link.name)
        else:
            repo.run("git", "status", "--short")  # the index knows the inodes again

    def _drop(self, repo: AnnexRepo) -> None:
        if isinstance(self.tool, S5cmd):
            remove(repo.path / "plain")
        else:
            repo.annex("drop", "--force", "--quiet", ".")

    def _check(self, repo: AnnexRepo) -> None:
        """Make sure that everything came back; git-annex has compared the checksums itself."""
        if "get" not in self.work.directions:
            return
        if isinstance(self.tool, AnnexTool):
            there = [path for path in (repo.path / "files").iterdir() if path.exists()]
        else:
            there = list((repo.path / "plain").iterdir())
        sizes = {path.stat().st_size for path in there}
        if len(there) != self.work.files or sizes != {self.work.size_bytes}:
            raise WrongContent(f"{self.tool.name} brought back {len(there)} files of {sizes} bytes")


class _Janitor:
    """Empties buckets by making them anew: then the server frees the space at once."""

    def __init__(self, server: Endpoint, folder: Path) -> None:
        self._client: S3Client = boto3_client(server)
        self._folder = folder
        self._first: dict[str, dict[str, bytes]] = {}

    def note(self, bucket: str) -> None:
        """Remember what is in a bucket, which is little; make it if it is not there."""
        self._client.create_bucket(Bucket=bucket) if not self._has(bucket) else None
        self._first[bucket] = {
            key: self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in self._keys(bucket)
        }

    def clean(self, tool: Tool) -> None:
        """Leave in the bucket only what was noted, and room for more."""
        if isinstance(tool, Null):
            remove(tool.folder)
            tool.folder.mkdir()
        keys = list(self._keys(tool.bucket))
        for begin in range(0, len(keys), 1000):
            doomed = [{"Key": key} for key in keys[begin : begin + 1000]]
            self._client.delete_objects(Bucket=tool.bucket, Delete={"Objects": doomed, "Quiet": True})
        self._client.delete_bucket(Bucket=tool.bucket)
        self._client.create_bucket(Bucket=tool.bucket)
        # the first object makes the server allocate volumes, which is nobody's fault
        self._client.put_object(Bucket=tool.bucket, Key="warm-up", Body=b"1")
        self._client.delete_object(Bucket=tool.bucket, Key="warm-up")
        for key, body in self._first[tool.bucket].items():
            self._client.put_object(Bucket=tool.bucket, Key=key, Body=body)

    def __enter__(self) -> _Janitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _has(self, bucket: str) -> bool:
        return any(bucket == found["Name"] for found in self._client.list_buckets()["Buckets"])

    def _keys(self, bucket: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                yield entry["Key"]


def _make_files(work: Work, path: Path) -> Path:
    """Return a repository with the files of a work, the same ones in each run."""
    repo = AnnexRepo.create(path)
    (path / "files").mkdir()
    source = random.Random(work.name)
    for number in range(work.files):
        with (path / "files" / f"{number:05}").open("wb") as file:
            for _ in range(work.size_bytes // BLOCK_BYTES):
                file.write(source.randbytes(BLOCK_BYTES))
            file.write(source.randbytes(work.size_bytes % BLOCK_BYTES))
    repo.annex("add", "--quiet", "files")
    repo.run("git", "commit", "-q", "-m", "files")
    return path


def _clone(source: Path, target: Path) -> None:
    """Copy a repository; content, which nobody changes, is linked."""

    def copy(one: str, other: str) -> str:
        if "/.git/annex/objects/" in one:
            os.link(one, other)
            return other
        return shutil.copy2(one, other)

    shutil.copytree(source, target, symlinks=True, copy_function=copy)


def remove(folder: Path) -> None:
    """Remove a folder; git-annex takes the right to write from some."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            below = Path(path, name)
            if not below.is_symlink():
                below.chmod(below.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=sys.exc_info()[0] is not None)
