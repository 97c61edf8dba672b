"""Lists that hold names which no XML can hold, from services that must not be asked to encode them.

A name with a control character stands raw in such a list, or as a reference like ``&#x1;``; XML knows
neither, and the parser gives up. The names are encoded here, before it reads them, and decoded after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote_from_bytes, unquote

OPERATIONS = ("ListObjects", "ListObjectsV2", "ListObjectVersions")
_MARK = "NamesWereEncoded"
_NAMES = ("Key", "Prefix", "Marker", "NextMarker", "StartAfter", "Delimiter", "KeyMarker",
          "NextKeyMarker", "ContinuationToken", "NextContinuationToken")  # fmt: skip
_ROWS = ("Contents", "Versions", "DeleteMarkers", "CommonPrefixes")
# \r is XML, but a parser makes \n of it
_ODD = re.compile(rb"[\x00-\x08\x0b-\x1f]|&#(?:x0*[01]?[0-9a-fA-F]|0*[0-9]|0*[12][0-9]|0*3[01]);")
_ELEMENT = re.compile(rb"<(%s)>([^<]*)</\1>" % "|".join(_NAMES).encode())
_REFERENCE = re.compile(rb"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(\w+));")
_ENTITIES = {b"lt": b"<", b"gt": b">", b"amp": b"&", b"quot": b'"', b"apos": b"'"}


def register(events: Any) -> None:
    """Let the client whose events these are read such lists."""
    # the wildcard comes before botocore's own handler, which takes what is no XML for an error
    events.register("before-parse.*.*", encode_names)
    for operation in OPERATIONS:
        events.register(f"after-call.s3.{operation}", decode_names)


def encode_names(
    operation_model: Any,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_: object,
) -> None:
    """Percent-encode the names in a list that no XML parser would read; leave all others alone."""
    body = response_dict.get("body")
    if operation_model.name not in OPERATIONS or not isinstance(body, bytes):
        return
    if response_dict["status_code"] == 200 and _ODD.search(body):
        response_dict["body"] = _ELEMENT.sub(_encoded, body)
        customized_response_dict[_MARK] = True


def decode_names(parsed: dict[str, Any], **_: object) -> None:
    """Undo it in the parsed answer."""
    if not parsed.pop(_MARK, False):
        return
    rows: Iterable[dict[str, Any]] = (row for name in _ROWS for row in parsed.get(name, []))
    for table in (parsed, *rows):
        for name in _NAMES:
            if isinstance(table.get(name), str):
                table[name] = unquote(table[name])


def _encoded(match: re.Match[bytes]) -> bytes:
    try:
        text = _REFERENCE.sub(_plain, match[2])
    except (KeyError, ValueError, OverflowError):
        return match[0]  # a reference to nothing: the parser will say that it is none
    return b"<%s>%s</%s>" % (match[1], quote_from_bytes(text).encode(), match[1])


def _plain(match: re.Match[bytes]) -> bytes:
    if match[3]:
        return _ENTITIES[match[3]]
    return chr(int(match[1], 16) if match[1] else int(match[2])).encode()
