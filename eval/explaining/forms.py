"""Forms that accuracy may take against count, each fitted with one shrunk effect per dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.explaining import form_fits
from oddpair.eval.explaining.form_curves import Curve
from oddpair.eval.explaining.form_pooling import PooledRows, pool_rows

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Names = NDArray[np.str_]

DATASET_MEAN = "dataset mean"
LOG_LINEAR = "log-linear"
FLOOR = "floor + log-linear"
LOGISTIC = "logistic"
ISOTONIC = "isotonic"
SPLINE = "spline"
# The baseline first, then from the simplest form on.
FORMS: Mapping[str, Callable[[PooledRows], Curve]] = MappingProxyType(
    {
        DATASET_MEAN: form_fits.fit_mean,
        LOG_LINEAR: form_fits.fit_line,
        FLOOR: form_fits.fit_floor,
        LOGISTIC: form_fits.fit_logistic,
        ISOTONIC: form_fits.fit_steps,
        SPLINE: form_fits.fit_spline,
    }
)
# What a form says above the largest count that it was fitted on.
BEYOND: Mapping[str, str] = MappingProxyType(
    {
        DATASET_MEAN: "flat",
        LOG_LINEAR: "line continued",
        FLOOR: "line continued",
        LOGISTIC: "curve continued to its ceiling",
        ISOTONIC: "held flat",
        SPLINE: "line continued",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedForm:
    """A curve of accuracy against log count, and what each dataset adds to it.

    Attributes:
        form: Name of the form, one of ``FORMS``.
        curve: Accuracy in the average dataset; `form_curves` names the parameters.
        datasets: Datasets that were fitted, sorted, shape ``(n_datasets,)``.
        effects: What each of them adds, shrunk towards 0, shape ``(n_datasets,)``.
        low: Least log count that was fitted.
        high: Greatest log count that was fitted.
    """

    form: str
    curve: Curve
    datasets: Names
    effects: FloatArray
    low: float
    high: float

    def __call__(self, x: ArrayLike, dataset: Names) -> FloatArray:
        """Predict accuracies, 0 to 1; a dataset that was not fitted is taken for the average one.

        Args:
            x: Log10 of one plus the count, shape ``(..., n)``.
            dataset: Dataset of each column, shape ``(n,)``.
        """
        place = np.minimum(np.searchsorted(self.datasets, dataset), len(self.datasets) - 1)
        effect = np.where(self.datasets[place] == dataset, self.effects[place], 0.0)
        found: FloatArray = np.clip(self.curve(np.asarray(x, dtype=np.float64)) + effect, 0, 1)
        return found

    def outside(self, x: ArrayLike) -> BoolArray:
        """Log counts beyond those fitted, where the form is continued as ``BEYOND`` says."""
        at = np.asarray(x, dtype=np.float64)
        found: BoolArray = (at < self.low) | (at > self.high)
        return found


def fit_form(form: str, rows: PooledRows) -> FittedForm:
    """Fit one form to rows whose datasets are pooled.

    Raises:
        ValueError: If there is no form of that name.
    """
    if form not in FORMS:
        raise ValueError(f"no form {form!r}; there are {', '.join(FORMS)}")
    curve = FORMS[form](rows)
    return FittedForm(
        form=form,
        curve=curve,
        datasets=rows.datasets,
        effects=rows.effects(curve(rows.x)),
        low=float(rows.x.min()),
        high=float(rows.x.max()),
    )


def fit(form: str, x: ArrayLike, y: ArrayLike, weights: ArrayLike, dataset: Names) -> FittedForm:
    """Fit accuracy as one curve of log count plus one effect per dataset, by weighted least squares.

    The effects are random intercepts (`pool_rows`), so that a dataset of few rows is drawn towards the average one.
    They are added to the curve in every form, and the sum is clipped to [0, 1]: forms differ in the curve alone.

    Args:
        form: One of ``FORMS``.
        x: Log10 of one plus the count, shape ``(n,)``.
        y: Accuracy, 0 to 1, shape ``(n,)``.
        weights: Weight of each row, 0 or more, whatever their sum, shape ``(n,)``.
        dataset: Dataset of each row, shape ``(n,)``.

    Returns:
        The fitted form, to be called with log counts and datasets.

    Raises:
        ValueError: If there is no such form, shapes differ, or the counts do not vary.

    >>> x, dataset = np.array([0.0, 1.0, 2.0, 3.0]), np.array(["birds"] * 4)
    >>> found = fit("floor + log-linear", x, [0.2, 0.2, 0.5, 0.8], np.ones(4), dataset)
    >>> found(np.array([1.5, 9.0]), dataset[:2]).round(2), found.outside([1.5, 9.0])
    (array([0.35, 1.  ]), array([False,  True]))
    """
    return fit_form(form, pool_rows(x, y, weights, dataset))
