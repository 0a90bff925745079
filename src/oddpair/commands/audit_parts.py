"""The sections of an audit's page: every number comes from the audit, with its interval and its n."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from oddpair import html
from oddpair.commands.split_plots import draw_panel
from oddpair.eval.auditing.found import (
    Accuracy,
    Audit,
    Concepts,
    Distances,
    Duplicates,
    Nearness,
    Pairs,
    Share,
    Styles,
)
from oddpair.eval.auditing.verdict import tell_share
from oddpair.eval.intervals import Estimate
from oddpair.retrieval.neighbour_summary import SHARES
from oddpair.splits.built import Composition, Histogram

_BINS = 50
_QUANTILES = {0: "smallest", 0.5: "median", 1: "largest"}
_STATUS = ("seen together", "in pictures alone", "never together", "too rare to tell")
_SIDES = ("test", "corpus")
_PARTS = {"styles": "Styles", "concepts": "Concepts", "pairs": "Object pairs", "accuracy": "Accuracy"}


def show_parts(audit: Audit, commands: Mapping[str, str]) -> Iterator[html.Section]:
    """Make the sections of a page, one for each part that was audited and one for what was not.

    Args:
        audit: What was found, rounded.
        commands: What makes the split of each removal, by its name.
    """
    yield html.section("Copies", *_show_duplicates(audit.duplicates), anchor="copies")
    yield html.section("Similarity", *_show_nearness(audit.nearness), anchor="similarity")
    if audit.styles is not None:
        yield html.section("Style", *_show_styles(audit.styles), anchor="styles")
    if audit.concepts is not None:
        yield html.section("Concepts", *_show_concepts(audit.concepts), anchor="concepts")
    if audit.pairs is not None:
        yield html.section("Object pairs", *_show_pairs(audit.pairs), anchor="pairs")
    if audit.accuracy is not None:
        yield html.section("Accuracy foretold", *_show_accuracy(audit.accuracy), anchor="accuracy")
    if audit.removals:
        yield html.section("What would have to go", *_show_removals(audit, commands), anchor="removals")
    if audit.left_out:
        rows = [(_PARTS.get(part, part), why) for part, why in audit.left_out.items()]
        yield html.section(
            "Not audited", html.card("What is missing, and what to give", rows), anchor="left-out"
        )


def tell_estimate(found: Estimate, digits: int = 3) -> str:
    """Tell an estimate with its interval; an end that the data did not set is a dash."""
    ends = [f"{end:.{digits}f}" if np.isfinite(end) else "–" for end in (found.low, found.high)]
    return f"{found.value:.{digits}f} [{', '.join(ends)}]"


def _show_duplicates(found: Duplicates) -> Iterator[Markup]:
    shares = [("the same file", found.same_bytes), ("the same look", found.same_look)]
    if found.similarity is not None:
        shares.append((f"nearer than {found.similarity:g}", found.near))
    shares.append(("any of these", found.found))
    most = max(share.high for _, share in shares)
    yield html.bars(
        [_bar(name, share) for name, share in shares],
        caption="Test images with a copy in the corpus, each counted by the first kind that applies",
        limit=_limit(most),
    )
    rows: list[tuple[str, object]] = [
        ("corpus rows that are such copies", found.rows),
        ("pairs of near pictures that were compared", found.compared),
        ("bits of 64 in which hashes of the same look may differ", found.bits),
    ]
    if found.unseen:
        rows.append(("pairs of which no picture was at hand, so that no look was compared", found.unseen))
    yield html.card("How", rows)


def _show_nearness(found: Nearness) -> Iterator[Markup]:
    sides = {found.corpus.name: found.corpus}
    if found.gap is not None:
        name = found.gap.reference.name
        sides[f"{name} (reference)" if name in sides else name] = found.gap.reference
    yield draw_panel(_plot(sides))
    columns = ["test images", *(f"to {name}" for name in sides)]
    rows = [
        [
            _QUANTILES.get(share, f"{100 * share:g} % are at or below"),
            *(f"{side.quantiles[place]:.4f}" for side in sides.values()),
        ]
        for place, share in enumerate(SHARES)
    ]
    yield html.table(columns, rows, caption="Cosine similarity of each test image to the nearest picture")
    told: list[tuple[str, object]] = [
        (
            f"median, to {name} ({side.rows:,} rows)",
            f"{tell_estimate(side.median, 4)}, n = {side.median.n:,}",
        )
        for name, side in sides.items()
    ]
    if found.gap is not None:
        told += [
            (
                f"nearer to {found.corpus.name} than to {found.gap.reference.name}",
                tell_share(found.gap.nearer),
            ),
            (
                "median difference, image by image",
                f"{tell_estimate(found.gap.difference, 4)}, n = {found.gap.difference.n:,}",
            ),
            (
                f"rows of {found.corpus.name} nearer to a test image than all of {found.gap.reference.name}",
                found.gap.rows,
            ),
        ]
    yield html.card("In numbers", told)
    if found.gap is None:
        yield html.paragraph(
            "What is near by itself, no encoder's similarities tell: give a reference set that the test was made for, with "
            "--reference."
        )


def _plot(sides: Mapping[str, Distances]) -> Histogram:
    bins = {
        name: {round(lower * _BINS): count for lower, count in side.histogram} for name, side in sides.items()
    }
    places = [place for counts in bins.values() for place in counts]
    low, high = min(places), max(places)
    return Histogram(
        title="How near each test image has its nearest picture",
        label="cosine similarity",
        edges=np.arange(low, high + 2) / _BINS,
        counts={
            name: np.array([counts.get(place, 0) for place in range(low, high + 1)], dtype=np.int64)
            for name, counts in bins.items()
        },
    )


def _show_styles(found: Styles) -> Iterator[Markup]:
    yield html.paragraph(
        f"The test is of the style {found.style}, as told by {_TOLD[found.told_by]}. Of the corpus, {tell_share(found.corpus)} "
        f"labelled rows are of this style: at most {100 * found.at_most:.1f} % of all its rows, at 95 %."
    )
    for caption, shares in (("Classes", found.classes), ("Labels as people wrote them", found.finer)):
        rows = [
            _bar(share.style, side, group)
            for share in shares
            for group, side in zip(_SIDES, (share.test, share.corpus), strict=True)
            if side is not None
        ]
        if rows:
            yield html.bars(
                rows,
                caption=f"{caption}: share of test images, and of labelled rows of the corpus",
                groups=_SIDES,
            )
    if not found.sorted:
        yield html.paragraph(
            f"No classifier was certified, so that no row of the corpus is sorted: {found.unsorted}"
        )
        return
    told: list[tuple[str, object]] = [
        (f"corpus rows sorted as {name}", rows) for name, rows in found.sorted.items()
    ]
    for name, share in (("precision", found.precision), ("recall", found.recall)):
        if share is not None:
            told.append(
                (f"{name} for {found.style}, on labels that the classifier did not see", tell_share(share))
            )
    if found.leak_bound is not None:
        told.append(
            (
                f"{found.style} rows in the split that would be left",
                f"at most {100 * found.leak_bound:.1f} %, at 95 %",
            )
        )
    yield html.card("Sorted by classifiers", told)


_TOLD = {
    "option": "--style",
    "labels": "most of its own labels",
    "classifier": "the classifiers, for most of its images",
}


def _show_concepts(found: Concepts) -> Iterator[Markup]:
    names = {0: "in none"} | {
        decade.low: f"{decade.low:,}–{decade.high - 1:,}" if decade.high else f"{decade.low:,} and more"
        for decade in found.decades
        if decade.low
    }
    yield draw_panel(
        Composition(
            title=f"Captions of the corpus, of {found.captions:,}, that name a concept of the test",
            counts={
                "concepts": {names[each.low]: each.concepts for each in found.decades},
                "test images, by their rarest concept": {
                    names[each.low]: each.images for each in found.decades
                },
            },
        )
    )
    yield html.card(
        "In numbers",
        [
            ("concepts that no caption names", tell_share(found.missing)),
            (f"concepts in fewer than {found.tail_below:,} captions", tell_share(found.tail)),
            (
                "test images with a concept that no caption names, of those with any",
                tell_share(found.images_missing),
            ),
            ("test images whose rarest concept is of the tail", tell_share(found.images_tail)),
            ("test images in which no concept was found", found.unknown),
        ],
    )
    table = html.table(
        ["concept", "captions", "test images"], found.rarest, caption="The rarest concepts of the test"
    )
    yield html.fold(f"The {len(found.rarest):,} rarest concepts", table)


def _show_pairs(found: Pairs) -> Iterator[Markup]:
    groups = {
        "pairs": (found.seen, found.unseen_in_captions, found.unseen, found.unsupported),
        "samples": (
            found.samples_seen,
            found.samples_unseen_in_captions,
            found.samples_unseen,
            found.samples_unsupported,
        ),
    }
    yield html.bars(
        [_bar(name, groups[group][place], group) for place, name in enumerate(_STATUS) for group in groups],
        caption="Pairs of objects in the test, and test samples of two objects or more, by what the corpus shows",
        groups=tuple(groups),
    )
    yield html.paragraph(
        {
            "tags": "Pictures of the corpus were looked at by their tags.",
            "content": "Pictures of the corpus were looked at by its column of content.",
            "none": "Nothing is known of the corpus' pictures: what captions never name together may be shown all the same.",
        }[found.pictures]
        + f" An object in fewer than {found.minimum:,} rows is too rare: its pairs are unseen by chance."
    )
    if found.listed:
        table = html.table(
            [
                "first",
                "second",
                "captions of the first",
                "of the second",
                "expected together",
                "test samples",
            ],
            [[*row[:4], f"{row[4]:.1f}", row[5]] for row in found.listed],
            caption="Pairs never seen together, those most expected by chance first",
        )
        yield html.fold(f"{len(found.listed):,} of {found.unseen.part:,} unseen pairs", table)


def _show_accuracy(found: Accuracy) -> Iterator[Markup]:
    rows: list[tuple[str, object]] = [
        (f"foretold for {found.model}, by the counts of all rows", _percent(found.all, "%")),
    ]
    if found.without is not None:
        rows.append((f"without the {found.in_domain_rows:,} in-domain rows", _percent(found.without, "%")))
    if found.explained is not None:
        rows.append(("what these rows account for", _percent(found.explained, "points")))
    if found.known is not None:
        rows.append(("measured, and read by none of the above", _percent(found.known, "%")))
    yield html.card(f"Accuracy on the test, from {found.datasets:,} other test sets of the model", rows)
    which = {
        "style": "In-domain rows are those of the test's style.",
        "gap": "In-domain rows are those nearer to a test image than the reference set is.",
        "none": "Nothing says which rows are in-domain.",
    }[found.in_domain]
    yield html.paragraph(
        f"{which} The forecast holds if a caption counts the same in any style; where a corpus lacks the style of a test, "
        "counts alone foretell too much."
    )


def _show_removals(audit: Audit, commands: Mapping[str, str]) -> Iterator[Markup]:
    for removal in audit.removals:
        rows: list[tuple[str, object]] = [("rows of the corpus", removal.rows), *removal.why]
        rows += [("rows that would have to go", removal.gone), ("rows left", removal.left)]
        rows.append(("the split of these", Markup("<code>{}</code>").format(commands[removal.name])))
        yield html.card(_AIMS[removal.name], rows)


_AIMS = {
    "style-strict": "For no row to be of the test's style, nor too near a test image",
    "gap-pruned": "For the corpus to be no nearer to the test than the reference set is",
    "pair-unseen": "For every combination of objects in the test to be new",
}


def _bar(name: str, share: Share, group: str = "") -> html.Bar:
    return html.Bar(label=name, value=share.value, low=share.low, high=share.high, n=share.n, group=group)


def _limit(most: float) -> float:
    """Return a round end of a scale of shares, a little beyond the largest."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    return next((high for low, high in pairwise((0.0, *steps)) if low < most <= high), 1.0)


def _percent(found: Estimate, unit: str) -> str:
    return f"{100 * found.value:.1f} {unit} [{100 * found.low:.1f}, {100 * found.high:.1f}], n = {found.n:,}"
