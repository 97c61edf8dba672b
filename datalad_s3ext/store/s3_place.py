"""What is known of a bucket before anything is sent, and how long its server may take."""

from __future__ import annotations

from functools import partial

from datalad_s3ext.credentials.model import Anonymous, Identity
from datalad_s3ext.credentials.redact import redacted
from datalad_s3ext.credentials.renewal import expired_when, how_to_renew
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.s3_errors import Place

CONNECT_TIMEOUT_S = 10.0  # three lost SYNs
READ_TIMEOUT_S = 60.0  # between two packets of an answer; completing a large upload is silent long


def place_of(
    connection: Connection, identity: Identity, bucket: str, extras: Extras = NO_EXTRAS
) -> Place:
    """Return what error texts need to know."""
    by_sdk = connection.endpoint_url is None
    other = connection.provider.requests.signature_fallback
    return Place(
        bucket=bucket,
        endpoint=connection.endpoint_url or connection.provider.name,
        region=connection.region if by_sdk else connection.signing_region,
        source=identity.source,
        is_anonymous=isinstance(identity, Anonymous),
        other_signature=other if other != connection.signature else None,
        expired_when=partial(expired_when, identity),
        renewal=how_to_renew(identity, connection.provider),
        hide=partial(redacted, identity=identity),
        customer_key=extras.customer_key_source,
    )
