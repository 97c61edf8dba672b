"""What a server's home folder remembers: keys, ports and the running process.

The record holds a secret.  It is created with mode 0600 and renamed into place, so at no moment
can another user read it and no reader sees half of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from datalad_s3ext.errors import ConfigError, LocalError

REGION = "us-east-1"  # SeaweedFS takes any; this is what clients assume when they know nothing
RECORD_NAME = "server.json"
LOCK_NAME = "server.lock"
ANOTHER_FOLDER = "name a folder that you can write to: --home DIR, or S3EXT_SERVER_HOME=DIR"

_ID_ALPHABET = string.ascii_uppercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class ServerInfo:
    """How to reach a server; `pid` is None when none was running at the time of asking."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    home: Path
    pid: int | None


@dataclass(frozen=True)
class Record:
    """The content of ``server.json``.

    `identity` tells the process with `pid` from any later process that got the same number.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    ports: dict[str, int] = field(default_factory=dict)
    pid: int | None = None
    identity: str | None = None

    @classmethod
    def with_new_keys(cls) -> Self:
        """Return a record of no process, with keys nobody else has."""
        return cls(_random_text(_ID_ALPHABET, 20), _random_text(_SECRET_ALPHABET, 40))

    @property
    def endpoint(self) -> str:
        """The URL that S3 clients connect to."""
        return f"http://127.0.0.1:{self.ports['s3']}"

    def running(self, pid: int, identity: str | None) -> Record:
        """Return this record, now of the process `pid`."""
        return replace(self, pid=pid, identity=identity)

    def stopped(self) -> Record:
        """Return this record without a process; keys and ports stay for the next start."""
        return replace(self, pid=None, identity=None)

    def info(self, home: Path) -> ServerInfo:
        """Return what users of the server need to know."""
        return ServerInfo(
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            home=home,
            pid=self.pid,
        )


def load(home: Path) -> Record | None:
    """Return the record in `home`, or None when there is none.

    Raises
    ------
    ConfigError
        When the file is no record, or `home` no folder.
    LocalError
        When the file cannot be read.
    """
    require_folder(home)
    path = home / RECORD_NAME
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LocalError(f"cannot read {path}: {exc.strerror}", remedy=ANOTHER_FOLDER) from exc
    except (ValueError, KeyError, TypeError) as exc:
        old, new = shlex.quote(str(path)), shlex.quote(f"{path}.broken")
        # `from None`: the text of the file, with the secret, must not stand in a traceback
        raise ConfigError(
            f"{path} is not a readable record of a local server ({type(exc).__name__})",
            remedy=f"restore it; or keep the data and get new keys: mv {old} {new}, then start again"
            " (moving the whole folder away instead puts the data out of sight)",
        ) from None


def _checked(stored: dict[str, Any]) -> Record:
    """Return the record that was `stored`, or raise what says that it is none."""
    record = Record(**{name: stored[name] for name in Record.__dataclass_fields__})
    ports: dict[str, int] = dict(record.ports)
    if not all(type(port) is int for port in (*ports.values(), ports["s3"])):
        raise TypeError("a port is no number")
    if not all(type(text) is str for text in (record.access_key_id, record.secret_access_key)):
        raise TypeError("a key is no text")
    return record


def save(home: Path, record: Record) -> None:
    """Write `record` to `home`, for the owner's eyes only, whole or not at all."""
    content = {"endpoint": record.endpoint, "region": REGION, **asdict(record)}
    write_private(home / RECORD_NAME, json.dumps(content, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file with `text` that only its owner can read, at any moment."""
    side_file = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(side_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        side_file.replace(path)
    except BaseException:
        side_file.unlink(missing_ok=True)
        raise


def make_home(home: Path) -> None:
    """Create `home` for its owner alone; an existing folder must be empty or a server's home.

    Raises
    ------
    ConfigError
        When the folder holds something else: its access rights are not ours to change.
    OSError
        When it cannot be created.
    """
    require_folder(home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {entry.name for entry in home.iterdir()}
    if names and not names & {RECORD_NAME, LOCK_NAME}:
        raise ConfigError(
            f"{home} holds files that are not a local server's",
            remedy="name an empty or new folder with --home DIR",
        )
    home.chmod(0o700)


def require_folder(home: Path) -> None:
    """Raise ConfigError when `home`, or what should be a folder above it, is something else."""
    for path in (home, *home.parents):
        if path.is_dir():
            return
        if os.path.lexists(path) and not path.is_dir():  # another start may have made it just now
            raise ConfigError(f"{path} is not a folder", remedy="name one with --home DIR")


@contextmanager
def folder_errors(home: Path) -> Iterator[None]:
    """Turn failures of the file system into a LocalError that names `home`."""
    try:
        yield
    except OSError as exc:
        raise LocalError(
            f"cannot use the server's folder {home}: {exc.strerror}", remedy=ANOTHER_FOLDER
        ) from exc


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server in `home`; others wait."""
    handle = os.open(home / LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _random_text(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
