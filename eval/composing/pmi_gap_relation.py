"""How accuracy goes with PMI: r over samples, over sets of concepts and over bins, and the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.pmi_gap_curve import BinnedR, PmiBin, bin_equally_wide, fill_bins
from oddpair.eval.composing.pmi_gap_rows import FloatArray, PmiRows
from oddpair.eval.intervals import (
    Estimate,
    effective_number,
    percentile_interval,
    r_or_none,
    resample,
    widen_confidence,
)

_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PmiRelation:
    """How accuracy goes with PMI.

    Attributes:
        r_samples: Point-biserial r over samples; its support is the samples.
        r_sets: r over sets of concepts, each of which counts once.
        wide: r over equally wide bins, as papers report it: averaging hides what PMI does not explain, so that it is
            near 1 for a curve that rises, however little.
        filled: r over the equally filled bins; ``None`` under three.
        bins: The equally filled bins, in rising order.
    """

    r_samples: Estimate
    r_sets: Estimate
    wide: BinnedR
    filled: Estimate | None
    bins: tuple[PmiBin, ...]


def relate_pmi(
    rows: PmiRows, pmi: FloatArray, accuracy: FloatArray, rng: np.random.Generator, *, cost: int = 0
) -> PmiRelation:
    """Correlate accuracy with PMI over samples, sets and bins.

    Args:
        rows: Rows of one model.
        pmi: PMI of each row, as it is or adjusted, shape ``(n,)``.
        accuracy: Accuracy of each row, likewise, shape ``(n,)``.
        rng: Source of the draws.
        cost: Columns that adjusting cost: the draws are as much wider.

    Returns:
        Correlations with intervals, and the curve.
    """
    n = rows.samples
    x, y = pmi - np.average(pmi, weights=n), accuracy - np.average(accuracy, weights=n)
    of_rows = np.stack([np.ones(len(x)), x, y, x * y, x * x, rows.spread + y * y], axis=1)
    of_samples = rows.sum_clusters(of_rows * n[:, None])
    means = of_samples[:, 1:3] / of_samples[:, :1]
    mean_x, mean_y = means.T
    of_sets = np.stack([np.ones(len(means)), mean_x, mean_y, mean_x * mean_y, mean_x**2, mean_y**2], axis=1)

    def statistic(weights: FloatArray) -> FloatArray:
        return np.stack([_correlate(weights @ of_samples), _correlate(weights @ of_sets)], axis=1)

    values = statistic(np.ones((1, len(means))))[0]
    draws = values + (resample(statistic, len(means), rng, _DRAWS) - values) * np.sqrt(
        len(means) / (len(means) - cost)
    )
    support = (max(round(float(n.sum())), 1), len(means))
    worth = (effective_number(of_samples[:, 0]), len(means))
    found = [
        percentile_interval(
            float(values[place]),
            np.clip(draws[:, place], -1, 1),
            n=support[place],
            what=f"r of PMI and accuracy over {what}",
            confidence=widen_confidence(0.95, max(worth[place], 2)),
        )
        for place, what in enumerate(("samples", "sets of concepts"))
    ]
    bins = fill_bins(rows, pmi, accuracy, rng)
    return PmiRelation(
        r_samples=found[0],
        r_sets=found[1],
        wide=bin_equally_wide(rows, pmi, accuracy),
        filled=r_or_none(
            [each.at for each in bins],
            [each.accuracy.value for each in bins],
            "r over equally filled bins",
        ),
        bins=bins,
    )


def _correlate(moments: FloatArray) -> FloatArray:
    """Correlation from summed moments: weight, x, y, xy, xx and yy; NaN where one side does not vary."""
    mean_x, mean_y, xy, xx, yy = moments[:, 1:].T / moments[:, 0]
    spread = np.sqrt(np.maximum(xx - mean_x**2, 0) * np.maximum(yy - mean_y**2, 0))
    r: FloatArray = np.divide(
        xy - mean_x * mean_y, spread, out=np.full(len(spread), np.nan), where=spread > 1e-15
    )
    return np.clip(r, -1, 1)
