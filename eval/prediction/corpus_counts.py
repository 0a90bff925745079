"""What a corpus holds of the classes of a test set, from the counts of its concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.prediction.table import COUNTS, FloatArray, IntArray
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import Concept, Vocabulary
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, verify_counts
from oddpair.retrieval.counting.pmi_variants import smoothed_pmi
from oddpair.retrieval.vocabulary_file import load_vocabulary
from oddpair.retrieval.words import normalise

_COUNTED = ("counts.parquet", "pairs.parquet", "nested.parquet", "meta.json")
_VOCABULARY = "vocabulary.txt"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorpusCounts:
    """Counts of a corpus, looked up by what test sets call their classes.

    Attributes:
        counts: The counts.
        vocabulary: Their concepts, with all ways to write them.
    """

    counts: Counts
    vocabulary: Vocabulary
    _names: ConceptNames = field(init=False)
    _forms: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", ConceptNames(self.vocabulary))
        forms = frozenset(form for concept in self.vocabulary.concepts for form in concept.forms)
        object.__setattr__(self, "_forms", forms)

    def find(self, spellings: Sequence[str]) -> int:
        """Find the concept of the first of some spellings that means one.

        Returns:
            Its id; -1 where no spelling is in the vocabulary, or only such as could be several concepts.
        """
        for spelling in spellings:
            # What is no form is known to be missing; asking would search the vocabulary for one that looks alike.
            if normalise(spelling) in self._forms:
                try:
                    return self._names.find(spelling)
                except Refusal:
                    continue
        return -1

    def count(self, ids: IntArray) -> dict[str, FloatArray]:
        """Return the counts of concepts by the name of their column, each of shape ``(n,)``.

        A concept of id -1 has none, and so have all where the kind was not counted: NaN, not 0.
        """
        kinds = (self.counts.text, self.counts.image, self.counts.joint)
        return {
            name: np.full(len(ids), np.nan) if kind is None else np.where(ids < 0, np.nan, kind[ids])
            for name, kind in zip(COUNTS, kinds, strict=True)
        }

    def pmi(self, first: IntArray, second: IntArray) -> FloatArray:
        """Return the PMI of pairs of concepts in captions, in nats, shape ``(n,)``.

        It is ``smoothed_pmi``, finite for pairs that are never seen together; NaN where a concept has id -1, or the
        pair was not counted.
        """
        values = np.full(len(first), np.nan)
        known = np.flatnonzero((first >= 0) & (second >= 0) & (first != second))
        known = known[self.counts.counted(first[known], second[known])]
        a, b = first[known], second[known]
        together = self.counts.look_up(a, b).text
        text = self.counts.text
        values[known] = smoothed_pmi(together, text[a], text[b], self.counts.n_captions)
        return values


def load_counts(folder: Path) -> CorpusCounts:
    """Load what ``oddpair count`` left.

    Args:
        folder: Its folder; without ``vocabulary.txt`` concepts are found by their names alone.

    Raises:
        Refusal: If the counts are not finished, not as they were counted, or contradict their vocabulary.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise Refusal(f"{folder} {found}: give the folder that oddpair count wrote")
    if (folder / _VOCABULARY).is_file():
        verify_counts(folder, (*_COUNTED, _VOCABULARY))
        vocabulary = load_vocabulary(folder / _VOCABULARY)
        return CorpusCounts(counts=read_counts(folder, vocabulary), vocabulary=vocabulary)
    verify_counts(folder, _COUNTED)
    counts = read_counts(folder)
    concepts = tuple(Concept(name=name, forms=(name,)) for name in counts.names)
    return CorpusCounts(counts=counts, vocabulary=Vocabulary(concepts=concepts))
