"""What tells contents apart, and the keys they get."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.repo.content_ids import (
    content_id,
    content_ids_of,
    digests_from_server,
    key_of_digests,
    upload_facts,
    version_in,
)
from datalad_s3ext.repo.known_keys import contradicts, is_content_of
from datalad_s3ext.store.base import CUSTOMER, ObjectInfo

MD5 = "900150983cd24fb0d6963f7d28e17f72"
KNOWN = Upload(etag_is_md5=True, multipart_etag_is_md5_of_md5s=True)
UNKNOWN = Upload()
INFO = ObjectInfo("p/f", 3, MD5)


def test_each_name_and_each_content_has_an_identifier_of_its_own() -> None:
    others = [replace(INFO, name="p/g"), replace(INFO, size_bytes=4), replace(INFO, etag="x")]

    assert len({content_id(info) for info in [INFO, *others]}) == 4


def test_identifiers_of_former_versions_count_where_the_etag_comes_from_the_content() -> None:
    parts = replace(INFO, etag=f"{MD5}-2")

    assert content_ids_of(INFO, KNOWN) == {content_id(INFO), f"etag={MD5} size=3"}
    assert content_ids_of(parts, KNOWN) == {content_id(parts), f"etag={MD5}-2 size=3"}
    assert content_ids_of(parts, Upload(etag_is_md5=True)) == {content_id(parts)}
    assert content_ids_of(INFO, UNKNOWN) == {content_id(INFO)}
    versioned = replace(INFO, version_id="1")
    assert content_ids_of(versioned, KNOWN) == {content_id(versioned)}


def test_a_version_is_told_from_all_others() -> None:
    first, second = (content_id(replace(INFO, version_id=version)) for version in ("1", "2"))

    assert first != second
    assert (version_in(first), version_in(content_id(INFO))) == ("1", None)


def test_a_checksum_counts_only_when_it_is_one_of_the_whole_object() -> None:
    sha256 = hashlib.sha256(b"abc").digest()

    assert digests_from_server(INFO, KNOWN) == {"MD5": MD5}
    assert digests_from_server(INFO, UNKNOWN) == {}
    assert digests_from_server(replace(INFO, encryption="aws:kms"), KNOWN) == {}
    assert digests_from_server(replace(INFO, encryption=CUSTOMER), KNOWN) == {}
    assert digests_from_server(replace(INFO, etag=f"{MD5}-1"), KNOWN) == {}
    assert digests_from_server(replace(INFO, sha256=sha256), UNKNOWN) == {"SHA256": sha256.hex()}
    both = digests_from_server(replace(INFO, sha256=sha256), KNOWN)
    assert key_of_digests(3, both) == f"SHA256-s3--{sha256.hex()}"
    assert key_of_digests(3, {"MD5": MD5}) == f"MD5-s3--{MD5}"
    assert key_of_digests(3, {}) is None


def test_where_it_depends_on_the_encryption_the_answer_tells() -> None:
    """As at Amazon, but for its directory buckets, whose ETags are random."""
    amazon = Upload(etag_is_md5_unless_kms=True)

    assert digests_from_server(replace(INFO, encryption="AES256"), amazon) == {"MD5": MD5}
    assert digests_from_server(replace(INFO, encryption="aws:kms:dsse"), amazon) == {}
    assert digests_from_server(INFO, upload_facts(amazon, "lab")) == {"MD5": MD5}
    assert digests_from_server(INFO, upload_facts(amazon, "lab--use1-az4--x-s3")) == {}


def test_what_the_server_tells_can_contradict_a_key() -> None:
    digests = {"MD5": MD5}

    assert contradicts(f"MD5E-s4--{MD5}.txt", 3, digests)
    assert contradicts(f"MD5E-s3--{MD5[::-1]}.txt", 3, digests)
    assert contradicts("SHA256-s4--ab", 3, {})
    for key in (f"MD5E-s3--{MD5}.txt", f"MD5--{MD5}", "SHA256E-s3--ab.txt", "GIT--0123"):
        assert not contradicts(key, 3, digests), key


def test_a_known_key_is_taken_only_for_the_very_content() -> None:
    digests = {"MD5": MD5}

    assert is_content_of(f"MD5E-s3--{MD5}.nii.gz", 3, digests)
    assert is_content_of(f"MD5-s3--{MD5}", 3, digests)
    assert not is_content_of(f"MD5-s4--{MD5}", 3, digests)
    assert not is_content_of(f"MD5-s3--{MD5[::-1]}", 3, digests)
    assert not is_content_of("SHA256E-s3--ab.txt", 3, digests)
    assert not is_content_of("WORM-s3-m1--f", 3, digests)
