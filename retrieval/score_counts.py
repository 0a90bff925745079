"""Quantiles and histograms of more scores than fit in memory, exact, from parts that are read twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.unit_rows import IntArray

_PER_UNIT = 10_000
# Rows may be a little longer than 1.
_LOWEST = -2 * _PER_UNIT
_COUNT = 4 * _PER_UNIT


@dataclass(frozen=True, slots=True)
class ScoreCounts:
    """How many scores lie in each of 40,000 bins from -2 to 2, as whole numbers."""

    counts: IntArray

    @property
    def total(self) -> int:
        """Scores counted."""
        return int(self.counts.sum())

    def histogram(self, bins: int = 50) -> list[tuple[float, int]]:
        """Return the lower end and the count of each bin, ``bins`` to the unit, from the first to the last in use.

        >>> count_scores([np.array([0.5, 0.51, 0.53], dtype=np.float32)]).histogram()
        [(0.5, 2), (0.52, 1)]
        """
        coarse = self.counts.reshape(-1, _PER_UNIT // bins).sum(axis=1)
        used = np.flatnonzero(coarse)
        if not len(used):
            return []
        lowest = _LOWEST * bins // _PER_UNIT
        return [((lowest + place) / bins, int(coarse[place])) for place in range(used[0], used[-1] + 1)]

    def quantiles(
        self, at: Sequence[float], parts: Callable[[], Iterable[NDArray[np.float32]]]
    ) -> list[float]:
        """Return scores that are there: the smallest that at least a share ``q`` of all do not exceed.

        The bin of a quantile is known by the counts, and what lies in it by a second reading.

        Args:
            at: Shares, 0 to 1; 0 is the smallest score.
            parts: Reads the scores that were counted once more.

        Raises:
            ValueError: If nothing was counted.

        >>> scores = [np.array([0.5, 0.25], dtype=np.float32), np.array([0.75], dtype=np.float32)]
        >>> count_scores(scores).quantiles([0, 0.5, 1], lambda: scores)
        [0.25, 0.5, 0.75]
        """
        if not self.total:
            raise ValueError("found no score, needed one or more")
        ends = np.cumsum(self.counts)
        ranks = [min(max(int(np.ceil(share * self.total)), 1), self.total) for share in at]
        bins = np.searchsorted(ends, ranks).tolist()
        inside = _look_into(set(bins), parts())
        return [
            _pick(inside[place], rank - int(ends[place] - self.counts[place]))
            for place, rank in zip(bins, ranks, strict=True)
        ]


def count_scores(parts: Iterable[NDArray[np.float32]]) -> ScoreCounts:
    """Count scores between -2 and 2, of any number of parts."""
    counts = np.zeros(_COUNT, dtype=np.int64)
    for part in parts:
        counts += np.bincount(_bins(part), minlength=_COUNT)
    return ScoreCounts(counts)


def _bins(scores: NDArray[np.float32]) -> IntArray:
    # Non-decreasing in the score, which is all that the quantiles need of it.
    return np.floor(scores.astype(np.float64) * _PER_UNIT).astype(np.int64) - _LOWEST


def _look_into(bins: set[int], parts: Iterable[NDArray[np.float32]]) -> dict[int, Counter[float]]:
    """Count how often each score occurs that lies in one of a few bins; a bin has few different ones."""
    inside: dict[int, Counter[float]] = {place: Counter() for place in bins}
    for part in parts:
        found = _bins(part)
        for place, counter in inside.items():
            values, counts = np.unique(part[found == place], return_counts=True)
            counter.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return inside


def _pick(counter: Counter[float], rank: int) -> float:
    for value in sorted(counter):
        rank -= counter[value]
        if rank <= 0:
            return value
    raise ValueError("found other scores than were counted")
