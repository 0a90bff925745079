"""Prototypes of a corpus, by spherical k-means on its embeddings, and how near each row is to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.dedup_greedy import fetch_rows
from oddpair.retrieval.scan import Ask, Found, prepare_tests, scan
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import HeldRows, IntArray, UnitRows
from oddpair.splits.curation.selection import take_lowest
from oddpair.splits.pool import Pool

BoolArray = NDArray[np.bool_]
Rows = NDArray[np.float32]

_SAMPLE, _FIRST = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PrototypePlan:
    """How prototypes are made.

    Attributes:
        clusters: How many there are.
        rows_per_cluster: Rows that k-means runs on, for each of them; all, if there are fewer.
        iterations: Passes of k-means at most; it ends where no row changes its cluster.
        seed: Of the sample and of the first centroids.
    """

    clusters: int
    rows_per_cluster: int
    iterations: int
    seed: int


def make_prototypes(stored: StoredRows, pool: Pool, plan: PrototypePlan, *, threads: int) -> Rows:
    """Make prototypes by spherical k-means on a random sample of rows.

    Every row goes to the centroid that its exact search finds, and means are summed in double precision in the order of
    uids: the centroids depend neither on threads nor on how rows lie in shards. A centroid that loses all its rows stays.

    Args:
        stored: Embeddings.
        pool: Their rows by uid.
        plan: How many, and on how many rows.
        threads: Threads.

    Returns:
        Unit rows, shape ``(clusters, d)``.

    Raises:
        Refusal: If there are fewer rows than clusters, or a row is not of length 1.
    """
    n = len(pool)
    if n < plan.clusters:
        raise Refusal(f"clusters is {plan.clusters:,}, there are {n:,} rows: ask for fewer clusters")
    size = min(n, plan.clusters * plan.rows_per_cluster)
    drawn = np.sort(np.random.default_rng((plan.seed, _SAMPLE)).choice(n, size, replace=False))
    sample = fetch_rows(stored, pool.rows[drawn])
    held = HeldRows(sample, _name(size), "sampled row")
    first = np.random.default_rng((plan.seed, _FIRST)).choice(size, plan.clusters, replace=False)
    centroids = _unit(sample[first].astype(np.float64), sample[first].astype(np.float32))
    before = np.full(size, -1, np.int64)
    with track("k-means", plan.iterations, unit="passes") as progress:
        for _ in range(plan.iterations):
            cluster = find_nearest(held, centroids, threads=threads).test
            if np.array_equal(cluster, before):
                break
            centroids, before = _find_means(sample, cluster, centroids), cluster
            progress.advance()
    return centroids


def find_nearest(
    rows: UnitRows, centroids: Rows, *, threads: int, told: Callable[[int], None] | None = None
) -> Found:
    """Find the nearest centroid of every row, exactly; of equal ones the first.

    Args:
        rows: Unit rows, none of which is held in memory.
        centroids: Of ``make_prototypes``.
        threads: Threads.
        told: Called with how many rows more are done, by any thread.

    Returns:
        ``test`` is the centroid and ``score`` the cosine of each row.
    """
    prepared = prepare_tests(centroids, _name(len(centroids)))
    return scan(rows, prepared, Ask(nearest=True), threads=threads, told=told)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The nearest prototype of each row of a pool.

    Attributes:
        centroids: Unit rows, shape ``(clusters, d)``.
        cluster: Its number, shape ``(n,)``.
        cosine: Similarity to it, float32, shape ``(n,)``.
    """

    centroids: Rows
    cluster: IntArray
    cosine: NDArray[np.float32]

    @property
    def rows(self) -> IntArray:
        """Rows of each cluster, shape ``(clusters,)``."""
        return np.bincount(self.cluster, minlength=len(self.centroids))


