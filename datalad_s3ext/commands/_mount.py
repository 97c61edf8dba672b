"""Starting and ending the program that serves a mount."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from datalad_s3ext import places
from datalad_s3ext.errors import ConfigError, LocalError, one_line
from datalad_s3ext.fs.dataset import Dataset
from datalad_s3ext.fs.mounted import check_program, is_ours, resolved, state_of, unmount
from datalad_s3ext.server.process import end_group, identity, last_lines, spawn, wait_until

START_S = 60.0
END_S = 5.0
OPTIONS = ("profile", "anon", "remote")
_DETACH_AT_ONCE_S = 5.0
_NOISE = "Ignoring invalid max threads value"


@dataclass(frozen=True)
class Mounting:
    """What is to be mounted where."""

    dataset: Dataset
    ref: str
    folder: Path
    options: Mapping[str, object]
    foreign_users: bool = False

    @property
    def commit_id(self) -> str:
        """Return the commit that `ref` means now.

        Raises
        ------
        ConfigError
            It means none.
        """
        return self.dataset.commit(self.ref).id

    def command(self) -> Sequence[str]:
        """Return the program that serves it, with its argument."""
        asked = {
            "repo": str(self.dataset.path),
            "ref": self.commit_id,
            "folder": str(self.folder),
            "options": self.options,
            "foreign_users": self.foreign_users,
        }
        return [sys.executable, "-m", "datalad_s3ext.fs.mount", json.dumps(asked)]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have others who want to mount on `folder` wait; they would all find it free."""
    lock = _noted(folder, "lock")
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # which ends with this process, too
        yield


def prepare(mounting: Mounting) -> str:
    """Make sure that the folder can be mounted on; take a stale mount off it.

    Returns
    -------
    str
        What was done about it, for people; ``""`` when nothing had to be.

    Raises
    ------
    ConfigError
        When it is in use, not empty, or lies in the data set.
    """
    check_program()
    _check_binding()
    folder, cleaned = mounting.folder, ""
    state = state_of(folder)
    if state == "stale":
        unmount(folder, wait_s=_DETACH_AT_ONCE_S, detach=True)
        cleaned = "a stale mount was taken off first; "
    elif state != "none":
        whose = (
            "this command has mounted there" if state == "ours" else "something else is mounted there"
        )
        raise ConfigError(
            f"{folder} is in use: {whose} already",
            remedy=f"choose another folder, or: datalad s3-mount --umount {folder}",
        )
    top = mounting.dataset.path.resolve()
    if folder.resolve() == top or folder.resolve().is_relative_to(top):
        raise ConfigError(
            f"{folder} lies in the dataset itself, which would then hold its own files again",
            remedy="choose a folder outside of it",
        )
    _make(folder)
    return cleaned


def start(mounting: Mounting) -> int:
    """Start the program and return its process id as soon as the mount answers.

    Raises
    ------
    LocalError
        When it does not, with the program's own last line.
    """
    log = _noted(mounting.folder, "log")
    pid = spawn(mounting.command(), cwd=Path("/"), log=log, env=os.environ)
    wait_until(lambda: identity(pid) is None or state_of(mounting.folder) == "ours", START_S)
    if identity(pid) is not None and state_of(mounting.folder) == "ours":
        return pid
    end_group(pid, grace_s=END_S)
    raise LocalError(f"{mounting.folder} was not mounted: {_told(last_lines(log, 2).split(' | '))}")


def begin(mounting: Mounting) -> subprocess.Popen[str]:
    """Start the program as a part of this one, and return it as soon as the mount answers.

    Raises
    ------
    LocalError
        When it does not, with the program's own words.
    """
    program = subprocess.Popen(mounting.command(), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: program.poll() is not None or state_of(mounting.folder) == "ours", START_S)
    if program.poll() is None and state_of(mounting.folder) == "ours":
        return program
    program.terminate()
    _, said = program.communicate()
    raise LocalError(f"{mounting.folder} was not mounted: {_told(said.splitlines())}")


def stay(program: subprocess.Popen[str]) -> None:
    """Wait until the program ends: after Ctrl-C, which it also gets, or somebody unmounts.

    Raises
    ------
    LocalError
        When it fails, with its own words.
    """
    with program:
        try:
            _, said = program.communicate()
        except KeyboardInterrupt:
            program.terminate()  # which has it end at once, while Ctrl-C has it wait for its answers
            _, said = program.communicate()
    if program.returncode:
        raise LocalError(f"the mount has ended: {_told(said.splitlines())}")


def _told(lines: Iterable[str]) -> str:
    """Return what the program has said, without the warning of libfuse that it gives each time."""
    words = [one_line(line) for line in lines if line.strip() and not line.startswith(_NOISE)]
    return " | ".join(words) or "it has said nothing"


def end(folder: Path, *, wait_s: float, force: bool) -> str:
    """Unmount what this package has mounted on `folder`; return what was done, ``""`` for nothing.

    Raises
    ------
    ConfigError
        When something else is mounted there.
    LocalError
        When it stays in use, naming by whom.
    """
    check_program()
    if force and is_ours(folder):  # its state is not asked: who would answer may be busy for long
        unmount(folder, wait_s=wait_s, detach=True)
        return "unmounted"
    state = state_of(folder)
    if state == "none":
        return ""
    if state == "foreign":
        raise ConfigError(f"{folder} is a mount of something else", remedy="see: findmnt")
    is_stale = state == "stale"
    unmount(folder, wait_s=wait_s, detach=is_stale)
    return "stale mount cleaned" if is_stale else "unmounted"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise ConfigError(f"{folder} cannot be mounted on: {error.strerror}") from error
    if not is_empty:
        raise ConfigError(
            f"{folder} is not empty, and its files would be out of sight",
            remedy="choose an empty folder, or a new one",
        )


def _noted(folder: Path, kind: str) -> Path:
    """Return a file about what is mounted on `folder`, which can be written."""
    name = hashlib.sha256(os.fsencode(resolved(folder))).hexdigest()[:16]
    notes = places.read_cache().with_name("mounts")
    notes.mkdir(mode=0o700, parents=True, exist_ok=True)
    return notes / f"{name}.{kind}"


def _check_binding() -> None:
    missing = "mfusepy" if find_spec("mfusepy") is None else "" if find_library("fuse3") else "libfuse3"
    if missing:
        raise ConfigError(
            f"{missing} is not installed, so nothing can be mounted here",
            remedy="pip install 'datalad-s3ext[mount]', and apt install fuse3",
        )
