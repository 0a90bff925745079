"""A corpus without the rows that show some test sample's objects together: what goes, and whether it has gone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.corpus_counts import CorpusCounts, open_corpus_counts
from oddpair.splits.inputs import Inputs
from oddpair.splits.pairs.content import name_own_concepts, use_content
from oddpair.splits.pairs.sample_sets import Columns, SampleSets, columns_of, read_samples
from oddpair.splits.pairs.set_counts import distinct_rows, list_pairs
from oddpair.splits.pairs.set_rows import find_holders

# Entries of the product of rows and sets at a time.
_ENTRIES_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownSets:
    """Sets of objects that test samples show, and the corpus that they are looked for in.

    Attributes:
        counts: Of the corpus, with posting lists.
        samples: Of each test set.
        sets: The different sets of two objects or more, none of which names another, shape ``(n_sets, n_concepts)``.
        tests: Samples that show one of them.
    """

    counts: CorpusCounts
    samples: Sequence[SampleSets]
    sets: Mentions
    tests: int

    @property
    def digest(self) -> str:
        """A hash of the sets, by the names of their concepts."""
        names, ends = self.counts.vocabulary.names, self.sets.indptr
        listed = [
            sorted(names[concept] for concept in self.sets.indices[start:stop].tolist())
            for start, stop in itertools.pairwise(ends)
        ]
        return files.digest(sorted(listed))


def read_test(
    inputs: Inputs, name: str, vocabulary: Vocabulary, content_column: str, image_column: str
) -> SampleSets:
    """Read what each sample of a test set shows: by its column of content if it has one, else by its captions."""
    pictures = inputs.tests[name]
    mode: Literal["images", "captions"] = (
        "images" if content_column in columns_of(pictures.need_corpus()) else "captions"
    )
    columns = Columns(content=content_column, image=image_column)
    return read_samples(pictures, vocabulary, columns, mode=mode, tags=None)


def open_sets(
    inputs: Inputs, work: Path, *, content_column: str, image_column: str, tag_threshold: float | None
) -> ShownSets:
    """Count a corpus and find the sets of objects that test samples show.

    Concepts are those of the vocabulary or of the counts; where neither is given, the names that the test sets give.

    Args:
        inputs: Corpus and test sets.
        work: Folder for the counts, from which a killed run goes on.
        content_column: Column with names of what images show, used where it is there: of a corpus as tags.
        image_column: Column of test sets that rows of one image share.
        tag_threshold: Score above which a tag holds.

    Returns:
        The sets.

    Raises:
        Refusal: If there is no concept to look for, or inputs do not belong together.
    """
    known = use_content(inputs, work, content_column)
    if known.vocabulary is None and known.counts is None:
        own = name_own_concepts(inputs.tests.values(), content_column)
        if own is None:
            raise Refusal(
                f"no test set has a column '{content_column}' that names its objects, and not every word of a caption is "
                "one: give --vocabulary FILE, imagenet, coco or voc, or --counts"
            )
        known = replace(known, vocabulary=own)
    counts = open_corpus_counts(known, work, tag_threshold=tag_threshold, mined_words=2, postings=True)
    samples = [
        read_test(inputs, name, counts.vocabulary, content_column, image_column)
        for name in sorted(inputs.tests)
    ]
    several = [find_several(each, counts.counts.nested) for each in samples]
    every = csr_array(
        vstack([each.sets[mask] for each, mask in zip(samples, several, strict=True)], format="csr")
    )
    return ShownSets(
        counts=counts,
        samples=samples,
        sets=csr_array(every[distinct_rows(every)[0]]) if every.shape[0] else every,
        tests=int(every.shape[0]),
    )


def find_several(samples: SampleSets, nested: IntArray) -> NDArray[np.bool_]:
    """Mark the samples that show two objects or more, none of which only names the other; shape ``(n_samples,)``."""
    several = np.zeros(len(samples), dtype=np.bool_)
    several[list_pairs(samples.sets, nested)[0]] = True
    return several


def find_shown(corpus: Corpus, shown: ShownSets) -> tuple[pa.Array, pa.Array]:
    """Find the uids of the rows whose caption, and of those whose picture by its tags, shows all objects of a set."""
    nothing = pa.array([], pa.large_string())
    if not shown.sets.shape[0]:
        return nothing, nothing
    postings = shown.counts.postings()
    captions = find_holders(corpus, postings, shown.sets, "text")
    if shown.counts.tags is None:
        return captions, nothing
    return captions, find_holders(corpus, postings, shown.sets, "image")


def scan_shown(
    corpus: Corpus, vocabulary: Vocabulary, sets: Mentions, tags: Tags | None, among: pa.Array
) -> tuple[pa.Array, pa.Array]:
    """Find the same by reading every caption and tag again, without posting lists.

    Args:
        corpus: The corpus, some rows at a time.
        vocabulary: The concepts.
        sets: Shape ``(n_sets, n_concepts)``.
        tags: Of the corpus; ``None`` looks at captions alone.
        among: Uids that are looked at.

    Returns:
        Uids of ``among`` whose caption, and whose tags, hold all concepts of a set.
    """
    matcher = Matcher(vocabulary)
    found: tuple[list[pa.Array], list[pa.Array]] = (
        [pa.array([], pa.large_string())],
        [pa.array([], pa.large_string())],
    )
    step = max(1, _ENTRIES_AT_ONCE // max(1, sets.shape[0]))
    for shard in corpus.shards:
        for batch in corpus.scan(shard):
            table = batch.table.filter(pc.is_in(batch.table["uid"].cast(pa.large_string()), value_set=among))
            for start in range(0, table.num_rows, step):
                part = table.slice(start, step).combine_chunks()
                uids = part["uid"].combine_chunks().cast(pa.large_string())
                rows = [matcher.find(part["caption"]).to_csr()]
                if tags is not None:
                    rows.append(tags.of(shard, part["uid"].combine_chunks()).to_csr())
                for place, held in enumerate(rows):
                    found[place].append(uids.filter(pa.array(_hold_any(held, sets))))
    return pa.concat_arrays(found[0]), pa.concat_arrays(found[1])


def _hold_any(rows: csr_array, sets: Mentions) -> NDArray[np.bool_]:
    """Say of each row whether it holds all concepts of some set."""
    common = (rows.astype(np.int32) @ sets.astype(np.int32).T).tocoo()
    sizes = np.diff(sets.indptr)
    hit = np.zeros(rows.shape[0], dtype=np.bool_)
    row, column = common.coords
    hit[row[common.data == sizes[column]]] = True
    return hit
