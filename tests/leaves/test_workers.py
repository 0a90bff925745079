import ctypes
import math
import multiprocessing
import os
import signal
import time
from concurrent.futures import Future
from pickle import PicklingError

import pytest

from oddpair import workers
from oddpair.workers import NOWHERE, WorkerDied, Workers, note_done, note_position


def die(number, before="pass"):
    return f"import os, time; {before}; os.kill(os.getpid(), {int(number)}); time.sleep(60)"


def test_calls_run_in_other_processes_and_give_their_results():
    with Workers(2) as pool:
        futures = [pool.submit(math.comb, 6, k) for k in range(4)]
        pids = {pool.submit(os.getpid).result() for _ in range(6)}
    assert [future.result() for future in futures] == [1, 6, 15, 20]
    assert os.getpid() not in pids
    assert len(pids) <= 2
    assert multiprocessing.active_children() == []


def test_an_error_arrives_as_itself_and_says_where_it_was_raised():
    with Workers(1) as pool:
        future = pool.submit(exec, "def deep(): 1 / 0\ndeep()")
        with pytest.raises(ZeroDivisionError) as caught:
            future.result()
    (note,) = caught.value.__notes__
    assert note.startswith("in a worker process:\nTraceback")
    assert "in deep" in note


@pytest.mark.parametrize(
    ("number", "has_crashed"),
    [
        (signal.SIGSEGV, True),
        (signal.SIGBUS, True),
        (signal.SIGILL, True),
        (signal.SIGFPE, True),
        (signal.SIGABRT, True),
        (signal.SIGKILL, False),
        (signal.SIGTERM, False),
    ],
)
def test_a_death_tells_signal_and_position_and_the_other_calls_go_on(number, has_crashed):
    noting = "from oddpair.workers import note_position; note_position(41); note_position(42)"
    with Workers(1) as pool:
        before = pool.submit(os.getpid)
        death = pool.submit(exec, die(number, noting))
        after = pool.submit(os.getpid)
        with pytest.raises(WorkerDied) as caught:
            death.result()
    assert caught.value.exit_code == -number
    assert caught.value.position == 42
    assert caught.value.has_crashed is has_crashed
    assert before.result() != after.result()


def test_a_position_belongs_to_one_call():
    with Workers(1) as pool:
        pool.submit(note_position, 5).result()
        future = pool.submit(exec, die(signal.SIGSEGV))
        with pytest.raises(WorkerDied) as caught:
            future.result()
    assert caught.value.position == NOWHERE


def test_noting_a_position_outside_a_worker_does_nothing(monkeypatch):
    note_position(3)
    note_done(3)
    cell = ctypes.c_longlong(NOWHERE)
    monkeypatch.setattr(workers, "_position", cell)
    note_position(3)
    assert cell.value == 3


def test_items_that_are_done_show_as_life_and_take_no_blame(monkeypatch):
    cell = ctypes.c_longlong(NOWHERE)
    monkeypatch.setattr(workers, "_position", cell)
    values = []
    for position in range(4):
        note_done(position)
        values.append(cell.value)
    assert len({NOWHERE, *values}) == 5
    assert max(values) < NOWHERE
    with Workers(1) as pool:
        future = pool.submit(exec, die(signal.SIGSEGV, "from oddpair.workers import note_done; note_done(6)"))
        with pytest.raises(WorkerDied) as caught:
            future.result()
    assert caught.value.position == NOWHERE


def test_an_exit_code_is_no_crash():
    with Workers(1) as pool:
        future = pool.submit(os._exit, 3)
        with pytest.raises(WorkerDied, match="exit code 3 at position -1") as caught:
            future.result()
    assert caught.value.exit_code == 3
    assert not caught.value.has_crashed


@pytest.mark.parametrize(
    "call", [(lambda: 1,), (eval, "lambda: 1"), (exec, "class Odd(Exception): pass\nraise Odd")],
    ids=["function", "result", "error"],
)  # fmt: skip
def test_what_cannot_be_pickled_is_an_error_of_its_call_alone(call):
    with Workers(1) as pool:
        future = pool.submit(*call)
        after = pool.submit(math.sqrt, 4)
        with pytest.raises((PicklingError, AttributeError), match="pickle"):
            future.result()
        assert after.result() == 2


def test_an_error_that_cannot_be_pickled_still_says_what_it_was():
    with Workers(1) as pool:
        future = pool.submit(exec, "class Odd(Exception): pass\nraise Odd('seven')")
        with pytest.raises((PicklingError, AttributeError)) as caught:
            future.result()
    assert any("Odd: seven" in note for note in caught.value.__notes__)


def test_an_end_of_file_in_a_job_is_no_death():
    with Workers(1) as pool:
        future = pool.submit(exec, "raise EOFError('no more frames')")
        with pytest.raises(EOFError, match="no more frames"):
            future.result()


def test_a_block_that_fails_kills_its_workers_and_cancels_the_rest():
    futures: list[Future[None]] = []

    def fail():
        with Workers(2) as pool:
            futures.extend(pool.submit(time.sleep, 60) for _ in range(5))
            while not multiprocessing.active_children():
                time.sleep(0.01)
            raise KeyError

    start = time.monotonic()
    with pytest.raises(KeyError):
        fail()
    assert time.monotonic() - start < 20
    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) >= 3
    assert multiprocessing.active_children() == []


def test_a_stopped_worker_is_killed_too():
    pool = Workers(1)
    os.kill(pool.submit(os.getpid).result(), signal.SIGSTOP)
    pool.kill()
    assert multiprocessing.active_children() == []


def test_a_pool_that_is_shut_takes_no_calls():
    pool = Workers(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(abs, -1)
