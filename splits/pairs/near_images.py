"""The images of a corpus nearest to the images of a test set, and what is known of them: by their tags or a column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair import files
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.counting.tags_file import ConceptNames
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.neighbours import find_neighbours
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.inputs import Pictures
from oddpair.splits.pairs.sample_sets import columns_of, find_named
from oddpair.splits.pairs.unseen_pairs import shows_all

_ASKED_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NearImages:
    """The nearest images of each test image; a corpus of fewer images than asked for gives fewer.

    Attributes:
        tests: Uids of the test images, sorted, shape ``(n,)``.
        rows: Their neighbours, as rows of ``content``, nearest first, shape ``(n, k)``.
        scores: Similarity of each, shape ``(n, k)``.
        uids: Uids of the neighbours, shape ``(m,)``.
        content: What is known of them, shape ``(m, n_concepts)``.
        known: Of which anything is known, shape ``(m,)``.
    """

    tests: pa.Array
    rows: IntArray
    scores: NDArray[np.float32]
    uids: pa.Array
    content: Mentions
    known: NDArray[np.bool_]

    def look(self, tests: IntArray, columns: IntArray) -> tuple[IntArray, IntArray]:
        """Look for concepts in what is near to test images.

        Args:
            tests: Places of the test images, shape ``(n,)``.
            columns: Concepts of each, shape ``(n, m)``.

        Returns:
            How many near images of known content there are, and how many of them show all ``m``; shape ``(n,)``.
        """
        checked, hits = np.zeros((2, len(tests)), np.int64)
        for start in range(0, len(tests), _ASKED_AT_ONCE):
            part = slice(start, start + _ASKED_AT_ONCE)
            rows = self.rows[tests[part]]
            looked = self.known[rows]
            checked[part] = looked.sum(axis=1)
            hits[part] = (shows_all(self.content, rows, columns[part]) & looked).sum(axis=1)
        return checked, hits


def find_near(
    corpus: Pictures,
    tests: Pictures,
    vocabulary: Vocabulary,
    work: Path,
    *,
    neighbours: int,
    column: str,
    tags: Tags | None,
    workers: int,
) -> NearImages:
    """Find the nearest images of a corpus to each image of a test set, and what is known of them.

    Args:
        corpus: The corpus, embedded.
        tests: The test set, embedded.
        vocabulary: The concepts.
        work: Folder of the search, from which a killed one goes on.
        neighbours: Images to find for each test image.
        column: Column of the corpus with names of what its images show; used where it is there.
        tags: Tags of its images, opened with this vocabulary.
        workers: Processes.

    Returns:
        The neighbours. An image is known if it has a tag among the concepts or a value in the column.
    """
    find_neighbours(corpus.need_stored(), tests.need_stored(), work, k=neighbours, workers=workers)
    found = files.read_table(work / "tests.parquet", ["test", "uid", "score"]).combine_chunks()
    encoded = pc.dictionary_encode(found["uid"].combine_chunks())
    uids = encoded.dictionary.cast(pa.large_string())
    names = found["test"].unique().cast(pa.large_string())
    content, known = _know(corpus.need_corpus(), uids, vocabulary, column, tags)
    return NearImages(
        tests=names,
        rows=encoded.indices.to_numpy().astype(np.int64).reshape(len(names), -1),
        scores=found["score"].to_numpy().reshape(len(names), -1),
        uids=uids,
        content=content,
        known=known,
    )


def _know(
    corpus: Corpus, uids: pa.Array, vocabulary: Vocabulary, column: str, tags: Tags | None
) -> tuple[Mentions, NDArray[np.bool_]]:
    """Gather the concepts of some images from the tags and from a column of the corpus."""
    known = np.zeros(len(uids), np.bool_)
    rows, concepts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    if tags is not None:
        found = tags.load(None).find(uids)
        known |= np.diff(found.ends) > 0
        rows.append(found.rows)
        concepts.append(found.concepts)
    if column in columns_of(corpus):
        names = ConceptNames(vocabulary)
        for batch in corpus.batches([column]):
            place = pc.index_in(batch.table["uid"].combine_chunks().cast(pa.large_string()), value_set=uids)
            near = batch.table.filter(place.is_valid())
            at = place.drop_null().to_numpy().astype(np.int64)
            named, ids, _ = find_named(near[column], names, column, corpus)
            known[at[near[column].is_valid().to_numpy()]] = True
            rows.append(at[named])
            concepts.append(ids)
    keys = np.unique(np.concatenate(rows) * len(vocabulary) + np.concatenate(concepts))
    coords = np.divmod(keys, len(vocabulary))
    content: Mentions = csr_array((np.ones(len(keys), np.bool_), coords), shape=(len(uids), len(vocabulary)))
    return content, known
