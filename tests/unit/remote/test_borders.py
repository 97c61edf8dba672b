"""Whatever breaks inside, git-annex hears that it failed or is not known: never a yes or a no."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datalad_s3ext.errors import TransientError
from datalad_s3ext.remote.handlers import S3xRemote
from datalad_s3ext.remote.session import Requests
from datalad_s3ext.remote.shared import Shared
from datalad_s3ext.repo.exported import Shortened

KEY = "SHA256-s1--2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
ANSWERS = {
    "INITREMOTE": "INITREMOTE-FAILURE ",
    f"TRANSFER STORE {KEY} f": f"TRANSFER-FAILURE STORE {KEY} ",
    f"TRANSFER RETRIEVE {KEY} f": f"TRANSFER-FAILURE RETRIEVE {KEY} ",
    f"CHECKPRESENT {KEY}": f"CHECKPRESENT-UNKNOWN {KEY} ",
    f"REMOVE {KEY}": f"REMOVE-FAILURE {KEY} ",
    f"TRANSFEREXPORT STORE {KEY} f": f"TRANSFER-FAILURE STORE {KEY} ",
    f"TRANSFEREXPORT RETRIEVE {KEY} f": f"TRANSFER-FAILURE RETRIEVE {KEY} ",
    f"CHECKPRESENTEXPORT {KEY}": f"CHECKPRESENT-UNKNOWN {KEY} ",
    f"REMOVEEXPORT {KEY}": f"REMOVE-FAILURE {KEY} ",
    f"RENAMEEXPORT {KEY} new": f"RENAMEEXPORT-FAILURE {KEY}",
}
FAULTS = [
    RuntimeError("two\nlines"), KeyError("ContentLength"), TypeError("x"), OSError(5, "I/O"),
    MemoryError(), TransientError("no answer"),
]  # fmt: skip


class Broken(S3xRemote):
    """Fails as soon as it needs the store."""

    def __init__(self, fault: Exception) -> None:
        said = {"bucket": "b", "endpoint": "http://127.0.0.1:1"}
        protocol = SimpleNamespace(extensions=[])
        annex: Any = SimpleNamespace(
            protocol=protocol, getconfig=lambda name: said.get(name, ""), getuuid=lambda: "uuid",
            getgitdir=lambda: ".git", debug=lambda _: None, info=lambda _: None,
        )  # fmt: skip
        super().__init__(annex, Shared())
        self._shared.verifies = False
        self.fault = fault

    def _open(self, **_: object) -> Any:
        raise self.fault

    def _shortened(self) -> Shortened:
        return Shortened()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize(("request_line", "expected"), ANSWERS.items(), ids=lambda text: text[:20])
def test_an_error_is_never_an_answer(
    request_line: str, expected: str, fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_bytes(b"x")
    requests = Requests(Broken(fault), [])
    requests.command("EXPORT name")

    answer = requests.command(request_line)

    assert answer is not None
    assert answer.startswith(expected)
    assert "\n" not in answer
