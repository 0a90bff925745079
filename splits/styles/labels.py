"""Hand labels of a corpus: from one of its columns or from a table, as classes of its rows; and which become a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.labelling.labels import drawn_at_random, read_labels
from oddpair.splits.pool import Pool
from oddpair.splits.styles.scorer import AMBIGUOUS, CLASSES, CODE, NATURAL, RENDITION, UNLABELLED, Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleLabels:
    """Hand labels of the rows of a pool.

    Attributes:
        pool: The rows.
        codes: Class of each row, -1 where there is no label, shape ``(n,)``.
        random: Labelled rows that are known to be drawn from the corpus at random, shape ``(n,)``; ``None`` if nothing
            is known of how rows were drawn.
        source: What the labels are from, for a refusal.
    """

    pool: Pool
    codes: Codes
    random: NDArray[np.bool_] | None
    source: str

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


def labels_of_file(path: Path, pool: Pool, natural: Sequence[str], ambiguous: Sequence[str]) -> StyleLabels:
    """Read labels that people gave.

    Args:
        path: As for ``read_labels``.
        pool: The corpus.
        natural: Labels that mean natural.
        ambiguous: Labels that mean ambiguous.

    Returns:
        The labels.

    Raises:
        Refusal: If a labelled uid is not in the corpus, or nothing is labelled.
    """
    given = read_labels(path)
    drawn = drawn_at_random(path)
    places = pool.places(list(given))
    if (places < 0).any():
        lost = [uid for uid, place in zip(given, places.tolist(), strict=True) if place < 0]
        raise Refusal(
            f"{path}: {len(lost):,} labelled uids are not in the corpus, such as {lost[0]!r}: give the labels of this corpus"
        )
    codes = np.full(len(pool), UNLABELLED, dtype=np.int8)
    codes[places] = [class_of(label, natural, ambiguous) for label in given.values()]
    random = None
    if drawn:
        random = np.zeros(len(pool), dtype=np.bool_)
        random[places] = [uid in drawn for uid in given]
    return StyleLabels(pool=pool, codes=codes, random=random, source=str(path))


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


def hold_out(
    labels: StyleLabels, styles: Sequence[str], share: float, rng: np.random.Generator
) -> tuple[StyleLabels, dict[str, IntArray]]:
    """Take a share of the labelled rows of some styles out of the corpus, as their test pictures.

    The same share of the other labels is set aside unread, so that what is left is as good a sample as it was.

    Args:
        labels: Of the corpus.
        styles: Natural, rendition or both.
        share: Of the labelled rows.
        rng: Source of the draw.

    Returns:
        The labels of the other rows, and the rows held out of each style as places in the pool given.

    Raises:
        Refusal: If a style has too few labelled rows.
    """
    taken: dict[str, IntArray] = {}
    codes = labels.codes.copy()
    for name in CLASSES:
        members = np.flatnonzero(labels.codes == CODE[name])
        size = round(share * len(members))
        if name in styles and size < 1:
            raise Refusal(
                f"{len(members):,} rows are labelled {name}, too few to hold out {share:.0%} as a test: label more, "
                f"or check {labels.source} and which labels are natural"
            )
        drawn = np.sort(rng.permutation(members)[:size])
        codes[drawn] = UNLABELLED
        if name in styles:
            taken[name] = drawn
    stays = np.ones(len(codes), dtype=np.bool_)
    for rows in taken.values():
        stays[rows] = False
    pool = Pool(uids=labels.pool.keep(stays), rows=labels.pool.rows[stays])
    random = None if labels.random is None else labels.random[stays]
    return replace(labels, pool=pool, codes=codes[stays], random=random), taken


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
