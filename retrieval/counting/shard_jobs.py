"""Jobs of consecutive shards: how a corpus falls into them, and how they run where their progress can be seen."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from oddpair.engines import open_engine
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import Corpus, tell_apart
from oddpair.retrieval.counting.rows import RowReader
from oddpair.retrieval.samples import Bad
from oddpair.retrieval.shard_groups import group_shards, numbered
from oddpair.workers import note_done

# What a job leaves for the reduction is then small beside what it read.
ROWS_PER_JOB = 4_000_000
# Counted in the time that it takes to start a process.
FEW_ROWS = 300_000
# Of more processes some job ends every second or so.
MOST_WATCHED = 8
PARTS = "parts"
_SECONDS_BETWEEN_NOTES = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """Some shards of a corpus, and where what is found in them goes.

    Attributes:
        shards: A corpus of one shard each.
        first_shard: Place of the first of them among all shards.
        n_shards: Shards of the whole corpus.
        marks: The files of each shard, each with what changes when its content does.
        out: Folder of the whole run.
        index: Number of the job.
        n_jobs: Jobs of the run.
        size: Rows that the shards are said to hold.
        threads: Threads that share the rows.
    """

    shards: tuple[Corpus, ...]
    first_shard: int
    n_shards: int
    marks: tuple[dict[str, str], ...]
    out: Path
    index: int
    n_jobs: int
    size: int
    threads: int

    def part(self, name: str, ending: str) -> Path:
        """Where something that the job leaves for the reduction lies."""
        return numbered(self.out / PARTS, name, self.index, self.n_jobs, ending=ending)

    def open_rows(self, *, named: bool, set_aside: Callable[[Bad], None] | None = None) -> RowReader:
        """Open the rows; who waits for the job can see how many were read.

        Args:
            named: Whether uids are needed.
            set_aside: As for ``RowReader``.
        """
        numbers, next_note = itertools.count(), time.monotonic() + _SECONDS_BETWEEN_NOTES

        def tell(rows: int) -> None:
            nonlocal next_note
            note_done(next(numbers))
            if time.monotonic() >= next_note:
                next_note = time.monotonic() + _SECONDS_BETWEEN_NOTES
                note = self.part("progress", "txt")
                note.parent.mkdir(parents=True, exist_ok=True)
                note.write_text(str(rows))

        return RowReader(self.shards, named=named, set_aside=set_aside, told=tell)

    def rows_done(self) -> int:
        """Return how many rows were read so far, as of a second ago; 0 where nobody has told."""
        try:
            return int(self.part("progress", "txt").read_text())
        except (OSError, ValueError):
            return 0

    def require_unchanged(self) -> None:
        """Refuse shards whose files are not those of the beginning of the run."""
        for corpus, marks in zip(self.shards, self.marks, strict=True):
            found = corpus.source.identify(corpus.shards[0])
            changed = next((name for name in marks if found.get(name) != marks[name]), None)
            if changed is not None:
                raise Refusal(
                    f"{corpus.root}: {changed} changed while it was counted: delete {self.out} and run again"
                )


class OfShards(Protocol):
    """A job over some shards; ``partial`` is the file that it writes last."""

    # ruff: noqa: D102  The attributes of a protocol are told in its docstring.
    @property
    def shards(self) -> ShardJob: ...
    @property
    def partial(self) -> Path: ...


Job = TypeVar("Job", bound=OfShards)


def identify_shards(corpus: Corpus, *, threads: int) -> tuple[list[dict[str, str]], str]:
    """Read all files of a corpus once, to know them again.

    Returns:
        What ``Source.identify`` says of each shard, and the ``fingerprint`` of the corpus.
    """
    with ThreadPoolExecutor(threads) as pool:
        marks = list(pool.map(corpus.source.identify, corpus.shards))
    together = {name: mark for of_shard in marks for name, mark in of_shard.items()}
    if corpus.subset is not None:
        together["subset"] = corpus.subset.sha256
    return marks, tell_apart(corpus.layout, together)


def plan_jobs(
    corpus: Corpus,
    marks: Sequence[dict[str, str]],
    out: Path,
    *,
    workers: int,
    engine: str | Executor | None,
) -> list[ShardJob]:
    """Divide a corpus into jobs; which shards go together depends on their sizes alone.

    Args:
        corpus: The corpus.
        marks: What ``identify_shards`` says of each shard.
        out: Folder of the run.
        workers: Processes, or threads where there are fewer jobs.
        engine: Where the jobs run instead of here.
    """
    groups = group_shards(corpus.sizes, ROWS_PER_JOB)
    threads = max(1, workers // len(groups)) if engine is None and len(corpus) >= FEW_ROWS else 1
    return [
        ShardJob(
            shards=tuple(corpus.only(shard) for shard in corpus.shards[first:last]),
            first_shard=first,
            n_shards=len(corpus.shards),
            marks=tuple(marks[first:last]),
            out=out,
            index=index,
            n_jobs=len(groups),
            size=sum(corpus.sizes[first:last]),
            threads=threads,
        )
        for index, (first, last) in enumerate(groups)
    ]


def run_shard_jobs(
    function: Callable[[Job], int],
    jobs: Sequence[Job],
    *,
    title: str,
    workers: int,
    engine: str | Executor | None,
) -> list[Path]:
    """Run jobs that are not done yet, with a bar of their rows.

    Args:
        function: Work of one job; returns the rows that it set aside.
        jobs: The jobs of a corpus.
        title: What is done.
        workers: Processes at most; a small corpus is done in this one.
        engine: Where to run instead, as for ``run_jobs``.

    Returns:
        The partial file of each.
    """
    for job in jobs:
        # A run before this one, or a pass before this pass, has told of other rows.
        job.shards.part("progress", "txt").unlink(missing_ok=True)
    processes = min(workers, len(jobs))
    large = sum(job.shards.size for job in jobs) >= FEW_ROWS

    def rows_done() -> int:
        return sum(job.shards.size if job.partial.is_file() else job.shards.rows_done() for job in jobs)

    # Even a single process is another one: the bar would stand still while this one is at work.
    somewhere = open_engine(None, processes) if engine is None and large else nullcontext(engine)
    with somewhere as where:
        return run_jobs(
            function,
            jobs,
            workers=processes if large or engine else 1,
            title=title,
            unit="rows",
            size=lambda job: job.shards.size,
            engine=where,
            # A cluster watches over its workers itself.
            timeout=600.0 if engine is None else math.inf,
            watch=rows_done if engine is None and processes <= MOST_WATCHED else None,
            partial=lambda job: job.partial,
            set_aside=int,
        )
