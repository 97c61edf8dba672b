from pathlib import Path

import pytest

from datalad_s3ext.errors import LocalError
from datalad_s3ext.transfer.aside import written_aside


def only(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / ("k" * 255)
    with written_aside(path) as aside:
        aside.write_text("content")
        assert not path.exists()

    assert path.read_text() == "content"
    assert len(only(tmp_path)) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_beginning_is_gone_on_with(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "f"
    path.write_text("be")

    def fail() -> None:
        with written_aside(path) as aside:
            assert aside.read_text() == "be"
            aside.write_text("begin")
            raise error

    with pytest.raises(error):
        fail()
    assert only(tmp_path) == ["f"]
    assert path.read_text() == "begin"


def test_what_a_killed_process_left_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "f"
    killed = written_aside(path)
    killed.__enter__().write_text("begin")

    with written_aside(path) as aside:
        assert aside.read_text() == "begin"

    assert path.read_text() == "begin"
    killed.gen.close()  # type: ignore[attr-defined]


def test_nothing_written_is_no_file(tmp_path: Path) -> None:
    with written_aside(tmp_path / "f"):
        pass

    assert only(tmp_path) == []


def test_a_folder_in_the_way_is_a_local_error(tmp_path: Path) -> None:
    aside_writer = written_aside(tmp_path / "f")
    aside_writer.__enter__().touch()
    (tmp_path / "f").mkdir()

    with pytest.raises(LocalError, match="cannot rename"):
        aside_writer.__exit__(None, None, None)
