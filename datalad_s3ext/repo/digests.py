"""Whether received bytes are what a key demands: the backends of git-annex that Python can compute.

Most backends name content by a checksum, in lower-case hexadecimal; those that end in ``E`` add the
file's extension to it. Source: git-annex's page "backends", and `git annex calckey --backend`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Protocol

from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.repo.keys import Key

MANIFEST = "GITMANIFEST"
"""Backend of the lists of git-remote-annex. They change, and no key tells what is in them."""
BUNDLE = "GITBUNDLE"
"""Backend of the packs of git-remote-annex; their keys end in ``-`` and a SHA-256."""

_BLAKE2B_BITS = (160, 224, 256, 384, 512)
_BLAKE2S_BITS = (160, 224, 256)
_HEX = re.compile(r"[0-9a-f]+")


class _Hash(Protocol):
    """An object of hashlib."""

    @property
    def digest_size(self) -> int: ...
    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


def _algorithms() -> dict[str, Callable[[], _Hash]]:
    blake2b = {
        f"BLAKE2B{bits}": partial(hashlib.blake2b, digest_size=bits // 8) for bits in _BLAKE2B_BITS
    }
    blake2s = {
        f"BLAKE2S{bits}": partial(hashlib.blake2s, digest_size=bits // 8) for bits in _BLAKE2S_BITS
    }
    # MD5 and SHA-1 name content here, as git-annex uses them; they protect from chance only
    weak = {
        "MD5": partial(hashlib.md5, usedforsecurity=False),
        "SHA1": partial(hashlib.sha1, usedforsecurity=False),
    }
    sha = {
        "SHA224": hashlib.sha224,
        "SHA256": hashlib.sha256,
        "SHA384": hashlib.sha384,
        "SHA512": hashlib.sha512,
        "SHA3_224": hashlib.sha3_224,
        "SHA3_256": hashlib.sha3_256,
        "SHA3_384": hashlib.sha3_384,
        "SHA3_512": hashlib.sha3_512,
    }
    return {**weak, **sha, **blake2b, **blake2s}


ALGORITHMS = _algorithms()
"""Backends, without the ``E`` of their variants, and what computes them."""


class KeyDigest:
    """The checksum of content as it comes, compared at its end with the one in the key."""

    def __init__(self, algorithm: Callable[[], _Hash], expected: str, key_text: str) -> None:
        self._algorithm = algorithm
        self._hash = algorithm()
        self._expected = expected
        self._key_text = key_text

    def begin(self) -> None:
        """Forget what was added."""
        self._hash = self._algorithm()

    def update(self, data: bytes | memoryview) -> None:
        """Add the bytes that come next; other threads run meanwhile."""
        self._hash.update(data)

    def check(self) -> None:
        """Make sure that all that was added is the content of the key.

        Raises
        ------
        IntegrityError
            When it is not.
        """
        if self._hash.hexdigest() != self._expected:
            raise IntegrityError(
                f"what was received is not the content of {self._key_text}: its checksum differs",
                remedy="run the command again; if it stays, get it from another place, and note the "
                "loss with `git -c remote.NAME.s3x-verify=false annex fsck --from NAME`",
            )


def key_digest(key: Key, key_text: str) -> KeyDigest | None:
    """Return what verifies the content of `key`; ``None`` when nothing here can.

    Parameters
    ----------
    key : Key
        The key, parsed.
    key_text : str
        The same key as git-annex writes it, for messages.

    Returns
    -------
    KeyDigest or None
        ``None`` for keys that hold no checksum (``WORM``, ``URL``, ...), one that Python's standard
        library lacks (``SKEIN256``, ``BLAKE3_256``, ``XXH3``, ...) or one of other bytes than those
        in the store: of encrypted content and of chunks.
    """
    if key.chunk_bytes is not None or key.chunk_number is not None:
        return None
    backend, expected = key.backend, key.name
    if backend == BUNDLE:
        backend, expected = "SHA256", expected.rpartition("-")[2]
    elif backend not in ALGORITHMS and backend.endswith("E"):
        backend, expected = backend.removesuffix("E"), expected.partition(".")[0]
    algorithm = ALGORITHMS.get(backend)
    if algorithm is None or not _is_hex(expected, algorithm().digest_size):
        return None
    return KeyDigest(algorithm, expected, key_text)


def _is_hex(text: str, size_bytes: int) -> bool:
    return len(text) == 2 * size_bytes and _HEX.fullmatch(text) is not None
