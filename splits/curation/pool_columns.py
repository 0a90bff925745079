"""What is known of the rows of a pool: the class of each, and the concepts that its caption names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.mentions.incidence import join
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.inputs import Pictures
from oddpair.splits.manifest import CORPUS, Manifest
from oddpair.splits.pool import Pool, pool_of_stored, pool_of_uids

NO_CLASS = ""
_READ_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classes:
    """The class of each row of a pool.

    Attributes:
        names: Classes, sorted; ``""`` is that of rows without one.
        of_row: Place in ``names`` for each row of the pool, shape ``(n,)``.
    """

    names: tuple[str, ...]
    of_row: IntArray

    def count(self, rows: IntArray) -> dict[str, int]:
        """Count some rows by class; classes without a row are left out."""
        found = np.bincount(self.of_row[rows], minlength=len(self.names)).tolist()
        return {name: rows for name, rows in zip(self.names, found, strict=True) if rows}


def read_pool(pictures: Pictures) -> Pool:
    """Read the uids of a corpus: of its embeddings where there are any, which are the rows that can be decoded."""
    if pictures.stored is not None:
        return pool_of_stored(pictures.stored)
    corpus = pictures.need_corpus()

    def read(shard: str) -> list[pa.ChunkedArray]:
        return [batch.table["uid"] for batch in corpus.scan(shard)]

    with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
        return pool_of_uids(_join(chain.from_iterable(threads.map(read, corpus.shards))))


def place_split(name: str, split: Manifest, pool: Pool) -> IntArray:
    """Return the places of a split's rows in the pool of its corpus.

    Args:
        name: What the split was given as.
        split: The split.
        pool: The rows of the corpus.

    Returns:
        Shape ``(n,)``, in the order of the split.

    Raises:
        Refusal: If it is a split of another set, or has rows that the corpus has not.
    """
    if split.of != CORPUS:
        raise Refusal(f"pool {name!r} is a split of {split.of}, needed one of the corpus: leave it out")
    rows = pool.places(split.uids)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        raise Refusal(
            f"split {name!r} has {len(missing):,} rows that are not in the corpus, the first "
            f"{split.uids[int(missing[0])].as_py()}: give the corpus that it is a split of"
        )
    return rows


def read_classes(
    pool: Pool, column: str, *, corpus: Corpus | None = None, table: Path | None = None
) -> Classes:
    """Read the class of each row.

    Args:
        pool: The rows.
        column: Column of the classes: texts, numbers or truth values.
        corpus: Where the column is, if it is a column of the corpus.
        table: Otherwise a table of ``uid`` and the column.

    Returns:
        The classes; of rows of one uid the class whose name sorts first counts.

    Raises:
        Refusal: If there is no such column, or it holds anything else.
    """
    if table is not None:
        parts = [files.read_table(table, ["uid", column])]
        where = str(table)
    elif corpus is not None:
        parts = [batch.table.select(["uid", column]) for batch in corpus.batches([column])]
        where = str(corpus.root)
    else:
        raise ValueError("neither corpus nor table, one is needed")
    whole = pa.concat_tables(parts, promote_options="permissive")
    if pa.types.is_nested(whole[column].type):
        raise Refusal(
            f"{where}: column {column!r} holds {whole[column].type}: name one with a class for each row"
        )
    values = pc.fill_null(whole[column].cast(pa.large_string()), NO_CLASS).combine_chunks()
    names = pc.unique(values)
    names = names.take(pc.array_sort_indices(names))
    codes = pc.index_in(values, value_set=names).to_numpy().astype(np.int64)
    places = pool.places(whole["uid"])
    known = places >= 0
    of_row = np.full(len(pool), len(names), np.int64)
    np.minimum.at(of_row, places[known], codes[known])
    listed = tuple(names.to_pylist())
    if not (of_row == len(names)).any():
        return Classes(names=listed, of_row=of_row)
    # Rows that the table does not list have no class either.
    if NO_CLASS in listed:
        return Classes(names=listed, of_row=np.where(of_row == len(names), 0, of_row))
    return Classes(names=(NO_CLASS, *listed), of_row=np.where(of_row == len(names), 0, of_row + 1))


def read_mentions(pool: Pool, corpus: Corpus, vocabulary: Vocabulary) -> csr_array:
    """Find the concepts that the caption of each row names, in one pass over the captions.

    The captions are not held; 9 bytes a mention and 8 a row are. Where a uid has several captions, all count.

    Args:
        pool: The rows.
        corpus: Their captions.
        vocabulary: The concepts.

    Returns:
        Shape ``(n, n_concepts)``, boolean, in the order of the pool.
    """
    matcher = Matcher(vocabulary)
    uids, parts = [], []
    for batch in corpus.batches():
        uids.append(batch.table["uid"])
        parts.append(matcher.find(batch.table["caption"]))
    found = join(parts, len(vocabulary))
    places = pool.places(_join(uids))[found.rows]
    known = places >= 0
    return csr_array(
        (np.ones(int(known.sum()), np.bool_), (places[known], found.concepts[known])),
        shape=(len(pool), len(vocabulary)),
    )


def _join(columns: Iterable[pa.ChunkedArray]) -> pa.ChunkedArray:
    # Given the columns themselves, Arrow would make a Python object of each value.
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())


def tell_concepts(vocabulary: Vocabulary, concepts: Sequence[int]) -> str:
    """Name a set of concepts for a reader."""
    return " and ".join(vocabulary.names[concept] for concept in concepts) or "captions that name no concept"
