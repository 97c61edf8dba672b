"""From the recorded parameters of a remote to the service that keeps its content."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from datalad_s3ext.credentials.model import Anonymous
from datalad_s3ext.errors import S3xError
from datalad_s3ext.providers.resolve import Connection, is_loopback_host
from datalad_s3ext.remote.recorded import agreed_connection, recorded_connection
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.marker import read_marker

__all__ = ["agreed_connection", "recorded_connection"]

ALLOWED_ADDRESSES = "annex.security.allowed-ip-addresses"


def anonymous_can_read(connection: Connection, bucket: str, prefix: str, uuid: str) -> bool:
    """Tell whether it is proven that everybody can read the objects below `prefix`."""
    from datalad_s3ext.store.retrying import open_patient_store

    store = open_patient_store(connection, Anonymous(), bucket)
    try:
        return read_marker(store, prefix) == uuid
    except S3xError:
        return False  # not proven: nothing more is claimed
    finally:
        store.close()


def is_loopback(endpoint_url: str | None) -> bool:
    """Tell whether `endpoint_url` is on this machine."""
    return is_loopback_host(urlsplit(endpoint_url or "").hostname or "")


def builtin_address_config(repo: Path, endpoint_url: str | None) -> dict[str, str]:
    """Return the git configuration without which built-in ``type=S3`` refuses this machine.

    git-annex's own HTTP client does not connect to loopback addresses by default. Only the address
    and port of `endpoint_url` are added to what is allowed already; nothing for other endpoints.
    """
    allowed = (remotes.get_local(repo, ALLOWED_ADDRESSES) or "").split()
    if not is_loopback(endpoint_url) or "all" in allowed:
        return {}
    parts = urlsplit(endpoint_url or "")
    hosts = ["127.0.0.1", "::1"] if parts.hostname == "localhost" else [parts.hostname or ""]
    port = parts.port or (443 if parts.scheme == "https" else 80)
    missing = [one for host in hosts if (one := f"[{host}]:{port}") not in allowed]
    return {ALLOWED_ADDRESSES: " ".join([*allowed, *missing])} if missing else {}
