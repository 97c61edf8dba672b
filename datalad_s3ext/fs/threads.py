"""The asynchronous half of a file system whose work is done by plain functions, in threads.

fsspec's parallel operations (``cat_ranges``, ``cat`` of many files, Zarr's stores) await it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from fsspec.asyn import AsyncFileSystem, get_loop

from datalad_s3ext.fs.buckets import CONNECTIONS
from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.fs.workers import Workers

T = TypeVar("T")
_THREADS: ProcessWide[None, Workers] = ProcessWide()


class ThreadedFileSystem(AsyncFileSystem):  # type: ignore[misc]
    """Asks its own plain `info`, `ls`, `cat_file` and `get_file` in threads."""

    _pid: int
    _loop: Any

    @property
    def loop(self) -> Any:
        """The loop of fsspec's own thread; a forked process has another one."""
        if self._pid != os.getpid():
            self._loop, self._pid = (None if self.asynchronous else get_loop()), os.getpid()
        return self._loop

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        return await _in_thread(self.info, path, **options)

    async def _exists(self, path: str, **options: Any) -> bool:
        try:
            await self._info(path, **options)
        except (FileNotFoundError, NotADirectoryError):  # below a file there is nothing
            return False
        return True

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        return await _in_thread(self.ls, path, detail, **options)

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        return await _in_thread(self.cat_file, path, start, end, **options)

    async def _get_file(self, rpath: str, lpath: Any, **options: Any) -> None:
        await _in_thread(self.get_file, rpath, lpath, **options)


async def _in_thread(work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    workers = _THREADS.get(None, lambda: Workers(CONNECTIONS, "annex-fs"))
    return await asyncio.wrap_future(workers.submit(partial(work, *arguments, **options)))
