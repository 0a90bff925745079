"""What counts explain within datasets and between them, for the rows of one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from oddpair.eval.explaining.bootstrap import Draws
from oddpair.eval.explaining.within_moments import find_moments, spread_within, stack_columns
from oddpair.eval.intervals import Estimate, pearson

FloatArray = NDArray[np.float64]

# A line through three points leaves one degree of freedom, whose interval says nothing.
_FEWEST_MEANS = 4
# Two contrasts are looked at for a warning; so far out they err together in 5 % of tables.
CONTRAST_CONFIDENCE = 0.975


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of accuracy in log count.

    Attributes:
        slope: Accuracy (0 to 1) per decade of count.
        r: Correlation of the two.
    """

    slope: Estimate
    r: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of the variance of accuracy, adjusted for the number of means and slopes fitted.

    Attributes:
        datasets: Explained by the means of the datasets.
        counts: Explained by one line in the counts.
        both: Explained by the means and a line within the datasets.
    """

    datasets: Estimate
    counts: Estimate
    both: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CountEffects:
    """What counts explain, within datasets and between them; ``None`` where the data do not say.

    Attributes:
        pooled: Over all rows alike, which mixes the two below.
        within: With the mean of every dataset taken out: more of a concept in a corpus, all else of its test set equal.
        between: Over the means of the datasets, each one point; at least four.
        shares: What explains how much of the variance.
        contrast: Slope between datasets less that within, at 97.5 %; 0 where counts alone set datasets apart.
        excess: Share that these datasets explain less the one that counts explain, at 97.5 %.
    """

    pooled: Line | None
    within: Line | None
    between: Line | None
    shares: Shares | None
    contrast: Estimate | None
    excess: Estimate | None


def split_effects(log_count: ArrayLike, accuracy: ArrayLike, draws: Draws) -> CountEffects:
    """Split what counts explain of one model's accuracies into what they do within datasets and between them.

    Intervals within datasets and over all rows are percentiles of draws of datasets, widened for datasets that are
    few or unequal. Those between datasets are Student's t and Fisher's z over the means: a bootstrap of six points
    says less. The excess leaves out one concept after the other (jackknife): it is about the datasets at hand.

    Args:
        log_count: Log10 of one plus the count of every row, shape ``(n,)``.
        accuracy: Its accuracy, 0 to 1, shape ``(n,)``.
        draws: Draws of the rows' datasets and concepts.

    Raises:
        ValueError: If shapes differ or a value is not finite.

    References:
        Mundlak, Econometrica 46(1), 1978 (contrast of the slopes between and within).

    >>> from oddpair.eval.explaining.bootstrap import draw_levels
    >>> dataset = np.array(["easy", "easy", "easy", "hard", "hard", "hard"])
    >>> draws = draw_levels(dataset, list("abcdef"), np.random.default_rng(0))
    >>> effects = split_effects([3, 4, 5, 0, 1, 2], [0.9, 0.8, 0.7, 0.4, 0.3, 0.2], draws)
    >>> round(effects.pooled.slope.value, 3), round(effects.within.slope.value, 3), effects.between
    (0.106, -0.1, None)
    """
    x, y = np.asarray(log_count, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if x.shape != (len(draws),) or y.shape != x.shape:
        raise ValueError(
            f"log counts have shape {x.shape}, accuracies {y.shape}, draws are of {len(draws)} rows"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a log count or an accuracy is not finite")
    columns = stack_columns(x, y)
    sums, drawn = draws.sum_rows(columns), find_moments(draws.sum_draws(columns))
    found = find_moments(sums[None])
    sizes, spreads = sums[:, 0], spread_within(sums)

    def line(kind: str, information: FloatArray) -> Line | None:
        value, samples = getattr(found, kind), getattr(drawn, kind)
        if not (np.isfinite(value.slope[0]) and np.isfinite(value.r[0])):
            return None
        return Line(
            slope=draws.interval(value.slope[0], samples.slope, information, what=f"{kind} slope per decade"),
            r=draws.interval(value.r[0], samples.r, information, what=f"{kind} r", bounds=(-1.0, 1.0)),
        )

    pooled, within, between = line("pooled", sizes), line("within", spreads), _between_means(x, y, draws)
    shares = excess = None
    if pooled is not None and len(sums) > 1 and np.isfinite(found.by_both[0]):
        shares = Shares(
            datasets=_share(found.by_datasets, drawn.by_datasets, draws, sizes, "dataset means"),
            counts=_share(found.by_counts, drawn.by_counts, draws, sizes, "counts"),
            both=_share(found.by_both, drawn.by_both, draws, sizes, "dataset means and counts"),
        )
        left_out = find_moments(draws.leave_out_concepts(columns))
        excess = _jackknife(
            float(found.by_datasets[0] - found.by_counts[0]),
            left_out.by_datasets - left_out.by_counts,
            len(y),
        )
    contrast = None
    if within is not None and between is not None:
        contrast = _contrast_slopes(x, y, draws, within.slope.value, float(np.nanstd(drawn.within.slope)))
    return CountEffects(
        pooled=pooled, within=within, between=between, shares=shares, contrast=contrast, excess=excess
    )


def _share(value: FloatArray, samples: FloatArray, draws: Draws, sizes: FloatArray, by: str) -> Estimate:
    what = f"share of variance explained by {by}"
    return draws.interval(float(value[0]), samples, sizes, what=what, bounds=(0.0, 1.0))


def _jackknife(value: float, without: FloatArray, n: int) -> Estimate:
    # A statement about the datasets at hand, whose concepts alone are a sample.
    concepts = len(without)
    error = float(np.sqrt((concepts - 1) / concepts * np.nansum((without - value) ** 2)))
    reach = float(stdtrit(concepts - 1, (1 + CONTRAST_CONFIDENCE) / 2)) * error
    what = "share of variance that these datasets explain more than counts"
    return Estimate(value=value, low=max(value - reach, -1.0), high=min(value + reach, 1.0), n=n, what=what)


def _between_means(x: FloatArray, y: FloatArray, draws: Draws) -> Line | None:
    means_x, means_y = _means(x, y, draws)
    if len(means_x) < _FEWEST_MEANS or np.ptp(means_x) == 0 or np.ptp(means_y) == 0:
        return None
    slope, error = _fit_means(means_x, means_y)
    return Line(
        slope=_t_interval(slope, error, len(means_x), 0.95, "between slope per decade"),
        r=pearson(means_x, means_y, what="between r"),
    )


def _contrast_slopes(
    x: FloatArray, y: FloatArray, draws: Draws, within: float, error_within: float
) -> Estimate:
    slope, error = _fit_means(*_means(x, y, draws))
    both = float(np.hypot(error, error_within))
    what = "slope between datasets less slope within, per decade"
    return _t_interval(slope - within, both, len(draws.datasets), CONTRAST_CONFIDENCE, what)


def _means(x: FloatArray, y: FloatArray, draws: Draws) -> tuple[FloatArray, FloatArray]:
    size, of_x, of_y = draws.sum_rows(np.stack([np.ones(len(x)), x, y], axis=1)).T
    return of_x / size, of_y / size


def _fit_means(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    # Datasets differ far more than their means err, so that a set of ten classes is as good a point as one of 1,000.
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    residuals = y - y.mean() - slope * centred
    return slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / spread))


def _t_interval(value: float, error: float, n: int, confidence: float, what: str) -> Estimate:
    reach = float(stdtrit(n - 2, (1 + confidence) / 2)) * error
    return Estimate(value=value, low=value - reach, high=value + reach, n=n, what=what)
