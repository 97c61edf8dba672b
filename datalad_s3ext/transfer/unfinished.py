"""Uploads that were begun from this clone and are not complete: looked at, not touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datalad_s3ext.transfer.journal import Journal


@dataclass(frozen=True)
class Unfinished:
    """One upload, as its journal tells."""

    object: str
    size_bytes: int
    confirmed_bytes: int
    """What the server has; the next try goes on behind it."""
    touched_at: datetime


def unfinished_uploads(folder: Path) -> Iterator[Unfinished]:
    """Yield the uploads whose journals lie in `folder`, also one that is under way right now."""
    for path in sorted(folder.glob("*.jsonl")):
        with contextlib.suppress(OSError):  # it may just have been completed
            number = os.open(path, os.O_RDONLY)
            with Journal(path, number) as journal:
                touched_at = datetime.fromtimestamp(os.fstat(number).st_mtime, UTC)
                found = journal.read()
            if found is not None:
                begun, parts = found
                sent = sum(
                    min(begun.part_bytes, begun.size_bytes - (part - 1) * begun.part_bytes)
                    for part in parts
                )
                yield Unfinished(begun.name, begun.size_bytes, sent, touched_at)
