"""Uploads that a server has begun although nobody was told: the answer was lost or damaged on its way.

They hold nothing, but they stay: lists of unfinished uploads show them for ever. So whoever has lost
such an answer looks for uploads of that name that were begun since and that nothing was sent to, and
aborts those that are not known to be in use here. Another computer that has begun to upload the same
name within these very seconds may lose its upload by that, and has to send it again. It does not do
the same in return: it looks among uploads from the time of its own request only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from datalad_s3ext.errors import NotS3, S3xError, TransientError, Unreachable, UploadNotFound
from datalad_s3ext.store.base import ObjectStore

lgr = logging.getLogger(__name__)

CLOCK_STEP_S = 2.0
"""Servers tell times in whole seconds, and two of them are compared."""
_NOT_TAKEN = frozenset({"SlowDown", "ServiceUnavailable", "TooManyRequests", "RequestLimitExceeded"})
"""Words for a request that the service has not begun to work on."""


@dataclass
class _Begun:
    name: str
    since_s: float
    until_s: float
    """When its id was known."""
    is_proven: bool = False
    """The server has taken a part for it: the id is right."""


class OpenUploads:
    """The uploads begun through `store` and not yet ended. Safe in threads.

    Parameters
    ----------
    store
        Each request is sent to it once: what fails here must not delay what it is done for.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._begun: dict[str, _Begun] = {}
        self._lock = threading.Lock()

    def begin(
        self, name: str, create: Callable[[], str], persist: Callable[[Callable[[], str]], str]
    ) -> str:
        """Let `persist` try `create`, return the id, and take back what failed attempts have begun."""
        since_s = self._clock()
        errors: list[S3xError] = []

        def attempt() -> str:
            try:
                return create()
            except S3xError as error:
                errors.append(error)
                raise

        try:
            upload_id = persist(attempt)
            with self._lock:
                self._begun[upload_id] = _Begun(name, since_s, self._clock())
        except S3xError:
            self._clear_up(name, since_s, errors)
            raise
        self._clear_up(name, since_s, errors)
        return upload_id

    @contextmanager
    def used(self, upload_id: str) -> Iterator[None]:
        """Watch a part being sent: an upload that is gone before its first may have another id."""
        try:
            yield
        except UploadNotFound:
            with self._lock:
                begun = self._begun.pop(upload_id, None)
            if begun is not None and not begun.is_proven:
                self._take_back(begun.name, begun.since_s, begun.until_s)
            raise
        begun = self._begun.get(upload_id)
        if begun is not None:
            begun.is_proven = True

    def end(self, upload_id: str) -> None:
        """Note that an upload was completed or aborted."""
        with self._lock:
            self._begun.pop(upload_id, None)

    def _clear_up(self, name: str, since_s: float, errors: Collection[S3xError]) -> None:
        if any(may_have_begun(error) for error in errors):
            self._take_back(name, since_s, self._clock())

    def _take_back(self, name: str, since_s: float, until_s: float) -> None:
        with self._lock:
            ours = frozenset(self._begun)
        now_s = self._clock()
        take_back_lost(self._store, name, now_s - since_s, ours, least_age_s=now_s - until_s)


def may_have_begun(error: S3xError) -> bool:
    """Tell whether the server may have begun an upload although the answer was `error`."""
    if isinstance(error, NotS3):
        return True  # an answer, but not one that can be read
    is_lost = isinstance(error, TransientError) and not isinstance(error, Unreachable)
    return is_lost and error.code not in _NOT_TAKEN


def take_back_lost(
    store: ObjectStore, name: str, age_s: float, ours: Collection[str], *, least_age_s: float = 0
) -> None:
    """Abort the uploads of `name` begun in the last `age_s` seconds that hold nothing, but `ours`.

    Those begun less than `least_age_s` seconds ago are left alone, too: they are other people's. Where
    the server cannot be asked, or does not tell, nothing is done.
    """
    try:
        later_s = least_age_s - CLOCK_STEP_S
        later = store.empty_uploads(name, later_s) if later_s > 0 else ()
        for upload_id in store.empty_uploads(name, age_s + CLOCK_STEP_S):
            if upload_id not in ours and upload_id not in later:
                store.abort_upload(name, upload_id)
                lgr.info("an upload of %s whose id had been lost was taken back", name)
    except S3xError as error:
        lgr.info("an upload of %s whose id was lost may be left at the server: %s", name, error)
