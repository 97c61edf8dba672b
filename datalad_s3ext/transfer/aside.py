"""A file that appears at once, and yet goes on where it ended.

What git-annex gets from an exported tree it hashes while the file grows, and judges by what it has
hashed when it is told of the end: a file that was written fast then "fails verification" (seen with
10.20261026). A file that appears at once is read afterwards, whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datalad_s3ext.errors import LocalError


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield another path in the same folder to write to; in the end the file there becomes `path`.

    It does so after a failure, too, and what stands at `path` in the beginning is moved there first.
    So the next call goes on with a beginning, even when this process is killed.

    Raises
    ------
    LocalError
        When a file cannot be renamed.
    """
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    aside = path.with_name(f"s3x-{digest[:32]}")
    _move(path, aside)
    try:
        yield aside
    except BaseException:
        with suppress(LocalError):
            _move(aside, path)
        raise
    _move(aside, path)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LocalError(f"cannot rename {source} to {target.name}: {error.strerror}") from error
