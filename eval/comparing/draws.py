"""Draws of whole clusters that several tasks and models share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oddpair.eval.comparing.answers import Answers
from oddpair.eval.intervals import FloatArray, resample
from oddpair.retrieval.unit_rows import IntArray


def code_clusters(sides: Sequence[Answers]) -> tuple[tuple[IntArray, ...], int]:
    """Number the clusters of several tasks, the same one alike in each.

    Args:
        sides: The tasks.

    Returns:
        The number of each question's cluster, shape ``(n,)`` for each task, and how many clusters there are.
    """
    names = sorted({name for side in sides for name in side.clusters})
    place = {name: number for number, name in enumerate(names)}
    codes = tuple(np.array([place[name] for name in side.clusters], dtype=np.int64) for side in sides)
    return codes, len(names)


def draw_means(
    columns: Sequence[FloatArray], codes: Sequence[IntArray], n_clusters: int, seed: int
) -> FloatArray:
    """Draw clusters with replacement and take the mean of each column over the questions drawn.

    A cluster that several columns share is drawn in all of them together, so that what they share cancels in their
    difference; others vary on their own.

    Args:
        columns: A value of each question, shape ``(n,)``; one column for a task or a model.
        codes: Its cluster, shape ``(n,)`` for each column.
        n_clusters: Clusters of all columns, 2 or more.
        seed: Of the draws.

    Returns:
        Shape ``(draws, columns)``; NaN where a draw holds no question of the column.
    """
    totals = np.stack(
        [
            np.bincount(code, weights=weights, minlength=n_clusters)
            for column, code in zip(columns, codes, strict=True)
            for weights in (column, None)
        ],
        axis=1,
    )
    sums = resample(lambda weights: weights @ totals, n_clusters, np.random.default_rng(seed))
    over, under = sums[:, 0::2], sums[:, 1::2]
    means: FloatArray = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
    return means
