"""What all requests to one bucket share: error texts, and doubt about who answers.

A HEAD answer has no body: neither its 200 nor its 404 proves that an S3 service spoke. A web page,
a portal or a wrong port may have. So an answer without the request id that S3 services send, and
every first 404, is followed by one request whose answer has a body that proves it. What was learnt
holds for `TRUST_S` and for answers of the same look, so that the price is one request per process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import ClientError

from datalad_s3ext.errors import NotS3, ObjectNotFound, S3xError, TransientError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.base import DEFAULT_PUT, ObjectStore, PutOptions
from datalad_s3ext.store.pinned import version_parameter
from datalad_s3ext.store.s3_answers import Answer, headers_of, not_s3
from datalad_s3ext.store.s3_errors import Place, is_spoken_by_s3, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TRUST_S = 300.0  # a laptop may be carried into a network whose portal answers for everybody


class S3Core(ObjectStore):
    """One bucket, its client, and what is known about who answers. All methods are thread-safe."""

    def __init__(
        self, client: S3Client, connection: Connection, place: Place, *, page_size: int = 1000
    ) -> None:
        self.bucket = place.bucket
        self.place = place
        self._client = client
        self._connection = connection
        self._provider = connection.provider
        self._page_size = page_size
        self._trusted: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def confirm_s3(self) -> None:
        """Make sure by one list request that an S3 service answers.

        That the bucket is missing or may not be listed is no objection, if the service says so in
        the words of S3.

        Raises
        ------
        NotS3
            When something else answers.
        """
        with self._translated("list"):
            try:
                answer = self._first_page()
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if is_spoken_by_s3(error) and status < 500:
                    return
                raise
        self._require(answer, "Name", "what it sends is no list of a bucket")

    def connect_ahead(self) -> None:
        """Have one more connection ready; botocore's own client cannot."""
        connect_ahead = getattr(self._client, "connect_ahead", None)
        if connect_ahead is not None:
            connect_ahead()

    def close(self) -> None:
        """Free connections."""
        self._client.close()

    # -- for the subclasses ---------------------------------------------------------------------

    def _translated(self, operation: str, name: str = "") -> AbstractContextManager[None]:
        return translated(operation, name, self.place)

    def _believe(self, answer: Answer) -> None:
        """Return when an S3 service gave this answer.

        Raises
        ------
        NotS3
            When it did not.
        """
        headers = headers_of(answer)
        if "x-amz-request-id" in headers or self._trusts("answer", headers):
            return
        self.confirm_s3()
        self._trust("answer", headers)

    def _require(self, answer: Answer, element: str, otherwise: str) -> None:
        if answer.get(element) is None:
            raise not_s3(self.place.endpoint, otherwise)

    def _how_to_mend_damage(self) -> str:
        """Return the remedy for what arrived damaged; what is believed of ETags may be wrong, too."""
        measured = self._connection.measured
        if measured is None or not any(name.endswith("_is_md5") for name in measured.changes):
            return "send it again"
        return (
            "send it again; if it stays so, the service may be another one than when it was measured, "
            f"on {measured.date}: rm {measured.path}"
        )

    def _settle_absence(self, name: str, refusal: NotS3, *, afresh: bool = False) -> NoReturn:
        """Raise `ObjectNotFound` if the bare 404 behind `refusal` is a certain one.

        A GET of the same object needs the same right and says in words what is missing. Where the
        same server seems to have given both answers, its next 404 is believed; with `afresh` none is.
        """
        headers = _headers_behind(refusal)
        if afresh or not self._trusts("absence", headers):
            try:
                self._get_one_byte(name)
            except ObjectNotFound as certain:
                if _look(_headers_behind(certain)) == _look(headers):
                    self._trust("absence", headers)
        raise ObjectNotFound(
            f"there is no object {name!r} in bucket {self.bucket!r}",
            http_status=404,
            request_id=headers.get("x-amz-request-id"),
        ) from refusal

    def _get_one_byte(self, name: str) -> NoReturn:
        with self._translated("look for", name):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=name, Range="bytes=0-0", **version_parameter(name)
            )
        answer["Body"].close()
        raise TransientError(
            f"{self.place.endpoint} says both that {name!r} is there and that it is not",
            remedy="try again",
        )

    def _first_page(self) -> Mapping[str, Any]:
        if self._provider.listing.version == 1:
            return self._client.list_objects(Bucket=self.bucket, MaxKeys=1)
        return self._client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)

    def _trusts(self, topic: str, headers: Mapping[str, str]) -> bool:
        with self._lock:
            learnt_at = self._trusted.get((topic, _look(headers)))
        return learnt_at is not None and time.monotonic() - learnt_at < TRUST_S

    def _trust(self, topic: str, headers: Mapping[str, str]) -> None:
        with self._lock:
            self._trusted[topic, _look(headers)] = time.monotonic()


def put_parameters(options: PutOptions = DEFAULT_PUT) -> dict[str, Any]:
    """Return `options` as botocore calls them, without those that are not set."""
    named = {
        "ContentType": options.content_type,
        "StorageClass": options.storage_class,
        "Metadata": dict(options.metadata) or None,
        "Tagging": options.tagging,
        "ServerSideEncryption": options.sse,
        "SSEKMSKeyId": options.sse_kms_key_id,
        "BucketKeyEnabled": options.bucket_key or None,
        "ACL": options.acl,
        "ContentDisposition": options.content_disposition,
        "CacheControl": options.cache_control,
    }
    return {name: value for name, value in named.items() if value is not None}


def _headers_behind(error: S3xError) -> Mapping[str, str]:
    cause = error.__cause__
    return headers_of(cause.response) if isinstance(cause, ClientError) else {}


def _look(headers: Mapping[str, str]) -> str:
    """Return what stays the same over all answers of one server."""
    return f"{headers.get('server', '')}|{'x-amz-request-id' in headers}"
