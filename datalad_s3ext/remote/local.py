"""What only this clone's own git config may say about a remote.

The parameters of a special remote come in with a clone and are somebody else's text. Whose keys are
used, and how carefully, is decided here, by the user of this clone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "s3x-"
Signature = Literal["v4", "v2"]
V4: Signature = "v4"
V2: Signature = "v2"
_TRUE = frozenset({"true", "1", "yes", "on"})


@dataclass(frozen=True)
class LocalChoices:
    """The ``remote.<name>.s3x-*`` values of the local git config."""

    profile: str | None = None
    """``s3x-profile``: the AWS profile to use."""
    anonymous: bool = False
    """``s3x-anonymous``: send no credentials."""
    signature: Signature | None = None
    """``s3x-signature``: v2 only counts from here."""


def read_choices(remote_name: str) -> LocalChoices:
    """Ask git for the values of the remote `remote_name` in the repository of the working directory."""
    values = _git_config(f"remote.{remote_name}.{PREFIX}")
    return LocalChoices(
        profile=values.get("profile"),
        anonymous=values.get("anonymous", "false").lower() in _TRUE,
        signature={"v2": V2, "v4": V4}.get(values.get("signature", "")),
    )


def _git_config(prefix: str) -> Mapping[str, str]:
    found = subprocess.run(
        ["git", "config", "-z", "--get-regexp", r"^remote\..*\." + PREFIX],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    pairs = (entry.partition("\n") for entry in found.stdout.split("\0") if entry)
    # a name without "=" is git's short form of true
    return {
        name.removeprefix(prefix): value if equals else "true"
        for name, equals, value in pairs
        if name.startswith(prefix)
    }
