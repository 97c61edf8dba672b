"""When the short way may be gone, where it leads, and with whose keys.

With keys at hand and an endpoint given, everything is known without botocore. Then its client, which
takes half a second to import and make, is made only when it is needed: git-annex starts the remote
again and again.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit

from datalad_s3ext.credentials.model import Anonymous, Identity, Keys
from datalad_s3ext.errors import CredentialsError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.arns import is_for_sdk_alone
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.lean_client import Base, LeanClient, base_from_url
from datalad_s3ext.store.lean_http import Connections
from datalad_s3ext.store.lean_sign import Signer, SigningKeys

if TYPE_CHECKING:
    import ssl

    import botocore.session
    from mypy_boto3_s3 import S3Client

_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Names that botocore, too, puts in front of the host without a second thought."""


def short_client(
    connection: Connection,
    identity: Identity,
    bucket: str,
    max_connections: int,
    timeouts_s: tuple[float, float],
    extras: Extras = NO_EXTRAS,
) -> S3Client:
    """Return a client that sends frequent requests itself, or botocore's where that is not possible.

    It is not with signature v2, through a proxy, where botocore cannot tell the bucket's URL, and for
    access points that sign in a way of their own.

    Raises
    ------
    CredentialsError
        When no keys can be found where `identity` says.
    ConfigError
        When a setting is malformed.
    """
    make = partial(_make, connection, identity, bucket, max_connections, timeouts_s, extras)
    if is_for_sdk_alone(bucket):
        return make(None)
    url = _known_url(connection, identity, bucket)
    if url is not None and not _goes_through_a_proxy(url) and isinstance(identity, Keys | Anonymous):
        base = _base(connection, bucket, url, os.environ.get("AWS_CA_BUNDLE"))
        return _lean(connection, base, _fixed(identity), timeouts_s, lambda: make(None))
    return _by_botocore(connection, identity, bucket, timeouts_s, make)


def _known_url(connection: Connection, identity: Identity, bucket: str) -> str | None:
    """Return the URL below which the objects lie, when it is plain to see."""
    known = connection.endpoint_url is not None and isinstance(identity, Keys | Anonymous)
    if not known or connection.signature != "v4" or ":" in bucket:
        return None
    endpoint = str(connection.endpoint_url)
    if connection.addressing == "path":
        return f"{endpoint}/{quote(bucket)}/"
    if not _PLAIN_BUCKET.fullmatch(bucket):
        return None
    return endpoint.replace("://", f"://{bucket}.", 1) + "/"


def _by_botocore(
    connection: Connection,
    identity: Identity,
    bucket: str,
    timeouts_s: tuple[float, float],
    make: Callable[[botocore.session.Session | None], S3Client],
) -> S3Client:
    """Let botocore find the bucket's URL and, as they are needed, the keys."""
    from botocore.exceptions import BotoCoreError

    from datalad_s3ext.store.s3_client import session_for

    session = session_for(identity)
    client = make(session)
    if connection.signature != "v4":
        return client
    try:
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        below = url.partition("?")[0].removesuffix("k")
        base = _base(connection, bucket, below, session.get_config_variable("ca_bundle"))
    except (BotoCoreError, OSError, RuntimeError):  # the last: a source that gives expired keys
        return client  # whose first request says in words what is wrong
    if _goes_through_a_proxy(below):
        return client
    keys = _fixed(identity) if isinstance(identity, Keys | Anonymous) else _of(session, identity)
    return _lean(connection, base, keys, timeouts_s, lambda: client)


def _lean(
    connection: Connection,
    base: Base,
    keys: Callable[[], SigningKeys] | None,
    timeouts_s: tuple[float, float],
    make: Callable[[], S3Client],
) -> S3Client:
    signer = Signer(keys, connection.signing_region) if keys is not None else None
    connections = Connections(
        base.origin, connect_timeout_s=timeouts_s[0], read_timeout_s=timeouts_s[1]
    )
    return cast("S3Client", LeanClient(make, base, signer, connections))


def _make(
    connection: Connection,
    identity: Identity,
    bucket: str,
    max_connections: int,
    timeouts_s: tuple[float, float],
    extras: Extras,
    session: botocore.session.Session | None,
) -> S3Client:
    from datalad_s3ext.store.s3_client import make_client

    return make_client(
        connection,
        identity,
        bucket,
        max_connections=max_connections,
        connect_timeout_s=timeouts_s[0],
        read_timeout_s=timeouts_s[1],
        session=session,
        extras=extras,
    )


def _base(connection: Connection, bucket: str, url: str, ca_bundle: str | None) -> Base:
    tls = tls_context(ca_bundle) if url.startswith("https:") else None
    rules = connection.provider.requests
    return base_from_url(
        url, bucket, tls, unsigned_payload=rules.unsigned_payload, headers=rules.headers
    )


def _fixed(identity: Keys | Anonymous) -> Callable[[], SigningKeys] | None:
    if isinstance(identity, Anonymous):
        return None
    keys = SigningKeys(identity.access_key_id, identity.secret_access_key, identity.session_token)
    return lambda: keys


def _of(session: botocore.session.Session, identity: Identity) -> Callable[[], SigningKeys]:
    """Return what gives the keys of the moment; refreshing ones are asked each time."""
    found = session.get_credentials()

    def current() -> SigningKeys:
        if found is None:
            raise CredentialsError(f"no keys were found in {identity.source}")
        frozen = found.get_frozen_credentials()
        return SigningKeys(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    return current


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return a context that trusts the same authorities as botocore does."""
    import ssl

    return ssl.create_default_context(cafile=ca_bundle or _authorities())


def _authorities() -> str:
    if importlib.util.find_spec("certifi") is not None:
        import certifi

        return certifi.where()
    found = importlib.util.find_spec("botocore")
    return str(Path(str(found and found.origin)).parent / "cacert.pem")


def _goes_through_a_proxy(url: str) -> bool:
    named = {name.lower() for name in os.environ if name.lower().endswith("_proxy")}
    if sys.platform.startswith("linux") and not named - {"no_proxy"}:
        return False  # there is no other place to name one; the import takes 15 ms

    import urllib.request

    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    has_one = parts.scheme in proxies or "all" in proxies
    return has_one and not urllib.request.proxy_bypass(parts.hostname or "")
