"""A botocore client with a short way for the requests that are sent for every file.

HEAD, GET, PUT, UploadPart and DELETE of an object are signed and sent here in a fraction of
botocore's time; answers and errors have botocore's form, so that :class:`.s3.S3Store` need not know.
Whatever is not plain - a parameter that is not known here, a redirect, a chunked answer, no
connection at all - is left to botocore, which does it again in its own thorough way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import quote, urlsplit

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from datalad_s3ext import __version__
from datalad_s3ext.providers.schema import NOTHING
from datalad_s3ext.store import lean_headers
from datalad_s3ext.store.base import CHECKSUMS
from datalad_s3ext.store.lean_body import LeanBody, Raw
from datalad_s3ext.store.lean_documents import fields_of, parts_document
from datalad_s3ext.store.lean_http import (
    BLOCK_BYTES,
    Connection,
    Connections,
    ConnectTimeout,
    NoConnection,
    NotPlain,
    Origin,
    content_length,
    request_head,
)
from datalad_s3ext.store.lean_sign import NO_BODY_SHA256, UNSIGNED_PAYLOAD, Signer

if TYPE_CHECKING:
    from ssl import SSLContext

USER_AGENT = f"datalad-s3ext/{__version__}"
ODD_LIMIT = 3
"""So many answers one after the other that are not plain, and all goes through botocore."""
ASKED_TWICE = "AskedTwice"
"""In an answer to a POST: the same was asked before, and may have been done, but the answer was odd."""
_TEXTS = {
    "etag": "ETag",
    "content-range": "ContentRange",
    "x-amz-version-id": "VersionId",
    "x-amz-storage-class": "StorageClass",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "x-amz-restore": "Restore",
    "x-amz-archive-status": "ArchiveStatus",
    **{f"x-amz-checksum-{name.lower()}": f"Checksum{name}" for name in CHECKSUMS},
    "x-amz-checksum-type": "ChecksumType",
}
_META = "x-amz-meta-"
_ANOTHER_REGION = frozenset({
    "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
    "TemporaryRedirect",
})  # fmt: skip
"""Botocore finds the right region by itself and asks there."""


class FileLike(Protocol):
    """What botocore would take as a body."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move."""


@dataclass(frozen=True)
class Base:
    """Where the objects of one bucket lie: the part of their URLs that does not change."""

    bucket: str
    origin: Origin
    host_header: str
    path: str
    """Ends where the object's name begins."""
    unsigned_payload: bool | None
    """The service takes bodies whose digest is not signed; ``None``: not known."""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Of the service's own, for every request; names in lower case."""

    @property
    def may_be_unsigned(self) -> bool:
        """Tell whether the digest of a body may be left out of the signature."""
        known = self.unsigned_payload
        return self.origin.tls is not None if known is None else known


