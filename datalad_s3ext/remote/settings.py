"""Every parameter of the special remote, as one table.

LISTCONFIGS, validation, the commands and the documentation are all driven by :data:`SETTINGS`. Names
are those of git-annex's built-in `type=S3` wherever the meaning is the same.

These parameters are kept in the git-annex branch and come in with a clone: they are somebody else's
text. Whatever weakens security has no place here. It belongs to the local git config, see
:mod:`datalad_s3ext.remote.local`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.units import parse_size

Addressing = Literal["path", "virtual"]
SignatureChoice = Literal["v4", "v2", "anonymous"]
PATH_OR_VIRTUAL: tuple[Addressing, ...] = ("path", "virtual")
SIGNATURES: tuple[SignatureChoice, ...] = ("v4", "v2", "anonymous")
SENT_AS_HEADERS = frozenset({"storageclass", "sse", "sse-kms-key-id", "x-amz-tagging", "region"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Setting:
    """One parameter: its name, what it means, what holds when it is not given."""

    name: str
    description: str
    default: str = ""
    example: str = ""


SETTINGS = (
    Setting("provider", "id of a preset that fills in what is not given; see `datalad s3-providers`",
            "other", "wasabi"),
    Setting("bucket", "name of the bucket that keeps the content; required", "", "brain-scans"),
    Setting("fileprefix", "put before every object name, so that several data sets share a bucket",
            "", "study-1/"),
    Setting("endpoint", "URL of the service, when the preset does not know it", "",
            "https://s3.example.org"),
    Setting("host", "host name of the service; endpoint says the same in one word", "",
            "s3.example.org"),
    Setting("port", "port of the service, with host", "443, or 80 with protocol=http", "9000"),
    Setting("protocol", "https or http, with host", "https", "http"),
    Setting("region", "region of the bucket", "the preset's", "eu-west-1"),
    Setting("datacenter", "other name of region, as built-in S3 calls it for AWS", "", "eu-west-1"),
    Setting("requeststyle", "path or virtual: where a request names the bucket", "the preset's",
            "path"),
    Setting("signature", "v4, v2 or anonymous; v2 only where the preset or local git config allows it",
            "the preset's", "v4"),
    Setting("storageclass", "storage class of new objects", "the provider's", "STANDARD_IA"),
    Setting("partsize", "size of the parts of large uploads", "chosen by size", "64MiB"),
    Setting("publicurl", "URL below which everybody can read the bucket; shown by git annex whereis",
            "", "https://data.example.org/brain-scans"),
    Setting("sse", "server-side encryption of new objects: AES256 or aws:kms", "", "AES256"),
    Setting("sse-kms-key-id", "KMS key, with sse=aws:kms", "", "alias/lab"),
    Setting("x-amz-tagging", "tags of new objects, URL-encoded", "", "project=brain&grant=7"),
    Setting("x-amz-meta", "metadata of new objects, URL-encoded", "", "lab=vision&grant=7"),
)  # fmt: skip

COMMON = frozenset({
    "encryption", "keyid", "keyid+", "keyid-", "mac", "chunk", "embedcreds", "onlyencryptcreds",
    "autoenable", "cost", "exporttree", "importtree", "annexobjects", "highRandomQuality",
    "externaltype", "type", "name", "sameas", "preferreddir",
})  # fmt: skip
"""Parameters that git-annex itself understands for every special remote."""


def known_parameter(name: str) -> bool:
    """Tell whether `git annex initremote type=external externaltype=s3x` takes `name`."""
    return name in COMMON or any(setting.name == name for setting in SETTINGS)


@dataclass(frozen=True)
class RemoteSettings:
    """The parameters of one remote, checked for form. Absent ones are ``None``."""

    bucket: str
    provider: str = "other"
    fileprefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    requeststyle: Addressing | None = None
    signature: SignatureChoice | None = None
    storageclass: str | None = None
    partsize: int | None = None
    publicurl: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    tagging: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    exporttree: bool = False
    """git-annex's own parameter: objects have the names of files, not of keys."""


def read_settings(get: Callable[[str], str]) -> RemoteSettings:
    """Read the parameters through `get`, which returns ``""`` for one that is not set.

    Raises
    ------
    ConfigError
        When one has no sensible form; the message names it.
    """
    values = {setting.name: get(setting.name) for setting in SETTINGS}
    for name, value in values.items():
        _check_text(name, value)
    return replace(_parsed(values.__getitem__), exporttree=get("exporttree") in ("yes", "true"))


def _parsed(get: Callable[[str], str]) -> RemoteSettings:
    bucket = get("bucket")
    if not bucket:
        raise ConfigError("bucket is not set", remedy="add bucket=NAME")
    partsize = get("partsize")
    return RemoteSettings(
        bucket=bucket,
        provider=get("provider") or "other",
        fileprefix=get("fileprefix"),
        endpoint=_endpoint(get),
        region=get("region") or _region_of(get("datacenter")),
        requeststyle=_one_of("requeststyle", get("requeststyle"), PATH_OR_VIRTUAL),
        signature=_one_of("signature", get("signature"), SIGNATURES),
        storageclass=get("storageclass") or None,
        partsize=parse_size(partsize, setting="partsize") if partsize else None,
        publicurl=get("publicurl") or None,
        sse=_one_of("sse", get("sse"), ("AES256", "aws:kms")),
        sse_kms_key_id=get("sse-kms-key-id") or None,
        tagging=get("x-amz-tagging") or None,
        metadata=_metadata(get("x-amz-meta")),
    )


def _check_text(name: str, value: str) -> None:
    """Refuse what could act as something else than text, in a header or on a terminal."""
    if not value.isprintable():
        raise ConfigError(f"{name} holds a control character", remedy=f"set {name} anew")
    if name in SENT_AS_HEADERS and not value.isascii():
        raise ConfigError(f"{name} holds a character that no HTTP header takes", remedy="use ASCII")


def _metadata(text: str) -> Mapping[str, str]:
    """Return names and values of x-amz-meta."""
    found = dict(parse_qsl(text))
    for name, value in found.items():
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ConfigError(
                f"x-amz-meta holds {name!r}, which no HTTP header takes",
                remedy="use letters, digits and - in names, and ASCII in values",
            )
    return found


Choice = TypeVar("Choice", bound=str)


def _one_of(name: str, value: str, allowed: tuple[Choice, ...]) -> Choice | None:
    for choice in allowed:
        if choice == value:
            return choice
    if value:
        raise ConfigError(f"{name}={value!r} is not known", remedy=f"use {' or '.join(allowed)}")
    return None


def _region_of(datacenter: str) -> str | None:
    """Translate the old names that built-in S3 still takes."""
    return {"": None, "US": "us-east-1", "EU": "eu-west-1"}.get(datacenter, datacenter)


def _endpoint(get: Callable[[str], str]) -> str | None:
    """Return the endpoint as a URL, given whole or as host, port and protocol."""
    if whole := get("endpoint"):
        return whole
    host, port, protocol = get("host"), get("port"), get("protocol")
    if not host:
        if port or protocol:
            raise ConfigError("port and protocol are given without host", remedy="add host=NAME")
        return None
    if protocol not in ("", "http", "https"):
        raise ConfigError(f"protocol={protocol!r} is not known", remedy="use https or http")
    if port and not port.isdigit():
        raise ConfigError(f"port={port!r} is not a number", remedy="write it like port=9000")
    url = f"{protocol or 'https'}://{host}" + (f":{port}" if port else "")
    if urlsplit(url).hostname is None:
        raise ConfigError(f"host={host!r} is not a host name", remedy="give the name alone")
    return url
