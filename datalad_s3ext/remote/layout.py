"""Which object holds which content: the names that git-annex's built-in `type=S3` gives.

Because the names are the same, a bucket written by either remote is read by the other. Source:
git-annex's S3 page and what the released program was seen to write.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from datalad_s3ext.errors import Unsupported
from datalad_s3ext.repo.keys import MARKER

MAX_NAME_BYTES = 1024
"""Of an object's name in UTF-8, everywhere."""


@dataclass(frozen=True)
class Layout:
    """Object names below one prefix of one bucket."""

    prefix: str = ""

    def of_key(self, key: str) -> str:
        """Return the object that holds the content of `key`."""
        return self.prefix + key

    def of_export_name(self, name: str) -> str:
        """Return the object that holds the file `name` of an exported tree.

        Raises
        ------
        Unsupported
            No object can have just this name.
        """
        if reason := self._why_not(name):
            raise Unsupported(
                f"the file name {name!r} cannot be kept: {reason}",
                remedy="rename the file and export again",
            )
        return self.prefix + name

    def _why_not(self, name: str) -> str:
        """Return why no object can have just this name; ``""`` when it can.

        Names that S3 takes but that servers and clients are known to fold are refused, too.
        """
        parts = name.split("/")
        if "" in parts or "." in parts or ".." in parts:
            return "a part of it is empty, . or .."
        try:
            size_bytes = len((self.prefix + name).encode())
        except UnicodeEncodeError:
            return "it is not UTF-8, as the names of objects are"
        if size_bytes > MAX_NAME_BYTES:
            return f"with fileprefix it has {size_bytes} bytes, and S3 allows {MAX_NAME_BYTES}"
        if self.prefix + name == self.marker:
            return "special remotes keep their UUID there"
        return ""

    @property
    def marker(self) -> str:
        """Return the object that holds the special remote's UUID."""
        return self.prefix + MARKER

    def url_below(self, base: str, key: str) -> str:
        """Return the URL of `key` below the URL `base` of the bucket."""
        return f"{base.rstrip('/')}/{quote(self.of_key(key))}"
