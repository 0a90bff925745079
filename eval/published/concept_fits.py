"""The published fits of accuracy on log count over concepts, made again, with intervals that they lack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from oddpair.errors import Refusal
from oddpair.eval.intervals import Estimate, FloatArray
from oddpair.eval.prediction.table_cells import read_cells
from oddpair.eval.published.agreement import Agreement, compare_column
from oddpair.eval.published.concept_line import fit_concept_line
from oddpair.eval.published.layout import (
    CLASSIFICATION,
    FITS,
    RETRIEVAL,
    RETRIEVAL_FITS,
    ZERO_SHOT,
    Concepts,
    Names,
    Published,
    join,
)

# Published to five decimals, from scores of four or five.
TOLERANCE = 1e-5
_CLASSIFICATION_COLUMNS = {
    "n": "n",
    "n_zero": "n_zero",
    "n_pos": "n_positive",
    "slope_per_decade": "slope",
    "intercept": "intercept",
    "r_pos": "r",
    "r2_pos": "r2",
    "se_slope": "slope_error",
    "spearman_all": "spearman",
    "slope_log10p1": "slope_with_zero",
    "intercept_log10p1": "intercept_with_zero",
    "r_log10p1": "r_with_zero",
    "r_within_downstream": "r_within",
    "slope_within_downstream": "slope_within",
    "leave_one_downstream_out_r2": "left_out_r2",
    "mean_acc_zero": "mean_zero",
    "mean_acc_pos": "mean_positive",
}
_RETRIEVAL_COLUMNS = {
    "n": "n",
    "n_zero": "n_zero",
    "slope_per_decade": "slope",
    "intercept": "intercept",
    "r_pos": "r",
    "spearman_all": "spearman",
    "r_within_downstream": "r_within",
    "mean_recall_zero": "mean_zero",
    "mean_recall_pos": "mean_positive",
}
_COUNTS = {"n", "n_zero", "n_pos"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptFit:
    """Score against log10 of the count, over concepts and in the unit of the scores.

    Attributes:
        n: Concepts.
        n_zero: Those that the corpus never holds.
        n_positive: Those that it holds, on which the line is fitted.
        slope: Of the line, per decade.
        intercept: Where the count is 1.
        r: Pearson's r over the same concepts.
        r2: Its square.
        slope_error: Standard error of the slope by least squares, which takes concepts as independent.
        spearman: Rank correlation over all concepts, those of count 0 included.
        slope_with_zero: Slope on log10(1 + count) over all concepts.
        intercept_with_zero: Its intercept.
        r_with_zero: Its r.
        r_within: r of deviations from the means of the test sets, count above 0.
        slope_within: Slope of the same.
        left_out_r2: R2 about the mean of all, each test set predicted from the line of the others, count above 0.
        mean_zero: Mean score of concepts with count 0; NaN where there are none.
        mean_positive: Mean score of the others.
    """

    n: int
    n_zero: int
    n_positive: int
    slope: Estimate
    intercept: float
    r: Estimate
    r2: float
    slope_error: float
    spearman: float
    slope_with_zero: Estimate
    intercept_with_zero: float
    r_with_zero: Estimate
    r_within: float
    slope_within: float
    left_out_r2: float
    mean_zero: float
    mean_positive: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFit:
    """A fit and what it is of: metric, corpus, method of counting and backbone."""

    metric: str
    corpus: str
    method: str
    model: str
    fit: ConceptFit


class _Line(NamedTuple):
    slope: float
    intercept: float


def reproduce_fits(published: Published) -> tuple[tuple[NamedFit, ...], tuple[Agreement, ...]]:
    """Make the published fits of classification again: ensemble prompts and the 17 sets.

    Args:
        published: The tables.

    Returns:
        The fits in the order of their table, and how far each column lies from the published one.

    Raises:
        Refusal: If a row names what is not there, or too few concepts to fit.
    """
    return _reproduce(published, FITS, _CLASSIFICATION_COLUMNS)


def reproduce_retrieval_fits(published: Published) -> tuple[tuple[NamedFit, ...], tuple[Agreement, ...]]:
    """Make the published fits of retrieval again: recalls, fractions, over the concepts of both sets.

    Args:
        published: The tables.

    Returns:
        The fits in the order of their table, and how far each column lies from the published one.

    Raises:
        Refusal: If a row names what is not there, or too few concepts to fit.
    """
    return _reproduce(published, RETRIEVAL_FITS, _RETRIEVAL_COLUMNS)


def fit_concepts(concepts: Concepts) -> ConceptFit:
    """Fit scores on log counts by least squares.

    Args:
        concepts: Counts and scores.

    Returns:
        The fit; intervals of slopes and of r come from drawing whole concepts, by name.

    Raises:
        ValueError: If fewer than three concepts have a count above 0, or these or all do not vary.
    """
    count, score = concepts.count, concepts.score
    seen = count > 0
    x, y, dataset = np.log10(count[seen]), score[seen], concepts.dataset[seen]
    every = np.log10(1 + count)
    r, slope = fit_concept_line(x, y, concepts.key[seen])
    r_with_zero, slope_with_zero = fit_concept_line(every, score, concepts.key)
    line, whole = _fit(x, y), _fit(every, score)
    residuals = y - line.slope * x - line.intercept
    spread = float(np.sum((x - x.mean()) ** 2))
    inside_x, inside_y = _without_means(x, dataset), _without_means(y, dataset)
    within = float(inside_x @ inside_x), float(inside_y @ inside_y), float(inside_x @ inside_y)
    return ConceptFit(
        n=len(count),
        n_zero=int((~seen).sum()),
        n_positive=int(seen.sum()),
        slope=slope,
        intercept=line.intercept,
        r=r,
        r2=r.value**2,
        slope_error=float(np.sqrt(residuals @ residuals / (len(x) - 2) / spread)),
        spearman=float(np.corrcoef(rankdata(count), rankdata(score))[0, 1]),
        slope_with_zero=slope_with_zero,
        intercept_with_zero=whole.intercept,
        r_with_zero=r_with_zero,
        r_within=within[2] / np.sqrt(within[0] * within[1]) if min(within[:2]) > 0 else np.nan,
        slope_within=within[2] / within[0] if within[0] > 0 else np.nan,
        left_out_r2=_leave_sets_out(x, y, dataset),
        mean_zero=float(score[~seen].mean()) if not seen.all() else np.nan,
        mean_positive=float(y.mean()),
    )


def _reproduce(
    published: Published, table: str, columns: Mapping[str, str]
) -> tuple[tuple[NamedFit, ...], tuple[Agreement, ...]]:
    cells = read_cells(published.folder / table)
    n = len(cells)
    task = RETRIEVAL if "metric" in cells.columns else ZERO_SHOT
    metrics = cells.text("metric") if task == RETRIEVAL else ["ensemble"] * n
    sets = None if task == RETRIEVAL else CLASSIFICATION
    names = zip(metrics, *(cells.text(name) for name in ("model", "pretrain", "counttype")), strict=True)
    fits = []
    for row, (metric, model, corpus, method) in enumerate(names):
        concepts = join(published, (task, metric), model, corpus, method, sets)
        if isinstance(concepts, str):
            raise Refusal(f"{cells.where(row)}: {concepts}: leave the row out")
        try:
            fit = fit_concepts(concepts)
        except ValueError as error:
            raise Refusal(f"{cells.where(row)}: {error}: leave the row out") from error
        fits.append(NamedFit(metric=metric, corpus=corpus, method=method, model=model, fit=fit))
    rows = [f"{one.metric}, {one.model} {one.corpus}, {one.method}" for one in fits]
    agreements = tuple(
        compare_column(
            table,
            column,
            cells.numbers(column),
            [_value(getattr(one.fit, name)) for one in fits],
            tolerance=0.0 if column in _COUNTS else TOLERANCE,
            rows=rows,
        )
        for column, name in columns.items()
    )
    return tuple(fits), agreements


def _value(found: Estimate | float) -> float:
    return found.value if isinstance(found, Estimate) else float(found)


def _fit(x: FloatArray, y: FloatArray) -> _Line:
    centred = x - x.mean()
    slope = float(centred @ y) / float(centred @ centred)
    return _Line(slope, float(y.mean() - slope * x.mean()))


def _without_means(values: FloatArray, dataset: Names) -> FloatArray:
    codes = np.unique(dataset, return_inverse=True)[1]
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    left: FloatArray = values - means[codes]
    return left


def _leave_sets_out(x: FloatArray, y: FloatArray, dataset: Names) -> float:
    """R2 of each test set predicted from the line of the others; NaN where the others have no line."""
    predicted = np.full(len(x), np.nan)
    for name in np.unique(dataset):
        out = dataset == name
        if len(x) - out.sum() >= 2 and np.ptp(x[~out]) > 0:
            line = _fit(x[~out], y[~out])
            predicted[out] = line.slope * x[out] + line.intercept
    return float(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2))
