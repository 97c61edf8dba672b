"""One bucket of an S3-compatible service, through botocore.

Answers are checked before they are believed: bytes, ranges and ETags against what was asked for,
lists for repeated pages, and everything for having been given by an S3 service at all.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from datalad_s3ext.credentials.model import Anonymous, Identity
from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    IntegrityError,
    NotS3,
    ObjectChanged,
    ObjectNotFound,
    S3xError,
)
from datalad_s3ext.providers.resolve import Connection, location_constraint
from datalad_s3ext.store.arns import parse_arn
from datalad_s3ext.store.base import (
    DEFAULT_PUT,
    Body,
    ObjectInfo,
    ObjectStore,
    PutOptions,
    RangeReader,
    Stored,
)
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.lean_open import short_client
from datalad_s3ext.store.pinned import etag_of, version_parameter
from datalad_s3ext.store.s3_answers import (
    Answer,
    info_of_get,
    info_of_head,
    info_of_row,
    is_kms,
    is_md5,
    required_etag,
    served_range,
)
from datalad_s3ext.store.s3_archive import S3Archive
from datalad_s3ext.store.s3_body import to_send
from datalad_s3ext.store.s3_copy import S3Copy
from datalad_s3ext.store.s3_core import put_parameters
from datalad_s3ext.store.s3_extras import with_extras
from datalad_s3ext.store.s3_multipart import S3Multipart
from datalad_s3ext.store.s3_place import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, place_of
from datalad_s3ext.store.s3_reader import S3RangeReader
from datalad_s3ext.store.s3_versions import S3Versions

_NAME_TAKEN = {"BucketAlreadyExists", "BucketNameUnavailable", "BucketAlreadyOwnedByYou"}


def open_store(
    connection: Connection,
    identity: Identity,
    bucket: str,
    *,
    max_connections: int = 16,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
    page_size: int = 1000,
    extras: Extras = NO_EXTRAS,
) -> ObjectStore:
    """Return `bucket` as a store. Nothing is sent yet; see :func:`.s3_client.make_client`.

    Raises
    ------
    CredentialsError
        When no keys can be found where `identity` says.
    ConfigError
        When a setting is malformed.
    """
    timeouts_s = (connect_timeout_s, read_timeout_s)
    if isinstance(identity, Anonymous):
        extras = extras.of_nobody()
    client = short_client(connection, identity, bucket, max_connections, timeouts_s, extras)
    client = with_extras(client, extras)
    place = place_of(connection, identity, bucket, extras)
    return S3Store(client, connection, place, page_size=page_size)


class S3Store(S3Copy, S3Multipart, S3Versions, S3Archive):
    """An :class:`.base.ObjectStore` over S3. Made by :func:`open_store`; safe in threads."""

    # -- objects ------------------------------------------------------------------------------

    def head(self, name: str) -> ObjectInfo:
        """Describe an object."""
        try:
            with self._translated("look for", name):
                answer = self._client.head_object(
                    Bucket=self.bucket, Key=name, **version_parameter(name)
                )
        except NotS3 as refusal:
            if refusal.http_status == 404:
                self._settle_absence(name, refusal)
            raise
        info = info_of_head(name, answer, self.place.endpoint)
        self._believe(answer)
        return info

    def get(
        self,
        name: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> RangeReader:
        """Open `length` bytes from offset `start` on (to the end when ``None``).

        A range that begins at or after the end of the object, as every range of an empty one does,
        raises `IntegrityError`: whoever asks believed the object to be longer.
        """
        if_match = etag_of(name) if if_match is None else if_match
        asked = _range_and_condition(start, length, if_match) | version_parameter(name)
        with self._translated("read", name):
            answer = self._client.get_object(Bucket=self.bucket, Key=name, **asked)
        body = answer["Body"]
        try:
            served = served_range(answer, start, length)
            info = info_of_get(name, served.object_bytes, answer, self.place.endpoint)
            if if_match is not None and info.etag != if_match:
                raise ObjectChanged(f"{name!r} was replaced in the meantime")
            self._believe(answer)
        except S3xError:
            body.close()
            raise
        return S3RangeReader(info, served, body)

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        """Store `size_bytes` bytes of `body` as the object `name`, replacing any other.

        When the receipt shows that other bytes arrived, the object is removed again.
        """
        parameters = put_parameters(options)
        if md5 is not None:
            parameters["ContentMD5"] = b64encode(md5).decode()
        if options.sha256 is not None:
            parameters["ChecksumSHA256"] = b64encode(options.sha256).decode()
        with self._translated("store", name):
            answer = self._client.put_object(
                Bucket=self.bucket,
                Key=name,
                Body=to_send(body, size_bytes),
                ContentLength=size_bytes,
                **parameters,
            )
        stored = Stored(required_etag(answer, self.place.endpoint), answer.get("VersionId"))
        self._believe(answer)
        if md5 is not None and self._etag_tells(stored.etag, options, answer):
            self._compare(name, stored, md5)
        return stored

    def delete(self, name: str) -> None:
        """Remove an object. That it was not there is success."""
        self._delete(name, version_parameter(name))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose names begin with `prefix`, over all pages, in server order."""
        first_names: set[str] = set()
        tokens: set[str] = set()
        after = start_after
        while True:
            answer = self._page(prefix, after, bool(tokens))
            rows = [info_of_row(row) for row in answer.get("Contents", [])]
            _require_new(rows, first_names, prefix)
            yield from rows
            if not answer.get("IsTruncated"):
                return
            after = _next_page(rows, answer)
            if not after or after in tokens:
                raise _bad_list(prefix)
            tokens.add(after)

    # -- the bucket ---------------------------------------------------------------------------

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        try:
            with self._translated("look for"):
                answer = self._client.head_bucket(Bucket=self.bucket)
        except NotS3 as refusal:
            if refusal.http_status != 404:
                raise
            self.confirm_s3()
            return False
        self._believe(answer)
        return True

    def create_bucket(self) -> None:
        """Create the bucket. One that exists and belongs to the caller is success."""
        if parse_arn(self.bucket) is not None:
            raise ConfigError(
                f"there is no access point {self.bucket}, and buckets are not made by such a name",
                remedy="check it, and whether the keys may use it",
            )
        try:
            with self._translated("create"):
                answer = self._client.create_bucket(Bucket=self.bucket, **self._constraint())
        except S3xError as error:
            is_conflict = error.http_status == 409 and error.code != "OperationAborted"
            if error.code not in _NAME_TAKEN and not is_conflict:
                raise
            self._require_mine(error)
            return
        self._believe(answer)

    # -- private ------------------------------------------------------------------------------

    def _delete(self, name: str, version: Mapping[str, Any]) -> None:
        try:
            with self._translated("delete", name):
                answer = self._client.delete_object(Bucket=self.bucket, Key=name, **version)
        except ObjectNotFound:
            return
        except NotS3 as refusal:
            if refusal.http_status != 404:
                raise
            with suppress(ObjectNotFound):  # S3 does not answer so to DELETE: who does is not trusted
                self._settle_absence(name, refusal, afresh=True)
            return
        self._believe(answer)

    def _page(self, prefix: str, after: str, is_token: bool) -> Answer:
        shared: dict[str, Any] = {
            "Bucket": self.bucket, "Prefix": prefix, "MaxKeys": self._page_size,
        }  # fmt: skip
        with self._translated("list"):
            answer: Answer
            if self._provider.listing.version == 1:
                answer = self._client.list_objects(**shared, Marker=after)
            elif is_token:
                answer = self._client.list_objects_v2(**shared, ContinuationToken=after)
            else:
                answer = self._client.list_objects_v2(**shared, StartAfter=after)
        self._require(answer, "Name", "what it sends is no list of a bucket")
        return answer

    def _etag_tells(self, etag: str, options: PutOptions, answer: Answer) -> bool:
        known = self._provider.upload.etag_is_md5 is True
        return known and is_md5(etag) and not is_kms(options, answer)

    def _compare(self, name: str, stored: Stored, md5: bytes) -> None:
        if stored.etag.lower() == md5.hex():
            return
        self._delete(name, {"VersionId": stored.version_id} if stored.version_id else {})
        raise IntegrityError(
            f"{name!r} arrived damaged and was removed: the server has {stored.etag}, sent was"
            f" {md5.hex()}",
            remedy=self._how_to_mend_damage(),
        )

    def _constraint(self) -> dict[str, Any]:
        location = location_constraint(self._connection)
        return {"CreateBucketConfiguration": {"LocationConstraint": location}} if location else {}

    def _require_mine(self, error: S3xError) -> None:
        if error.code == "BucketAlreadyOwnedByYou":
            return
        try:
            if self.bucket_exists():
                return
        except AccessDenied:
            raise ConfigError(
                f"the bucket name {self.bucket!r} is taken by someone else",
                remedy="choose another name",
                http_status=error.http_status,
                code=error.code,
                request_id=error.request_id,
            ) from error
        raise error


