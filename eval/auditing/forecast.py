"""Accuracy on a test set that a model has not met, foretold from counts, with a band by how far off its datasets were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit, logit, stdtrit

from oddpair.engines import one_thread
from oddpair.eval.intervals import Estimate
from oddpair.eval.logistic import fit
from oddpair.eval.prediction.features import ConceptFeatures
from oddpair.eval.prediction.held_out import DATASETS, Rows, predict_held_out
from oddpair.eval.prediction.table import COUNTS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# A spread is not known of fewer datasets, nor a slope of fewer concepts.
FEWEST_DATASETS = 3
FEWEST_CONCEPTS = 3
# Predicted logits of a dataset that vary less say nothing of how accuracy rises with them.
_LEAST_SPREAD = 0.01
# Quantiles of either of the two errors; all pairs of them are gone through.
_QUANTILES = 101
# The predictor computes in single precision, whose sixth digit is another on another processor.
_DIGITS = 4
_LEAST = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """What is known of one model: its accuracies, concept by concept.

    Attributes:
        dataset: Test set of each concept, shape ``(n,)``.
        counts: Captions of the model's corpus that name it, shape ``(n,)``.
        accuracy: From 0 to 1, shape ``(n,)``.
        support: Samples behind it, shape ``(n,)``.
    """

    dataset: NDArray[np.str_]
    counts: IntArray
    accuracy: FloatArray
    support: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """What a test set shows, and how often a corpus names it.

    Attributes:
        counts: Captions that name each of its concepts, shape ``(n,)``.
        images: Test images that each concept stands for, shape ``(n,)``; an image is one concept's.
    """

    counts: IntArray
    images: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Errors:
    """How far a model's datasets were from predictions that had not met them, dataset by dataset.

    The logit of an accuracy is ``centre + offset + slope * (predicted - centre)``; ``centre`` is the mean of the
    dataset's predicted logits over its samples.

    Attributes:
        offset: Shape ``(n_datasets,)``; 0 where the prediction was right.
        slope: Likewise; 1 where it was right.
    """

    offset: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Accuracies foretold for one test set, by each of some counts of its concepts.

    Attributes:
        means: Mean accuracy over test images, one for each of the counts.
        differences: The first of them less each, with the same errors in both.
        datasets: Datasets of the model that the bands are learned from.
    """

    means: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    datasets: int


def forecast(known: Known, shown: Sequence[Shown]) -> Forecast | None:
    """Foretell the accuracy of a model on a new test set from how often a corpus names its concepts.

    The test is a new dataset to the predictor of held-out datasets. A new dataset is off as a whole: its mean by an offset,
    and its rise with counts by a slope, which predictions that know no dataset of their own make too flat. Both are
    measured on the model's own datasets, each held out, and drawn for the new one from Student's t of as many datasets; the
    ends of the bands are the 2.5th and 97.5th percentiles over all pairs of quantiles of the two. That a predicted accuracy
    of one concept is wrong by itself averages out over concepts and is measured in the offsets.

    Args:
        known: What is known of the model.
        shown: The test's concepts under each of some counts; at least one.

    Returns:
        The forecast; ``None`` where fewer than three datasets have three concepts or more whose predictions vary.
    """
    predicted, new = _predict(known, shown)
    errors = measure_errors(known, predicted)
    n = len(errors.offset)
    if n < FEWEST_DATASETS:
        return None
    middles, draws = draw_means(errors, new, [one.images for one in shown])
    images = int(shown[0].images.sum())
    return Forecast(
        means=tuple(
            _estimate(middle, draw, images, "mean accuracy over test images, foretold from counts")
            for middle, draw in zip(middles, draws, strict=True)
        ),
        differences=tuple(
            _estimate(middles[0] - middle, draws[0] - draw, images, "difference of accuracies foretold")
            for middle, draw in zip(middles, draws, strict=True)
        ),
        datasets=n,
    )


def measure_errors(known: Known, predicted: FloatArray) -> Errors:
    """Measure how far datasets were from their held-out predictions, by a logistic regression within each.

    Args:
        known: What is known of a model.
        predicted: Accuracy predicted by a fit that has not met the row's dataset, shape ``(n,)``.

    Returns:
        Errors of the datasets with three rows or more whose predictions vary, in order of name.

    >>> predicted, some = np.array([0.2, 0.5, 0.8]), np.full(3, 1000)
    >>> accuracy = expit(logit(predicted) + 1)
    >>> known = Known(dataset=np.full(3, "d"), counts=some, accuracy=accuracy, support=some.astype(float))
    >>> errors = measure_errors(known, predicted)
    >>> errors.offset.round(2), errors.slope.round(2)
    (array([1.]), array([1.]))
    """
    found = list[tuple[float, float]]()
    logits = _as_logits(predicted)
    for name in np.unique(known.dataset):
        rows = known.dataset == name
        asked = known.support[rows]
        share = asked / asked.sum()
        centre = float((share * logits[rows]).sum())
        spread = np.sqrt((share * (logits[rows] - centre) ** 2).sum())
        if rows.sum() < FEWEST_CONCEPTS or spread < _LEAST_SPREAD:
            continue
        design = np.column_stack([np.ones(rows.sum()), logits[rows] - centre])
        # One question more, answered as foretold: where all answers are right, or wrong, the errors stay finite.
        hits = known.accuracy[rows] * asked + share * predicted[rows]
        level, slope = fit(hits, asked + share, design).coefficients.tolist()
        found.append((level - centre, slope))
    offset, slopes = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return Errors(offset=offset, slope=slopes)


