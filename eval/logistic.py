"""Binomial logistic regression with cluster-robust errors, fast enough for hundreds of dummy columns."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri

FloatArray = NDArray[np.float64]

# Weight of the squared coefficients beside the log likelihood: too small to be seen in a fit that the data
# settle (1e-6 of one trial), enough to keep a coefficient finite where they do not (separation, empty dummy).
RIDGE = 1e-6

_STEPS = 100


class Band(NamedTuple):
    """Probabilities with their confidence interval, each of shape ``(n,)``."""

    probability: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A fitted logistic regression.

    Attributes:
        coefficients: In logits per unit of each column, shape ``(k,)``.
        covariance: Their cluster-robust covariance, shape ``(k, k)``.
        influence: First-order change of the coefficients when a cluster is counted once more, shape
            ``(n_clusters, k)``.
    """

    coefficients: FloatArray
    covariance: FloatArray
    influence: FloatArray

    @property
    def standard_errors(self) -> FloatArray:
        """Cluster-robust standard errors, shape ``(k,)``."""
        errors: FloatArray = np.sqrt(np.diag(self.covariance))
        return errors


def fit(successes: ArrayLike, trials: ArrayLike, design: ArrayLike, clusters: ArrayLike | None = None) -> Fit:
    """Fit P(hit) = 1 / (1 + exp(-design @ coefficients)) to counts of hits, by Newton's method.

    Deterministic. A ridge of 1e-6 keeps coefficients finite under separation, and shares a level among
    columns that are collinear; combinations that the data settle are not moved by it.

    Args:
        successes: Hits of every row, shape ``(n,)``.
        trials: Questions of every row, shape ``(n,)``.
        design: Columns, including any intercept, shape ``(n, k)``.
        clusters: Rows with the same value share their noise, shape ``(n,)``; every row by itself if left out.

    Returns:
        The coefficients; their covariance holds the small-sample factor ``G / (G - 1) * (n - 1) / (n - k)``.

    Raises:
        ValueError: If shapes or numbers do not fit, there are no more rows than columns, or fewer than two
            clusters.

    References:
        Liang and Zeger, Biometrika 73(1), 1986.

    >>> fitted = fit([3, 9], [10, 10], [[1.0], [1.0]])
    >>> fitted.coefficients.round(4)  # log(12 / 8)
    array([0.4055])
    """
    hits, asked = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    columns = np.asarray(design, dtype=np.float64)
    codes = _check(hits, asked, columns, clusters)
    coefficients = _newton(hits, asked, columns)

    share = expit(columns @ coefficients)
    information = _information(columns, asked * share * (1 - share))
    scores = np.zeros((int(codes.max()) + 1, columns.shape[1]))
    np.add.at(scores, codes, columns * (hits - asked * share)[:, None])
    influence = np.linalg.solve(information, scores.T).T.astype(np.float64, copy=False)
    n, k, n_clusters = len(hits), columns.shape[1], len(scores)
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - k)
    return Fit(coefficients=coefficients, covariance=factor * influence.T @ influence, influence=influence)


def predict(fitted: Fit, design: ArrayLike, confidence: float = 0.95) -> Band:
    """Probability of a hit with the confidence band of the fitted curve (delta method on the logit).

    The band is about the mean accuracy of rows like these, not about where one more row will fall.

    Args:
        fitted: A fit.
        design: Columns as in the fit, shape ``(n, k)``.
        confidence: Coverage of the band at each row.

    Returns:
        Probability, low and high.

    Raises:
        ValueError: If the columns are not those of the fit.
    """
    columns = np.asarray(design, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[1] != len(fitted.coefficients):
        raise ValueError(f"design has shape {columns.shape}, the fit has {len(fitted.coefficients)} columns")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, needs to lie between 0 and 1")
    logit = columns @ fitted.coefficients
    variance = np.einsum("ij,jk,ik->i", columns, fitted.covariance, columns, optimize=True)
    reach = ndtri(0.5 + confidence / 2) * np.sqrt(np.maximum(variance, 0))
    return Band(expit(logit), expit(logit - reach), expit(logit + reach))


def _newton(hits: FloatArray, asked: FloatArray, columns: FloatArray) -> FloatArray:
    def objective(coefficients: FloatArray) -> float:
        logit = columns @ coefficients
        likelihood = hits @ logit - asked @ np.logaddexp(0, logit)
        return float(likelihood - RIDGE / 2 * coefficients @ coefficients)

    coefficients = np.zeros(columns.shape[1])
    value = objective(coefficients)
    for _ in range(_STEPS):
        share = expit(columns @ coefficients)
        gradient = columns.T @ (hits - asked * share) - RIDGE * coefficients
        step = np.linalg.solve(_information(columns, asked * share * (1 - share)), gradient)
        # Below this the gain of a step drowns in the rounding of the objective; the last step squares the error.
        if gradient @ step < 1e-12 * (1 + abs(value)):
            return coefficients + step
        # Halving guards the first steps; the objective is concave, so a short enough step climbs.
        scale = 1.0
        while (reached := objective(coefficients + scale * step)) < value and scale > 1e-9:
            scale /= 2
        coefficients, value = coefficients + scale * step, reached
    raise ValueError(f"logistic regression did not settle in {_STEPS} steps; are the columns on sane scales?")


def _information(columns: FloatArray, weights: FloatArray) -> FloatArray:
    information: FloatArray = (columns.T * weights) @ columns
    information[np.diag_indices_from(information)] += RIDGE
    return information


def _check(
    hits: FloatArray, asked: FloatArray, columns: FloatArray, clusters: ArrayLike | None
) -> NDArray[np.intp]:
    if hits.ndim != 1 or hits.shape != asked.shape or columns.shape[:1] != hits.shape or columns.ndim != 2:
        raise ValueError(
            f"successes {hits.shape}, trials {asked.shape} and design {columns.shape} do not fit"
        )
    n, k = columns.shape
    if n <= k:
        raise ValueError(f"{n} rows for {k} columns, a fit needs more rows than columns")
    if not np.isfinite(columns).all():
        raise ValueError("the design holds a value that is not finite")
    if not ((asked > 0) & (hits >= 0) & (hits <= asked)).all():
        row = int(np.flatnonzero(~((asked > 0) & (hits >= 0) & (hits <= asked)))[0])
        raise ValueError(f"row {row} has {hits[row]:g} successes in {asked[row]:g} trials")
    labels: NDArray[Any] = np.arange(n) if clusters is None else np.asarray(clusters)
    if labels.shape != hits.shape:
        raise ValueError(f"clusters have shape {labels.shape}, successes {hits.shape}")
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    if codes.max() == 0:
        raise ValueError("robust errors need at least 2 clusters, found 1")
    return codes
