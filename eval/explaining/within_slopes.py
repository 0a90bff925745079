"""The slope of every dataset by itself, and what they are together: their mean, their spread, each drawn to the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtrit

from oddpair.eval.explaining.bootstrap import Draws
from oddpair.eval.intervals import Estimate, normal_quantile

FloatArray = NDArray[np.float64]
Range = tuple[float, float]

_FEWEST_CONCEPTS = 5
_LEAST_RESIDUAL = 1e-9
# A slope that rests on one concept alone has no error to be read off the others.
_MOST_LEVERAGE = 0.9
# Shrinking is settled by the spread of the slopes, which fewer do not show.
_FEWEST_SLOPES = 4
# Spreads that the intervals of a mean are averaged over, one for each 2.5 % of what the data leave possible.
_SPREADS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSlope:
    """Accuracy per decade of count in one dataset.

    Attributes:
        dataset: Name of the dataset.
        own: From the dataset's own concepts, their number behind it.
        shrunk: Drawn to the mean of all slopes as far as its own error is large beside their spread; ``None``
            without a mean.
    """

    dataset: str
    own: Estimate
    shrunk: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopesTogether:
    """What the slopes of several datasets are together, each number backed by the number of datasets.

    Attributes:
        mean: Mean slope over datasets like these.
        spread: Standard deviation of the true slopes between datasets.
        new_dataset: The true slope to be met in one more dataset.
    """

    mean: Estimate
    spread: Estimate
    new_dataset: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSlopes:
    """Slopes of the datasets of one model.

    Attributes:
        slopes: One per dataset that shows one, by name.
        together: Their mean and spread; ``None`` under four slopes.
        left_out: Datasets that show none: fewer than five concepts, or all but one with the same count.
    """

    slopes: tuple[DatasetSlope, ...]
    together: SlopesTogether | None
    left_out: tuple[str, ...]


class _Fitted(NamedTuple):
    """A slope and how far each of its rows moves it, squares of which add up to its variance."""

    value: float
    moves: FloatArray


class _Turned(NamedTuple):
    """Slopes turned into directions whose errors are independent, and what a common mean of 1 is in them."""

    slopes: FloatArray
    ones: FloatArray
    variances: FloatArray

    def find_mean(self, spread: float) -> tuple[float, float]:
        """Weighted mean of the slopes at a variance between datasets, and its variance."""
        weights = self.ones / (self.variances + spread)
        total = float(weights @ self.ones)
        return float(weights @ self.slopes) / total, 1 / total


def fit_dataset_slopes(log_count: ArrayLike, accuracy: ArrayLike, draws: Draws) -> DatasetSlopes:
    """Fit a line in each dataset and pool the slopes partially.

    A slope's own error allows noise that changes with the count (HC3), and slopes of datasets that share concepts err
    together. The spread between datasets is Paule and Mandel's and its interval the Q-profile, both from one equation.
    Six datasets leave the spread wide open, so the intervals of the mean and of one more slope are averaged over that
    profile; a bootstrap of so few datasets covers neither. Shrunk slopes carry Morris' intervals, which do not close
    where the spread is 0.

    Args:
        log_count: Log10 of one plus the count of every row, shape ``(n,)``.
        accuracy: Its accuracy, 0 to 1, shape ``(n,)``.
        draws: The rows' datasets.

    References:
        Paule and Mandel, Journal of Research of the National Bureau of Standards 87(5), 1982.
        Viechtbauer, Statistics in Medicine 26(1), 2007 (Q-profile).
        Nagashima, Noma and Furukawa, Statistical Methods in Medical Research 28(6), 2019 (averaged over spreads).
        Morris, Journal of the American Statistical Association 78(381), 1983.
    """
    x, y = np.asarray(log_count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if x.shape != (len(draws),) or y.shape != x.shape:
        raise ValueError(
            f"log counts have shape {x.shape}, accuracies {y.shape}, draws are of {len(draws)} rows"
        )
    names, left_out, values, sizes = [], [], [], []
    moves: list[FloatArray] = []
    for code, name in enumerate(draws.datasets.tolist()):
        rows = draws.codes == code
        fitted = _fit_slope(x[rows], y[rows])
        if fitted is None:
            left_out.append(name)
            continue
        names.append(name)
        values.append(fitted.value)
        moved = np.zeros(int(draws.concepts.max()) + 1)
        np.add.at(moved, draws.concepts[rows], fitted.moves)
        moves.append(moved)
        sizes.append(int(rows.sum()))
    slopes, by_concept = np.array(values), np.array(moves)
    covariance = by_concept @ by_concept.T
    errors = np.sqrt(covariance.diagonal()) if values else np.empty(0)
    own = [_find_own(*fitted) for fitted in zip(values, errors.tolist(), sizes, strict=True)]
    together: SlopesTogether | None = None
    shrunk: list[Estimate] | list[None] = [None] * len(own)
    if len(own) >= _FEWEST_SLOPES:
        turned = _turn(slopes, covariance)
        together = _pool(turned)
        shrunk = _shrink(slopes, errors**2, sizes, together)
    by_name = zip(names, own, shrunk, strict=True)
    return DatasetSlopes(
        slopes=tuple(DatasetSlope(dataset=name, own=first, shrunk=second) for name, first, second in by_name),
        together=together,
        left_out=tuple(left_out),
    )


def _fit_slope(x: FloatArray, y: FloatArray) -> _Fitted | None:
    if len(x) < _FEWEST_CONCEPTS:
        return None
    centred = x - x.mean()
    squares = float(centred @ centred)
    if squares <= 1e-12 * float(x @ x):
        return None
    leverage = 1 / len(x) + centred**2 / squares
    if leverage.max() > _MOST_LEVERAGE:
        return None
    slope = float(centred @ y) / squares
    residuals = y - y.mean() - slope * centred
    # Accuracies that all lie on one line, most often all 0, show no error, which is not an error of 0.
    if np.abs(residuals).max() < _LEAST_RESIDUAL:
        return None
    return _Fitted(slope, centred * residuals / (1 - leverage) / squares)


def _find_own(slope: float, error: float, n: int) -> Estimate:
    reach = float(stdtrit(n - 2, 0.975)) * error
    return Estimate(value=slope, low=slope - reach, high=slope + reach, n=n, what="slope per decade")


def _turn(slopes: FloatArray, covariance: FloatArray) -> _Turned:
    variances, axes = np.linalg.eigh(covariance)
    # Copies of one dataset leave directions without any error, which rounding may put below 0.
    return _Turned(axes.T @ slopes, axes.sum(axis=0), np.maximum(variances, 1e-12 * variances.max()))


def _pool(turned: _Turned) -> SlopesTogether:
    n = len(turned.slopes)
    spread, low, high = (
        _solve_spread(turned, wanted)
        for wanted in (n - 1.0, float(chdtri(n - 1, 0.025)), float(chdtri(n - 1, 0.975)))
    )
    mean = turned.find_mean(spread)[0]
    chances = (np.arange(_SPREADS) + 0.5) / _SPREADS
    spreads = [_solve_spread(turned, wanted) for wanted in chdtri(n - 1, chances).tolist()]
    centres, variances = np.array([turned.find_mean(spread) for spread in spreads]).T
    of_mean = _find_range(centres, np.sqrt(variances))
    of_new = _find_range(centres, np.sqrt(variances + spreads))
    return SlopesTogether(
        mean=Estimate(value=mean, low=of_mean[0], high=of_mean[1], n=n, what="mean slope per decade"),
        spread=Estimate(
            value=float(np.sqrt(spread)),
            low=float(np.sqrt(low)),
            high=float(np.sqrt(high)),
            n=n,
            what="standard deviation of slopes between datasets",
        ),
        new_dataset=Estimate(
            value=mean, low=of_new[0], high=of_new[1], n=n, what="slope per decade in one more dataset"
        ),
    )


def _shrink(
    slopes: FloatArray, variances: FloatArray, sizes: list[int], together: SlopesTogether
) -> list[Estimate]:
    n, mean = len(slopes), together.mean.value
    weights = 1 / (variances + together.spread.value**2)
    pull = (n - 3) / (n - 1) * variances * weights
    centre = (1 - pull) * slopes + pull * mean
    rest = 1 - (1 - weights / weights.sum()) * pull
    reach = normal_quantile(0.95) * np.sqrt(variances * rest + 2 / (n - 3) * pull**2 * (slopes - mean) ** 2)
    return [
        Estimate(value=middle, low=middle - far, high=middle + far, n=size, what="shrunk slope per decade")
        for middle, far, size in zip(centre.tolist(), reach.tolist(), sizes, strict=True)
    ]


def _solve_spread(turned: _Turned, wanted: float) -> float:
    """Variance between datasets at which the weighted squares about the mean add up to what is wanted; 0 if none."""

    def surplus(spread: float) -> float:
        residuals = turned.slopes - turned.find_mean(spread)[0] * turned.ones
        return float(np.sum(residuals**2 / (turned.variances + spread))) - wanted

    if surplus(0.0) <= 0:
        return 0.0
    top = float(turned.variances.max())
    while surplus(top) > 0:
        top *= 2
    return float(brentq(surplus, 0.0, top, xtol=1e-12))


def _find_range(centres: FloatArray, errors: FloatArray) -> Range:
    """Middle 95 % of a mixture of normal distributions of equal shares."""
    ends = float((centres - 5 * errors).min()), float((centres + 5 * errors).max())
    low, high = (
        float(brentq(lambda value, chance=chance: ndtr((value - centres) / errors).mean() - chance, *ends))
        for chance in (0.025, 0.975)
    )
    return low, high