def find_prototypes(
    stored: StoredRows, pool: Pool, plan: PrototypePlan, folder: Path, *, threads: int = 1
) -> Nearest:
    """Make prototypes and find each row's nearest; a killed run has the prototypes, a finished one everything.

    Args:
        stored: Embeddings, read once for the sample and once for the rows.
        pool: Their rows by uid.
        plan: How prototypes are made.
        folder: Of this stage.
        threads: Threads; the result does not depend on them.

    Returns:
        The prototypes, and 12 bytes a row.

    Raises:
        Refusal: As ``make_prototypes``.
    """
    paths = [folder / f"{name}.npy" for name in ("centroids", "cluster", "cosine")]
    made_from = {
        "embeddings": stored.digest,
        "clusters": plan.clusters,
        "rows_per_cluster": plan.rows_per_cluster,
        "iterations": plan.iterations,
        "seed": plan.seed,
    }
    if stages.begin(folder, made_from):
        with stages.make(folder):
            if not paths[0].is_file():
                files.write_array(paths[0], make_prototypes(stored, pool, plan, threads=threads))
            centroids = files.read_array(paths[0])
            with track("find prototypes", stored.shape[0]) as progress:
                found = find_nearest(stored, centroids, threads=threads, told=progress.advance)
            files.write_array(paths[1], found.test[pool.rows])
            files.write_array(paths[2], found.score[pool.rows])
    centroids, cluster, cosine = (files.read_array(path) for path in paths)
    return Nearest(centroids=centroids, cluster=cluster, cosine=cosine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pruned:
    """Rows that are kept by their distance to a prototype.

    Attributes:
        kept: Shape ``(n,)``.
        floors: Rows that each cluster keeps at least, shape ``(clusters,)``.
        limit: Cosine of the last row that is kept for its distance alone; ``None`` if none is.
    """

    kept: BoolArray
    floors: IntArray
    limit: float | None


def prune(nearest: Nearest, size: int, *, hard: bool, balance: float) -> Pruned:
    """Keep the rows farthest from their prototypes, or the nearest, with a least number of each cluster.

    Args:
        nearest: Of ``find_prototypes``, in the order of uids, by which ties go.
        size: Rows to keep.
        hard: Whether the farthest are kept.
        balance: Least share of each cluster, relative to ``size / n``: with 0.5 a cluster keeps half of what it would
            if all were pruned alike, rounded down.

    Returns:
        What is kept: in each cluster its farthest rows, or its nearest.

    References:
        Sorscher et al., "Beyond neural scaling laws", arXiv:2206.14486, who hold every class to 50 %.

    >>> nearest = Nearest(
    ...     centroids=np.eye(2, dtype=np.float32),
    ...     cluster=np.array([0, 0, 1, 1]),
    ...     cosine=np.array([0.9, 0.8, 0.2, 0.1], np.float32),
    ... )
    >>> prune(nearest, 2, hard=True, balance=0.0).kept.tolist()
    [False, False, True, True]
    >>> prune(nearest, 2, hard=True, balance=1.0).kept.tolist()
    [False, True, False, True]
    """
    rows = nearest.rows
    value = nearest.cosine if hard else -nearest.cosine
    # Whole numbers first: 0.5 * 0.2 * 10 is not to fall below 1 by rounding.
    floors = np.floor(balance * (rows * size) / len(value) + 1e-9).astype(np.int64)
    order = np.lexsort((value, nearest.cluster))
    place = np.arange(len(value)) - np.repeat(np.cumsum(rows) - rows, rows)
    kept = np.zeros(len(value), np.bool_)
    kept[order[place < np.repeat(floors, rows)]] = True
    rest = size - int(kept.sum())
    chosen = take_lowest(np.where(kept, np.inf, value), rest)
    limit = float(value[chosen].max()) if rest else None
    return Pruned(kept=kept | chosen, floors=floors, limit=limit if hard or limit is None else -limit)


def _name(count: int) -> list[str]:
    """Number through what a search wants the ids of, so that their order is that of the numbers."""
    return [f"{number:09d}" for number in range(count)]


def _find_means(sample: NDArray[np.float16], cluster: IntArray, before: Rows) -> Rows:
    order = np.argsort(cluster, kind="stable")
    ends = np.cumsum(np.bincount(cluster, minlength=len(before)))
    sums = np.zeros(before.shape, np.float64)
    for number, members in enumerate(np.split(order, ends[:-1])):
        # Along this axis numpy adds row after row, on every processor alike.
        sums[number] = sample[members].astype(np.float64).sum(axis=0)
    return _unit(sums, before)


def _unit(rows: NDArray[np.float64], instead: Rows) -> Rows:
    """Bring rows to length 1; where one has none, another takes its place."""
    lengths = np.sqrt(_sum_squares(rows))
    found = np.where(lengths > 1e-9, rows / np.maximum(lengths, 1e-30), instead)
    return found.astype(np.float32)


def _sum_squares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the squares of each row column by column, in one order on every processor; shape ``(n, 1)``."""
    found = np.zeros(len(rows))
    for column in rows.T:
        found += column * column
    return found[:, np.newaxis]
