"""Neighbours between a corpus and a test set, exact and both ways, in one pass over the corpus's shards."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.neighbour_jobs import (
    THRESHOLDS,
    NeighbourJob,
    Search,
    distinct_tests,
    find_best_scores,
    find_in_shards,
    shards_of,
)
from oddpair.retrieval.neighbour_summary import SUMMARY, write_together
from oddpair.retrieval.repeats import count_repeats
from oddpair.retrieval.same_encoder import require_one_encoder
from oddpair.retrieval.scan import FirstPass, Work
from oddpair.retrieval.shard_groups import group_shards
from oddpair.retrieval.stored import StoredRows

# What a job leaves for the reduction is then small beside the rows that it read.
ROWS_PER_JOB = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What a search for neighbours left in its folder.

    Attributes:
        folder: The folder.
        rows: Corpus rows.
        tests: Test images, each uid once.
        hits: Rows above a threshold; ``None`` where there was none.
        work: What this run had to compute; nothing if all was there.
    """

    folder: Path
    rows: int
    tests: int
    hits: int | None
    work: Work


def find_neighbours(
    corpus: StoredRows,
    tests: StoredRows,
    out: Path,
    *,
    k: int = 10,
    above: float | NDArray[np.float32] | StoredRows | None = None,
    workers: int = 1,
    engine: str | Executor | None = None,
    first_pass: FirstPass = "auto",  # noqa: S107  no password
    device: str = "cpu",
) -> Neighbours:
    """Find each corpus row's nearest test image, and each test image's nearest corpus rows, by cosine similarity.

    Writes ``rows/rows_0000.parquet`` (``uid``, ``score``, ``test`` and, with a threshold, ``hit``; a file for each
    shard of the corpus and a line for each of its rows, in their order), ``tests.parquet`` (``test``, ``place`` from 1,
    ``uid``, ``score``; by test uid and place) and ``summary.json``. A score is the float64 dot product of two stored
    rows, rounded to float32; ties go to the smaller uid. A uid that the corpus holds twice is one neighbour of a test
    image. A killed run goes on where it was, to the same bytes, which depend on neither workers nor first pass.

    Args:
        corpus: Embedded pictures, any number of them: no more than some shards' results are held in memory.
        tests: Embedded test images, all of which fit in memory.
        out: Folder to write; nobody else may write to it (see ``files.locked``).
        k: Neighbours of a test image, 1 or more; a corpus that has fewer uids gives fewer.
        above: A row is a hit if its similarity to any test image is above (not at) this threshold: one for all, one
            for each row of ``tests``, or a reference set, by whose ``gap_thresholds`` hits are what similarity-gap
            pruning removes.
        workers: Processes, or threads where there are fewer jobs.
        engine: Where to run instead of here, as for ``run_jobs``.
        first_pass: How candidates are chosen.
        device: ``cpu`` or ``cuda``.

    Returns:
        The counts.

    Raises:
        Refusal: If the two were embedded by different models, either is empty, a row is no unit row, or the folder
            was made from something else.
        ValueError: If ``k`` is below 1, a threshold is NaN or there are not as many as test images.
    """
    if k < 1:
        raise ValueError(f"k is {k}, needed 1 or more")
    _require_alike(corpus, tests)
    made_from = {
        "corpus": _identify(corpus),
        "tests": _identify(tests),
        "k": k,
        "above": None if above is None else _identify_threshold(tests, above),
    }
    done: list[Work] = []
    if stages.begin(out, made_from):
        with stages.make(out):
            if above is not None and not (out / THRESHOLDS).is_file():
                if isinstance(above, StoredRows):
                    above = gap_thresholds(
                        above, tests, workers=workers, engine=engine, first_pass=first_pass, device=device
                    )
                files.write_table(out / THRESHOLDS, _table_of_thresholds(tests, above))
            searches = _searches(corpus, tests, workers, engine, first_pass, device)
            jobs = [
                NeighbourJob(
                    search=search,
                    out=out,
                    k=k,
                    has_thresholds=above is not None,
                    index=index,
                    n_jobs=len(searches),
                )
                for index, search in enumerate(searches)
            ]
            _run(jobs, workers, engine, done)
            write_together(jobs)
    summary = files.read_json(out / SUMMARY)
    return Neighbours(
        folder=out,
        rows=summary["rows"],
        tests=summary["tests"],
        hits=summary["hits"],
        work=Work(
            pairs=sum(work.pairs for work in done),
            refined=sum(work.refined for work in done),
            exact=sum(work.exact for work in done),
        ),
    )


