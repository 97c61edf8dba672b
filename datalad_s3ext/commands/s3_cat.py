"""``datalad s3-cat``: the bytes of a file to standard output, wherever they are."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from datalad.distribution.dataset import Dataset, datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._records import lgr
from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.units import MIB

ACTION = "s3_cat"
PIECE_BYTES = 4 * MIB
_RANGE = re.compile(r"(\d*)-(\d*)")


def _render(res: dict[str, Any], **_: object) -> None:
    """Show a person what has failed, the way DataLad does, but apart from the bytes of the file."""
    sys.stderr.write(
        f"{res['action']}({res['status']}): {res['path']} ({res['type']}) [{res['message']}]\n"
    )


@build_doc
class S3Cat(Interface):
    """Write a file, or a part of it, to standard output, without downloading the rest.

    The content may be here, in an S3 sibling, or on the web. Nothing is stored in the dataset. What has
    failed is told on standard error.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(_render)

    _params_: ClassVar[dict[str, Parameter]] = {
        "path": Parameter(args=("path",), metavar="PATH", doc="""file of a dataset"""),
        "range": Parameter(
            args=("--range",),
            metavar="A-B",
            doc="""bytes to write, counted from 0, both ends included, as in HTTP: 0-99 is the first
            hundred, 100- all behind them, -100 the last hundred""",
        ),
        "ref": Parameter(
            args=("--ref",),
            metavar="REF",
            doc="""commit, tag or branch that has the file; by default what is checked out""",
        ),
        "source": Parameter(
            args=("--from",),
            dest="source",
            metavar="NAME",
            doc="""read from this sibling only""",
        ),
        "profile": _options.PROFILE,
        "anonymous": _options.ANONYMOUS,
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "The first lines of a large table",
            "code_py": "s3_cat('data/table.csv', range='0-4095')",
            "code_cmd": "datalad s3-cat data/table.csv --range 0-4095 | head",
        },
        {
            "text": "A file of a release",
            "code_py": "s3_cat('README.md', ref='v1.0')",
            "code_cmd": "datalad s3-cat README.md --ref v1.0",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_cat")
    @eval_results
    def __call__(
        path: str,
        *,
        range: str | None = None,
        ref: str | None = None,
        source: str | None = None,
        profile: str | None = None,
        anonymous: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Write one file."""
        file = _absolute(path, dataset)
        options = {"profile": profile, "anon": anonymous or None, "remote": source}
        known = {name: value for name, value in options.items() if value is not None}
        try:
            _write(file, _given(dataset), ref or "HEAD", range, known)
        except BrokenPipeError:
            _leave_the_pipe()  # `| head` has had enough
        except S3xError as exc:
            yield _error(file, str(exc))
        except FileNotFoundError as exc:
            yield _error(file, f"there is no such file: it {exc.strerror}")
        except (IsADirectoryError, NotADirectoryError):
            yield _error(file, "is a folder, not a file")


def _absolute(path: str, dataset: object) -> Path:
    """Return the file; a relative path is one from here, or within a dataset given as an object."""
    top = dataset.pathobj if isinstance(dataset, Dataset) else Path()
    return Path(os.path.abspath(top / path))


def _given(dataset: object) -> Path | None:
    """Return the data set that was named, if any."""
    if isinstance(dataset, Dataset):
        return Path(dataset.pathobj)
    if dataset is not None:
        return Path(os.path.abspath(str(dataset)))
    return None


def _write(
    file: Path, given: Path | None, ref: str, asked: str | None, options: Mapping[str, object]
) -> None:
    from datalad_s3ext.fs.dataset import find_top
    from datalad_s3ext.fs.filesystem import AnnexFileSystem

    top = find_top(given) if given is not None else find_top(file, is_file=True)
    if not file.is_relative_to(top):
        raise ConfigError(f"{file} lies not in the dataset {top}")
    files = AnnexFileSystem(repo=str(top), ref=ref, **options)
    name = file.relative_to(top).as_posix()
    output = sys.stdout.buffer
    if asked is not None:
        size = files.reader(name).size_bytes
        start, end = span(asked, size)
        for begin in range(start, end, PIECE_BYTES):
            _put(output, files.cat_file(name, begin, min(begin + PIECE_BYTES, end)))
    else:
        with files.open(name, "rb") as source:
            while data := source.read(PIECE_BYTES):
                _put(output, data)
    output.flush()


def _put(output: BinaryIO, data: bytes) -> None:
    """Write all of `data`; with PYTHONUNBUFFERED, `write` alone may stop before."""
    left = memoryview(data)
    while left:
        left = left[output.write(left) :]


def span(asked: str, size_bytes: int) -> tuple[int, int]:
    """Return the offsets (first, behind the last) that ``A-B`` means in a file of `size_bytes`.

    Raises
    ------
    ConfigError
        When it has no such form, or begins behind the end of the file.
    """
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()):
        raise ConfigError(f"--range {asked!r} is none", remedy="write it like 0-99, 100- or -100")
    first, last = found.groups()
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= size_bytes or (last and int(last) < start):
        raise ConfigError(f"--range {asked} lies not in the file, which has {size_bytes} bytes")
    return start, end


def _leave_the_pipe() -> None:
    """Have nothing written to it any more, not even by Python at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _error(file: Path, message: str) -> dict[str, Any]:
    record: dict[str, Any] = get_status_dict(
        action=ACTION, path=str(file), type="file", status="error", message=message, logger=lgr
    )
    return record
