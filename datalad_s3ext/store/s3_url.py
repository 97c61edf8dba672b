"""URLs of objects: ``s3://bucket/name``, as people write them and git-annex records them.

=====================================================  ========================================
``s3://bucket/a/b.txt``                                an object, at the endpoint of the reader
``s3://bucket/a/``                                     all objects whose names begin with ``a/``
``s3://bucket/b.txt?versionId=V``                      one version of an object
``s3://bucket/b.txt?endpoint=https://s3.example.org``  an object at that endpoint
=====================================================  ========================================

Names are percent-encoded: a blank is ``%20``, ``%`` itself ``%25`` and ``?`` is ``%3F``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.resolve import normal_endpoint

SCHEME = "s3:"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PARAMETERS = ("versionId", "endpoint")


@dataclass(frozen=True)
class S3Url:
    """One object, or with a name that ends in ``/`` or is empty, all below it."""

    bucket: str
    name: str
    version_id: str | None = None
    endpoint: str | None = None
    """Scheme, host and port; ``None``: the reader's own."""

    @property
    def is_prefix(self) -> bool:
        """Tell whether many objects are meant."""
        return not self.name or self.name.endswith("/")

    @property
    def is_sound(self) -> bool:
        """Tell whether it would be read as it is written: an object's name is UTF-8."""
        try:
            return parse_s3_url(str(self)) == self
        except ConfigError:
            return False

    def __str__(self) -> str:
        """Return the URL. It holds neither blanks nor control characters."""
        query = []
        if self.version_id is not None:
            query.append(f"versionId={quote(self.version_id, safe='')}")
        if self.endpoint is not None:
            query.append(f"endpoint={quote(self.endpoint, safe=':/')}")
        path = quote(self.name.encode("utf-8", "surrogateescape"), safe="/~")
        return f"s3://{self.bucket}/{path}" + (f"?{'&'.join(query)}" if query else "")


def parse_s3_url(text: str) -> S3Url:
    """Return what the URL names.

    Raises
    ------
    ConfigError
        When it is no URL of this kind, or holds something that would be ignored.
    """
    try:
        parts = urlsplit(text)
        name = unquote(parts.path.removeprefix("/"), errors="strict")
    except ValueError as error:  # brackets, letters that are none, bytes that are no UTF-8
        raise _refused(text, "is not of the form s3://BUCKET/NAME") from error
    if parts.scheme.lower() != "s3" or not _BUCKET.fullmatch(parts.netloc):
        raise _refused(text, "is not of the form s3://BUCKET/NAME")
    if parts.fragment:
        raise _refused(text, "has a # in it, which a name spells %23")
    given = _parameters(text, parts.query)
    version_id = given.get("versionId")
    if version_id is not None and (not name or name.endswith("/")):
        raise _refused(text, "names a version, but no object")
    endpoint = given.get("endpoint")
    return S3Url(
        parts.netloc, name, version_id, None if endpoint is None else _endpoint(text, endpoint)
    )


def _parameters(text: str, query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    for name, value in given.items():
        if name not in _PARAMETERS:
            raise _refused(text, f"has the parameter {name}, and known are {' and '.join(_PARAMETERS)}")
        if not value or not (value.isascii() and value.isprintable()):
            raise _refused(text, f"has no usable {name}")
    if len(given) != len(pairs) or ("?" in text and not pairs):
        raise _refused(text, "has a ? followed by something else than parameters")
    return given


def _endpoint(text: str, endpoint: str) -> str:
    if "://" not in endpoint:
        raise _refused(text, "has an endpoint without https://")
    return normal_endpoint(endpoint, source="the endpoint of the URL")


def _masked(text: str) -> str:
    """Return `text` without what may be a secret: what stands before an ``@``, and all values."""
    scheme, slashes, rest = text.partition("//" if "//" in text else ":")
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    name, mark, query = rest.partition("?")
    return f"{scheme}{slashes}{name}{mark}" + re.sub(r"=[^&]*", "=***", query)


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"{_masked(text)[:200]!r} {why}",
        remedy="write s3://BUCKET/NAME, with the name percent-encoded, and perhaps ?versionId=ID "
        "or ?endpoint=https://HOST",
    )
