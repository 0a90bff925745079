"""How far two labellings of the same things agree beyond chance: Cohen's kappa with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.retrieval.proportion import clopper_pearson


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Agreement of two labellings.

    Attributes:
        value: Cohen's kappa: 1 for full agreement, 0 for what chance alone gives; NaN where both gave all things one and
            the same label, and chance would agree as well.
        low: Lower end of its interval.
        high: Upper end. After full agreement the interval has no width, however few things were labelled: read
            ``agreed_low``.
        agreed: Things that were labelled alike.
        agreed_low: Lower end of the exact interval of their share.
        n: Things labelled twice.
        confidence: Of both intervals, which are two-sided.
    """

    value: float
    low: float
    high: float
    agreed: int
    agreed_low: float
    n: int
    confidence: float

    @property
    def text(self) -> str:
        """Say it in one line."""
        share = f"{self.agreed:,} of {self.n:,} alike ({self.agreed / self.n:.1%}, at least {self.agreed_low:.1%})"
        if math.isnan(self.value):
            return f"{share}; kappa is undefined, all have one label"
        return f"kappa {self.value:z.3f}, {self.confidence:.0%} {self.low:z.3f} to {self.high:z.3f}; {share}"


def cross(
    first: Mapping[str, str], second: Mapping[str, str], classes: Sequence[str] = ()
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Count how two people labelled what both have labelled.

    Args:
        first: Labels by uid.
        second: Another's.
        classes: Labels in the order of the table; others follow, sorted.

    Returns:
        The labels, and the counts, shape ``(n_labels, n_labels)``: rows are the first one's.

    >>> cross({"a": "x", "b": "y", "c": "x"}, {"b": "x", "a": "x"})[1].tolist()
    [[1, 0], [1, 0]]
    """
    both = sorted(first.keys() & second.keys())
    rest = sorted({said[uid] for said in (first, second) for uid in both} - set(classes))
    names = (*classes, *rest)
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for uid in both:
        counts[place[first[uid]], place[second[uid]]] += 1
    return names, counts


def cohen_kappa(counts: ArrayLike, confidence: float = 0.95) -> Kappa:
    """Cohen's kappa of a table of two labellings, with the large-sample interval around it.

    Args:
        counts: Things by first and second label, shape ``(n_labels, n_labels)``.
        confidence: Of the intervals, two-sided.

    Returns:
        Kappa, its interval, cut at -1 and 1, and the plain agreement.

    Raises:
        ValueError: If the table is not square, holds a negative count or nothing.

    References:
        Cohen, Educational and Psychological Measurement 20, 1960. Standard error: Fleiss, Cohen and Everitt,
        Psychological Bulletin 72, 1969, equation 13.

    >>> found = cohen_kappa([[20, 5], [10, 15]])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.4, 0.151, 0.649)
    """
    from scipy.stats import norm

    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.sum() or (table < 0).any():
        raise ValueError(f"counts of shape {table.shape} and sum {table.sum():g}, needed a square of counts")
    n, agreed = int(table.sum()), int(np.trace(table))
    share = table / n
    rows, columns = share.sum(1), share.sum(0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    alpha = (1 - confidence) / 2
    plain = clopper_pearson(agreed, n, 1 - alpha, "lower")
    if math.isclose(expected, 1.0):
        return _kappa(math.nan, math.nan, agreed, plain, n, confidence)
    kappa = (observed - expected) / (1 - expected)
    diagonal = np.diag(share) @ (1 - (rows + columns) * (1 - kappa)) ** 2
    # The weight of a cell is what its row is as a column and its column as a row.
    crossed = (share - np.diag(np.diag(share))) * (columns[:, np.newaxis] + rows) ** 2
    spread = diagonal + (1 - kappa) ** 2 * crossed.sum() - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(float(spread), 0.0) / n) / (1 - expected)
    return _kappa(kappa, float(norm.ppf(1 - alpha)) * error, agreed, plain, n, confidence)


def list_disputes(said: Mapping[str, Mapping[str, str]], uids: Iterable[str]) -> list[tuple[str, str]]:
    """Return each uid with who said what of it, as one text, in the order of ``uids``.

    >>> list_disputes({"ann": {"1": "x"}, "bob": {"1": "y"}}, ["1"])
    [('1', 'ann: x, bob: y')]
    """
    return [
        (uid, ", ".join(f"{who}: {labels[uid]}" for who, labels in said.items() if uid in labels))
        for uid in uids
    ]


def _kappa(value: float, half: float, agreed: int, plain: float, n: int, confidence: float) -> Kappa:
    return Kappa(
        value=value,
        low=max(value - half, -1.0),
        high=min(value + half, 1.0),
        agreed=agreed,
        agreed_low=plain,
        n=n,
        confidence=confidence,
    )
