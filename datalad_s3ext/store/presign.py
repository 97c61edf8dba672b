"""URLs that let everybody read one object for a while. Nothing is sent to make one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datalad_s3ext.credentials.model import Anonymous, Identity
from datalad_s3ext.errors import CredentialsError, Unsupported
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.pinned import version_of

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest

LONGEST_S = 7 * 24 * 3600
"""Signature v4 allows no longer ones."""
_PAYER = "x-amz-request-payer"


def presigned_url(
    connection: Connection, identity: Identity, bucket: str, name: str, seconds: int,
    extras: Extras = NO_EXTRAS,
) -> str:  # fmt: skip
    """Return a URL by which everybody can read the object `name` for `seconds` seconds.

    With `extras` that say so, whoever has signed the URL pays for what is read by it.

    Raises
    ------
    CredentialsError
        There are no keys to sign with.
    Unsupported
        The object is encrypted with a key that goes with each request, which a URL cannot hold.
    ValueError
        The time is too long, or none.
    """
    if isinstance(identity, Anonymous):
        raise CredentialsError(
            "there are no keys to sign a URL with", remedy="enable the remote with keys"
        )
    if extras.customer_key is not None:
        raise Unsupported(
            "a URL alone cannot read objects that are encrypted with your own key (sse=customer): the "
            "key has to go with the request",
            remedy="read them through the remote, where the key is known",
        )
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"a URL can be signed for 1 to {LONGEST_S} seconds, not for {seconds}")

    from datalad_s3ext.store.s3_client import make_client

    client = make_client(connection, identity, bucket, extras=extras)
    if connection.signature == "v4":  # of v2 botocore does it by itself
        client.meta.events.register("before-sign.s3.GetObject", _payer_into_url)
    wanted = {"Bucket": bucket, "Key": str(name)}
    if version_of(name) is not None:
        wanted["VersionId"] = str(version_of(name))
    if extras.requester_pays:
        wanted["RequestPayer"] = "requester"
    try:
        return str(client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))
    finally:
        client.close()


def _payer_into_url(request: AWSRequest, **_: object) -> None:
    """Say in the URL who pays: botocore leaves it in a header, which no browser would send."""
    if _PAYER in request.headers:
        request.params = {**request.params, _PAYER: request.headers[_PAYER]}
        del request.headers[_PAYER]
