"""The few XML documents of the short way: lists of parts that go out, short answers that come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datalad_s3ext.store.lean_http import NotPlain

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def parts_document(upload: Mapping[str, Any]) -> bytes:
    """Return the body of CompleteMultipartUpload: botocore's ``MultipartUpload`` as XML."""
    parts = "".join(
        f"<Part>{_checksum(part)}<ETag>{_escaped(part['ETag'])}</ETag>"
        f"<PartNumber>{part['PartNumber']}</PartNumber></Part>"
        for part in upload["Parts"]
    )
    return (f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{parts}</CompleteMultipartUpload>').encode()


def _escaped(text: str) -> str:
    # xml.sax.saxutils has it, too, and imports half of the library for it
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _checksum(part: Mapping[str, Any]) -> str:
    found = part.get("ChecksumCRC32")
    return f"<ChecksumCRC32>{found}</ChecksumCRC32>" if found else ""


def fields_of(text: bytes) -> tuple[str, dict[str, str]]:
    """Return the name of an XML document and the texts of the elements just below its root.

    Raises
    ------
    NotPlain
        When `text` is no XML.
    """
    from xml.etree import ElementTree  # most processes meet no document

    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314
    except ElementTree.ParseError as error:
        raise NotPlain("the answer is no XML") from error
    return _bare(root.tag), {_bare(item.tag): item.text or "" for item in root}


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]
