"""Threads: started on demand up to a limit; cancelled work does not run."""

import threading
from concurrent.futures import Future, wait

import pytest

from trainingjob_operator.aws.threads import Threads


def test_work_runs_concurrently_up_to_the_size() -> None:
    threads = Threads(3, "test")
    together = threading.Barrier(4)
    first = [threads.submit(lambda: together.wait(10)) for _ in range(3)]
    fourth = threads.submit(threading.get_ident)
    assert not fourth.done()
    together.wait(10)
    idents = [fourth.result(10)] + [threads.submit(threading.get_ident).result(10) for _ in range(20)]
    wait(first, 10)
    assert len(set(idents)) <= 3
    threads.close()


def test_sequential_work_uses_one_thread() -> None:
    threads = Threads(8, "test")
    assert len({threads.submit(threading.get_ident).result(10) for _ in range(50)}) <= 2
    threads.close()


def test_results_and_errors_are_returned() -> None:
    threads = Threads(1, "test")
    assert threads.submit(lambda: 5).result(10) == 5
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(10)
    threads.close()


def test_cancelled_work_does_not_run() -> None:
    threads = Threads(1, "test")
    go = threading.Event()
    ran: list[str] = []
    threads.submit(lambda: go.wait(10))
    unwanted = threads.submit(lambda: ran.append("unwanted"))
    assert unwanted.cancel()
    go.set()
    threads.submit(lambda: ran.append("wanted")).result(10)
    assert ran == ["wanted"]
    threads.close()


def test_after_close_submitted_work_ends_and_new_work_is_rejected() -> None:
    threads = Threads(2, "test")
    go = threading.Event()
    futures: list[Future[bool]] = [threads.submit(lambda: go.wait(10)) for _ in range(5)]
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit(lambda: None)
    go.set()
    assert [future.result(10) for future in futures] == [True] * 5


def test_threads_do_not_keep_the_process_alive() -> None:
    threads = Threads(1, "test")
    assert threads.submit(lambda: threading.current_thread().daemon).result(10)
    threads.close()
