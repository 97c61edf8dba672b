"""May keys go to this endpoint, whoever has named it? Nothing is sent, nobody is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import (
    ENDPOINT_VARIABLES,
    Connection,
    is_loopback_host,
    normal_endpoint,
    server_record,
)

TRUST = "S3X_TRUST_ENDPOINT"
"""The variable in which people name endpoints that keys may go to, separated by blanks."""


def is_vouched_for(connection: Connection, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this machine knows the endpoint of `connection`, so that it may get keys.

    Amazon's own is known, so are those that the preset names (ours or the user's, never one of a data
    set), that of the running local server, and any that the environment names. A port of this machine
    is not known by a preset: who listens there differs from machine to machine.
    """
    url = connection.endpoint_url
    return url is None or url in named_by_environment(environ) or _is_known(connection.provider.id, url)


def named_by_environment(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the endpoints that variables name: ours, the SDK's, and those of platforms."""
    words = environ.get(TRUST, "").split()
    words += [environ[name] for name in ENDPOINT_VARIABLES if environ.get(name)]
    found = set()
    for word in words:
        with suppress(ConfigError):
            found.add(normal_endpoint(word))
    return frozenset(found)


def _is_known(provider_id: str, url: str) -> bool:
    from datalad_s3ext.providers.guess import is_own_host

    with suppress(ConfigError):
        if url == server_record()["endpoint"]:
            return True
    if is_loopback_host(urlsplit(url).hostname or ""):
        return False
    with suppress(ConfigError):  # unknown here, or a preset that came with the data set
        return is_own_host(load_provider(provider_id), url)
    return False
