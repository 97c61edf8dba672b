"""Run a command and see how long it takes, how much memory and CPU it and its remote use.

CPU of everything comes from wait4() and is exact. What belongs to the remote's process alone is read
from /proc every 20 ms, so up to so much of its end is missed. Linux only.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_S = 0.02
SEARCH_S = 0.05  # how often to look for new processes
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SERIES_STEP_S = 0.25

IsRemote = Callable[[Sequence[str]], bool]
"""Tells by its command line whether a process is the remote's."""


class CommandFailed(RuntimeError):
    """A measured command ended with an error; the message has the end of what it said."""


@dataclass(frozen=True)
class Usage:
    """What a command took."""

    seconds: float
    remote_cpu_s: float
    total_cpu_s: float
    peak_rss_bytes: int
    processes: int  # of the remote
    rss_series: list[int] = field(default_factory=list)  # bytes, every SERIES_STEP_S

    @property
    def growth_bytes(self) -> int:
        """How much more memory the remote had at its end than after a fifth of its time."""
        series = self.rss_series
        return series[-1] - series[len(series) // 5] if series else 0


@dataclass
class _Process:
    cpu_s: float = 0.0
    rss_bytes: int = 0
    peak_bytes: int = 0


def run_measured(
    command: Sequence[str | Path], cwd: Path, env: Mapping[str, str], log: Path, is_remote: IsRemote
) -> Usage:
    """Run `command` to its end.

    Raises
    ------
    CommandFailed
        When it ends with another code than 0.
    """
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        watch = _Watch(process.pid, is_remote)
        try:
            status, used = _watched_to_end(process.pid, watch)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait again
    if process.returncode:
        said = log.read_text(errors="replace")[-2000:]
        raise CommandFailed(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said}")
    return watch.usage(seconds, used.ru_utime + used.ru_stime)


def _watched_to_end(pid: int, watch: _Watch) -> tuple[int, resource.struct_rusage]:
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, used
        watch.sample()
        time.sleep(SAMPLE_S)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far."""
    reading = _read_stat(pid)
    return 0.0 if reading is None else reading[0]


class _Watch:
    """Reads what the remote's processes use, for as long as they live."""

    def __init__(self, root: int, is_remote: IsRemote) -> None:
        self._root = root
        self._is_remote = is_remote
        self._seen: dict[int, _Process] = {}
        self._seen_once: set[int] = set()
        self._peak_bytes = 0
        self._series: list[int] = []
        self._next_search = self._next_point = 0.0

    def sample(self) -> None:
        now = time.monotonic()
        if now >= self._next_search:
            self._search()
            self._next_search = now + SEARCH_S
        together = sum(self._read(pid, process) for pid, process in self._seen.items())
        self._peak_bytes = max(self._peak_bytes, together)
        if now >= self._next_point and together:
            self._series.append(together)
            self._next_point = now + SERIES_STEP_S

    def usage(self, seconds: float, total_cpu_s: float) -> Usage:
        seen = list(self._seen.values())
        peak = seen[0].peak_bytes if len(seen) == 1 else self._peak_bytes
        cpu_s = sum(process.cpu_s for process in seen)
        return Usage(seconds, cpu_s, total_cpu_s, peak, len(seen), self._series)

    def _search(self) -> None:
        candidates = {pid for pid in _tree(self._root) if self._is_remote(_command_line(pid))}
        for pid in candidates & self._seen_once:  # between fork and exec one looks like its parent
            self._seen.setdefault(pid, _Process())
        self._seen_once = candidates

    def _read(self, pid: int, process: _Process) -> int:
        reading = _read_stat(pid)
        if reading is None:
            return 0
        process.cpu_s, process.rss_bytes = reading
        process.peak_bytes = max(process.peak_bytes, process.rss_bytes, _high_water_mark(pid))
        return process.rss_bytes


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for task in tasks:
        try:
            children = (task / "children").read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            yield from _tree(int(child))


def _command_line(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return raw.decode("utf-8", "replace").split("\0")[:-1]


def _read_stat(pid: int) -> tuple[float, int] | None:
    """Return CPU seconds and resident bytes, or None when the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S, int(fields[21]) * PAGE_BYTES


def _high_water_mark(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
