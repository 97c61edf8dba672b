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


def _has_md5(info: ObjectInfo) -> bool:
    """Tell whether the ETag can be the MD5 of the content: a managed or own key makes it another."""
    by = info.encryption or ""
    return is_md5(info.etag) and by != CUSTOMER and not by.startswith("aws:")
