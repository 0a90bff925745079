"""Splits of a test set by what a corpus has shown: full-set-unseen, pairwise-unseen, text-unseen and seen controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Composition, Histogram, Listing, Panel
from oddpair.splits.manifest import CardRow, Claim, Manifest
from oddpair.splits.pairs import unseen_claims as claims
from oddpair.splits.pairs.seen_controls import Frequencies, match_seen, measure_frequencies
from oddpair.splits.pairs.unseen_pairs import TEXT_UNSEEN
from oddpair.splits.pairs.unseen_sets import (
    STATUSES,
    BoolArray,
    Place,
    SampleTable,
    seen_places,
    silent_places,
)

CURVE = (1, 10, 100)
_SHOWN = 200
_BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the splits of a test set have in common.

    Attributes:
        recipe: Kind of the recipe.
        prefix: What the names of the splits begin with; empty where there is one test set.
        provenance: What everything was made from.
        scoring: ``retrieval`` or ``classification``.
        rows: Rows of the corpus.
        neighbours: Near images that were looked at, for each test image.
        caliper: How far log10 counts of a control may be apart, in decades.
    """

    recipe: str
    prefix: str
    provenance: dict[str, Any]
    scoring: str
    rows: int
    neighbours: int
    caliper: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """The splits of one test set, the partner of each sample (-1 for none), and what the page shows."""

    splits: tuple[Manifest, ...]
    partner: IntArray
    panels: dict[str, list[Panel]]


def make_splits(table: SampleTable, terms: Terms) -> Made:
    """Make the splits of a test set; one that would keep no row is left out.

    Args:
        table: Its samples.
        terms: What the splits have in common.

    Returns:
        ``gallery`` with all rows; ``full-set-unseen``; ``pairwise-unseen`` and ``all-pairs-unseen``, of whose concepts
        some pair, or every pair, was never found together; ``text-unseen``, in no caption but in an image; where
        images are tagged ``unseen-in-captions``, ``unseen-in-images`` and ``unseen-in-both`` by counts alone; and
        ``unseen-matched`` with its controls ``seen-matched``.
    """
    tagged = table.together.image is not None
    silent = silent_places(table.mode, tagged=tagged)
    usable = table.several & table.supported
    pairwise, every = usable & (table.unseen_pairs > 0), usable & (table.unseen_pairs == table.pairs)
    near = terms.neighbours if table.searched else None
    found = [
        _gallery(table, terms),
        _split(
            table,
            terms,
            "full-set-unseen",
            table.unseen,
            [*claims.claim_nowhere(table, table.unseen, silent, terms.rows), *_near(table, terms)],
            steps=_count_steps(table, silent),
            card=_curve(table),
        ),
        _split(
            table,
            terms,
            "pairwise-unseen",
            pairwise,
            [claims.claim_pairs(silent, every=False, neighbours=near)],
        ),
        _split(
            table, terms, "all-pairs-unseen", every, [claims.claim_pairs(silent, every=True, neighbours=near)]
        ),
        _text_unseen(table, terms),
    ]
    if tagged:
        found += [
            _stated_apart(table, terms, "unseen-in-captions", ("captions",)),
            _stated_apart(table, terms, "unseen-in-images", ("images",)),
            _stated_apart(table, terms, "unseen-in-both", ("captions", "images")),
        ]
    partner, matched, panels = _match(table, terms, silent)
    splits = tuple(split for split in (*found, *matched) if split is not None)
    panels.setdefault(splits[0].name, []).extend(_describe(table))
    return Made(splits=splits, partner=partner, panels=panels)


