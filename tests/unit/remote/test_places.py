"""With whose keys a process asks, and for how long it goes without."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from datalad_s3ext.errors import AccessDenied, S3xError
from datalad_s3ext.remote.place import WITHOUT_KEYS_S, Place, Places


class World:
    """A bucket that everybody can read, and keys that are refused for a while; counts openings."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.refused = True
        self.with_keys = 0
        self.places = Places(lambda: self.now)

    def open(self, anonymous: bool) -> Any:
        self.with_keys += not anonymous

        def confirm(_: str) -> bool:
            if self.refused:
                raise AccessDenied("no")
            return True

        return SimpleNamespace(anonymous=anonymous, confirm=confirm, is_readable_by_all=lambda _: True)

    def is_anonymous(self, asked: Callable[..., Place] | None = None) -> bool:
        place: Any = (asked or self.places.for_reading)(self.open, "uuid")
        return bool(place.anonymous)


@pytest.fixture
def world() -> World:
    return World()


def test_keys_are_not_tried_again_while_all_goes_well_without(world: World) -> None:
    for _ in range(3):
        assert world.is_anonymous()
        world.now += WITHOUT_KEYS_S / 4

    assert world.with_keys == 1


def test_after_a_while_they_are(world: World) -> None:
    assert world.is_anonymous()
    world.refused = False
    world.now += WITHOUT_KEYS_S + 1

    assert not world.is_anonymous()


def test_a_refusal_without_keys_has_them_tried_again_at_once(world: World) -> None:
    assert world.is_anonymous()
    world.refused = False
    world.places.note_refusal()

    assert not world.is_anonymous()


def test_but_not_again_and_again_where_they_are_of_no_use(world: World) -> None:
    for _ in range(1000):
        assert world.is_anonymous()
        world.places.note_refusal()
        world.now += 0.1

    assert 5 < world.with_keys < 12


def test_a_refusal_of_one_thing_is_no_reason_to_open_anew_with_keys(world: World) -> None:
    world.refused = False
    for _ in range(3):
        assert not world.is_anonymous()
        world.places.note_refusal()

    assert world.with_keys == 1


def test_writing_never_goes_without_keys(world: World) -> None:
    assert world.is_anonymous()

    with pytest.raises(S3xError):
        world.is_anonymous(world.places.for_writing)
