"""Which rows of a corpus hold all concepts of some set, of many sets at once, from its posting lists."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyroaring import BitMap

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, file_name, read_bitmaps
from oddpair.retrieval.counting.postings_query import Postings
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.splits.pairs.set_counts import distinct_rows
from oddpair.splits.pool import pool_of_uids


def find_holders(
    corpus: Corpus, postings: Postings, sets: Mentions, kind: Literal["text", "image"]
) -> pa.Array:
    """Find the uids of the rows that hold all concepts of at least one set.

    Args:
        corpus: The corpus that was counted.
        postings: Its posting lists; each bitmap is read once.
        sets: Shape ``(n_sets, n_concepts)``, none of them empty.
        kind: Captions, or tags of images.

    Returns:
        Their uids, sorted, each once.

    Raises:
        Refusal: If a shard has fewer rows than were counted.
    """
    first, _ = distinct_rows(sets)
    members = [sets.indices[sets.indptr[row] : sets.indptr[row + 1]].tolist() for row in first.tolist()]
    wanted = np.unique(sets.indices).tolist()
    index = postings.index
    uids = [pa.array([], pa.large_string())]
    for start, stop in zip(index.starts, (*index.starts[1:], len(index.shards)), strict=True):
        found = read_bitmaps(
            postings.folder / POSTINGS_FOLDER / file_name(kind, start, len(index.shards)),
            wanted,
            n_rows=sum(index.rows[start:stop]),
            n_concepts=index.n_concepts,
        )
        rows = _hold_any(found, members)
        ends = np.cumsum(index.rows[start:stop])
        for place, here in enumerate(np.split(rows, np.searchsorted(rows, ends)[:-1])):
            if len(here):
                first_row = int(ends[place]) - index.rows[start + place]
                uids.append(_read_uids(corpus, index.shards[start + place], here - first_row))
    return pool_of_uids(pa.concat_arrays(uids)).uids


def _hold_any(found: dict[int, BitMap], members: list[list[int]]) -> NDArray[np.int64]:
    held = BitMap()
    for concepts in members:
        lists = sorted((found[each] for each in concepts if each in found), key=len)
        if len(lists) < len(concepts):
            continue
        # From the rarest on, no step has more to do than it.
        common = lists[0]
        for other in lists[1:]:
            common = common & other
        held |= common
    return np.frombuffer(held.to_array(), np.uint32).astype(np.int64)


def _read_uids(corpus: Corpus, shard: str, rows: NDArray[np.int64]) -> pa.Array:
    """Read the uids of some rows of a shard, by their ascending numbers among those that are kept."""
    uids, seen = [pa.array([], pa.large_string())], 0
    for batch in corpus.scan(shard):
        n = batch.table.num_rows
        here = rows[(rows >= seen) & (rows < seen + n)] - seen
        uids.append(batch.table["uid"].combine_chunks().cast(pa.large_string()).take(pa.array(here)))
        seen += n
    if len(rows) and rows[-1] >= seen:
        raise Refusal(
            f"shard {shard} of {corpus.root} has {seen:,} rows, {int(rows[-1]) + 1:,} or more were counted: count it again"
        )
    return pa.concat_arrays(uids)
