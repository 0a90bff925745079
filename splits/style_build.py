"""From an embedded corpus and hand labels to the style-strict splits of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.search import nearest
from oddpair.splits.manifest import Manifest
from oddpair.splits.recipes import StyleStrictRecipe
from oddpair.splits.style import AMBIGUOUS, NATURAL, PROBED, RENDITION, StyleSort, sort_corpus
from oddpair.splits.style_strict import StrictSplit, style_strict

OTHER = {NATURAL: RENDITION, RENDITION: NATURAL}
_HOLD_STREAM, _LABEL_STREAM, _SORT_STREAM = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPictures:
    """Test pictures of one class of styles: ids, unit rows of shape ``(n, d)``, and their styles."""

    __test__ = False  # pytest would take the class for a test

    uids: tuple[str, ...]
    image: NDArray[np.float32]
    styles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSplits:
    """What a style-strict recipe made.

    Attributes:
        manifests: ``natural-strict`` and ``rendition-strict``; with a held-out test also ``natural-test``
            and ``rendition-test``.
        sort: How the corpus rows that are no test were sorted.
        splits: The two strict splits over the same rows.
        rows: Positions of these rows in the embeddings, shape ``(m,)``.
    """

    manifests: tuple[Manifest, ...]
    sort: StyleSort
    splits: tuple[StrictSplit, StrictSplit]
    rows: NDArray[np.int64]


def build_style_splits(
    embeddings: Embeddings,
    styles: Sequence[str | None],
    recipe: StyleStrictRecipe,
    *,
    tests: Mapping[str, TestPictures] | None,
    provenance: Mapping[str, Any],
    search: bool = True,
) -> StyleSplits:
    """Sort a corpus by style, and keep of each style the rows that no test picture of the other is near to.

    Rows whose label was used to fit or to set a threshold go by their label: what a person saw outranks the
    classifier.

    Args:
        embeddings: The corpus.
        styles: Hand label of each row, empty or ``None`` where there is none.
        recipe: The recipe.
        tests: Test pictures by class (``natural``, ``rendition``); ``None`` takes them out of the labelled
            rows.
        provenance: Hashes of the inputs, for the manifests.
        search: Whether test pictures decide membership. Without it no split is style-strict, and says so.

    Returns:
        The splits and how they came about.

    Raises:
        Refusal: If there are too few labels, or no threshold can be certified.
    """
    classes_by_label = label_classes(styles, recipe)
    rows = np.arange(len(embeddings.uids))
    tests_held: list[Manifest] = []
    origin = {**provenance, "encoder": embeddings.encoder, "seed": recipe.seed}
    if tests is None:
        tests, rows, tests_held = _hold_out(embeddings, styles, classes_by_label, recipe, origin)
    uids = [embeddings.uids[row] for row in rows]
    labels = _draw_labels(uids, [classes_by_label[row] for row in rows], recipe)
    features = np.hstack([embeddings.image[rows], embeddings.texture[rows]])
    sort = sort_corpus(
        features,
        uids,
        labels,
        np.random.default_rng((recipe.seed, _SORT_STREAM)),
        precision=recipe.precision,
        confidence=recipe.confidence,
    )
    classes = sort.classes.astype(np.dtype("<U9"))
    seen = np.concatenate([sort.fit, sort.threshold])
    classes[seen] = [labels[uids[row]] for row in seen]
    found = []
    for column, style in enumerate(PROBED):
        other = tests[OTHER[style]]
        near = nearest(embeddings.image[rows], other.image, 1, uids=other.uids) if search else None
        reference = seen[classes[seen] == style]
        found.append(
            style_strict(
                classes,
                None if near is None else near.scores[:, 0],
                [] if near is None else near.scores[reference, 0],
                style=style,
                quantile=recipe.quantile,
                nearest_test_style=None
                if near is None
                else [other.styles[test] for test in near.rows[:, 0].tolist()],
                leak_bound=sort.held_out[column].leak_bound,
            )
        )
    strict = []
    for style, split in zip(PROBED, found, strict=True):
        certificate = sort.natural if style == NATURAL else sort.rendition
        strict.append(
            Manifest(
                name=f"{style}-strict",
                recipe="style-strict",
                uids=tuple(sorted(uids[row] for row in np.flatnonzero(split.keep))),
                parameters={
                    "style": style,
                    "precision": recipe.precision,
                    "confidence": recipe.confidence,
                    "quantile": recipe.quantile,
                    "score_threshold": certificate.threshold,
                    "similarity_threshold": split.threshold,
                },
                provenance={
                    **origin,
                    "labelled": len(labels),
                    "test_pictures": len(tests[OTHER[style]].uids),
                },
                card=_make_card(style, sort.card, split.card, by_hand=len(seen)),
            )
        )
    return StyleSplits(manifests=(*strict, *tests_held), sort=sort, splits=(found[0], found[1]), rows=rows)


def label_classes(styles: Sequence[str | None], recipe: StyleStrictRecipe) -> list[str]:
    """Translate hand labels into natural, rendition and ambiguous; ``""`` where there is no label.

    >>> label_classes(["photo", "sketch", None, "ambiguous"], StyleStrictRecipe())
    ['natural', 'rendition', '', 'ambiguous']
    """
    known = dict.fromkeys(recipe.natural, NATURAL) | dict.fromkeys(recipe.ambiguous, AMBIGUOUS)
    return [known.get(style, RENDITION) if style else "" for style in styles]


def _hold_out(
    embeddings: Embeddings,
    styles: Sequence[str | None],
    classes: Sequence[str],
    recipe: StyleStrictRecipe,
    provenance: Mapping[str, Any],
) -> tuple[dict[str, TestPictures], NDArray[np.int64], list[Manifest]]:
    rng = np.random.default_rng((recipe.seed, _HOLD_STREAM))
    by_uid = sorted(range(len(classes)), key=embeddings.uids.__getitem__)
    tests, manifests, taken = {}, [], []
    for style in PROBED:
        of_style = [row for row in by_uid if classes[row] == style]
        size = round(recipe.held_out * len(of_style))
        if size < 1:
            raise Refusal(
                f"{len(of_style)} rows are labelled {style}, too few to hold out {recipe.held_out:.0%} as a "
                f"test: label more, or check the column '{recipe.style_column}' and which labels are natural"
            )
        rows = sorted(rng.permutation(of_style)[:size].tolist())
        taken.extend(rows)
        tests[style] = TestPictures(
            uids=tuple(embeddings.uids[row] for row in rows),
            image=embeddings.image[rows],
            styles=tuple(str(styles[row]) for row in rows),
        )
        manifests.append(
            Manifest(
                name=f"{style}-test",
                recipe="style-strict",
                uids=tuple(sorted(tests[style].uids)),
                parameters={"style": style, "held_out": recipe.held_out},
                provenance=dict(provenance),
                card=((f"labelled {style} rows held out as a test", f"{size:,} of {len(of_style):,}"),),
            )
        )
    return tests, np.setdiff1d(np.arange(len(classes)), taken), manifests


def _draw_labels(uids: Sequence[str], classes: Sequence[str], recipe: StyleStrictRecipe) -> dict[str, str]:
    labelled = sorted((uid, name) for uid, name in zip(uids, classes, strict=True) if name)
    if not labelled:
        raise Refusal(f"no row has a label in the column '{recipe.style_column}': label some rows by hand")
    if recipe.labelled is None or recipe.labelled >= len(labelled):
        return dict(labelled)
    order = np.random.default_rng((recipe.seed, _LABEL_STREAM)).permutation(len(labelled))
    return dict(labelled[place] for place in sorted(order[: recipe.labelled].tolist()))


def _make_card(
    style: str, sort_card: Sequence[tuple[str, str]], split_card: Sequence[tuple[str, str]], *, by_hand: int
) -> tuple[tuple[str, str], ...]:
    """Join what is known of the sort, for one style, with what became of its rows."""
    other = OTHER[style]
    left_out = (f"{other} threshold", f"{other} precision", f"{other} recall", f"other style among {other}")
    # The strict split counts hand labels where they outrank the classifier; the sort does not.
    counted = [row for row in split_card if row[0].startswith("rows sorted")]
    about = [row for row in sort_card if not row[0].startswith(("rows sorted", *left_out))]
    rest = [row for row in split_card if not row[0].startswith(("rows sorted", "other style among"))]
    return (*counted, ("rows of any class that went by their hand label", f"{by_hand:,}"), *about, *rest)
