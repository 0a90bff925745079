"""Control splits: random rows of the same number, or of the same number per set of concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal


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


def signatures(mentions: csr_array) -> NDArray[np.object_]:
    """Return each row's set of concepts as a key: equal sets have equal keys, in any table of one vocabulary.

    Args:
        mentions: Concepts per row, shape ``(n, n_concepts)``.

    Returns:
        The ascending concept ids as little-endian int32 bytes, shape ``(n,)``; ``b""`` for no concept.

    >>> signatures(csr_array(np.array([[1, 0, 1], [0, 0, 0]], dtype=bool)))[1]
    b''
    """
    clean = _clean(mentions)
    ids = np.ascontiguousarray(clean.indices, dtype="<i4").tobytes()
    ends = clean.indptr.astype(np.int64) * 4
    keys = np.empty(clean.shape[0], dtype=np.object_)
    keys[:] = [ids[start:stop] for start, stop in pairwise(ends)]
    return keys


def match_size(n: int, uids: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``n`` rows of a pool at random, the control for a split of ``n`` rows.

    The draw depends on the set of uids, not on their order, and with one seed a smaller draw lies inside
    a larger one.

    Args:
        n: Rows to draw.
        uids: Unique ids of the pool's rows.
        rng: Source of the draw.

    Returns:
        Ascending row numbers, int64, shape ``(n,)``.

    Raises:
        Refusal: If the pool has fewer rows.
        ValueError: If ``n`` is below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}, at least 1 is needed")
    if n > len(uids):
        raise Refusal(
            f"a control of {n:,} rows cannot be drawn from a pool of {len(uids):,}: use a larger corpus"
        )
    return np.sort(_by_uid(uids)[rng.permutation(len(uids))[:n]])


def match_concepts(
    split: NDArray[np.object_], pool: NDArray[np.object_], uids: Sequence[str], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw as many rows of each set of concepts as a split has, from the whole pool, without replacement.

    The control has the split's size, concept counts and pair counts exactly, so that a difference in
    accuracy is not one of counts. Rows of the split are part of the pool and may be drawn.

    Args:
        split: Signatures of the split's rows, shape ``(m,)``.
        pool: Signatures of the pool's rows, shape ``(n,)``.
        uids: Unique ids of the pool's rows, length ``n``; the draw does not depend on the rows' order.
        rng: Source of the draw.

    Returns:
        Ascending row numbers of the pool, int64, shape ``(m,)``.

    Raises:
        Refusal: If the pool has fewer rows of some set of concepts than the split.
        ValueError: If the split is empty or ``uids`` has another length than ``pool``.
    """
    if not len(split):
        raise ValueError("the split has no row to match")
    if len(pool) != len(uids):
        raise ValueError(f"pool has {len(pool)} rows, {len(uids)} uids were given")
    keys, codes = np.unique(np.concatenate([split, pool]), return_inverse=True)
    needed = np.bincount(codes[: len(split)], minlength=len(keys))
    there = np.bincount(codes[len(split) :], minlength=len(keys))
    short = np.flatnonzero(needed > there)
    if len(short):
        first = short[np.argmax((needed - there)[short])]
        raise Refusal(
            f"the pool cannot match the split in {len(short):,} sets of concepts: of concepts "
            f"{np.frombuffer(keys[first], dtype='<i4').tolist()} the split has {needed[first]:,} rows, the pool "
            f"{there[first]:,}: draw from the corpus that the split was made of"
        )
    drawn = _by_uid(uids)[rng.permutation(len(uids))]
    code = codes[len(split) :][drawn]
    order = np.argsort(code, kind="stable")
    place = np.arange(len(order)) - (np.cumsum(there) - there)[code[order]]
    return np.sort(drawn[order[place < needed[code[order]]]])


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


def _by_uid(uids: Sequence[str]) -> NDArray[np.int64]:
    return np.argsort(np.asarray(uids, dtype=np.object_), kind="stable")


def _clean(mentions: csr_array) -> Any:
    clean = csr_array(mentions, copy=True)
    clean.sum_duplicates()
    clean.eliminate_zeros()
    clean.sort_indices()
    return clean
