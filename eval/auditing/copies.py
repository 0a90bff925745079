"""Pictures of two sets compared by their files and looks, every one with every one, wherever an encoder puts them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.splits.curation.perceptual import Bytes, count_bits

# Of the 63 frequencies behind a hash about half are above their median, unless most of them are equal: such a picture has
# hardly anything on it, and is like every other of its kind.
_FEWEST_SET, _MOST_SET = 16, 48
# Distances at a time.
_AT_ONCE = 1 << 24


def unpack_looks(hashes: pa.Array) -> Bytes:
    """Return perceptual hashes of a column, none of them null, as bytes of shape ``(n, 8)``."""
    return np.frombuffer(b"".join(hashes.to_pylist()), np.uint8).reshape(len(hashes), hashes.type.byte_width)


def tell_apart(looks: Bytes) -> NDArray[np.bool_]:
    """Say which hashes are of pictures with anything on them, shape ``(n,)``: of others equal hashes say nothing.

    >>> tell_apart(np.array([[255] * 8, [240] * 8], np.uint8))
    array([False,  True])
    """
    count = np.unpackbits(looks, axis=1).sum(axis=1, dtype=np.int64)
    told: NDArray[np.bool_] = (count >= _FEWEST_SET) & (count <= _MOST_SET)
    return told


def match_pictures(tests: pa.Table, rows: pa.Table, bits: int) -> pa.Table:
    """Find all pairs of pictures that are the same file, or whose hashes differ in few bits.

    Args:
        tests: ``uid``, ``digest`` and ``look`` as ``fingerprint_pictures`` gives them.
        rows: Likewise.
        bits: Of 64, in which hashes may differ.

    Returns:
        ``test``, ``uid``, ``bits`` and whether the files are the ``same``; a pair may come twice.
    """
    tests, rows = (table.filter(table["look"].is_valid()).combine_chunks() for table in (tests, rows))
    parts = [*_match_files(tests, rows), *_match_looks(tests, rows, bits)]
    uids = [table["uid"].combine_chunks() for table in (tests, rows)]
    first, second, apart, same = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pa.table(
        {
            "test": uids[0].take(pa.array(first)),
            "uid": uids[1].take(pa.array(second)),
            "bits": apart.astype(np.int64),
            "same": same,
        }
    )


_Part = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]


def _match_files(tests: pa.Table, rows: pa.Table) -> Iterator[_Part]:
    known = tests["digest"].combine_chunks().unique()
    ours, theirs = (pc.index_in(table["digest"].combine_chunks(), value_set=known) for table in (tests, rows))
    there = np.flatnonzero(theirs.is_valid().to_numpy(zero_copy_only=False))
    mine, digests = ours.to_numpy(), theirs.to_numpy(zero_copy_only=False)
    pairs = [(int(test), int(row)) for row in there.tolist() for test in np.flatnonzero(mine == digests[row])]
    first, second = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    yield first, second, np.zeros(len(pairs)), np.ones(len(pairs), np.bool_)


def _match_looks(tests: pa.Table, rows: pa.Table, bits: int) -> Iterator[_Part]:
    ours, theirs = (unpack_looks(table["look"].combine_chunks()) for table in (tests, rows))
    mine, others = (np.flatnonzero(tell_apart(looks)) for looks in (ours, theirs))
    step = max(1, _AT_ONCE // max(1, len(mine)))
    for start in range(0, len(others), step):
        part = others[start : start + step]
        apart = count_bits(ours[mine], theirs[part])
        first, second = np.nonzero(apart <= bits)
        yield (
            mine[first],
            part[second],
            apart[first, second].astype(np.float64),
            np.zeros(len(first), np.bool_),
        )
