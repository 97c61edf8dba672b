import pytest

from datalad_s3ext.errors import ConfigError, ObjectTooLarge
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.transfer.plan import Span, cut, part_bytes
from datalad_s3ext.units import GIB, MIB, TIB


@pytest.mark.parametrize(
    ("size", "wanted", "expected"),
    [
        (0, None, 16 * MIB),
        (300 * MIB, None, 16 * MIB),
        (156 * GIB, None, 16 * MIB),
        (1 * TIB, None, 105 * MIB),
        (5 * TIB, None, 525 * MIB),
        (300 * MIB, 5 * MIB, 5 * MIB),
        (300 * MIB, 1 * MIB, 5 * MIB),
        (300 * MIB, 7_000_001, 7_000_001),
        (1 * TIB, 5 * MIB, 105 * MIB),
    ],
)
def test_parts_are_as_wished_but_never_too_many(size: int, wanted: int | None, expected: int) -> None:
    assert part_bytes(size, Upload(), wanted) == expected


@pytest.mark.parametrize("size", [1, 5 * MIB, GIB + 1, 157 * GIB, 5 * TIB])
@pytest.mark.parametrize("max_parts", [1000, 10_000])
def test_no_plan_exceeds_the_number_of_parts(size: int, max_parts: int) -> None:
    limits = Upload(max_parts=max_parts, max_part=10 * GIB)

    assert -(-size // part_bytes(size, limits)) <= max_parts


def test_what_is_too_large_for_the_provider_is_refused_with_a_remedy() -> None:
    with pytest.raises(ObjectTooLarge, match="chunk="):
        part_bytes(5 * TIB + 1, Upload())


def test_a_part_size_above_the_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="partsize"):
        part_bytes(1, Upload(max_part=GIB), 2 * GIB)


@pytest.mark.parametrize(
    ("size", "piece", "start", "expected"),
    [
        (0, 4, 0, []),
        (4, 4, 0, [Span(1, 0, 4)]),
        (5, 4, 0, [Span(1, 0, 4), Span(2, 4, 1)]),
        (9, 4, 6, [Span(1, 6, 3)]),
        (9, 4, 9, []),
    ],
)
def test_cutting_covers_every_byte_once(
    size: int, piece: int, start: int, expected: list[Span]
) -> None:
    assert cut(size, piece, start=start) == expected
