"""The searches behind similarity splits: a corpus against every test set, once for all rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddpair.retrieval.neighbours import find_neighbours
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow
from oddpair.splits.pool import pool_of_stored
from oddpair.splits.similar.panels import LISTED
from oddpair.splits.similar.pruning import (
    CorpusRows,
    Mask,
    Nearness,
    Scores,
    TestImages,
    drop_near_duplicates,
    find_shared,
    read_corpus_rows,
    read_nearness,
    read_test_images,
)

_SAMPLE_STREAM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A corpus and what was found in it; masks and scores are over its pool.

    Attributes:
        corpus: The rows.
        base: Rows chosen from: without near-duplicates, where these left first.
        complete: Whether every near-duplicate is known.
        shared: Rows that are also the reference set's.
        reference_rows: Uids of the reference set.
        near: How near the rows are to each test set.
        images: Test images of each set.
        found: Folder of each set's search.
        samples: Test images of each set to be shown.
        lines: What left before any rule.
        card: What is to be said of every split.
    """

    corpus: CorpusRows
    base: Mask
    complete: bool
    shared: Mask
    reference_rows: int
    near: Mapping[str, Nearness]
    images: Mapping[str, int]
    found: Mapping[str, Path]
    samples: Mapping[str, TestImages]
    lines: tuple[tuple[str, int], ...]
    card: tuple[CardRow, ...]

    def score(self, tests: Sequence[str]) -> Scores:
        """Return the similarity of each row to its nearest image of some test sets."""
        nearest: Scores = np.maximum.reduce([self.near[name].score for name in tests])
        return nearest


def search_corpus(
    inputs: Inputs, work: Path, *, deduplicate: float | None, sampled: int, seed: int
) -> Searched:
    """Search a corpus for the neighbours of its test sets, with the reference set's thresholds if there is one.

    Args:
        inputs: Embedded corpus, test sets and reference set.
        work: Folder of the searches; a finished one is read, a killed one goes on.
        deduplicate: Similarity above which near-duplicates leave; ``None``: none leaves.
        sampled: Test images of each set to be shown.
        seed: Of that sample.

    Returns:
        What was found.

    Raises:
        Refusal: If encoders differ or a uid has two vectors.
    """
    stored = inputs.need_corpus().need_stored()
    reference = None if inputs.reference is None else inputs.reference.need_stored()
    tests = {name: inputs.tests[name].need_stored() for name in sorted(inputs.tests)}
    corpus = read_corpus_rows(stored)
    # Before the search, which may take hours: two pictures of one uid are refused.
    shared = (
        np.zeros(len(corpus.pool), dtype=np.bool_) if reference is None else find_shared(corpus, reference)
    )
    found = {
        name: find_neighbours(
            stored,
            images,
            work / f"neighbours-{name}",
            k=max(LISTED),
            above=reference,
            workers=inputs.workers,
        )
        for name, images in tests.items()
    }
    lines, card = [("rows that have an embedding", stored.shape[0])], list[CardRow]()
    if len(corpus.repeated):
        lines.append(("rows whose uid another row has", len(corpus.repeated)))
    base, recall = np.ones(len(corpus.pool), dtype=np.bool_), None
    if deduplicate is not None:
        base, recall = drop_near_duplicates(corpus, deduplicate, work, threads=inputs.workers)
        lines.append(("near-duplicates of a row that stays", int((~base).sum())))
    if recall is not None:
        low, high = recall["interval"]
        told = (
            f"{recall['recall']:.1%} ({low:.1%} to {high:.1%}, 95 %), as rows were compared within clusters"
        )
        card.append(("pairs of near-duplicates that were found", told))
    return Searched(
        corpus=corpus,
        base=base,
        complete=recall is None,
        shared=shared,
        reference_rows=0 if reference is None else len(pool_of_stored(reference)),
        near={name: read_nearness(each.folder, corpus) for name, each in found.items()},
        images={name: each.tests for name, each in found.items()},
        found={name: each.folder for name, each in found.items()},
        samples={
            name: read_test_images(images, sampled=sampled, rng=np.random.default_rng((seed, _SAMPLE_STREAM)))
            for name, images in (tests.items() if sampled else ())
        },
        lines=tuple(lines),
        card=tuple(card),
    )
