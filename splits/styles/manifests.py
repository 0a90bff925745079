"""Manifests, tables and panels of style-strict splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.splits.built import Composition, Histogram, Listing, Panel
from oddpair.splits.manifest import CardRow, Manifest
from oddpair.splits.styles.claims import claim_clean, claim_strict, claim_test
from oddpair.splits.styles.clean import CleanTest
from oddpair.splits.styles.deployment import count_classes
from oddpair.splits.styles.rounding import round_down, round_up
from oddpair.splits.styles.scorer import CLASSES, OTHER, PROBED
from oddpair.splits.styles.search import Nearness
from oddpair.splits.styles.sorting import sort_card
from oddpair.splits.styles.splits import SortedCorpus, StyleSplits
from oddpair.splits.styles.strict import NOT_SEARCHED, Mask, StrictSplit

RECIPE = "style-strict"
_BINS = 50


def describe_strict(
    made: StyleSplits, provenance: Mapping[str, Any], *, quantile: float
) -> tuple[Manifest, ...]:
    """Return the manifests of the natural and of the rendition split, without the recipe's settings.

    Args:
        made: The splits.
        provenance: What from.
        quantile: Of the hand-labelled rows, where that set the similarity threshold.
    """
    found = made.sorted
    return tuple(
        Manifest(
            name=f"{split.style}-strict",
            recipe=RECIPE,
            uids=found.pool.keep(split.keep),
            provenance=dict(provenance),
            rules=_rules(found, split),
            statement=claim_strict(found, split, leak, quantile=quantile),
            card=_card(found, split, near),
        )
        for split, near, leak in zip(made.splits, made.near, made.leaks, strict=True)
    )


def describe_tests(found: SortedCorpus, provenance: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """Return the manifests of test pictures that were taken out of the labelled rows."""
    return tuple(
        Manifest(
            name=f"{style}-test",
            recipe=RECIPE,
            uids=pool.uids,
            provenance=dict(provenance),
            rules=(
                ("rows of the corpus", found.total),
                (f"labelled {style} rows held out as a test", len(pool)),
            ),
            statement=claim_test(style),
        )
        for style, pool in found.held.items()
    )


def describe_clean(
    found: SortedCorpus, cleaned: Mapping[str, CleanTest], provenance: Mapping[str, Any]
) -> tuple[Manifest, ...]:
    """Return the manifests of clean test sets that keep a picture."""
    return tuple(
        Manifest(
            name=f"clean-{name}",
            recipe=RECIPE,
            uids=test.pool.keep(test.keep),
            of=name,
            provenance=dict(provenance),
            rules=(
                (f"pictures of {name}", len(test.pool)),
                (f"accepted by the {test.style} classifier", int(test.accepted.sum())),
                (f"of these not accepted by the {OTHER[test.style]} classifier", int(test.keep.sum())),
            ),
            statement=claim_clean(name, test),
            card=_clean_card(found, test),
        )
        for name, test in sorted(cleaned.items())
        if test.keep.any()
    )


def show_splits(made: StyleSplits, cleaned: Mapping[str, CleanTest]) -> dict[str, Sequence[Panel]]:
    """Return what the page of the splits shows."""
    found = made.sorted
    panels: dict[str, Sequence[Panel]] = {"": _show_together(found, cleaned)}
    for split, near in zip(made.splits, made.near, strict=True):
        if near is not None:
            panels[f"{split.style}-strict"] = _show_nearness(split, near)
    return panels


def _show_together(found: SortedCorpus, cleaned: Mapping[str, CleanTest]) -> list[Panel]:
    labelled = found.labels.codes[found.labels.codes >= 0]
    rows = {"corpus, as sorted": count_classes(found.codes), "hand labels": count_classes(labelled)}
    styles = {name: dict(zip(CLASSES, counts.tolist(), strict=True)) for name, counts in rows.items()}
    panels: list[Panel] = [Composition(title="Styles", counts=styles)]
    if cleaned:
        panels.append(
            Listing(
                title="Clean test sets",
                columns=("test set", "style", "pictures", "clean", "classes", "classes left"),
                rows=[
                    (name, test.style, len(test.pool), int(test.keep.sum()), *_count_left(test))
                    for name, test in sorted(cleaned.items())
                ],
            )
        )
    return panels


def _count_left(test: CleanTest) -> tuple[int, int]:
    counts = test.count_classes()
    return len(counts), sum(after > 0 for _, after in counts.values())


def _show_nearness(split: StrictSplit, near: Nearness) -> list[Panel]:
    other = OTHER[split.style]
    groups = {"sorted": split.sorted_in, "kept": split.keep}
    low = float(np.floor(20 * near.similarity[split.sorted_in].min(initial=1.0)) / 20)
    edges = np.linspace(min(low, 0.95), 1.0, _BINS + 1)
    step = edges[1] - edges[0]
    bins = np.clip((near.similarity - edges[0]) / step, 0, _BINS - 1).astype(np.int64)
    histogram = Histogram(
        title=f"Similarity to the nearest {other} test picture",
        label="cosine similarity",
        edges=edges,
        counts={name: np.bincount(bins[mask], minlength=_BINS) for name, mask in groups.items()},
        marks={} if split.threshold is None else {"threshold": split.threshold},
    )
    there = np.bincount(near.styles, minlength=len(near.names))
    nearest = {
        name: np.bincount(near.styles[mask], minlength=len(near.names)) for name, mask in groups.items()
    }
    composition = Composition(
        title=f"Style of the nearest {other} test picture",
        counts={
            name: {style: int(counts[place]) for place, style in enumerate(near.names) if there[place]}
            for name, counts in nearest.items()
        },
    )
    return [histogram, composition]


def _rules(found: SortedCorpus, split: StrictSplit) -> tuple[tuple[str, int], ...]:
    return (
        ("rows of the corpus", found.total),
        ("rows that are no test picture", len(found.pool)),
        (f"rows that are {split.style} by hand label or classifier", int(split.sorted_in.sum())),
        (f"rows that are not too near to a {OTHER[split.style]} test picture", int(split.keep.sum())),
    )


def _card(found: SortedCorpus, split: StrictSplit, near: Nearness | None) -> tuple[CardRow, ...]:
    """Say what neither the rules nor the statement say."""
    style, certificate = split.style, found.sort.certificate(split.style)
    counts = count_classes(found.codes)
    mine = (f"{style} precision", f"{style} recall", f"other style among {style}")
    about = [row for row in sort_card(found.sort) if row[0].startswith(mine)]
    threshold = f"score >= {round_down(certificate.threshold)}, {len(certificate.steps)} thresholds tried"
    card: list[CardRow] = [
        (f"rows sorted {name}", f"{counts[CLASSES.index(name)]:,}") for name in sorted(CLASSES)
    ]
    card += [
        ("rows of any class that went by their hand label", f"{len(found.known):,}"),
        (f"{style} threshold", threshold),
        *about,
    ]
    if found.labels.strange:
        told = f"{found.labels.strange:,} of pictures that are no embedded row of the corpus"
        card.append(("hand labels that were left out", told))
    if near is None:
        card.append(("search against the test images", NOT_SEARCHED))
    else:
        card += [
            ("rows that left as too near a test image", f"{int(split.left.sum()):,}"),
            *_nearness(near, split),
        ]
    return tuple(card)


def _nearness(near: Nearness, split: StrictSplit) -> list[CardRow]:
    def tell(mask: Mask) -> str:
        before, after = (near.similarity[rows & mask] for rows in (split.sorted_in, split.keep))
        return f"{_spread(before)} before, {_spread(after)} after"

    told = tell(np.ones(len(near.styles), dtype=np.bool_))
    rows = [("nearest test image", told)]
    for place, name in enumerate(near.names):
        mask = near.styles == place
        if mask.any():
            rows.append((f"nearest test image, {name}", told if mask.all() else tell(mask)))
    return [(f"{label}: median, 99 %, max", words) for label, words in rows]


def _spread(near: NDArray[np.float32]) -> str:
    if not len(near):
        return "no row"
    middle, high = np.quantile(near.astype(np.float64), [0.5, 0.99])
    return f"{middle:.3f}, {high:.3f}, {round_up(float(near.max()), 3)}"


def _clean_card(found: SortedCorpus, test: CleanTest) -> tuple[CardRow, ...]:
    card: list[CardRow] = [
        (
            f"{name} threshold",
            f"score >= {round_down(found.sort.certificate(name).threshold)}, certified for the corpus",
        )
        for name in PROBED
    ]
    counts = test.count_classes()
    if counts:
        lost = [name for name, (_, after) in counts.items() if not after]
        card.append(("classes left", f"{len(counts) - len(lost):,} of {len(counts):,}"))
        if lost:
            card.append(("classes lost", ", ".join(lost)))
    return tuple(card)


def class_list(made: StyleSplits) -> pa.Table:
    """List every row with its class, whether somebody labelled it, and the splits that it is in, by uid."""
    found = made.sorted
    columns: dict[str, Any] = {
        "uid": found.pool.uids.cast(pa.string()),
        "class": pa.array(CLASSES).take(pa.array(found.sort.codes)),
        "labelled": pa.array(found.labels.codes >= 0),
    }
    for split in made.splits:
        columns[f"sorted_{split.style}"] = pa.array(split.sorted_in)
        columns[f"{split.style}_strict"] = pa.array(split.keep)
    return pa.table(columns)
