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
    }
    log = tmp_path / "imported"

    with FakeAnnex(first.config, cwd=tmp_path, env=keys, stderr=log) as annex:
        annex.start()
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
        assert annex.ask(f"TRANSFER STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
        assert annex.ask(f"TRANSFER RETRIEVE {key} out") == f"TRANSFER-SUCCESS RETRIEVE {key}"

    imported = {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}
    assert "datalad_s3ext.store.lean_http" in imported
    assert sorted(SLOW & imported) == []
