"""Rows of a corpus that never show a test sample's objects together: so that each of its combinations is unseen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.splits.built import Built, Check, Listing
from oddpair.splits.claims import refute_others
from oddpair.splits.concept_change import ConceptChange, count_change
from oddpair.splits.curation.pool_columns import read_pool
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pairs.content import use_content
from oddpair.splits.pairs.pair_free import ShownSets, find_shown, open_sets, scan_shown
from oddpair.splits.pool import Pool

KIND = "pair-unseen"
_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUnseenRecipe:
    """A corpus without a test set's combinations of objects; ``pair_unseen.yaml``.

    Attributes:
        content_column: Column with names of what images show, used where it is there.
        image_column: Column of test sets that rows of one image share.
        minimum_count: Captions of the split that must name an object for the card to count it as left.
        tag_threshold: Score above which an image tag holds; ``None`` for the usual one of the tagger.

    References:
        After the unseen pairs of Abbasi et al., arXiv:2502.18326, which choose tests rather than training rows.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus", "tests")
    TAKES: ClassVar[tuple[str, ...]] = ("tags", "counts", "vocabulary")

    content_column: str = "concepts"
    image_column: str = "image"
    minimum_count: int = 10
    tag_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.minimum_count < 1:
            raise Refusal(f"minimum_count is {self.minimum_count}: it must be 1 or more")
        if self.tag_threshold is not None and math.isnan(self.tag_threshold):
            raise Refusal("tag_threshold is nan: it must be a number, or null for the usual one")


def build(recipe: PairUnseenRecipe, inputs: Inputs, work: Path) -> Built:
    """Leave out the rows whose caption, or whose picture by tags or content, shows all objects of some test sample.

    Args:
        recipe: The recipe.
        inputs: The corpus and test sets; a vocabulary or counts, without which the test sets' own names are the concepts;
            tags, without which a column of content of the corpus takes their place.
        work: Folder that a killed run goes on from.

    Returns:
        The split ``pair-unseen``.

    Raises:
        Refusal: If no test sample shows two objects, there are no concepts, or no row would be left.
    """
    shown = _open(recipe, inputs, work)
    corpus = inputs.need_corpus().need_corpus()
    pool = read_pool(Pictures(name=corpus.name, corpus=corpus))
    captions, pictures = find_shown(corpus, shown)
    lines, kept = take_shown(pool, captions, pictures, tagged=shown.counts.tags is not None)
    split = Manifest(
        name=KIND,
        recipe=KIND,
        uids=kept,
        provenance=inputs.identify(),
        rules=(("rows of the corpus", len(pool)), *lines, ("rows kept", len(kept))),
        statement=_claim(shown, len(pool) - len(kept)),
        card=(
            ("test samples that show two objects or more", shown.tests),
            ("different sets of objects", shown.sets.shape[0]),
        ),
    )
    objects, change = _count_objects(split, corpus, shown)
    left = [int((counts >= recipe.minimum_count).sum()) for counts in (change.before, change.after[0])]
    told = f"of {len(objects):,} objects in {recipe.minimum_count:,} or more captions: corpus, split"
    listed = sorted(
        zip(change.names, change.before.tolist(), change.after[0].tolist(), strict=True),
        key=lambda line: (line[2], line[0]),
    )
    panel = Listing(
        title="Captions that name each object, rarest first",
        columns=("object", "corpus", "split"),
        rows=listed[:_LISTED],
    )
    return Built(
        splits=(replace(split, card=(*split.card, (told, f"{left[0]:,}, {left[1]:,}"))),),
        panels={KIND: [panel]},
    )


def _count_objects(split: Manifest, corpus: Corpus, shown: ShownSets) -> tuple[Vocabulary, ConceptChange]:
    """Count the objects of test samples in the corpus and in the split: what is hardly left is hard by itself."""
    concepts = shown.counts.vocabulary.concepts
    objects = Vocabulary(
        concepts=tuple(concepts[number] for number in np.unique(shown.sets.indices).tolist())
    )
    return objects, count_change(corpus, [split], objects)


def take_shown(
    pool: Pool, captions: pa.Array, pictures: pa.Array, *, tagged: bool
) -> tuple[list[tuple[str, int]], pa.Array]:
    """Take rows out of a pool: those whose caption shows a set, then those whose picture does.

    Returns:
        How many of each left, and the uids that stay.
    """
    by_caption = pc.is_in(pool.uids, value_set=captions)
    by_picture = pc.and_not(pc.is_in(pool.uids, value_set=pictures), by_caption)
    lines = [("whose caption names all objects of a test sample", pc.sum(by_caption).as_py() or 0)]
    if tagged:
        lines.append(("whose picture alone shows them", pc.sum(by_picture).as_py() or 0))
    return lines, pool.uids.filter(pc.invert(pc.or_(by_caption, by_picture)))


def verify(manifest: Manifest, recipe: PairUnseenRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute the claims again, by reading every caption and tag rather than posting lists."""
    shown = _open(recipe, inputs, work)
    corpus = inputs.need_corpus().need_corpus()
    pool = read_pool(Pictures(name=corpus.name, corpus=corpus))
    known = use_content(inputs, work, recipe.content_column)
    tags = None
    if known.tags is not None:
        from oddpair.retrieval.counting.plan import TagFile

        tags = TagFile(path=known.tags, threshold=recipe.tag_threshold).open(
            shown.counts.vocabulary, fingerprint(corpus)
        )
    captions, pictures = scan_shown(corpus, shown.counts.vocabulary, shown.sets, tags, pool.uids)
    hit = pc.or_(pc.is_in(pool.uids, value_set=captions), pc.is_in(pool.uids, value_set=pictures))
    inside = pc.is_in(pool.uids, value_set=manifest.uids)
    wrong = pc.sum(pc.and_(hit, inside)).as_py() or 0
    lost = pc.sum(pc.and_not(pc.invert(hit), inside)).as_py() or 0
    strange = len(manifest) - (pc.sum(inside).as_py() or 0)
    known_claims = _claim(shown, len(pool) - len(manifest))
    checks = [
        Check(
            text=known_claims[0].text,
            holds=not (wrong or strange),
            found=f"{wrong:,} of its rows do, {strange:,} are no rows of the corpus",
        ),
        Check(
            text=known_claims[1].text,
            holds=not lost,
            found=f"{lost:,} rows that show none of them are missing",
        ),
    ]
    told = {check.text for check in checks}
    return [
        *(check for check in checks if check.text in {claim.text for claim in manifest.statement} & told),
        *refute_others(manifest, known_claims),
    ]


def _open(recipe: PairUnseenRecipe, inputs: Inputs, work: Path) -> ShownSets:
    shown = open_sets(
        inputs,
        work,
        content_column=recipe.content_column,
        image_column=recipe.image_column,
        tag_threshold=recipe.tag_threshold,
    )
    if not shown.tests:
        raise Refusal(
            f"no sample of {', '.join(sorted(inputs.tests))} shows two objects of the vocabulary: give test sets and a "
            "--vocabulary that belong together"
        )
    return shown


def _claim(shown: ShownSets, gone: int) -> tuple[Claim, ...]:
    where = "no caption names" if shown.counts.tags is None else "no caption names, and no picture shows,"
    values = {"sets": int(shown.sets.shape[0]), "samples": shown.tests, "sha256": shown.digest}
    return (
        Claim(
            text=f"{where} all objects of any of {shown.tests:,} test samples that show two or more",
            values=values,
        ),
        Claim(text=f"every row that does not is kept: {gone:,} left", values={"gone": gone}),
    )
