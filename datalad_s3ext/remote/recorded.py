"""From the recorded parameters of a remote to the service that keeps its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.guess import is_own_host
from datalad_s3ext.providers.load import load_provider, load_recorded
from datalad_s3ext.providers.resolve import (
    Connection,
    normal_endpoint,
    resolve,
    server_record,
)
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.remote.local import V2, V4
from datalad_s3ext.remote.place import agreed_signature
from datalad_s3ext.remote.settings import RemoteSettings, read_settings
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.remotes import SpecialRemote

_ANY_PROVIDER = "other"
_AMAZON = "aws"
_LOCAL = "local"


def recorded_connection(
    remote: SpecialRemote, *, dataset: Path, use_measured: bool = True
) -> Connection:
    """Return how to reach the bucket of `remote`, by its own parameters.

    They are somebody else's text: the signature is not taken from them. What was measured at the
    endpoint counts, unless `use_measured` is false.

    Raises
    ------
    ConfigError
        When they make no sense, or do not say where.
    """
    parameters = parameters_as_ours(remote)
    settings = read_settings(lambda name: parameters.get(name, ""))
    ours_or_local = settings.provider if remote.is_ours else _local_server(settings)
    provider = _provider(ours_or_local, settings.endpoint, dataset)
    own_place = settings.endpoint is None or is_own_host(provider, settings.endpoint)
    return resolve(
        provider,
        endpoint=settings.endpoint,
        region=settings.region,
        addressing=settings.requeststyle,
        signature=None if own_place else V4,
        use_measured=use_measured,
    )


def agreed_connection(remote: SpecialRemote, *, dataset: Path) -> Connection:
    """Return how `remote` itself will reach its bucket in this clone, the signature included.

    Raises
    ------
    ConfigError
        Also when it wants the weak signature, and nobody in this clone has agreed to it.
    """
    connection = recorded_connection(remote, dataset=dataset)
    if not remote.is_ours:
        return connection
    name = remote.enabled_as or remote.name
    local = {"v2": V2, "v4": V4}.get(remotes.get_config(dataset, name, remotes.SIGNATURE_CONFIG) or "")
    settings = read_settings(lambda name: remote.parameters.get(name, ""))
    return replace(connection, signature=agreed_signature(settings, local, connection.provider))


def _local_server(settings: RemoteSettings) -> str:
    """Return the preset of the local server when built-in S3 reaches just that one by its address.

    Its keys then come from the server itself, as they do for our own remote.
    """
    try:
        if settings.endpoint and normal_endpoint(settings.endpoint) == server_record()["endpoint"]:
            return _LOCAL
    except ConfigError:
        pass
    return settings.provider


def _provider(provider_id: str, endpoint: str | None, dataset: Path) -> Provider:
    """Return the preset; with an endpoint recorded, one that is unknown here does not matter."""
    try:
        return load_recorded(provider_id, dataset=dataset, endpoint=endpoint)
    except ConfigError:
        if endpoint is None:
            raise
        return load_provider(_ANY_PROVIDER, dataset=dataset)


def parameters_as_ours(remote: SpecialRemote) -> Mapping[str, str]:
    """Return the parameters of `remote`; those of built-in S3 with its defaults made explicit."""
    if remote.is_ours:
        return remote.parameters
    given = dict(remote.parameters)
    if given.get("requeststyle") not in {"path", "virtual"}:
        given.pop("requeststyle", None)
    if remotes.service_host(given) == remotes.AMAZON:
        where = {"bucket", "datacenter", "region"}
        kept = {name: value for name, value in given.items() if name in where}
        return {**kept, "provider": _AMAZON}
    secure = given.get("protocol") == "https" or given.get("port") == "443"
    given.pop("datacenter", None)
    return {**given, "protocol": "https" if secure else "http"}
