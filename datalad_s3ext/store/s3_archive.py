"""Asking S3 to bring archived objects back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datalad_s3ext.errors import S3xError
from datalad_s3ext.store.s3_core import S3Core

if TYPE_CHECKING:
    from datalad_s3ext.store.archive import Tier

_ASKED_BEFORE = "RestoreAlreadyInProgress"
_ACCEPTED = 202


class S3Archive(S3Core):
    """The archive half of :class:`.s3.S3Store`."""

    def restore(self, name: str, *, days: int | None, tier: Tier) -> bool:
        """Ask for a readable copy of an archived object; tell whether it was not asked for before."""
        asked: dict[str, Any] = {"GlacierJobParameters": {"Tier": tier.title()}}
        if days is not None:
            asked["Days"] = days
        try:
            with self._translated("restore", name):
                answer = self._client.restore_object(
                    Bucket=self.bucket,
                    Key=name,
                    RestoreRequest=asked,  # type: ignore[arg-type]
                )
        except S3xError as error:
            if error.code == _ASKED_BEFORE:
                return False
            raise
        self._believe(answer)
        return bool(answer["ResponseMetadata"]["HTTPStatusCode"] == _ACCEPTED)
