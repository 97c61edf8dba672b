"""Where our own files live on the user's machine (XDG base directories)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from datalad_s3ext.errors import LocalError

_UNFIT = re.compile(r"[^a-z0-9.-]+")  # in the name of a file


def user_providers() -> Path:
    """Return the folder of presets that the user added."""
    return _base("XDG_CONFIG_HOME", ".config") / "providers"


def measured_services() -> Path:
    """Return the folder of what `datalad s3-doctor --save` measured, one file per service."""
    return _base("XDG_CONFIG_HOME", ".config") / "measured"


def measured_service(endpoint_url: str) -> Path:
    """Return the file of what was measured at `endpoint_url` (scheme, host and port)."""
    host = endpoint_url.partition("://")[2].lower()
    return measured_services() / f"{_UNFIT.sub('-', host).strip('-.')}.toml"


def server_home() -> Path:
    """Return the folder of the local S3 server: its data, keys and log.

    The environment variable ``S3EXT_SERVER_HOME`` names another one.
    """
    chosen = os.environ.get("S3EXT_SERVER_HOME")
    return Path(chosen).absolute() if chosen else _base("XDG_DATA_HOME", ".local/share") / "server"


def read_cache() -> Path:
    """Return the folder of what was read of data sets without being downloaded."""
    return _base("XDG_CACHE_HOME", ".cache") / "blocks"


def server_record() -> Path:
    """Return the file in which a running local server says how to reach it (mode 0600)."""
    return server_home() / "server.json"


def _base(variable: str, fallback: str) -> Path:
    chosen = os.environ.get(variable)
    root = Path(chosen) if chosen else _home() / fallback
    return root / "datalad-s3ext"


def _home() -> Path:
    """Return the user's home folder; with an empty ``HOME``, the one of the password database.

    `Path.home` takes an empty ``HOME`` for ``/``.
    """
    import pwd

    try:
        return Path.home() if os.environ.get("HOME", "?") else Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (KeyError, RuntimeError):
        raise LocalError("this user has no home folder", remedy="set the variable HOME") from None
