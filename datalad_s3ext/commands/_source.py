"""Whose keys a command would use, told without showing them, and what their source says besides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datalad_s3ext.commands._access import Access, Choice, told
from datalad_s3ext.credentials.model import Anonymous, Keys, Profile, SdkChain
from datalad_s3ext.credentials.sources import KEY_ID, PROFILE
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.repo import remotes

_METHODS = {
    "shared-credentials-file": "keys in the credentials file",
    "config-file": "keys in the configuration file",
    "custom-process": "credential_process",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "web identity",
    "container-role": "role of the container",
    "iam-role": "role of the machine",
}
"""What botocore calls the ways by which keys come, in words of the AWS documentation."""


@dataclass(frozen=True)
class Source:
    """Where keys come from."""

    text: str
    expires_at: datetime | None = None

    def told(self, connection: Connection) -> str:
        """Return a sentence for people: whose keys would go where."""
        until = ""
        if self.expires_at is not None:
            until = f", which expire on {self.expires_at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"
        place = connection.endpoint_url or connection.provider.name
        return f"would ask {place} with {self.text}{until}; nothing was sent there"


def settings_environment(choice: Choice) -> Mapping[str, str]:
    """Return the environment, completed by what the profile states that keys come from.

    Raises
    ------
    ConfigError
        When the AWS configuration cannot be read.
    """
    if choice.anonymous or choice.credential:
        return os.environ
    if not choice.profile and os.environ.get(KEY_ID) and not os.environ.get(PROFILE):
        return os.environ
    from datalad_s3ext.store.sdk_settings import completed

    return completed(os.environ, Profile(choice.profile) if choice.profile else SdkChain())


def find_source(path: Path, name: str, access: Access, connection: Connection) -> Source:
    """Return where the keys for the remote `name` of the data set at `path` come from.

    Nothing is sent to the service. Login services may be asked where keys must be refreshed.

    Raises
    ------
    CredentialsError, ConfigError
        When there are none, or they have expired.
    """
    if access.choice.credential and not access.is_stored():
        return Source(f"DataLad credential {access.choice.credential!r}, which would be asked for")
    known = [one for one in remotes.special_remotes(path) if name in {one.name, one.enabled_as}]
    identity = access.identity(remotes.remembered_keys(path, known[0]) if known else None)
    if isinstance(identity, Anonymous):
        return Source(told(identity))
    if isinstance(identity, Keys):
        return Source(told(identity), identity.expires_at)
    from datalad_s3ext.store.diagnose import key_facts

    facts = key_facts(connection, identity)
    method = _METHODS.get(facts.method, facts.method)
    return Source(f"{told(identity)}: {method}", facts.keys.expires_at)