def draw_means(
    errors: Errors, predicted: Sequence[FloatArray], images: Sequence[IntArray]
) -> tuple[list[float], list[FloatArray]]:
    """Find the mean accuracy of a dataset more, predicted in one or more ways, under every pair of its errors.

    Args:
        errors: Of other datasets.
        predicted: Accuracies of its concepts by each way, each of shape ``(n,)``.
        images: Images of each concept, by each way, each of shape ``(n,)``.

    Returns:
        By each way the mean under the mean errors, and the means under pairs of quantiles, in the same order for all.
    """
    offsets, slopes = _spread_out(errors.offset), _spread_out(errors.slope)
    weights = [one / one.sum() for one in images]
    # One centre for all, so that ways that differ a little in what they predict differ a little in their means.
    centre = float((weights[0] * _as_logits(predicted[0])).sum())
    middles, draws = list[float](), list[FloatArray]()
    for shares, weight in zip(predicted, weights, strict=True):
        away = _as_logits(shares) - centre
        middle = expit(centre + errors.offset.mean() + errors.slope.mean() * away)
        middles.append(float((middle * weight).sum()))
        # One slope at a time: a test set may have thousands of concepts.
        means = [
            (expit(centre + offsets[:, None] + slope * away[None, :]) * weight).sum(axis=1)
            for slope in slopes.tolist()
        ]
        draws.append(np.concatenate(means))
    return middles, draws


def _predict(known: Known, shown: Sequence[Shown]) -> tuple[FloatArray, list[FloatArray]]:
    """Predict known rows with their own dataset held out, and the concepts of a new one under each of its counts."""
    n, sizes = len(known.counts), [len(one.counts) for one in shown]
    # New datasets come after the known ones.
    names, places = np.unique(known.dataset, return_inverse=True)
    new = np.repeat(len(names) + np.arange(len(shown)), sizes)
    dataset = np.concatenate([places.reshape(-1), new]).astype(np.int64)
    counts = np.concatenate([known.counts, *(one.counts for one in shown)])
    images = [np.maximum(one.images, 1) for one in shown]
    rows = Rows(
        features=_describe(dataset, counts),
        accuracy=np.concatenate([known.accuracy, np.full(sum(sizes), np.nan)]),
        support=np.concatenate([known.support, *images]).astype(np.float64),
        chance=1 / np.bincount(dataset)[dataset],
    )
    # Sums of another order would differ in the last digits.
    with one_thread():
        mean = predict_held_out(rows, dataset, DATASETS, whole_datasets=True).mean
    return mean[:n], np.split(mean[n:], np.cumsum(sizes)[:-1])


def _describe(dataset: IntArray, counts: IntArray) -> ConceptFeatures:
    """Describe concepts by their counts in captions, and by nothing else.

    Not by how they stand among their rivals: fewer captions of one concept are mostly fewer of its rivals, too. Were
    accuracy to follow the difference of the two, which no dataset tells from the count itself, in-domain rows would account
    for too little. Nor by their names, so that what predictions vary with is counts.
    """
    n, kinds = len(counts), len(COUNTS)
    decades = np.zeros((n, kinds))
    decades[:, COUNTS.index("count_text")] = np.log10(1 + counts)
    return ConceptFeatures(
        dataset=dataset,
        counts=decades,
        missing=np.zeros((n, kinds), dtype=np.bool_),
        standing=np.zeros((n, 2 + 2 * kinds)),
        words=csr_array((n, 1)),
    )


def _spread_out(errors: FloatArray) -> FloatArray:
    """Return quantiles of the error of a dataset more, of which all that is known are those of ``n`` others."""
    n = len(errors)
    reach = stdtrit(n - 1, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    spread: FloatArray = errors.mean() + errors.std(ddof=1) * np.sqrt(1 + 1 / n) * reach
    return spread


def _as_logits(shares: FloatArray) -> FloatArray:
    logits: FloatArray = logit(np.clip(shares, _LEAST, 1 - _LEAST))
    return logits


def _estimate(middle: float, draws: FloatArray, images: int, what: str) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    # And nothing less than none is none.
    value, low, high = (round(one, _DIGITS) + 0.0 for one in (middle, min(low, middle), max(high, middle)))
    return Estimate(value=value, low=low, high=high, n=images, what=what)
