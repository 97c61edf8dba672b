"""Lines for the person who runs git-annex."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annexremote import Master


class Telling:
    """A remote that can say something besides its answers."""

    annex: Master

    def _tell(self, line: str) -> None:
        """Show a line; to those who run git-annex with --debug where it knows no other way."""
        if "INFO" in self.annex.protocol.extensions:
            self.annex.info(line)
        else:
            self.annex.debug(line)
