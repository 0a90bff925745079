"""Accuracy against corpus count: r over concepts, and r over bins as the frequency paper reports it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from oddpair.eval.intervals import Estimate, r_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One bin of a trend: the count at its upper edge, the mean accuracy and the concepts in it."""

    count: float
    accuracy: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Accuracy against count: per concept, and binned as the frequency paper does it, side by side.

    Attributes:
        raw: r of accuracy and log10(1 + count) over concepts; ``None`` where one of them does not vary.
        binned: r of bin means and log upper edges over ``points``; ``None`` under three points.
        all_bins: The same over every bin that is not empty, first and last included.
        points: The bins behind ``binned``.
        dropped: Which bins are not among them, and why.
    """

    raw: Estimate | None
    binned: Estimate | None
    all_bins: Estimate | None
    points: tuple[TrendPoint, ...]
    dropped: tuple[str, ...]


def trend(count: ArrayLike, accuracy: ArrayLike, bins: int = 12) -> Trend:
    """Correlate accuracy with log count, per concept and in bins.

    Binning of the frequency paper: ``x = ln(max(count, 1))``, ``bins`` edges evenly from the smallest to
    the largest x, bins closed on the right, each mean placed at its upper edge, and the first and last
    bin left out. The first holds the smallest count only, so concepts that the corpus never or hardly
    shows cannot move the binned r; they do move the raw one.

    Args:
        count: Corpus count of every concept, shape ``(n,)``.
        accuracy: Its accuracy, shape ``(n,)``.
        bins: Number of bins.

    Returns:
        Both correlations, the points behind the binned one and the bins that were dropped.

    Raises:
        ValueError: If the shapes differ, are empty, or a count is negative.

    References:
        Udandarao et al., No "Zero-Shot" Without Exponential Data, arXiv:2404.04125.
    """
    counts, shares = np.asarray(count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if counts.shape != shares.shape or counts.ndim != 1 or len(counts) == 0:
        raise ValueError(f"counts have shape {counts.shape}, accuracies {shares.shape}")
    if not (counts >= 0).all():
        raise ValueError("a count is negative or NaN")
    x = np.log(np.maximum(counts, 1))
    edges = np.linspace(x.min(), x.max(), bins)
    bin_of = np.digitize(x, edges, right=True)
    every, kept, dropped = [], [], []
    for index in range(bins):
        inside = bin_of == index
        number = int(inside.sum())
        end = {0: "first", bins - 1: "last"}.get(index)
        label = f"bin {index + 1} (counts up to {np.exp(edges[index]):.4g}, {number} concepts)"
        if number == 0:
            dropped.append(f"{label}: empty")
            continue
        point = TrendPoint(count=float(np.exp(edges[index])), accuracy=float(shares[inside].mean()), n=number)
        every.append(point)
        if end is None:
            kept.append(point)
        else:
            dropped.append(f"{label}: {end} bin, left out by rule")
    return Trend(
        raw=r_or_none(np.log10(1 + counts), shares, "r over concepts"),
        binned=_r_of_points(kept, "r over bins"),
        all_bins=_r_of_points(every, "r over all bins"),
        points=tuple(kept),
        dropped=tuple(dropped),
    )


def _r_of_points(points: Sequence[TrendPoint], what: str) -> Estimate | None:
    return r_or_none(
        np.log([point.count for point in points]), np.array([point.accuracy for point in points]), what
    )
