"""The rows that a recipe chooses from, sorted by uid: what is kept of them is a split's list, in its order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.dedup import sort_by_uid
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.uid_order import find_uids, sort_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import as_uids


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Rows sorted by uid, each uid once; 48 bytes a row are held where uids have 32 letters.

    Attributes:
        uids: ``large_string``, sorted, length ``n``.
        rows: Where each comes from: its row in the embeddings or in the order of the corpus, shape ``(n,)``.
    """

    uids: pa.Array
    rows: IntArray

    def __len__(self) -> int:
        return len(self.uids)

    def keep(self, mask: NDArray[np.bool_]) -> pa.Array:
        """Return the uids where ``mask`` is true, sorted; the mask has shape ``(n,)``."""
        return self.uids.filter(pa.array(mask))

    def places(self, uids: pa.Array | Iterable[str]) -> IntArray:
        """Return the place of each uid, -1 for one that is not in the pool, shape of ``uids``."""
        return find_uids(self.uids, as_uids(uids))


def pool_of_stored(stored: StoredRows) -> Pool:
    """Return the rows of embeddings.

    Raises:
        Refusal: If two rows of one uid have different vectors.
    """
    uids, rows, _ = sort_by_uid(stored)
    return Pool(uids=as_uids(uids), rows=rows)


def pool_of_uids(uids: pa.Array | pa.ChunkedArray | Iterable[str]) -> Pool:
    """Return the rows of a list of uids in any order; the first of rows with one uid stands for it."""
    ordered, order = sort_uids(as_uids(uids))
    same = pc.equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False).astype(np.bool_)
    if same.any():
        first = np.concatenate([[True], ~same])
        ordered, order = ordered.filter(pa.array(first)), order[first]
    return Pool(uids=ordered, rows=order)
