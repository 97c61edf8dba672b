"""Which object holds which content: the names that git-annex's built-in `type=S3` gives.

Because the names are the same, a bucket written by either remote is read by the other. Source:
git-annex's S3 page and what the released program was seen to write.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from datalad_s3ext.repo.keys import MARKER


@dataclass(frozen=True)
class Layout:
    """Object names below one prefix of one bucket."""

    prefix: str = ""

    def of_key(self, key: str) -> str:
        """Return the object that holds the content of `key`."""
        return self.prefix + key

    @property
    def marker(self) -> str:
        """Return the object that holds the special remote's UUID."""
        return self.prefix + MARKER

    def url_below(self, base: str, key: str) -> str:
        """Return the URL of `key` below the URL `base` of the bucket."""
        return f"{base.rstrip('/')}/{quote(self.of_key(key))}"
