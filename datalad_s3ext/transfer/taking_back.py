"""Unfinished uploads that nobody will go on with: their parts cost money until they are aborted."""

from __future__ import annotations

import logging

from datalad_s3ext.errors import S3xError
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.transfer.journal import Begun, Journals

lgr = logging.getLogger(__name__)


def take_back(store: ObjectStore, upload: Begun) -> bool:
    """Abort an earlier upload that will not be gone on with; tell whether it is gone."""
    try:
        store.abort_upload(upload.name, upload.upload_id)
    except S3xError as error:
        lgr.warning("parts of %s are left at the server: %s", upload.name, error)
        return False
    return True


def take_back_stale(store: ObjectStore, place: str, journals: Journals) -> None:
    """Abort the uploads at `place` that nobody has gone on with for a week."""
    for journal in journals.stale():
        with journal:
            found = journal.read()
            if found is None or (found[0].is_at(place) and take_back(store, found[0])):
                journal.forget()
