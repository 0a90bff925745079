"""A corpus split for a test set of one style, by the style-strict recipe and the search that the audit has made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.found import Style
from oddpair.eval.auditing.removals import RemovalFound, make_removal
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.recipe_file import as_parameters
from oddpair.splits.recipes.style_strict import StyleStrictRecipe
from oddpair.splits.styles.deployment import count_classes
from oddpair.splits.styles.features import open_features, open_textures
from oddpair.splits.styles.scorer import AMBIGUOUS, CLASSES, CODE, OTHER, Codes
from oddpair.splits.styles.sorting import HeldOut, sort_scores
from oddpair.splits.styles.splits import SortedCorpus, find_leak, sort_by_style
from oddpair.splits.styles.strict import Mask, StrictSplit, keep_strict, nearness_threshold

NAME = "style-strict"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StyleSplit:
    """A corpus sorted by style, and the rows that a strict split keeps.

    Attributes:
        sorted: Rows of each class, by label where it was used, else by the classifiers; no image of the test itself.
        tests: Class of each test image as the classifiers see it, by uid, shape ``(t,)``; ``None`` where they look at
            textures, and those of the test were not measured.
        held_out: How the classifier of the test's style fares on labels that it did not see.
        leak_bound: Of what is kept at most this share is of the test's style, 95 %.
        threshold: Rows nearer to a test image than this leave.
        removal: What leaves.
        in_domain: Uids of the rows of the test's style, sorted; images of the test itself among them.
        confused: Places in the search's pool of rows whose label was used for nothing else and disagrees, ascending.
        confused_as: What the classifiers took them for, shape of ``confused``.
    """

    sorted: Mapping[str, int]
    tests: Codes | None
    held_out: HeldOut
    leak_bound: float
    threshold: float
    removal: RemovalFound
    in_domain: pa.Array
    confused: IntArray
    confused_as: Codes


def split_style(material: Material, recipe: StyleStrictRecipe, style: Style, tests: IntArray) -> StyleSplit:
    """Sort a corpus, and keep the rows of the other style that no test image is too near to.

    Args:
        material: With the finished search, which is used instead of another one.
        recipe: With this test set as one of the style.
        style: Of the test set.
        tests: Rows of the test images, by uid, each uid once, shape ``(t,)``.

    Returns:
        What ``oddpair split style-strict`` makes with the same settings.

    Raises:
        Refusal: If there are too few labels, or no threshold can be certified.
    """
    found = sort_by_style(recipe, material.inputs, material.work / f"{NAME}-{style}")
    kept_style, pool = OTHER[style], material.searched.corpus.pool
    places = pool.places(found.pool.uids)
    near = material.searched.near[material.name].score[places]
    reference = found.reference_rows(kept_style)
    threshold = nearness_threshold(near[reference], recipe.quantile, kept_style)
    strict = keep_strict(
        found.codes == CODE[kept_style], near, threshold, style=kept_style, reference=len(reference)
    )
    held = np.zeros(len(pool), dtype=np.bool_)
    held[pool.places(found.held[kept_style].uids)] = True
    counts = count_classes(found.codes)
    counts[CODE[kept_style]] += held.sum()
    report = found.sort.report
    wrong = report[found.labels.codes[report] != found.sort.codes[report]]

    def spread(mask: Mask) -> Mask:
        whole = np.zeros(len(pool), dtype=np.bool_)
        whole[places[mask]] = True
        return whole

    own, of_style = ~held, spread(found.codes == CODE[style])
    own[places] = False
    reasons = {
        "a test image itself": own,
        f"of the test's style, {style}": of_style,
        "of no certain style": spread(found.codes == CODE[AMBIGUOUS]),
        f"nearer to a test image than {threshold:.4f}": spread(strict.left),
        "held out as a test of the other style": held,
    }
    return StyleSplit(
        sorted={name: int(counts[place]) for place, name in enumerate(CLASSES)},
        tests=_sort_tests(material, found, tests),
        held_out=next(part for part in found.sort.held_out if part.style == style),
        leak_bound=find_leak(found, strict.keep, kept_style).leak_bound,
        threshold=threshold,
        removal=_list_removal(material, recipe, strict, reasons),
        in_domain=pool.keep(of_style | own).cast(pa.string()),
        confused=places[wrong],
        confused_as=found.sort.codes[wrong],
    )


def _sort_tests(material: Material, found: SortedCorpus, rows: IntArray) -> Codes | None:
    """Sort the test images as the corpus was sorted, which needs no test image, if they have all that this looks at."""
    stored, sort = material.test.need_stored(), found.sort
    textured = found.features.texture is not None
    if textured and open_textures(stored) is None:
        return None
    features = open_features(stored, material.test.corpus, textured=textured)
    return sort_scores(sort.scorer.score(features)[rows], sort.natural.threshold, sort.rendition.threshold)


def _list_removal(
    material: Material,
    recipe: StyleStrictRecipe,
    strict: StrictSplit,
    reasons: Mapping[str, NDArray[np.bool_]],
) -> RemovalFound:
    removal, rows = make_removal(NAME, f"{strict.style}-strict", NAME, material.searched.corpus.pool, reasons)
    settings, usual = as_parameters(recipe), as_parameters(StyleStrictRecipe())
    return RemovalFound(
        removal=removal,
        rows=rows,
        recipe={key: value for key, value in settings.items() if value != usual[key]},
        inputs=("tests", "labels", "embeddings"),
    )
