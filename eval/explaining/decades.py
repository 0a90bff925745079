"""Accuracy by decade of the count, with what the mix of datasets in each decade would give by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.intervals import Estimate, cluster_bootstrap, widen_confidence

FloatArray = NDArray[np.float64]
Names = NDArray[np.str_]

_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decade:
    """Concepts whose counts lie in one decade.

    Attributes:
        label: ``0`` for concepts that the corpus never holds, else ``[1,10)``, ``[10,100)``, …
        low: Least count of the decade.
        high: Count at which the next decade starts; 0 in the decade of 0.
        accuracy: Mean accuracy over rows, with its interval from drawing whole concepts; the support is the rows.
        n_concepts: Concepts that were drawn from.
        baseline: Mean over the same rows of their dataset's mean accuracy: what the mix of datasets gives without
            any effect of the count.
        shares: Datasets of the rows and their share of them, the largest first.
    """

    label: str
    low: float
    high: float
    accuracy: Estimate
    n_concepts: int
    baseline: float
    shares: tuple[tuple[str, float], ...]


def find_decades(
    count: ArrayLike, accuracy: ArrayLike, dataset: Names, concept: Names, rng: np.random.Generator
) -> tuple[Decade, ...]:
    """Average the accuracy of one model in every decade of the count that holds a row.

    Intervals cover 95 % and are widened for few concepts. Where all rows of a decade agree, or there is one concept,
    drawing shows no spread: the interval is then that of a share of so many concepts, 0 to 1 for a single one.

    Args:
        count: Count of each row, 0 or at least 1, shape ``(n,)``.
        accuracy: Accuracy, 0 to 1, shape ``(n,)``.
        dataset: Dataset of each row, shape ``(n,)``.
        concept: Concept of each row, the same in every dataset, shape ``(n,)``.
        rng: Source of the draws.

    Returns:
        The decades in rising order; those without rows are left out.

    Raises:
        ValueError: If shapes differ or are empty, or a count lies below 1 and is not 0, or is not finite.

    >>> names = np.array(["owl", "tit", "auk"])
    >>> found = find_decades([0, 0, 25], [0.0, 0.5, 1.0], np.array(["birds"] * 3), names, np.random.default_rng(0))
    >>> [(decade.label, decade.accuracy.value, decade.baseline) for decade in found]
    [('0', 0.25, 0.5), ('[10,100)', 1.0, 0.5)]
    """
    counts, shares = np.asarray(count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if any(column.shape != counts.shape for column in (shares, dataset, concept)) or counts.ndim != 1:
        raise ValueError(
            f"counts have shape {counts.shape}, accuracies {shares.shape}, datasets {dataset.shape}"
        )
    wrong = np.flatnonzero(~((counts == 0) | (counts >= 1)) | np.isinf(counts) | ~np.isfinite(shares))
    if len(counts) == 0 or len(wrong):
        row = (
            f"row {wrong[0]}: count {counts[wrong[0]]:g}, accuracy {shares[wrong[0]]:g}"
            if len(wrong)
            else "no rows"
        )
        raise ValueError(row)
    of_dataset = np.unique(dataset, return_inverse=True)[1].reshape(-1)
    means = np.bincount(of_dataset, weights=shares) / np.bincount(of_dataset)
    decades = decade_of(counts)
    return tuple(
        _average(
            int(decade), shares[inside], means[of_dataset[inside]], dataset[inside], concept[inside], rng
        )
        for decade in np.unique(decades)
        for inside in [decades == decade]
    )


def decade_of(count: ArrayLike) -> NDArray[np.int64]:
    """Decade of each count: 0 for none, 1 for 1 to 9, 2 for 10 to 99, and so on.

    >>> decade_of([0, 1, 9, 10, 999, 1000])
    array([0, 1, 1, 2, 3, 4])
    """
    # Compared, not logarithms rounded down, which put 1000 below 1000.
    return np.searchsorted(10.0 ** np.arange(20), np.asarray(count, dtype=np.float64), side="right").astype(
        np.int64
    )


def show_decades(decades: tuple[Decade, ...]) -> Iterator[str]:
    """Lines for people: accuracy by decade, its support, and the baseline of the datasets' means."""
    for decade in decades:
        found = decade.accuracy
        most = ", ".join(f"{name} {share:.0%}" for name, share in decade.shares[:3])
        yield (
            f"{decade.label:<20} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]  {found.n} rows, "
            f"{decade.n_concepts} concepts; mean of their datasets {decade.baseline:.3f} ({most})"
        )


def _average(
    decade: int,
    accuracy: FloatArray,
    means: FloatArray,
    dataset: Names,
    concept: Names,
    rng: np.random.Generator,
) -> Decade:
    low, high = (0, 0) if decade == 0 else (10 ** (decade - 1), 10**decade)
    label = f"[{low},{high})" if decade else "0"
    names, sizes = np.unique(dataset, return_counts=True)
    order = np.lexsort((names, -sizes))
    codes = np.unique(concept, return_inverse=True)[1].reshape(-1)
    n_concepts = int(codes.max()) + 1
    return Decade(
        label=label,
        low=float(low),
        high=float(high),
        accuracy=_estimate(accuracy, codes, n_concepts, rng, f"accuracy at counts {label}"),
        n_concepts=n_concepts,
        baseline=float(means.mean()),
        shares=tuple((str(names[i]), float(sizes[i] / len(accuracy))) for i in order),
    )


def _estimate(
    accuracy: FloatArray, codes: NDArray[np.intp], n_concepts: int, rng: np.random.Generator, what: str
) -> Estimate:
    value = float(accuracy.mean())
    if n_concepts == 1 or np.ptp(accuracy) == 0:
        # Ends of the exact interval of a share at 0 and at 1, for as many trials as there are concepts.
        reach = 1 - 0.025 ** (1 / n_concepts) if n_concepts > 1 else 1.0
        return Estimate(
            value=value, low=max(value - reach, 0.0), high=min(value + reach, 1.0), n=len(accuracy), what=what
        )
    totals = np.stack([np.bincount(codes, weights=accuracy), np.bincount(codes)], axis=1)

    def statistic(weights: FloatArray) -> FloatArray:
        over, under = (weights @ totals).T
        found: FloatArray = over / under
        return found

    confidence = widen_confidence(0.95, n_concepts)
    found = cluster_bootstrap(statistic, n_concepts, rng, _DRAWS, what=what, confidence=confidence)
    return Estimate(value=value, low=found.low, high=found.high, n=len(accuracy), what=what)
