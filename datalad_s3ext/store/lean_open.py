"""When the short way may be gone, and with whose keys."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from datalad_s3ext.credentials.model import Anonymous, Identity, Keys
from datalad_s3ext.errors import CredentialsError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.lean_client import LeanClient, base_of
from datalad_s3ext.store.lean_http import Connections
from datalad_s3ext.store.lean_sign import Signer, SigningKeys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def shortened(
    client: S3Client,
    session: botocore.session.Session,
    connection: Connection,
    identity: Identity,
    bucket: str,
    timeouts_s: tuple[float, float],
) -> S3Client:
    """Return a client that sends frequent requests itself, or `client` where that is not possible.

    It is not with signature v2, through a proxy, or where botocore cannot tell the bucket's URL.
    """
    if connection.signature != "v4":
        return client
    try:
        base = base_of(
            client, bucket, _tls(session),
            unsigned_payload=connection.provider.requests.unsigned_payload is True,
        )  # fmt: skip
    except (BotoCoreError, OSError):
        return client
    if _goes_through_a_proxy(base.origin.host, "https" if base.origin.tls else "http"):
        return client
    keys = _keys(session, identity)
    signer = Signer(keys, connection.signing_region) if keys is not None else None
    connections = Connections(
        base.origin, connect_timeout_s=timeouts_s[0], read_timeout_s=timeouts_s[1]
    )
    return cast("S3Client", LeanClient(client, base, signer, connections))


def _keys(session: botocore.session.Session, identity: Identity) -> Callable[[], SigningKeys] | None:
    """Return what gives the keys of the moment; refreshing ones are asked each time."""
    if isinstance(identity, Anonymous):
        return None
    if isinstance(identity, Keys):
        fixed = SigningKeys(identity.access_key_id, identity.secret_access_key, identity.session_token)
        return lambda: fixed
    found = session.get_credentials()

    def current() -> SigningKeys:
        if found is None:
            raise CredentialsError(f"no keys were found in {identity.source}")
        frozen = found.get_frozen_credentials()
        return SigningKeys(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    return current


def _tls(session: botocore.session.Session) -> ssl.SSLContext:
    """Return a context that trusts the same authorities as botocore does."""
    bundle = session.get_config_variable("ca_bundle")
    return ssl.create_default_context(cafile=get_cert_path(bundle or True))


def _goes_through_a_proxy(host: str, scheme: str) -> bool:
    proxies = urllib.request.getproxies()
    has_one = scheme in proxies or "all" in proxies
    return has_one and not urllib.request.proxy_bypass(host)
