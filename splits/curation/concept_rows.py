"""Which concepts each row of a corpus mentions or shows, by uid: from its captions, its tags, or counts of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyroaring import BitMap

from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.count_shards import VOCABULARY
from oddpair.retrieval.counting.counts_file import verify_counts
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, file_name, read_bitmaps
from oddpair.retrieval.counting.postings_query import Postings, open_postings
from oddpair.retrieval.counting.tags import open_tags
from oddpair.retrieval.mentions.incidence import Incidence
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.unit_rows import IntArray
from oddpair.retrieval.vocabulary_file import load_vocabulary
from oddpair.splits.inputs import Inputs
from oddpair.splits.pool import Pool, pool_of_uids

CountIn = Literal["captions", "images", "either"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConceptRows:
    """The concepts of each row of a corpus: 48 bytes a row where uids have 32 letters, 8 more, and 4 a concept.

    Attributes:
        pool: The rows by uid, each uid once.
        incidence: Concepts of each, ascending; of several rows with one uid, those of all.
        names: Names of the concepts.
        bad: Rows that could not be read.
    """

    pool: Pool
    incidence: Incidence
    names: tuple[str, ...]
    bad: int

    @property
    def counts(self) -> IntArray:
        """Rows of each concept, shape ``(n_concepts,)``."""
        return np.bincount(self.incidence.concepts, minlength=len(self.names))

    @property
    def named(self) -> NDArray[np.bool_]:
        """Whether a row has a concept, shape ``(n_rows,)``."""
        return np.diff(self.incidence.ends) > 0


def read_concept_rows(inputs: Inputs, count_in: CountIn) -> ConceptRows:
    """Read which concepts the rows of a corpus have, in one pass over its captions or, with counts, over its uids.

    While rows are put in order, 24 bytes a concept of a row are held beside the result.

    Args:
        inputs: With a corpus, and a vocabulary or counts with posting lists.
        count_in: Where a concept has to be: in the caption, among the tags of the image, or in either.

    Returns:
        The concepts.

    Raises:
        Refusal: If there is no vocabulary, no tags where images count, or the counts are of another corpus or
            vocabulary.
    """
    corpus = inputs.need_corpus().need_corpus()
    if inputs.counts is not None:
        return _read_counted(corpus, inputs.counts, inputs, count_in)
    if inputs.vocabulary is None:
        raise Refusal(
            "concepts are needed: give --vocabulary, a file or imagenet, coco or voc, or --counts with posting lists"
        )
    if count_in != "captions" and inputs.tags is None:
        raise Refusal(f"count_in is {count_in}: give the image tags as --tags")
    if count_in == "captions" and inputs.tags is not None:
        raise Refusal("--tags would go unused: set count_in to images or either, or leave the option out")
    return _gather(corpus, inputs.vocabulary.names, _find(corpus, inputs.vocabulary, inputs.tags, count_in))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some rows: their uids, concepts from each source, and how many rows were set aside beside them."""

    uids: pa.Array
    found: tuple[Incidence, ...]
    bad: int


def _find(
    corpus: Corpus, vocabulary: Vocabulary, tags_path: Path | None, count_in: CountIn
) -> Iterator[_Part]:
    matcher = Matcher(vocabulary)
    tags = None if tags_path is None else open_tags(tags_path, vocabulary, corpus=fingerprint(corpus))
    tagged = 0
    for batch in corpus.batches():
        table = batch.table
        found = [matcher.find(table["caption"])] if count_in != "images" else []
        if tags is not None and len(table):
            found.append(tags.of(table["shard"][0].as_py(), table["uid"]))
            tagged += len(found[-1].concepts)
        yield _Part(uids=_texts(table["uid"]), found=tuple(found), bad=sum(line.rows for line in batch.bad))
    if tags is not None and not tagged:
        tags.refuse_none(len(corpus))


