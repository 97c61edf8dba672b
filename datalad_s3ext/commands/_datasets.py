"""The data sets a command works on, and what they must be for git-annex."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.remotes import SpecialRemote

TYPE_CONFIGS = ("annex-s3", "annex-externaltype", "annex-rclone")
"""By these git-annex notes in a clone of what type a remote is. Without one it takes it for none."""
_NO_ANNEX_REMEDY = "run `datalad create --force` or `git annex init` in it first"


def datasets(
    dataset: object, *, recursive: bool, recursion_limit: int | None, purpose: str
) -> Iterator[tuple[Path, str]]:
    """Yield (path, path relative to the first) of the data set and its present subdatasets."""
    from datalad.distribution.dataset import require_dataset

    top: Any = require_dataset(dataset, check_installed=True, purpose=purpose)
    yield top.pathobj, ""
    if recursive:
        found = top.subdatasets(
            state="present", recursive=True, recursion_limit=recursion_limit,
            result_renderer="disabled", return_type="generator",
        )  # fmt: skip
        for record in found:
            path = Path(record["path"])
            yield path, path.relative_to(top.pathobj).as_posix()


def enable(
    path: Path, remote: SpecialRemote, known: Sequence[SpecialRemote],
    parameters: Mapping[str, str], env: Mapping[str, str | None], config: Mapping[str, str],
) -> None:  # fmt: skip
    """Have git-annex enable `remote`, changing `parameters`, and take its location as confirmed.

    Raises
    ------
    ConfigError
        When the name that came in with the clone is none.
    """
    if remote.name.startswith("-") or remote.id.startswith("-"):
        raise ConfigError(f"special remote {remote.id} has the name {remote.name!r}, an option")
    if remote.enabled_as is not None:
        for setting, value in wrong_type_config(path, remote).items():
            remotes.set_config(path, remote.enabled_as, setting, value)
        # Until its change is confirmed, git-annex 10.20261026 goes on with what was recorded before,
        # and enableremote would write just that into the branch again.
        annex.confirm(path, remote.enabled_as)
    # By UUID git-annex 10.20261026 notes `annex-verified` in a section of the UUID's name.
    is_only = [other.name for other in known].count(remote.name) == 1
    annex.enable_remote(path, remote.name if is_only else remote.id, parameters, env=env, config=config)
    annex.confirm(path, remote.enabled_as or remote.name)


def wrong_type_config(path: Path, remote: SpecialRemote) -> dict[str, str | None]:
    """Return what the clone at `path` must note differently of a remote in use, for its type.

    git-annex does not do so by itself when another clone has switched the type.
    """
    own: dict[str, dict[str, str | None]] = {
        "S3": {"annex-s3": "true"},
        "external": {"annex-externaltype": remote.externaltype},
    }
    right = own.get(remote.type)
    if right is None or remote.enabled_as is None:
        return {}
    noted = {name: remotes.get_config(path, remote.enabled_as, name) for name in TYPE_CONFIGS}
    return {name: right.get(name) for name in TYPE_CONFIGS if noted[name] != right.get(name)}


def check_is_annex(path: Path) -> None:
    """Make sure that git-annex has been used here or in a sibling.

    Raises
    ------
    ConfigError
        When it was not, with what to do.
    """
    if not remotes.is_annex(path) and not remotes.has_annex_branch(path):
        raise ConfigError(f"{path} is a git repository without git-annex", remedy=_NO_ANNEX_REMEDY)
    if not annex.is_supported(version := annex.git_annex_version()):
        raise ConfigError(
            f"git-annex {version} is too old for the s3x remote",
            remedy=f"install {annex.OLDEST_SUPPORTED} or newer: pip install --upgrade git-annex",
        )


def bring_up_to_date(path: Path) -> None:
    """Initialise git-annex in a fresh clone, and take over what its siblings know of remotes."""
    check_is_annex(path)
    if not remotes.is_annex(path):
        annex.run_annex(path, "init")
    annex.merge_branch(path)
