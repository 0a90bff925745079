"""What each sample of a test set shows: the concepts in its captions, in what is known of its image, or in either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.counting.tags_file import ConceptNames
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.inputs import Pictures
from oddpair.splits.pool import Pool, pool_of_uids

Mode = Literal["captions", "images", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns of a test set or corpus that may be there.

    Attributes:
        content: Names of what an image shows: a list of texts, or a text with ``;`` between them.
        image: What rows of one image share, a text or whole number.
    """

    content: str = "concepts"
    image: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleSets:
    """A test set as samples: an image with all its captions, be they one row or several.

    Attributes:
        name: Of the test set.
        pool: Uids of all rows, the gallery.
        sample: Sample of each uid, shape ``(n_uids,)``; samples are numbered by their first uid.
        sets: Concepts of each sample, shape ``(n_samples, n_concepts)``, with sorted indices.
        unknown: Names of content that are of no concept, each as often as it stands there.
    """

    name: str
    pool: Pool
    sample: IntArray
    sets: Mentions
    unknown: int

    def __len__(self) -> int:
        return int(self.sets.shape[0])

    @property
    def first_uids(self) -> pa.Array:
        """The first uid of each sample, by which it is called; shape ``(n_samples,)``."""
        return self.pool.uids.take(pa.array(np.unique(self.sample, return_index=True)[1]))

    def keep(self, mask: NDArray[np.bool_]) -> pa.Array:
        """Return the uids of the samples where ``mask`` of shape ``(n_samples,)`` is true, sorted."""
        return self.pool.keep(mask[self.sample])

    def count_rows(self, mask: NDArray[np.bool_]) -> int:
        """Return how many uids ``keep`` would return."""
        return int(np.count_nonzero(mask[self.sample]))


def read_samples(
    pictures: Pictures, vocabulary: Vocabulary, columns: Columns, *, mode: Mode, tags: Tags | None
) -> SampleSets:
    """Read the concepts of each sample of a test set.

    Rows that share a uid or an image are one sample, and it has the concepts of all of them. Of its concepts those are
    left out whose name is within another one's: who writes *pine tree* has written *tree*.

    Args:
        pictures: The test set.
        vocabulary: The concepts.
        columns: Columns that are used where they are there.
        mode: Where concepts are looked for: captions, images or both. Of images the column of content tells, or else
            the tags.
        tags: Tags of images by uid.

    Returns:
        The samples.

    Raises:
        Refusal: If there are no captions, or nothing is known of images, where they are asked for.
    """
    corpus, matcher, names = pictures.need_corpus(), Matcher(vocabulary), ConceptNames(vocabulary)
    present = columns_of(corpus)
    if mode != "images" and not corpus.captioned:
        raise Refusal(f"test set {pictures.name} has no captions: set count_in to images")
    tagged = None
    if mode != "captions" and columns.content not in present:
        if tags is None:
            raise Refusal(
                f"test set {pictures.name} has no column '{columns.content}', and no tags were given: name a column "
                "with what its images show as content_column, give --tags, or set count_in to captions"
            )
        tagged = tags.load(None)
    asked = [name for name in (columns.content, columns.image) if name in present]
    uids, images = [pa.array([], pa.large_string())], [pa.array([], pa.large_string())]
    rows, concepts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    first = unknown = 0
    for batch in corpus.batches(asked):
        here = batch.table["uid"].combine_chunks().cast(pa.large_string())
        uids.append(here)
        images.append(_images_of(batch.table, columns.image))
        if mode != "images":
            found = matcher.find(batch.table["caption"])
            rows.append(found.rows + first)
            concepts.append(found.concepts)
        if tagged is not None:
            found = tagged.find(here)
            rows.append(found.rows + first)
            concepts.append(found.concepts)
        elif mode != "captions":
            named, ids, other = find_named(batch.table[columns.content], names, columns.content, corpus)
            rows.append(named + first)
            concepts.append(ids)
            unknown += other
        first += len(here)
    listed = pa.concat_arrays(uids)
    pool = pool_of_uids(listed)
    sample = _group(pool, listed, pa.concat_arrays(images))
    entry = sample[pool.places(listed)[np.concatenate(rows)]]
    shape = (int(sample.max(initial=-1)) + 1, len(vocabulary))
    every = _as_sets(entry, np.concatenate(concepts), shape)
    return SampleSets(
        name=pictures.name, pool=pool, sample=sample, sets=drop_implied(every, vocabulary), unknown=unknown
    )


def columns_of(corpus: Corpus) -> list[str]:
    """Return the columns that the first shard of a corpus has beside uid, key, caption and shard."""
    batch = next(iter(corpus.scan(corpus.shards[0], None)), None)
    return [] if batch is None else batch.table.column_names


