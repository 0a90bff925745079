"""The tags of many pictures in a few arrays: uids are found by a hash, and confirmed by their bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.mentions.incidence import Incidence
from oddpair.retrieval.unit_rows import IntArray

Hashes = NDArray[np.uint64]

# Tags are sorted so many at a time: sorting takes 16 bytes for each of them, keeping takes 4.
_TAGS_AT_ONCE = 1 << 24
_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TagRows:
    """Some tags, one a row: the picture's uid (large string, no null) and the concept's id, both of length ``n``."""

    uids: pa.LargeStringArray
    concepts: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TagTable:
    """The concepts of each tagged picture: 4 bytes a tag, and 24 and its uid a picture. Threads may share it.

    Attributes:
        uids: Each once, in the order of ``hashes``.
        hashes: Ascending, shape ``(n,)``.
        ends: Picture ``i`` has ``concepts[ends[i]:ends[i + 1]]``, int64, shape ``(n + 1,)``.
        concepts: Ids, ascending and each once within a picture, int32.
        n_concepts: Size of the vocabulary.
    """

    uids: pa.LargeStringArray
    hashes: Hashes
    ends: IntArray
    concepts: NDArray[np.int32]
    n_concepts: int

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, uids: pa.Array | pa.ChunkedArray) -> Incidence:
        """Return the concepts of each of ``n`` pictures; a null, and a uid without tags, has none."""
        places = self._places(as_texts(uids))
        known = np.flatnonzero(places >= 0)
        starts, stops = self.ends[places[known]], self.ends[places[known] + 1]
        ends = np.zeros(len(places) + 1, np.int64)
        ends[known + 1] = stops - starts
        return Incidence(
            ends=np.cumsum(ends),
            concepts=self.concepts[spread(starts, stops - starts)],
            n_concepts=self.n_concepts,
        )

    def _places(self, uids: pa.LargeStringArray) -> IntArray:
        hashes = hash_texts(uids)
        # In order, neighbours end in places that are still in the processor's cache.
        left = np.argsort(hashes)
        places = np.empty(len(hashes), np.int64)
        places[left] = np.searchsorted(self.hashes, hashes[left])
        found = np.full(len(hashes), -1, np.int64)
        while len(left):
            left = left[places[left] < len(self)]
            left = left[self.hashes[places[left]] == hashes[left]]
            same = _equal(uids.take(pa.array(left)), self.uids.take(pa.array(places[left])))
            found[left[same]] = places[left[same]]
            # Other uids of the same hash are stepped over one by one.
            left = left[~same]
            places[left] += 1
        return found


def build_table(parts: Iterable[TagRows], n_concepts: int) -> TagTable:
    """Gather tags, in any order and repeated or not, by picture.

    Beside the table itself it holds 4 bytes a tag, and a uid for each stretch of tags of one picture.

    Args:
        parts: The tags.
        n_concepts: Size of the vocabulary.

    Returns:
        The table; no tags give an empty one.

    >>> rows = TagRows(uids=as_texts(pa.array(["x", "y", "x"])), concepts=np.array([2, 0, 1], np.int32))
    >>> build_table([rows], n_concepts=3).find(pa.array(["x", "z"])).concepts.tolist()
    [1, 2]
    """
    run_uids, lengths, concepts = [_texts([])], [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for part in parts:
        if not len(part.concepts):
            continue
        changes = np.flatnonzero(~_equal(part.uids[1:], part.uids[:-1])) + 1
        starts = np.concatenate([[0], changes])
        run_uids.append(part.uids.take(pa.array(starts)))
        lengths.append(np.diff(starts, append=len(part.concepts)))
        concepts.append(part.concepts)
    return _join_runs(
        pa.concat_arrays(run_uids), np.concatenate(lengths), np.concatenate(concepts), n_concepts
    )


def as_texts(uids: pa.Array | pa.ChunkedArray) -> pa.LargeStringArray:
    """Return text of any Arrow type as one array, of which even 2 GiB are no limit."""
    found = uids.cast(pa.large_string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def hash_texts(texts: pa.LargeStringArray) -> Hashes:
    """Hash the bytes of each text to 64 bits, the same everywhere; a null has that of an empty one.

    >>> first, second, third = hash_texts(as_texts(pa.array(["cat", "cat", "cats"])))
    >>> bool(first == second), bool(first == third)
    (True, False)
    """
    if not len(texts):
        return np.zeros(0, np.uint64)
    _, offsets, held = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    starts, sizes = ends[:-1], np.diff(ends)
    data = np.frombuffer(held or b"", np.uint8)
    if len(data) < 8:
        data = np.pad(data, (0, 8 - len(data)))
    # Eight bytes from any place on, as one number.
    words: NDArray[np.uint64] = np.ndarray((len(data) - 7,), "<u8", data, 0, (1,))
    hashes = sizes.astype(np.uint64) * _ODD
    rows, done = np.flatnonzero(sizes > 0), 0
    while len(rows):
        at = starts[rows] + done
        back = np.maximum(at - (len(words) - 1), 0)
        found = words[at - back] >> (8 * back).astype(np.uint64)
        beyond = np.maximum(8 - (sizes[rows] - done), 0)
        found &= ~np.uint64(0) >> (8 * beyond).astype(np.uint64)
        mixed = (hashes[rows] ^ found) * _ODD
        hashes[rows] = mixed ^ mixed >> _HALF
        done += 8
        rows = rows[sizes[rows] > done]
    return hashes * _ODD


def spread(starts: IntArray, lengths: IntArray) -> IntArray:
    """List the places of stretches that lie one after the other in the result.

    >>> spread(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _join_runs(
    uids: pa.LargeStringArray, lengths: IntArray, concepts: NDArray[np.int32], n_concepts: int
) -> TagTable:
    hashes = hash_texts(uids)
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    uids = _settle_collisions(uids, hashes, order)
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = ~_equal(uids[1:], uids[:-1])
    first = np.flatnonzero(is_new)
    starts, lengths = (np.cumsum(lengths) - lengths)[order], lengths[order]
    counts = np.zeros(len(first), np.int64)
    kept = np.empty(len(concepts), np.int32)
    filled = 0
    for begin, end in _slices(first, lengths):
        runs = slice(int(first[begin]), int(first[end]) if end < len(first) else len(order))
        picture = np.repeat(np.cumsum(is_new[runs]) - 1, lengths[runs])
        keys = picture * n_concepts + concepts[spread(starts[runs], lengths[runs])]
        keys.sort()
        # A picture may be tagged twice with a concept.
        keys = keys[np.diff(keys, prepend=-1) > 0]
        counts[begin:end] = np.bincount(keys // n_concepts, minlength=end - begin)
        kept[filled : filled + len(keys)] = keys % n_concepts
        filled += len(keys)
    return TagTable(
        uids=uids.take(pa.array(first)),
        hashes=hashes[first],
        ends=np.concatenate([[0], np.cumsum(counts)]),
        concepts=kept[:filled],
        n_concepts=n_concepts,
    )


def _settle_collisions(uids: pa.LargeStringArray, hashes: Hashes, order: IntArray) -> pa.LargeStringArray:
    """Return uids in order, having brought equal ones together, in place, where others share their hash."""
    ordered = uids.take(pa.array(order))
    shared = np.flatnonzero((hashes[1:] == hashes[:-1]) & ~_equal(ordered[1:], ordered[:-1]))
    if not len(shared):
        return ordered
    for value in np.unique(hashes[shared]):
        low, high = np.searchsorted(hashes, value), np.searchsorted(hashes, value, side="right")
        order[low:high] = sorted(order[low:high].tolist(), key=lambda run: (uids[run].as_py(), run))
    return uids.take(pa.array(order))


def _slices(first: IntArray, lengths: IntArray) -> list[tuple[int, int]]:
    """Cut the pictures into stretches that have about so many tags as are sorted at once."""
    before = (np.cumsum(lengths) - lengths)[first]
    total = int(lengths.sum())
    cuts = np.searchsorted(before, np.arange(0, total, _TAGS_AT_ONCE)).tolist()
    edges = sorted({*cuts, len(first)})
    return list(itertools.pairwise(edges))


def _equal(one: pa.LargeStringArray, other: pa.LargeStringArray) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = pc.fill_null(pc.equal(one, other), False).to_numpy(zero_copy_only=False)
    return same


def _texts(values: list[str]) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())
