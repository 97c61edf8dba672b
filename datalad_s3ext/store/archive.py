"""Archive classes: objects that must be restored before they can be read. Nothing here is sent."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from datalad_s3ext.store.base import ObjectInfo

Tier = Literal["standard", "bulk", "expedited"]
TIERS: tuple[Tier, ...] = get_args(Tier)
State = Literal["ready", "archived", "restoring", "restored"]

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Amazon's, for services whose preset names none."""

_ONGOING = re.compile(r'ongoing-request="(true|false)"')
_UNTIL = re.compile(r'expiry-date="([^"]+)"')


@dataclass(frozen=True)
class ArchiveState:
    """Whether an object can be read now."""

    state: State
    """``ready``: in a class that is read at once. ``restored``: a copy can be read for a while."""
    storage_class: str
    until: datetime | None = None
    """When the restored copy goes away, as far as the server says so."""

    @property
    def is_readable(self) -> bool:
        """Tell whether the object can be read now."""
        return self.state in ("ready", "restored")


def state_of(info: ObjectInfo, archive_classes: Collection[str] = ARCHIVE_CLASSES) -> ArchiveState:
    """Return what the answer to HEAD says about an object.

    Parameters
    ----------
    archive_classes : collection of str
        The classes of this service whose objects need a restore.
    """
    name = info.storage_class or "STANDARD"
    ongoing = _ONGOING.search(info.restore or "")
    if ongoing is not None:
        return ArchiveState("restoring" if ongoing[1] == "true" else "restored", name, _until(info))
    is_archived = name in archive_classes or info.archive_status is not None
    return ArchiveState("archived" if is_archived else "ready", name)


def _until(info: ObjectInfo) -> datetime | None:
    from email.utils import parsedate_to_datetime  # it imports slowly, at every start

    found = _UNTIL.search(info.restore or "")
    try:
        return parsedate_to_datetime(found[1]) if found else None
    except ValueError:
        return None
