"""Who asks: the four kinds of identity, none of which shows its secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

KEPT = "git-annex's own store for this remote"
"""The source of keys that lie in ``.git/annex/creds``."""
EMBEDDED = "the data set itself (embedcreds=yes)"
"""The source of keys that came in with a clone, so that they are no secret of its user."""


@dataclass(frozen=True)
class Keys:
    """An access key with its secret, perhaps temporary."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    source: str = "the command line"
    """Where they were found, for people: "environment variables AWS_ACCESS_KEY_ID ..."."""


@dataclass(frozen=True)
class Profile:
    """A named profile of the AWS configuration files (keys, SSO, role, process)."""

    name: str

    @property
    def source(self) -> str:
        """Say where the keys come from."""
        return f"AWS profile {self.name!r}"


@dataclass(frozen=True)
class SdkChain:
    """Whatever boto3 finds by itself: default profile, web identity, container or instance role."""

    source: str = "boto3's own search (default profile, container or instance role)"


@dataclass(frozen=True)
class Anonymous:
    """Nobody: requests are not signed."""

    source: str = "no credentials (anonymous)"


Identity = Keys | Profile | SdkChain | Anonymous
