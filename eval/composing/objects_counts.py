"""Counts of objects and of sets of them, looked up in what ``oddpair count`` wrote of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, verify_counts
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER
from oddpair.retrieval.counting.postings_query import open_postings
from oddpair.retrieval.mentions.incidence import from_lists
from oddpair.retrieval.words import normalise
from oddpair.splits.pairs.set_counts import count_sets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_COUNTED = ("counts.parquet", "pairs.parquet", "nested.parquet", "meta.json")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetCounts:
    """What a corpus holds of sets of objects.

    Attributes:
        single: Captions that name each object, one array a set; NaN for what the vocabulary has not.
        together: Captions that name all objects of a set, shape ``(n_sets,)``; NaN where it was not counted.
        pmi: Mean PMI of its pairs in nats, shape ``(n_sets,)``; NaN where it was not counted, and of an unseen set.
        corpus_size: Captions in the corpus.
    """

    single: tuple[FloatArray, ...]
    together: FloatArray
    pmi: FloatArray
    corpus_size: int


def look_up_sets(folder: Path, sets: Sequence[tuple[str, ...]]) -> SetCounts:
    """Look up sets of objects in the counts of a corpus's captions.

    Sets of three objects or more are counted in the posting lists of ``oddpair count --postings``. Without these, such
    a set is known to be unseen where one of its objects or pairs is, and otherwise not known.

    Args:
        folder: Folder of ``oddpair count``.
        sets: Names of the objects of each set.

    Returns:
        Counts of each object and of each set.

    Raises:
        Refusal: If the counts are not finished, damaged, or not as they were counted.
    """
    verify_counts(folder, _COUNTED)
    counts = read_counts(folder)
    of_name = {normalise(name): place for place, name in enumerate(counts.names)}
    ids = [np.array([of_name.get(normalise(name), -1) for name in objects]) for objects in sets]
    single = tuple(np.where(found >= 0, counts.text[found], np.nan) for found in ids)
    together, pmi = np.full(len(sets), np.nan), np.full(len(sets), np.nan)
    pairs = _count_pairs(counts, ids)
    for place, (found, each) in enumerate(zip(ids, single, strict=True)):
        of_pairs = pairs[place]
        if len(found) == 1:
            together[place] = each[0]
        elif (each == 0).any() or (of_pairs == 0).any():
            together[place] = 0.0
        elif len(found) == 2:
            together[place] = of_pairs[0]
    if (folder / POSTINGS_FOLDER).is_dir():
        _count_larger(folder, ids, together, len(counts.names))
    for place, each in enumerate(single):
        if len(each) > 1 and together[place] > 0 and not np.isnan(pairs[place]).any():
            first, second = zip(*combinations(each.tolist(), 2), strict=True)
            expected = np.array(first) * np.array(second) / counts.n_captions
            pmi[place] = np.log(pairs[place] / expected).mean()
    return SetCounts(single=single, together=together, pmi=pmi, corpus_size=counts.n_captions)


def _count_pairs(counts: Counts, ids: Sequence[IntArray]) -> list[FloatArray]:
    """Look up all pairs of all sets at once; NaN for those that were not counted."""
    couples = [np.array(list(combinations(found.tolist(), 2))).reshape(-1, 2) for found in ids]
    a, b = np.concatenate(couples).astype(np.int64).T
    known = (a >= 0) & (b >= 0) & (a != b)
    values = np.full(len(a), np.nan)
    if known.any():
        places = np.flatnonzero(known)
        places = places[counts.counted(a[places], b[places])]
        values[places] = counts.look_up(a[places], b[places]).text
    return np.split(values, np.cumsum([len(pairs) for pairs in couples])[:-1])


def _count_larger(folder: Path, ids: Sequence[IntArray], together: FloatArray, n_concepts: int) -> None:
    wanted = [
        place
        for place, found in enumerate(ids)
        if len(found) > 2 and np.isnan(together[place]) and (found >= 0).all()
    ]
    if wanted:
        postings = open_postings(folder)
        verify_counts(folder, postings.files("text"))
        rows = [sorted(ids[place].tolist()) for place in wanted]
        together[wanted] = count_sets(postings, from_lists(rows, n_concepts).to_csr(), "text")
