"""The places where keys are found, one function each. None means: nothing there, ask the next.

The `source` of what they return names variables and files, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from datalad_s3ext import places
from datalad_s3ext.credentials.model import Keys, Profile
from datalad_s3ext.errors import CredentialsError
from datalad_s3ext.providers.resolve import server_record
from datalad_s3ext.providers.schema import Provider

KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable
TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable
EXPIRATIONS = ("AWS_EXPIRATION", "AWS_CREDENTIAL_EXPIRATION")
"""Platforms set the first, ``aws configure export-credentials`` the second."""
PROFILE = "AWS_PROFILE"


def from_local_server(provider: Provider, endpoint_url: str | None = None) -> Keys | None:
    """Return the keys of the running local server, when the preset means that one.

    They are for that server alone: with another `endpoint_url` there are none.

    Raises
    ------
    ConfigError
        When it does not run.
    """
    if not provider.endpoint.local_server:
        return None
    record = server_record()
    if endpoint_url not in (None, record["endpoint"]):
        return None
    return Keys(
        access_key_id=record["access_key_id"],
        secret_access_key=record["secret_access_key"],
        source=f"local S3 server ({places.server_record()})",
    )


def from_environment(environ: Mapping[str, str]) -> Keys | None:
    """Return the keys in the ``AWS_*`` variables. An empty variable counts as not set.

    Raises
    ------
    CredentialsError
        When one half of the pair is missing, or the date of expiry is none.
    """
    key_id, secret = environ.get(KEY_ID, ""), environ.get(SECRET, "")
    if not key_id and not secret:
        return None
    if not key_id or not secret:
        there, missing = (KEY_ID, SECRET) if key_id else (SECRET, KEY_ID)
        raise CredentialsError(
            f"the environment variable {there} is set, {missing} is not",
            remedy=f"set {missing}, or unset {there}",
        )
    token = environ.get(TOKEN) or None
    names = [KEY_ID, SECRET, TOKEN] if token else [KEY_ID, SECRET]
    return Keys(
        access_key_id=key_id,
        secret_access_key=secret,
        session_token=token,
        expires_at=_expiry(environ),
        source=f"environment variables {', '.join(names)}",
    )


def from_named_profile(environ: Mapping[str, str]) -> Profile | None:
    """Return the profile that ``AWS_PROFILE`` names."""
    name = environ.get(PROFILE)
    return Profile(name) if name else None


def _expiry(environ: Mapping[str, str]) -> datetime | None:
    variable = next((name for name in EXPIRATIONS if environ.get(name)), None)
    if variable is None:
        return None
    try:
        moment = datetime.fromisoformat(environ[variable])
    except ValueError:
        raise CredentialsError(
            f"the environment variable {variable} holds no date",
            remedy="write it like 2026-11-22T18:00:00Z, or unset it",
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
