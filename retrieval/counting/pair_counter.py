"""How often pairs of concepts occur together in rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from oddpair.retrieval.counting.pair_plan import plan_pairs
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.retrieval.mentions.incidence import Incidence

# What a cell holds. None grows by more than 1 a row.
_MOST_ROWS = 2**32 - 1
# Cells that are listed at a time.
_CELLS_AT_ONCE = 1 << 20


class PairCounter:
    """Counts of pairs that add up over batches of rows, in any order; for one thread at a time.

    Every pair of the concepts ``among`` has a cell of 4 bytes: 200 MB for 10,000 concepts, and 400 MB more once there
    are 2**32 rows. What a row costs is linear in its pairs.
    """

    def __init__(
        self,
        n_concepts: int,
        among: IntArray | None = None,
        requested: IntArray | None = None,
        *,
        nested: IntArray | None = None,
    ) -> None:
        """Make room for the pairs.

        Args:
            n_concepts: Size of the vocabulary.
            among: Ids of the concepts among which all pairs are counted, each once; ``None`` for all concepts.
            requested: Further pairs ``(a, b)``, ``a < b``, sorted, each once, shape ``(n, 2)``.
            nested: Keys of pairs that are none, from ``nested_keys``: they are not listed.

        Raises:
            ValueError: If ids do not fit, pairs are not sorted, a requested pair is nested, or ``among`` needs more
                than 2 GiB.
        """
        self._plan = plan_pairs(n_concepts, among, requested, nested)
        n_members = len(self._plan.members)
        self._cells = np.zeros(n_members * (n_members - 1) // 2, np.uint32)
        self._rows_in_cells = 0
        self._spilled: IntArray | None = None
        self._owned = np.zeros(len(self._plan.owners), np.int64)
        self._rank: NDArray[np.int32] | None = None

    def add(self, incidence: Incidence) -> None:
        """Count the pairs of each row once.

        Raises:
            ValueError: If the rows are of another vocabulary.
        """
        concepts, n_concepts = incidence.concepts, self._plan.n_concepts
        if incidence.n_concepts != n_concepts:
            raise ValueError(f"rows of {incidence.n_concepts} concepts, {n_concepts} are counted")
        if not len(concepts):
            return
        # The compiled loops do not look whether a cell is there.
        if not 0 <= concepts.min() <= concepts.max() < n_concepts:
            raise ValueError(
                f"rows hold ids {concepts.min()} to {concepts.max()}, needed 0 to {n_concepts - 1}"
            )
        if self._rank is None:
            self._rank = _rank_concepts(concepts, self._plan.given, n_concepts)
        for start in range(0, len(incidence), _MOST_ROWS):
            ends = incidence.ends[start : start + _MOST_ROWS + 1]
            self._make_room(len(ends) - 1)
            self._add_rows(ends, concepts, self._rank)

    def merge(self, other: PairCounter) -> None:
        """Add what another counter, of the same plan, counted in other rows.

        Raises:
            ValueError: If its plan is another.
        """
        if not self._plan.counts_alike(other._plan):
            raise ValueError("the counters count other concepts, or were asked for other pairs")
        if other._rank is None:
            return
        if self._rank is None:
            self._rank = other._rank
        cells: NDArray[np.uint32] | IntArray = self._cells
        if other._spilled is None:
            self._make_room(other._rows_in_cells)
        else:
            cells = self._spill()
        for first, seconds, counts in other._found(0, len(self._plan.members)):
            cells[_cells_of(self._rank[first], self._rank[seconds])] += counts.astype(cells.dtype)
        self._owned += other._owned

    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """List every requested pair, and the pairs among the concepts that some row holds and that are not nested.

        Returns:
            The smaller id, the larger id and the number of rows of each pair, sorted by ``(a, b)``; int64.

        >>> from oddpair.retrieval.mentions.incidence import from_lists
        >>> counter = PairCounter(4, among=np.array([0, 1, 2]), requested=np.array([[0, 3], [1, 2]]))
        >>> counter.add(from_lists([[0, 1], [0, 1, 3], [2, 3]], n_concepts=4))
        >>> [column.tolist() for column in counter.pairs()]
        [[0, 0, 1], [1, 3, 2], [2, 1, 0]]
        """
        found = list(self.blocks())
        keys, counts = (np.concatenate(part) for part in zip(*found, strict=True))
        first = keys // self._plan.n_concepts
        keys -= first * self._plan.n_concepts
        return first, keys, counts

    def blocks(self) -> Iterator[tuple[IntArray, IntArray]]:
        """List the same as ``pairs``, some at a time; counters of one plan break off at the same pairs.

        Yields:
            Keys ``a * n_concepts + b``, ascending, and the rows of each; int64.
        """
        members, n_concepts = self._plan.members, self._plan.n_concepts
        # Cells of each member with those behind it.
        cells = np.arange(len(members) - 1, -1, -1, dtype=np.int64)
        block = (np.cumsum(cells) - cells) // _CELLS_AT_ONCE
        starts = np.unique(block, return_index=True)[1]
        low = 0
        for start, stop in pairwise([*starts.tolist(), len(members)] if len(members) else [0, 0]):
            high = int(members[stop]) * n_concepts if stop < len(members) else n_concepts**2
            yield self._complete(*self._list_found(start, stop), low, high)
            low = high

    def _complete(self, keys: IntArray, counts: IntArray, low: int, high: int) -> tuple[IntArray, IntArray]:
        """Take out nested pairs and put in those that were asked for, from one key up to another."""
        plan = self._plan
        places, there = _find(keys, _between(plan.nested, low, high))
        if there.any():
            keys, counts = np.delete(keys, places[there]), np.delete(counts, places[there])
        requested = _between(plan.requested, low, high)
        places, there = _find(keys, requested)
        if not there.all():
            further, places = requested[~there], places[~there]
            met = np.zeros(len(further), np.int64)
            owned = np.flatnonzero((plan.owned >= low) & (plan.owned < high))
            met[np.searchsorted(further, plan.owned[owned])] = self._owned[owned]
            keys, counts = np.insert(keys, places, further), np.insert(counts, places, met)
        return keys, counts

    def _add_rows(self, ends: IntArray, concepts: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        loops, plan = load_loops(), self._plan
        if len(self._cells) and loops is not None:
            longest = int(np.diff(ends).max(initial=0))
            loops.scan_pairs(ends, concepts, rank, longest, self._cells)
        elif len(self._cells):
            i, j, counts = _meet(ends, concepts, rank)
            self._cells[_cells_of(i, j)] += counts.astype(np.uint32)
        if len(self._owned) and loops is not None:
            loops.scan_requested(ends, concepts, plan.starts, plan.partners, self._owned)
        elif len(self._owned):
            wanted = np.unique(np.concatenate([plan.owners, plan.partners]))
            number = np.full(plan.n_concepts, -1, np.int32)
            number[wanted] = np.arange(len(wanted))
            i, j, counts = _meet(ends, concepts, number)
            keys, order = plan.owned, np.argsort(plan.owned)
            met = wanted[i] * plan.n_concepts + wanted[j]
            asked = np.isin(met, keys)
            self._owned[order[np.searchsorted(keys, met[asked], sorter=order)]] += counts[asked]

    def _make_room(self, rows: int) -> None:
        if self._rows_in_cells + rows > _MOST_ROWS:
            self._spill()
        self._rows_in_cells += rows

    def _spill(self) -> IntArray:
        """Empty the cells into wider ones."""
        if self._spilled is None:
            self._spilled = np.zeros(len(self._cells), np.int64)
        self._spilled += self._cells
        self._cells[:] = 0
        self._rows_in_cells = 0
        return self._spilled

    def _found(self, start: int, stop: int) -> Iterator[tuple[int, IntArray, IntArray]]:
        """Yield some members in the order of their ids, the larger members that each met, and how often."""
        if self._rank is None:
            return
        members = self._plan.members
        ranks = self._rank[members]
        for place in range(start, stop):
            cells = _cells_of(ranks[place], ranks[place + 1 :])
            counts = self._cells[cells].astype(np.int64)
            if self._spilled is not None:
                counts += self._spilled[cells]
            met = np.flatnonzero(counts)
            yield int(members[place]), members[place + 1 :][met], counts[met]

    def _list_found(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for first, seconds, met in self._found(start, stop):
            keys.append(seconds + first * self._plan.n_concepts)
            counts.append(met)
        return np.concatenate(keys), np.concatenate(counts)


def nested_keys(pairs: Collection[tuple[int, int]], n_concepts: int) -> IntArray:
    """Give nested pairs ``(a, b)``, ``a < b``, as ascending keys ``a * n_concepts + b``.

    >>> nested_keys({(1, 2), (0, 2)}, n_concepts=3)
    array([2, 5])
    """
    return np.array(sorted(a * n_concepts + b for a, b in pairs), np.int64)


@cache
def load_loops() -> ModuleType | None:
    """Import the compiled loops; ``None`` where numba is missing, and sparse products take their place."""
    try:
        from oddpair.retrieval.counting import pair_scan
    except ImportError:
        return None
    return pair_scan


def _rank_concepts(concepts: NDArray[np.int32], members: IntArray, n_concepts: int) -> NDArray[np.int32]:
    """Number the members by their frequency in some rows, so that the cells of frequent pairs lie together."""
    seen = np.bincount(concepts, minlength=n_concepts)[members]
    rank = np.full(n_concepts, -1, np.int32)
    rank[members[np.argsort(-seen, kind="stable")]] = np.arange(len(members))
    return rank


def _meet(
    ends: IntArray, concepts: NDArray[np.int32], number: NDArray[np.int32]
) -> tuple[IntArray, IntArray, IntArray]:
    """Count the pairs ``i < j`` of the concepts that have a number, by a sparse product."""
    numbers = number[concepts[ends[0] : ends[-1]]]
    kept = numbers >= 0
    before = np.concatenate([[0], np.cumsum(kept)])
    rows = sparse.csr_array(
        (np.ones(before[-1], np.int64), numbers[kept], before[ends - ends[0]]),
        shape=(len(ends) - 1, int(number.max()) + 1),
    )
    upper = sparse.coo_array(sparse.triu(rows.T @ rows, k=1))
    i, j = (axis.astype(np.int64) for axis in upper.coords)
    return i, j, upper.data


def _between(keys: IntArray, low: int, high: int) -> IntArray:
    start, stop = np.searchsorted(keys, [low, high])
    return keys[start:stop]


def _cells_of(one: NDArray[Any], other: NDArray[Any]) -> IntArray:
    low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
    cells: IntArray = high * (high - 1) // 2 + low
    return cells


def _find(keys: IntArray, wanted: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Find where in ascending ``keys`` those wanted are or would be, and which of them are there."""
    places = np.searchsorted(keys, wanted)
    there = places < len(keys)
    there[there] = keys[places[there]] == wanted[there]
    return places, there
