"""What the end-to-end tests share: what is in a bucket, what a command said, which processes live."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from datalad_s3ext.units import MIB
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

PROGRAM = "git-annex-remote-s3x"
POLL_S = 0.02
GIT_ANNEX_SAYS = re.compile(r"(to|from|checking) s3\.\.\.|Unable to access these remotes")


def pattern(size_bytes: int, seed: int = 0) -> bytes:
    """Return bytes in which no two blocks are alike, the same ones each time."""
    source = random.Random(seed)
    sizes = (min(MIB, size_bytes - start) for start in range(0, size_bytes, MIB))
    return b"".join(source.randbytes(size) for size in sizes)


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return as soon as `condition` holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s in vain: {what}"
        time.sleep(POLL_S)


def add_all(repo: AnnexRepo, files: dict[str, bytes]) -> dict[str, str]:
    """Add files in one go; return their keys."""
    for name, content in files.items():
        path = repo.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    repo.annex("add", ".")
    repo.run("git", "commit", "-q", "-m", "files")
    found = repo.annex("find", "--json", "--include=*")
    records = records_of(found.stdout)
    return {record["file"]: record["key"] for record in records}


def clone_of(repo: AnnexRepo, path: Path) -> AnnexRepo:
    """Return a clone with the special remote enabled, as a colleague would have it."""
    clone = repo.clone(path)
    clone.annex("enableremote", "s3")
    confirm(clone, "s3")
    return clone


def confirm(repo: AnnexRepo, remote: str) -> None:
    """Tell git-annex that a remote whose configuration came in with a clone is the right one."""
    asked = repo.annex("verifyremote", remote)
    number = re.search(r"--safe (\d+)", asked.stdout + asked.stderr)
    if number:
        repo.annex("verifyremote", remote, "--safe", number[1])


# -- what is at the server ------------------------------------------------------------------------


def object_names(endpoint: Endpoint, bucket: str) -> set[str]:
    """Return the names of all objects of a bucket."""
    pages = boto3_client(endpoint).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def object_bytes(endpoint: Endpoint, bucket: str, name: str) -> bytes | None:
    """Return what an object holds; ``None`` when there is none."""
    client = boto3_client(endpoint)
    try:
        return client.get_object(Bucket=bucket, Key=name)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None


def unfinished_uploads(endpoint: Endpoint, bucket: str) -> list[str]:
    """Return the names of objects that somebody has begun to upload in parts."""
    try:
        answer = boto3_client(endpoint).list_multipart_uploads(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchUpload":  # rclone's way to say: none
            return []
        raise
    return [upload["Key"] for upload in answer.get("Uploads", [])]


# -- what a command said --------------------------------------------------------------------------


def records_of(output: str) -> list[dict[str, Any]]:
    """Return the records of a command with --json.

    git-annex's runtime system may print "runHandler: couldn't find handler" between them.
    """
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def report(repo: AnnexRepo, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Run a git-annex command; return its exit code and what it says of each file."""
    done = repo.annex(*arguments, "--json", "--json-error-messages", check=False)
    return done.returncode, records_of(done.stdout)


def failure(repo: AnnexRepo, *arguments: str) -> str:
    """Run a command that shall fail for its one file, with one reason on one line; return that.

    git-annex begins a transfer anew that had made progress: then each attempt has its line.
    """
    code, records = report(repo, *arguments)
    assert code != 0, records
    assert len(records) == 1, records
    assert records[0]["success"] is False
    said = reasons(records[0])
    for text in said:
        assert "\n" not in text, said
        assert_clean(text)
    assert len({re.sub(r"part \d+", "part", text) for text in said}) == 1, said
    return said[-1]


def reasons(record: dict[str, object]) -> list[str]:
    """Return what git-annex passed on of the remote's words."""
    errors = record["error-messages"]
    assert isinstance(errors, list)
    found = [str(text) for text in (*errors, record.get("note") or "")]
    return [text for text in found if text and not GIT_ANNEX_SAYS.match(text)]


def init_failure(repo: AnnexRepo, endpoint: Endpoint, bucket: str) -> str:
    """Run an initremote that shall fail and record nothing; return its reason."""
    done = repo.init_s3x(endpoint, bucket, check=False)
    assert done.returncode != 0, done.stdout
    lines = [line for line in done.stderr.splitlines() if line != "initremote: 1 failed"]
    assert len(lines) == 1, done.stderr
    assert endpoint.secret_access_key not in done.stdout + done.stderr
    assert_nothing_recorded(repo)
    assert_clean(lines[0])
    return lines[0].removeprefix("git-annex: ")


def assert_nothing_recorded(repo: AnnexRepo) -> None:
    """Assert that neither git-annex nor git knows of a remote."""
    assert repo.run("git", "show", "git-annex:remote.log", check=False).returncode != 0
    assert "[remote" not in (repo.path / ".git" / "config").read_text()
    assert not list((repo.path / ".git" / "annex").glob("creds/*"))


def assert_clean(text: str) -> None:
    """Assert that a message is for people: no traceback, no Python and no XML in it."""
    for foreign in ("Traceback", "Error(", "botocore", "<Error>", "internal error of git-annex"):
        assert foreign not in text, text


def copies(repo: AnnexRepo, name: str) -> set[str]:
    """Return the UUIDs of the places that git-annex believes to have a file."""
    answer = json.loads(repo.annex("whereis", "--json", "--", name, check=False).stdout)
    return {place["uuid"] for place in answer["whereis"]}


def is_here(repo: AnnexRepo, name: str) -> bool:
    """Tell whether the content of a file is in the repository."""
    return repo.annex("find", "--in=here", "--", name).stdout.strip() != ""


# -- processes ------------------------------------------------------------------------------------


def start(repo: AnnexRepo, *arguments: str) -> subprocess.Popen[bytes]:
    """Start git-annex in a process group of its own; its process id is that of git-annex itself."""
    return subprocess.Popen(
        ["git-annex", *arguments],
        cwd=repo.path,
        env={**os.environ, **repo.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def remotes_of(repo: AnnexRepo) -> list[int]:
    """Return the ids of the special remote's processes that work in a repository."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
                cwd = (folder / "cwd").readlink()
            except OSError:
                continue
            if PROGRAM.encode() in words and cwd.is_relative_to(repo.path):
                found.append(int(folder.name))
    return found


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End git-annex and all it has started, without a word."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def log_starts(repo: AnnexRepo, folder: Path) -> Path:
    """Have each start of the special remote noted, a line with its arguments; return the log."""
    folder.mkdir()
    log = folder / "starts.log"
    log.touch()
    script = folder / PROGRAM
    script.write_text(f'#!/bin/sh\necho "started $*" >> {log}\nexec {shutil.which(PROGRAM)} "$@"\n')
    script.chmod(0o755)
    repo.env["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return log
