"""Who verifies what is received from a remote: git-annex afterwards, or s3x while receiving.

git-annex leaves it to s3x when two settings say so, in this clone's git configuration and nowhere
else. They make it take whatever the remote calls received; so s3x's own switch is set before them
and removed after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.repo import remotes

VerifyBy = Literal["git-annex", "s3x"]
CHOICES: tuple[VerifyBy, ...] = ("git-annex", "s3x")

SETTINGS = {
    remotes.VERIFY_CONFIG: "true",
    "annex-verify": "false",
    "annex-security-allow-unverified-downloads": "ACKTHPPT",
}
"""What ``remote.<name>.*`` holds while s3x verifies, in the order in which it is set."""


def check_possible(verify_by: VerifyBy | None, parameters: Mapping[str, str]) -> None:
    """Make sure that a remote with `parameters` can be verified as asked for.

    Raises
    ------
    ConfigError
        When s3x would not see the content that a key names.
    """
    if verify_by != "s3x":
        return
    reason = _obstacle(parameters)
    if reason:
        raise ConfigError(
            f"s3x cannot verify what is received: {reason}",
            remedy="use --verify-by git-annex, the default",
        )


def _obstacle(parameters: Mapping[str, str]) -> str | None:
    if parameters.get("externaltype") != remotes.EXTERNAL_TYPE:
        return "the remote is not of type s3x, git-annex itself receives"
    if parameters.get("encryption", "none") != "none" or "cipher" in parameters:
        return "git-annex decrypts afterwards what s3x receives"
    if parameters.get("chunk", "").strip(" 0"):
        return "git-annex puts together afterwards the chunks that s3x receives"
    if any(parameters.get(name, "no") in {"yes", "true"} for name in ("exporttree", "importtree")):
        return "git-annex verifies in any case what comes from a tree of files"
    return None


def current(repo: Path, name: str) -> VerifyBy | None:
    """Return who verifies what comes from the remote `name`.

    ``None`` when neither is sure to: somebody has set some of the settings by hand.
    """
    found = {setting: remotes.get_config(repo, name, setting) for setting in SETTINGS}
    if found == SETTINGS:
        return "s3x"
    return None if any(found.values()) else "git-annex"


def choose(repo: Path, name: str, verify_by: VerifyBy) -> None:
    """Have `verify_by` verify from now on what this clone receives from the remote `name`."""
    settings = SETTINGS.items() if verify_by == "s3x" else reversed(SETTINGS.items())
    for setting, value in settings:
        remotes.set_config(repo, name, setting, value if verify_by == "s3x" else None)


def commands(name: str, verify_by: VerifyBy) -> list[list[str]]:
    """Return the git commands that `choose` stands for."""
    if verify_by == "s3x":
        return [["git", "config", f"remote.{name}.{key}", value] for key, value in SETTINGS.items()]
    return [["git", "config", "--unset-all", f"remote.{name}.{key}"] for key in reversed(SETTINGS)]


def told(verify_by: VerifyBy) -> str:
    """Say what `verify_by` means, for people."""
    if verify_by == "s3x":
        return "s3x verifies what is received from now on, and git-annex does not"
    return "git-annex verifies what is received from now on"
