"""Concepts that a corpus never shows: how well a model does on them beside the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.explaining.bootstrap import Draws
from oddpair.eval.intervals import Estimate

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroCounts:
    """Accuracy on concepts of count 0 and on the others; ``None`` where there are none.

    Attributes:
        n_zero: Rows whose count is 0.
        n_counted: Rows whose count is above 0.
        zero: Mean accuracy over the first.
        counted: Mean accuracy over the second.
        within: The second less the first at equal datasets; ``None`` where no dataset has both.
    """

    n_zero: int
    n_counted: int
    zero: Estimate | None
    counted: Estimate | None
    within: Estimate | None


def compare_zero(count: ArrayLike, accuracy: ArrayLike, draws: Draws) -> ZeroCounts:
    """Compare concepts that the corpus never shows with the others, over all rows and within datasets.

    Args:
        count: Count of every row, shape ``(n,)``.
        accuracy: Its accuracy, 0 to 1, shape ``(n,)``.
        draws: Draws of the rows' datasets and concepts.

    Raises:
        ValueError: If shapes differ.

    >>> from oddpair.eval.explaining.bootstrap import draw_levels
    >>> draws = draw_levels(np.array(["a", "a", "a"]), ["cat", "dog", "eel"], np.random.default_rng(0))
    >>> found = compare_zero([0, 5, 9], [0.25, 0.5, 1.0], draws)
    >>> found.n_zero, found.zero.value, found.counted.value, found.within.value
    (1, 0.25, 0.75, 0.5)
    """
    counts, y = np.asarray(count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if counts.shape != (len(draws),) or y.shape != counts.shape:
        raise ValueError(
            f"counts have shape {counts.shape}, accuracies {y.shape}, draws are of {len(draws)} rows"
        )
    zero = counts == 0
    columns = np.stack([zero, ~zero, zero * y, ~zero * y], axis=1).astype(np.float64)
    sums, drawn = draws.sum_rows(columns), draws.sum_draws(columns)
    rows = [int(zero.sum()), int((~zero).sum())]
    means: list[Estimate | None] = []
    for kind, what in enumerate(("mean accuracy, count 0", "mean accuracy, count above 0")):
        mean = _mean(sums[None], kind)
        if np.isnan(mean[0]):
            means.append(None)
            continue
        found = draws.interval(
            mean[0], _mean(drawn, kind), sums[:, kind], what=what, bounds=(0.0, 1.0), n=rows[kind]
        )
        means.append(found)
    gap, both = _gap(sums[None])[0], sums[:, 0] * sums[:, 1] / np.maximum(sums[:, :2].sum(axis=1), 1)
    within = None
    if not np.isnan(gap):
        what = "accuracy above count 0 less that at 0, within datasets"
        within = draws.interval(gap, _gap(drawn), both, what=what, bounds=(-1.0, 1.0))
    return ZeroCounts(n_zero=rows[0], n_counted=rows[1], zero=means[0], counted=means[1], within=within)


def _mean(sums: FloatArray, kind: int) -> FloatArray:
    total = sums.sum(axis=1)
    return _divide(total[:, 2 + kind], total[:, kind])


def _gap(sums: FloatArray) -> FloatArray:
    """Slope on "count above 0" beside the datasets' means."""
    zero, counted, of_zero, of_counted = np.moveaxis(sums, -1, 0)
    size = np.maximum(zero + counted, 1)
    gained, weight = (zero * of_counted - counted * of_zero) / size, zero * counted / size
    return _divide(gained.sum(axis=1), weight.sum(axis=1))


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return ratio
