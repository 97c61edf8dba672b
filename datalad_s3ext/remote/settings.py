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
from datalad_s3ext.remote.values import ClassRule, class_rules, is_yes, media_type, tags
from datalad_s3ext.store.arns import parse_arn
from datalad_s3ext.units import parse_size

Addressing = Literal["path", "virtual"]
SignatureChoice = Literal["v4", "v2", "anonymous"]
Checksum = Literal["auto", "md5", "crc32", "sha256"]
PATH_OR_VIRTUAL: tuple[Addressing, ...] = ("path", "virtual")
SIGNATURES: tuple[SignatureChoice, ...] = ("v4", "v2", "anonymous")
YES_OR_NO: tuple[Literal["yes", "no"], ...] = ("yes", "no")
READ_OR_SKIP: tuple[Literal["read", "skip"], ...] = ("read", "skip")
SENT_AS_HEADERS = frozenset({
    "storageclass", "sse", "sse-kms-key-id", "x-amz-tagging", "region", "acl", "cache-control",
    "content-disposition", "content-type",
})  # fmt: skip
CUSTOMER_KEY = "customer"
"""The value of ``sse`` for SSE-C."""
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse", CUSTOMER_KEY)
ACLS = (
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read",
    "bucket-owner-read", "bucket-owner-full-control",
)  # fmt: skip
CHECKSUMS: tuple[Checksum, ...] = ("auto", "md5", "crc32", "sha256")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Setting:
    """One parameter: its name, what it means, what holds when it is not given."""

    name: str
    description: str
    default: str = ""
    example: str = ""
    instead: str = ""
    """Built-in S3 has it, and it is refused here: what to use. ``no`` is accepted."""


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
    Setting("storageclass", "storage class of new objects, or rules by size, the largest size first",
            "the provider's", "GLACIER_IR>=1MiB STANDARD"),
    Setting("restore", "yes: whoever gets content from an archive class asks for its restore", "no",
            "yes"),
    Setting("partsize", "size of the parts of large uploads", "chosen by size", "64MiB"),
    Setting("publicurl", "URL below which everybody can read the bucket: read from without keys where "
            "the service lets nobody read, and shown by git annex whereis", "",
            "https://data.example.org/brain-scans"),
    Setting("sse", "server-side encryption of new objects: AES256, aws:kms, aws:kms:dsse, or customer "
            "for a key of your own, which the local git config names", "", "AES256"),
    Setting("sse-kms-key-id", "KMS key, with sse=aws:kms", "", "alias/lab"),
    Setting("sse-bucket-key", "yes: with sse=aws:kms, derive a key of the bucket from the KMS key, "
            "which saves requests to KMS", "the bucket's", "yes"),
    Setting("x-amz-tagging", "tags of new objects, URL-encoded", "", "project=brain&grant=7"),
    Setting("x-amz-meta", "metadata of new objects, URL-encoded", "", "lab=vision&grant=7"),
    Setting("content-type", "media type of new objects; by-name: by the end of each file's name",
            "application/octet-stream", "by-name"),
    Setting("content-disposition", "what browsers do with an object: inline, or attachment", "",
            "attachment"),
    Setting("cache-control", "how long caches may keep an object", "", "max-age=86400"),
    Setting("acl", "access list of new objects, for buckets that still take them: "
            + " ".join(ACLS), "", "bucket-owner-full-control"),
    Setting("requester-pays", "yes: the bucket charges whoever reads it; each clone has to agree", "no",
            "yes"),
    Setting("checksum", "what uploads are verified by: auto, md5, crc32 (of parts) or sha256 (small "
            "files, by their key)", "auto: what the preset knows to be checked", "sha256"),
    Setting("dualstack", "yes: use Amazon's hosts that have IPv6 addresses, too", "no", "yes"),
    Setting("accelerate", "yes: use Amazon's transfer acceleration, which the bucket must allow", "no",
            "yes"),
    Setting("public", "not supported; see publicurl", "no", "",
            "Amazon's new buckets take no ACLs: make the bucket readable by a policy and set "
            "publicurl=URL, or set acl=public-read for an old one"),
    Setting("mungekeys", "not supported", "no", "",
            "items of the Internet Archive stay with git-annex's type=S3"),
    Setting("bucketversioning", "yes: the bucket keeps old versions of files, which stay retrievable",
            "no", "yes"),
    Setting("include", "with importtree=yes, only names that match one of these, separated by ;",
            "all", "sub-*;*.json"),
    Setting("exclude", "with importtree=yes, no names that match one of these, separated by ;",
            "none", "tmp/*;*.bak"),
    Setting("unhashed", "with importtree=yes, read or skip files that the server tells no checksum of",
            "read", "skip"),
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
    sse_bucket_key: bool = False
    storage_classes: tuple[ClassRule, ...] = ()
    """What `storageclass` says."""
    content_type: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    acl: str | None = None
    restore: bool = False
    requester_pays: bool = False
    checksum: Checksum = "auto"
    dualstack: bool = False
    accelerate: bool = False
    tagging: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    exporttree: bool = False
    """git-annex's own parameter: objects have the names of files, not of keys."""
    importtree: bool = False
    """git-annex's own parameter: files are what others have put into the bucket."""
    bucketversioning: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    unhashed: Literal["read", "skip"] = "read"

    @property
    def is_tree(self) -> bool:
        """Tell whether objects have the names of files."""
        return self.exporttree or self.importtree

    @property
    def is_marked(self) -> bool:
        """Tell whether an object holds the remote's UUID: not where objects have names of files."""
        return not (self.is_tree or self.bucketversioning)


