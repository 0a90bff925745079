"""The samples of highest PMI against those of lowest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.pmi_gap_rows import FloatArray, PmiRows
from oddpair.eval.intervals import Estimate, percentile_interval, resample

TAIL = 0.05
_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class TailGap:
    """The samples of highest PMI against those of lowest.

    Attributes:
        difference: Accuracy at the top minus accuracy at the bottom, a fraction; the support is all samples.
        share: Share of the samples at either end.
        top: Accuracy of the samples of highest PMI.
        bottom: Accuracy of those of lowest.
        nats: Mean PMI at the top minus that at the bottom, in nats.
    """

    difference: Estimate
    share: float
    top: float
    bottom: float
    nats: float


def find_gap(rows: PmiRows, rng: np.random.Generator, share: float = TAIL) -> TailGap:
    """Compare the accuracy of the samples of highest PMI with that of the samples of lowest.

    Samples at the edge of an end that have one PMI count in part, so that their order has no say. Every draw finds its
    own ends, by which plain percentiles cover 95 to 98 % from 40 sets of concepts on.

    Args:
        rows: Rows of one model.
        rng: Source of the draws.
        share: Share of the samples at either end, above 0 and at most 0.5.

    Returns:
        The gap, a fraction.

    Raises:
        ValueError: If ``share`` is out of its range.

    >>> from oddpair.eval.composing.pmi_gap_rows import gather_rows
    >>> pmi = np.arange(20.0)
    >>> rows = gather_rows(pmi >= 12, np.ones(20), pmi, np.zeros((20, 0)), names=(), cluster=pmi, group=np.zeros(20))
    >>> gap = find_gap(rows, np.random.default_rng(0), share=0.5)
    >>> gap.top, gap.bottom, gap.nats
    (0.8, 0.0, 10.0)
    """
    if not 0 < share <= 0.5:
        raise ValueError(f"share is {share}, needed above 0 and at most 0.5")
    order = np.argsort(rows.pmi, kind="stable")
    levels, starts = np.unique(rows.pmi[order], return_index=True)
    cluster, samples = rows.cluster[order], rows.samples[order]
    hits = samples * rows.accuracy[order]

    def take(mass: FloatArray, from_top: bool) -> FloatArray:
        """Mass of each level that lies in an end, shape of ``mass``."""
        wanted = share * mass.sum(axis=1, keepdims=True)
        before = np.cumsum(mass, axis=1) - mass
        if from_top:
            before = mass.sum(axis=1, keepdims=True) - before - mass
        inside: FloatArray = np.clip(wanted - before, 0, mass)
        return inside

    def mean_at(weights: FloatArray, from_top: bool) -> FloatArray:
        drawn = weights[:, cluster]
        mass = np.add.reduceat(drawn * samples, starts, axis=1)
        right = np.add.reduceat(drawn * hits, starts, axis=1)
        rates = np.divide(right, mass, out=np.zeros_like(mass), where=mass > 0)
        inside = take(mass, from_top)
        mean: FloatArray = (inside * rates).sum(axis=1) / inside.sum(axis=1)
        return mean

    everything = np.ones((1, rows.n_clusters))
    top, bottom = float(mean_at(everything, True)[0]), float(mean_at(everything, False)[0])
    draws = resample(
        lambda weights: mean_at(weights, True) - mean_at(weights, False), rows.n_clusters, rng, _DRAWS
    )
    mass = np.add.reduceat(samples, starts)[None]
    ends = [take(mass, from_top)[0] for from_top in (True, False)]
    found = percentile_interval(
        top - bottom,
        draws,
        n=max(round(float(samples.sum())), 1),
        what=f"accuracy at the top {100 * share:.3g} % of PMI minus that at the bottom",
    )
    means = [float(np.average(levels, weights=inside)) for inside in ends]
    return TailGap(difference=found, share=share, top=top, bottom=bottom, nats=means[0] - means[1])
