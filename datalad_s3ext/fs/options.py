"""What people can choose about reading: ``storage_options`` of fsspec, else git's configuration.

================  =====================  ==========================================================
storage option    git configuration      meaning
================  =====================  ==========================================================
``cache_memory``  ``s3x.cache-memory``   the most memory for what was read, of the whole process
``cache_disk``    ``s3x.cache-disk``     the most disk for what was read, of all processes; 0: none
``cache_dir``     ``s3x.cache-dir``      the folder of that; by default in the user's cache folder
``read_ahead``    ``s3x.read-ahead``     how much more a small read fetches
``verify``        ``s3x.verify-reads``   compare files that were read completely with their keys
``keep``          ``s3x.keep-read``      put verified files into the annex of the clone
================  =====================  ==========================================================
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datalad_s3ext import places
from datalad_s3ext.errors import ConfigError, LocalError, one_line
from datalad_s3ext.units import GIB, KIB, MIB, parse_size

BLOCK_BYTES = 256 * KIB
"""What is kept together. A read through an open file rounds up by less than two of them."""
_NO_MATCH = 1
_TRUE = frozenset({"true", "1", "yes", "on", ""})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class CacheOptions:
    """How much of what was read is kept, and where."""

    memory_bytes: int = 128 * MIB
    disk_bytes: int = GIB
    folder: Path | None = None
    """``None``: the user's cache folder."""

    @property
    def disk_folder(self) -> Path:
        """Return where blocks lie on disk."""
        return self.folder or places.read_cache()


@dataclass(frozen=True)
class Options:
    """Choices that hold for all files of one file system."""

    profile: str | None = None
    """AWS profile; else what the remote uses in this clone."""
    anonymous: bool = False
    """Send no keys."""
    remote: str | None = None
    """Read from this special remote only, and not from what lies here."""
    read_ahead_bytes: int = 5 * MIB
    verify: bool = True
    keep: bool = False
    cache: CacheOptions = field(default_factory=CacheOptions)


STORAGE_OPTIONS = frozenset({
    "profile", "anon", "remote", "cache_memory", "cache_disk", "cache_dir", "read_ahead", "verify",
    "keep",
})  # fmt: skip
"""Names that people can give in ``storage_options``, besides ``repo`` and ``ref``."""


def read_options(git_dir: Path, given: Mapping[str, Any]) -> Options:
    """Return the choices in `given`, completed by the git configuration of the repository.

    Raises
    ------
    ConfigError
        When one is malformed.
    """
    config = _git_config(git_dir)
    usual, cache = Options(), CacheOptions()

    def size(option: str, setting: str, default: int) -> int:
        value = given.get(option)
        if isinstance(value, int):
            return value
        name, text = (option, value) if value is not None else (setting, config.get(setting))
        return default if text is None else parse_size(str(text), setting=name)

    def flag(option: str, setting: str, default: bool) -> bool:
        value = given.get(option)
        return value if isinstance(value, bool) else _flag(setting, config.get(setting), default)

    folder = given.get("cache_dir") or config.get("s3x.cache-dir")
    return Options(
        profile=given.get("profile"),
        anonymous=bool(given.get("anon", False)),
        remote=given.get("remote"),
        read_ahead_bytes=size("read_ahead", "s3x.read-ahead", usual.read_ahead_bytes),
        verify=flag("verify", "s3x.verify-reads", usual.verify),
        keep=flag("keep", "s3x.keep-read", usual.keep),
        cache=CacheOptions(
            size("cache_memory", "s3x.cache-memory", cache.memory_bytes),
            size("cache_disk", "s3x.cache-disk", cache.disk_bytes),
            Path(folder).expanduser().absolute() if folder else None,
        ),
    )


def _flag(name: str, text: str | None, default: bool) -> bool:
    if text is None:
        return default
    if text.lower() not in _TRUE | _FALSE:
        raise ConfigError(f"{name}={text!r} is neither yes nor no", remedy="write true or false")
    return text.lower() in _TRUE


def _git_config(git_dir: Path) -> Mapping[str, str]:
    found = subprocess.run(
        ["git", f"--git-dir={git_dir}", "config", "-z", "--get-regexp", r"^s3x\.[a-z-]+$"],
        capture_output=True, text=True, errors="surrogateescape", check=False,
    )  # fmt: skip
    if found.returncode not in {0, _NO_MATCH}:
        raise LocalError(f"git cannot read its configuration: {one_line(found.stderr)}")
    pairs = (entry.partition("\n") for entry in found.stdout.split("\0") if entry)
    return {name: value for name, _, value in pairs}
