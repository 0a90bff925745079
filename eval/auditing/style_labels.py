"""What people labelled: how many rows of a corpus drawn at random, or test images, are of each class and label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.eval.auditing.asked import Asked, Material
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.labelling.labels import read_labels_table
from oddpair.splits.pairs.sample_sets import columns_of
from oddpair.splits.recipes.style_strict import StyleStrictRecipe
from oddpair.splits.styles.labels import StyleLabels, class_of, draw_labels
from oddpair.splits.styles.sampling import find_sample
from oddpair.splits.styles.scorer import CLASSES, UNLABELLED
from oddpair.splits.styles.splits import LABEL_STREAM, read_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """Labelled pictures by class, and by label as people wrote it; nothing where no label is known."""

    classes: Mapping[str, int]
    finer: Mapping[str, int]

    @property
    def total(self) -> int:
        """Pictures."""
        return sum(self.classes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusLabels:
    """Hand labels of the rows of a corpus, as classes and as people wrote them.

    Attributes:
        labels: Of the rows of the search's pool.
        words: Every label that was given.
        places: Place in ``words`` of each row's label, -1 where there is none, shape ``(n,)``.
    """

    labels: StyleLabels
    words: pa.Array
    places: NDArray[np.int32]

    def words_of(self, rows: IntArray) -> pa.Array:
        """Return the labels of some labelled rows as people wrote them."""
        return self.words.take(pa.array(self.places[rows]))


def count_labels(labels: Iterable[str], asked: Asked) -> LabelCounts:
    """Count labels.

    Args:
        labels: One for each picture, none of them empty.
        asked: Which of them mean natural, and which neither.

    >>> count_labels(["photo", "oil", "oil"], Asked()).classes
    {'natural': 1, 'rendition': 2, 'ambiguous': 0}
    """
    return _add_up(Counter(labels), asked)


def read_corpus_labels(material: Material, recipe: StyleStrictRecipe) -> CorpusLabels | None:
    """Read the hand labels of a corpus, from the table that is given or else from its column.

    Args:
        material: The corpus and its labels.
        recipe: Where labels are, and what they mean.

    Returns:
        The labels; ``None`` if no row has one.

    Raises:
        Refusal: If they are of another corpus, or cannot be read.
    """
    corpus, file = material.corpus, material.inputs.labels
    if file is None and (corpus.corpus is None or recipe.style_column not in columns_of(corpus.corpus)):
        return None
    pool = material.searched.corpus.pool
    labels = read_labels(recipe, material.inputs, corpus, pool)
    if not (labels.codes != UNLABELLED).any():
        return None
    numbers: dict[str, int] = {}
    places = np.full(len(pool), -1, dtype=np.int32)

    def note(uids: pa.Array | Iterable[str], words: pa.ChunkedArray) -> None:
        found = words.combine_chunks().cast(pa.string()).dictionary_encode()
        each = [
            numbers.setdefault(word, len(numbers)) if word else -1 for word in found.dictionary.to_pylist()
        ]
        of_word = np.array([*each, -1], dtype=np.int32)
        number = of_word[pc.fill_null(found.indices, len(each)).to_numpy(zero_copy_only=False)]
        rows = pool.places(uids)
        known = (rows >= 0) & (number >= 0)
        places[rows[known]] = number[known]

    if file is not None:
        given = read_labels_table(file).merge()
        note(list(given), pa.chunked_array([pa.array(given.values(), pa.string())]))
    else:
        for batch in corpus.need_corpus().batches([recipe.style_column]):
            note(batch.table["uid"], batch.table[recipe.style_column])
    return CorpusLabels(labels=labels, words=pa.array(list(numbers), pa.string()), places=places)


def count_sample(found: CorpusLabels, recipe: StyleStrictRecipe, asked: Asked) -> LabelCounts:
    """Count the labels of rows that are a random sample of the corpus, as many as may be looked at.

    Raises:
        Refusal: If none was drawn at random, or people left rows of the sample without a label.
    """
    labels, sample = found.labels, find_sample(found.labels, recipe.labels_are)
    if sample is not None:
        labels = replace(labels, codes=np.where(sample, labels.codes, np.int8(UNLABELLED)))
    drawn = draw_labels(labels, recipe.labelled, np.random.default_rng((recipe.seed, LABEL_STREAM)))
    counts = np.bincount(found.places[drawn.codes != UNLABELLED], minlength=len(found.words))
    words = zip(found.words.to_pylist(), counts.tolist(), strict=True)
    return _add_up({word: count for word, count in words if count}, asked)


def _add_up(finer: Mapping[str, int], asked: Asked) -> LabelCounts:
    classes = dict.fromkeys(CLASSES, 0)
    for label, count in finer.items():
        classes[CLASSES[class_of(label, asked.natural, asked.ambiguous)]] += count
    return LabelCounts(classes=classes, finer=dict(sorted(finer.items())))
