"""Rows of a corpus whose uid comes again: where rows are counted as support, all rows of one uid are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, file_name, read_bitmaps
from oddpair.retrieval.counting.postings_query import Postings
from oddpair.retrieval.uid_order import sort_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import as_uids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeated:
    """Rows that share their uid with another row, and which of them share one.

    Attributes:
        rows: Their numbers among the rows that ``Corpus.batches`` gives, ascending, shape ``(n,)``.
        groups: A number for each uid, from 0 on, shape ``(n,)``.
    """

    rows: IntArray
    groups: IntArray

    def groups_of(self, start: int, stop: int) -> IntArray:
        """Return the group of each row from ``start`` to before ``stop``, -1 of one whose uid is its own."""
        found = np.full(stop - start, -1)
        low, high = np.searchsorted(self.rows, [start, stop])
        found[self.rows[low:high] - start] = self.groups[low:high]
        return found


def find_repeated(corpus: Corpus) -> Repeated:
    """Read the uids of a corpus once, and find the rows that share one; 48 bytes a row are held meanwhile."""
    parts = []
    with track("read uids", len(corpus), "rows") as progress:
        for batch in corpus.batches():
            parts.append(as_uids(batch.table["uid"]))
            progress.advance(batch.table.num_rows)
    if not parts:
        return Repeated(rows=np.zeros(0, np.int64), groups=np.zeros(0, np.int64))
    ordered, order = sort_uids(as_uids(pa.chunked_array(parts)))
    same = pc.equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False).astype(np.bool_)
    shared = np.append(same, False) | np.append(False, same)
    starts = shared & ~np.append(False, same)
    rows, groups = order[shared], np.cumsum(starts)[shared] - 1
    ascending = np.argsort(rows)
    return Repeated(rows=rows[ascending], groups=groups[ascending])


def count_uids(
    postings: Postings, concepts: Sequence[int], kind: Literal["text", "image"], repeated: Repeated
) -> IntArray:
    """Count the uids of which some row holds each concept, shape ``(n_concepts_given,)``.

    Args:
        postings: The posting lists of a corpus.
        concepts: One id or more.
        kind: Captions, or tags of images.
        repeated: The rows of the same corpus that share a uid.
    """
    counts = postings.count_each(concepts, kind)
    if not len(repeated.rows):
        return counts
    index = postings.index
    ends = np.cumsum([0, *index.rows])
    held: dict[int, list[IntArray]] = {concept: [] for concept in concepts}
    for start, stop in zip(index.starts, (*index.starts[1:], len(index.shards)), strict=True):
        first, last = int(ends[start]), int(ends[stop])
        low, high = np.searchsorted(repeated.rows, [first, last])
        if low == high:
            continue
        rows, groups = repeated.rows[low:high] - first, repeated.groups[low:high]
        shared = BitMap(rows.astype(np.uint32))
        path = postings.folder / POSTINGS_FOLDER / file_name(kind, start, len(index.shards))
        found = read_bitmaps(path, held, n_rows=last - first, n_concepts=index.n_concepts)
        for concept, bitmap in found.items():
            here = np.frombuffer((bitmap & shared).to_array(), np.uint32)
            held[concept].append(groups[np.searchsorted(rows, here)])
    for place, concept in enumerate(concepts):
        if held[concept]:
            groups = np.concatenate(held[concept])
            counts[place] -= len(groups) - len(np.unique(groups))
    return counts
