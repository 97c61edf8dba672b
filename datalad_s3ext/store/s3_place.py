"""What is known of a bucket before anything is sent, and how long its server may take."""

from __future__ import annotations

from functools import partial

from datalad_s3ext.credentials.model import Anonymous, Identity
from datalad_s3ext.credentials.redact import redacted
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.s3_errors import Place

CONNECT_TIMEOUT_S = 10.0  # three lost SYNs
READ_TIMEOUT_S = 60.0  # between two packets of an answer; completing a large upload is silent long


def place_of(connection: Connection, identity: Identity, bucket: str) -> Place:
    """Return what error texts need to know."""
    by_sdk = connection.endpoint_url is None
    return Place(
        bucket=bucket,
        endpoint=connection.endpoint_url or connection.provider.name,
        region=connection.region if by_sdk else connection.signing_region,
        source=identity.source,
        is_anonymous=isinstance(identity, Anonymous),
        hide=partial(redacted, identity=identity),
    )
