"""Starting a program that outlives us, recognising it later, and ending it for certain."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

POLL_S = 0.05
KILL_TIMEOUT_S = 10.0  # SIGKILL takes effect at once unless the disk hangs


def spawn(command: Sequence[str], *, cwd: Path, log: Path, env: Mapping[str, str]) -> int:
    """Start `command` in a session of its own, output to `log`, and return its process id."""
    handle = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,  # Ctrl-C in our terminal and our own end do not reach it
        )
    finally:
        os.close(handle)
    # Should it end while we live, it must not stay a zombie that looks like a process.
    threading.Thread(target=process.wait, daemon=True, name=f"reap-{process.pid}").start()
    return process.pid


def identity(pid: int) -> str | None:
    """Return text that no other process ever shares with `pid`, or None when it does not run.

    It consists of boot, start time and program name, so a reused process id is told apart.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except ProcessLookupError:
        return None
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _identity_by_ps(pid)
    program, _, rest = stat.partition("(")[2].rpartition(")")
    state, start_ticks = rest.split()[0], rest.split()[19]
    return None if state in "ZX" else f"{boot} {start_ticks} {program}"


def end_group(pid: int, *, grace_s: float) -> bool:
    """End the process group that `pid` leads: ask, wait `grace_s`, then kill.

    Returns whether the process is gone.  The caller has made sure that it is the right one.
    """
    was = identity(pid)
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILL_TIMEOUT_S)):
        if was is None or identity(pid) != was:
            return True
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return True
        if wait_until(lambda: identity(pid) != was, patience_s):
            return True
    return False


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask `condition` again and again until it holds or the time is over; return its answer."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now; all are held until the last is found."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def bind_error(port: int) -> OSError | None:
    """Return why no server could listen on the loopback `port`, or None when one could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore TIME_WAIT
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            return exc
        return None


def is_free(port: int) -> bool:
    """Return whether a server could listen on the loopback `port`."""
    return bind_error(port) is None


def all_free(ports: Iterable[int]) -> bool:
    """Return whether a server could listen on each of `ports`."""
    return all(is_free(port) for port in ports)


def find_in(folder: Path, program: str) -> int | None:
    """Return the id of a process of ours named `program` that works in `folder`.

    None when there is none, or when this system has no /proc to look at (macOS).
    """
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            is_program = (entry / "comm").read_text(errors="replace").strip() == program
            if is_program and (entry / "cwd").readlink() == folder.resolve():
                return int(entry.name)
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return None


def last_lines(log: Path, count: int = 4) -> str:
    """Return the end of `log` on one line."""
    try:
        text = log.read_bytes()[-8192:].decode("utf-8", "replace")
    except FileNotFoundError:
        return "no log"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(line[:300] for line in lines[-count:]) or "empty log"


def _identity_by_ps(pid: int) -> str | None:
    """Ask ps, for systems without /proc (macOS)."""
    answer = subprocess.run(
        ["ps", "-o", "lstart=,stat=,comm=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    *started, state, program = answer.stdout.split(maxsplit=6) or ["Z", ""]
    return None if state.startswith("Z") else f"{' '.join(started)} {program.strip()}"
