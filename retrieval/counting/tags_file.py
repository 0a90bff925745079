"""Files of image tags, read some rows at a time; of them only what a vocabulary can use is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.tag_table import TagRows, as_texts, spread
from oddpair.retrieval.formats.parquet import DamagedTable, read_footer, stream_table
from oddpair.retrieval.unit_rows import IntArray
from oddpair.retrieval.words import normalise

COLUMNS = ("uid", "concept", "score")

_ROWS_AT_ONCE = 1 << 16
# A tagger knows thousands of words; a file of millions is somebody's mistake, and need not fill the memory.
_WORDS_HELD = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """Words that were looked up, each once, and the concepts of one after the other; one more count, of no word."""

    words: pa.LargeBinaryArray
    concepts: NDArray[np.int32]
    counts: IntArray


_NOTHING = _Seen(
    words=pa.array([], pa.large_binary()), concepts=np.zeros(0, np.int32), counts=np.zeros(1, np.int64)
)


class ConceptNames:
    """Finds the concepts that the words of tags stand for, in any form of their names; not for several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._numbers: dict[str, tuple[int, ...]] = {}
        for number, concept in enumerate(vocabulary.concepts):
            for form in dict.fromkeys(concept.forms):
                self._numbers[form] = (*self._numbers.get(form, ()), number)
        self._seen = _NOTHING

    def find(self, words: pa.LargeBinaryArray) -> tuple[IntArray, NDArray[np.int32]]:
        """Find the concepts of words, as they stand in a file.

        Args:
            words: ``n`` words; a null, and what is not UTF-8, stands for nothing.

        Returns:
            The place of a word and the id of a concept, for each concept of each word, in the order of the words.
        """
        places = pc.index_in(words, value_set=self._seen.words)
        fresh = words.filter(pc.and_(places.is_null(), words.is_valid())).unique()
        if len(fresh):
            if len(self._seen.words) + len(fresh) > _WORDS_HELD:
                self._seen, fresh = _NOTHING, words.drop_null().unique()
            self._seen = self._learn(fresh)
            places = pc.index_in(words, value_set=self._seen.words)
        seen = self._seen
        # A null is the word behind the last.
        each = pc.fill_null(places, len(seen.words)).to_numpy()
        counts = seen.counts[each]
        starts = (np.cumsum(seen.counts) - seen.counts)[each]
        return np.repeat(np.arange(len(words)), counts), seen.concepts[spread(starts, counts)]

    def _learn(self, fresh: pa.LargeBinaryArray) -> _Seen:
        found = [
            self._numbers.get(normalise(word.decode("utf-8", "replace")), ()) for word in fresh.to_pylist()
        ]
        numbers = np.array([number for numbers in found for number in numbers], np.int32)
        return _Seen(
            words=pa.concat_arrays([self._seen.words, fresh]),
            concepts=np.concatenate([self._seen.concepts, numbers]),
            counts=np.array([*self._seen.counts[:-1], *map(len, found), 0], np.int64),
        )


def stream_tags(path: Path, names: ConceptNames, threshold: float) -> Iterator[TagRows]:
    """Read the tags of a file that are above a threshold and name a concept.

    The threshold is rounded to the type of the scores, so that 0.7 is not above 0.7 in any of them.

    Args:
        path: Parquet with ``uid`` and ``concept`` (text) and ``score`` (numbers); other columns are not read.
        names: The concepts; tags of others are passed over, as are those without a uid or concept.
        threshold: A tag holds if its score is above this.

    Yields:
        The tags, in the order of the file, those of a word of several concepts once for each.

    Raises:
        Refusal: If the file is damaged or lacks a column, one has another type, or a score is missing or NaN.
    """
    try:
        _require_types(path, read_footer(path)[0])
        before = 0
        for table in stream_table(path, COLUMNS, rows=_ROWS_AT_ONCE):
            yield _choose(path, before, table, names, threshold)
            before += table.num_rows
    except DamagedTable as error:
        raise Refusal(f"{path} is truncated or damaged ({error.reason}): write it again") from error


def _choose(path: Path, before: int, table: pa.Table, names: ConceptNames, threshold: float) -> TagRows:
    uids = as_texts(table["uid"])
    holds = _above(path, before, table["score"], threshold) & uids.is_valid().to_numpy(zero_copy_only=False)
    words = as_texts(table["concept"]).cast(pa.large_binary())
    rows = np.flatnonzero(holds)
    places, concepts = names.find(words.take(pa.array(rows)))
    return TagRows(uids=uids.take(pa.array(rows[places])), concepts=concepts)


def _above(path: Path, before: int, column: pa.ChunkedArray, threshold: float) -> NDArray[np.bool_]:
    scores = column.to_numpy()
    bad = np.flatnonzero(np.isnan(scores))
    if len(bad):
        raise Refusal(f"{path} row {before + bad[0]} has no score: every tag needs a number")
    with np.errstate(over="ignore"):
        bound = scores.dtype.type(threshold) if np.issubdtype(scores.dtype, np.floating) else threshold
    above: NDArray[np.bool_] = scores > bound
    return above


def _require_types(path: Path, schema: pa.Schema) -> None:
    for name, kind, fits in (
        ("uid", "text", _is_text),
        ("concept", "text", _is_text),
        ("score", "numbers", _is_number),
    ):
        # A column that is not there is told by who reads it.
        if name in schema.names and not fits(schema.field(name).type):
            raise Refusal(
                f"{path} has {schema.field(name).type} in column {name!r}, needed {kind}: write it so"
            )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
