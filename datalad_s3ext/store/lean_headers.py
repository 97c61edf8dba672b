"""Which parameters of botocore's the short way knows, and the headers they are sent as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEY = frozenset({"SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5"})
_PAYER = frozenset({"RequestPayer"})
_STORED_WITH = frozenset({
    "ACL", "BucketKeyEnabled", "CacheControl", "ContentDisposition", "ContentType", "Metadata",
    "SSEKMSKeyId", "ServerSideEncryption", "StorageClass", "Tagging",
})  # fmt: skip
_BODY = frozenset({"Body", "ContentLength", "ContentMD5", "ChecksumCRC32", "ChecksumSHA256"})

HEAD = _KEY | _PAYER | {"ChecksumMode", "VersionId"}
GET = HEAD | {"Range", "IfMatch"}
PUT = _KEY | _PAYER | _STORED_WITH | _BODY
PART = _KEY | _PAYER | _BODY | {"UploadId", "PartNumber"}
CREATE = _KEY | _PAYER | _STORED_WITH | {"ChecksumAlgorithm"}
COMPLETE = _KEY | _PAYER | {"UploadId", "MultipartUpload"}
DELETE = _PAYER | {"VersionId"}

_HEADERS = {
    "Range": "range",
    "IfMatch": "if-match",
    "ContentMD5": "content-md5",
    "ChecksumCRC32": "x-amz-checksum-crc32",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ChecksumAlgorithm": "x-amz-checksum-algorithm",
    "ChecksumMode": "x-amz-checksum-mode",
    "ContentType": "content-type",
    "ContentDisposition": "content-disposition",
    "CacheControl": "cache-control",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "ACL": "x-amz-acl",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-md5",
    "RequestPayer": "x-amz-request-payer",
}


def headers_of(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that say what `asked` says besides name, body and query."""
    headers = {header: str(asked[name]) for name, header in _HEADERS.items() if name in asked}
    if asked.get("BucketKeyEnabled"):
        headers["x-amz-server-side-encryption-bucket-key-enabled"] = "true"
    headers.update((f"x-amz-meta-{name}", text) for name, text in asked.get("Metadata", {}).items())
    return headers
