"""Multipart uploads over S3."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from datalad_s3ext.errors import IntegrityError, UploadNotFound
from datalad_s3ext.store.base import DEFAULT_PUT, Body, PartReceipt, PutOptions, Stored
from datalad_s3ext.store.lean_client import ASKED_TWICE
from datalad_s3ext.store.lost_uploads import take_back_lost
from datalad_s3ext.store.s3_answers import (
    Answer,
    bare_etag,
    headers_of,
    is_kms,
    is_md5,
    is_younger_than,
    required_etag,
)
from datalad_s3ext.store.s3_body import to_send
from datalad_s3ext.store.s3_core import S3Core, put_parameters

_NO_UPLOAD = "its answer to an upload is none of S3"


class S3Multipart(S3Core):
    """The multipart half of :class:`.s3.S3Store`."""

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        """Begin a multipart upload and return its id."""
        parameters = put_parameters(options)
        if options.part_crc32:
            parameters["ChecksumAlgorithm"] = "CRC32"
        began = time.monotonic()
        with self._translated("begin an upload of", name):
            answer = self._client.create_multipart_upload(Bucket=self.bucket, Key=name, **parameters)
        self._require(answer, "UploadId", _NO_UPLOAD)
        if answer.get(ASKED_TWICE):
            take_back_lost(self, name, time.monotonic() - began, {answer["UploadId"]})
        return answer["UploadId"]

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        """Send one part; the same number again replaces it."""
        digest: dict[str, Any] = {"ContentMD5": b64encode(md5).decode()} if md5 else {}
        if crc32:
            digest["ChecksumCRC32"] = b64encode(crc32).decode()
        with self._translated(f"upload part {number} of", name):
            answer = self._client.upload_part(
                Bucket=self.bucket,
                Key=name,
                UploadId=upload_id,
                PartNumber=number,
                Body=to_send(body, size_bytes),
                ContentLength=size_bytes,
                **digest,
            )
        etag = required_etag(answer, self.place.endpoint)
        self._believe(answer)
        tells = self._part_etag_tells(etag, answer)
        if md5 and tells and etag.lower() != md5.hex():
            raise self._damaged_part(name, number, etag, md5.hex())
        is_echoed = crc32 is None or self._has_echo(answer, name, number, digest["ChecksumCRC32"])
        return PartReceipt(number, size_bytes, etag, crc32, is_echoed, tells)

    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:
        """Return the parts the server has, in order.

        A part that was replaced is listed by SeaweedFS 4 with its old and its new content, in any
        order. What is not certain is left out: such a part has to be sent again.
        """
        parts: dict[int, set[PartReceipt]] = {}
        marker = 0
        while True:
            with self._translated("list the parts of", name):
                answer = self._client.list_parts(
                    Bucket=self.bucket, Key=name, UploadId=upload_id, PartNumberMarker=marker
                )
            self._require(answer, "UploadId", _NO_UPLOAD)
            for row in answer.get("Parts", []):
                number = row["PartNumber"]
                receipt = PartReceipt(number, row["Size"], bare_etag(row["ETag"]))
                parts.setdefault(number, set()).add(receipt)
            if not answer.get("IsTruncated"):
                certain = (found for _, found in sorted(parts.items()) if len(found) == 1)
                return [receipt for found in certain for receipt in found]
            before, marker = marker, int(answer.get("NextPartNumberMarker") or max(parts, default=0))
            if marker <= before:
                raise _repeated(f"the parts of {name!r}")

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        """Make the object appear, whole.

        The order of `parts` does not matter. The ETag of the receipt is empty when the server does
        not tell it. An answer 200 that holds an error, which S3 may send, is raised as that error.
        """
        ordered = sorted(parts, key=lambda part: part.number)
        with self._translated("complete the upload of", name):
            answer = self._client.complete_multipart_upload(
                Bucket=self.bucket,
                Key=name,
                UploadId=upload_id,
                MultipartUpload={"Parts": [_row(part) for part in ordered]},
            )
        self._believe(answer)
        return Stored(bare_etag(answer.get("ETag") or ""), answer.get("VersionId"))

    def abort_upload(self, name: str, upload_id: str) -> None:
        """Throw the parts away. That the upload is gone is success."""
        try:
            with self._translated("abort the upload of", name):
                answer = self._client.abort_multipart_upload(
                    Bucket=self.bucket, Key=name, UploadId=upload_id
                )
        except UploadNotFound:
            return
        self._believe(answer)

    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield (name, upload id) of every unfinished upload below `prefix`.

        Raises
        ------
        Unsupported
            When the service keeps no such list.
        IntegrityError
            When it repeats a page.
        """
        for answer in self._pages_of_uploads(prefix):
            rows = [(row["Key"], row["UploadId"]) for row in answer.get("Uploads", [])]
            # a server may ignore the prefix: what lies outside belongs to others
            yield from (row for row in rows if row[0].startswith(prefix))

    def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:
        """Return the ids of young uploads of `name` that nothing was sent to yet."""
        return [
            row["UploadId"]
            for answer in self._pages_of_uploads(name)
            for row in answer.get("Uploads", [])
            if row["Key"] == name
            and is_younger_than(age_s, row.get("Initiated"), answer)
            and self._is_empty(name, row["UploadId"])
        ]

    def _is_empty(self, name: str, upload_id: str) -> bool:
        try:
            with self._translated("list the parts of", name):
                answer = self._client.list_parts(Bucket=self.bucket, Key=name, UploadId=upload_id)
        except UploadNotFound:
            return False
        self._require(answer, "UploadId", _NO_UPLOAD)
        return not answer.get("Parts") and not answer.get("IsTruncated")

    def _pages_of_uploads(self, prefix: str) -> Iterator[Answer]:
        seen: set[tuple[str, str]] = set()
        after: dict[str, Any] = {}
        while True:
            with self._translated("list the unfinished uploads of"):
                answer: Answer = self._client.list_multipart_uploads(
                    Bucket=self.bucket, Prefix=prefix, **after
                )
            self._require(answer, "Bucket", _NO_UPLOAD)
            rows = [(row["Key"], row["UploadId"]) for row in answer.get("Uploads", [])]
            if not seen.isdisjoint(rows):
                raise _repeated("unfinished uploads")
            seen.update(rows)
            yield answer
            if not answer.get("IsTruncated"):
                return
            if not rows:
                raise _repeated("unfinished uploads")
            after = {
                "KeyMarker": answer.get("NextKeyMarker") or rows[-1][0],
                "UploadIdMarker": answer.get("NextUploadIdMarker") or rows[-1][1],
            }

    def _has_echo(self, answer: Answer, name: str, number: int, sent: str) -> bool:
        """Tell whether the server states the CRC32 that was `sent`: then it has looked at it."""
        echo = headers_of(answer).get("x-amz-checksum-crc32")
        if echo not in (None, sent):
            raise self._damaged_part(name, number, f"the CRC32 {echo}", sent)
        return echo is not None

    def _damaged_part(self, name: str, number: int, found: str, sent: str) -> IntegrityError:
        return IntegrityError(
            f"part {number} of {name!r} arrived damaged: the server has {found}, sent was {sent}",
            remedy=self._how_to_mend_damage(),
        )

    def _part_etag_tells(self, etag: str, answer: Any) -> bool:
        known = self._provider.upload.part_etag_is_md5 is True
        return known and is_md5(etag) and not is_kms(DEFAULT_PUT, answer)


def _row(part: PartReceipt) -> Any:
    row = {"PartNumber": part.number, "ETag": f'"{part.etag}"'}
    return row | {"ChecksumCRC32": b64encode(part.crc32).decode()} if part.crc32 else row


def _repeated(what: str) -> IntegrityError:
    return IntegrityError(
        f"the server repeats a page of its list of {what}",
        remedy="report the provider: its preset should say listing version 1",
    )
