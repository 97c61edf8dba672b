"""The names git-annex gives to objects, and what they say about the size of content.

A key is ``BACKEND[-sSIZE][-mMTIME][-SCHUNKSIZE-CCHUNK]--NAME``. Source: git-annex's page
"internals/key_format".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"[0-9]{1,18}")
"""What is longer counts no bytes of this world, and would be no size of a file."""
MARKER = "annex-uuid"
"""The object, below a remote's prefix, that says which special remote the place belongs to."""


@dataclass(frozen=True)
class Key:
    """A parsed key; absent fields are ``None``."""

    backend: str
    name: str
    size_bytes: int | None = None
    chunk_bytes: int | None = None
    chunk_number: int | None = None
    """Counted from 1."""

    @property
    def stored_bytes(self) -> int | None:
        """How large the object of this key must be; ``None`` when the key does not tell.

        It does not for encrypted keys (``GPGHMAC...``), URL keys and git-remote-annex manifests.
        """
        if self.size_bytes is None or self.backend.startswith("GPGHMAC"):
            return None
        if self.chunk_bytes is None or self.chunk_number is None:
            return self.size_bytes
        before = (self.chunk_number - 1) * self.chunk_bytes
        return max(0, min(self.chunk_bytes, self.size_bytes - before))


def parse_key(text: str) -> Key:
    """Return the parts of the key `text`. What is no key becomes one without any field."""
    head, separator, name = text.partition("--")
    if not separator:
        return Key(backend="", name=text)
    backend, *fields = head.split("-")
    numbers = {field[0]: int(field[1:]) for field in fields if _NUMBER.fullmatch(field[1:])}
    return Key(
        backend=backend,
        name=name,
        size_bytes=numbers.get("s"),
        chunk_bytes=numbers.get("S"),
        chunk_number=numbers.get("C"),
    )


def chunk_key(key: str, chunk_bytes: int, number: int) -> str:
    """Return the name of chunk `number`, counted from 1, of a key that is stored in chunks."""
    head, separator, name = key.partition("--")
    return f"{head}-S{chunk_bytes}-C{number}{separator}{name}"
