"""Loops that count pairs of concepts, compiled by numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import compiled

# Pairs whose cells are known before any is touched: the processor then fetches many cells at a time.
_AHEAD = 4096


@compiled()
def scan_pairs(
    ends: NDArray[np.int64],
    concepts: NDArray[np.int32],
    rank: NDArray[np.int32],
    longest: int,
    cells: NDArray[np.uint32],
) -> None:
    """Add 1 to the cell of every pair of each row.

    Args:
        ends: Row ``i`` holds ``concepts[ends[i]:ends[i + 1]]``.
        concepts: Ids, each once in a row.
        rank: Of each concept, -1 where its pairs are not counted; shape ``(n_concepts,)``.
        longest: Concepts in the longest row.
        cells: The pair of ranks ``i < j`` has cell ``j (j - 1) / 2 + i``; changed in place.
    """
    ranks = np.empty(longest + 1, np.int32)
    ahead = np.empty(_AHEAD, np.int32)
    known = 0
    for row in range(len(ends) - 1):
        n = 0
        # Without a branch, which would be guessed wrong as often as not.
        for place in range(ends[row], ends[row + 1]):
            found = rank[concepts[place]]
            ranks[n] = found
            n += found >= 0
        if known + n * (n - 1) // 2 > _AHEAD:
            for k in range(known):
                cells[np.uint32(ahead[k])] += np.uint32(1)
            known = 0
            if n * (n - 1) // 2 > _AHEAD:
                for p in range(1, n):
                    for q in range(p):
                        low, high = min(ranks[p], ranks[q]), max(ranks[p], ranks[q])
                        cells[(high * (high - 1) >> 1) + low] += np.uint32(1)
                continue
        for p in range(1, n):
            one = ranks[p]
            for q in range(p):
                low, high = min(one, ranks[q]), max(one, ranks[q])
                ahead[known + q] = (high * (high - np.int32(1)) >> 1) + low
            known += p
    for k in range(known):
        cells[np.uint32(ahead[k])] += np.uint32(1)


@compiled()
def scan_requested(
    ends: NDArray[np.int64],
    concepts: NDArray[Any],
    starts: NDArray[np.int64],
    partners: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add 1 to every requested pair that a row holds.

    Args:
        ends: Row ``i`` holds ``concepts[ends[i]:ends[i + 1]]``.
        concepts: Ids, each once in a row.
        starts: Concept ``c`` was requested with ``partners[starts[c]:starts[c + 1]]``.
        partners: Ids, ascending for each concept.
        counts: Of the pairs in the order of ``partners``; changed in place.
    """
    for row in range(len(ends) - 1):
        for place in range(ends[row], ends[row + 1]):
            start, stop = starts[concepts[place]], starts[concepts[place] + 1]
            if start == stop:
                continue
            for other in range(ends[row], ends[row + 1]):
                wanted = concepts[other]
                low, high = start, stop
                while low < high:
                    middle = (low + high) >> 1
                    if partners[middle] < wanted:
                        low = middle + 1
                    else:
                        high = middle
                if low < stop and partners[low] == wanted:
                    counts[low] += 1
