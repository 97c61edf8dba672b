"""What was measured at an endpoint corrects the preset there, and nowhere else."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext import places
from datalad_s3ext.credentials.model import Anonymous
from datalad_s3ext.doctor.saved import save
from datalad_s3ext.errors import ConfigError, IntegrityError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import Connection, resolve
from datalad_s3ext.store.s3 import open_store
from tests.support.raw_server import RawServer, answer

URL = "https://s3.lab.example.org:9000"
HEAD = f'endpoint = "{URL}"\npreset = "other"\nmeasured = "2026-11-22"\n'


@pytest.fixture
def file(user_folder: Path) -> Path:
    path = user_folder.parent / "measured" / "s3.lab.example.org-9000.toml"
    path.parent.mkdir(parents=True)
    return path


def resolved(preset: str = "other", endpoint: str = URL, **given: Any) -> Connection:
    return resolve(load_provider(preset), endpoint=endpoint, environ={}, **given)


def test_what_was_saved_is_in_force(user_folder: Path) -> None:
    measured = {
        "listing.version": 1, "listing.url_encoding": False, "upload.verified_checksums": ["SHA256"],
        "upload.etag_is_md5": False, "capabilities.upload_part_copy": True, "ranges": True,
        "requests.checksum_mode": "when_required", "small_parts": False, "checksums_accepted": [],
    }  # fmt: skip
    path = save(URL, load_provider("other"), "bucket", measured)

    found = resolved()

    assert found.provider.listing.version == 1
    assert found.provider.listing.url_encoding is False
    assert found.provider.upload.verified_checksums == ("SHA256",)
    assert found.provider.upload.etag_is_md5 is False
    assert found.provider.capabilities.upload_part_copy is True
    assert found.measured is not None
    assert found.measured.path == path
    assert set(found.measured.changes) == {
        "listing.version", "listing.url_encoding", "upload.etag_is_md5", "upload.verified_checksums",
        "capabilities.upload_part_copy",
    }  # fmt: skip
    assert "listing.version = 1, listing.url_encoding = false" in found.measured.text


def test_it_is_left_out_where_the_preset_is_asked_for(file: Path) -> None:
    file.write_text(HEAD + "[listing]\nversion = 1\n")

    found = resolved(use_measured=False)

    assert (found.provider.listing.version, found.measured) == (2, None)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://s3.lab.example.org:9000",
        "https://s3.lab.example.org",
        "https://s3-lab.example.org:9000",
    ],
)
def test_another_endpoint_is_not_concerned(file: Path, endpoint: str) -> None:
    for name in (file.name, "s3.lab.example.org.toml", "s3-lab.example.org-9000.toml"):
        file.with_name(name).write_text(HEAD + "[listing]\nversion = 1\n")

    found = resolved(endpoint=endpoint)

    assert (found.provider.listing.version, found.measured) == (2, None)


def test_the_endpoint_of_a_preset_is_meant_too(file: Path) -> None:
    endpoint = resolved("wasabi", endpoint=None).endpoint_url  # type: ignore[arg-type]
    path = places.measured_service(str(endpoint))
    path.write_text(HEAD.replace(URL, str(endpoint)) + "[listing]\nversion = 1\n")

    assert resolve(load_provider("wasabi"), environ={}).provider.listing.version == 1


def test_small_parts_that_are_refused_make_parts_larger(file: Path) -> None:
    file.write_text(HEAD + "[other]\nsmall_parts = false\n")
    plain = resolved("rclone-serve-s3", use_measured=False).provider.upload

    found = resolved("rclone-serve-s3").provider.upload

    assert found.min_part == max(plain.min_part, 5 * 1024 * 1024)


def test_checksums_that_a_library_adds_are_never_switched_on(file: Path) -> None:
    file.write_text(HEAD + '[requests]\nchecksum_mode = "when_supported"\n')

    assert resolved().provider.requests.checksum_mode == "when_required"
    file.write_text(HEAD + '[requests]\nchecksum_mode = "when_required"\n')
    assert resolved("aws").provider.requests.checksum_mode == "when_required"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[requests]\nsignature = 'v2'\n", "requests.signature is not known"),
        ("[requests]\naddressing = 'path'\n", "requests.addressing is not known"),
        ("[requests]\nunsigned_payload = true\n", "requests.unsigned_payload is not known"),
        ("[region]\nsigning = 'x'\n", "region is not known"),
        ("[bucket]\ncreate = true\n", "must be a string"),
        ("[listing]\nversoin = 1\n", "listing.versoin is not known (did you mean version?)"),
        ("[listing]\nversion = 3\n", "listing.version is 3, must be one of 1, 2"),
        ("[listing]\nurl_encoding = 1\n", "listing.url_encoding must be true or false"),
        ("[upload]\nverified_checksums = ['CRC33']\n", "upload.verified_checksums[0] is 'CRC33'"),
        ("[listing\n", "cannot be read"),
    ],
    ids=str,
)
def test_a_file_that_is_wrong_is_told_in_one_line(file: Path, text: str, expected: str) -> None:
    file.write_text(HEAD + text)

    with pytest.raises(ConfigError) as caught:
        resolved()

    said = str(caught.value)
    assert expected in said
    assert str(file) in said
    assert f"rm {file}" in said
    assert "\n" not in said


def test_a_file_that_cannot_be_read_is_an_error(file: Path) -> None:
    file.mkdir()

    with pytest.raises(ConfigError, match="cannot be read"):
        resolved()


def test_without_a_file_nothing_is_imported_for_it(user_folder: Path) -> None:
    code = (
        "import sys\n"
        "from datalad_s3ext.providers.load import load_provider\n"
        "from datalad_s3ext.providers.resolve import resolve\n"
        f"resolve(load_provider('other'), endpoint={URL!r}, environ={{}})\n"
        "print('datalad_s3ext.providers.measured' in sys.modules)\n"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"


@pytest.mark.parametrize("is_measured", [True, False])
def test_who_is_refused_by_what_was_measured_of_another_server_is_told(
    user_folder: Path, is_measured: bool
) -> None:
    other_md5 = answer("200 OK", b"", f'ETag: "{"0" * 32}"')
    with RawServer() as server:
        server.connections = [[other_md5, answer("204 No Content")]]
        field = "upload.etag_is_md5" if is_measured else "listing.version"
        path = save(server.url, load_provider("other"), "b", {field: is_measured or 1})
        where = resolved(endpoint=server.url)
        upload = replace(where.provider.upload, etag_is_md5=True)
        store = open_store(
            replace(where, provider=replace(where.provider, upload=upload)), Anonymous(), "b"
        )

        with pytest.raises(IntegrityError, match="send it again") as refused:
            store.put("a", io.BytesIO(b"x"), 1, md5=hashlib.md5(b"x").digest())

    assert (f"rm {path}" in str(refused.value)) is is_measured
