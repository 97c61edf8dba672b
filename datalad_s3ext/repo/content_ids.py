"""What tells one content of a bucket from another, and the key that git-annex gives it.

git-annex calls the first a content identifier. It is global: two files with the same one get the same
key, unseen. So it holds the object's name: a file that was exported, and has the content of one that
was imported, keeps the key it has, which may be another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import CUSTOMER, ObjectInfo
from datalad_s3ext.store.pinned import Pinned

DIRECTORY_BUCKET = "--x-s3"
"""Ends the names of such buckets; others may not end so."""
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def upload_facts(facts: Upload, bucket: str) -> Upload:
    """Return what is known of ETags in a bucket: in Amazon's directory buckets they are random."""
    if not bucket.endswith(DIRECTORY_BUCKET):
        return facts
    return replace(facts, etag_is_md5=False, multipart_etag_is_md5_of_md5s=False)


def content_id(info: ObjectInfo) -> str:
    """Return the content identifier of an object as it is described.

    Equal identifiers mean equal content; another version, or other content, has another one.
    """
    size = f"size={info.size_bytes}"
    if info.version_id is not None:
        return f"version={info.version_id} {size} {_name(info)}"
    return f"etag={info.etag} {size} {_name(info)}"


def content_ids_of(info: ObjectInfo, facts: Upload) -> set[str]:
    """Return `content_id` of an object, and what it was to former versions of this program."""
    ids = {content_id(info)}
    if info.version_id is None and _comes_from_content(info, facts):
        ids.add(f"etag={info.etag} size={info.size_bytes}")
    return ids


def pinned(name: str, identifier: str) -> Pinned | None:
    """Return the object `name` in the state that a content identifier means.

    ``None`` when that is another object's, or was made by another program.
    """
    fields = dict(word.partition("=")[::2] for word in identifier.split(" "))
    version_id, etag = fields.get("version"), fields.get("etag")
    if fields.get("name", _named(name)) != _named(name) or not (version_id or etag):
        return None
    return Pinned(name, version_id=version_id, etag=None if version_id else etag)


def version_in(identifier: str) -> str | None:
    """Return the id of the version that a content identifier names, if it does."""
    word = identifier.partition(" ")[0]
    return word.removeprefix("version=") if word.startswith("version=") else None


def digests_from_server(info: ObjectInfo, facts: Upload) -> dict[str, str]:
    """Return the checksums of an object that the server tells, by backend, in hexadecimal."""
    told = {}
    if info.size_bytes == 0:
        told["SHA256"] = EMPTY_SHA256
    elif info.sha256 is not None:
        told["SHA256"] = info.sha256.hex()
    is_md5 = facts.etag_is_md5 is True or (facts.etag_is_md5 is None and facts.etag_is_md5_unless_kms)
    if is_md5 and _is_hex32(info.etag) and not _is_managed(info.encryption):
        told["MD5"] = info.etag.lower()
    return told


def key_of_digests(size_bytes: int, digests: Mapping[str, str]) -> str | None:
    """Return a key by the best of some checksums; ``None`` when there are none."""
    for backend in ("SHA256", "MD5"):
        if backend in digests:
            return f"{backend}-s{size_bytes}--{digests[backend]}"
    return None


def _comes_from_content(info: ObjectInfo, facts: Upload) -> bool:
    whole, _, parts = info.etag.partition("-")
    known = facts.multipart_etag_is_md5_of_md5s if parts else facts.etag_is_md5
    return known is True and _is_hex32(whole)


def _name(info: ObjectInfo) -> str:
    return f"name={_named(info.name)}"


def _named(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _is_hex32(text: str) -> bool:
    return len(text) == 32 and all(char in "0123456789abcdef" for char in text.lower())


def _is_managed(encryption: str | None) -> bool:
    """Tell whether a key of KMS, or the user's own, encrypts an object: its ETag is no MD5 then."""
    return encryption is not None and (encryption == CUSTOMER or encryption.startswith("aws:"))
