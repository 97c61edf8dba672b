"""URLs that let everybody read one object for a while. Nothing is sent to make one."""

from __future__ import annotations

from datalad_s3ext.credentials.model import Anonymous, Identity
from datalad_s3ext.errors import CredentialsError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.pinned import version_of

LONGEST_S = 7 * 24 * 3600
"""Signature v4 allows no longer ones."""


def presigned_url(
    connection: Connection, identity: Identity, bucket: str, name: str, seconds: int
) -> str:
    """Return a URL by which everybody can read the object `name` for `seconds` seconds.

    Raises
    ------
    CredentialsError
        There are no keys to sign with.
    ValueError
        The time is too long, or none.
    """
    if isinstance(identity, Anonymous):
        raise CredentialsError(
            "there are no keys to sign a URL with", remedy="enable the remote with keys"
        )
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"a URL can be signed for 1 to {LONGEST_S} seconds, not for {seconds}")

    from datalad_s3ext.store.s3_client import make_client

    client = make_client(connection, identity, bucket)
    wanted = {"Bucket": bucket, "Key": str(name)}
    if version_of(name) is not None:
        wanted["VersionId"] = str(version_of(name))
    try:
        return str(client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))
    finally:
        client.close()