def find_named(
    column: pa.ChunkedArray, names: ConceptNames, title: str, corpus: Corpus
) -> tuple[IntArray, NDArray[np.int32], int]:
    """Find the concepts that a column of names stands for, in any form of their names.

    Args:
        column: Lists of texts, or texts with ``;`` between names; a null says nothing.
        names: The concepts.
        title: What the column is called.
        corpus: Where it is.

    Returns:
        Rows and concepts, as many of the one as of the other, and how many names are of no concept.

    Raises:
        Refusal: If the column has another type.
    """
    values = column.combine_chunks()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = pc.split_pattern(values, ";")
    if pa.types.is_null(values.type):
        return np.zeros(0, np.int64), np.zeros(0, np.int32), 0
    is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    if not is_list or not _is_text(values.type.value_type):
        raise Refusal(
            f"{corpus.root}: column '{title}' is {column.type}, needed lists of texts, or texts with ';' between "
            "names: name another as content_column"
        )
    words = pc.list_flatten(values).cast(pa.large_string())
    parents = pc.list_parent_indices(values).to_numpy()
    places, concepts = names.find(words.cast(pa.large_binary()))
    spoken = int(pc.count(words).as_py())
    return parents[places].astype(np.int64), concepts, spoken - len(np.unique(places))


def drop_implied(sets: Mentions, vocabulary: Vocabulary) -> Mentions:
    """Leave out concepts that another one of the same set names by construction.

    A caption that holds the rest of a set holds what is left out, so no count of captions changes.

    Args:
        sets: Concepts of each row, shape ``(n, n_concepts)``.
        vocabulary: The concepts.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> trees = build_vocabulary(["tree", "pine tree", "cat"])
    >>> drop_implied(csr_array(np.array([[True, True, True]])), trees).indices.tolist()
    [1, 2]
    """
    implied = find_implied(vocabulary)
    doubtful = (sets.astype(np.int32) @ implied).astype(np.bool_).multiply(sets)
    left = csr_array((sets.astype(np.int8) - csr_array(doubtful).astype(np.int8)).astype(np.bool_))
    left.eliminate_zeros()
    left.sort_indices()
    return left


def find_implied(vocabulary: Vocabulary) -> csr_array:
    """Find which concepts each concept names by construction: all of its forms hold one of theirs.

    Returns:
        Shape ``(n_concepts, n_concepts)``: who names, and what is named; of two that name each other the second alone
        is named.
    """
    n_forms = np.array([len(concept.forms) for concept in vocabulary.concepts])
    forms = pa.array([form for concept in vocabulary.concepts for form in concept.forms], pa.large_string())
    named = Matcher(vocabulary).find(forms).to_csr().astype(np.int32)
    owner = np.repeat(np.arange(len(vocabulary)), n_forms)
    gather = csr_array((np.ones(len(owner), np.int32), (owner, np.arange(len(owner)))))
    often = (gather @ named).tocoo()
    outer, inner = often.coords
    always = (often.data == n_forms[outer]) & (outer != inner)
    outer, inner = outer[always].astype(np.int64), inner[always].astype(np.int64)
    mutual = np.isin(inner * len(vocabulary) + outer, outer * len(vocabulary) + inner)
    kept = ~mutual | (outer < inner)
    ones = np.ones(int(kept.sum()), np.int32)
    return csr_array((ones, (outer[kept], inner[kept])), shape=(len(vocabulary),) * 2)


def _group(pool: Pool, uids: pa.Array, images: pa.Array) -> IntArray:
    """Number the samples of the uids of a pool: rows of one uid and rows of one image are one sample."""
    n = len(pool)
    encoded = pc.dictionary_encode(images)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    there = codes >= 0
    nodes = n + len(encoded.dictionary)
    edges = (np.ones(int(there.sum()), np.bool_), (pool.places(uids)[there], n + codes[there]))
    _, label = connected_components(coo_array(edges, shape=(nodes, nodes)), directed=False)
    _, first, which = np.unique(label[:n], return_index=True, return_inverse=True)
    number: IntArray = np.argsort(np.argsort(first))[which].astype(np.int64)
    return number


def _images_of(table: pa.Table, column: str) -> pa.Array:
    if column in table.column_names:
        values = table[column].combine_chunks()
        if _is_text(values.type) or pa.types.is_integer(values.type):
            return values.cast(pa.large_string())
    # Pictures themselves, or nothing, may stand under that name.
    return pa.nulls(table.num_rows, pa.large_string())


def _as_sets(rows: IntArray, concepts: NDArray[np.int32], shape: tuple[int, int]) -> Mentions:
    keys = np.unique(rows * max(1, shape[1]) + concepts)
    coords = (keys // max(1, shape[1]), keys % max(1, shape[1]))
    sets: Mentions = csr_array((np.ones(len(keys), np.bool_), coords), shape=shape)
    sets.sort_indices()
    return sets


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
