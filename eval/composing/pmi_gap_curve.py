"""Accuracy along PMI in bins: equally filled ones for a curve, equally wide ones for a published kind of r."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.pmi_gap_rows import FloatArray, IntArray, PmiRows
from oddpair.eval.intervals import (
    Estimate,
    cluster_bootstrap,
    effective_number,
    r_or_none,
    widen_confidence,
)

# Equally filled: the outermost bins are the lowest and the highest 5 % of the samples.
MOST_BINS = 20
_LEAST_SETS = 5
_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PmiBin:
    """Samples of similar PMI.

    Attributes:
        at: Their mean PMI, in nats.
        accuracy: Their mean accuracy; the interval draws whole sets of concepts, the support is the samples.
        n_sets: Sets of concepts that were drawn from.
    """

    at: float
    accuracy: Estimate
    n_sets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BinnedR:
    """Correlation of bin means with PMI, by which paper and plot depend on the bins.

    Attributes:
        inner: r over the bins without the first and the last; ``None`` under three bins. Its support is the bins.
        all_bins: The same over every bin that is not empty.
        n_bins: Bins asked for.
        dropped: Which bins are not behind ``inner``, and why.
    """

    inner: Estimate | None
    all_bins: Estimate | None
    n_bins: int
    dropped: tuple[str, ...]


def fill_bins(
    rows: PmiRows, pmi: FloatArray, accuracy: FloatArray, rng: np.random.Generator
) -> tuple[PmiBin, ...]:
    """Average accuracy in bins of equally many samples, as many as there are sets of concepts to fill them with.

    Rows of one PMI are never parted, so that bins may differ in size.

    Args:
        rows: Rows of one model.
        pmi: PMI of each row, as it is or adjusted, shape ``(n,)``.
        accuracy: Accuracy of each row, likewise, shape ``(n,)``.
        rng: Source of the draws.

    Returns:
        The bins in rising order, up to 20, those without rows left out.
    """
    levels, level = np.unique(pmi, return_inverse=True)
    mass = np.bincount(level.reshape(-1), weights=rows.samples)
    n_bins = int(np.clip(min(len(levels), rows.n_clusters) // _LEAST_SETS, 1, MOST_BINS))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bin_of = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)[level.reshape(-1)]
    return tuple(_average(rows, pmi, accuracy, bin_of == place, rng) for place in np.unique(bin_of))


def bin_equally_wide(rows: PmiRows, pmi: FloatArray, accuracy: FloatArray, n_bins: int = 12) -> BinnedR:
    """Correlate mean accuracy with PMI over equally wide bins, as the frequency paper bins log counts.

    ``n_bins`` edges lie evenly from the smallest to the largest PMI, bins are closed on the right, each mean stands at
    its upper edge, and the first and the last bin are left out. No file says how the PMI paper binned.

    Args:
        rows: Rows of one model; each bin's mean is over its samples.
        pmi: PMI of each row, shape ``(n,)``; it varies.
        accuracy: Accuracy of each row, shape ``(n,)``.
        n_bins: Number of bins, 3 or more.

    Returns:
        Both correlations, and what was dropped.

    References:
        Udandarao et al., arXiv:2404.04125, for the bins; Qu and Xie, arXiv:2507.08000, for accuracy against PMI.
    """
    edges = np.linspace(pmi.min(), pmi.max(), n_bins)
    bin_of = np.digitize(pmi, edges, right=True)
    mass = np.bincount(bin_of, weights=rows.samples, minlength=n_bins)
    hits = np.bincount(bin_of, weights=rows.samples * accuracy, minlength=n_bins)
    filled = np.flatnonzero(mass > 0)
    inner = filled[(filled > 0) & (filled < n_bins - 1)]
    dropped = [
        f"bin {place + 1} (PMI up to {edges[place]:.2f}): "
        + ("empty" if mass[place] == 0 else f"{'last' if place else 'first'}, {mass[place]:,.0f} samples")
        for place in range(n_bins)
        if place not in inner
    ]
    means = np.divide(hits, mass, out=np.zeros(n_bins), where=mass > 0)
    return BinnedR(
        inner=r_or_none(edges[inner], means[inner], "r over equally wide bins, without the outermost"),
        all_bins=r_or_none(edges[filled], means[filled], "r over all equally wide bins"),
        n_bins=n_bins,
        dropped=tuple(dropped),
    )


def _average(
    rows: PmiRows, pmi: FloatArray, accuracy: FloatArray, inside: np.ndarray, rng: np.random.Generator
) -> PmiBin:
    samples, shares = rows.samples[inside], accuracy[inside]
    sets: IntArray = np.unique(rows.cluster[inside], return_inverse=True)[1].reshape(-1)
    mass, hits = np.bincount(sets, weights=samples), np.bincount(sets, weights=samples * shares)
    what = "accuracy in a bin of PMI"
    value, worth = float(hits.sum() / mass.sum()), effective_number(mass)
    if len(mass) == 1 or np.ptp(hits / mass) == 0:
        # Drawing shows no spread: the ends of an exact interval at 0 and 1, for as many trials as there are sets.
        reach = 1 - 0.025 ** (1 / worth) if len(mass) > 1 else 1.0
        low, high = value - reach, value + reach
    else:
        drawn = cluster_bootstrap(
            lambda weights: (weights @ hits) / (weights @ mass),
            len(mass),
            rng,
            _DRAWS,
            what=what,
            confidence=widen_confidence(0.95, max(worth, 2)),
        )
        low, high = drawn.low, drawn.high
    # Adjusted accuracies may leave 0 to 1, and then the ends keep to them.
    ends = min(max(low, 0.0), value), max(min(high, 1.0), value)
    n = max(round(float(samples.sum())), 1)
    found = Estimate(value=value, low=ends[0], high=ends[1], n=n, what=what)
    return PmiBin(at=float(np.average(pmi[inside], weights=samples)), accuracy=found, n_sets=len(mass))
