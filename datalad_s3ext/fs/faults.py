"""What reading a data set can fail with, so that programs written for files understand it.

None of them is a `FileNotFoundError`, except for a name that the data set does not have: Zarr takes
that one for a chunk that was never written, and would fill in values of its own.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from datalad_s3ext.errors import S3xError


class ContentUnavailable(S3xError, OSError):
    """The data set has the file, but its bytes cannot be had now."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.errno = errno.EIO

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle: Dask sends errors from its workers."""
        return _restored, (type(self), self.what, self.remedy)


class ReadOnly(ContentUnavailable):
    """Something would change what a commit holds."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.errno = errno.EROFS


def unavailable(name: str, reasons: Sequence[tuple[str, S3xError]]) -> ContentUnavailable:
    """Return the error for `name`, whose content none of the places gave, by what each of them said."""
    if not reasons:
        return ContentUnavailable(
            f"the content of {name} is not here, and no place that this clone can read is known to "
            "have it",
            remedy="see git annex whereis; enable a remote that has it: datalad s3-enable",
        )
    told = "; ".join(f"{place}: {reason}" for place, reason in reasons)
    return ContentUnavailable(f"the content of {name} cannot be read: {told}")


def not_found(path: str, why: str) -> FileNotFoundError:
    """Return the error for a name that is not in the data set."""
    return FileNotFoundError(errno.ENOENT, why, path)


def _restored(kind: type[ContentUnavailable], what: str, remedy: str) -> ContentUnavailable:
    return kind(what, remedy=remedy)
