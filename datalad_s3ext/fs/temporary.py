"""Files that are written aside by threads, and must not stay when the process ends meanwhile."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, current_thread, main_thread

_PATHS: set[Path] = set()
_END = Event()
os.register_at_fork(after_in_child=_PATHS.clear)  # they are the parent's


@contextmanager
def temporary(path: Path) -> Iterator[None]:
    """Have what is made at `path` removed at the end of the block, or with Python's own, if earlier.

    Raises
    ------
    RuntimeError
        In a thread, when Python is ending: nobody would be there to remove it.
    """
    _PATHS.add(path)
    try:
        if _END.is_set() and current_thread() is not main_thread():
            raise RuntimeError("the process is ending")
        yield
    finally:
        path.unlink(missing_ok=True)
        _PATHS.discard(path)


@atexit.register
def _remove_all() -> None:
    _END.set()
    for path in list(_PATHS):
        with suppress(OSError):
            path.unlink(missing_ok=True)
