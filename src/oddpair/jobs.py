"""The map over shards: one function, many jobs, results in job order for any number of workers."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar, overload

from oddpair.engines import for_engine, one_thread, open_engine
from oddpair.errors import LASTING, PassingRefusal, Refusal
from oddpair.progress import Progress, track
from oddpair.supervision import Supervision

Job = TypeVar("Job")
Result = TypeVar("Result")
Value = TypeVar("Value")

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BEFORE_RETRY = 1.0
# What another machine wrote may show late on a shared file system.
_SECONDS_TO_SHOW = 60.0


@overload
def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    title: str,
    unit: str = ...,
    size: Callable[[Job], int] | None = ...,
    timeout: float = ...,
    watch: Callable[[], int] | None = ...,
    engine: str | Executor | None = ...,
    partial: None = ...,
    retries: int = ...,
    blame: Callable[[Job, int], Job] | None = ...,
    set_aside: Callable[[Result], int] | None = ...,
) -> list[Result]: ...


@overload
def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    title: str,
    unit: str = ...,
    size: Callable[[Job], int] | None = ...,
    timeout: float = ...,
    watch: Callable[[], int] | None = ...,
    engine: str | Executor | None = ...,
    partial: Callable[[Job], Path],
    retries: int = ...,
    blame: Callable[[Job, int], Job] | None = ...,
    set_aside: Callable[[Result], int] | None = ...,
) -> list[Path]: ...


def run_jobs(
    function: Callable[[Job], Any],
    jobs: Sequence[Job],
    *,
    workers: int,
    title: str,
    unit: str = "shards",
    size: Callable[[Job], int] | None = None,
    timeout: float = 600.0,
    watch: Callable[[], int] | None = None,
    engine: str | Executor | None = None,
    partial: Callable[[Job], Path] | None = None,
    retries: int = 2,
    blame: Callable[[Job, int], Job] | None = None,
    set_aside: Callable[[Any], int] | None = None,
) -> list[Any]:
    """Call ``function`` on every job, one thread of arithmetic each, and return the results in job order.

    One worker is this process. More are fresh processes that die with it, so ``function``, jobs and
    results must be picklable, and a job must be idempotent and write atomically: after a fault it runs
    again, and Dask runs finished ones again as it likes. An error of a job stops the others at once and
    is raised here. A job whose worker is killed (for want of memory, say) runs again, twice at most.

    Args:
        function: Work of one job, defined at the top level of a module.
        jobs: What to call it on; none at all is no work.
        workers: Processes, 1 or more.
        title: What is done, for the progress line.
        unit: Name of what is counted, in the plural.
        size: Units in one job, 1 each by default.
        timeout: Seconds without any result, any unit that ``watch`` tells or any item that ``note_position`` or
            ``note_done`` tells, after which the workers count as hung (not for one worker).
        watch: Says how many units are done by now, for jobs so long that their ends are too rare to show.
        engine: Where to run instead, such as ``"dask:tcp://10.0.0.1:8786"``, see ``open_engine``; what jobs
            write must lie on a file system that this machine and all workers share.
        partial: Where a job leaves its result, written atomically by ``function`` itself. A job whose file is
            there is done and not run again, and the results are these paths, for ``reduce_partials``.
        retries: How often a job runs again after an ``OSError`` that may pass, such as a lost connection.
        blame: Makes the job that goes on without the item at a position, told by ``note_position``, at which a
            worker crashed twice (by a signal such as SIGSEGV; one that was killed is nobody's fault). Even one
            worker is then a process; an engine cannot tell a crash, and refuses. After a crash at no item it is
            called with ``NOWHERE``, for a job that can run again so that it tells more, or as it is.
        set_aside: Units of a job that were quarantined, by its result, for the progress line.

    Returns:
        One result per job, or with ``partial`` one path.

    Raises:
        Refusal: If workers die again and again or hang, a job refuses or cannot reach what it reads, or the
            engine is unusable.
        ValueError: If ``workers`` is below 1, or a job ends without its partial file.

    >>> run_jobs(abs, [-3, 2], workers=1, title="taking sizes")
    [3, 2]
    """
    if workers < 1:
        raise ValueError(f"found {workers} workers, needed 1 or more")
    paths = None if partial is None else [partial(job) for job in jobs]
    sizes = [1 if size is None else size(job) for job in jobs]
    left = [index for index in range(len(jobs)) if paths is None or not paths[index].is_file()]
    results: dict[int, Any] = {}
    if left:
        work = functools.partial(_persist, function, title, retries)
        with track(title, sum(sizes), unit) as progress:
            progress.skip(sum(sizes) - sum(sizes[index] for index in left))
            if engine is None and workers == 1 and blame is None:
                results.update(_run_here(work, jobs, left, sizes, progress, set_aside))
            else:
                with open_engine(engine, min(workers, len(left))) as executor:
                    supervision = Supervision(
                        executor=executor,
                        function=for_engine(engine, work),
                        jobs=list(jobs),
                        sizes=sizes,
                        paths=paths,
                        progress=progress,
                        timeout=timeout,
                        watch=watch,
                        blame=blame,
                        set_aside=set_aside,
                    )
                    results = supervision.run(left)
    if paths is None:
        return [results[index] for index in range(len(jobs))]
    for index in left:
        _require_partial(paths[index], title, _SECONDS_TO_SHOW if isinstance(engine, str) else 0.0)
    return paths


def reduce_partials(
    read: Callable[[Path], Value], paths: Sequence[Path], merge: Callable[[Value, Value], Value]
) -> Value:
    """Fold what jobs left in their files into one value, from the first job to the last.

    Holds one file's value at a time beside the merged one. The order is that of the jobs, so that the bytes
    do not depend on who ended first.

    Raises:
        ValueError: If there is no file.
    """
    if not paths:
        raise ValueError("found no partial files, needed one or more")
    return functools.reduce(lambda merged, path: merge(merged, read(path)), paths[1:], read(paths[0]))


def _persist(function: Callable[[Job], Result], title: str, retries: int, job: Job) -> Result:
    """Call ``function``, again after errors that may pass; in the worker, so that any engine does the same."""
    for attempt in range(retries + 1):
        try:
            return function(job)
        except PassingRefusal:
            if attempt == retries:
                raise
        except OSError as error:
            if error.errno in LASTING:
                raise
            if attempt == retries:
                raise Refusal(
                    f"{title}: {str(error) or type(error).__name__}, {retries + 1} times over: check the network "
                    f"and the storage and run again, finished jobs are kept"
                ) from error
        time.sleep(_SECONDS_BEFORE_RETRY * 2**attempt)
    raise ValueError(f"found {retries} retries, needed 0 or more")


def _run_here(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    left: Sequence[int],
    sizes: Sequence[int],
    progress: Progress,
    set_aside: Callable[[Result], int] | None,
) -> Iterator[tuple[int, Result]]:
    # The same thread count as in a worker: sums of floats depend on it.
    with one_thread():
        for index in left:
            result = function(jobs[index])
            if set_aside is not None:
                progress.quarantine(set_aside(result))
            yield index, result
            progress.advance(sizes[index])


def _require_partial(path: Path, title: str, patience: float) -> None:
    end = time.monotonic() + patience
    while not path.is_file():
        if patience == 0.0:
            raise ValueError(f"{title}: found no {path} where the job has ended, needed it whole")
        if time.monotonic() > end:
            raise Refusal(
                f"{title}: the job of {path} has ended on another machine, but the file does not show on this one: "
                "choose an --out on a file system that all machines share"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
