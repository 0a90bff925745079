"""What pictures show by a column of names: as tags of a corpus, and as the concepts of a test set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oddpair import files
from oddpair.retrieval.concepts import Vocabulary, build_vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.pairs.sample_sets import columns_of

_SCHEMA = pa.schema([("uid", pa.string()), ("concept", pa.string()), ("score", pa.float32())])
_FILE = "content.parquet"


def use_content(inputs: Inputs, work: Path, column: str) -> Inputs:
    """Take a column with the names of what a corpus' pictures show for tags of them, where no tags and no counts are given.

    Args:
        inputs: With a corpus.
        work: Folder for the tags.
        column: The column; without it the inputs stay as they are.

    Returns:
        The inputs, whose identity is that of the corpus alone.
    """
    corpus = inputs.need_corpus().corpus
    if (
        corpus is None
        or inputs.tags is not None
        or inputs.counts is not None
        or column not in columns_of(corpus)
    ):
        return inputs
    path = work / _FILE
    if not path.is_file():
        _write_tags(corpus, column, path)
    return replace(inputs, tags=path)


def name_own_concepts(tests: Iterable[Pictures], column: str) -> Vocabulary | None:
    """Make a vocabulary of the names that test sets give to what their images show; ``None`` if they give none.

    Args:
        tests: Test sets.
        column: Their column of names.
    """
    names: set[str] = set()
    for pictures in tests:
        corpus = pictures.corpus
        if corpus is None or column not in columns_of(corpus):
            continue
        for batch in corpus.batches([column]):
            names |= set(pc.list_flatten(batch.table[column].combine_chunks()).drop_null().to_pylist())
    names = {name for name in names if name.strip()}
    return build_vocabulary(sorted(names)) if names else None


def _write_tags(corpus: Corpus, column: str, path: Path) -> None:
    with files.atomic(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
        for batch in corpus.batches([column]):
            listed = batch.table[column].combine_chunks()
            concepts = pc.list_flatten(listed).cast(pa.string())
            uids = batch.table["uid"].combine_chunks().cast(pa.string()).take(pc.list_parent_indices(listed))
            scores = pa.repeat(pa.scalar(1.0, pa.float32()), len(concepts))
            writer.write_table(pa.table([uids, concepts, scores], schema=_SCHEMA))
