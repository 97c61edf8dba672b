"""What a server tells of objects beyond their bytes: checksums, and their versions."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from datalad_s3ext.errors import AccessDenied, CredentialsError, IntegrityError, NotS3, Unsupported
from datalad_s3ext.store.base import CHECKSUMS, CUSTOMER, ObjectInfo
from datalad_s3ext.store.pinned import version_parameter
from datalad_s3ext.store.s3_answers import Answer, info_of_head, info_of_row
from datalad_s3ext.store.s3_core import S3Core

SHA256_BYTES = 32


class S3Versions(S3Core):
    """The part of :class:`.s3.S3Store` that asks for checksums and versions."""

    def describe(self, name: str) -> ObjectInfo:
        """Describe an object, its checksum and encryption included."""
        try:
            return self._described(name, {"ChecksumMode": "ENABLED"})
        except (AccessDenied, CredentialsError):
            # checksums may need another right: of a KMS key, or for everybody
            return self._described(name, {})

    def _described(self, name: str, more: dict[str, Any]) -> ObjectInfo:
        try:
            with self._translated("look for", name):
                answer = self._client.head_object(
                    Bucket=self.bucket, Key=name, **more, **version_parameter(name)
                )
        except NotS3 as refusal:
            if refusal.http_status == 404:
                self._settle_absence(name, refusal)
            raise
        info = info_of_head(name, answer, self.place.endpoint)
        self._believe(answer)
        by = CUSTOMER if answer.get("SSECustomerAlgorithm") else answer.get("ServerSideEncryption")
        return replace(
            info, sha256=whole_sha256(answer, info.etag),
            checksums=whole_checksums(answer, info.etag), encryption=by,
        )  # fmt: skip

    def list_versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the newest version of each object that is there, over all pages."""
        marker, version_marker = start_after, ""
        seen: set[tuple[str, str]] = set()
        while True:
            answer = self._page_of_versions(prefix, marker, version_marker)
            for row in answer.get("Versions", []):
                if not str(row["Key"]).startswith(prefix):
                    raise _bad_list(prefix)
                if row.get("IsLatest"):
                    yield replace(info_of_row(row), version_id=_real(row.get("VersionId")))
            if not answer.get("IsTruncated"):
                return
            marker = str(answer.get("NextKeyMarker") or "")
            version_marker = str(answer.get("NextVersionIdMarker") or "")
            if not marker or (marker, version_marker) in seen:
                raise _bad_list(prefix)
            seen.add((marker, version_marker))

    def versioning(self) -> bool:
        """Tell whether the bucket keeps old versions of its objects."""
        with self._translated("ask for the versioning of"):
            answer = self._client.get_bucket_versioning(Bucket=self.bucket)
        self._believe(answer)
        return answer.get("Status") == "Enabled"

    def enable_versioning(self) -> None:
        """Have the bucket keep old versions from now on."""
        with self._translated("switch on the versioning of"):
            answer = self._client.put_bucket_versioning(
                Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        self._believe(answer)
        if not self.versioning():
            raise Unsupported(
                f"bucket {self.bucket!r} was told to keep old versions and does not",
                remedy="set the remote up without bucketversioning=yes",
            )

    def _page_of_versions(self, prefix: str, marker: str, version_marker: str) -> Answer:
        asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, "MaxKeys": self._page_size}
        if marker:
            asked["KeyMarker"] = marker
        if version_marker:
            asked["VersionIdMarker"] = version_marker
        with self._translated("list the versions in"):
            answer: Answer = self._client.list_object_versions(**asked)
        self._require(answer, "Name", "what it sends is no list of a bucket")
        return answer


def whole_checksums(answer: Answer, etag: str) -> dict[str, str]:
    """Return the checksums of all bytes of an object that the answer to HEAD tells.

    A checksum of the parts' checksums, as multipart uploads have, is none.
    """
    kind = answer.get("ChecksumType")
    if kind not in (None, "FULL_OBJECT") or (kind is None and "-" in etag):
        return {}
    told = {name: str(answer.get(f"Checksum{name}") or "") for name in CHECKSUMS}
    return {name: text for name, text in told.items() if text and "-" not in text}


def whole_sha256(answer: Answer, etag: str) -> bytes | None:
    """Return the SHA-256 among them, if it is one."""
    try:
        digest = b64decode(whole_checksums(answer, etag).get("SHA256", ""), validate=True)
    except binascii.Error:
        return None
    return digest if len(digest) == SHA256_BYTES else None


def _real(version_id: object) -> str | None:
    """Return the id of a version; ``null`` is that of an object from before there were any."""
    text = str(version_id or "")
    return None if text in {"", "null"} else text


def _bad_list(prefix: str) -> IntegrityError:
    return IntegrityError(
        f"the server repeats a page of its versions, or lists names outside {prefix!r}",
        remedy="report the provider",
    )
