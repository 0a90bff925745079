"""Which two concepts each picture of a test set shows: by its columns, or by the folder that it lies in.

Nobody has published how GenPairs (Qu and Xie, arXiv:2507.08000), pictures made of pairs, lies on disk. Read are:

- any corpus with a column ``concepts`` of two names: a list, JSON of one, or text with ``|`` between them;
- any corpus with columns ``word1`` and ``word2``, or ``a`` and ``b``, such as a folder with a table ``pairs.csv`` of
  ``file``, ``caption``, ``word1`` and ``word2``;
- a folder of pictures with a folder for each pair, ``dog__fire hydrant/000.png``. With a single ``_`` between the
  names, as in ``dog_fire_hydrant``, a folder is read if two names can be made of it in one way only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.splits.pool import Pool, pool_of_uids

CONCEPTS = "concepts"
PAIR_COLUMNS = (("word1", "word2"), ("a", "b"))
BETWEEN = "|"
BETWEEN_FOLDERS = "__"
NOT_TWO = "shows no two concepts"
NOT_COUNTED = "names a concept that was not counted"
SAME = "names one concept twice"

_SHOWN = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownPairs:
    """What the pictures of a test set show; one value per row, shape ``(n,)``.

    Attributes:
        pool: The rows, sorted by uid.
        first: Id of one concept of each, -1 where the row shows no pair.
        second: Id of the other.
        left_out: Rows that show no pair, by reason.
        quarantined: Rows that the corpus set aside.
    """

    pool: Pool
    first: IntArray
    second: IntArray
    left_out: dict[str, int]
    quarantined: int


def read_pairs(corpus: Corpus, names: ConceptNames) -> ShownPairs:
    """Read which two concepts each row of a test set shows.

    Args:
        corpus: The test set; see above for what it may look like.
        names: What concepts may be called.

    Returns:
        The rows, each uid once; of rows with one uid the first stands for it.

    Raises:
        Refusal: If it has neither such columns nor such folders, or no row.
    """
    read, columns = _choose(corpus)
    uids: list[pa.Array] = []
    shown: list[pa.Array] = []
    quarantined = 0
    for batch in corpus.batches(columns):
        uids += batch.table["uid"].chunks
        shown += [pa.array(read(batch.table), pa.string())] if batch.table.num_rows else []
        quarantined += sum(line.rows for line in batch.bad)
    if not shown:
        raise Refusal(f"{corpus.root} gives not one row: check its files")
    pool = pool_of_uids(pa.chunked_array(uids, pa.string()))
    written = pa.chunked_array(shown).take(pa.array(pool.rows)).combine_chunks().dictionary_encode()
    found = [_find(spelling, names) for spelling in written.dictionary.to_pylist()]
    ids = np.array([pair if isinstance(pair, tuple) else (-1, -1) for pair in found], np.int64).reshape(-1, 2)
    codes = written.indices.to_numpy(zero_copy_only=False)
    reasons: Counter[str] = Counter()
    for code, rows in enumerate(np.bincount(codes, minlength=len(found)).tolist()):
        if isinstance(found[code], str):
            reasons[str(found[code])] += rows
    return ShownPairs(
        pool=pool,
        first=ids[codes, 0],
        second=ids[codes, 1],
        left_out=dict(sorted(reasons.items())),
        quarantined=quarantined,
    )


def _choose(corpus: Corpus) -> tuple[Callable[[pa.Table], list[str]], list[str]]:
    """Choose where pairs are read from, by the first rows of the first shard that has any."""
    batches = (batch.table for shard in corpus.shards for batch in corpus.scan(shard, None))
    head = next((table for table in batches if table.num_rows), None)
    if head is None:
        raise Refusal(f"{corpus.root} gives not one row: check its files")
    if CONCEPTS in head.column_names:
        return _read_concepts, [CONCEPTS]
    for first, second in PAIR_COLUMNS:
        if first in head.column_names and second in head.column_names:
            return partial(_join_columns, columns=(first, second)), [first, second]
    if all("/" in key for key in head["key"].to_pylist()):
        return _read_folders, []
    raise Refusal(
        f"{corpus.root} does not say which pair a picture shows: give it a column 'concepts' of two names, columns "
        f"'word1' and 'word2', or folders 'dog{BETWEEN_FOLDERS}car'; it has {', '.join(head.column_names)}"
    )


def _read_concepts(table: pa.Table) -> list[str]:
    return [_join(split_concepts(value)) for value in table[CONCEPTS].to_pylist()]


def _join_columns(table: pa.Table, columns: tuple[str, str]) -> list[str]:
    both = [pc.fill_null(table[name].cast(pa.string()), "") for name in columns]
    joined: list[str] = pc.binary_join_element_wise(*both, _SHOWN).to_pylist()
    return joined


def _read_folders(table: pa.Table) -> list[str]:
    parents = [key.split("/")[-2] if "/" in key else "" for key in table["key"].to_pylist()]
    return [
        _join(parent.split(BETWEEN_FOLDERS)) if BETWEEN_FOLDERS in parent else parent for parent in parents
    ]


def split_concepts(value: object) -> list[str]:
    """Return the names that a cell of the column ``concepts`` holds, whatever form it has.

    >>> split_concepts('["dog", "car"]'), split_concepts("dog|car"), split_concepts(["dog"]), split_concepts(None)
    (['dog', 'car'], ['dog', 'car'], ['dog'], [])
    """
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(BETWEEN) if part.strip()]
    return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []


def _join(names: Sequence[str]) -> str:
    return _SHOWN.join(names)


def _find(spelling: str, names: ConceptNames) -> tuple[int, int] | str:
    """Return the ids of a pair as it is written, or why it is none."""
    parts = spelling.split(_SHOWN)
    if len(parts) == 1:
        return _find_in_one(spelling, names)
    if len(parts) != 2 or not all(parts):
        return NOT_TWO
    one, other = (_look_up(part, names) for part in parts)
    if one is None or other is None:
        return NOT_COUNTED
    return (one, other) if one != other else SAME


def _find_in_one(spelling: str, names: ConceptNames) -> tuple[int, int] | str:
    words = spelling.split("_")
    found = set()
    for cut in range(1, len(words)):
        one, other = (_look_up("_".join(part), names) for part in (words[:cut], words[cut:]))
        if one is not None and other is not None and one != other:
            found.add((one, other))
    return found.pop() if len(found) == 1 else NOT_TWO


def _look_up(spelling: str, names: ConceptNames) -> int | None:
    try:
        return names.find(spelling)
    except Refusal:
        return None
