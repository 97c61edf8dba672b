"""Work in threads that nobody has to wait for."""

from __future__ import annotations

import threading

import pytest

from datalad_s3ext.fs.workers import Workers


def test_all_work_is_done_by_no_more_threads_than_allowed() -> None:
    workers = Workers(3, "some")
    together = threading.Barrier(3)
    names: set[str] = set()

    def work(number: int) -> int:
        if number < 3:
            together.wait(10)
        names.add(str(threading.get_ident()))
        return 2 * number

    jobs = [workers.submit(work, number) for number in range(50)]

    assert [job.result(10) for job in jobs] == list(range(0, 100, 2))
    assert len(names) <= 3


def test_an_error_reaches_who_asked_and_the_thread_goes_on() -> None:
    workers = Workers(1, "one")

    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 // 0).result(10)
    assert workers.submit(int, "7").result(10) == 7


def test_what_is_taken_back_is_not_done() -> None:
    workers = Workers(1, "one")
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def wait() -> None:
        begun.set()
        go_on.wait(10)

    first = workers.submit(wait)
    second, third = workers.submit(done.append, 2), workers.submit(done.append, 3)
    begun.wait(10)
    assert second.cancel()
    go_on.set()
    first.result(10)
    third.result(10)

    assert done == [3]
