"""Seen samples as controls of unseen ones, one for one, whose concepts are as frequent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import IntArray

FloatArray = NDArray[np.float64]

# It keeps a couple that is exactly the caliper apart, whatever its last bit.
ALLOWANCE = 1e-9
_PLACES = 12
# About 2 GB while they are sorted and matched.
MOST_COUPLES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frequencies:
    """What samples are matched on.

    Attributes:
        size: Concepts of each sample, shape ``(n,)``.
        log_counts: Of two concepts the log10 count of the rarer and of the other; of more the mean log10 count, twice;
            shape ``(n, 2)``.
    """

    size: IntArray
    log_counts: FloatArray

    def take(self, rows: IntArray) -> Frequencies:
        """Return those of some samples."""
        return Frequencies(size=self.size[rows], log_counts=self.log_counts[rows])


def measure_frequencies(ends: NDArray[np.integer], counts: IntArray, rows: IntArray) -> Frequencies:
    """Return what samples are matched on.

    Args:
        ends: Where the concepts of each sample end, as in a sparse matrix.
        counts: Count of each concept of each sample.
        rows: Samples to measure, each of two concepts or more that occur.

    Raises:
        ValueError: If a sample has fewer concepts, or one that does not occur.

    >>> measure_frequencies(np.array([0, 2, 5]), np.array([1000, 10, 1, 10, 100]), np.array([0, 1])).log_counts
    array([[1., 3.],
           [1., 1.]])
    """
    size = np.diff(ends)[rows].astype(np.int64)
    if np.any(size < 2):
        raise ValueError("a sample of fewer than two concepts, needed two or more")
    log_counts = np.zeros((len(rows), 2))
    for place, row in enumerate(rows.tolist()):
        here = counts[ends[row] : ends[row + 1]]
        if not here.all():
            raise ValueError(f"sample {row} has a concept that does not occur")
        logs = np.sort(np.log10(here))
        log_counts[place] = logs if len(logs) == 2 else logs.mean()
    return Frequencies(size=size, log_counts=log_counts)


def match_seen(
    unseen: Frequencies, seen: Frequencies, *, caliper: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Give as many unseen samples as possible a seen sample of their own that is as frequent.

    No matching has more couples. Of the matchings of the same unseen samples it is one with the smallest sum of
    distances. The result depends on the order of the samples only where several are equally good. All couples within
    the caliper are in memory, about 100 bytes each: at most 20 million of one size of set.

    Args:
        unseen: Unseen samples.
        seen: Seen samples.
        caliper: Largest difference of each log10 count, in decades; both have as many concepts.

    Returns:
        The matched unseen samples, ascending, the seen sample of each, and the largest difference of their log10
        counts, all of shape ``(n_matched,)``.

    Raises:
        Refusal: If more couples than that are within the caliper.

    References:
        Rosenbaum and Rubin, The American Statistician 39(1), 1985.
    """
    left, right = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in np.intersect1d(unseen.size, seen.size).tolist():
        ours, theirs = np.flatnonzero(unseen.size == size), np.flatnonzero(seen.size == size)
        a, b = _match(unseen.log_counts[ours], seen.log_counts[theirs], caliper)
        left.append(ours[a])
        right.append(theirs[b])
    one, other = np.concatenate(left), np.concatenate(right)
    order = np.argsort(one)
    one, other = one[order], other[order]
    gap = np.abs(unseen.log_counts[one] - seen.log_counts[other]).max(axis=1, initial=0.0)
    return one, other, gap


def _match(left: FloatArray, right: FloatArray, caliper: float) -> tuple[IntArray, IntArray]:
    ours, theirs, reach = cKDTree(left), cKDTree(right), caliper + ALLOWANCE
    couples = int(ours.count_neighbors(theirs, reach, p=np.inf))
    if couples > MOST_COUPLES:
        raise Refusal(
            f"{couples:,} couples of {len(left):,} unseen and {len(right):,} seen samples are within the caliper of "
            f"{caliper:g} decades, at most {MOST_COUPLES:,} can be matched: set a smaller caliper, or a larger "
            "minimum_count"
        )
    near = ours.sparse_distance_matrix(theirs, reach, p=np.inf, output_type="ndarray")
    if not len(near):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    near = near[np.lexsort((near["j"], near["i"]))]
    gaps = left[near["i"]] - right[near["j"]]
    # Rounded, so that equal distances tie whatever their last bit; a weight of 0 would be no edge.
    weight = 1 + np.round(np.hypot(gaps[:, 0], gaps[:, 1]), _PLACES)
    graph = csr_array((weight, (near["i"], near["j"])), shape=(len(left), len(right)))
    rows = np.flatnonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0)
    _, columns = min_weight_full_bipartite_matching(graph[rows])
    return rows.astype(np.int64), columns.astype(np.int64)
