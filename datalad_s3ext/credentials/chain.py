"""Who is asking? The first source that has an answer decides; the ones after it are not asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from datalad_s3ext.credentials import sources
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile, SdkChain
from datalad_s3ext.credentials.renewal import expired_when, how_to_renew
from datalad_s3ext.errors import CredentialsError
from datalad_s3ext.providers.schema import Provider


def find_identity(
    provider: Provider,
    *,
    explicit: Keys | None = None,
    profile: str | None = None,
    anonymous: bool = False,
    remembered: Keys | None = None,
    endpoint_url: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Identity:
    """Return with which identity `provider` is to be asked. Nothing is sent.

    The order: `anonymous`, `explicit`, `profile`, the local server's own keys when the preset means
    that server, `remembered`, the ``AWS_*`` variables, ``AWS_PROFILE``, boto3's own search.

    Parameters
    ----------
    remembered : Keys, optional
        What git-annex keeps for this remote.
    endpoint_url : str, optional
        Where the keys will be sent, when that is known: keys of one server go to no other.

    Raises
    ------
    CredentialsError
        When keys are half given or have expired.
    ConfigError
        When the preset means the local server and that does not run.
    """
    if anonymous:
        return Anonymous()
    if profile and not explicit:
        return Profile(profile)
    keys = (
        explicit
        or sources.from_local_server(provider, endpoint_url)
        or remembered
        or sources.from_environment(environ)
    )
    if keys:
        return _unexpired(keys, provider)
    return sources.from_named_profile(environ) or SdkChain()


def _unexpired(keys: Keys, provider: Provider) -> Keys:
    if keys.expires_at is None or keys.expires_at > datetime.now(UTC):
        return keys
    raise CredentialsError(
        f"the keys from {keys.source} expired{expired_when(keys)}",
        remedy=how_to_renew(keys, provider),
    )
