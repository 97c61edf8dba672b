"""Threads for what may never be wanted: a process that ends does not wait for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Semaphore, Thread
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """Up to `most` threads, made when they are needed; work waits when all are busy. Safe in threads.

    Python's own pools are waited for at the end of the process, however long a server is silent.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._idle = Semaphore(0)
        self._lock = Lock()
        self._count = 0

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have `work` done; return what its result will come in."""
        future: Future[T] = Future()
        self._jobs.put((future, work, arguments))
        if not self._idle.acquire(blocking=False):
            with self._lock:
                is_wanted = self._count < self._most
                self._count += is_wanted
            if is_wanted:
                Thread(target=self._serve, name=self._name, daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            _do(*self._jobs.get())
            self._idle.release()


def _do(future: Future[Any], work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work(*arguments)
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        future.set_exception(error)
    else:
        future.set_result(result)
