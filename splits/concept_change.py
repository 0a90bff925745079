"""What a split does to the concepts of its corpus: how many captions mention each, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.progress import track
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptChange:
    """Captions that mention each concept in a corpus and in some of its splits; a uid counts once.

    Attributes:
        names: The concepts, length ``n``.
        rows: Rows of the corpus.
        before: Captions of the corpus, shape ``(n,)``.
        after: Captions of each split, shape ``(n_splits, n)``.
    """

    names: tuple[str, ...]
    rows: int
    before: IntArray
    after: IntArray


def count_change(corpus: Corpus, splits: Sequence[Manifest], vocabulary: Vocabulary) -> ConceptChange:
    """Count concepts in the captions of a corpus and of its splits, in one pass.

    Args:
        corpus: The corpus; some of its captions are in memory at a time, and which uids were met.
        splits: Splits of it.
        vocabulary: The concepts.

    Returns:
        The counts. Of rows with one uid the first counts.
    """
    matcher = Matcher(vocabulary)
    n = len(vocabulary)
    before, after = np.zeros(n, np.int64), np.zeros((len(splits), n), np.int64)
    met = [np.zeros(len(split), np.bool_) for split in splits]
    rows = 0
    with track("counting concepts", len(corpus), "rows") as progress:
        for batch in corpus.batches():
            uids = batch.table["uid"].combine_chunks().cast(pa.large_string())
            found = matcher.find(batch.table["caption"].combine_chunks().cast(pa.large_string()))
            rows += len(uids)
            before += np.bincount(found.concepts, minlength=n)
            for number, split in enumerate(splits):
                place = pc.fill_null(pc.index_in(uids, value_set=split.uids), -1).to_numpy(
                    zero_copy_only=False
                )
                new = _first(place, met[number])
                after[number] += np.bincount(found.concepts[new[found.rows]], minlength=n)
            progress.advance(len(uids))
    names = tuple(concept.name for concept in vocabulary.concepts)
    return ConceptChange(names=names, rows=rows, before=before, after=after)


def _first(place: IntArray, met: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> np.ndarray:
    """Mark rows of the split that were not met before, and note them as met."""
    new = np.zeros(len(place), np.bool_)
    inside = np.flatnonzero(place >= 0)
    kept, where = np.unique(place[inside], return_index=True)
    fresh = ~met[kept]
    new[inside[where[fresh]]] = True
    met[kept] = True
    return new
