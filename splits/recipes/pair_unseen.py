"""Rows of a corpus that never show a test sample's objects together: so that each of its combinations is unseen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import fingerprint
from oddpair.splits.built import Built, Check
from oddpair.splits.claims import refute_others
from oddpair.splits.curation.pool_columns import read_pool
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pairs.content import use_content
from oddpair.splits.pairs.pair_free import ShownSets, find_shown, open_sets, scan_shown
from oddpair.splits.pool import Pool

KIND = "pair-unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUnseenRecipe:
    """A corpus without a test set's combinations of objects; ``pair_unseen.yaml``.

    Attributes:
        content_column: Column with names of what images show, used where it is there.
        image_column: Column of test sets that rows of one image share.
        tag_threshold: Score above which an image tag holds; ``None`` for the usual one of the tagger.

    References:
        After the unseen pairs of Abbasi et al., arXiv:2502.18326, which choose tests rather than training rows.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus", "tests")
    TAKES: ClassVar[tuple[str, ...]] = ("tags", "counts", "vocabulary")

    content_column: str = "concepts"
    image_column: str = "image"
    tag_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse a threshold that is no number."""
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
    return Built(splits=(split,))


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
