"""The score of two stored rows: their float64 dot product, added in index order, rounded to float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_VALUES_AT_ONCE = 1 << 23


def exact_scores(queries: NDArray[Any], corpus: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the score of each query with its own corpus rows, added in index order.

    Products of float32 numbers are exact in float64, so the order of the sum is all that could differ
    between machines.

    Args:
        queries: float16 or float32, shape ``(m, d)``.
        corpus: float16 or float32, shape ``(n, d)``.
        rows: Corpus rows per query, shape ``(m, k)``.

    Returns:
        float32, shape ``(m, k)``.

    >>> exact_scores(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), np.array([[0], [0]]))
    array([[1.],
           [0.]], dtype=float32)
    """
    from oddpair.retrieval.kernel.settle import score_pairs

    scores = np.empty(rows.shape, dtype=np.float32)
    left = np.ascontiguousarray(queries, dtype=np.float32)
    step = max(1, _VALUES_AT_ONCE // max(1, rows.shape[1] * corpus.shape[1]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        # Only rows that are asked for are converted: a corpus of float16 may be large.
        asked, place = np.unique(part, return_inverse=True)
        right = np.ascontiguousarray(corpus[asked], dtype=np.float32)
        query = np.repeat(np.arange(start, start + len(part)), part.shape[1])
        found = np.empty(part.size, dtype=np.float32)
        score_pairs(right, left, place.reshape(-1), query, found)
        scores[start : start + step] = found.reshape(part.shape)
    return scores
