"""What `datalad s3-doctor --save` measured at one endpoint, laid over the preset.

The file is the user's own, and is read as strictly as a preset. Only facts about how a service behaves
are taken from it, never what decides about security: no address, signature, region or place of the
bucket's name. What a service was seen to take without harm once, such as the checksums that a library
adds by itself, is not taken either; that it does not take them is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.reading import InvalidPreset, read_table
from datalad_s3ext.providers.schema import ChecksumMode, Provider
from datalad_s3ext.units import MIB

MEASURE_ANEW = "measure anew: datalad s3-doctor ... --save"
LEAST_PART = 5 * MIB  # S3's own rule, where small parts are refused

Checksum = Literal["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "Content-MD5"]


@dataclass(frozen=True)
class MeasuredListing:
    """As :class:`.schema.Listing`; ``None`` where it could not be found out, here and below."""

    version: Literal[1, 2] | None = None
    url_encoding: bool | None = None


@dataclass(frozen=True)
class MeasuredUpload:
    """As :class:`.schema.Upload`."""

    etag_is_md5: bool | None = None
    part_etag_is_md5: bool | None = None
    multipart_etag_is_md5_of_md5s: bool | None = None
    verified_checksums: tuple[Checksum, ...] | None = None


@dataclass(frozen=True)
class MeasuredRequests:
    """As :class:`.schema.Requests`."""

    checksum_mode: ChecksumMode | None = None


@dataclass(frozen=True)
class MeasuredCapabilities:
    """As :class:`.schema.Capabilities`."""

    conditional_put: bool | None = None
    upload_part_copy: bool | None = None


@dataclass(frozen=True)
class MeasuredOther:
    """What no preset states."""

    ranges: bool | None = None
    if_match: bool | None = None
    checksums_accepted: tuple[Checksum, ...] | None = None
    small_parts: bool | None = None
    """Parts may have less than 5 MiB."""
    links: bool | None = None
    public: bool | None = None


@dataclass(frozen=True)
class Measurement:
    """The content of one file."""

    endpoint: str
    """Scheme, host and port; it counts for no other."""
    preset: str
    measured: str
    """Date, ISO."""
    bucket: str = ""
    listing: MeasuredListing = field(default_factory=MeasuredListing)
    upload: MeasuredUpload = field(default_factory=MeasuredUpload)
    requests: MeasuredRequests = field(default_factory=MeasuredRequests)
    capabilities: MeasuredCapabilities = field(default_factory=MeasuredCapabilities)
    other: MeasuredOther = field(default_factory=MeasuredOther)


@dataclass(frozen=True)
class Overlay:
    """What a measurement changes of a preset."""

    path: Path
    date: str
    changes: Mapping[str, object]
    """New values by the field's name in a preset, such as ``listing.version``; often none."""
    provider: Provider
    """The preset with them."""

    @property
    def text(self) -> str:
        """Return in one line what differs, and where that stands."""
        told = ", ".join(f"{name} = {_shown(value)}" for name, value in self.changes.items())
        return f"{told or 'nothing differs from the preset'} (measured on {self.date}, {self.path})"


def read_measurement(path: Path) -> Measurement:
    """Return what the file `path` states.

    Raises
    ------
    ConfigError
        Naming the file and the key that is wrong. Nothing is guessed: what was measured may be what
        keeps transfers right.
    """
    remedy = f"correct it, or delete it: rm {path}; to {MEASURE_ANEW}"
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
        return cast(Measurement, read_table(Measurement, raw))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"what was measured, {path}, cannot be read: {exc}", remedy=remedy) from exc
    except InvalidPreset as exc:
        raise ConfigError(f"{path}: {exc.problems[0]}", remedy=remedy) from exc


def laid_over(provider: Provider, endpoint_url: str, path: Path) -> Overlay | None:
    """Return `provider` as the file `path` corrects it; ``None`` when that is of another endpoint.

    Raises
    ------
    ConfigError
        As :func:`read_measurement`.
    """
    found = read_measurement(path)
    if found.endpoint != endpoint_url:
        return None
    changes: dict[str, object] = {}
    for table, name, value in _safe(found, provider):
        stated = getattr(provider, table)
        if getattr(stated, name) != value:
            changes[f"{table}.{name}"] = value
            provider = replace(provider, **cast(Any, {table: replace(stated, **{name: value})}))
    return Overlay(path, found.measured, changes, provider)


def _safe(found: Measurement, provider: Provider) -> Iterator[tuple[str, str, object]]:
    """Yield (table, field, value) of all that a measurement may decide."""
    for table in ("listing", "upload", "capabilities"):
        measured = getattr(found, table)
        for item in fields(measured):
            value = getattr(measured, item.name)
            if value is not None:
                yield table, item.name, value
    if found.requests.checksum_mode == "when_required":
        yield "requests", "checksum_mode", "when_required"
    if found.other.small_parts is False:
        yield "upload", "min_part", max(provider.upload.min_part, LEAST_PART)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
