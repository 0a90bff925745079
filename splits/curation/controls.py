"""Control splits: random rows of the same number, or of the same number per class or set of concepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.curation.selection import mix
from oddpair.splits.manifest import as_uids


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDistance:
    """How far two splits are apart in what they show; all zero for a matched control.

    Attributes:
        rows: Difference in rows.
        concepts: Absolute differences of the concept counts, summed over concepts.
        pairs: Absolute differences of the pair counts, summed over unordered pairs.
        decades: Largest difference of ``log10(1 + count)`` over concepts.
    """

    rows: int
    concepts: int
    pairs: int
    decades: float


def signatures(mentions: csr_array) -> IntArray:
    """Return each row's set of concepts as a number: equal sets have equal numbers, others have others.

    Rows are sorted by a 64-bit hash of their set, and the sets of one hash compared: should two differ, all are
    hashed again, so the numbers are exact. Memory: some 40 bytes a row and 12 a mention.

    Args:
        mentions: Concepts per row, shape ``(n, n_concepts)``.

    Returns:
        Numbers from 0, shape ``(n,)``; they mean nothing in another table.

    >>> signatures(csr_array(np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=bool)))
    array([1, 0, 1])
    """
    clean = _clean(mentions)
    ends, concepts = clean.indptr.astype(np.int64), clean.indices.astype(np.int64)
    found, salt = None, 0
    while found is None:
        found = _number_sets(ends, concepts, salt)
        salt += 1
    return found


def draw_rows(n: int, size: int, rng: np.random.Generator) -> IntArray:
    """Draw ``n`` of ``size`` rows at random; with one seed a smaller draw lies inside a larger one.

    Args:
        n: Rows to draw.
        size: Rows of the pool, sorted by uid.
        rng: Source of the draw.

    Returns:
        Ascending row numbers, shape ``(n,)``.

    Raises:
        Refusal: If the pool has fewer rows.
        ValueError: If ``n`` is below 1.

    >>> draw_rows(2, 5, np.random.default_rng(0))
    array([2, 4])
    """
    if n < 1:
        raise ValueError(f"n is {n}, at least 1 is needed")
    if n > size:
        raise Refusal(f"a control of {n:,} rows cannot be drawn from a pool of {size:,}: use a larger corpus")
    return np.sort(rng.permutation(size)[:n])


def draw_groups(
    wanted: IntArray, groups: IntArray, rng: np.random.Generator, *, tell: Callable[[int], str]
) -> IntArray:
    """Draw as many rows of each group as are wanted, without replacement.

    With one seed, the draw for a part of what is wanted lies inside the draw for all of it.

    Args:
        wanted: Group of each row that is to be matched, shape ``(m,)``.
        groups: Group of each row of the pool, sorted by uid, shape ``(n,)``.
        rng: Source of the draw.
        tell: Name of a group, for an error.

    Returns:
        Ascending row numbers of the pool, shape ``(m,)``.

    Raises:
        Refusal: If the pool has fewer rows of some group than are wanted.
        ValueError: If none is wanted.
    """
    if not len(wanted):
        raise ValueError("the split has no row to match")
    n_groups = int(max(wanted.max(), groups.max(initial=0))) + 1
    needed, there = (np.bincount(codes, minlength=n_groups) for codes in (wanted, groups))
    short = np.flatnonzero(needed > there)
    if len(short):
        first = int(short[np.argmax((needed - there)[short])])
        raise Refusal(
            f"the pool cannot match the split in {len(short):,} groups: of {tell(first)} the split has "
            f"{needed[first]:,} rows, the pool {there[first]:,}: draw from a larger corpus"
        )
    drawn = rng.permutation(len(groups))
    group = groups[drawn]
    order = np.argsort(group, kind="stable")
    place = np.arange(len(order)) - (np.cumsum(there) - there)[group[order]]
    return np.sort(drawn[order[place < needed[group[order]]]])


def match_size(n: int, uids: pa.Array | Iterable[str], rng: np.random.Generator) -> IntArray:
    """Draw ``n`` rows of a pool at random, the control for a split of ``n`` rows; see ``draw_rows``.

    The draw depends on the set of uids, not on their order.

    Args:
        n: Rows to draw.
        uids: Unique ids of the pool's rows.
        rng: Source of the draw.

    Returns:
        Ascending row numbers, shape ``(n,)``.
    """
    order = _by_uid(uids)
    return np.sort(order[draw_rows(n, len(order), rng)])


def match_concepts(
    split: IntArray, pool: IntArray, uids: pa.Array | Sequence[str], rng: np.random.Generator
) -> IntArray:
    """Draw as many rows of each set of concepts as a split has, from the whole pool; see ``draw_groups``.

    The control has the split's size, concept counts and pair counts exactly, so that a difference in
    accuracy is not one of counts. Rows of the split are part of the pool and may be drawn.

    Args:
        split: Signatures of the split's rows, shape ``(m,)``.
        pool: Signatures of the pool's rows in the same table, shape ``(n,)``.
        uids: Unique ids of the pool's rows, length ``n``; the draw does not depend on the rows' order.
        rng: Source of the draw.

    Returns:
        Ascending row numbers of the pool, shape ``(m,)``.

    Raises:
        ValueError: If the split is empty or ``uids`` has another length than ``pool``.
    """
    if len(pool) != len(uids):
        raise ValueError(f"pool has {len(pool)} rows, {len(uids)} uids were given")
    order = _by_uid(uids)
    return np.sort(order[draw_groups(split, pool[order], rng, tell="set of concepts {}".format)])


def count_distance(split: csr_array, control: csr_array) -> CountDistance:
    """Compare what two splits show, concept by concept and pair by pair.

    Args:
        split: Concepts per row of the split, shape ``(m, n_concepts)``.
        control: Concepts per row of the control, shape ``(k, n_concepts)``.

    Returns:
        The distances; rows, concepts and pairs are 0 for equal counts.

    Raises:
        ValueError: If the vocabularies differ in size or a side has no row.
    """
    if split.shape[1] != control.shape[1] or not split.shape[0] or not control.shape[0]:
        raise ValueError(
            f"split has shape {split.shape}, control {control.shape}; needed rows and equal concepts"
        )
    one, two = _clean(split).astype(np.int64), _clean(control).astype(np.int64)
    first, second = one.sum(axis=0), two.sum(axis=0)
    pairs = abs((one.T @ one) - (two.T @ two))
    return CountDistance(
        rows=abs(int(split.shape[0]) - int(control.shape[0])),
        concepts=int(np.abs(first - second).sum()),
        pairs=int(pairs.sum() - pairs.diagonal().sum()) // 2,
        decades=float(np.abs(np.log10(1 + first) - np.log10(1 + second)).max()),
    )


def _number_sets(ends: IntArray, concepts: IntArray, salt: int) -> IntArray | None:
    """Number the sets by their hashes; ``None`` if two sets have one hash."""
    totals = np.zeros(len(concepts) + 1, np.uint64)
    np.cumsum(_scatter(concepts, salt), out=totals[1:])
    # A sum does not depend on order, and differences of sums that have overflowed are right all the same.
    hashes = totals[ends[1:]] - totals[ends[:-1]]
    order = np.argsort(hashes, kind="stable")
    first = np.ones(len(order), np.bool_)
    first[1:] = hashes[order[1:]] != hashes[order[:-1]]
    group = np.cumsum(first) - 1
    numbers = np.empty(len(order), np.int64)
    numbers[order] = group
    leader = order[first][numbers]
    lengths = np.diff(ends)
    if np.any(lengths != lengths[leader]):
        return None
    shift = np.repeat(ends[leader] - ends[:-1], lengths)
    same = concepts[np.arange(len(concepts)) + shift] == concepts
    return numbers if bool(same.all()) else None


def _scatter(concepts: IntArray, salt: int) -> NDArray[np.uint64]:
    """Return 64 bits for each concept, others for another salt."""
    return mix(concepts.astype(np.uint64) + np.uint64(salt << 32))


def _by_uid(uids: pa.Array | Iterable[str]) -> IntArray:
    order: IntArray = pc.array_sort_indices(as_uids(uids)).to_numpy().astype(np.int64)
    return order


def _clean(mentions: csr_array) -> Any:
    clean = csr_array(mentions, copy=True)
    clean.sum_duplicates()
    clean.eliminate_zeros()
    clean.sort_indices()
    return clean
