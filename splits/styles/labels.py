"""Hand labels of a corpus: from one of its columns or from a table, as classes of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.splits.labelling.labels import read_labels_table
from oddpair.splits.labelling.origin import describe_corpus
from oddpair.splits.pool import Pool
from oddpair.splits.styles.scorer import AMBIGUOUS, CODE, NATURAL, RENDITION, UNLABELLED, Codes

# More labelled pictures without a row are no rows set aside but labels of something else.
_MOST_STRANGE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleLabels:
    """Hand labels of the rows of a pool.

    Attributes:
        pool: The rows.
        codes: Class of each row, -1 where there is no label, shape ``(n,)``.
        random: Labelled rows that are known to be drawn from the corpus at random, shape ``(n,)``; ``None`` if nothing
            is known of how rows were drawn.
        unmarked: Labelled rows of which it is not known how they were drawn, where it is known of others, shape ``(n,)``;
            ``None`` with ``random``.
        left_open: Rows that people looked at and that have no label, with how they were drawn, by place.
        strange: Labelled pictures that are no rows of the pool.
        source: What the labels are from, for a refusal.
    """

    pool: Pool
    codes: Codes
    random: NDArray[np.bool_] | None
    source: str
    unmarked: NDArray[np.bool_] | None = None
    left_open: Mapping[int, str] = field(default_factory=dict)
    strange: int = 0

    def among(self, stays: NDArray[np.bool_]) -> StyleLabels:
        """Return the labels of some of the rows, shape ``(n,)``."""
        place = np.cumsum(stays) - 1
        return replace(
            self,
            pool=Pool(uids=self.pool.keep(stays), rows=self.pool.rows[stays]),
            codes=self.codes[stays],
            random=None if self.random is None else self.random[stays],
            unmarked=None if self.unmarked is None else self.unmarked[stays],
            left_open={int(place[row]): way for row, way in self.left_open.items() if stays[row]},
        )

    def count(self, code: int) -> int:
        """Return how many rows have a label."""
        return int((self.codes == code).sum())


def class_of(label: str | None, natural: Sequence[str], ambiguous: Sequence[str]) -> int:
    """Translate a hand label; one that is named nowhere means a rendition, and an empty one is no label.

    >>> [class_of(label, ["photo"], ["?"]) for label in ("photo", "oil", "?", "")]
    [0, 1, 2, -1]
    """
    if not label:
        return UNLABELLED
    return CODE[NATURAL if label in natural else AMBIGUOUS if label in ambiguous else RENDITION]


def labels_of_file(
    path: Path, pool: Pool, natural: Sequence[str], ambiguous: Sequence[str], *, corpus: Corpus | None = None
) -> StyleLabels:
    """Read labels that people gave; those of pictures that are not in the pool, as far as they are few, are left out.

    Args:
        path: As for ``read_labels_table``.
        pool: The corpus.
        natural: Labels that mean natural.
        ambiguous: Labels that mean ambiguous.
        corpus: What must have been labelled, where the labels tell.

    Returns:
        The labels.

    Raises:
        Refusal: If nothing is labelled, another corpus was, or over a tenth of the labelled uids are not in the pool.
    """
    found = read_labels_table(path)
    labelled = found.origin.corpus
    if corpus is not None and labelled is not None and labelled != describe_corpus(corpus):
        raise Refusal(
            f"{path} has labels of a corpus of {labelled}, {corpus.root} has {describe_corpus(corpus)}: rows drawn from "
            "one tell nothing of another; give the corpus that was labelled"
        )
    given = found.merge()
    places = pool.places(list(given))
    known = places >= 0
    strange = len(places) - int(known.sum())
    if strange > _MOST_STRANGE * len(places):
        lost = next(uid for uid, there in zip(given, known.tolist(), strict=True) if not there)
        raise Refusal(
            f"{path}: {strange:,} of {len(places):,} labelled uids are not in the corpus or have no embedding, such as "
            f"{lost!r}, more than {_MOST_STRANGE:.0%}: give the labels of this corpus"
        )
    rows = places[known]
    codes = np.full(len(pool), UNLABELLED, dtype=np.int8)
    codes[rows] = np.array([class_of(label, natural, ambiguous) for label in given.values()], np.int8)[known]
    left_open = found.left_open()
    open_rows = pool.places(list(left_open)).tolist() if left_open else []
    random = unmarked = None
    if found.drawn is not None:
        ways = [found.drawn.get(uid, "") for uid in given]
        random, unmarked = np.zeros((2, len(pool)), dtype=np.bool_)
        random[rows] = np.array([way == "random" for way in ways])[known]
        unmarked[rows] = np.array([not way for way in ways])[known]
    return StyleLabels(
        pool=pool,
        codes=codes,
        random=random,
        unmarked=unmarked,
        left_open={row: way for row, way in zip(open_rows, left_open.values(), strict=True) if row >= 0},
        strange=strange,
        source=str(path),
    )


def labels_of_column(
    corpus: Corpus, column: str, pool: Pool, natural: Sequence[str], ambiguous: Sequence[str]
) -> StyleLabels:
    """Read labels from a column of the corpus, some rows at a time.

    Args:
        corpus: The corpus.
        column: Its column; a row without a value has no label.
        pool: Its rows.
        natural: Labels that mean natural.
        ambiguous: Labels that mean ambiguous.

    Returns:
        The labels.

    Raises:
        Refusal: If there is no such column, it is no text, or two rows of one uid mean different classes.
    """
    codes = np.full(len(pool), UNLABELLED, dtype=np.int8)
    for batch in corpus.batches([column]):
        values = batch.table[column].combine_chunks()
        if not pa.types.is_null(values.type) and not _is_text(values.type):
            raise Refusal(
                f"{corpus.root} has a column '{column}' of type {values.type}, labels are text: name another"
            )
        words = pc.dictionary_encode(values.cast(pa.string()))
        meaning = [class_of(word, natural, ambiguous) for word in words.dictionary.to_pylist()]
        of_word = np.array([*meaning, UNLABELLED], dtype=np.int8)
        found = of_word[pc.fill_null(words.indices, len(meaning)).to_numpy(zero_copy_only=False)]
        places = pool.places(batch.table["uid"])
        known = (places >= 0) & (found != UNLABELLED)
        places, found = places[known], found[known]
        before = codes[places]
        codes[places] = found
        torn = np.flatnonzero(((before != UNLABELLED) & (before != found)) | (codes[places] != found))
        if len(torn):
            uid = pool.uids[int(places[torn[0]])].as_py()
            raise Refusal(
                f"{corpus.root} labels uid {uid} in two ways in the column '{column}': remove one of its rows"
            )
    return StyleLabels(pool=pool, codes=codes, random=None, source=f"the column '{column}'")


def draw_labels(labels: StyleLabels, most: int | None, rng: np.random.Generator) -> StyleLabels:
    """Look at so many labelled rows only, drawn at random; ``None`` for all.

    Raises:
        Refusal: If no row has a label.
    """
    labelled = np.flatnonzero(labels.codes != UNLABELLED)
    if not len(labelled):
        raise Refusal(f"no row has a label in {labels.source}: label some rows by hand")
    if most is None or most >= len(labelled):
        return labels
    chosen = labelled[rng.permutation(len(labelled))[:most]]
    codes = np.full(len(labels.codes), UNLABELLED, dtype=np.int8)
    codes[chosen] = labels.codes[chosen]
    return replace(labels, codes=codes)


def read_texts(corpus: Corpus | None, column: str) -> Mapping[str, str]:
    """Read a column of text that a test set may have, by uid; nothing if it has no such column."""
    if corpus is None:
        return {}
    first: Any = next(iter(corpus.scan(corpus.shards[0], None)), None)
    if first is None or column not in first.table.column_names:
        return {}
    if not _is_text(first.table.schema.field(column).type):
        return {}
    table = corpus.metadata([column])
    pairs = zip(table["uid"].to_pylist(), table[column].to_pylist(), strict=True)
    return {uid: value for uid, value in pairs if value}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