def _gallery(table: SampleTable, terms: Terms) -> Manifest:
    everything = np.ones(len(table.samples), np.bool_)
    rows = len(table.samples.pool)
    return Manifest(
        name=f"{terms.prefix}gallery",
        recipe=terms.recipe,
        of=table.samples.name,
        uids=table.samples.keep(everything),
        provenance=terms.provenance,
        rules=(("rows of the test set", rows), ("kept", rows)),
        statement=(claims.claim_rows(table.samples, terms.scoring, whole=True),),
        card=(
            ("samples: rows of one image are one", len(table.samples)),
            *((f"samples {status}", int(np.sum(table.status == status))) for status in STATUSES),
            ("names of content that are of no concept", table.samples.unknown),
        ),
    )


def _split(
    table: SampleTable,
    terms: Terms,
    name: str,
    mask: BoolArray,
    particular: Sequence[Claim],
    *,
    support: tuple[Place, ...] | None = None,
    steps: Sequence[tuple[str, int]] = (),
    card: Sequence[CardRow] = (),
) -> Manifest | None:
    if not mask.any():
        return None
    samples = table.samples
    rules = [
        ("rows of the test set", len(samples.pool)),
        ("that show two things or more", samples.count_rows(table.several)),
    ]
    if support is None:
        usable = samples.count_rows(table.several & table.supported)
        rules.append((f"each in {table.minimum:,} rows of the corpus or more", usable))
    return Manifest(
        name=f"{terms.prefix}{name}",
        recipe=terms.recipe,
        of=samples.name,
        uids=samples.keep(mask),
        provenance=terms.provenance,
        rules=(*rules, *steps, ("kept", samples.count_rows(mask))),
        statement=(
            claims.claim_rows(samples, terms.scoring),
            claims.claim_several(int(mask.sum())),
            *claims.claim_support(table, mask, support or seen_places(table.mode)),
            *particular,
        ),
        card=(("samples", int(mask.sum())), ("concepts are looked for in", table.mode), *card),
    )


def _count_steps(table: SampleTable, places: tuple[Place, ...]) -> list[tuple[str, int]]:
    """Count the rows that are left after each place was looked at."""
    left, steps = table.several & table.supported, []
    for place in places:
        left = left & (table.counts_in(place) == 0)
        steps.append((f"together in none of the {place}", table.samples.count_rows(left)))
    return steps


def _near(table: SampleTable, terms: Terms) -> list[Claim]:
    return [claims.claim_near(terms.neighbours)] if table.searched else []


def _text_unseen(table: SampleTable, terms: Terms) -> Manifest | None:
    mask = table.status == TEXT_UNSEEN
    shown = 0 if table.together.image is None else int(np.sum(mask & (table.together.image > 0)))
    return _split(
        table,
        terms,
        "text-unseen",
        mask,
        claims.claim_nowhere(table, mask, ("captions",), terms.rows) if mask.any() else [],
        card=(
            ("samples that an image of the corpus shows by its tags", shown),
            ("samples that only a near image shows", int(mask.sum()) - shown),
        ),
    )


def _stated_apart(table: SampleTable, terms: Terms, name: str, places: tuple[Place, ...]) -> Manifest | None:
    mask = table.unseen_in(places)
    if not mask.any():
        return None
    nowhere = claims.claim_nowhere(table, mask, places, terms.rows)
    return _split(table, terms, name, mask, nowhere, support=places)


def _match(
    table: SampleTable, terms: Terms, silent: tuple[Place, ...]
) -> tuple[IntArray, list[Manifest | None], dict[str, list[Panel]]]:
    unseen, seen = np.flatnonzero(table.unseen), np.flatnonzero(table.counted_seen)
    partner = np.full(len(table.samples), -1)
    if not len(unseen) or not len(seen):
        return partner, [], {}
    ends = table.samples.sets.indptr
    ours, theirs = (measure_frequencies(ends, table.single, rows) for rows in (unseen, seen))
    left, right, gap = match_seen(ours, theirs, caliper=terms.caliper)
    partner[unseen[left]], partner[seen[right]] = seen[right], unseen[left]
    splits: list[Manifest | None] = []
    if len(left):
        couples = claims.Couples(
            unseen=claims.first_uids(table, unseen[left]),
            seen=claims.first_uids(table, seen[right]),
            largest=float(gap.max()),
            caliper=terms.caliper,
        )
        splits = _make_matched(table, terms, silent, partner, couples, ours.take(left), theirs.take(right))
    alone = np.setdiff1d(np.arange(len(unseen)), left)
    panels: list[Panel] = [
        _frequency_plot(
            {
                "unseen": ours.log_counts,
                "unseen-matched": ours.log_counts[left],
                "seen": theirs.log_counts,
                "seen-matched": theirs.log_counts[right],
            }
        ),
        Listing(
            title=f"{len(alone):,} unseen samples without a seen one as frequent, first {_SHOWN}",
            columns=["sample", "status"],
            rows=[[uid, "unmatched"] for uid in claims.first_uids(table, unseen[alone[:_SHOWN]])],
        ),
    ]
    shown = f"{terms.prefix}{'unseen-matched' if len(left) else 'gallery'}"
    return partner, splits, {shown: panels}


