"""Sizes, written by people and for people."""

from __future__ import annotations

import re

from datalad_s3ext.errors import ConfigError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

_FACTORS = {
    "": 1, "b": 1,
    "k": 1000, "kb": 1000, "kib": KIB,
    "m": 1000**2, "mb": 1000**2, "mib": MIB,
    "g": 1000**3, "gb": 1000**3, "gib": GIB,
    "t": 1000**4, "tb": 1000**4, "tib": TIB,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def parse_size(text: str, *, setting: str = "size") -> int:
    """Return the bytes that `text` means: ``8MiB``, ``8 MB``, ``8388608``.

    Decimal (kB, MB) and binary (KiB, MiB) units are told apart, as git-annex does.

    Raises
    ------
    ConfigError
        When `text` is no size; the message names `setting`.
    """
    match = _SIZE.fullmatch(text)
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ConfigError(f"{setting}={text!r} is not a size", remedy="write it like 8MiB or 500MB")
    return int(float(match[1]) * factor)


def human_size(size_bytes: int) -> str:
    """Return `size_bytes` for people: ``0 B``, ``999 B``, ``1.5 MiB``."""
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size_bytes} B" if unit == "B" else f"{amount:.1f} {unit}"
