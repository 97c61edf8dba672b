"""The local file of an upload, and how it must be stored."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from datalad_s3ext.errors import LocalError
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import DEFAULT_PUT, PutOptions
from datalad_s3ext.transfer.fingerprint import Kind
from datalad_s3ext.transfer.verify import ChecksumTrust, EtagTrust


@dataclass(frozen=True)
class Source:
    """The local file of an upload as it was when the upload began."""

    path: Path
    size_bytes: int
    mtime_ns: int
    key: str = ""
    """The git-annex key, where it is not the name of the object."""

    @property
    def identity(self) -> str:
        """What another file of the same size does not have."""
        return f"{self.key} {self.mtime_ns}".lstrip()

    @classmethod
    def of(cls, path: Path, key: str = "") -> Source:
        """Look at the file.

        Raises
        ------
        LocalError
            When it cannot be read.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise LocalError(f"cannot read {path}: {error.strerror}") from error
        return cls(path, found.st_size, found.st_mtime_ns, key)

    def opened(self) -> BinaryIO:
        """Open the file for reading, unbuffered.

        Raises
        ------
        LocalError
            When it cannot be.
        """
        try:
            return self.path.open("rb", buffering=0)
        except OSError as error:
            raise LocalError(f"cannot read {self.path}: {error.strerror}") from error

    def check_unchanged(self) -> None:
        """Raise `LocalError` when the file is no longer what it was."""
        if Source.of(self.path, self.key) != self:
            raise LocalError(
                f"{self.path} changed while it was uploaded; nothing was stored",
                remedy="run the command again when nothing writes to the file",
            )


@dataclass(frozen=True)
class UploadRules:
    """How the objects of one bucket are stored; made once per process by :meth:`of`."""

    place: str
    """Endpoint and bucket, for the journal."""
    limits: Upload
    """What the provider allows."""
    etags: EtagTrust
    """Of objects stored by one PUT."""
    multipart_etags: EtagTrust
    part_size: int | None = None
    """Bytes of a part; by default chosen from the file's size."""
    options: PutOptions = DEFAULT_PUT
    crc32: ChecksumTrust = field(default_factory=ChecksumTrust)

    @property
    def part_kind(self) -> Kind:
        """What is sent along with each part of an upload that begins now."""
        return "crc32" if self.options.part_crc32 and self.crc32.is_compared else "md5"

    @classmethod
    def of(
        cls,
        limits: Upload,
        *,
        place: str = "",
        part_size: int | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> UploadRules:
        """Return the rules for a provider with these `limits`."""
        options = replace(options, part_crc32="CRC32" in limits.verified_checksums)
        return cls(
            place,
            limits,
            EtagTrust(known_to_be_md5=limits.etag_is_md5),
            EtagTrust(known_to_be_md5=limits.multipart_etag_is_md5_of_md5s),
            part_size,
            options,
        )
