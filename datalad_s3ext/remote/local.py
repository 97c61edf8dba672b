"""What only this clone's own git config may say about a remote.

The parameters of a special remote come in with a clone and are somebody else's text. Whose keys are
used, how carefully, how patiently and how fast, is decided here, by the user of this clone.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datalad_s3ext.errors import ConfigError, LocalError
from datalad_s3ext.units import MIB, parse_size

PREFIX = "s3x-"
BWLIMIT = "bwlimit"
Signature = Literal["v4", "v2"]
Direction = Literal["upload", "download"]
V4: Signature = "v4"
V2: Signature = "v2"
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", ""})
_NO_MATCH = 1
CONNECTION_LIMIT = 256
LEAST_MEMORY_BYTES = 8 * MIB
_SECURITY = "annex.security.allowed-"
_READ = (
    rf"^(remote\..*\.({PREFIX}|annex-{BWLIMIT}|annex-s3-restore-)|"
    rf"annex\.({BWLIMIT}|s3-restore-|security\.allowed-)|s3x\..*\.place$)"
)


@dataclass(frozen=True)
class LocalChoices:
    """The ``remote.<name>.s3x-*`` values of the local git config, and git-annex's bandwidth limits."""

    profile: str | None = None
    """``s3x-profile``: the AWS profile to use."""
    anonymous: bool = False
    """``s3x-anonymous``: send no credentials."""
    signature: Signature | None = None
    """``s3x-signature``: v2 only counts from here."""
    verify: bool = False
    """``s3x-verify``: git-annex leaves it to s3x to verify what is received. Misspelt, it is a yes."""
    presign: bool = False
    """``s3x-presign``: git-annex downloads by itself, from presigned URLs."""
    retries: int | None = None
    """``s3x-retries``: how often to try a request again."""
    patience_s: float | None = None
    """``s3x-patience``: for how many seconds to go on trying."""
    stall_s: float | None = None
    """``s3x-stall-timeout``: after how many seconds without progress to try anew."""
    connections: int | None = None
    """``s3x-connections``: the most connections that large files may use."""
    memory_bytes: int | None = None
    """``s3x-memory``: how much memory downloads may fill ahead of what is written."""
    upload_bytes_per_s: int | None = None
    """``annex-bwlimit-upload`` and what stands for it, see `bandwidth_limit`; ``None`` for no limit."""
    download_bytes_per_s: int | None = None
    """The same for downloads."""
    customer_key_file: str | None = None
    """``s3x-sse-c-key-file``: the file with the key that the server encrypts with (SSE-C)."""
    customer_key_command: str | None = None
    """``s3x-sse-c-key-command``: what prints that key."""
    requester_pays: bool = False
    """``s3x-requester-pays``: the user agrees to pay for what is read."""
    restore_days: int = 1
    """``annex-s3-restore-days``, as for built-in S3: how long a restored copy stays."""
    restore_tier: str = "standard"
    """``annex-s3-restore-tier``, as for built-in S3: how fast, at which price."""
    allowed_addresses: str = ""
    """``annex.security.allowed-ip-addresses``: which hosts a URL of the data set may lead to."""
    allowed_schemes: str = "http https"
    """``annex.security.allowed-url-schemes``: with which schemes."""
    agreed_places: frozenset[tuple[str, str]] = frozenset()
    """UUIDs of remotes, and where this clone keeps their content; see :mod:`.moves`."""


