"""Copies that the server makes: no byte passes through this machine.

A server that does not know the request may take it for an ordinary upload of nothing, and say 200.
So an answer counts only when it holds the copy's ETag, which S3 sends in the body. An answer 200
whose body is an error, which S3 may send late, is raised as that error: botocore sees to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from datalad_s3ext.errors import Unsupported
from datalad_s3ext.store.base import DEFAULT_PUT, ObjectInfo, PartReceipt, PutOptions, Stored
from datalad_s3ext.store.s3_answers import Answer, bare_etag
from datalad_s3ext.store.s3_core import S3Core, put_parameters

_COPIED_BY_ITSELF = ("CacheControl", "ContentDisposition", "ContentType", "Metadata", "Tagging")


class S3Copy(S3Core):
    """The copying half of :class:`.s3.S3Store`."""

    def copy(
        self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT
    ) -> Stored:  # fmt: skip
        """Have the server copy an object, by one request, to the name `target`."""
        # without its storage class a copy would get the bucket's; its other properties go along
        asked = put_parameters(replace(options, storage_class=source.storage_class))
        for name in _COPIED_BY_ITSELF:
            asked.pop(name, None)
        with self._translated("copy", source.name):
            answer = self._client.copy_object(
                Bucket=self.bucket, Key=target, **self._unchanged(source), **asked
            )
        etag = self._copied(answer, "CopyObjectResult", source)
        return Stored(etag, answer.get("VersionId"))

    def copy_part(
        self, source: ObjectInfo, start: int, length: int, target: str, upload_id: str, number: int
    ) -> PartReceipt:
        """Have the server take a range of an object as one part of `target`."""
        with self._translated(f"copy part {number} of", source.name):
            answer = self._client.upload_part_copy(
                Bucket=self.bucket,
                Key=target,
                UploadId=upload_id,
                PartNumber=number,
                CopySourceRange=f"bytes={start}-{start + length - 1}",
                **self._unchanged(source),
            )
        return PartReceipt(number, length, self._copied(answer, "CopyPartResult", source))

    def _unchanged(self, source: ObjectInfo) -> dict[str, Any]:
        return {
            "CopySource": {"Bucket": source.bucket or self.bucket, "Key": source.name},
            "CopySourceIfMatch": f'"{source.etag}"',
        }

    def _copied(self, answer: Answer, element: str, source: ObjectInfo) -> str:
        self._believe(answer)
        etag = bare_etag(str((answer.get(element) or {}).get("ETag") or ""))
        if not etag:
            raise Unsupported(
                f"cannot copy {source.name!r} in bucket {self.bucket!r}: the service took the request "
                "for something else"
            )
        return etag
