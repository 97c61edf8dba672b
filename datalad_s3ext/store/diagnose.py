"""Single questions to a service, and its answers as they come: for finding out what is wrong.

An :class:`~.base.ObjectStore` promises results or raises. Here nothing is promised: a question is
sent once, and whatever comes back is a :class:`Reply` to be looked at.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile
from datalad_s3ext.errors import S3xError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.base import NO_HEADERS
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.lean_open import tls_context
from datalad_s3ext.store.s3_answers import headers_of
from datalad_s3ext.store.s3_client import make_client, session_for
from datalad_s3ext.store.s3_errors import quotable, translated
from datalad_s3ext.store.s3_extras import with_extras
from datalad_s3ext.store.s3_place import place_of

LINK_SECONDS = 60
ENOUGH_BYTES = 64 * 1024  # of a body: what we ask for is smaller, whatever comes


class Readable(Protocol):
    """A body that gives out what has come."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, at least one before the end."""


@dataclass(frozen=True)
class Reply:
    """What came back for one question."""

    operation: str
    error: S3xError | None = None
    """``None``: it was done. In words for people, without secrets."""
    status: int = 0
    """HTTP status; 0 when nothing came back."""
    code: str = ""
    """S3's error code; empty when the answer held none."""
    said: str = ""
    """The server's or the library's own words: one line, short, without secrets."""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    """Names in lower case."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The parsed answer; below ``Body`` the first 64 KiB of a body."""
    library_error: str = ""
    """Class of the library's error when no answer could be read."""
    right_region: str = ""
    """The region that the server names instead of the one it was asked in."""

    @property
    def done(self) -> bool:
        """Tell whether the service did what was asked."""
        return self.error is None


@dataclass(frozen=True)
class KeyFacts:
    """Keys as far as they can be judged by looking at them."""

    keys: Keys
    method: str
    """How the library found them: ``env``, ``sso``, ``shared-credentials-file``, ...; or empty."""


class Inquiry:
    """Asks one service as one identity. Not thread-safe.

    Raises
    ------
    CredentialsError, ConfigError
        When it is made: keys or a setting are missing. Nothing has been sent then.
    """

    def __init__(
        self,
        connection: Connection,
        identity: Identity,
        bucket: str = "",
        *,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 30.0,
        extras: Extras = NO_EXTRAS,
    ) -> None:
        if isinstance(identity, Anonymous):
            extras = extras.of_nobody()
        self.bucket = bucket
        self.place = place_of(connection, identity, bucket, extras)
        client = make_client(
            connection, identity, bucket,
            connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s, extras=extras,
        )  # fmt: skip
        self._client: Any = with_extras(client, extras)
        self._status = 0
        # the wildcard comes before botocore's own handler, which calls an unreadable 200 a 500
        client.meta.events.register("before-parse.*.*", self._note_status)

    def ask(self, operation: str, **parameters: Any) -> Reply:
        """Send one request, by botocore's name of it (``put_object``); the bucket is added."""
        bucket = {} if operation == "list_buckets" else {"Bucket": self.bucket}
        doing = operation.replace("_", " ")
        try:
            with translated(doing, "", self.place):
                answer = getattr(self._client, operation)(**bucket, **parameters)
                if "Body" in answer:
                    with closing(answer["Body"]) as body:
                        answer["Body"] = beginning_of(body)
        except S3xError as error:
            return self._refusal(operation, error)
        status = int(answer["ResponseMetadata"]["HTTPStatusCode"])
        return Reply(operation, None, status, headers=headers_of(answer), data=answer)

    def link_to(self, name: str) -> str:
        """Return a URL with which whoever has it can read the object for a minute."""
        with translated("make a link to", "", self.place):
            return str(
                self._client.generate_presigned_url(
                    "get_object", Params={"Bucket": self.bucket, "Key": name}, ExpiresIn=LINK_SECONDS
                )
            )

    def close(self) -> None:
        """Free connections."""
        self._client.close()

    def _note_status(self, response_dict: Mapping[str, Any], **_: object) -> None:
        self._status = int(response_dict["status_code"])

    def _refusal(self, operation: str, error: S3xError) -> Reply:
        cause = error.__cause__
        if not isinstance(cause, ClientError):
            said = self.place.hide(quotable(str(cause or error.what)))
            kind = type(cause or error).__name__
            return Reply(operation, error, said=said, library_error=kind)
        answer: Mapping[str, Any] = cause.response
        meta = answer.get("ResponseMetadata", {})
        told, headers = answer.get("Error", {}), _lower(meta.get("HTTPHeaders", {}))
        code = str(told.get("Code", ""))
        code = "" if code.isdigit() else code
        is_unreadable = self._status == 200 and not code
        return Reply(
            operation,
            error,
            self._status if is_unreadable else int(meta.get("HTTPStatusCode", 0)),
            code,
            self.place.hide(quotable(str(told.get("Message") or ""))),
            headers,
            library_error="ResponseParserError" if is_unreadable else "",
            right_region=str(told.get("Region") or headers.get("x-amz-bucket-region") or ""),
        )


def beginning_of(body: Readable) -> bytes:
    """Return the first 64 KiB of a body that gives out what has come, piece by piece."""
    data = b""
    while len(data) < ENOUGH_BYTES and (piece := body.read(ENOUGH_BYTES - len(data))):
        data += piece
    return data


def service_url(connection: Connection) -> str:
    """Return scheme, host and port of the service, also when only the library knows them."""
    if connection.endpoint_url is not None:
        return connection.endpoint_url
    client = make_client(connection, Anonymous())
    try:
        return str(client.meta.endpoint_url)
    finally:
        client.close()


def key_facts(connection: Connection, identity: Identity) -> KeyFacts:
    """Return the keys that `identity` stands for; :class:`Anonymous` has none and is not allowed.

    Profiles may have to be refreshed: then their login service is asked.

    Raises
    ------
    CredentialsError
        When there are none, or they cannot be had.
    """
    if isinstance(identity, Keys):
        return KeyFacts(identity, "")
    session = session_for(identity)
    make_client(connection, identity, session=session).close()  # says in words what is missing
    with translated("get keys for", "", place_of(connection, identity, "")):
        found: Any = session.get_credentials()
        frozen = found.get_frozen_credentials()
    expires_at: datetime | None = getattr(found, "_expiry_time", None)
    keys = Keys(
        frozen.access_key or "", frozen.secret_key or "", frozen.token, expires_at,
        source=identity.source,
    )  # fmt: skip
    return KeyFacts(keys, str(found.method or ""))


def trusted_authorities(profile: str | None = None) -> str | None:
    """Return the file that is set in place of the usual certificate authorities, if any."""
    if from_environment := os.environ.get("AWS_CA_BUNDLE"):
        return from_environment
    if profile is None:
        return None
    try:
        found = session_for(Profile(profile)).get_config_variable("ca_bundle")
    except BotoCoreError:
        return None  # no such profile, which is another stage's matter
    return str(found) if found else None


def secure_context(authorities: str | None = None) -> ssl.SSLContext:
    """Return a TLS context that trusts what our transfers trust.

    Raises
    ------
    OSError
        When the file of `authorities` cannot be read or holds no certificate.
    """
    return tls_context(authorities)


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}
