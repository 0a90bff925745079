"""Accuracy against corpus count: r over concepts, and r over bins as the frequency paper reports it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from oddpair.eval.intervals import Estimate, FloatArray, r_or_none

# The first and the last bin left out: the rule behind most of the paper's figures.
INNER = slice(1, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Concepts whose counts lie in one bin.

    Attributes:
        count: The count at its upper edge, which belongs to it.
        n: Concepts in it.
        accuracy: Their mean accuracy; ``None`` for an empty bin.
        spread: Standard deviation of their accuracies, with n degrees of freedom; ``None`` for an empty bin.
    """

    count: float
    n: int
    accuracy: float | None
    spread: float | None


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


def bin_by_count(count: ArrayLike, accuracy: ArrayLike, bins: int = 12) -> tuple[Bin, ...]:
    """Average accuracies in bins of equal width in log count.

    Binning of the frequency paper: ``x = ln(max(count, 1))``, ``bins`` edges evenly from the smallest to the largest
    x, bins closed on the right. The first holds the smallest count only, the last ends at the largest.

    Args:
        count: Corpus count of every concept, shape ``(n,)``.
        accuracy: Its accuracy, shape ``(n,)``.
        bins: Number of bins.

    Returns:
        The bins by rising count, empty ones among them.

    Raises:
        ValueError: If the shapes differ, are empty, or a count is negative.

    References:
        Udandarao et al., No "Zero-Shot" Without Exponential Data, arXiv:2404.04125.

    >>> [(round(one.count), one.n, one.accuracy) for one in bin_by_count([0, 1, 10, 100], [0.0, 0.5, 0.5, 1.0], bins=3)]
    [(1, 2, 0.25), (10, 1, 0.5), (100, 1, 1.0)]
    """
    counts, shares = _check(count, accuracy)
    x = np.log(np.maximum(counts, 1))
    edges = np.linspace(x.min(), x.max(), bins)
    bin_of = np.digitize(x, edges, right=True)
    found = []
    for index in range(bins):
        inside = shares[bin_of == index]
        number = len(inside)
        found.append(
            Bin(
                count=float(np.exp(edges[index])),
                n=number,
                accuracy=float(inside.mean()) if number else None,
                spread=float(inside.std()) if number else None,
            )
        )
    return tuple(found)


def trend(count: ArrayLike, accuracy: ArrayLike, bins: int = 12, kept: slice = INNER) -> Trend:
    """Correlate accuracy with log count, per concept and in bins.

    Bins are those of `bin_by_count`, each mean placed at its upper edge. Where the first bin is left out, concepts
    that the corpus never or hardly shows cannot move the binned r; they do move the raw one.

    Args:
        count: Corpus count of every concept, shape ``(n,)``.
        accuracy: Its accuracy, shape ``(n,)``.
        bins: Number of bins.
        kept: Bins behind the binned r, a rule set by hand: all but the first and the last, or a slice such as
            ``slice(3, None)``.

    Returns:
        Both correlations, the points behind the binned one and the bins that were dropped.

    Raises:
        ValueError: If the shapes differ, are empty, or a count is negative.

    References:
        Udandarao et al., No "Zero-Shot" Without Exponential Data, arXiv:2404.04125.
    """
    counts, shares = _check(count, accuracy)
    every, points, dropped = [], [], []
    chosen = range(bins)[kept]
    for index, one in enumerate(bin_by_count(counts, shares, bins)):
        end = {0: "first bin, ", bins - 1: "last bin, "}.get(index, "")
        label = f"bin {index + 1} (counts up to {one.count:.4g}, {one.n} concepts)"
        if one.accuracy is None:
            dropped.append(f"{label}: empty")
            continue
        point = TrendPoint(count=one.count, accuracy=one.accuracy, n=one.n)
        every.append(point)
        if index in chosen:
            points.append(point)
        else:
            dropped.append(f"{label}: {end}left out by rule")
    return Trend(
        raw=r_or_none(np.log10(1 + counts), shares, "r over concepts"),
        binned=_r_of_points(points, "r over bins"),
        all_bins=_r_of_points(every, "r over all bins"),
        points=tuple(points),
        dropped=tuple(dropped),
    )


def _check(count: ArrayLike, accuracy: ArrayLike) -> tuple[FloatArray, FloatArray]:
    counts, shares = np.asarray(count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if counts.shape != shares.shape or counts.ndim != 1 or len(counts) == 0:
        raise ValueError(f"counts have shape {counts.shape}, accuracies {shares.shape}")
    if not (counts >= 0).all():
        raise ValueError("a count is negative or NaN")
    return counts, shares


def _r_of_points(points: Sequence[TrendPoint], what: str) -> Estimate | None:
    return r_or_none(
        np.log([point.count for point in points]), np.array([point.accuracy for point in points]), what
    )
