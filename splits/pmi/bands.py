"""Bands of concept pairs by PMI that do not differ in how frequent their concepts are.

PMI leans on counts: rare concepts have high values, and chance moves the values of rare pairs most. Pairs are
therefore put into cells of equal counts and ranked within each: every band has as many pairs of every cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.pmi import FloatArray, IntArray, expect_pairs, pmi
from oddpair.retrieval.counting.pmi_variants import (
    normalised_pmi,
    pair_marginals,
    published_pmi,
    smoothed_pmi,
)

Variant = Literal["plain", "smoothed", "normalised", "published"]
BoolArray = NDArray[np.bool_]
Labels = NDArray[np.int16]

# Beside the numbers 1, 2, ... of the bands, from low PMI to high.
UNMATCHED, UNSEEN = -1, 0
BOTTOM, NO_TAIL, TOP = -1, 0, 1
TAILS = {"bottom": BOTTOM, "top": TOP}
# What the arrays of one pair take while it is ranked and written, measured; and how much they may take in all.
_BYTES_A_PAIR = 250
MOST_PAIRS = 8_000_000_000 // _BYTES_A_PAIR


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairPmi:
    """Counted pairs that are expected often enough, seen or not; one value per pair, shape ``(n_pairs,)``.

    Attributes:
        names: Names of all concepts.
        a: Id of the concept whose name sorts first; pairs are sorted by the names of ``a``, then of ``b``.
        b: Id of the other.
        count_a: Captions that name ``a``.
        count_b: Captions that name ``b``.
        count_pair: Captions that name both.
        expected: Captions that would name both by chance, ``count_a * count_b / n``.
        pmi: PMI in one of its variants.
    """

    names: tuple[str, ...]
    a: IntArray
    b: IntArray
    count_a: IntArray
    count_b: IntArray
    count_pair: IntArray
    expected: FloatArray
    pmi: FloatArray

    def __len__(self) -> int:
        return len(self.a)

    def log_counts(self) -> FloatArray:
        """Return ``log10`` of the smaller and of the larger single count, shape ``(n_pairs, 2)``."""
        both = np.stack([self.count_a, self.count_b], axis=1).astype(np.float64)
        both.sort(axis=1)
        values: FloatArray = np.log10(both)
        return values

    def find(self, first: IntArray, second: IntArray) -> IntArray:
        """Return the row of each pair of ids, in either order, -1 for one that is not listed; shape of ``first``."""
        place = _places(self.names)
        low, high = np.minimum(place[first], place[second]), np.maximum(place[first], place[second])
        listed = place[self.a] * len(self.names) + place[self.b]
        wanted = low * len(self.names) + high
        rows = np.minimum(np.searchsorted(listed, wanted), max(len(listed) - 1, 0))
        found: IntArray = (
            np.where(listed[rows] == wanted, rows, -1) if len(listed) else np.full_like(first, -1)
        )
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bands:
    """Which band each pair is in; one value per pair, shape ``(n_pairs,)``.

    Attributes:
        cell: Number of the cell of equal counts.
        band: 1, 2, ... from low PMI to high; ``UNSEEN`` for pairs that no caption names; ``UNMATCHED`` for what is
            left over in a cell whose pairs cannot be divided evenly.
        tail: ``BOTTOM`` and ``TOP``, as many in every cell, else ``NO_TAIL``.
        matched_with: Row of the pair of the other tail that it is matched with, -1 where it is in none.
    """

    cell: IntArray
    band: Labels
    tail: Labels
    matched_with: IntArray


def eligible_pairs(
    counts: Counts, *, variant: Variant, minimum_count: int, minimum_expected: float
) -> PairPmi:
    """List the counted pairs of frequent concepts that chance would show often enough, seen or not.

    Args:
        counts: Of a whole corpus.
        variant: How PMI is computed: ``plain`` (Church and Hanks), ``smoothed``, ``normalised`` (Bouma) or
            ``published`` (Qu and Xie); the last three are those of ``pmi_variants``.
        minimum_count: Captions that must name each concept, 1 or more.
        minimum_expected: Captions that must be expected to name both, by chance.

    Returns:
        The pairs. Nested concepts, and pairs that were not counted, are never listed.

    Raises:
        Refusal: If there is no such pair, or there are more than fit in memory.
        ValueError: If ``minimum_count`` is below 1.
    """
    if minimum_count < 1:
        raise ValueError(f"minimum_count is {minimum_count}, needed 1 or more")
    first, second = _candidates(counts, minimum_count, minimum_expected)
    keep = counts.counted(first, second)
    keep &= expect_pairs(counts.text[first], counts.text[second], counts.n_captions) >= minimum_expected
    first, second = first[keep], second[keep]
    place = _places(counts.names)
    swap = place[first] > place[second]
    a, b = np.where(swap, second, first), np.where(swap, first, second)
    order = np.argsort(place[a] * len(place) + place[b])
    a, b = a[order], b[order]
    together = counts.look_up(a, b).text
    return PairPmi(
        names=counts.names,
        a=a,
        b=b,
        count_a=counts.text[a],
        count_b=counts.text[b],
        count_pair=together,
        expected=expect_pairs(counts.text[a], counts.text[b], counts.n_captions),
        pmi=compute_pmi(counts, a, b, together, variant),
    )


def compute_pmi(
    counts: Counts, first: IntArray, second: IntArray, together: IntArray, variant: Variant
) -> FloatArray:
    """Compute the PMI of some pairs of a corpus in one of its variants, in nats (``normalised``: from -1 to 1).

    Args:
        counts: Of the corpus.
        first: One concept of each pair, shape ``(n_pairs,)``.
        second: The other one.
        together: Captions that name both.
        variant: As for ``eligible_pairs``.

    Returns:
        One value per pair; ``plain`` is ``-inf`` where no caption names both.
    """
    if variant == "published":
        marginals = pair_marginals(counts)
        return published_pmi(together, marginals[first], marginals[second])
    compute = {"plain": pmi, "smoothed": smoothed_pmi, "normalised": normalised_pmi}[variant]
    return compute(together, counts.text[first], counts.text[second], counts.n_captions)


def cells_of(pairs: PairPmi, width: float) -> IntArray:
    """Number the cells of equal counts that pairs are in, from 0, shape ``(n_pairs,)``.

    A cell is a square of ``width`` decades in the two single counts, the smaller and the larger.
    """
    squares = np.floor(pairs.log_counts() / width).astype(np.int64)
    keys = squares[:, 0] * (squares.max(initial=0) + 1) + squares[:, 1]
    cells: IntArray = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return cells


def band_pairs(pairs: PairPmi, *, bands: int, tail: float, cell: float) -> Bands:
    """Put pairs into bands by the rank of their PMI among the seen pairs of their cell.

    Of a cell of ``n`` seen pairs each band gets ``n // bands``; what is left over is taken out at the edges between
    bands. Its tails are its ``round(n tail)`` lowest and highest pairs, matched one to one by the order of their
    expected counts. So in every cell all bands, and both tails, have the same number of pairs, and a pair differs
    from its counterparts by less than ``cell`` decades in either single count. Equal PMIs are ordered by name.

    Args:
        pairs: The pairs.
        bands: Number of bands, 2 or more.
        tail: Share of the pairs in each tail, at most 0.5.
        cell: Width of a cell, in decades.

    Returns:
        The bands.

    References:
        Qu and Xie, arXiv:2507.08000, for accuracy by PMI and its top and bottom 5 %; Iacus, King and Porro, Political
        Analysis 20(1), 2012, for matching by cells.
    """
    cells = cells_of(pairs, cell)
    seen = np.flatnonzero(pairs.count_pair > 0)
    order = seen[np.lexsort((pairs.pmi[seen], cells[seen]))]
    rank, size = _rank(cells[order])
    band = np.full(len(pairs), UNMATCHED, np.int16)
    band[pairs.count_pair == 0] = UNSEEN
    band[order] = _divide(rank, size, bands)
    tails = np.zeros(len(pairs), np.int16)
    in_tail = np.minimum(np.floor(size * tail + 0.5).astype(np.int64), size // 2)
    tails[order[rank < in_tail]] = BOTTOM
    tails[order[rank >= size - in_tail]] = TOP
    return Bands(cell=cells, band=band, tail=tails, matched_with=match_tails(pairs, cells, tails))


def match_tails(pairs: PairPmi, cells: IntArray, tails: Labels) -> IntArray:
    """Match pairs of the two tails one to one within their cells, in the order of their expected counts.

    Args:
        pairs: The pairs.
        cells: Their cells, shape ``(n_pairs,)``.
        tails: Their tails; pairs that may not be matched have ``NO_TAIL``.

    Returns:
        Row of each pair's partner, -1 for a pair without one, shape ``(n_pairs,)``.
    """
    partner = np.full(len(pairs), -1, np.int64)
    sides = []
    for tail in (BOTTOM, TOP):
        rows = np.flatnonzero(tails == tail)
        rows = rows[np.lexsort((pairs.expected[rows], cells[rows]))]
        rank, _ = _rank(cells[rows])
        sides.append((rows, cells[rows] * (len(pairs) + 1) + rank))
    (low, low_keys), (high, high_keys) = sides
    _, one, other = np.intersect1d(low_keys, high_keys, assume_unique=True, return_indices=True)
    partner[low[one]], partner[high[other]] = high[other], low[one]
    return partner


def mean_log_counts(pairs: PairPmi, groups: Mapping[str, BoolArray]) -> dict[str, tuple[float, float]]:
    """Return the mean ``log10`` of the smaller and of the larger single count of each group that has a pair."""
    logs = pairs.log_counts()
    means = {name: logs[mask].mean(axis=0) for name, mask in groups.items() if mask.any()}
    return {name: (float(low), float(high)) for name, (low, high) in means.items()}


def largest_difference(means: Mapping[str, tuple[float, float]]) -> float:
    """Return the largest difference between two groups in a mean of ``mean_log_counts``, in decades; 0 for one group.

    >>> largest_difference({"low": (1.0, 3.0), "high": (1.5, 3.25)})
    0.5
    """
    values = np.array(list(means.values()))
    return float((values.max(axis=0) - values.min(axis=0)).max()) if len(values) else 0.0


def plain_bands(pairs: PairPmi, bands: int) -> Labels:
    """Return the bands that the seen pairs would be in without matching: quantiles of all their PMIs."""
    seen = np.flatnonzero(pairs.count_pair > 0)
    labels = np.full(len(pairs), UNSEEN, np.int16)
    rank = np.arange(len(seen))
    labels[seen[np.argsort(pairs.pmi[seen], kind="stable")]] = 1 + rank * bands // max(len(seen), 1)
    return labels


def name_band(number: int, bands: int) -> str:
    """Return what a band is called; names of splits end in it.

    >>> [name_band(number, 2) for number in (UNMATCHED, UNSEEN, 1, 2)]
    ['unmatched', 'unseen', 'band-1-of-2', 'band-2-of-2']
    """
    return {UNMATCHED: "unmatched", UNSEEN: "unseen"}.get(number, f"band-{number}-of-{bands}")


def to_table(pairs: PairPmi, found: Bands, bands: int) -> pa.Table:
    """Return the pairs as an Arrow table: ``a``, ``b``, counts, ``expected``, ``pmi``, ``band``, ``tail``, ``matched_with``.

    ``matched_with`` is the row of the table, from 0, that a pair of a tail is matched with, else null.
    """
    names = pa.array(pairs.names, pa.string())
    labels = pa.array([name_band(number, bands) for number in range(UNMATCHED, bands + 1)])
    tails = pa.array([next((name for name, tail in TAILS.items() if tail == at), "") for at in (-1, 0, 1)])

    def choose(numbers: IntArray | Labels, among: pa.Array) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int32)), among)

    return pa.table(
        {
            "a": choose(pairs.a, names),
            "b": choose(pairs.b, names),
            "count_a": pairs.count_a,
            "count_b": pairs.count_b,
            "count_pair": pairs.count_pair,
            "expected": pairs.expected,
            "pmi": pairs.pmi,
            "band": choose(found.band - UNMATCHED, labels),
            "tail": choose(found.tail + 1, tails),
            "matched_with": pa.array(found.matched_with, mask=found.matched_with < 0),
        }
    )


def _candidates(counts: Counts, minimum_count: int, minimum_expected: float) -> tuple[IntArray, IntArray]:
    """List pairs of frequent concepts, each once, that are expected nearly as often as asked."""
    frequent = counts.text >= minimum_count
    among = np.flatnonzero(frequent & counts.paired)
    among = among[np.argsort(-counts.text[among], kind="stable")]
    descending = counts.text[among].astype(np.float64)
    with np.errstate(over="ignore"):
        needed = minimum_expected * counts.n_captions * (1 - 1e-9) / descending
    # Of concepts from frequent to rare, each one's partners are those before the first that is too rare.
    ends = np.searchsorted(-descending, -needed, side="right")
    starts = np.arange(len(among)) + 1
    partners = np.maximum(ends - starts, 0)
    asked = frequent[counts.a] & frequent[counts.b] & ~(counts.paired[counts.a] & counts.paired[counts.b])
    total = int(partners.sum()) + int(asked.sum())
    if total > MOST_PAIRS:
        raise Refusal(
            f"{total:,} pairs are expected in {minimum_expected:g} captions or more, at most {MOST_PAIRS:,} fit in "
            "memory: raise minimum_expected or minimum_count in the recipe"
        )
    if not total:
        raise Refusal(
            f"no pair of concepts in {minimum_count:,} captions or more is expected in {minimum_expected:g} of the "
            f"{counts.n_captions:,} captions: lower minimum_expected or minimum_count in the recipe, or count a larger "
            "corpus"
        )
    rows = np.repeat(np.arange(len(among)), partners)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(partners) - partners, partners) + rows + 1
    return (
        np.concatenate([among[rows], counts.a[asked]]),
        np.concatenate([among[columns], counts.b[asked]]),
    )


def _places(names: tuple[str, ...]) -> IntArray:
    """Return the place of each name in their order."""
    place = np.empty(len(names), np.int64)
    place[np.argsort(np.asarray(names, np.str_), kind="stable")] = np.arange(len(names))
    return place


def _rank(groups: IntArray) -> tuple[IntArray, IntArray]:
    """Return the place of each element within its group, and the size of the group, of sorted groups."""
    _, starts, sizes = np.unique(groups, return_index=True, return_counts=True)
    rank: IntArray = np.arange(len(groups)) - np.repeat(starts, sizes)
    return rank, np.repeat(sizes, sizes).astype(np.int64)


def _divide(rank: IntArray, size: IntArray, bands: int) -> Labels:
    """Return the band of ranks in groups of some sizes: equal numbers, and single ranks left out between them."""
    each, left = np.divmod(size, bands)
    labels = np.full(len(rank), UNMATCHED, np.int16)
    for band in range(bands):
        start = band * each + _left_before(band, bands)[left]
        labels[(start <= rank) & (rank < start + each)] = band + 1
    return labels


def _left_before(band: int, bands: int) -> IntArray:
    """Return how many ranks are left out below a band, by how many are left out in all; spread over the edges."""
    edges = bands - 1
    return np.array(
        [
            sum((2 * number + 1) * edges // (2 * left) < band for number in range(left))
            for left in range(bands)
        ],
        np.int64,
    )
