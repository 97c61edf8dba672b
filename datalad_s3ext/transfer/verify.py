"""Is what the server has what was sent? What its answers are worth, and how to find out otherwise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import partial

from datalad_s3ext.errors import IntegrityError, ObjectNotFound
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.transfer.fingerprint import Fingerprint, Kind, fingerprint
from datalad_s3ext.transfer.plan import Span
from datalad_s3ext.units import MIB

READ_BYTES = MIB
_MD5_FORM = re.compile(r"[0-9a-f]{32}(-\d+)?")


class EtagTrust:
    """What the ETags of one bucket have turned out to be. Safe in threads.

    Where the preset does not know whether ETags are MD5 digests (they are not in buckets that encrypt
    by default with KMS), one that differs is a reason for doubt. Then the object is read back once: if
    it is right, ETags mean nothing here, and no further one is a reason.
    """

    def __init__(self, *, known_to_be_md5: bool | None) -> None:
        self._is_md5 = known_to_be_md5

    def raises_doubt(self, etag: str, expected: str) -> bool:
        """Tell whether `etag` speaks against an object that was stored with the digest `expected`."""
        return self._is_md5 is not False and bool(_MD5_FORM.fullmatch(etag)) and etag != expected

    @property
    def may_be_md5(self) -> bool:
        """Tell whether ETags are not known to be something else than MD5."""
        return self._is_md5 is not False

    def is_proof(self, etag: str, expected: str) -> bool:
        """Tell whether `etag` proves that the object arrived as it was sent."""
        return self._is_md5 is True and etag == expected

    def learn_that_it_means_nothing(self) -> None:
        """Take note of an object that was right although its ETag differed."""
        self._is_md5 = False


class ChecksumTrust:
    """Whether the server of one bucket compares the CRC32 of a part with its bytes. Safe in threads.

    Presets say it of a service; a server or proxy in its place may take the header for nothing. Who
    compares tells the CRC32 back: where that is left out once, MD5 digests are sent from then on.
    """

    def __init__(self) -> None:
        self.is_compared = True

    def learn_that_it_is_ignored(self) -> None:
        """Take note of an answer without the CRC32 that was sent."""
        self.is_compared = False


def multipart_etag(digests: Sequence[bytes]) -> str:
    """Return the ETag that AWS gives to an object made of parts with these MD5 digests."""
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(digests)}"


def etag_of_parts(digests: Sequence[Fingerprint]) -> str | None:
    """Return the same for parts with these digests, ``None`` when they are no MD5."""
    known = [digest.md5 for digest in digests if digest.md5 is not None]
    return multipart_etag(known) if len(known) == len(digests) else None


def confirm_size(
    store: ObjectStore, name: str, size_bytes: int, *, version_id: str | None = None
) -> None:
    """Ask the server for the object's size and delete the object when it is wrong.

    Parameters
    ----------
    version_id
        Of what was stored, if the server has told it. Another version is somebody else's, and stays.

    Raises
    ------
    IntegrityError
        When the object is absent or has another size.
    """
    try:
        found = store.head(name)
    except ObjectNotFound as error:
        raise IntegrityError(
            f"the server confirmed {name} but does not have it",
            remedy="run the command again; if it stays so, do not trust this server",
        ) from error
    if found.size_bytes == size_bytes:
        return
    if version_id is not None and found.version_id not in (None, version_id):
        raise IntegrityError(
            f"{name} was replaced by somebody else as soon as it was stored",
            remedy="look who else writes there; what was replaced is kept as an old version",
        )
    store.delete(name)
    raise IntegrityError(
        f"{name} has {found.size_bytes} bytes at the server instead of {size_bytes} and"
        " was deleted again",
        remedy="run the command again",
    )


def read_back(
    store: ObjectStore, name: str, spans: Sequence[Span], digests: Sequence[Fingerprint]
) -> None:
    """Read the object and compare it with the digest of each of its spans; delete it when it is wrong.

    Raises
    ------
    IntegrityError
        When it is.
    """
    if not is_stored(store, name, spans, digests):
        store.delete(name)
        raise IntegrityError(
            f"{name} arrived damaged and was deleted again", remedy="run the command again"
        )


def is_stored(
    store: ObjectStore, name: str, spans: Sequence[Span], digests: Sequence[Fingerprint]
) -> bool:
    """Read the object and tell whether each of its spans has its digest."""
    return all(
        digest_at_server(store, name, span, digest.kind) == digest
        for span, digest in zip(spans, digests, strict=True)
    )


def digest_at_server(store: ObjectStore, name: str, span: Span, kind: Kind = "md5") -> Fingerprint:
    """Read a stretch of an object and return its digest."""
    length = span.size_bytes or None  # an object without bytes has no range to ask for
    with store.get(name, start=span.start, length=length) as reader:
        return fingerprint(kind, iter(partial(reader.read, READ_BYTES), b""))
