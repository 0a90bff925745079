"""Effective robustness: accuracy beyond what a line through baseline models foretells from that in distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtr, ndtri

from oddpair.eval.intervals import Estimate, FloatArray, percentile_interval, resample

Scale = Literal["probit", "logit"]
SCALES: tuple[Scale, ...] = ("probit", "logit")
N_DRAWS = 2000
_FEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A straight line through the accuracies of baseline models, on transformed axes.

    Attributes:
        scale: What both axes are transformed with.
        slope: Of the transformed axes.
        intercept: Where transformed x is 0, which is an accuracy of one half.
        residual_sd: Standard deviation of the models about the line, transformed, with n - 2 degrees of freedom.
        n: Models behind it.
        n_dropped: Models left out since an accuracy of 0 or 1 has no finite transform.
        n_groups: Groups that were drawn whole for `draws`.
        low: Smallest accuracy on x among the models.
        high: Largest.
        draws: Slope and intercept of resampled baselines, shape ``(n_draws, 2)``; NaN where a draw has no line.
    """

    scale: Scale
    slope: float
    intercept: float
    residual_sd: float
    n: int
    n_dropped: int
    n_groups: int
    low: float
    high: float
    draws: FloatArray

    def foretell(self, x: ArrayLike) -> FloatArray:
        """Return the accuracy on y that the line foretells for accuracies on x, of any shape."""
        return restore(self.slope * transform(x, self.scale) + self.intercept, self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """Effective robustness of a model, a difference of accuracies: 0.01 is one point.

    Attributes:
        total: With the uncertainty of the line and, where known, of the test images.
        of_line: With that of the line alone: which baseline models there happen to be. Support: those models.
        of_images: With that of the test images alone, the line being fixed; ``None`` without records.
        is_outside: Whether the model lies beyond the baseline on x, where the line is a guess.
    """

    total: Estimate
    of_line: Estimate
    of_images: Estimate | None
    is_outside: bool


def transform(share: ArrayLike, scale: Scale) -> FloatArray:
    """Return the probit or logit of accuracies: 0 and 1 become infinite.

    Args:
        share: Fractions, any shape.
        scale: ``probit`` or ``logit``.

    Raises:
        ValueError: If a value is no fraction, or there is no such scale.

    >>> transform([0.5, 1.0], "probit")
    array([ 0., inf])
    """
    values = np.asarray(share, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"accuracies from {values.min()} to {values.max()}, needed fractions from 0 to 1")
    if scale not in SCALES:
        raise ValueError(f"scale {scale!r}, needed one of {', '.join(SCALES)}")
    moved: FloatArray = ndtri(values) if scale == "probit" else logit(values)
    return moved


def restore(value: ArrayLike, scale: Scale) -> FloatArray:
    """Return the accuracies that `transform` took: its inverse.

    >>> restore(transform([0.25, 1.0], "logit"), "logit")
    array([0.25, 1.  ])
    """
    values = np.asarray(value, dtype=np.float64)
    moved: FloatArray = ndtr(values) if scale == "probit" else expit(values)
    return moved


def keep_finite(share: ArrayLike, n: ArrayLike) -> FloatArray:
    """Return accuracies moved by half an image off 0 and 1, so that their transform is finite.

    Args:
        share: Fractions, any shape.
        n: Images behind each, of a shape that fits.

    >>> keep_finite([0.0, 0.5, 1.0], 10)
    array([0.05, 0.5 , 0.95])
    """
    half = 0.5 / np.asarray(n, dtype=np.float64)
    moved: FloatArray = np.clip(np.asarray(share, dtype=np.float64), half, 1 - half)
    return moved


def fit_line(
    x: ArrayLike, y: ArrayLike, scale: Scale = "probit", *, groups: ArrayLike | None = None, seed: int = 0
) -> Line:
    """Fit a line to the transformed accuracies of baseline models, by unweighted least squares.

    Where an axis stands for several test sets, the accuracy on it is the plain mean over them, taken before
    the transform, as in the Style paper. Models with an accuracy of 0 or 1 are left out and counted; where
    the number of images is known, `keep_finite` before this keeps them.

    Args:
        x: Accuracy in distribution of each model, fractions of shape ``(n,)``.
        y: Accuracy out of distribution, likewise.
        scale: ``probit``, as in the papers, or ``logit``.
        groups: What goes alike and is drawn whole when the baseline is resampled, shape ``(n,)``: epochs of
            one run are no independent models. By default each model is its own.
        seed: Of the draws.

    Returns:
        The line.

    Raises:
        ValueError: If the shapes differ, fewer than three models or two groups are left, or x does not vary.

    References:
        Taori et al., Measuring robustness to natural distribution shifts, NeurIPS 2020.
        Mayilvahanan et al., arXiv:2410.08258 (the Style paper).

    >>> line = fit_line([0.2, 0.4, 0.6], [0.2, 0.4, 0.6])
    >>> round(line.slope, 6), round(abs(line.intercept), 6), line.n
    (1.0, 0.0, 3)
    """
    over, under = transform(x, scale), transform(y, scale)
    names = np.arange(len(over)) if groups is None else np.asarray(groups)
    if not over.shape == under.shape == names.shape or over.ndim != 1:
        raise ValueError(
            f"x has shape {over.shape}, y {under.shape}, groups {names.shape}: all need one shape"
        )
    kept = np.isfinite(over) & np.isfinite(under)
    over, under = over[kept], under[kept]
    codes = np.unique(names[kept], return_inverse=True)[1]
    n, n_groups = len(over), len(np.unique(codes))
    if n < _FEWEST or n_groups < 2 or np.ptp(over) == 0:
        raise ValueError(
            f"{n} models in {n_groups} groups with accuracies between 0 and 1, transformed x varying by "
            f"{np.ptp(over) if n else 0:g}: a line needs {_FEWEST} models in 2 groups that differ"
        )
    slope, intercept = _fit(np.ones((1, n)), over, under)[0].tolist()
    residuals = under - slope * over - intercept
    known = np.asarray(x, dtype=np.float64)[kept]
    return Line(
        scale=scale,
        slope=slope,
        intercept=intercept,
        residual_sd=float(np.sqrt(residuals @ residuals / (n - 2))),
        n=n,
        n_dropped=int((~kept).sum()),
        n_groups=n_groups,
        low=float(known.min()),
        high=float(known.max()),
        draws=resample(
            lambda weights: _fit(weights[:, codes], over, under),
            n_groups,
            np.random.default_rng(seed),
            N_DRAWS,
        ),
    )


def effective_robustness(
    line: Line, x: float, y: float, *, x_draws: FloatArray | None = None, y_draws: FloatArray | None = None
) -> Robustness:
    """Accuracy of a model out of distribution minus what a line foretells from that in distribution.

    0 is a model on the line, whatever its accuracy; 0.1 is ten points above it. An accuracy on x of 0 or 1
    foretells 0 or 1.

    Args:
        line: The baseline's line.
        x: Accuracy in distribution, a fraction.
        y: Accuracy out of distribution, a fraction.
        x_draws: Accuracy in distribution on resampled test images, shape ``(n_draws,)`` of the line's draws;
            ``None`` where records are missing.
        y_draws: Likewise out of distribution.

    Returns:
        The difference, with intervals for each source of uncertainty and for both together. They are
        bootstrap intervals of the line and of the test images, and no prediction interval: how far single
        baseline models lie from their line is its ``residual_sd``.

    Raises:
        ValueError: If only one of the draws is given.
    """
    if (x_draws is None) != (y_draws is None):
        raise ValueError("draws of one axis alone: give both or none")
    rho = float(y - line.foretell(x))
    slopes, intercepts = line.draws.T

    def foretold(at: FloatArray) -> FloatArray:
        return restore(slopes * transform(at, line.scale) + intercepts, line.scale)

    def as_estimate(samples: FloatArray) -> Estimate:
        return percentile_interval(rho, samples, n=line.n, what="effective robustness")

    still = np.full(len(slopes), x)
    of_line = as_estimate(y - foretold(still))
    of_images, total = None, of_line
    if x_draws is not None and y_draws is not None:
        of_images = as_estimate(y_draws - line.foretell(x_draws))
        total = as_estimate(y_draws - foretold(x_draws))
    return Robustness(
        total=total, of_line=of_line, of_images=of_images, is_outside=not line.low <= x <= line.high
    )


def _fit(weights: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return slope and intercept of each row of weights, NaN where x does not vary."""
    # Centring keeps the moments free of cancellation.
    at_x, at_y = x.mean(), y.mean()
    x, y = x - at_x, y - at_y
    mean_x, mean_y, xy, xx = (
        weights @ np.stack([x, y, x * y, x * x], axis=1) / weights.sum(axis=1)[:, None]
    ).T
    spread = xx - mean_x**2
    # A draw of one group again and again leaves rounding where there is no spread.
    varies = spread > 1e-12 * max(float(x @ x) / len(x), np.finfo(np.float64).tiny)
    slope = np.divide(xy - mean_x * mean_y, spread, out=np.full(len(weights), np.nan), where=varies)
    return np.stack([slope, mean_y + at_y - slope * (mean_x + at_x)], axis=1)
