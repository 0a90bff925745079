"""Uids as sorted keys of 16 bytes, among which any number of rows are found without a table of texts in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.retrieval.subset import UID_TYPE, UidArray, parse_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import as_uids

_HEX = r"\A[0-9a-f]{32}\z"
_ONE_HEX = re.compile("[0-9a-f]{32}")


def make_keys(uids: pa.Array | pa.ChunkedArray | Iterable[str]) -> UidArray:
    """Turn uids into keys: 32 hex digits are taken as the two numbers of a DataComp subset, other text is hashed.

    Args:
        uids: ``n`` uids.

    Returns:
        ``UID_TYPE``, shape ``(n,)``, in their order; other text is its 128-bit BLAKE2b.

    >>> make_keys(["0000000000000001" "00000000000000ff"]).tolist()
    [(1, 255)]
    """
    listed = as_uids(uids)
    hexadecimal = pc.match_substring_regex(listed, _HEX).to_numpy(zero_copy_only=False).astype(np.bool_)
    if hexadecimal.all():
        return parse_uids(listed)
    keys = np.empty(len(listed), dtype=UID_TYPE)
    keys[hexadecimal] = parse_uids(listed.filter(pa.array(hexadecimal)))
    others = listed.filter(pa.array(~hexadecimal)).to_pylist()
    hashed = b"".join([_hash(uid) for uid in others])
    keys[~hexadecimal] = np.frombuffer(hashed, dtype=">u8").astype("<u8").view(UID_TYPE)
    return keys


def make_key(uid: str) -> tuple[int, int]:
    """Turn one uid into its key, as ``make_keys`` does but faster than a list of one.

    >>> make_key("0000000000000001" "00000000000000ff")
    (1, 255)
    """
    digits = uid if _ONE_HEX.fullmatch(uid) else _hash(uid).hex()
    return int(digits[:16], 16), int(digits[16:], 16)


def count_key(keys: UidArray, key: tuple[int, int]) -> int:
    """Return how often a key is among sorted ones, which may lie in a memory-mapped file."""
    upper, lower = key
    place, count = int(np.searchsorted(keys["f0"], np.uint64(upper))), 0
    while place < len(keys) and int(keys["f0"][place]) == upper:
        count += int(keys["f1"][place]) == lower
        place += 1
    return count


def find_keys(keys: UidArray, wanted: UidArray) -> IntArray:
    """Find keys among sorted ones, which may lie in a memory-mapped file.

    Args:
        keys: Sorted, shape ``(n,)``; they may repeat.
        wanted: Keys in any order, shape ``(m,)``.

    Returns:
        The first place of each, -1 where it is not there, shape ``(m,)``.
    """
    found = np.full(len(wanted), -1, dtype=np.int64)
    # In order, neighbours end in places that are still in the processor's cache.
    left = np.argsort(wanted["f0"])
    places = np.empty(len(wanted), dtype=np.int64)
    places[left] = np.searchsorted(keys["f0"], wanted["f0"][left])
    # Few keys share their upper half, but for those that repeat; they are stepped over one by one.
    while len(left):
        left = left[places[left] < len(keys)]
        here = keys[places[left]]
        left, here = left[here["f0"] == wanted["f0"][left]], here[here["f0"] == wanted["f0"][left]]
        same = here["f1"] == wanted["f1"][left]
        found[left[same]] = places[left[same]]
        left = left[~same]
        places[left] += 1
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UidIndex:
    """Uids that rows of a corpus are looked up among; 24 bytes a uid.

    Attributes:
        keys: Their keys, sorted, shape ``(n,)``.
        places: Place of each in the list that was indexed, shape ``(n,)``.
    """

    keys: UidArray
    places: IntArray

    def find(self, uids: pa.Array | pa.ChunkedArray | Iterable[str]) -> IntArray:
        """Return the place of each uid in the list, -1 for one that is not in it, shape of ``uids``."""
        return self.find_keys(make_keys(uids))

    def find_keys(self, wanted: UidArray) -> IntArray:
        """Return the place of each key in the list, -1 for one that is not in it, shape ``(m,)``."""
        if not len(self.keys):
            return np.full(len(wanted), -1, dtype=np.int64)
        found = find_keys(self.keys, wanted)
        return np.where(found < 0, -1, self.places[found])


def index_uids(uids: pa.Array | pa.ChunkedArray | Iterable[str]) -> UidIndex:
    """Index a list of uids, each of which is there once."""
    return index_keys(make_keys(uids))


def index_keys(keys: UidArray) -> UidIndex:
    """Index a list of keys; of one that is there several times the first place is given."""
    order = np.lexsort((keys["f1"], keys["f0"])).astype(np.int64)
    return UidIndex(keys=keys[order], places=order)


def take_new(found: IntArray, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> IntArray:
    """Choose the rows of a batch that bring something of a list for the first time, and mark that as seen.

    Args:
        found: Place of each row in the list, -1 for none, shape ``(m,)``.
        seen: Whether each place of the list was seen before, shape ``(n,)``; changed.

    Returns:
        Rows of the batch, ascending.
    """
    rows = np.flatnonzero(found >= 0)
    places, first = np.unique(found[rows], return_index=True)
    new = ~seen[places]
    seen[places[new]] = True
    return np.sort(rows[first[new]])


def _hash(uid: str) -> bytes:
    return blake2b(uid.encode(), digest_size=16).digest()
