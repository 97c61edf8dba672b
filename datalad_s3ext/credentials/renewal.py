"""What to tell people whose keys have expired: since when, and how to get new ones there."""

from __future__ import annotations

from datetime import UTC, datetime

from datalad_s3ext.credentials.model import Identity, Keys, Profile
from datalad_s3ext.providers.schema import Provider


def expired_when(identity: Identity) -> str:
    """Return " on DATE at TIME", or nothing when the source of the keys names no moment in the past."""
    moment = identity.expires_at if isinstance(identity, Keys) else None
    if moment is None or moment > datetime.now(UTC):
        return ""
    return f" on {moment.astimezone(UTC):%Y-%m-%d at %H:%M %Z}"


def how_to_renew(identity: Identity, provider: Provider) -> str:
    """Return what to do, in one clause; a command can be repeated afterwards."""
    if isinstance(identity, Profile):
        name = identity.name
        return f"log in again (aws sso login --profile {name}) or renew the keys of that profile"
    if isinstance(identity, Keys):
        how = f": {provider.help.keys}" if provider.help.keys else ""
        return f"get new ones for {provider.name}{how}"
    return "log in again (aws sso login) or renew the keys where they come from"
