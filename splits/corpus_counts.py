"""Counts of a corpus for a recipe: those it was given, if they are of this corpus, or counted now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair import stages
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.count_shards import VOCABULARY
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, read_meta, verify_counts
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.mined import MinedWords
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.retrieval.counting.postings_query import Postings, open_postings
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.vocabulary_file import load_vocabulary
from oddpair.splits.inputs import Inputs

_FILES = ("counts.parquet", "nested.parquet", "pairs.parquet", "meta.json", VOCABULARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCounts:
    """Counts of concepts and pairs in a corpus.

    Attributes:
        folder: Where they lie.
        counts: The counts.
        vocabulary: The concepts.
        tags: Tags of its images, which were counted too; ``None`` where none were given.
    """

    folder: Path
    counts: Counts
    vocabulary: Vocabulary
    tags: Tags | None

    def postings(self) -> Postings:
        """Open the posting lists, each file compared with the record of the count."""
        found = open_postings(self.folder)
        needed = [*found.files("text"), *([] if self.tags is None else found.files("image"))]
        verify_counts(self.folder, needed)
        return found


def open_corpus_counts(
    inputs: Inputs, work: Path, *, tag_threshold: float | None, mined_words: int, postings: bool
) -> CorpusCounts:
    """Open the counts that were given with a corpus, or count it.

    Args:
        inputs: Corpus, and what was given beside it.
        work: Folder of the run, for counts that are made now.
        tag_threshold: Score above which a tag holds; ``None`` for the usual one.
        mined_words: Without a vocabulary and without counts: captions that must use a word to make it a concept.
        postings: Whether posting lists are needed.

    Returns:
        The counts.

    Raises:
        Refusal: If counts were given of another corpus, vocabulary or tags, by other rules, or without posting lists.
    """
    corpus = inputs.need_corpus().need_corpus()
    tag_file = None if inputs.tags is None else TagFile(path=inputs.tags, threshold=tag_threshold)
    if inputs.counts is not None:
        return _open_given(inputs.counts, corpus, inputs.vocabulary, tag_file)
    plan = CountPlan(
        vocabulary=inputs.vocabulary or MinedWords(minimum=mined_words), tags=tag_file, postings=postings
    )
    counted = count_corpus(corpus, work / "counts", plan, workers=inputs.workers)
    return CorpusCounts(
        folder=work / "counts",
        counts=counted.counts,
        vocabulary=counted.vocabulary,
        tags=None if tag_file is None else tag_file.open(counted.vocabulary, fingerprint(corpus)),
    )


def open_vocabulary(inputs: Inputs) -> Vocabulary | None:
    """Return the concepts that were given: as a vocabulary, or with counts; ``None`` where they are mined."""
    if inputs.vocabulary is None and inputs.counts is not None:
        verify_counts(inputs.counts, (VOCABULARY,))
        return load_vocabulary(inputs.counts / VOCABULARY)
    return inputs.vocabulary


def _open_given(
    folder: Path, corpus: Corpus, vocabulary: Vocabulary | None, tag_file: TagFile | None
) -> CorpusCounts:
    verify_counts(folder, _FILES)
    made, meta = stages.made_from(folder) or {}, read_meta(folder)
    counted = fingerprint(corpus)
    if made.get("corpus") != counted:
        raise Refusal(
            f"{folder} counts another corpus than {corpus.root} (fingerprint {str(made.get('corpus'))[:12]}, needed "
            f"{counted[:12]}): give the counts of this corpus, or leave --counts out"
        )
    found: dict[str, Any] = meta["counting"]
    if found != Finding().describe(Vocabulary(concepts=())):
        raise Refusal(
            f"{folder} was counted by the rules {found.get('rules')!r}, overlap {found.get('overlap')!r}, by which samples "
            "are not read: count again with the usual rules, or leave --counts out"
        )
    concepts = vocabulary or load_vocabulary(folder / VOCABULARY)
    counts = read_counts(folder, concepts)
    tags = None if tag_file is None else tag_file.open(concepts, counted)
    if tags is not None and made.get("tags") != tags.identity():
        raise Refusal(
            f"{folder} was counted {'with other' if made.get('tags') else 'without'} image tags or another threshold: "
            f"count again with --tags {tags.path}, or leave --counts or --tags out"
        )
    return CorpusCounts(folder=folder, counts=counts, vocabulary=concepts, tags=tags)
