"""Do two objects hold the same? By what a service says of them, without reading them.

A service that copies may hand on what it was told at the upload: that both have one checksum then says
that it means to have copied, and not that the bytes on its disks are right.
"""

from __future__ import annotations

from dataclasses import dataclass

from datalad_s3ext.store.base import CHECKSUMS, CUSTOMER, ObjectInfo
from datalad_s3ext.store.s3_answers import is_md5
from datalad_s3ext.transfer.verify import EtagTrust


@dataclass(frozen=True)
class Likeness:
    """An answer, and what it rests on."""

    is_same: bool | None
    """``None``: it cannot be told."""
    by: str
    """A name in `CHECKSUMS`, ``ETag``, or ``size``."""


def likeness(one: ObjectInfo, other: ObjectInfo, etags: EtagTrust) -> Likeness:
    """Compare two objects as `ObjectStore.describe` tells of them.

    Parameters
    ----------
    etags
        What is known of the ETags of both.
    """
    if one.size_bytes != other.size_bytes:
        return Likeness(False, "size")
    common = [name for name in CHECKSUMS if name in one.checksums and name in other.checksums]
    for name in common:
        if one.checksums[name] != other.checksums[name]:
            return Likeness(False, name)
    if common:
        return Likeness(True, common[0])
    if etags.may_be_md5 and _has_md5(one) and _has_md5(other):
        return Likeness(one.etag.lower() == other.etag.lower(), "ETag")
    return Likeness(None, "size")


def shown_alike(
    one: ObjectInfo, other: ObjectInfo, etags: EtagTrust, other_etags: EtagTrust
) -> str | None:
    """Return by what two objects of different buckets are certainly the same; ``None``: by nothing.

    One of both may be anybody's. So ETags count only where one service is known to make them of the
    content: those that a service makes up of name and size would be equal whatever the content is.
    """
    answer = likeness(one, other, etags if etags.may_be_md5 else other_etags)
    if answer.by == "ETag" and not (
        etags.is_proof(one.etag, other.etag) or other_etags.is_proof(other.etag, one.etag)
    ):
        return None
    return answer.by if answer.is_same else None


def _has_md5(info: ObjectInfo) -> bool:
    """Tell whether the ETag can be the MD5 of the content: a managed or own key makes it another."""
    by = info.encryption or ""
    return is_md5(info.etag) and by != CUSTOMER and not by.startswith("aws:")
