"""What goes with every request to a bucket, besides what the request is about."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from datalad_s3ext.providers.schema import NOTHING

CUSTOMER_KEY_BYTES = 32


@dataclass(frozen=True)
class Extras:
    """What one user of a bucket wants of all requests. The default sends nothing more."""

    requester_pays: bool = False
    """Whoever asks pays for it."""
    customer_key: bytes | None = field(default=None, repr=False)
    """The 32 bytes that the server encrypts and decrypts all objects with, and forgets (SSE-C)."""
    customer_key_source: str = ""
    """Where that key comes from, for error texts."""
    dual_stack: bool = False
    """Use Amazon's hosts that have IPv6 addresses, too."""
    bucket_metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Of a bucket that is made; sent where the preset knows that the service keeps any."""
    accelerate: bool = False
    """Use Amazon's hosts that are near the client."""
    source: Extras | None = None
    """What goes with reading from the bucket that objects are copied from, where it is another one."""

    def of_nobody(self) -> Extras:
        """Return what goes with requests without keys, to a place that nobody may have agreed to."""
        return replace(
            self, requester_pays=False, customer_key=None, customer_key_source="", source=None
        )


NO_EXTRAS = Extras()

_READS = ("head_object", "get_object")
_WRITES = ("put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload")
_COPIES = ("copy_object", "upload_part_copy")
_OTHERS = (
    "delete_object", "list_objects", "list_objects_v2", "list_object_versions",
    "abort_multipart_upload", "list_multipart_uploads", "restore_object",
)  # fmt: skip


def parameters_of(extras: Extras) -> Mapping[str, Mapping[str, str]]:
    """Return, for each operation as botocore's client calls it, the parameters to add to it.

    The key goes with the parts and the completion of an upload, too: S3 wants it wherever it computes
    a checksum. A copy reads with that of its source, and writes with it.
    """
    origin = extras.source or extras
    payer, either = _payer(extras), {**_payer(extras), **_payer(origin)}
    key = _key_parameters("SSECustomer", extras.customer_key)
    wanted = (
        ((*_READS, *_WRITES, "list_parts"), {**payer, **key}),
        (_COPIES, {**either, **key, **_key_parameters("CopySourceSSECustomer", origin.customer_key)}),
        (_OTHERS, payer),
    )
    return {name: added for names, added in wanted for name in names if added}


def _payer(extras: Extras) -> dict[str, str]:
    return {"RequestPayer": "requester"} if extras.requester_pays else {}


def _key_parameters(prefix: str, key: bytes | None) -> dict[str, str]:
    if key is None:
        return {}
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return {
        f"{prefix}Algorithm": "AES256",
        f"{prefix}Key": b64encode(key).decode(),
        f"{prefix}KeyMD5": b64encode(digest).decode(),
    }
