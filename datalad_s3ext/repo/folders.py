"""Where git-annex keeps its own things in a clone."""

from __future__ import annotations

from pathlib import Path

from datalad_s3ext.errors import ConfigError


def annex_folder(git_dir: Path) -> Path:
    """Return ``.git/annex`` for the git directory that git-annex names; worktrees share it."""
    try:
        shared = git_dir / (git_dir / "commondir").read_text().strip()
    except OSError:
        shared = git_dir
    return shared / "annex"


def as_file_name(uuid: str) -> str:
    """Return the UUID of a remote, which comes in with a clone, when it can be a file's name.

    Raises
    ------
    ConfigError
        When it would lead elsewhere.
    """
    if "/" in uuid or "\0" in uuid or uuid in ("", ".", ".."):
        raise ConfigError(
            f"the remote's UUID {uuid!r} is none", remedy="do not use this remote: it is a trap"
        )
    return uuid
