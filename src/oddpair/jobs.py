"""The map over shards: one function, many jobs, results in job order for any number of workers."""

import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from oddpair.errors import Refusal
from oddpair.progress import Progress, track

Job = TypeVar("Job")
Result = TypeVar("Result")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_PR_SET_PDEATHSIG = 1
_SECONDS_BETWEEN_LOOKS = 1.0


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    title: str,
    unit: str = "shards",
    size: Callable[[Job], int] | None = None,
    timeout: float = 600.0,
    watch: Callable[[], int] | None = None,
) -> list[Result]:
    """Call ``function`` on every job, one thread of arithmetic each, and return the results in job order.

    One worker is this process. More are fresh processes that die with it, so ``function``, jobs and
    results must be picklable, and a job must be idempotent: after a fault it runs again. An error of
    a job stops the others at once and is raised here.

    Args:
        function: Work of one job, defined at the top level of a module.
        jobs: What to call it on; none at all is no work.
        workers: Processes, 1 or more.
        title: What is done, for the progress line.
        unit: Name of what is counted, in the plural.
        size: Units in one job, 1 each by default.
        timeout: Seconds without any result, or any unit that ``watch`` tells, after which the workers count
            as hung (not for one worker).
        watch: Says how many units are done by now, for jobs so long that their ends are too rare to show.

    Returns:
        One result per job.

    Raises:
        Refusal: If a worker dies or hangs, or a job refuses.
        ValueError: If ``workers`` is below 1.

    >>> run_jobs(abs, [-3, 2], workers=1, title="taking sizes")
    [3, 2]
    """
    if workers < 1:
        raise ValueError(f"found {workers} workers, needed 1 or more")
    if not jobs:
        return []
    sizes = [1 if size is None else size(job) for job in jobs]
    with track(title, sum(sizes), unit) as progress:
        if workers == 1:
            return list(_run_here(function, jobs, sizes, progress))
        return _run_in_pool(function, jobs, sizes, progress, min(workers, len(jobs)), timeout, watch)


def _run_here(
    function: Callable[[Job], Result], jobs: Sequence[Job], sizes: list[int], progress: Progress
) -> Iterator[Result]:
    # The same thread count as in a worker: sums of floats depend on it.
    with _one_thread():
        for job, n_units in zip(jobs, sizes, strict=True):
            yield function(job)
            progress.advance(n_units)


def _run_in_pool(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    sizes: list[int],
    progress: Progress,
    workers: int,
    timeout: float,
    watch: Callable[[], int] | None,
) -> list[Result]:
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(os.getpid(),),
    )
    finished: queue.SimpleQueue[Future[Result]] = queue.SimpleQueue()
    n_left = len(jobs)
    try:
        with _environment_of_workers():
            futures = [pool.submit(function, job) for job in jobs]
        units = dict(zip(futures, sizes, strict=True))
        for future in futures:
            future.add_done_callback(finished.put)
        while n_left:
            future = _wait(finished, progress, timeout, watch)
            future.result()
            if watch is None:
                progress.advance(units[future])
            n_left -= 1
        progress.advance(sum(sizes) - progress.done)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise Refusal(
            f"{progress.title}: a worker process was killed with {n_left} of {len(jobs)} jobs left, "
            "perhaps for want of memory: run again with fewer workers, finished jobs are kept"
        ) from error
    except queue.Empty:
        raise Refusal(
            f"{progress.title}: no job ended for {timeout:g} s with {n_left} of {len(jobs)} jobs left, the "
            "workers hang: run again with fewer workers, finished jobs are kept"
        ) from None
    finally:
        _kill(pool)
    return [future.result() for future in futures]


def _wait(
    finished: "queue.SimpleQueue[Future[Result]]",
    progress: Progress,
    timeout: float,
    watch: Callable[[], int] | None,
) -> "Future[Result]":
    if watch is None:
        return finished.get(timeout=timeout)
    end = time.monotonic() + timeout
    while True:
        try:
            return finished.get(timeout=min(_SECONDS_BETWEEN_LOOKS, timeout))
        except queue.Empty:
            # A count may fall when a job that goes on from a checkpoint has not yet said where.
            n_new = min(watch(), progress.total) - progress.done
            if n_new > 0:
                progress.advance(n_new)
                end = time.monotonic() + timeout
            elif time.monotonic() > end:
                raise


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(cancel_futures=True)


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    # Set before the workers start, because numpy reads the variables when it is loaded. Workers inherit that
    # interrupts are blocked, from their first moment on: Ctrl-C reaches them all, but is the parent's to answer.
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch else 1
    with threadpool_limits(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(n_threads)
