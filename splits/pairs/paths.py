"""What leads from one concept of a pair to the other: common neighbours and the shortest path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.counting.pmi import IntArray
from oddpair.splits.pairs.graph import PairGraph

NO_PATH = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairPaths:
    """What joins the two concepts of each pair; one value a pair.

    Attributes:
        common: Concepts that both are seen with, shape ``(n_pairs,)``.
        strongest: The first few of them by the smaller of the two counts, ties by id.
        strengths: That smaller count of each of them.
        lengths: Edges of the shortest path, shape ``(n_pairs,)``: 1 for a pair that is an edge itself, 2 through a
            common neighbour, ``NO_PATH`` where none joins them.
    """

    common: IntArray
    strongest: list[list[int]]
    strengths: list[list[int]]
    lengths: IntArray


def find_paths(
    graph: PairGraph, pairs: IntArray, *, most: int = 3, told: Callable[[int], None] | None = None
) -> PairPaths:
    """Find common neighbours and shortest paths of pairs.

    Takes the time to read the partners of each pair's second concept, and of those nearby where a pair is further apart.

    Args:
        graph: The graph of seen pairs.
        pairs: Ids of two different concepts, shape ``(n_pairs, 2)``; quickest when sorted by the first.
        most: Common neighbours to name.
        told: Called with the number of pairs that were done since.

    Returns:
        One value a pair.
    """
    common = np.zeros(len(pairs), np.int64)
    lengths = np.full(len(pairs), NO_PATH, np.int64)
    strongest: list[list[int]] = []
    strengths: list[list[int]] = []
    seen_with = np.zeros(len(graph), np.int64)
    marked = -1
    for row, (first, second) in enumerate(pairs.tolist()):
        if first != marked:
            seen_with[:] = 0
            partners, together = graph.of(first)
            seen_with[partners] = together
            marked = first
        partners, together = graph.of(second)
        weaker = np.minimum(seen_with[partners], together)
        common[row] = np.count_nonzero(weaker)
        top = _choose_top(weaker, min(most, int(common[row])))
        strongest.append(partners[top].tolist())
        strengths.append(weaker[top].tolist())
        if seen_with[second]:
            lengths[row] = 1
        elif common[row]:
            lengths[row] = 2
        elif graph.component[first] == graph.component[second]:
            lengths[row] = _measure(graph, first, second)
        if told:
            told(1)
    return PairPaths(common=common, strongest=strongest, strengths=strengths, lengths=lengths)


def _choose_top(values: IntArray, number: int) -> IntArray:
    """Choose the places of the largest values, the first of equal ones."""
    if number == 0:
        return np.empty(0, np.int64)
    least = np.partition(values, len(values) - number)[len(values) - number]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:number]]


def _measure(graph: PairGraph, first: int, second: int) -> int:
    """Search from both ends at once, always on the side with fewer edges to follow, until the two meet."""
    fronts = [np.array([first]), np.array([second])]
    reached = np.zeros((2, len(graph)), np.bool_)
    reached[0, first] = reached[1, second] = True
    degrees = graph.degrees
    length = 0
    while True:
        side = int(degrees[fronts[0]].sum() > degrees[fronts[1]].sum())
        front = _follow(graph, fronts[side])
        length += 1
        if reached[1 - side, front].any():
            return length
        fronts[side] = np.unique(front[~reached[side, front]]).astype(np.int64)
        reached[side, fronts[side]] = True


def _follow(graph: PairGraph, concepts: IntArray) -> NDArray[np.int32]:
    counts = graph.degrees[concepts]
    ends = np.cumsum(counts)
    places = np.arange(ends[-1]) + np.repeat(graph.starts[concepts] - (ends - counts), counts)
    found: NDArray[np.int32] = graph.partners[places]
    return found
