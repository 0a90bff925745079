"""Candidates settled: scored in float32 first, and what that leaves open by the score that counts.

The score of two stored rows is their float64 dot product, added in index order, rounded to float32. Products of
float32 numbers are exact in float64, so nothing but the order of the sum could differ between machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import ANY_ORDER, compiled

# Sums of so many pairs run side by side, each in its own order: one alone waits for every addition.
_TOGETHER = 4


@compiled()
def score_pairs(
    rows: NDArray[np.float32],
    tests: NDArray[np.float32],
    row: NDArray[Any],
    test: NDArray[Any],
    scores: NDArray[np.float32],
) -> None:
    """Score pairs exactly.

    Args:
        rows: Shape ``(n, d)``.
        tests: Shape ``(m, d)``.
        row: Row of each pair, shape ``(p,)``.
        test: Test of each pair, shape ``(p,)``.
        scores: Filled, shape ``(p,)``.
    """
    products = np.empty((_TOGETHER, rows.shape[1]), dtype=np.float64)
    a, b, c, e = products[0], products[1], products[2], products[3]
    for start in range(0, len(row), _TOGETHER):
        size = min(_TOGETHER, len(row) - start)
        for p in range(size):
            left, right, product = rows[row[start + p]], tests[test[start + p]], products[p]
            for k in range(len(left)):
                product[k] = np.float64(left[k]) * np.float64(right[k])
        total_a = total_b = total_c = total_e = 0.0
        for k in range(rows.shape[1]):
            total_a += a[k]
            total_b += b[k]
            total_c += c[k]
            total_e += e[k]
        totals = (total_a, total_b, total_c, total_e)
        for p in range(size):
            scores[start + p] = np.float32(totals[p])


@compiled(ANY_ORDER)
def refine(
    rows: NDArray[np.float32],
    tests: NDArray[np.float32],
    slack: np.float32,
    floors: NDArray[np.float32],
    above: NDArray[np.float32],
    floor: NDArray[np.float32],
    hit: NDArray[np.uint8],
    row: NDArray[np.int32],
    test: NDArray[np.int32],
    upper: NDArray[np.float32],
    n: int,
) -> tuple[int, int]:
    """Score candidates in float32, raise the rows' floors, and keep what still reaches one.

    Args:
        rows: Of the block, shape ``(r, d)``.
        tests: Shape ``(m, d)``.
        slack: The most that such a score is off.
        floors: Of tests, for rows that have not hit yet and for those that have, shape ``(2, m)``.
        above: Thresholds of the tests, shape ``(m,)``; infinite where no hit is asked for.
        floor: Of each row, shape ``(r,)``; infinite where no maximum is asked for; raised in place.
        hit: 1 for rows that have hit; changed in place.
        row: Rows of the candidates; those that stay are moved to the front.
        test: Their tests.
        upper: Their upper bounds; lowered.
        n: Candidates.

    Returns:
        Candidates that stay, and how many were scored.
    """
    scored = 0
    for p in range(n):
        i, j = row[p], test[p]
        if upper[p] < floor[i] and upper[p] < floors[hit[i], j]:
            continue
        left, right = rows[i], tests[j]
        score = np.float32(0)
        for k in range(len(left)):
            score += left[k] * right[k]
        row[scored], test[scored], upper[scored] = i, j, score + slack
        scored += 1
        floor[i] = max(floor[i], score - slack)
        if score - slack > above[j]:
            hit[i] = 1
    stay = 0
    for p in range(scored):
        i, j = row[p], test[p]
        if upper[p] >= floor[i] or upper[p] >= floors[hit[i], j]:
            row[stay], test[stay], upper[stay] = i, j, upper[p]
            stay += 1
    return stay, scored


@compiled()
def decide(
    scores: NDArray[np.float32],
    above: NDArray[np.float32],
    rank: NDArray[np.int64],
    hit: NDArray[np.uint8],
    best: NDArray[np.float32],
    best_test: NDArray[np.int64],
    row: NDArray[np.int32],
    test: NDArray[np.int32],
    n: int,
) -> None:
    """Mark the rows that hit, and keep each row's best test; of equal ones that of the smaller rank.

    Args:
        scores: Exact scores of the candidates, shape ``(n,)``.
        above: Thresholds of the tests.
        rank: Of the tests in the order of their ids.
        hit: Changed in place.
        best: Best score of each row; empty where it is not asked for.
        best_test: Its test.
        row: Rows of the candidates.
        test: Their tests.
        n: Candidates.
    """
    for p in range(n):
        i, j, score = row[p], test[p], scores[p]
        if score > above[j]:
            hit[i] = 1
        if len(best) and (score > best[i] or (score == best[i] and rank[j] < rank[best_test[i]])):
            best[i] = score
            best_test[i] = j