def gap_thresholds(
    reference: StoredRows,
    tests: StoredRows,
    *,
    workers: int = 1,
    engine: str | Executor | None = None,
    first_pass: FirstPass = "auto",  # noqa: S107  no password
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Return each test image's largest cosine similarity to a reference set: the thresholds of similarity-gap pruning.

    Without the rows that are above any of them, a corpus that includes the reference set is as near to every test
    image as the reference set is.

    Args:
        reference: Embedded pictures, such as the training set of ImageNet.
        tests: Embedded test images.
        workers: Processes, or threads where there are fewer jobs.
        engine: Where to run instead of here, as for ``run_jobs``.
        first_pass: How candidates are chosen; the result does not depend on it.
        device: ``cpu`` or ``cuda``.

    Returns:
        float32, one for each row of ``tests``.

    Raises:
        Refusal: If the two were embedded by different models, either is empty, or a row is no unit row.

    References:
        Mayilvahanan et al., Does CLIP's generalization performance mainly stem from high train-test similarity?
        ICLR 2024, arXiv:2310.09562.
    """
    _require_alike(reference, tests)
    searches = _searches(reference, tests, workers, engine, first_pass, device)
    best = run_jobs(
        find_best_scores,
        searches,
        workers=min(workers, len(searches)),
        title="compare test images with the reference set",
        unit="rows",
        size=_rows_of,
        engine=engine,
        timeout=_timeout(engine),
    )
    _, group = distinct_tests(tests)
    found: NDArray[np.float32] = np.max(best, axis=0)[group]
    return found


def _require_alike(corpus: StoredRows, tests: StoredRows) -> None:
    for stored, what in ((corpus, "rows"), (tests, "test images")):
        if stored.kind != "img_emb":
            raise ValueError(f"found {stored.kind} of {stored.folder}, needed img_emb")
        if not stored.shape[0]:
            raise Refusal(f"{stored.folder} holds no {what}: give one that has some")
    require_one_encoder(corpus, tests, (str(corpus.folder), str(tests.folder)))
    # Of one uid with two vectors nobody could say which is meant.
    count_repeats(tests)


def _table_of_thresholds(tests: StoredRows, above: float | NDArray[np.float32]) -> pa.Table:
    kept, group = distinct_tests(tests)
    lowest = np.full(len(kept), np.inf, dtype=np.float32)
    np.minimum.at(lowest, group, np.broadcast_to(np.float32(above), len(group)))
    return pa.table({"test": pa.array(tests.uids(kept), pa.string()), "threshold": pa.array(lowest)})


def _identify_threshold(tests: StoredRows, above: float | NDArray[np.float32] | StoredRows) -> Any:
    if isinstance(above, StoredRows):
        _require_alike(above, tests)
        return _identify(above)
    each = np.float32(above)
    if np.isnan(each).any() or each.shape not in ((), tests.shape[:1]):
        raise ValueError(
            f"found thresholds of shape {each.shape}, {int(np.isnan(each).sum())} of them NaN, needed one or "
            f"{tests.shape[0]}, none NaN"
        )
    return hashlib.sha256(each.tobytes()).hexdigest()


def _identify(stored: StoredRows) -> dict[str, Any]:
    shards = shards_of(stored)
    return {"digest": stored.digest, "shards": [shards.start, shards.stop]}


def _searches(
    corpus: StoredRows,
    tests: StoredRows,
    workers: int,
    engine: str | Executor | None,
    first_pass: FirstPass,
    device: str,
) -> list[Search]:
    shards = shards_of(corpus)
    groups = group_shards([corpus.sizes[shard] for shard in shards], ROWS_PER_JOB)
    threads = max(1, workers // len(groups)) if engine is None else 1
    return [
        Search(
            corpus=corpus.only(shards[first], shards[last - 1] + 1),
            tests=tests,
            first_pass=first_pass,
            device=device,
            threads=threads,
        )
        for first, last in groups
    ]


def _run(jobs: list[NeighbourJob], workers: int, engine: str | Executor | None, done: list[Work]) -> None:
    for job in jobs:
        # A partial file without its rows: they were lost since, and only a job without one runs.
        if not all(job.rows(shard).is_file() for shard in job.shards):
            job.partial.unlink(missing_ok=True)

    def note(work: Work) -> int:
        # What a first pass had to compute again is told and never written, or bytes would depend on it.
        done.append(work)
        return 0

    run_jobs(
        find_in_shards,
        jobs,
        workers=min(workers, len(jobs)),
        title="find neighbours",
        unit="rows",
        size=_rows_of_job,
        engine=engine,
        timeout=_timeout(engine),
        partial=_partial,
        set_aside=note,
    )


def _timeout(engine: str | Executor | None) -> float:
    # A cluster watches over its workers itself.
    return 600.0 if engine is None else math.inf


def _rows_of(search: Search) -> int:
    return search.corpus.shape[0]


def _rows_of_job(job: NeighbourJob) -> int:
    return _rows_of(job.search)


def _partial(job: NeighbourJob) -> Path:
    return job.partial
