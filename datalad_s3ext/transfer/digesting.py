"""What a download may be given to verify content while it comes."""

from __future__ import annotations

from typing import Protocol


class Digest(Protocol):
    """Sees every byte of a file once, in order, and judges at the end."""

    def begin(self) -> None:
        """Forget what was added: the file begins anew."""

    def update(self, data: bytes | memoryview) -> None:
        """Add the bytes that come next. They may be overwritten after this returns."""

    def check(self) -> None:
        """Raise `IntegrityError` unless all that was added is the content asked for."""
