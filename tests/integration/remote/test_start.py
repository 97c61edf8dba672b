"""What a start costs: git-annex starts the remote with each command."""

from __future__ import annotations

from pathlib import Path

from tests.integration.remote.test_requests import key_of, started
from tests.support.fake_annex import FakeAnnex
from tests.support.servers import Endpoint

SLOW = {
    "boto3", "email.utils", "encodings.idna", "difflib", "http.client", "ssl", "urllib.request",
    "xml.etree.ElementTree", "xml.sax.saxutils",
}  # fmt: skip
"""Modules that took a tenth to a third of the start, and that plain http has no use for."""
LATER = {
    "botocore", "concurrent.futures", "datalad_s3ext.credentials", "datalad_s3ext.store.base",
    "datalad_s3ext.transfer", "hashlib", "json", "secrets", "socket", "tomllib",
}  # fmt: skip
"""Modules that are not needed before the first request that asks the server."""
FOR_OTHERS = {
    "datalad_s3ext.remote.customer_key", "datalad_s3ext.transfer.copy", "datalad_s3ext.transfer.download",
    "datalad_s3ext.transfer.parted",
}  # fmt: skip
"""Modules that a small file on its way to the server has no use for."""


def imported(log: Path) -> set[str]:
    """Return the modules that a process with PYTHONPROFILEIMPORTTIME has imported."""
    return {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}


def test_nothing_that_asks_the_server_is_imported_before(tmp_path: Path) -> None:
    log, config = tmp_path / "imported", {"provider": "aws", "bucket": "bucket", "encryption": "none"}
    profile = {"PYTHONPROFILEIMPORTTIME": "1"}

    with FakeAnnex(config, cwd=tmp_path, env=profile, stderr=log) as annex:
        annex.start()
        annex.send("LISTCONFIGS")
        while annex.receive() != "CONFIGEND":
            pass
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"

    assert "datalad_s3ext.remote.handlers" in imported(log)
    assert sorted((LATER | FOR_OTHERS | SLOW) & imported(log)) == []


def test_a_file_goes_and_comes_without_what_imports_slowly(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    content = b"small"
    key = key_of(content)
    (tmp_path / "in").write_bytes(content)
    with started(seaweed, new_bucket, tmp_path) as first:
        first.start()
        assert first.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
    keys = {
        "AWS_ACCESS_KEY_ID": seaweed.access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_access_key,
        "PYTHONPROFILEIMPORTTIME": "1",
        "GIT_TRACE": str(tmp_path / "git"),
    }
    log = tmp_path / "imported"

    with FakeAnnex(first.config, cwd=tmp_path, env=keys, stderr=log) as annex:
        annex.start()
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
        assert annex.ask(f"TRANSFER STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
        assert sorted(FOR_OTHERS & imported(log)) == []
        # for all choices, and for consent to the endpoint, which no preset vouches for
        assert (tmp_path / "git").read_text().count("built-in: git ") == 2
        assert annex.ask(f"TRANSFER RETRIEVE {key} out") == f"TRANSFER-SUCCESS RETRIEVE {key}"

    assert "datalad_s3ext.store.lean_http" in imported(log)
    assert sorted(SLOW & imported(log)) == []
