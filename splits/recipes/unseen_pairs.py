"""Pairs and sets of concepts that a corpus never shows together: as a table, and as splits of test sets that show them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import fingerprint
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.plan import TagFile
from oddpair.retrieval.counting.postings_query import Postings
from oddpair.retrieval.counting.tag_table import spread
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.search import Neighbours, nearest
from oddpair.splits.built import Built, Check, Listing, Panel
from oddpair.splits.corpus_counts import CorpusCounts, open_corpus_counts, open_vocabulary
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Manifest
from oddpair.splits.pairs.near_images import NearImages, find_near
from oddpair.splits.pairs.repeated import find_repeated
from oddpair.splits.pairs.sample_sets import Columns, SampleSets, read_samples
from oddpair.splits.pairs.set_counts import list_pairs
from oddpair.splits.pairs.unseen_claims import hash_gallery
from oddpair.splits.pairs.unseen_pairs import STATUSES, PairTable, candidates, check
from oddpair.splits.pairs.unseen_sets import describe_samples, find_test_images, to_table
from oddpair.splits.pairs.unseen_splits import Terms, make_splits
from oddpair.splits.pairs.unseen_verify import Sources, verify_claims

KIND = "unseen-pairs"
PAIRS_FILE, SAMPLES_FILE = "pairs.parquet", "samples.parquet"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenPairsRecipe:
    """Concepts that a corpus never shows together; ``unseen_pairs.yaml``.

    Attributes:
        minimum_count: Rows of the corpus that must hold each concept: of what is absent everything is unseen. For the
            samples of a test set rows of one uid are one; ``pairs.parquet`` has the counts of rows.
        count_in: Where concepts are looked for in samples and in the corpus: captions, images or both.
        neighbours: Nearest corpus pictures of a test picture that are looked at.
        caliper: Largest difference of log10 counts between an unseen sample and its seen control, in decades.
        scoring: How the splits are meant to be scored: by retrieval among the whole test set, or by classification.
        tag_threshold: Score above which an image tag holds; ``None`` for the usual one of the tagger.
        content_column: Column with names of what images show, in test sets and in the corpus.
        image_column: Column of test sets that rows of one image share.
        mined_words: Where no vocabulary is given, captions that must use a word to make it a concept.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus",)
    TAKES: ClassVar[tuple[str, ...]] = ("embeddings", "tests", "tags", "counts", "vocabulary")

    minimum_count: int = 10
    count_in: Literal["captions", "images", "both"] = "captions"
    neighbours: int = 50
    caliper: float = 0.1
    scoring: Literal["retrieval", "classification"] = "retrieval"
    tag_threshold: float | None = None
    content_column: str = "concepts"
    image_column: str = "image"
    mined_words: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in ("minimum_count", "neighbours", "mined_words"):
            if getattr(self, name) < 1:
                raise Refusal(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0 <= self.caliper < math.inf:
            raise Refusal(f"caliper is {self.caliper}: it must be 0 or more decades")
        if self.tag_threshold is not None and math.isnan(self.tag_threshold):
            raise Refusal("tag_threshold is nan: it must be a number, or null for the usual one")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPictures:
    """Test pictures of pairs: unit rows of shape ``(n, d)`` and the two concepts of each, shape ``(n, 2)``."""

    image: NDArray[np.float32]
    concepts: NDArray[np.str_]


def find_unseen_pairs(
    counts: Counts,
    nested: Collection[tuple[int, int]],
    recipe: UnseenPairsRecipe,
    *,
    tests: PairPictures | None,
    embeddings: Embeddings | None,
    tags: csr_array | None,
) -> PairTable:
    """List the pairs of a corpus, and check the unseen ones by search and by tags.

    Args:
        counts: Of the corpus.
        nested: Concepts that are no pair.
        recipe: The recipe.
        tests: Test pictures; without them, or without embeddings, nothing is searched and no pair is more
            than unseen in captions.
        embeddings: Of the corpus.
        tags: What is known to be in each corpus picture.

    Returns:
        All pairs with their status.
    """
    table = candidates(counts, nested, minimum_count=recipe.minimum_count)
    # With no picture to search with, the tags that were counted still tell which pairs some picture shows.
    shown = np.empty((0, 2), dtype=np.str_)
    found = Neighbours(np.empty((0, 1), np.float32), np.empty((0, 1), np.int64))
    if tests is not None and embeddings is not None:
        shown = tests.concepts
        found = nearest(tests.image, embeddings.image, recipe.neighbours, uids=embeddings.uids)
    return check(
        table,
        query_pair=shown,
        scores=found.scores,
        rows=found.rows,
        tags=tags,
        names=counts.names,
    )


def pair_card(table: PairTable) -> tuple[tuple[str, str], ...]:
    """Return how many pairs have each status, how many were not counted, and what search and tags found."""
    meaning = {
        "seen": "named together in a caption",
        "unchecked": "named together in no caption; pictures not searched",
        "text-unseen": "named together in no caption, but shown together in a picture",
        "unseen": "named together in no caption, shown together in no picture that was found",
    }
    rows = [(f"pairs {meaning[status]}", f"{int((table.status == status).sum()):,}") for status in STATUSES]
    silent = table.count_text == 0
    by_search = silent & (table.neighbour_hits > 0)
    by_tags = silent & (table.count_image > 0)
    searched = silent & (table.neighbours_checked > 0)
    if table.not_counted:
        rows.append(("pairs not counted, of which nothing is known", f"{table.not_counted:,}"))
    rows.append(("pairs without a caption that were searched", f"{int(searched.sum()):,}"))
    if searched.any():
        rows.append(
            (
                "of these shown together: found by search, by tags, by both",
                f"{int((by_search & searched).sum()):,}, {int((by_tags & searched).sum()):,}, "
                f"{int((by_search & by_tags & searched).sum()):,}",
            )
        )
    return tuple(rows)


def build(recipe: UnseenPairsRecipe, inputs: Inputs, work: Path) -> Built:
    """List the pairs that a corpus never shows together, and split test sets by what it has shown of them.

    Args:
        recipe: The recipe.
        inputs: The corpus; test sets with a vocabulary; tags; counts with posting lists, to count nothing again; and
            embeddings, to look at the images nearest to those of the test sets.
        work: Folder that a killed run goes on from.

    Returns:
        ``pairs.parquet`` and, with test sets, ``samples.parquet`` and their splits.

    Raises:
        Refusal: If an input cannot be used, or lacks what others are compared with.
    """
    _need_useful(recipe, inputs)
    opened = open_corpus_counts(
        inputs,
        work,
        tag_threshold=recipe.tag_threshold,
        mined_words=recipe.mined_words,
        postings=bool(inputs.tests),
    )
    postings = opened.postings() if inputs.tests else None
    repeated = find_repeated(inputs.need_corpus().need_corpus()) if inputs.tests else None
    table = candidates(opened.counts, nested_of(opened.counts), minimum_count=recipe.minimum_count)
    table = _check_pairs(table, opened.counts, None, None)
    splits: list[Manifest] = []
    lines: list[pa.Table] = []
    panels: dict[str, list[Panel]] = {}
    for name in sorted(inputs.tests):
        assert postings is not None
        assert repeated is not None
        samples = _read(recipe, inputs.tests[name], opened.vocabulary, inputs)
        near = _search(recipe, inputs, name, opened.vocabulary, work) if _is_searched(inputs) else None
        table = _check_pairs(table, opened.counts, samples, near)
        described = describe_samples(
            samples,
            postings,
            opened.counts.nested,
            near,
            mode=recipe.count_in,
            minimum=recipe.minimum_count,
            images=opened.tags is not None,
            repeated=repeated,
        )
        made = make_splits(described, _terms(recipe, inputs, opened, postings, samples))
        splits += made.splits
        panels |= made.panels
        lines.append(to_table(described, opened.vocabulary.names, made.partner))
    captions = f"{opened.counts.n_captions:,} captions"
    panels[""] = [
        Listing(title=f"Pairs of concepts in {captions}", columns=["pairs", "number"], rows=pair_card(table))
    ]
    tables = {PAIRS_FILE: table.to_table()}
    if lines:
        tables[SAMPLES_FILE] = pa.concat_tables(lines)
    return Built(splits=tuple(splits), tables=tables, panels=panels)


def verify(manifest: Manifest, recipe: UnseenPairsRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute the claims of a split of a test set again, see ``verify_claims``."""
    tests = inputs.tests.get(manifest.of)
    if tests is None:
        raise Refusal(
            f"split {manifest.name!r} is of the test set {manifest.of!r}: give --tests {manifest.of}=PATH"
        )
    vocabulary = open_vocabulary(inputs)
    if vocabulary is None:
        raise Refusal(f"split {manifest.name!r} was made with a vocabulary: give it with --vocabulary")
    corpus = inputs.need_corpus().need_corpus()
    mark = fingerprint(corpus)
    tags = None if inputs.tags is None else TagFile(path=inputs.tags, threshold=recipe.tag_threshold)
    sources = Sources(
        corpus=corpus,
        vocabulary=vocabulary,
        mode=recipe.count_in,
        open_tags=None if tags is None else partial(tags.open, corpus=mark),
        search=partial(_search, recipe, inputs, manifest.of, vocabulary, work)
        if _is_searched(inputs)
        else None,
    )
    return verify_claims(manifest, _read(recipe, tests, vocabulary, inputs), sources)


def nested_of(counts: Counts) -> set[tuple[int, int]]:
    """Return the pairs of concepts that are no pair by the rules of the count."""
    return set(zip(*(part.tolist() for part in np.divmod(counts.nested, len(counts.names))), strict=True))


def _need_useful(recipe: UnseenPairsRecipe, inputs: Inputs) -> None:
    if inputs.tests and inputs.vocabulary is None and inputs.counts is None:
        raise Refusal(
            "test sets need a vocabulary, because not every word of a caption is a thing: give --vocabulary, or --counts"
        )
    if recipe.count_in != "captions" and inputs.tests and inputs.tags is None:
        raise Refusal(
            f"count_in is {recipe.count_in}, and images of the corpus are known by tags alone: give --tags, or set it to "
            "captions"
        )
    if _is_searched(inputs) and not inputs.tests:
        raise Refusal(
            "without a test set no image is searched for: give --tests, or leave --model and --embeddings out"
        )
    if len(inputs.tests) > 1:
        for name in inputs.tests:
            if not _NAME.fullmatch(name):
                raise Refusal(
                    f"test set '{name}': with several sets splits are named after them: give it a name of letters, digits, "
                    "'.', '_' and '-', as NAME=PATH"
                )


def _is_searched(inputs: Inputs) -> bool:
    return inputs.need_corpus().stored is not None


def _read(recipe: UnseenPairsRecipe, tests: Pictures, vocabulary: Vocabulary, inputs: Inputs) -> SampleSets:
    tags = None
    if inputs.tags is not None and recipe.count_in != "captions":
        tags = TagFile(path=inputs.tags, threshold=recipe.tag_threshold).open(vocabulary)
    columns = Columns(content=recipe.content_column, image=recipe.image_column)
    return read_samples(tests, vocabulary, columns, mode=recipe.count_in, tags=tags)


def _search(
    recipe: UnseenPairsRecipe, inputs: Inputs, name: str, vocabulary: Vocabulary, work: Path
) -> NearImages:
    corpus, tags = inputs.need_corpus(), None
    if inputs.tags is not None:
        tags = TagFile(path=inputs.tags, threshold=recipe.tag_threshold).open(vocabulary)
    near = find_near(
        corpus,
        inputs.tests[name],
        vocabulary,
        work / f"neighbours-{name}",
        neighbours=recipe.neighbours,
        column=recipe.content_column,
        tags=tags,
        workers=inputs.workers,
    )
    if not near.known.any():
        raise Refusal(
            f"nothing is known of the images of {corpus.name} that are near to those of {name}: give --tags, name a column "
            "with their content as content_column, or leave --model and --embeddings out"
        )
    return near


def _check_pairs(
    table: PairTable, counts: Counts, samples: SampleSets | None, near: NearImages | None
) -> PairTable:
    """Check pairs by what is near to the test images of samples that hold them; with none, by the counts of tags."""
    pairs, test = np.empty((0, 2), np.int64), np.empty(0, np.int64)
    if samples is not None and near is not None:
        places, sample = find_test_images(near, samples)
        of, keys = list_pairs(samples.sets, counts.nested)
        starts, stops = np.searchsorted(sample, of), np.searchsorted(sample, of, side="right")
        test = places[spread(starts, stops - starts)]
        pairs = np.column_stack(np.divmod(np.repeat(keys, stops - starts), len(counts.names)))
    return check(
        table,
        query_pair=pairs,
        scores=np.empty((0, 1), np.float32) if near is None else near.scores[test],
        rows=np.empty((0, 1), np.int64) if near is None else near.rows[test],
        tags=None if near is None else near.content,
        names=counts.names,
        known=None if near is None else near.known,
    )


def _terms(
    recipe: UnseenPairsRecipe,
    inputs: Inputs,
    opened: CorpusCounts,
    postings: Postings,
    samples: SampleSets,
) -> Terms:
    scoring: dict[str, Any] = {"task": recipe.scoring, "gallery": hash_gallery(samples)}
    return Terms(
        recipe=KIND,
        prefix=f"{samples.name}-" if len(inputs.tests) > 1 else "",
        provenance={**inputs.identify(), "vocabulary": opened.vocabulary.sha256, "scoring": scoring},
        scoring=recipe.scoring,
        rows=postings.n_rows,
        neighbours=recipe.neighbours,
        caliper=recipe.caliper,
    )
