"""Rows that share a uid in an embedding folder, found without holding its uids in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import SAME_VECTOR
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import IntArray

_ROWS_AT_ONCE = 1 << 16
# Rows that lie in one stretch of so many are read at once, with those between them.
_STRETCH = 256


def count_repeats(stored: StoredRows) -> int:
    """Count the rows whose uid came before, with the same vector; eight bytes a row are held meanwhile.

    One picture may have two captions, so rows of captions need to agree only where the captions do.

    Args:
        stored: Rows of pictures or of captions.

    Returns:
        Rows whose uid an earlier row has.

    Raises:
        Refusal: If two rows of one uid have different vectors.
    """
    rows = _of_equal_hash(stored)
    uids = stored.uids(rows)
    captions = stored.captions(rows) if stored.kind == "text_emb" else [""] * len(rows)
    first: dict[tuple[str, str], int] = {}
    pairs: list[tuple[int, int]] = []
    for row, uid, caption in zip(rows.tolist(), uids, captions, strict=True):
        earlier = first.setdefault((uid, caption), row)
        if earlier != row:
            pairs.append((earlier, row))
    for start in range(0, len(pairs), _ROWS_AT_ONCE):
        _require_same(stored, np.array(pairs[start : start + _ROWS_AT_ONCE], dtype=np.int64))
    return len(rows) - len(set(uids))


def _of_equal_hash(stored: StoredRows) -> IntArray:
    """Return the rows, in order, whose uid another row may have too."""
    total = stored.shape[0]
    hashes = np.empty(total, dtype=np.int64)
    for start in range(0, total, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, total)
        # Python's hash differs between runs; all that depends on it is which rows are looked at again.
        hashes[start:stop] = [hash(uid) for uid in stored.uids(np.arange(start, stop))]
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.flatnonzero(np.isin(hashes, repeated)) if len(repeated) else np.empty(0, dtype=np.int64)


def _require_same(stored: StoredRows, pairs: IntArray) -> None:
    apart = np.linalg.norm(_gather(stored, pairs[:, 0]) - _gather(stored, pairs[:, 1]), axis=1)
    wrong = np.flatnonzero(apart > SAME_VECTOR)
    if len(wrong):
        earlier, row = pairs[wrong[0]].tolist()
        raise Refusal(
            f"uid {stored.uids(pairs[wrong[0], :1])[0]} has one vector in {stored.tell_place(earlier)} and another in "
            f"{stored.tell_place(row)}: remove one of the rows from the corpus, or give them uids of their own"
        )


def _gather(stored: StoredRows, rows: IntArray) -> NDArray[np.float32]:
    """Read some rows, in the order asked for."""
    found = np.empty((len(rows), stored.shape[1]), dtype=np.float32)
    order = np.argsort(rows, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(rows[order] // _STRETCH)) + 1):
        start, stop = int(rows[places[0]]), int(rows[places[-1]]) + 1
        found[places] = stored.read(start, stop)[rows[places] - start]
    return found
