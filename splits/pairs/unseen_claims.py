"""What splits of a test set claim of a corpus that has not shown their samples, in words and figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import Claim, uids_digest
from oddpair.splits.pairs.sample_sets import SampleSets
from oddpair.splits.pairs.set_counts import distinct_rows
from oddpair.splits.pairs.unseen_sets import Place, SampleTable, seen_places

# Kinds of claims: their figures name them, and whoever verifies finds them by it.
ROWS, SEVERAL, SUPPORT, NOWHERE, SOME_PAIR, EVERY_PAIR, SHOWN, NEAR, MATCHED = (
    "rows",
    "several",
    "support",
    "nowhere",
    "some pair nowhere",
    "every pair nowhere",
    "somewhere",
    "near",
    "matched",
)
_HOLDS = {"captions": "named in", "images": "tagged in"}
_NOWHERE = {
    "captions": "no caption of the corpus names all concepts of a sample",
    "images": "no image of the corpus is tagged with all concepts of a sample",
}
_TOGETHER = {"captions": "no caption", "images": "no image's tags"}
_SOMEWHERE = {"captions": "a caption", "images": "an image's tags"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Couples:
    """Unseen samples and their seen controls, by first uid, in the order of the unseen ones.

    Attributes:
        unseen: First uids of the unseen samples.
        seen: First uid of the control of each.
        largest: Largest difference of their log10 counts, in decades.
        caliper: How large it may be.
    """

    unseen: list[str]
    seen: list[str]
    largest: float
    caliper: float


def claim_rows(samples: SampleSets, scoring: str, *, whole: bool = False) -> Claim:
    """Claim that rows are of a test set, or all of it, and what they are scored against."""
    rows = len(samples.pool)
    against = f"ranked among all its {rows:,} rows" if scoring == "retrieval" else "classified"
    mine = "it holds all rows" if whole else "its rows are"
    return Claim(
        text=f"{mine} of the test set {samples.name}, to be {against}",
        values={"claim": ROWS, "rows": rows, "scoring": scoring, "whole": whole},
    )


def claim_several(n: int) -> Claim:
    """Claim that samples show something together at all."""
    return Claim(
        text=f"each of its {n:,} samples shows two things or more, not one by two names",
        values={"claim": SEVERAL, "samples": n},
    )


def claim_support(table: SampleTable, mask: NDArray[np.bool_], places: tuple[Place, ...]) -> list[Claim]:
    """Claim that the corpus has every concept often enough, in captions, in images or in both."""
    inside = mask[np.repeat(np.arange(len(mask)), np.diff(table.samples.sets.indptr))]
    claims = []
    for place in places:
        each = table.text if place == "captions" else table.image
        assert each is not None
        least = int(each[inside].min())
        claims.append(
            Claim(
                text=f"each concept is {_HOLDS[place]} {table.minimum:,} or more {place} of the corpus, rows of "
                f"one uid counted once (the rarest in {least:,})",
                values={"claim": SUPPORT, "in": [place], "minimum": table.minimum, "least": least},
            )
        )
    return claims


def claim_nowhere(
    table: SampleTable, mask: NDArray[np.bool_], places: tuple[Place, ...], rows: int
) -> list[Claim]:
    """Claim that the concepts of samples are nowhere together, among so many rows of the corpus."""
    sets = len(distinct_rows(table.samples.sets[mask])[0])
    return [
        Claim(
            text=f"{_NOWHERE[place]} (0 of {rows:,} rows, for any of {sets:,} different sets)",
            values={"claim": NOWHERE, "in": [place], "rows": rows, "sets": sets},
        )
        for place in places
    ]


def claim_pairs(places: tuple[Place, ...], *, every: bool, neighbours: int | None) -> Claim:
    """Claim that some pair, or every pair, of each sample's concepts is nowhere together."""
    where = " and in ".join(_TOGETHER[place] for place in places)
    near = (
        "" if neighbours is None else f", nor in what is known of the {neighbours} images nearest to its own"
    )
    pairs = "every pair of its concepts is" if every else "some pair of its concepts is"
    return Claim(
        text=f"of each sample {pairs} together in {where}{near}",
        values={
            "claim": EVERY_PAIR if every else SOME_PAIR,
            "in": list(places),
            "neighbours": neighbours,
        },
    )


def claim_shown(table: SampleTable) -> Claim:
    """Claim that the concepts of each sample are somewhere together."""
    places = seen_places(table.mode)
    where = " or in ".join(_SOMEWHERE[place] for place in places)
    return Claim(
        text=f"all concepts of each sample are together in {where} of the corpus",
        values={"claim": SHOWN, "in": list(places)},
    )


def claim_near(neighbours: int) -> Claim:
    """Claim that what is known of near images of the corpus does not show the samples' concepts together."""
    return Claim(
        text=f"of each sample known images of the corpus are among the {neighbours:,} nearest to its images, and none "
        "shows all of its concepts",
        values={"claim": NEAR, "neighbours": neighbours},
    )


def claim_matched(couples: Couples, *, control: str) -> Claim:
    """Claim that each sample has a control of its own; ``control`` says which are, ``seen`` or ``unseen``."""
    pairs = zip(couples.unseen, couples.seen, strict=True)
    listed = [[a, b] if control == "seen" else [b, a] for a, b in pairs]
    article = "a" if control == "seen" else "an"
    return Claim(
        text=f"each sample has {article} {control} sample of the test set of its own beside it, with as many concepts and "
        f"log10 counts at most {couples.caliper:g} apart ({len(listed):,} couples, at most {couples.largest:.4f})",
        values={
            "claim": MATCHED,
            "control": control,
            "caliper": couples.caliper,
            "largest": round(couples.largest, 6),
            "couples": sorted(listed),
        },
    )


def first_uids(table: SampleTable, rows: IntArray) -> list[str]:
    """Return what some samples are called."""
    listed: list[str] = table.samples.first_uids.take(rows).to_pylist()
    return listed


def hash_gallery(samples: SampleSets) -> str:
    """Return the sha256 of all uids of a test set."""
    return uids_digest(samples.pool.uids)
