"""The claims of a style-strict split, computed again from the inputs and the split's uids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Check
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Manifest
from oddpair.splits.styles.claims import CLEAN, STRICT, TEST, say
from oddpair.splits.styles.clean import clean_test
from oddpair.splits.styles.scorer import CODE, OTHER, PROBED
from oddpair.splits.styles.search import nearest_again
from oddpair.splits.styles.sorting import report
from oddpair.splits.styles.splits import SortedCorpus, sort_by_style
from oddpair.splits.styles.strict import nearness_threshold

if TYPE_CHECKING:
    from oddpair.splits.recipes.style_strict import StyleStrictRecipe

# Figures went through JSON, and sums of probabilities may have other last bits on another machine.
_ROUNDING = 1e-9

Finding = tuple[bool, str]


def verify_style(manifest: Manifest, recipe: StyleStrictRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute the claims of a split again.

    Labels, classifiers, thresholds and bounds are made anew, the split's rows are compared with the test pictures once
    more, and held-out rows are counted among the split's uids.

    Args:
        manifest: The split.
        recipe: How it was made.
        inputs: What from.
        work: Folder to work in.

    Returns:
        Each claim and whether it holds; a claim that should be there and is not does not hold.
    """
    found = sort_by_style(recipe, inputs, work)
    style, expected = _expect(manifest)
    checks = []
    for claim in manifest.statement:
        kind = claim.values.get("claim")
        if kind not in expected or claim.values.get("style") != style:
            holds, told = False, f"no split {manifest.name} of this recipe claims that"
        elif claim.text != _say(claim.values):
            holds, told = False, "the words do not say what the figures do"
        else:
            holds, told = _check(kind, claim.values, manifest, found, recipe, inputs)
        checks.append(Check(text=claim.text, holds=holds, found=told))
    there = [claim.values.get("claim") for claim in manifest.statement]
    missing = [kind for kind in expected if kind not in there]
    if missing or not expected:
        lacks = f"lacks {', '.join(missing)}" if missing else "is of no split that this recipe makes"
        checks.append(Check(text="the statement is whole", holds=False, found=f"it {lacks}"))
    return checks


def _expect(manifest: Manifest) -> tuple[str, tuple[str, ...]]:
    """Return the style of a split and the claims that it must make, by its name."""
    for style in PROBED:
        if manifest.name == f"{style}-strict":
            return style, STRICT
        if manifest.name == f"{style}-test":
            return style, TEST
    if manifest.name == f"clean-{manifest.of}" and manifest.statement:
        return str(manifest.statement[0].values.get("style")), CLEAN
    return "", ()


def _say(values: dict[str, Any]) -> str:
    try:
        return say(values)
    except (KeyError, TypeError, ValueError):
        return ""


def _check(
    kind: str,
    values: dict[str, Any],
    manifest: Manifest,
    found: SortedCorpus,
    recipe: StyleStrictRecipe,
    inputs: Inputs,
) -> Finding:
    style = str(values["style"])
    if kind == "clean":
        return _check_clean(manifest, found, recipe, inputs, style)
    if kind == "labelled":
        return _check_labelled(manifest, found, style)
    if kind == "precision":
        bound = found.sort.certificate(style).lower_bound
        return bound >= values["at_least"] - _ROUNDING, f"at least {bound:.4f}"
    places = found.pool.places(manifest.uids)
    rows = places[places >= 0]
    if kind == "sorted":
        wrong = int((found.codes[rows] != CODE[style]).sum())
        strange = len(places) - len(rows)
        return (
            not wrong + strange,
            f"{wrong:,} rows of another class, {strange:,} of the tests or not in the corpus",
        )
    if kind == "leak":
        return _check_leak(rows, found, values, style)
    return _check_nearness(rows, found, recipe, values, style)


def _check_leak(rows: IntArray, found: SortedCorpus, values: dict[str, Any], style: str) -> Finding:
    kept = np.zeros(len(found.pool), dtype=np.bool_)
    kept[rows] = True
    held = found.sort.report
    again = report(
        kept[held],
        found.labels.codes[held],
        style,
        confidence=found.sort.natural.confidence,
        shares=found.sort.shares,
    )
    same = (again.opposite, again.accepted) == (values["opposite"], values["accepted"])
    return (
        same and again.leak_bound <= values["at_most"] + _ROUNDING,
        f"at most {again.leak_bound:.4f}, {again.opposite:,} of {again.accepted:,} held-out rows",
    )


def _check_nearness(
    rows: IntArray, found: SortedCorpus, recipe: StyleStrictRecipe, values: dict[str, Any], style: str
) -> Finding:
    stored = found.stored
    tests = found.tests[OTHER[style]]
    limit = recipe.similarity
    if limit is None:
        reference = nearest_again(stored, found.pool.rows[found.reference_rows(style)], tests)
        limit = nearness_threshold(reference, recipe.quantile, style)
    limit = min(limit, values["threshold"])
    similarity = nearest_again(stored, found.pool.rows[rows], tests)
    nearer = int((similarity.astype(np.float64) > limit).sum())
    most = float(similarity.max(initial=-1))
    return not nearer, f"{nearer:,} rows are nearer than {limit:.4f}, the nearest at {most:.4f}"


def _check_labelled(manifest: Manifest, found: SortedCorpus, style: str) -> Finding:
    held = found.held.get(style)
    if held is None:
        return False, f"no {style} test is held out where test sets are given"
    strange = int((held.places(manifest.uids) < 0).sum())
    return not strange, f"{strange:,} pictures are no {style} rows that are held out"


def _check_clean(
    manifest: Manifest, found: SortedCorpus, recipe: StyleStrictRecipe, inputs: Inputs, style: str
) -> Finding:
    if manifest.of not in recipe.tests_of(style):
        return False, f"{manifest.of} is no {style} test set of the recipe"
    test = clean_test(found, inputs.tests[manifest.of], style, recipe.class_column)
    places = test.pool.places(manifest.uids)
    strange = int((places < 0).sum() + (~test.keep[places[places >= 0]]).sum())
    return not strange, f"{strange:,} pictures are not in it or are judged otherwise"
