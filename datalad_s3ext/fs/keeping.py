"""Content that was read completely becomes content of the clone: with the option ``keep``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from datalad_s3ext.errors import S3xError
from datalad_s3ext.fs.dataset import Dataset
from datalad_s3ext.fs.options import BLOCK_BYTES
from datalad_s3ext.repo.annex import run_annex
from datalad_s3ext.repo.folders import annex_folder

lgr = logging.getLogger(__name__)


def keep(dataset: Dataset, key: str, size_bytes: int, recall: Callable[[int], bytes | None]) -> bool:
    """Have git-annex take over the content of `key`, which has been verified; tell whether it did.

    Parameters
    ----------
    recall
        Returns a block that is still in the cache. When one is not, nothing is kept.
    """
    aside = annex_folder(dataset.git_dir) / "tmp" / f"s3x-read-{os.getpid()}-{abs(hash(key))}"
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        if not _written(aside, size_bytes, recall):
            lgr.info("%s is not kept: it is larger than what is cached", key)
            return False
        run_annex(dataset.path, "setkey", key, str(aside.resolve()))
    except (S3xError, OSError) as error:
        lgr.warning("%s was read, but cannot be kept: %s", key, error)
        return False
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return True


def _written(path: Path, size_bytes: int, recall: Callable[[int], bytes | None]) -> bool:
    with path.open("wb") as file:
        for number in range(-(-size_bytes // BLOCK_BYTES)):
            block = recall(number)
            if block is None:
                return False
            file.write(block)
    return True
