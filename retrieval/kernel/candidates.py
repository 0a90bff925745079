"""Tiles of approximate scores, searched for pairs whose score might matter while the tile is still in cache.

An approximate score is ``value * scale of the row * scale of the test``; the true one lies no farther from it than
``slack of the row + slack of the test``. A pair is a candidate if its upper bound reaches a floor: the row's, which
is the best lower bound so far, or the test's, which is its threshold or its k-th best score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import ANY_ORDER, compiled

# Pairs that are looked at as one before any of them is looked at by itself.
PART = 32


@compiled({"nsz", "contract"})
def raise_floors(
    values: NDArray[Any],
    scale: NDArray[np.float32],
    slack: NDArray[np.float32],
    test_scale: NDArray[np.float32],
    test_slack: NDArray[np.float32],
    floor: NDArray[np.float32],
) -> None:
    """Raise each row's floor to the best lower bound of a tile.

    Args:
        values: Tile, shape ``(n, c)``.
        scale: Of each row, shape ``(n,)``.
        slack: Of each row, shape ``(n,)``.
        test_scale: Of each test, shape ``(c,)``.
        test_slack: Of each test, shape ``(c,)``.
        floor: Of each row, shape ``(n,)``; raised in place.
    """
    for i in range(len(values)):
        # Positive floats sort as integers do. Among negative ones the order is reversed, and the floor, being some
        # pair's lower bound all the same, is only lower than it could be.
        best = np.int32(-(2**31))
        for j in range(values.shape[1]):
            bound = np.float32(np.float32(values[i, j]) * (scale[i] * test_scale[j]) - test_slack[j])
            bits = bound.view(np.int32)
            best = np.int32(bits) if bits > best else np.int32(best)
        lower = np.int32(best).view(np.float32) - slack[i]
        floor[i] = max(lower, floor[i])


@compiled(ANY_ORDER)
def find_by_test(
    values: NDArray[Any],
    scale: NDArray[np.float32],
    slack: NDArray[np.float32],
    test_scale: NDArray[np.float32],
    test_slack: NDArray[np.float32],
    gap: NDArray[np.float32],
    above: NDArray[np.float32],
    first: int,
    only_hits: bool,
    hit: NDArray[np.uint8],
    row: NDArray[np.int32],
    test: NDArray[np.int32],
    upper: NDArray[np.float32],
    n: int,
) -> int:
    """Add the pairs of a tile that reach their test's floor to the candidates, and mark rows that surely hit.

    Args:
        values: Tile, shape ``(rows, parts, 32)``.
        scale: Of each row.
        slack: Of each row.
        test_scale: Shape ``(parts, 32)``.
        test_slack: Shape ``(parts, 32)``.
        gap: Slack less floor, shape ``(2, parts, 32)``: of rows that have not hit yet, and of those that have.
        above: Thresholds, shape ``(parts, 32)``; infinite where no hit is asked for.
        first: Number of the tile's first test.
        only_hits: Whether there is nothing to find in rows that have hit.
        hit: 1 for rows that have hit, shape ``(rows,)``; changed in place.
        row: Rows of the candidates; filled from ``n`` on.
        test: Their tests.
        upper: Their upper bounds.
        n: Candidates before this tile.

    Returns:
        Candidates after it.
    """
    for i in range(len(values)):
        if only_hits and hit[i]:
            continue
        least = -slack[i]
        goal = gap[hit[i]]
        for part in range(values.shape[1]):
            count = np.int32(0)
            for j in range(PART):
                count += np.int32(
                    np.float32(values[i, part, j]) * (scale[i] * test_scale[part, j]) + goal[part, j] >= least
                )
            if count == 0:
                continue
            for j in range(PART):
                score = np.float32(values[i, part, j]) * (scale[i] * test_scale[part, j])
                if score + goal[part, j] >= least:
                    slacks = test_slack[part, j] + slack[i]
                    if score - slacks > above[part, j]:
                        hit[i] = 1
                        if only_hits:
                            break
                        goal = gap[1]
                        if not score + goal[part, j] >= least:
                            continue
                    row[n] = i
                    test[n] = first + part * PART + j
                    upper[n] = score + slacks
                    n += 1
            if only_hits and hit[i]:
                break
    return n


@compiled(ANY_ORDER)
def find_by_row(
    values: NDArray[Any],
    scale: NDArray[np.float32],
    slack: NDArray[np.float32],
    test_scale: NDArray[np.float32],
    test_slack: NDArray[np.float32],
    floor: NDArray[np.float32],
    first: int,
    row: NDArray[np.int32],
    test: NDArray[np.int32],
    upper: NDArray[np.float32],
    n: int,
) -> int:
    """Add the pairs of a tile that reach their row's floor to the candidates, and raise the floors.

    Args:
        values: Tile, shape ``(rows, parts, 32)``.
        scale: Of each row.
        slack: Of each row.
        test_scale: Shape ``(parts, 32)``.
        test_slack: Shape ``(parts, 32)``.
        floor: Of each row; raised in place.
        first: Number of the tile's first test.
        row: Rows of the candidates; filled from ``n`` on.
        test: Their tests.
        upper: Their upper bounds.
        n: Candidates before this tile.

    Returns:
        Candidates after it.
    """
    for i in range(len(values)):
        least = floor[i] - slack[i]
        for part in range(values.shape[1]):
            count = np.int32(0)
            for j in range(PART):
                count += np.int32(
                    np.float32(values[i, part, j]) * (scale[i] * test_scale[part, j]) + test_slack[part, j]
                    >= least
                )
            if count == 0:
                continue
            for j in range(PART):
                score = np.float32(values[i, part, j]) * (scale[i] * test_scale[part, j])
                if score + test_slack[part, j] >= least:
                    slacks = test_slack[part, j] + slack[i]
                    row[n] = i
                    test[n] = first + part * PART + j
                    upper[n] = score + slacks
                    n += 1
                    if score - slacks > floor[i]:
                        floor[i] = score - slacks
                        least = floor[i] - slack[i]
    return n


@compiled(ANY_ORDER)
def find_by_both(
    values: NDArray[Any],
    scale: NDArray[np.float32],
    slack: NDArray[np.float32],
    test_scale: NDArray[np.float32],
    test_slack: NDArray[np.float32],
    gap: NDArray[np.float32],
    above: NDArray[np.float32],
    floor: NDArray[np.float32],
    first: int,
    hit: NDArray[np.uint8],
    row: NDArray[np.int32],
    test: NDArray[np.int32],
    upper: NDArray[np.float32],
    n: int,
) -> int:
    """Add the pairs of a tile that reach their row's or their test's floor; arguments as of the two others.

    Args:
        values: Tile, shape ``(rows, parts, 32)``.
        scale: Of each row.
        slack: Of each row.
        test_scale: Shape ``(parts, 32)``.
        test_slack: Shape ``(parts, 32)``.
        gap: As of ``find_by_test``.
        above: As of ``find_by_test``.
        floor: As of ``find_by_row``.
        first: Number of the tile's first test.
        hit: As of ``find_by_test``.
        row: Rows of the candidates; filled from ``n`` on.
        test: Their tests.
        upper: Their upper bounds.
        n: Candidates before this tile.

    Returns:
        Candidates after it.
    """
    for i in range(len(values)):
        least = floor[i] - slack[i]
        least_gap = -slack[i]
        goal = gap[hit[i]]
        for part in range(values.shape[1]):
            count = np.int32(0)
            for j in range(PART):
                score = np.float32(values[i, part, j]) * (scale[i] * test_scale[part, j])
                count += np.int32(
                    (score + test_slack[part, j] >= least) | (score + goal[part, j] >= least_gap)
                )
            if count == 0:
                continue
            for j in range(PART):
                score = np.float32(values[i, part, j]) * (scale[i] * test_scale[part, j])
                if score + test_slack[part, j] >= least or score + goal[part, j] >= least_gap:
                    slacks = test_slack[part, j] + slack[i]
                    if score - slacks > above[part, j]:
                        hit[i] = 1
                        goal = gap[1]
                    row[n] = i
                    test[n] = first + part * PART + j
                    upper[n] = score + slacks
                    n += 1
                    if score - slacks > floor[i]:
                        floor[i] = score - slacks
                        least = floor[i] - slack[i]
    return n