def _range_and_condition(start: int, length: int | None, if_match: str | None) -> dict[str, Any]:
    if start < 0 or (length is not None and length < 1):
        raise ValueError(f"no range: start={start}, length={length}")
    asked: dict[str, Any] = {}
    if start > 0 or length is not None:
        last = "" if length is None else start + length - 1
        asked["Range"] = f"bytes={start}-{last}"
    if if_match is not None:
        asked["IfMatch"] = f'"{if_match}"'
    return asked


def _require_new(rows: Sequence[ObjectInfo], first_names: set[str], prefix: str) -> None:
    """Refuse a page that was seen before, or that a server took from elsewhere."""
    if any(not row.name.startswith(prefix) for row in rows):
        raise _bad_list(prefix)
    if rows and rows[0].name in first_names:
        raise _bad_list(prefix)
    first_names.update(row.name for row in rows[:1])


def _next_page(rows: Sequence[ObjectInfo], answer: Answer) -> str:
    """Return where the next page begins.

    Version 1 goes on after the last name. NextMarker, meant for lists with a delimiter, is the last
    resort: SeaweedFS 4 does not encode it, so that a plus sign comes out as a blank.
    """
    token = answer.get("NextContinuationToken")
    return str(token or (rows[-1].name if rows else answer.get("NextMarker") or ""))


def _bad_list(prefix: str) -> IntegrityError:
    return IntegrityError(
        f"the server repeats a page of its list, or lists names outside {prefix!r}",
        remedy="report the provider: its preset should say another listing version",
    )
