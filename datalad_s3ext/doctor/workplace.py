"""A place in the bucket that is ours alone, and is left as it was found."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Self

from datalad_s3ext.store.diagnose import Inquiry, Reply

NAME = ".datalad-s3ext-doctor-"


class Workplace:
    """Objects below one random name; leaving the block removes them all, versions included.

    Names of what could not be removed are in `left` afterwards.
    """

    def __init__(self, inquiry: Inquiry, prefix: str) -> None:
        self.inquiry = inquiry
        self.below = f"{prefix}{NAME}{secrets.token_hex(16)}/"
        self.left: list[str] = []
        self._made: dict[tuple[str, str | None], None] = {}
        self._uploads: dict[tuple[str, str], None] = {}
        self._is_waiting = False
        """An answer did not come: something may be there that we know nothing of."""

    def name(self, last: str) -> str:
        """Return the full name of an object here."""
        return self.below + last

    def put(self, last: str, data: bytes, by: Inquiry | None = None, **parameters: Any) -> Reply:
        """Store an object; `by` another inquiry for the same bucket."""
        name = self.name(last)
        reply = self._ask("put_object", by, Key=name, Body=data, **parameters)
        if reply.done:
            self._note(name, reply)
        return reply

    def delete(self, last: str) -> Reply:
        """Delete an object as transfers do; in a versioned bucket that leaves a marker."""
        name = self.name(last)
        reply = self.inquiry.ask("delete_object", Key=name)
        if reply.done:
            marker = reply.data.get("VersionId")
            self._made.pop((name, None), None)
            if marker:
                self._made[name, str(marker)] = None
        return reply

    def begin_upload(self, last: str, **parameters: Any) -> tuple[Reply, str]:
        """Begin a multipart upload; return the answer and the upload's id."""
        name = self.name(last)
        reply = self._ask("create_multipart_upload", Key=name, **parameters)
        upload_id = str(reply.data.get("UploadId") or "")
        if upload_id:
            self._uploads[name, upload_id] = None
        return reply, upload_id

    def complete(self, last: str, upload_id: str, parts: list[dict[str, Any]]) -> Reply:
        """Let the object of an upload appear."""
        name = self.name(last)
        reply = self._ask(
            "complete_multipart_upload", Key=name, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )
        if reply.done:
            self._uploads.pop((name, upload_id), None)
            self._note(name, reply)
        return reply

    def clear(self) -> list[str]:
        """Remove everything; return the names of what could not be removed."""
        if self._is_waiting:
            self._look_around()
        for name, upload_id in list(self._uploads):
            self.inquiry.ask("abort_multipart_upload", Key=name, UploadId=upload_id)
        self._uploads.clear()
        for name, version in list(self._made):
            of_version = {"VersionId": version} if version else {}
            reply = self.inquiry.ask("delete_object", Key=name, **of_version)
            if not reply.done and reply.code != "NoSuchKey" and name not in self.left:
                self.left.append(name)
        self._made.clear()
        return self.left

    def _ask(self, operation: str, by: Inquiry | None = None, **parameters: Any) -> Reply:
        """Ask for something that leaves something behind, and remember when no answer came."""
        was_waiting, self._is_waiting = self._is_waiting, True
        reply = (by or self.inquiry).ask(operation, **parameters)
        was_refused = 300 <= reply.status < 500
        self._is_waiting = was_waiting or not (reply.done or was_refused)
        return reply

    def _look_around(self) -> None:
        """Note everything that is here, whoever was told of it: the place is ours alone."""
        versions = self.inquiry.ask("list_object_versions", Prefix=self.below).data
        objects = self.inquiry.ask("list_objects", Prefix=self.below).data
        uploads = self.inquiry.ask("list_multipart_uploads", Prefix=self.below).data
        rows = [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]
        for row in rows or objects.get("Contents", []):
            if str(row["Key"]).startswith(self.below):
                self._made[str(row["Key"]), _version_in(row)] = None
        for row in uploads.get("Uploads", []):
            if str(row["Key"]).startswith(self.below):
                self._uploads[str(row["Key"]), str(row["UploadId"])] = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything."""
        self.clear()

    def _note(self, name: str, reply: Reply) -> None:
        self._made[name, _version_in(reply.data)] = None


def _version_in(data: Mapping[str, Any]) -> str | None:
    """Return the version that is told; "null" is none."""
    version = data.get("VersionId")
    return str(version) if version and version != "null" else None
