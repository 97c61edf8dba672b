import pytest

from datalad_s3ext.repo.keys import parse_key


@pytest.mark.parametrize(
    ("text", "stored_bytes"),
    [
        ("SHA256E-s2500000--bcf4a1.dat", 2500000),
        ("SHA256E-s0--e3b0c4", 0),
        ("MD5-s7--d41d8cd9-s99--x", 7),
        ("SHA256E-s2500000-S1048576-C1--bcf4a1.dat", 1048576),
        ("SHA256E-s2500000-S1048576-C3--bcf4a1.dat", 402848),
        ("SHA256E-s2097152-S1048576-C2--bcf4a1.dat", 1048576),
        ("SHA256E-s10-S1048576-C2--bcf4a1.dat", 0),
        ("WORM-s3-m1700000000--a b-s5", 3),
        ("GPGHMACSHA1--0123456789abcdef", None),
        ("GITMANIFEST--a1b2-c3", None),
        ("GITBUNDLE-s1234--uuid-sha", 1234),
        ("URL--http&c%%example.org", None),
        ("XYZ-sabc--name", None),
        ("no key at all", None),
        ("", None),
    ],
)
def test_size_of_the_object_is_read_from_the_key(text: str, stored_bytes: int | None) -> None:
    assert parse_key(text).stored_bytes == stored_bytes


def test_all_fields_of_a_key() -> None:
    key = parse_key("SHA256E-s2500000-m12-S1048576-C2--ab--cd.tar.gz")

    assert (key.backend, key.name) == ("SHA256E", "ab--cd.tar.gz")
    assert (key.size_bytes, key.chunk_bytes, key.chunk_number) == (2500000, 1048576, 2)
