"""The bytes to send, as botocore reads them."""

from __future__ import annotations

from typing import IO, Any, Protocol, cast, runtime_checkable

from datalad_s3ext.errors import LocalError
from datalad_s3ext.store.base import Body

IN_MEMORY_BYTES = 1024 * 1024  # one system call instead of many for what is small anyway


@runtime_checkable
class Countable(Protocol):
    """A body that counts what is really sent, apart from what is read to sign it."""

    def sending(self) -> None:
        """Note that a new attempt to send begins."""


class BodyWindow:
    """The next `size_bytes` bytes of a stream, as a file of that size.

    A stream that fails or ends early raises `LocalError`, which botocore hands through: otherwise a
    bad disk would look like a bad connection and be retried.
    """

    def __init__(self, body: Body, size_bytes: int) -> None:
        self._body = body
        self._start = body.tell()
        self._size = size_bytes
        self._position = 0

    def __len__(self) -> int:
        """Return the size."""
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, never past the window."""
        left = self._size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted == 0:
            return b""
        try:
            data = self._body.read(wanted)
        except (OSError, ValueError) as error:
            raise LocalError(f"cannot read the bytes to send: {error}") from error
        if not data:
            raise LocalError(
                f"the bytes to send ended after {self._position} of {self._size}",
                remedy="let nothing change the file during the upload",
            )
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move within the window."""
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        self._body.seek(self._start + self._position)
        return self._position

    def tell(self) -> int:
        """Return the position within the window."""
        return self._position

    def sending(self) -> None:
        """Tell the stream, if it wants to know, that what is read from now on goes out."""
        if isinstance(self._body, Countable):
            self._body.sending()


def to_send(body: Body, size_bytes: int) -> IO[bytes] | bytes:
    """Return `body` as botocore sends it with the least work.

    A body that wants to be read `in_pieces`, as one that goes out slowly does, is left as it is.
    """
    window = BodyWindow(body, size_bytes)
    if size_bytes > IN_MEMORY_BYTES or getattr(body, "in_pieces", False):
        return cast("IO[bytes]", window)  # botocore needs no more of a file than a window has
    pieces = []
    while window.tell() < size_bytes:
        pieces.append(window.read(size_bytes))
    return b"".join(pieces)


def note_sending(request: Any, **_: object) -> None:
    """Handle botocore's ``before-send``: what is read of the body from now on goes out."""
    if isinstance(request.body, BodyWindow):
        request.body.sending()
