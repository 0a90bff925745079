"""Files of image tags: who tagged, and the tags, some rows at a time, of which only a vocabulary's are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.tag_table import TagRows, as_texts, spread
from oddpair.retrieval.formats.parquet import DamagedTable, read_footer, read_footers, stream_table
from oddpair.retrieval.unit_rows import IntArray
from oddpair.retrieval.words import normalise

COLUMNS = ("uid", "concept", "score")
# How ``oddpair tag`` calls what it does, in its manifest and in each file.
ZERO_SHOT = "zero-shot"
# What is told of the tagger, there and wherever its tags are counted.
TAGGER = ("kind", "encoder", "templates", "per_image", "threshold", "same_encoder", "evaluated")
_MARK = b"oddpair.tagger"

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


def mark_tagger(table: pa.Table, tagger: Mapping[str, Any]) -> pa.Table:
    """Write into the metadata of a table of tags who tagged, so that the file says it wherever it is moved.

    Args:
        table: The tags.
        tagger: ``kind``, ``encoder``, ``templates``, ``per_image``, ``threshold``, ``same_encoder`` and ``evaluated``,
            as JSON.
    """
    return table.replace_schema_metadata({_MARK: json.dumps(dict(tagger), sort_keys=True)})


def read_tagger(path: Path, parts: Sequence[Path]) -> dict[str, Any] | None:
    """Read who tagged from the metadata of files of tags.

    Args:
        path: What the user gave, for messages.
        parts: The files, at least one.

    Returns:
        What ``mark_tagger`` wrote; ``None`` if the files are of another tagger.

    Raises:
        Refusal: If a file is damaged, or files differ in who tagged.
    """
    marks = []
    for part, footer in zip(parts, read_footers(parts), strict=True):
        if isinstance(footer, DamagedTable):
            raise _damaged(part, footer)
        marks.append((footer[0].metadata or {}).get(_MARK))
    other = next((part for part, mark in zip(parts, marks, strict=True) if mark != marks[0]), None)
    if other is not None:
        raise Refusal(
            f"{path} holds tags of more than one tagger ({parts[0]} and {other} differ): give the folder of one"
        )
    if marks[0] is None:
        return None
    try:
        tagger = json.loads(marks[0])
    except ValueError:
        tagger = None
    if not isinstance(tagger, dict) or not tagger.keys() >= set(TAGGER) or tagger["kind"] != ZERO_SHOT:
        raise Refusal(f"{parts[0]} has a mark of oddpair tag that does not tell who tagged: tag again")
    return tagger


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
        raise _damaged(path, error) from error


def _damaged(path: Path, error: DamagedTable) -> Refusal:
    return Refusal(f"{path} is truncated or damaged ({error.reason}): write it again")


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
