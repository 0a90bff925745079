"""A run over an executor whose workers may die or hang: what runs again, which item is to blame, when to give up."""

import queue
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from oddpair.engines import lost_worker_errors
from oddpair.errors import Refusal
from oddpair.progress import Progress
from oddpair.workers import NOWHERE, WorkerDied, Workers

Job = TypeVar("Job")
Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS = 1.0
_MOST_DEATHS = 2
_MOST_CONVICTED = 100
_FEWER = "run again with fewer workers, finished jobs are kept"


@dataclass(slots=True, kw_only=True)
class _Record:
    """What befell the workers of one job: deaths that are nobody's fault yet, and places of crashes."""

    deaths: int = 0
    suspects: set[int] = field(default_factory=set)
    n_convicted: int = 0


@dataclass(slots=True, kw_only=True)
class Supervision(Generic[Job, Result]):
    """One run of jobs over an executor; the arguments are those of ``run_jobs``.

    Attributes:
        jobs: All jobs; one that goes on without an item takes the place of the one before.
        sizes: Units of each.
        paths: Partial file of each, for messages.
    """

    executor: Executor
    function: Callable[[Job], Result]
    jobs: list[Job]
    sizes: Sequence[int]
    paths: Sequence[Path] | None
    progress: Progress
    timeout: float
    watch: Callable[[], int] | None
    blame: Callable[[Job, int], Job] | None
    set_aside: Callable[[Result], int] | None
    _pending: "dict[Future[Result], int]" = field(default_factory=dict)
    _finished: "queue.SimpleQueue[Future[Result]]" = field(default_factory=queue.SimpleQueue)
    _records: dict[int, _Record] = field(default_factory=dict)

    def run(self, left: Sequence[int]) -> dict[int, Result]:
        """Return the results of the jobs with the indices in ``left``."""
        results: dict[int, Result] = {}
        try:
            for index in left:
                self._submit(index)
            while self._pending:
                future = self._wait()
                index = self._pending[future]
                try:
                    results[index] = future.result()
                except WorkerDied as death:
                    self.jobs[index] = self._judge(index, death)
                    self._submit(index)
                else:
                    if self.set_aside is not None:
                        self.progress.quarantine(self.set_aside(results[index]))
                    if self.watch is None:
                        self.progress.advance(self.sizes[index])
                del self._pending[future]
        except lost_worker_errors() as error:
            raise Refusal(
                f"{self.progress.title}: {self._name(index)} killed its workers with {self._left()} left, perhaps "
                f"for want of memory: give the workers more memory or {_FEWER}"
            ) from error
        except CancelledError as error:
            raise Refusal(
                f"{self.progress.title}: the engine is gone with {self._left()} left: see that its scheduler "
                "runs and run again, finished jobs are kept"
            ) from error
        except queue.Empty:
            raise Refusal(
                f"{self.progress.title}: no job ended for {self.timeout:g} s with {self._left()} left, the workers "
                f"hang: {_FEWER}"
            ) from None
        finally:
            for future in self._pending:
                future.cancel()
        self.progress.advance(self.progress.total - self.progress.done)
        return results

    def _submit(self, index: int) -> None:
        future = self.executor.submit(self.function, self.jobs[index])
        self._pending[future] = index
        future.add_done_callback(self._finished.put)

    def _wait(self) -> "Future[Result]":
        end = time.monotonic() + self.timeout
        last = self._signs_of_life()
        while True:
            try:
                return self._finished.get(timeout=min(_SECONDS_BETWEEN_LOOKS, self.timeout))
            except queue.Empty:
                # A count may fall when a job that goes on from a checkpoint has not yet said where.
                units = 0 if self.watch is None else min(self.watch(), self.progress.total)
                signs = self._signs_of_life()
                if units > self.progress.done or signs != last:
                    self.progress.advance(max(units - self.progress.done, 0))
                    last, end = signs, time.monotonic() + self.timeout
                elif time.monotonic() > end:
                    raise

    def _signs_of_life(self) -> tuple[int, ...]:
        """Where the workers are: a job of an hour is no hanging one while it goes from item to item."""
        return self.executor.positions() if isinstance(self.executor, Workers) else ()

    def _judge(self, index: int, death: WorkerDied) -> Job:
        """Return the job to run next: the same, or one without the item that crashed its worker twice.

        One crash proves nothing: memory may be short, or an earlier job may have damaged the process.
        """
        record = self._records.setdefault(index, _Record())
        job = self.jobs[index]
        if self.blame is not None and death.has_crashed:
            if death.position == NOWHERE:
                job = self.blame(job, NOWHERE)
            elif death.position in record.suspects:
                record.suspects.remove(death.position)
                record.deaths = 0
                record.n_convicted += 1
                if record.n_convicted > _MOST_CONVICTED:
                    raise Refusal(
                        f"{self.progress.title}: more than {_MOST_CONVICTED} items of {self._name(index)} crash the "
                        "worker, so the fault is not theirs: check the installed libraries and the memory"
                    )
                return self.blame(job, death.position)
            else:
                record.suspects.add(death.position)
        record.deaths += 1
        if record.deaths > _MOST_DEATHS:
            raise Refusal(f"{self.progress.title}: {self._obituary(index, death)}") from death
        return job

    def _obituary(self, index: int, death: WorkerDied) -> str:
        if death.has_crashed:
            number = signal.Signals(-death.exit_code).name
            return (
                f"a worker process crashed ({number}) in {self._name(index)} again and again, with {self._left()} "
                "left: check what it reads and the installed libraries, finished jobs are kept"
            )
        if death.exit_code >= 0:
            return (
                f"a worker process left (exit code {death.exit_code}) in {self._name(index)} again and again, with "
                f"{self._left()} left: see what it said above, finished jobs are kept"
            )
        return f"a worker process was killed with {self._left()} left, perhaps for want of memory: {_FEWER}"

    def _name(self, index: int) -> str:
        name = f"job {index + 1} of {len(self.jobs)}"
        return f"{name} ({self.paths[index]})" if self.paths else name

    def _left(self) -> str:
        return f"{len(self._pending)} of {len(self.jobs)} jobs"
