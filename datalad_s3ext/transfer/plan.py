"""Where to cut: pure arithmetic on sizes, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datalad_s3ext.errors import ConfigError, ObjectTooLarge
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.units import MIB, human_size

PREFERRED_PART_BYTES = 16 * MIB
"""Large enough not to slow a busy server by many requests, small enough that 256 MiB fill 16
connections."""
PART_GRAIN_BYTES = MIB
"""Part sizes are whole MiB, so that they are the same on every machine for the same object."""


@dataclass(frozen=True)
class Span:
    """A run of bytes: part of an upload or range of a download."""

    number: int
    """Counted from 1."""
    start: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Return the offset behind the last byte."""
        return self.start + self.size_bytes


def part_bytes(size_bytes: int, limits: Upload, wanted_bytes: int | None = None) -> int:
    """Return the part size for an object of `size_bytes`.

    At least what the provider demands and what keeps the number of parts within its limit; otherwise
    `wanted_bytes`, or our own choice.

    Raises
    ------
    ObjectTooLarge
        When no part size the provider allows can hold the object.
    ConfigError
        When `wanted_bytes` is larger than the provider's largest part.
    """
    if size_bytes > limits.max_object:
        raise ObjectTooLarge(
            f"{human_size(size_bytes)} is more than this provider keeps in one object "
            f"({human_size(limits.max_object)})",
            remedy="set up the remote with chunk=1GiB, so that git-annex cuts large files",
        )
    if wanted_bytes is not None and wanted_bytes > limits.max_part:
        raise ConfigError(
            f"partsize={human_size(wanted_bytes)} is above this provider's limit",
            remedy=f"set partsize to at most {human_size(limits.max_part)}",
        )
    needed = -(-size_bytes // limits.max_parts)
    chosen = max(wanted_bytes or PREFERRED_PART_BYTES, limits.min_part, needed)
    rounded = -(-chosen // PART_GRAIN_BYTES) * PART_GRAIN_BYTES
    return chosen if wanted_bytes == chosen else min(rounded, limits.max_part)


def cut(size_bytes: int, piece_bytes: int, *, start: int = 0) -> list[Span]:
    """Cut the bytes from `start` up to `size_bytes` into equal spans; only the last may be shorter."""
    return list(spans(size_bytes, piece_bytes, start=start))


def spans(size_bytes: int, piece_bytes: int, *, start: int = 0) -> Iterator[Span]:
    """Yield the same, one at a time: a server may state any size."""
    for number, offset in enumerate(range(start, size_bytes, piece_bytes), start=1):
        yield Span(number, offset, min(piece_bytes, size_bytes - offset))
