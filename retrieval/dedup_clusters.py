"""Near-duplicates of a corpus too large for all pairs: those within k-means clusters, and what this misses, measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.progress import track
from oddpair.retrieval.dedup_greedy import (
    Drops,
    drop_duplicates,
    fetch_rows,
    join_drops,
    read_drops,
    write_drops,
)
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.proportion import clopper_pearson_interval
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import IntArray, UnitRows

# Rows that are put into clusters, or compared with the sample, at once.
_CHUNK = 1 << 17
# k-means needs some rows of each cluster, and gains nothing from millions.
_TRAINED_ON = 1 << 17
_TRAINED_ON_EACH = 64
_CONFIDENCE = 0.95
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """How many clusters there are, how many rows measure them, the seed of both choices, and rows compared at once."""

    clusters: int
    sampled: int
    seed: int
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecall:
    """What comparing within clusters alone found of all near-duplicates, measured on rows drawn at random.

    Both intervals are of 95 %, over the rows drawn. That of ``recall`` is a percentile bootstrap: rows are drawn
    again from those drawn, 1,000 times, each with all its pairs, because pairs of one row are not independent.
    Where every pair is together, or none, that says nothing, and the interval is the exact one of the share of
    rows with pairs. That of ``missed`` counts rows and is exact (Clopper and Pearson, 1934).

    Attributes:
        clusters: Clusters.
        largest: Rows of the largest.
        sampled: Rows drawn.
        pairs: Pairs above the threshold of a row drawn and any other row, by exact search.
        together: Those whose rows share a cluster.
        recall: ``together / pairs``; 1 where there is no pair.
        interval: Of ``recall``; 0 to 1 where there is no pair.
        missed: Rows drawn that were kept although a kept row of smaller uid is above the threshold.
        missed_interval: Of ``missed / sampled``.
    """

    clusters: int
    largest: int
    sampled: int
    pairs: int
    together: int
    recall: float
    interval: tuple[float, float]
    missed: int
    missed_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Window:
    """Rows ``start`` to ``stop`` of others, numbered from 0."""

    rows: UnitRows
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.stop - self.start, self.rows.shape[1]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        return self.rows.read(self.start + start, self.start + stop)

    def uids(self, rows: IntArray) -> list[str]:
        return self.rows.uids(self.start + rows)

    def tell_place(self, row: int) -> str:
        return self.rows.tell_place(self.start + row)


def drop_in_clusters(
    rows: UnitRows, order: IntArray, threshold: float, parts: Path, plan: ClusterPlan, *, threads: int = 1
) -> tuple[Drops, ClusterRecall]:
    """Drop near-duplicates as ``drop_duplicates`` does, comparing rows of one cluster only, and measure what is missed.

    Spherical k-means on a random sample; each row belongs to the nearest centre. The rows are written once more,
    sorted by cluster. No cluster is held in memory, however large.

    Args:
        rows: float16 unit rows.
        order: The rows to go through, in this order, by their numbers; shape ``(n,)``.
        threshold: Cosine similarity.
        parts: Folder for clusters and decisions; what is finished in it is not done again.
        plan: Number of clusters, size of the sample, seed.
        threads: Threads.

    Returns:
        What was dropped, by position in ``order``, and the measurement.

    Raises:
        Refusal: If a row is not of length 1.
    """
    centres = _load_centres(rows, order, parts / "centres.npy", plan)
    sorted_rows, place, cluster = _sort_into_clusters(rows, order, centres, parts / "sorted", threads)
    by_cluster = np.lexsort((place, cluster))
    ends = np.cumsum(np.bincount(cluster, minlength=plan.clusters))
    starts = np.concatenate([[0], ends[:-1]])
    drops = []
    sizes = (ends - starts).tolist()
    with track("compare within clusters", sum(n * (n - 1) // 2 for n in sizes), unit="pairs") as progress:
        for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            members = by_cluster[start:end]
            folder = parts / f"cluster_{index:05d}"
            done = parts / "dropped" / f"cluster_{index:05d}.parquet"
            if done.is_file():
                found = read_drops(done)
                progress.skip(len(members) * (len(members) - 1) // 2)
            else:
                found = drop_duplicates(
                    sorted_rows,
                    members,
                    threshold,
                    folder,
                    threads=threads,
                    block=plan.block,
                    progress=progress,
                )
                write_drops(done, found)
            if folder.is_dir():  # its kept rows, which nothing asks for any more
                shutil.rmtree(folder)
            drops.append(
                Drops(row=place[members[found.row]], witness=place[members[found.witness]], score=found.score)
            )
    dropped = join_drops(drops)
    cluster_of = np.empty(len(order), dtype=np.int64)
    cluster_of[place] = cluster
    return dropped, _measure(rows, order, cluster_of, dropped, threshold, plan, threads)


def _load_centres(rows: UnitRows, order: IntArray, path: Path, plan: ClusterPlan) -> NDArray[np.float32]:
    if path.is_file():
        return files.read_array(path)
    import threadpoolctl

    faiss = load_faiss()
    rng = np.random.default_rng(plan.seed)
    size = min(len(order), max(_TRAINED_ON, _TRAINED_ON_EACH * plan.clusters))
    drawn = np.sort(rng.choice(len(order), size, replace=False))
    sample = fetch_rows(rows, order[drawn]).astype(np.float32)
    kmeans = faiss.Kmeans(
        rows.shape[1],
        plan.clusters,
        spherical=True,
        seed=plan.seed,
        min_points_per_centroid=1,
        max_points_per_centroid=size,
    )
    # Of several threads the sums would depend on their number.
    with threadpoolctl.threadpool_limits(1):
        kmeans.train(sample)
    found = kmeans.centroids.reshape(plan.clusters, -1).astype(np.float64)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    # Rows that point every way have a mean of nothing.
    centres = np.where(lengths > 0, found / np.maximum(lengths, 1e-30), sample[: plan.clusters])
    centres = centres.astype(np.float32)
    files.write_array(path, centres)
    return centres


def _sort_into_clusters(
    rows: UnitRows, order: IntArray, centres: NDArray[np.float32], folder: Path, threads: int
) -> tuple[StoredRows, IntArray, IntArray]:
    """Write the rows of ``order`` chunk by chunk, each sorted by cluster.

    Returns:
        The rows so written, the position in ``order`` of each, and its cluster.
    """
    place_of = np.full(rows.shape[0], -1, dtype=np.int64)
    place_of[order] = np.arange(len(order))
    windows = list(_windows(rows))
    names = [f"{index:08d}" for index in range(len(centres))]
    tests = prepare_tests(centres, names)
    tables = []
    with track("sort into clusters", rows.shape[0]) as progress:
        for index, window in enumerate(windows):
            path = part_path(folder, "metadata", index, len(windows))
            if path.is_file():
                tables.append(files.read_table(path, ["place", "cluster"]))
                progress.skip(window.shape[0])
                continue
            nearest = scan(window, tests, Ask(nearest=True), threads=threads).test
            places = place_of[window.start : window.stop]
            chosen = np.argsort(nearest, kind="stable")
            chosen = chosen[places[chosen] >= 0]
            part = window.read(0, window.shape[0])[chosen]
            files.write_array(part_path(folder, "img_emb", index, len(windows)), part)
            columns = {"place": pa.array(places[chosen]), "cluster": pa.array(nearest[chosen])}
            tables.append(pa.table(columns))
            files.write_table(path, tables[-1])
            progress.advance(window.shape[0])
    stored = StoredRows(
        folder=folder,
        kind="img_emb",
        sizes=tuple(len(table) for table in tables),
        dimension=rows.shape[1],
        encoder="",
        digest="",
    )
    place, cluster = (column.to_numpy() for column in pa.concat_tables(tables).columns)
    return stored, place, cluster


def _measure(
    rows: UnitRows,
    order: IntArray,
    cluster: IntArray,
    drops: Drops,
    threshold: float,
    plan: ClusterPlan,
    threads: int,
) -> ClusterRecall:
    rng = np.random.default_rng([plan.seed, 1])
    drawn = np.sort(rng.choice(len(order), min(plan.sampled, len(order)), replace=False))
    place_of = np.full(rows.shape[0], -1, dtype=np.int64)
    place_of[order] = np.arange(len(order))
    kept = np.ones(len(order), dtype=np.bool_)
    kept[drops.row] = False
    tests = prepare_tests(fetch_rows(rows, order[drawn]), [f"{place:012d}" for place in drawn.tolist()])
    ask = Ask(above=np.full(len(drawn), threshold, dtype=np.float32), pairs=True)
    missed = np.zeros(len(drawn), dtype=np.bool_)
    pairs = np.zeros(len(drawn), dtype=np.int64)
    together = np.zeros(len(drawn), dtype=np.int64)
    with track("measure what clusters miss", rows.shape[0]) as progress:
        for window in _windows(rows):
            found = scan(window, tests, ask, threads=threads).pairs
            one, other = drawn[found.test], place_of[window.start + found.row]
            is_pair = (other >= 0) & (other != one)
            shared = is_pair & (cluster[one] == cluster[other])
            pairs += np.bincount(found.test[is_pair], minlength=len(drawn))
            together += np.bincount(found.test[shared], minlength=len(drawn))
            missed[found.test[is_pair & (other < one) & kept[one] & kept[other]]] = True
            progress.advance(window.shape[0])
    return ClusterRecall(
        clusters=plan.clusters,
        largest=int(np.bincount(cluster).max()),
        sampled=len(drawn),
        pairs=int(pairs.sum()),
        together=int(together.sum()),
        recall=float(together.sum() / pairs.sum()) if pairs.any() else 1.0,
        interval=_interval_of_ratio(together, pairs, np.random.default_rng([plan.seed, 2])),
        missed=int(missed.sum()),
        missed_interval=clopper_pearson_interval(int(missed.sum()), len(drawn), _CONFIDENCE),
    )


def _windows(rows: UnitRows) -> Iterator[_Window]:
    for start in range(0, rows.shape[0], _CHUNK):
        yield _Window(rows, start, min(start + _CHUNK, rows.shape[0]))


def _interval_of_ratio(parts: IntArray, wholes: IntArray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the interval of ``sum(parts) / sum(wholes)`` when what was drawn is rows, each with a part of a whole."""
    parts, wholes = parts[wholes > 0], wholes[wholes > 0]
    if not parts.any() or np.array_equal(parts, wholes):
        return clopper_pearson_interval(int((parts > 0).sum()), len(parts), _CONFIDENCE)
    ratios = np.empty(_RESAMPLES)
    for again in range(_RESAMPLES):
        drawn = rng.integers(len(parts), size=len(parts))
        ratios[again] = parts[drawn].sum() / wholes[drawn].sum()
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)
