"""What verifies received content where this clone's git config leaves that to s3x."""

from __future__ import annotations

from pathlib import Path

from datalad_s3ext.errors import Unsupported
from datalad_s3ext.repo.digests import MANIFEST, KeyDigest, key_digest
from datalad_s3ext.repo.keys import parse_key

_NOT_CONTENT = "othertmp"
"""git-annex's folder for files that never become content of the annex."""


def required_digest(key: str, local_file: Path, uuid: str) -> KeyDigest | None:
    """Return what has to judge the content of `key` that is to be written to `local_file`.

    Parameters
    ----------
    key : str
        The key that git-annex asks for.
    local_file : Path
        Where git-annex wants it.
    uuid : str
        The remote's own UUID.

    Returns
    -------
    KeyDigest or None
        ``None`` only for the remote's list of git bundles: git-remote-annex reads it beside the annex,
        verifies it never, and looks up in it the bundles, whose keys hold a checksum.

    Raises
    ------
    Unsupported
        When nothing here can verify the key: git-annex would take whatever comes.
    """
    parsed = parse_key(key)
    digest = key_digest(parsed, key)
    if digest is not None:
        return digest
    is_own_list = parsed.backend == MANIFEST and parsed.name.removesuffix(".bak") == uuid
    if is_own_list and local_file.parent.name == _NOT_CONTENT:
        return None
    raise Unsupported(
        f"s3x cannot verify {key}, and this clone has s3x verify what is received",
        remedy="have git-annex verify again: datalad s3-enable --name NAME --verify-by git-annex",
    )


__all__ = ["required_digest"]
