"""What shows that a server has the content of a remote, and for how long it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pytest

from datalad_s3ext.errors import AccessDenied, ConfigError, S3xError, Unsupported
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.public import SURE_S, Proof, PublicUrl, exported_files, public_url
from datalad_s3ext.store.base import ObjectInfo, RangeReader
from datalad_s3ext.store.below_url import BelowUrl
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.web import AddressPolicy

URL = "https://data.example.org/b"
FILES = (("p/a", 3), ("p/b", 5))


class Closed(MemoryStore):
    """Refuses what it has not, as services do to those who may not list."""

    def get(self, name: str, **how: object) -> RangeReader:
        raise AccessDenied("no")

    def head(self, name: str) -> ObjectInfo:
        raise AccessDenied("no")


def store_with(store: MemoryStore, objects: dict[str, bytes]) -> MemoryStore:
    for name, content in objects.items():
        store.put(name, BytesIO(content), len(content))
    return store


def tree(files: Sequence[tuple[str, int]]) -> Proof:
    return Proof(Layout("p/"), None, lambda: files)


@pytest.mark.parametrize(
    ("objects", "answer"),
    [
        ({"p/a": b"abc"}, True),
        ({"p/b": b"abcde"}, True),
        ({"p/a": b"abcd", "p/b": b"a page"}, False),
        ({}, False),
    ],
)
def test_one_file_of_a_tree_with_its_size_is_enough(objects: dict[str, bytes], answer: bool) -> None:
    store = store_with(MemoryStore(), objects)

    assert tree(FILES).is_shown_by(store) is answer


def test_a_refusal_shows_nothing() -> None:
    with pytest.raises(AccessDenied):
        tree(FILES).is_shown_by(Closed())


def test_where_nothing_is_known_content_is_read_but_nothing_is_called_present_or_absent() -> None:
    store = MemoryStore()
    place = PublicUrl(URL, store, tree(()))

    place.check_reading()
    with pytest.raises(ConfigError, match="not asked what is there"):
        place.check_asking()


def test_a_server_has_to_show_anew_what_it_is() -> None:
    now = [1000.0]
    store = store_with(MemoryStore(), {"p/annex-uuid": b"uuid\n"})
    place = PublicUrl(URL, store, Proof(Layout("p/"), "uuid", tuple), lambda: now[0])
    place.check_asking()
    store.delete("p/annex-uuid")

    place.check_asking()
    now[0] += SURE_S
    with pytest.raises(ConfigError, match=f"{URL}/p/ does not show"):
        place.check_asking()


def test_files_that_tell_nothing_are_not_looked_for() -> None:
    names = {"SHA256--x": "no size", "SHA256-s0--x": "empty", "SHA256-s30--x": "../up"}
    sized = {f"SHA256-s{number}--x": f"{number}" for number in range(1, 10)}

    found = exported_files({**names, **sized}, Layout("p/"))

    assert found == [("p/1", 1), ("p/2", 2), ("p/3", 3), ("p/4", 4), ("p/5", 5)]


@pytest.mark.parametrize(
    ("url", "importtree", "found"),
    [
        (URL, False, URL),
        ("HTTP://data.example.org", False, "HTTP://data.example.org"),
        (URL, True, None),
        ("file:///etc", False, None),
        ("s3://bucket", False, None),
        ("data.example.org", False, None),
        ("", False, None),
        (None, False, None),
    ],
)
def test_only_the_web_is_read(url: str | None, importtree: bool, found: str | None) -> None:
    assert public_url(url, importtree=importtree) == found


def test_names_become_paths() -> None:
    store = BelowUrl("https://h/x/", "b", RetryPolicy(), AddressPolicy(), 1)

    assert store.url_of("p/ü 1%?#+.dat") == "https://h/x/p/%C3%BC%201%25%3F%23%2B.dat"
    with pytest.raises(S3xError):
        store.put("x", BytesIO(b""), 0)
    with pytest.raises(Unsupported):
        store.delete("x")