def _gather(corpus: Corpus, names: tuple[str, ...], parts: Iterator[_Part]) -> ConceptRows:
    """Put parts under each other, and their rows in the order of uids."""
    uids: list[pa.Array] = []
    found: list[tuple[int, Incidence]] = []
    bad = first = 0
    with track("find concepts", len(corpus), "rows") as progress:
        for part in parts:
            found += [(first, incidence) for incidence in part.found]
            uids.append(part.uids)
            first += len(part.uids)
            bad += part.bad
            progress.advance(len(part.uids))
    pool = pool_of_uids(pa.chunked_array(uids, pa.large_string()))
    if not len(pool):
        raise Refusal(f"{corpus.root} gives not one row: check its files")
    place = _places(pool, uids, first)
    # One number for each concept of a row: sorted and made unique, it is the union over the rows of a uid.
    cells = np.empty(sum(len(incidence.concepts) for _, incidence in found), np.int64)
    end = 0
    for first_row, incidence in found:
        start, end = end, end + len(incidence.concepts)
        cells[start:end] = place[incidence.rows + first_row] * len(names) + incidence.concepts
    found.clear()
    cells.sort()
    cells = cells[np.diff(cells, prepend=-1) != 0]
    ends = np.zeros(len(pool) + 1, np.int64)
    np.cumsum(np.bincount(cells // len(names), minlength=len(pool)), out=ends[1:])
    incidence = Incidence(ends=ends, concepts=(cells % len(names)).astype(np.int32), n_concepts=len(names))
    return ConceptRows(pool=pool, incidence=incidence, names=names, bad=bad)


def _places(pool: Pool, uids: list[pa.Array], rows: int) -> IntArray:
    """Find the place in the pool of every row of the corpus."""
    if len(pool) < rows:
        return np.concatenate([pool.places(part) for part in uids])
    place = np.empty(rows, np.int64)
    place[pool.rows] = np.arange(rows)
    return place


def _read_counted(corpus: Corpus, folder: Path, inputs: Inputs, count_in: CountIn) -> ConceptRows:
    """Read the concepts of rows from the posting lists of ``oddpair count``."""
    if inputs.tags is not None:
        raise Refusal(
            f"--tags would go unused: {folder} holds the tags that were counted; leave the option out"
        )
    postings = open_postings(folder)
    vocabulary = load_vocabulary(folder / VOCABULARY)
    if inputs.vocabulary is not None and inputs.vocabulary.sha256 != vocabulary.sha256:
        raise Refusal(
            f"{folder} counts {len(vocabulary):,} other concepts than --vocabulary names: leave the option out, or "
            "count again with it"
        )
    if postings.index.corpus != fingerprint(corpus):
        raise Refusal(f"{folder} counts another corpus than {corpus.root}: count this one with --postings")
    kinds: tuple[Literal["text", "image"], ...] = ("text", "image")
    wanted = [kind for kind in kinds if count_in != {"text": "images", "image": "captions"}[kind]]
    for kind in wanted:
        verify_counts(folder, postings.files(kind))
    return _gather(corpus, vocabulary.names, _join_postings(corpus, postings, wanted))


def _join_postings(
    corpus: Corpus, postings: Postings, kinds: Sequence[Literal["text", "image"]]
) -> Iterator[_Part]:
    """Yield the rows of each file of posting lists, which are those that a scan of its shards keeps."""
    index = postings.index
    for start, stop in itertools.pairwise((*index.starts, len(index.shards))):
        batches = [batch for shard in index.shards[start:stop] for batch in corpus.scan(shard)]
        uids = [_texts(batch.table["uid"]) for batch in batches]
        n_rows = sum(map(len, uids))
        if n_rows != sum(index.rows[start:stop]):
            raise Refusal(
                f"{postings.folder} counts {sum(index.rows[start:stop]):,} rows in shards {index.shards[start]} to "
                f"{index.shards[stop - 1]}, {corpus.root} gives {n_rows:,}: count again"
            )
        found = []
        for kind in kinds:
            path = postings.folder / POSTINGS_FOLDER / file_name(kind, start, len(index.shards))
            lists = read_bitmaps(path, range(index.n_concepts), n_rows=n_rows, n_concepts=index.n_concepts)
            found.append(_turn(lists, n_rows, index.n_concepts))
        bad = sum(line.rows for batch in batches for line in batch.bad)
        yield _Part(uids=pa.concat_arrays(uids), found=tuple(found), bad=bad)


def _turn(lists: Mapping[int, BitMap], n_rows: int, n_concepts: int) -> Incidence:
    """Turn the rows of each concept into the concepts of each row."""
    nothing: list[Any] = [np.zeros(0, np.uint32)]
    rows = np.concatenate(nothing + [np.frombuffer(found.to_array(), np.uint32) for found in lists.values()])
    concepts = np.repeat(
        np.array(list(lists), np.int32), np.array([len(found) for found in lists.values()], np.int64)
    )
    order = np.argsort(rows, kind="stable")
    ends = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=ends[1:])
    return Incidence(ends=ends, concepts=concepts[order], n_concepts=n_concepts)


def _texts(uids: pa.ChunkedArray) -> pa.Array:
    return uids.cast(pa.large_string()).combine_chunks()
