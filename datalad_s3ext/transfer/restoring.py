"""Bringing archived objects back: asking for it, and what to expect."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from datalad_s3ext.store.archive import ArchiveState, Tier, state_of
from datalad_s3ext.store.base import ObjectInfo, ObjectStore

Step = Literal["archived", "asked", "under way", "readable"]

USUAL_HOURS: dict[tuple[str, Tier], float] = {
    ("GLACIER", "expedited"): 5 / 60,
    ("GLACIER", "standard"): 5,
    ("GLACIER", "bulk"): 12,
    ("DEEP_ARCHIVE", "standard"): 12,
    ("DEEP_ARCHIVE", "bulk"): 48,
}
"""How long Amazon takes at most, as its user guide says ("Archive retrieval options")."""


@dataclass(frozen=True)
class Order:
    """How long a restored copy shall stay, and how fast it shall come."""

    days: int
    tier: Tier


@dataclass(frozen=True)
class Outcome:
    """What was found or done about one object."""

    name: str
    step: Step
    was: ArchiveState
    expected_by: datetime | None = None
    """When it can be read at the latest, where that is known."""


def restore_object(
    store: ObjectStore,
    info: ObjectInfo,
    order: Order | None,
    *,
    archive_classes: Collection[str],
    has_usual_hours: bool,
) -> Outcome:
    """Ask for a readable copy of one object, unless it can be read or was asked for before.

    Parameters
    ----------
    info : ObjectInfo
        What HEAD says of it.
    order : Order or None
        ``None``: ask for nothing, only look.
    archive_classes
        The classes of this service whose objects need a restore.
    has_usual_hours
        The service keeps to `USUAL_HOURS`.

    Raises
    ------
    S3xError
        The service refuses.
    """
    was = state_of(info, archive_classes)
    if was.is_readable:
        return Outcome(info.name, "readable", was)
    hours = USUAL_HOURS.get((was.storage_class, order.tier)) if order and has_usual_hours else None
    expected = datetime.now(UTC) + timedelta(hours=hours) if hours else None
    if was.state == "restoring":
        return Outcome(info.name, "under way", was, expected)
    if order is None:
        return Outcome(info.name, "archived", was)
    days = None if info.archive_status else order.days
    is_new = store.restore(info.name, days=days, tier=order.tier)
    return Outcome(info.name, "asked" if is_new else "under way", was, expected)


def told(outcomes: Sequence[Outcome]) -> str:
    """Say when all of `outcomes` can be read, to follow "is"."""
    waiting = [outcome for outcome in outcomes if outcome.step != "readable"]
    if not waiting:
        return "readable again"
    where = ", ".join(sorted({outcome.was.storage_class for outcome in waiting}))
    many = f" ({len(waiting)} objects)" if len(waiting) > 1 else ""
    known = [outcome.expected_by for outcome in waiting if outcome.expected_by is not None]
    when = f"expected by {max(known):%Y-%m-%d %H:%M} UTC" if known else "which may take hours"
    return f"being restored from {where}{many}, {when}"
