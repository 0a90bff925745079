"""Rows whose concepts are as evenly counted as they can be: by MetaCLIP's draws, or filled up to a cap."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.retrieval.counting.tag_table import hash_texts
from oddpair.retrieval.mentions.incidence import Incidence
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.curation.selection import FloatArray, as_uniform, mix, mix_seed

BoolArray = NDArray[np.bool_]

_DRAW = 1
_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Evenness:
    """How evenly rows are spread over the concepts that occur in a corpus.

    Attributes:
        concepts: Concepts that occur in the corpus.
        entropy: Of the counts as a distribution, bits; at most ``log2(concepts)``.
        gini: 0 if all counts are equal, towards 1 if one concept has all.
        smallest: Smallest count.
        largest: Largest count.
    """

    concepts: int
    entropy: float
    gini: float
    smallest: int
    largest: int


def measure_evenness(counts: IntArray) -> Evenness:
    """Measure how even counts are.

    Args:
        counts: Rows of each concept that occurs in the corpus, shape ``(n,)``; in a split of it some may be 0.

    Returns:
        The figures, rounded to 6 digits; all 0 where nothing is counted.

    >>> measure_evenness(np.array([2, 2, 4])).entropy, measure_evenness(np.array([0, 4])).gini
    (1.5, 0.5)
    """
    total = int(counts.sum())
    if not total:
        return Evenness(concepts=len(counts), entropy=0.0, gini=0.0, smallest=0, largest=0)
    ordered = np.sort(counts).astype(np.float64)
    share = ordered[ordered > 0] / total
    n = len(ordered)
    # Half the mean absolute difference of two counts, relative to their mean, by their ranks.
    gini = float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total))
    return Evenness(
        concepts=n,
        entropy=round(float(-(share * np.log2(share)).sum()), 6),
        gini=round(gini, 6),
        smallest=int(ordered[0]),
        largest=int(ordered[-1]),
    )


def draw_levels(rows: Incidence, uids: pa.Array, names: tuple[str, ...], seed: int) -> FloatArray:
    """Draw for each row the level from which on it is kept: MetaCLIP's rule for every size at once.

    MetaCLIP keeps a row if the draw ``u`` of any of its concepts passes, ``u < min(1, t / count)``. So it is kept from
    ``t`` above the least ``u * count`` on, and splits of growing ``t`` are nested.

    Args:
        rows: Concepts of each of ``n`` rows.
        uids: Their uids, ``large_string``.
        names: Names of the concepts: the draw of a row for a concept is a function of uid, name and seed alone.
        seed: Of the draws.

    Returns:
        Levels, shape ``(n,)``; infinite for rows without a concept.

    References:
        Xu et al., "Demystifying CLIP Data", arXiv:2309.16671, Algorithm 1.
    """
    counts = np.bincount(rows.concepts, minlength=len(names))
    mark = mix(hash_texts(pa.array(names, pa.large_string())) + mix_seed(seed, _DRAW))
    levels = np.full(len(rows), np.inf)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        ends = rows.ends[start : start + _ROWS_AT_ONCE + 1]
        concepts = rows.concepts[ends[0] : ends[-1]]
        own = np.repeat(hash_texts(uids.slice(start, _ROWS_AT_ONCE)), np.diff(ends))
        draws = as_uniform(mix(mix(own) + mark[concepts])) * counts[concepts]
        named = np.flatnonzero(np.diff(ends))
        if len(named):
            levels[start + named] = np.minimum.reduceat(draws, ends[named] - ends[0])
    return levels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filled:
    """Rows filled in up to a cap.

    Attributes:
        kept: The rows, shape ``(n,)``.
        most: Rows that no concept has more of.
        full: Of every row left out some concept has so many rows or more; ``most``, or one less where a number of
            rows was asked for.
    """

    kept: BoolArray
    most: int
    full: int


def fill_evenly(
    rows: Incidence, names: tuple[str, ...], draws: FloatArray, *, size: int | None, most: int | None
) -> Filled:
    """Fill up all concepts together, like water: a row is taken as long as none of its concepts is at the cap.

    Rows of the rarest concepts come first (concepts by count, then by name; a row by its rarest), of equal ones those
    with the lowest draw. For a number of rows the cap is the lowest that gives them: the cap below it is filled
    completely, and the rest at it.

    Args:
        rows: Concepts of each of ``n`` rows.
        names: Names of the concepts.
        draws: One for each row, shape ``(n,)``.
        size: Rows to keep, of those with a concept; ``None`` for all that the cap lets in.
        most: The cap; ``None`` finds it for ``size``.

    Returns:
        What was kept; never a row without a concept.

    Raises:
        ValueError: If not exactly one of ``size`` and ``most`` is given, or fewer rows have a concept.
    """
    named = np.diff(rows.ends) > 0
    if (size is None) == (most is None) or (size is not None and not 0 <= size <= named.sum()):
        raise ValueError(
            f"size {size} and most {most} of {named.sum():,} rows, needed one of them, and so many"
        )
    state = _Filling(rows, _order_rows(rows, names, draws), named)
    if most is not None:
        state.fill(most)
        return Filled(kept=state.kept, most=most, full=most)
    assert size is not None
    low, high = 0, int(state.counts_of_all.max(initial=0))
    while high - low > 1:
        middle = (low + high) // 2
        state.clear()
        low, high = (low, middle) if state.fill(middle) >= size else (middle, high)
    state.clear()
    kept, cap = state.fill(low), low
    while kept < size:
        cap += 1
        kept += state.fill(cap, size - kept)
    return Filled(kept=state.kept, most=cap, full=max(cap - 1, 0))


class _Filling:
    """Rows that were taken so far, and how many of each concept."""

    def __init__(self, rows: Incidence, order: IntArray, named: BoolArray) -> None:
        self._rows = rows
        self._order = order[named[order]]
        self.counts_of_all = np.bincount(rows.concepts, minlength=rows.n_concepts)
        self.clear()

    def clear(self) -> None:
        self.kept = np.zeros(len(self._rows), np.bool_)
        self._counts = np.zeros(self._rows.n_concepts, np.int64)

    def fill(self, cap: int, limit: int | None = None) -> int:
        """Take rows, at most ``limit``, none of whose concepts has ``cap`` rows; return how many were taken."""
        limit = len(self._order) if limit is None else limit
        return int(
            _load_fill()(
                self._rows.ends, self._rows.concepts, self._order, self._counts, self.kept, cap, limit
            )
        )


def _order_rows(rows: Incidence, names: tuple[str, ...], draws: FloatArray) -> IntArray:
    counts = np.bincount(rows.concepts, minlength=len(names))
    rank = np.empty(len(names), np.int64)
    rank[np.lexsort((np.array(names), counts))] = np.arange(len(names))
    rarest = np.full(len(rows), len(names), np.int64)
    named = np.flatnonzero(np.diff(rows.ends))
    if len(named):
        rarest[named] = np.minimum.reduceat(rank[rows.concepts], rows.ends[named])
    return np.lexsort((draws, rarest))


def _fill(
    ends: IntArray,
    concepts: NDArray[np.int32],
    order: IntArray,
    counts: IntArray,
    kept: BoolArray,
    cap: int,
    limit: int,
) -> int:
    taken = 0
    for row in order:
        if taken == limit:
            break
        if kept[row]:
            continue
        is_free = True
        for place in range(ends[row], ends[row + 1]):
            if counts[concepts[place]] >= cap:
                is_free = False
                break
        if is_free:
            kept[row] = True
            taken += 1
            for place in range(ends[row], ends[row + 1]):
                counts[concepts[place]] += 1
    return taken


@functools.cache
def _load_fill() -> Callable[..., int]:
    """Compile the loop; without numba it runs as it stands, a hundred times slower."""
    try:
        from oddpair.retrieval.kernel.compiled import compiled
    except ImportError:
        return _fill
    return compiled()(_fill)
