"""How `datalad s3-restore` makes the remote restore what git-annex asks about.

git-annex alone knows which objects hold a file: chunks, encrypted names, exported names. So the command
has it ask CHECKPRESENT of each key, and tells this process by its environment to restore what it is
asked about, and to write what became of it to a file: one JSON object a line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalad_s3ext.errors import ConfigError, ObjectNotFound, S3xError

if TYPE_CHECKING:
    from datetime import datetime

    from datalad_s3ext.transfer.restoring import Order, Outcome

REPORT_FILE = "S3X_RESTORE_REPORT"
"""The file to write to; set, it means that restores are wanted."""
LOOK_ONLY = "S3X_RESTORE_LOOK"
DAYS = "S3X_RESTORE_DAYS"
TIER = "S3X_RESTORE_TIER"


def is_watched(environ: Mapping[str, str]) -> bool:
    """Tell whether a command wants to know of restores."""
    return REPORT_FILE in environ


def order_for(usual: Order) -> Order | None:
    """Return what to ask for: `usual`, where the command says nothing else; ``None`` to look only.

    Raises
    ------
    ConfigError
        When there is no such tier.
    """
    from datalad_s3ext.store.archive import TIERS

    if os.environ.get(LOOK_ONLY):
        return None
    order = usual
    if days := os.environ.get(DAYS):
        order = replace(order, days=int(days))
    if tier := os.environ.get(TIER):
        found = next((one for one in TIERS if one == tier), None)
        if found is None:
            raise ConfigError(f"there is no tier {tier!r}", remedy=f"use {', '.join(TIERS)}")
        order = replace(order, tier=found)
    return order


@contextmanager
def reported(name: str) -> Iterator[Callable[[Outcome], None]]:
    """Write down what becomes of the object `name`, be it an error."""
    try:
        yield lambda outcome: _write(_row(outcome))
    except ObjectNotFound:
        _write({"name": name, "step": "absent"})
        raise
    except S3xError as error:
        _write({"name": name, "step": "error", "message": str(error)})
        raise


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "step": outcome.step,
        "storage_class": outcome.was.storage_class,
        "until": _text(outcome.was.until),
        "expected_by": _text(outcome.expected_by),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _write(row: Mapping[str, Any]) -> None:
    import json

    with Path(os.environ[REPORT_FILE]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
