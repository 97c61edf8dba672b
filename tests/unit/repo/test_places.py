"""Where our own files are, for users with an odd home."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from datalad_s3ext import places
from datalad_s3ext.errors import LocalError


def test_an_empty_home_is_not_the_root_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    with monkeypatch.context() as patch:
        patch.setenv("HOME", "")
        patch.delenv("S3EXT_SERVER_HOME", raising=False)

        assert places.user_providers() == home / ".config" / "datalad-s3ext" / "providers"
        assert places.server_home() == home / ".local" / "share" / "datalad-s3ext" / "server"


def test_a_user_without_any_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    with monkeypatch.context() as patch:
        patch.setattr(pwd, "getpwuid", nobody)
        patch.setenv("HOME", "")

        with pytest.raises(LocalError, match="set the variable HOME"):
            places.user_providers()
