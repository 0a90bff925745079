"""The order of many uids: by their letters as whole numbers where all are of one length, as md5 hex digits are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.unit_rows import IntArray

_WORD = 8


def sort_uids(uids: pa.Array) -> tuple[pa.Array, IntArray]:
    """Sort uids by their code points; equal ones stay in the order of their rows.

    Args:
        uids: ``large_string`` without nulls, length ``n``.

    Returns:
        The uids in order, and the row of each, shape ``(n,)``.

    >>> uids, rows = sort_uids(pa.array(["b", "a", "b"], pa.large_string()))
    >>> uids.to_pylist(), rows.tolist()
    (['a', 'b', 'b'], [1, 0, 2])
    """
    letters = _as_table(uids)
    if letters is None:
        order: IntArray = pc.array_sort_indices(uids).to_numpy().astype(np.int64)
        return uids.take(pa.array(order)), order
    order = _order(letters)
    size, width = letters.shape
    # As whole pieces, which is many times as fast as Arrow's own gathering of texts.
    ordered = letters.take(order, axis=0)
    ends = np.arange(size + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(ordered)]
    return pa.Array.from_buffers(pa.large_string(), size, buffers), order


def find_uids(ordered: pa.Array, wanted: pa.Array) -> IntArray:
    """Return the place of uids among others.

    Args:
        ordered: ``large_string``, sorted, each once, length ``n``.
        wanted: ``large_string`` in any order, length ``m``.

    Returns:
        Places, -1 for a uid that is not there, shape ``(m,)``.

    >>> find_uids(pa.array(["a", "c"], pa.large_string()), pa.array(["c", "b"], pa.large_string())).tolist()
    [1, -1]
    """
    letters, asked = _as_table(ordered), _as_table(wanted)
    if letters is None or asked is None or letters.shape[1] != asked.shape[1]:
        found = pc.fill_null(pc.index_in(wanted, value_set=ordered), -1)
        places: IntArray = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return places
    width = f"S{letters.shape[1]}"
    known, keys = letters.view(width).reshape(-1), asked.view(width).reshape(-1)
    # Numbers are found faster than texts, and where the first letters are shared, only some of the texts are left.
    places = np.searchsorted(_words(letters, 0), _words(asked, 0))
    places = np.minimum(places, len(known) - 1)
    missed = np.flatnonzero(known[places] != keys)
    places[missed] = np.minimum(np.searchsorted(known, keys[missed]), len(known) - 1)
    places[missed[known[places[missed]] != keys[missed]]] = -1
    return places


def _order(letters: NDArray[np.uint8]) -> IntArray:
    words = _words(letters, 0)
    order: IntArray = np.argsort(words).astype(np.int64, copy=False)
    # Places whose uid is not yet told apart from a neighbour's, and a number for each run of equal ones.
    places, runs = _find_ties(words[order], np.broadcast_to(np.int64(0), len(words)))
    for start in range(_WORD, letters.shape[1] + _WORD, _WORD):
        if not len(places):
            break
        rows = order[places]
        words = _words(letters[rows], start)
        inside = np.lexsort((rows, words, runs))
        order[places] = rows[inside]
        tied, runs = _find_ties(words[inside], runs[inside])
        places = places[tied]
    return order


def _as_table(uids: pa.Array) -> NDArray[np.uint8] | None:
    """Return the bytes of uids, a row each, without a copy; ``None`` where they are not of one length."""
    _, offsets, data = uids.buffers()
    if not len(uids) or data is None:
        return None
    bounds = np.frombuffer(offsets, dtype=np.int64)[uids.offset : uids.offset + len(uids) + 1]
    width = int(bounds[1] - bounds[0])
    if width < _WORD or (np.diff(bounds) != width).any():
        return None
    return np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]].reshape(len(uids), width)


def _words(letters: NDArray[np.uint8], start: int) -> NDArray[np.uint64]:
    """Return eight letters of each row as a number that sorts as they do; there are none beyond the end."""
    part = letters[:, start : start + _WORD]
    if part.shape[1] < _WORD:
        part = np.pad(part, ((0, 0), (0, _WORD - part.shape[1])))
    return np.ascontiguousarray(part).view(">u8").reshape(-1).astype(np.uint64)


def _find_ties(words: NDArray[np.uint64], runs: IntArray) -> tuple[IntArray, IntArray]:
    """Return where run and word are shared with a neighbour, and a new number for each such run."""
    same = (words[1:] == words[:-1]) & (runs[1:] == runs[:-1])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    starts = ~same[np.maximum(tied - 1, 0)] | (tied == 0)
    return tied, np.cumsum(starts)