def _make_matched(
    table: SampleTable,
    terms: Terms,
    silent: tuple[Place, ...],
    partner: IntArray,
    couples: claims.Couples,
    ours: Frequencies,
    theirs: Frequencies,
) -> list[Manifest | None]:
    unseen, seen = table.unseen & (partner >= 0), table.counted_seen & (partner >= 0)
    card: list[CardRow] = [
        ("unseen samples with a control of their own", len(couples.unseen)),
        ("unseen samples without one", int(table.unseen.sum()) - len(couples.unseen)),
        ("largest difference of a log10 count, decades", f"{couples.largest:.4f}"),
        ("mean log10 count of the unseen", f"{ours.log_counts.mean():.4f}"),
        ("mean log10 count of their controls", f"{theirs.log_counts.mean():.4f}"),
    ]
    nowhere = claims.claim_nowhere(table, unseen, silent, terms.rows)
    of_unseen = [*nowhere, *_near(table, terms), claims.claim_matched(couples, control="seen")]
    of_seen = [claims.claim_shown(table), claims.claim_matched(couples, control="unseen")]
    return [
        _split(table, terms, "unseen-matched", unseen, of_unseen, card=card),
        _split(table, terms, "seen-matched", seen, of_seen, card=card),
    ]


def _frequency_plot(groups: dict[str, np.ndarray[Any, np.dtype[np.float64]]]) -> Histogram:
    means = {name: logs.mean(axis=1) for name, logs in groups.items()}
    together = np.concatenate(list(means.values()))
    edges = np.linspace(0, max(1.0, float(np.ceil(together.max()))), _BINS + 1)
    return Histogram(
        title="How frequent the concepts of samples are, before and after matching",
        label="mean log10 count of the concepts",
        edges=edges,
        counts={name: np.histogram(values, edges)[0].astype(np.int64) for name, values in means.items()},
    )


def _curve(table: SampleTable) -> list[CardRow]:
    minima = sorted({*CURVE, table.minimum})
    return [
        (f"samples that are left if each concept must be in {minimum:,} rows", table.left_at(minimum))
        for minimum in minima
    ]


def _describe(table: SampleTable) -> list[Panel]:
    counts = {status: int(np.sum(table.status == status)) for status in STATUSES}
    places = [("captions", table.unseen_in(("captions",)))]
    if table.image is not None:
        places += [
            ("images", table.unseen_in(("images",))),
            ("both", table.unseen_in(("captions", "images"))),
        ]
    minima = [[minimum, table.left_at(minimum)] for minimum in sorted({*CURVE, table.minimum})]
    return [
        Composition(title="Samples by what the corpus has shown of them", counts={"samples": counts}),
        Listing(
            title="Samples whose concepts are together nowhere in captions, in images, in both",
            columns=["nowhere in", "samples"],
            rows=[[place, int(mask.sum())] for place, mask in places],
        ),
        Listing(
            title="Unseen samples by how often each concept must occur",
            columns=["rows of the corpus at least", "samples"],
            rows=minima,
        ),
    ]
