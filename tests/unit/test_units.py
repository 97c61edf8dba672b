import pytest

from datalad_s3ext.errors import ConfigError, S3xError, TransientError
from datalad_s3ext.units import human_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("8MiB", 8388608), ("8 MB", 8000000), ("1.5k", 1500), ("2 gib", 2147483648)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "8 parsec", "8MiBx", "1e6"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="partsize="):
        parse_size(text, setting="partsize")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1610612736, "1.5 GiB"), (2**50, "1024.0 TiB")],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert human_size(size) == text


def test_an_error_is_one_line_with_cause_remedy_and_request_id() -> None:
    error = S3xError("it\nbroke ", remedy="mend\r\nit", request_id="AB12")

    assert str(error) == "it broke; mend it (request id AB12)"


def test_only_transient_errors_are_worth_retrying() -> None:
    assert TransientError("x", retry_after_s=2.0).retryable
    assert not S3xError("x").retryable