class LeanClient:
    """Stands in for a botocore S3 client of one bucket. Safe in threads."""

    def __init__(
        self,
        make_client: Callable[[], Any],
        base: Base,
        signer: Signer | None,
        connections: Connections,
    ) -> None:
        self._make_client = make_client
        self._made: Any = None
        self._making = Lock()
        self._base = base
        self._signer = signer
        self._connections = connections
        self._odd = 0  # a race of threads may miscount, which does no harm

    def __getattr__(self, name: str) -> Any:
        """Return what is not done here from botocore's client."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._thorough(), name)

    def head_object(self, **asked: Any) -> Mapping[str, Any]:
        """Do HeadObject."""
        return self._short("HEAD", "head_object", asked, lean_headers.HEAD, _version(asked))

    def get_object(self, **asked: Any) -> Mapping[str, Any]:
        """Do GetObject."""
        return self._short("GET", "get_object", asked, lean_headers.GET, _version(asked))

    def put_object(self, **asked: Any) -> Mapping[str, Any]:
        """Do PutObject."""
        return self._short("PUT", "put_object", asked, lean_headers.PUT)

    def upload_part(self, **asked: Any) -> Mapping[str, Any]:
        """Do UploadPart."""
        query = f"partNumber={asked['PartNumber']}&{_upload_id(asked)}"
        return self._short("PUT", "upload_part", asked, lean_headers.PART, query)

    def delete_object(self, **asked: Any) -> Mapping[str, Any]:
        """Do DeleteObject."""
        return self._short("DELETE", "delete_object", asked, lean_headers.DELETE, _version(asked))

    def create_multipart_upload(self, **asked: Any) -> Mapping[str, Any]:
        """Do CreateMultipartUpload."""
        return self._short("POST", "create_multipart_upload", asked, lean_headers.CREATE, "uploads=")

    def complete_multipart_upload(self, **asked: Any) -> Mapping[str, Any]:
        """Do CompleteMultipartUpload; an error that comes with status 200 is one of status 500."""
        document = parts_document(asked["MultipartUpload"])
        return self._short(
            "POST", "complete_multipart_upload", asked, lean_headers.COMPLETE, _upload_id(asked),
            document,
        )  # fmt: skip

    def connect_ahead(self) -> None:
        """Have one more connection ready for the next request."""
        self._connections.prepare()

    def close(self) -> None:
        """Free connections."""
        self._connections.close()
        if self._made is not None:
            self._made.close()

    # -- private ------------------------------------------------------------------------------

    def _short(
        self, method: str, operation: str, asked: dict[str, Any], known: frozenset[str],
        query: str = "", document: bytes = b"",
    ) -> Mapping[str, Any]:  # fmt: skip
        """Go the short way when all of `asked` is known, and botocore's when that leads nowhere."""
        rest = asked.keys() - known - {"Bucket", "Key"}
        if rest or self._odd >= ODD_LIMIT or asked["Bucket"] != self._base.bucket or not asked["Key"]:
            return self._long(operation, asked)
        body = asked.get("Body", document)
        try:
            raw = self._exchange(method, query, asked, body)
            answer = self._answer(method, operation, raw)
        except NotPlain as error:
            self._odd += not isinstance(error, NoConnection)
            if not isinstance(body, bytes):
                body.seek(0)
            is_new = method != "POST" or isinstance(error, NoConnection)
            found = self._long(operation, asked)
            return found if is_new else {**found, ASKED_TWICE: True}
        except ConnectTimeout as error:
            raise ConnectTimeoutError(endpoint_url=self._base.host_header, error=error) from error
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=self._base.host_header, error=error) from error
        except OSError as error:
            raise ConnectionClosedError(endpoint_url=self._base.host_header, error=error) from error
        self._odd = 0
        return answer

    def _long(self, operation: str, asked: dict[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = getattr(self._thorough(), operation)(**asked)
        return found

    def _thorough(self) -> Any:
        """Return botocore's client, which is made when it is first needed."""
        with self._making:
            if self._made is None:
                self._made = self._make_client()
            return self._made

    def _exchange(
        self, method: str, query: str, asked: Mapping[str, Any], body: bytes | FileLike
    ) -> Raw:
        """Send one request; on a kept connection that the server has closed meanwhile, once more.

        All of these requests but POST may be repeated: the second leads to the same state as the first.
        """
        head = self._head(method, query, asked, body)
        connection = self._connections.take()
        was_kept = connection.idle_since > 0
        try:
            return self._send(connection, method, head, body)
        except ConnectionError:
            if not was_kept or method == "POST":
                raise
        return self._send(self._connections.take(fresh=True), method, head, body)

    def _send(self, connection: Connection, method: str, head: bytes, body: bytes | FileLike) -> Raw:
        try:
            _send_all(connection, head, body)
            status, headers = connection.read_head()
            if connection.is_broken and status < 300:
                raise ConnectionResetError("success was stated before the body had been sent")
            return Raw(status, headers, content_length(method, status, headers), connection)
        except BaseException:
            connection.close()
            raise

    def _head(self, method: str, query: str, asked: Mapping[str, Any], body: bytes | FileLike) -> bytes:
        path = self._base.path + quote(asked["Key"], safe="/~")
        headers = {"host": self._base.host_header, **self._base.headers}
        headers.update(lean_headers.headers_of(asked))
        if self._signer is not None:
            digest = self._payload(asked, body)
            headers = self._signer.sign(method, path, query, headers, digest)
        if method == "PUT":
            headers["content-length"] = str(asked["ContentLength"])
        else:
            headers["accept-encoding"] = "identity"
        if method == "POST":
            headers["content-length"] = str(len(cast("bytes", body)))
        headers["user-agent"] = USER_AGENT
        return request_head(method, f"{path}?{query}" if query else path, headers)

    def _payload(self, asked: Mapping[str, Any], body: bytes | FileLike) -> str:
        """Return the digest to sign. Like botocore, none over TLS with a checksum of the body's own."""
        if body == b"":
            return NO_BODY_SHA256
        has_checksum = "ContentMD5" in asked or "ChecksumCRC32" in asked
        if has_checksum and self._base.may_be_unsigned:
            return UNSIGNED_PAYLOAD
        return _sha256(body)

    def _answer(self, method: str, operation: str, raw: Raw) -> dict[str, Any]:
        """Return the answer in botocore's form.

        Raises
        ------
        ClientError
            The service refused.
        NotPlain
            Another place is named, or the request seems not to be understood: botocore knows more.
        """
        body = LeanBody(raw, self._connections)
        if 300 <= raw.status < 400 or (raw.status == 400 and method == "HEAD"):
            body.close()
            raise NotPlain(f"status {raw.status}")
        if raw.status >= 400:
            raise _client_error(method, operation, raw, body)
        answer = _in_botocore_form(raw)
        if operation == "get_object":
            answer["Body"] = body
            return answer
        text = body.drain()
        if method == "POST":
            answer.update(_said(operation, text, answer))
        return answer


_TOLD = {
    "create_multipart_upload": {"UploadId"},
    "complete_multipart_upload": {"ETag", "Key", "Location"},
}
"""What an answer has at least one of; its root is not named alike by all servers (rclone)."""


def base_from_url(
    url: str, bucket: str, tls: SSLContext | None, *, unsigned_payload: bool | None,
    headers: Mapping[str, str] = NOTHING,
) -> Base:  # fmt: skip
    """Return where the objects of `bucket` lie, from the URL that their names are added to."""
    parts = urlsplit(url)
    usual_port = 443 if parts.scheme == "https" else 80
    origin = Origin(parts.hostname or "", parts.port or usual_port, tls)
    host = parts.netloc.removesuffix(f":{usual_port}")  # as every client writes it
    return Base(bucket, origin, host, parts.path, unsigned_payload, headers)


def _version(asked: Mapping[str, Any]) -> str:
    return f"versionId={quote(asked['VersionId'], safe='~')}" if "VersionId" in asked else ""


def _upload_id(asked: Mapping[str, Any]) -> str:
    return f"uploadId={quote(asked['UploadId'], safe='~')}"


def _send_all(connection: Connection, head: bytes, body: bytes | FileLike) -> None:
    """Send head and body. A server that refuses early may have closed: its answer says why."""
    try:
        if isinstance(body, bytes):
            connection.send(head + body)
            return
        body.seek(0)
        sending = getattr(body, "sending", None)
        if sending is not None:
            sending()
        connection.send(head)
        while block := body.read(BLOCK_BYTES):
            connection.send(block)
    except ConnectionError:
        if not connection.has_answer():
            raise


def _sha256(body: bytes | FileLike) -> str:
    if isinstance(body, bytes):
        return hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256()
    body.seek(0)
    while block := body.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _in_botocore_form(raw: Raw) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "ResponseMetadata": {
            "HTTPStatusCode": raw.status,
            "HTTPHeaders": raw.headers,
            "RequestId": raw.headers.get("x-amz-request-id", ""),
        },
        "Metadata": {
            name.removeprefix(_META): text
            for name, text in raw.headers.items()
            if name.startswith(_META)
        },
    }
    if "content-length" in raw.headers:
        answer["ContentLength"] = int(raw.headers["content-length"])
    answer.update((key, raw.headers[name]) for name, key in _TEXTS.items() if name in raw.headers)
    return answer


def _client_error(method: str, operation: str, raw: Raw, body: LeanBody) -> ClientError:
    """Return the exception that botocore would raise for a refusal."""
    said = {"Code": str(raw.status), "Message": ""}
    text = b"" if method == "HEAD" else body.drain()
    if text:
        said.update(fields_of(text)[1])
    if said["Code"] in _ANOTHER_REGION:
        raise NotPlain("the bucket lies elsewhere")
    return _refusal(operation, said, _in_botocore_form(raw))


def _refusal(operation: str, said: Mapping[str, str], answer: Mapping[str, Any]) -> ClientError:
    response: Any = {"Error": said, **answer}
    return ClientError(response, "".join(word.title() for word in operation.split("_")))


def _said(operation: str, text: bytes, answer: dict[str, Any]) -> Mapping[str, str]:
    """Return what the document in an answer says.

    Raises
    ------
    ClientError
        When it is an error after all, as CompleteMultipartUpload may send after a long time.
    """
    kind, fields = fields_of(text)
    if kind == "Error":
        answer["ResponseMetadata"]["HTTPStatusCode"] = 500
        raise _refusal(operation, {"Code": "500", "Message": "", **fields}, answer)
    if not fields.keys() & _TOLD[operation]:
        raise NotPlain(f"the answer is a document of the kind {kind!r}")
    return fields
