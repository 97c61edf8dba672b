"""Where git-annex keeps its own things in a clone."""

from __future__ import annotations

from pathlib import Path


def annex_folder(git_dir: Path) -> Path:
    """Return ``.git/annex`` for the git directory that git-annex names; worktrees share it."""
    try:
        shared = git_dir / (git_dir / "commondir").read_text().strip()
    except OSError:
        shared = git_dir
    return shared / "annex"
