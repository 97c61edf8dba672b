"""What a preset states about a provider: facts, no behaviour.

One TOML file per provider holds one :class:`Provider`; each class below is one table of that file.
Every difference between services that the program must know is a field here. Code asks the field,
never the provider's name. ``None`` means "not known", which is different from ``False``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal

from datalad_s3ext.units import GIB, MIB, TIB

Kind = Literal["cloud", "academic", "self-hosted"]
Addressing = Literal["path", "virtual"]
Signature = Literal["v4", "v2"]
ChecksumMode = Literal["when_required", "when_supported"]
LocationRule = Literal["none", "region", "region-unless-us-east-1"]
Confidence = Literal["high", "medium", "low"]

Size = Annotated[int, "bytes"]
"""A number of bytes; in a file it may be written for people: ``"5 MiB"``."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class EndpointRule:
    """How the endpoint URL is found: environment, local server, template, default, in this order.

    Before all of them come an endpoint that the user gives and the one of the chosen region.
    """

    default: str | None = None
    """A whole URL."""
    template: str | None = None
    """A URL with ``{region}`` or names from `variables`."""
    env: tuple[str, ...] = ()
    """Environment variables that may hold the endpoint, with or without scheme."""
    local_server: bool = False
    """Endpoint and keys stand in the record of the running ``datalad s3-serve``."""
    by_sdk: bool = False
    """The SDK knows the endpoint of every region and follows redirects: none need be given."""
    variables: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Names in `template` besides ``region``, each with the question to ask for it."""
    aliases: tuple[str, ...] = ()
    """Other URLs of the same service, with any names in braces: only to recognise it by one."""
    unconfirmed: bool = False
    """The hosts rest on a single source of little weight: a person should compare them first."""
    note: str | None = None


@dataclass(frozen=True)
class Region:
    """One place where the provider keeps buckets."""

    id: str
    endpoint: str | None = None
    place: str | None = None
    signing: str | None = None
    """What requests are signed for here, where it is not what :class:`RegionRule` says."""
    location: str | None = None
    """The LocationConstraint of a bucket here, where it is not the id."""


@dataclass(frozen=True)
class RegionRule:
    """Which region is used when none is given, and which one requests are signed for."""

    default: str | None = None
    signing: str | None = None
    """What requests are signed for; ``{region}`` in it is filled in. Absent: the region itself."""


@dataclass(frozen=True)
class Requests:
    """How a request must look."""

    addressing: Addressing = "path"
    signature: Signature = "v4"
    signature_fallback: Signature | None = None
    """Another signature that servers of this kind are known to want."""
    unsigned_payload: bool | None = None
    """Takes bodies whose digest is not part of the signature. True: also over plain http. False: not
    over TLS either. Not known: over TLS. Where it does not, each body is read once more to sign it."""
    checksum_mode: ChecksumMode = "when_required"
    """The SDK's own checksum trailers; most services refuse them."""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Headers of the service's own that go with every request; names in lower case, ``x-...``."""


@dataclass(frozen=True)
class Listing:
    """How a bucket is listed."""

    version: Literal[1, 2] = 2
    url_encoding: bool = True


@dataclass(frozen=True)
class Upload:
    """Limits of uploads, and what the answer to one is worth."""

    etag_is_md5: bool | None = None
    """The ETag of an object stored by one PUT is the MD5 of its bytes."""
    etag_is_md5_unless_kms: bool | None = None
    """It is, unless the answer to HEAD says that a key of KMS encrypts the object."""
    multipart_etag_is_md5_of_md5s: bool | None = None
    part_etag_is_md5: bool | None = None
    min_part: Size = 5 * MIB
    max_part: Size = 5 * GIB
    max_parts: int = 10_000
    equal_parts: bool = False
    """All parts but the last must have the same size."""
    max_put: Size = 5 * GIB
    max_object: Size = 5 * TIB
    verified_checksums: tuple[str, ...] = ()
    """Checksums sent with a body that the server checks: CRC32, SHA256, Content-MD5 ..."""


@dataclass(frozen=True)
class Bucket:
    """How buckets come into being."""

    create: bool | None = None
    location_constraint: LocationRule = "none"
    metadata_prefix: str | None = None
    """What headers with metadata of a new bucket begin with, where the service keeps any."""
    note: str | None = None


@dataclass(frozen=True)
class Capabilities:
    """What the service can do; ``None`` where nobody has shown it."""

    conditional_put: bool | None = None
    versioning: bool | None = None
    object_lock: bool | None = None
    object_acl: bool | None = None
    anonymous_read: bool | None = None
    requester_pays: bool | None = None
    session_tokens: bool | None = None
    copy: bool | None = None
    """Copies a whole object on the server."""
    upload_part_copy: bool | None = None


@dataclass(frozen=True)
class StorageClass:
    """A storage class by its S3 name."""

    name: str
    restore_needed: bool = False


@dataclass(frozen=True)
class Help:
    """Where a person finds keys and documentation."""

    keys: str | None = None
    """One line: how to get an access key."""
    console: str | None = None
    docs: str | None = None
    public_url: str | None = None
    """URL of a publicly readable object, with ``{bucket}``, ``{region}`` and ``{key}``."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Where the facts come from and what they are worth."""

    checked: str
    """Date of collection, ISO."""
    confidence: Confidence
    sources: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    """Fields that rest on general knowledge."""


@dataclass(frozen=True)
class Provider:
    """All we know about one S3-compatible service."""

    id: str
    name: str
    kind: Kind
    evidence: Evidence
    endpoint: EndpointRule = field(default_factory=EndpointRule)
    region: RegionRule = field(default_factory=RegionRule)
    regions: tuple[Region, ...] = ()
    requests: Requests = field(default_factory=Requests)
    listing: Listing = field(default_factory=Listing)
    upload: Upload = field(default_factory=Upload)
    bucket: Bucket = field(default_factory=Bucket)
    capabilities: Capabilities = field(default_factory=Capabilities)
    storage_classes: tuple[StorageClass, ...] = ()
    help: Help = field(default_factory=Help)
    software: str | None = None
    """The server program behind the service, when known."""
