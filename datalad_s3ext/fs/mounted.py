"""Where commits of data sets are mounted, who uses them, and how they come off. Linux, fuse3."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datalad_s3ext.errors import ConfigError, LocalError, one_line

FSNAME = "datalad-s3ext"
"""What the list of mounts says of ours."""
PROGRAM = "fusermount3"
POLL_S = 0.1
State = Literal["none", "ours", "stale", "foreign"]
_MOST_LINKS = 40
"""So many the kernel follows, too."""
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


@dataclass(frozen=True)
class User:
    """A process that keeps a mount from coming off."""

    pid: int
    name: str

    def __str__(self) -> str:
        """Return the way `ps` would name it."""
        return f"{self.name} (process {self.pid})"


def state_of(folder: Path) -> State:
    """Tell what is mounted on `folder`.

    Returns
    -------
    {"none", "ours", "stale", "foreign"}
        ``stale``: one whose program has ended; every access says "Transport endpoint is not connected".
    """
    kind = _kind_of(folder)
    if kind is None:
        return "none"
    if not kind.startswith("fuse"):
        return "foreign"
    try:
        os.statvfs(folder)  # the kernel answers `stat` from memory, also when nobody serves the mount
    except OSError as error:
        if error.errno != errno.EACCES:
            return "stale"
    return "ours" if kind == f"fuse.{FSNAME}" else "foreign"


def is_ours(folder: Path) -> bool:
    """Tell whether this package has mounted on `folder`, without a word of who serves that."""
    return device_of(folder) is not None


def device_of(folder: Path) -> str | None:
    """Return the number of the device on `folder`, if this package has mounted it; no two share one."""
    found = _last_on(folder)
    return found[0] if found is not None and found[1] == f"fuse.{FSNAME}" else None


def _kind_of(folder: Path) -> str | None:
    """Return the kind of file system that was mounted last on `folder`; ``None`` without any."""
    found = _last_on(folder)
    return None if found is None else found[1]


def _last_on(folder: Path) -> tuple[str, str] | None:
    """Return device and kind of what was mounted last on `folder`."""
    wanted = os.fsencode(resolved(folder))
    found = None
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        words = line.split(b" ")
        if _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), words[4]) == wanted:
            kind = words[words.index(b"-") + 1]
            found = words[2].decode("ascii", "replace"), kind.decode("ascii", "replace")
    return found


def resolved(folder: Path) -> str:
    """Return the absolute path without links; what the last one leads to may be a stale mount."""
    path = os.path.abspath(folder)
    for _ in range(_MOST_LINKS):
        parent, name = os.path.split(path)
        path = os.path.normpath(os.path.join(os.path.realpath(parent), name))
        try:
            target = os.readlink(path)  # asks nobody who serves a mount there
        except OSError:
            break
        path = os.path.join(os.path.dirname(path), target)
    return path


def check_program() -> None:
    """Make sure that this machine can mount.

    Raises
    ------
    ConfigError
        When fuse3 or the device is missing, with what to do.
    """
    if shutil.which(PROGRAM) is None:
        raise ConfigError(f"{PROGRAM} was not found in PATH", remedy="install fuse3: apt install fuse3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise ConfigError(
            "there is no /dev/fuse that you may use, so nothing can be mounted here",
            remedy="in a container, start it with --device /dev/fuse; or read without a mount: "
            "datalad s3-cat",
        )


def unmount(folder: Path, *, wait_s: float, detach: bool = False) -> None:
    """Take off what is mounted on `folder`, trying again while it is busy.

    Parameters
    ----------
    wait_s : float
        For how long to try.
    detach : bool
        Take it out of sight at once; what is open stays open and usable.

    Raises
    ------
    LocalError
        When it is busy to the end, naming who uses it, or cannot be taken off.
    """
    end = time.monotonic() + wait_s
    while True:
        said = _unmount_once(folder, detach=detach)
        if said is None:
            return
        is_busy = "busy" in said.lower()
        if not is_busy:
            raise LocalError(f"{folder} cannot be unmounted: {said}")
        if time.monotonic() >= end:
            users = ", ".join(map(str, users_of(folder))) or "processes of other users"
            raise LocalError(
                f"{folder} is in use by {users}",
                remedy="end them or leave that folder, or take the mount out of sight: --force",
            )
        time.sleep(POLL_S)


def _unmount_once(folder: Path, *, detach: bool) -> str | None:
    command = [PROGRAM, "-u", *(["-z"] if detach else []), "--", resolved(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    return one_line(done.stderr or done.stdout) if done.returncode else None


def users_of(folder: Path) -> list[User]:
    """Return the processes that have something below `folder` open, or stand in it."""
    top = resolved(folder)
    return [
        User(int(entry.name), _name_of(entry))
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and any(_is_below(path, top) for path in _paths_of(entry))
    ]


def _paths_of(process: Path) -> Iterator[str]:
    """Yield what `process` uses; nothing for processes that end meanwhile or belong to others."""
    for name in ("cwd", "root", "exe"):
        yield from _link(process / name)
    try:
        handles = list((process / "fd").iterdir())
        maps = (process / "maps").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for handle in handles:
        yield from _link(handle)
    yield from {line.split(maxsplit=5)[-1] for line in maps if "/" in line}


def _link(path: Path) -> Iterator[str]:
    try:
        yield os.readlink(path)  # asks the kernel only, never the file system behind it
    except OSError:
        return


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _name_of(process: Path) -> str:
    try:
        return one_line((process / "comm").read_text(errors="replace"))
    except OSError:
        return "a process"
