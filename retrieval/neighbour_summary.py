"""What the jobs of a search for neighbours found, all together: ``tests.parquet`` and ``summary.json``."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files
from oddpair.jobs import reduce_partials
from oddpair.retrieval.neighbour_jobs import NeighbourJob, distinct_tests, merge_tops, places, sort_tops
from oddpair.retrieval.score_counts import count_scores

SHARES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
SUMMARY = "summary.json"
TESTS = "tests.parquet"
SAMPLES = "samples.parquet"
# Test images of a sample to look at.
_SAMPLED = 12


def write_together(jobs: Sequence[NeighbourJob]) -> None:
    """Write the corpus rows nearest to each test image, and the summary; every job is done."""
    job = jobs[0]
    tests = job.search.tests
    kept, _ = distinct_tests(tests)
    merge = functools.partial(merge_tops, k=job.k, tests=len(kept))
    top = sort_tops(reduce_partials(files.read_table, [job.partial for job in jobs], merge))
    ordered = pa.table(
        {
            "test": pa.array(tests.uids(kept), pa.string()).take(top["test"]),
            "place": pa.array(places(top["test"].to_numpy()).astype(np.int32)),
            "row": top["row"],
            "uid": top["uid"],
            "score": top["score"],
        }
    ).sort_by([("test", "ascending"), ("place", "ascending")])
    # Where a row lies in the corpus is left out: the same corpus in other shards gives the same bytes.
    files.write_table(job.out / TESTS, ordered.drop_columns(["row"]))
    best = ordered.filter(pc.equal(ordered["place"], 1))
    files.write_table(job.out / SAMPLES, _sample(best, job))
    _write_summary(jobs, best["score"].to_numpy())


def _sample(best: pa.Table, job: NeighbourJob) -> pa.Table:
    """Choose pairs of a test image and its nearest row to look at: the most similar, and those about the median."""
    ordered = best.sort_by([("score", "descending"), ("test", "ascending")])
    nearest = np.arange(min(_SAMPLED, len(ordered)))
    middle = max((len(ordered) - _SAMPLED) // 2, len(nearest))
    median = np.arange(middle, min(middle + _SAMPLED, len(ordered)))
    chosen = ordered.take(pa.array(np.concatenate([nearest, median])))
    whole = job.search.corpus.only(0, None)
    kinds = ["nearest"] * len(nearest) + ["median"] * len(median)
    captions = pa.array(whole.captions(chosen["row"].to_numpy()), pa.string())
    return (
        chosen.drop_columns(["place"])
        .append_column("caption", captions)
        .append_column("kind", pa.array(kinds))
    )


def _write_summary(jobs: Sequence[NeighbourJob], best: NDArray[np.float32]) -> None:
    job, search = jobs[0], jobs[0].search
    rows = count_scores(_columns(jobs, "score"))
    tests = count_scores([best])
    files.write_json(
        job.out / SUMMARY,
        {
            "rows": rows.total,
            "tests": tests.total,
            "tests_left_out": search.tests.shape[0] - tests.total,
            "hits": sum(int(part.sum()) for part in _columns(jobs, "hit")) if job.has_thresholds else None,
            "k": job.k,
            "dimension": search.corpus.dimension,
            "encoder_sha256": search.corpus.encoder or search.tests.encoder,
            "corpus_digest": search.corpus.digest,
            "tests_digest": search.tests.digest,
            "shares": SHARES,
            "row_quantiles": rows.quantiles(SHARES, lambda: _columns(jobs, "score")),
            "test_quantiles": tests.quantiles(SHARES, lambda: [best]),
            "row_histogram": rows.histogram(),
            "test_histogram": tests.histogram(),
        },
    )


def _columns(jobs: Sequence[NeighbourJob], name: str) -> Iterator[NDArray[Any]]:
    for job in jobs:
        for shard in job.shards:
            yield files.read_table(job.rows(shard), [name])[name].to_numpy()