def read_settings(get: Callable[[str], str]) -> RemoteSettings:
    """Read the parameters through `get`, which returns ``""`` for one that is not set.

    Raises
    ------
    ConfigError
        When one has no sensible form; the message names it.
    """
    values = {setting.name: get(setting.name) for setting in SETTINGS}
    for setting in SETTINGS:
        _check_text(setting.name, values[setting.name])
        if setting.instead and is_yes(setting.name, values[setting.name]):
            raise ConfigError(f"{setting.name}=yes is not supported", remedy=setting.instead)
    exports, imports = (get(name) in ("yes", "true") for name in ("exporttree", "importtree"))
    return replace(_parsed(values.__getitem__), exporttree=exports, importtree=imports)


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
        region=_region(get("region") or _region_of(get("datacenter")), bucket),
        requeststyle=_one_of("requeststyle", get("requeststyle"), PATH_OR_VIRTUAL),
        signature=_one_of("signature", get("signature"), SIGNATURES),
        storageclass=get("storageclass") or None,
        partsize=parse_size(partsize, setting="partsize") if partsize else None,
        publicurl=without_password("publicurl", get("publicurl")) or None,
        sse=_one_of("sse", get("sse"), ENCRYPTIONS),
        sse_kms_key_id=_with_kms("sse-kms-key-id", get) or None,
        sse_bucket_key=is_yes("sse-bucket-key", _with_kms("sse-bucket-key", get)),
        storage_classes=class_rules(get("storageclass")),
        content_type=media_type(get("content-type")),
        content_disposition=get("content-disposition") or None,
        cache_control=get("cache-control") or None,
        acl=_one_of("acl", get("acl"), ACLS),
        restore=is_yes("restore", get("restore")),
        requester_pays=is_yes("requester-pays", get("requester-pays")),
        checksum=_one_of("checksum", get("checksum"), CHECKSUMS) or "auto",
        dualstack=is_yes("dualstack", get("dualstack")),
        accelerate=is_yes("accelerate", get("accelerate")),
        tagging=tags(get("x-amz-tagging")),
        metadata=_metadata(get("x-amz-meta")),
        bucketversioning=_one_of("bucketversioning", get("bucketversioning"), YES_OR_NO) == "yes",
        include=_list_of(get("include")),
        exclude=_list_of(get("exclude")),
        unhashed=_one_of("unhashed", get("unhashed"), READ_OR_SKIP) or "read",
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


def _with_kms(name: str, get: Callable[[str], str]) -> str:
    """Return the value of `name`, which means something together with a KMS key only."""
    value = get(name)
    if value not in ("", "no") and not get("sse").startswith("aws:kms"):
        raise ConfigError(f"{name} has no use without a KMS key", remedy="add sse=aws:kms")
    return value


def _region(given: str | None, bucket: str) -> str | None:
    """Return the region: of an access point, its own."""
    arn = parse_arn(bucket)
    if arn is None or not arn.region:
        return given
    if given not in (None, arn.region):
        raise ConfigError(
            f"the access point lies in {arn.region}, and region={given} is given",
            remedy=f"give region={arn.region}, or none",
        )
    return arn.region


def _list_of(text: str) -> tuple[str, ...]:
    return tuple(piece.strip() for piece in text.split(";") if piece.strip())


def _region_of(datacenter: str) -> str | None:
    """Translate the old names that built-in S3 still takes."""
    return {"": None, "US": "us-east-1", "EU": "eu-west-1"}.get(datacenter, datacenter)


def without_password(name: str, url: str) -> str:
    """Return `url`, the value of the parameter `name`, which everybody sees who has the data set.

    Raises
    ------
    ConfigError
        When it holds a user name or password, which is not repeated.
    """
    rest = url.partition("://")[2] or url
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    _, colon, port = host.rpartition(":")
    # a password may hold a slash
    if "@" in host or ("@" in rest and colon and not port.isdigit()):
        raise ConfigError(
            f"{name} holds a user name or password, which would be stored for all",
            remedy=f"give {name} without it",
        )
    return url


def _endpoint(get: Callable[[str], str]) -> str | None:
    """Return the endpoint as a URL, given whole or as host, port and protocol."""
    if whole := without_password("endpoint", get("endpoint")):
        return whole
    host, port, protocol = without_password("host", get("host")), get("port"), get("protocol")
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
