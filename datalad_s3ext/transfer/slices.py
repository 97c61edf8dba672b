"""A stretch of a local file as a stream, so that a part is sent without being held in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from io import SEEK_CUR, SEEK_END, SEEK_SET
from typing import BinaryIO

from datalad_s3ext.errors import LocalError
from datalad_s3ext.transfer.fingerprint import Fingerprint, Kind, fingerprint
from datalad_s3ext.units import MIB

READ_BYTES = MIB


class FileSlice:
    """`size_bytes` bytes of an open binary file from offset `start` on: read, seek, tell, len.

    Not for use by several threads at once; each thread opens its own file.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        size_bytes: int,
        *,
        on_send: Callable[[int], None] | None = None,
    ) -> None:
        self._file = file
        self._start = start
        self._size = size_bytes
        self._at = 0
        self._on_send = on_send
        self._is_sending = False
        self._sent = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, never beyond the stretch.

        Raises
        ------
        LocalError
            When the file has become shorter than the stretch.
        """
        left = self._size - self._at
        wanted = left if size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        data = os.pread(self._file.fileno(), wanted, self._start + self._at)
        if not data:
            raise LocalError(
                f"{self._file.name} became shorter while it was read",
                remedy="run the command again when nothing writes to the file",
            )
        self._at += len(data)
        if self._is_sending:
            self._count(len(data))
        return data

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Move as io streams do and return the new position."""
        base = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the position within the stretch."""
        return self._at

    def sending(self) -> None:
        """Note that what is read from now on goes out on the wire (and not into a checksum).

        Called again for another try: the bytes of the one before are taken back.
        """
        self._count(-self._sent)
        self._is_sending = True

    def sent(self) -> None:
        """Note that all of it has arrived, also where nobody called `sending`."""
        self._count(self._size - self._sent)
        self._is_sending = False

    def _count(self, size_bytes: int) -> None:
        self._sent += size_bytes
        if self._on_send is not None:
            self._on_send(size_bytes)

    def fingerprint(self, kind: Kind = "md5") -> Fingerprint:
        """Return the digest of the whole stretch, leaving the position at its start."""
        self.seek(0)
        found = fingerprint(kind, iter(partial(self.read, READ_BYTES), b""))
        self.seek(0)
        return found