def read_choices(remote_name: str, git_dir: Path | None = None) -> LocalChoices:
    """Ask git for the values of the remote `remote_name`, by default around the working directory.

    Without a name, only what is said of every remote counts.

    Raises
    ------
    ConfigError
        When a number or a size is malformed.
    LocalError
        When git cannot read its configuration: that is no answer to whether something is in it.
    """
    from datalad_s3ext.repo.trust import agreed_in

    pairs = _git_config(git_dir)
    found = dict(pairs)  # the last of several counts
    own = f"remote.{remote_name}.{PREFIX}"
    return LocalChoices(
        profile=found.get(f"{own}profile"),
        anonymous=found.get(f"{own}anonymous", "false").lower() in _TRUE,
        signature={"v2": V2, "v4": V4}.get(found.get(f"{own}signature", "")),
        verify=found.get(f"{own}verify", "false").lower() not in _FALSE,
        presign=found.get(f"{own}presign", "false").lower() in _TRUE,
        retries=_count(found, f"{own}retries"),
        connections=_count(found, f"{own}connections", least=1, most=CONNECTION_LIMIT),
        memory_bytes=_memory(found, f"{own}memory"),
        patience_s=_seconds(found, f"{own}patience"),
        stall_s=_seconds(found, f"{own}stall-timeout"),
        upload_bytes_per_s=bandwidth_limit(found, remote_name, "upload"),
        download_bytes_per_s=bandwidth_limit(found, remote_name, "download"),
        customer_key_file=found.get(f"{own}sse-c-key-file"),
        customer_key_command=found.get(f"{own}sse-c-key-command"),
        requester_pays=found.get(f"{own}requester-pays", "false").lower() in _TRUE,
        restore_days=_count(found, _restore_setting(found, remote_name, "days"), least=1) or 1,
        restore_tier=found.get(_restore_setting(found, remote_name, "tier"), "standard").lower(),
        allowed_addresses=found.get(f"{_SECURITY}ip-addresses", ""),
        allowed_schemes=found.get(f"{_SECURITY}url-schemes", LocalChoices.allowed_schemes),
        agreed_places=agreed_in(pairs),
    )


def bandwidth_limit(found: Mapping[str, str], remote_name: str, direction: Direction) -> int | None:
    """Return bytes per second, or ``None`` for no limit.

    As in git-annex, what is said of one direction goes before what is said of both, and then what is
    said of one remote before what is said of all. 0 lifts a limit that would otherwise hold.

    Raises
    ------
    ConfigError
        When the value is no size. git-annex ignores it then, but somebody wants a limit.
    """
    for setting in (f"{BWLIMIT}-{direction}", BWLIMIT):
        for name in (f"remote.{remote_name}.annex-{setting}", f"annex.{setting}"):
            if name in found:
                return parse_size(found[name], setting=name) or None
    return None


def _restore_setting(found: Mapping[str, str], remote_name: str, what: str) -> str:
    own = f"remote.{remote_name}.annex-s3-restore-{what}"
    return own if own in found else f"annex.s3-restore-{what}"


def _count(found: Mapping[str, str], name: str, *, least: int = 0, most: int = 10**9) -> int | None:
    text = found.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{name}={text!r} is not a number", remedy="write it like 3")
    if not least <= int(text) <= most:
        raise ConfigError(f"{name}={text} is out of range", remedy=f"write {least} to {most}")
    return int(text)


def _memory(found: Mapping[str, str], name: str) -> int | None:
    text = found.get(name)
    if text is None:
        return None
    size_bytes = parse_size(text, setting=name)
    if size_bytes < LEAST_MEMORY_BYTES:
        raise ConfigError(f"{name}={text} is too little", remedy="write 8MiB or more")
    return size_bytes


def _seconds(found: Mapping[str, str], name: str) -> float | None:
    text = found.get(name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{name}={text!r} is not a number of seconds", remedy="write it like 300")
    return seconds


def _git_config(git_dir: Path | None = None) -> list[tuple[str, str]]:
    """Return all values that may matter, with their full names."""
    where = [f"--git-dir={git_dir}"] if git_dir else []
    found = subprocess.run(
        ["git", *where, "config", "-z", "--get-regexp", _READ],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if found.returncode not in {0, _NO_MATCH}:
        raise LocalError(f"git cannot read its configuration: {found.stderr}")
    pairs = (entry.partition("\n") for entry in found.stdout.split("\0") if entry)
    # a name without "=" is git's short form of true
    return [(name, value if equals else "true") for name, equals, value in pairs]
