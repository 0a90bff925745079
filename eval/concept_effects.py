"""Effects of single concepts, taken out so that what belongs to the pair is left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.intervals import Estimate, normal_interval
from oddpair.eval.logistic import Fit

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uninformative:
    """Concepts left out of a fit because all their rows are hits, or all are misses."""

    targets: tuple[str, ...]
    partners: tuple[str, ...]
    n_rows: int


def check_one_world(rows: ConceptRows) -> None:
    """Refuse rows of several worlds, whose concepts differ in difficulty.

    Raises:
        ValueError: If there is more than one group.
    """
    worlds = np.unique(rows.group)
    if len(worlds) > 1:
        raise ValueError(f"rows are of {len(worlds)} worlds; fit each by itself and pool the effects")


def find_informative(rows: ConceptRows) -> tuple[BoolArray, Uninformative]:
    """Rows whose target and partner both have hits and misses, and the concepts left out.

    Raises:
        ValueError: If no row is left.
    """
    kept = np.ones(len(rows), dtype=np.bool_)
    gone: dict[str, list[str]] = {"target": [], "partner": []}
    found = True
    # Leaving out a target can leave a partner with hits only, so look again until nothing changes.
    while found:
        found = False
        for role, names in (("target", rows.target), ("partner", rows.partner)):
            levels, codes = np.unique(names, return_inverse=True)
            hits = np.bincount(codes, weights=rows.successes * kept)
            asked = np.bincount(codes, weights=rows.trials * kept)
            flat = (asked > 0) & ((hits == 0) | (hits == asked))
            if flat.any():
                gone[role] += levels[flat].tolist()
                kept &= ~flat[codes]
                found = True
    if not kept.any():
        raise ValueError("every target or partner has only hits or only misses, nothing is left to compare")
    return kept, Uninformative(
        targets=tuple(sorted(gone["target"])),
        partners=tuple(sorted(gone["partner"])),
        n_rows=int((~kept).sum()),
    )


def make_concept_dummies(rows: ConceptRows) -> FloatArray:
    """A column for each target and for each partner but one, which is the reference."""
    target, partner = np.unique(rows.target), np.unique(rows.partner)
    return np.column_stack([rows.target[:, None] == target, rows.partner[:, None] == partner[1:]]).astype(
        np.float64
    )


def check_identified(column: FloatArray, controls: FloatArray) -> None:
    """Refuse a column that the controls fix, whose effect the data cannot show.

    Raises:
        ValueError: If nothing of the column is left beside the controls.
    """
    if np.abs(residuals_of(column, controls)).max() < 1e-8:
        raise ValueError("target and partner together fix the effect asked for; no rows tell them apart")


def residuals_of(values: FloatArray, controls: FloatArray) -> FloatArray:
    """What least squares on the controls leaves of the values, shape ``(n,)``."""
    residuals: FloatArray = values - controls @ np.linalg.lstsq(controls, values)[0]
    return residuals


def first_coefficient(fitted: Fit, what: str) -> Estimate:
    """The first coefficient with its 95 % interval; its support is the number of clusters."""
    return normal_interval(
        fitted.coefficients[0], float(fitted.standard_errors[0]), n=len(fitted.influence), what=what
    )
