"""How good predictions for unseen sets are: explained variance over samples and bins, calibration, baselines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.objects import FloatArray, IntArray, ObjectSamples
from oddpair.eval.composing.unseen_choice import log_loss
from oddpair.eval.composing.unseen_errors import SharedObjects
from oddpair.eval.intervals import Estimate

MOST_BINS, LEAST_BINS = 10, 3
# A bin of fewer samples is noise.
_SAMPLES_IN_BIN = 20
SEEN_MEAN = "mean of seen"
SEEN_MEAN_BY_SIZE = "mean of seen by number of objects"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Unseen samples whose predictions are alike.

    Attributes:
        predicted: Their mean prediction.
        observed: Their mean accuracy; its support is the number of samples.
    """

    predicted: float
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """How much of the variance of accuracy predictions explain.

    Attributes:
        r2_samples: One minus squared error over that of the unseen samples' own mean.
        r2_bins: The same over the means of bins of the prediction, each weighing its samples; ``None`` for fewer than
            three bins, or where these have one mean.
        ceiling_bins: R2 over the bins that true probabilities would reach on the average: the rest is noise.
        bins: At most ten bins of about as many samples each, 20 or more; a set lies in one.
    """

    r2_samples: Estimate
    r2_bins: Estimate | None
    ceiling_bins: float | None
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A prediction that knows nothing of counts.

    Attributes:
        name: What it predicts.
        log_loss: Its mean log loss on unseen samples, nats.
        saved: That loss minus the predictions': above 0 counts help.
    """

    name: str
    log_loss: Estimate
    saved: Estimate


def explain(
    correct: FloatArray, predicted: FloatArray, shared: SharedObjects, rows: IntArray
) -> Explained | None:
    """Compare predictions with what was found, over samples and over bins of the prediction.

    Args:
        correct: What was found, shape ``(n,)``.
        predicted: What was predicted, shape ``(n,)``.
        shared: The sets of all samples.
        rows: Which of these the ``n`` are.

    Returns:
        The comparison, intervals by the delta method; ``None`` where accuracy does not vary.
    """
    if np.ptp(correct) == 0:
        return None
    bin_of = _fill_bins(predicted, shared.codes[rows])
    n = np.bincount(bin_of)
    mean, of_prediction = np.bincount(bin_of, correct) / n, np.bincount(bin_of, predicted) / n
    spread = mean - correct.mean()
    # What a bin's mean loses to its own gap, and what the change of a sample's weight does to that.
    missed = (of_prediction - mean)[bin_of]
    loss = missed**2 + 2 * missed * (predicted - correct - missed)
    total = spread[bin_of] ** 2 + 2 * spread[bin_of] * (correct - mean[bin_of])
    bins, noise = [], 0.0
    for number in range(len(n)):
        inside = rows[bin_of == number]
        found = shared.mean(correct[bin_of == number], what="accuracy of unseen samples", rows=inside)
        bins.append(CalibrationBin(predicted=float(of_prediction[number]), observed=found))
        codes = shared.codes[inside]
        residual = np.bincount(codes, correct[bin_of == number] - mean[number])
        noise += float(residual @ residual) / int(n[number])
    between = float(n @ spread**2) if len(n) >= LEAST_BINS else 0.0
    return Explained(
        r2_samples=_ratio(
            (correct - predicted) ** 2,
            (correct - correct.mean()) ** 2,
            shared,
            rows,
            "R2 over unseen samples",
        ),
        r2_bins=_ratio(loss, total, shared, rows, f"R2 over {len(n)} bins of unseen samples")
        if between > 0
        else None,
        ceiling_bins=1 - noise / between if between > 0 else None,
        bins=tuple(bins),
    )


def predict_baselines(seen: ObjectSamples, unseen: ObjectSamples) -> dict[str, FloatArray]:
    """Predict unseen samples by the mean of their model's seen ones: of all, and of those with as many objects.

    Where a model has no seen samples of a size, those of the nearest size stand in, the smaller of two.

    Args:
        seen: Seen samples.
        unseen: Unseen samples of the same models.

    Returns:
        Predictions by name, each of shape ``(n_unseen,)``.
    """
    plain, by_size = np.empty(len(unseen)), np.empty(len(unseen))
    for model in unseen.models:
        known, asked = seen.model == model, unseen.model == model
        plain[asked] = seen.correct[known].mean()
        sizes = np.unique(seen.size[known])
        means = np.array([seen.correct[known & (seen.size == size)].mean() for size in sizes.tolist()])
        nearest = np.abs(unseen.size[asked][:, None] - sizes[None]).argmin(axis=1)
        by_size[asked] = means[nearest]
    return {SEEN_MEAN: plain, SEEN_MEAN_BY_SIZE: by_size}


def compare_losses(
    correct: FloatArray,
    predicted: FloatArray,
    baselines: dict[str, FloatArray],
    shared: SharedObjects,
    rows: IntArray,
) -> tuple[Estimate, tuple[Baseline, ...]]:
    """Log loss of predictions, and what it saves over that of baselines.

    Returns:
        The loss in nats per sample, and the baselines.
    """
    ours = log_loss(correct, predicted)
    compared = []
    for name, guess in baselines.items():
        theirs = log_loss(correct, guess)
        compared.append(
            Baseline(
                name=name,
                log_loss=shared.mean(theirs, what="log loss per unseen sample, nats", rows=rows),
                saved=shared.mean(theirs - ours, what=f"log loss saved over the {name}, nats", rows=rows),
            )
        )
    return shared.mean(ours, what="log loss per unseen sample, nats", rows=rows), tuple(compared)


def _fill_bins(predicted: FloatArray, codes: IntArray) -> IntArray:
    """Share samples out among bins of the prediction by the middle of their set, so that no set is cut."""
    sets, place = np.unique(codes, return_inverse=True)
    n = np.bincount(place)
    # Rounded, so that equal predictions tie and the names of the objects decide.
    level = np.round(np.bincount(place, predicted) / n, 12)
    order = np.lexsort((sets, level))
    bins = int(np.clip(len(codes) // _SAMPLES_IN_BIN, 1, MOST_BINS))
    middle = np.empty(len(sets))
    middle[order] = np.cumsum(n[order]) - n[order] / 2
    filled = np.minimum((middle * bins / len(codes)).astype(np.int64), bins - 1)
    return np.unique(filled, return_inverse=True)[1].reshape(-1)[place].astype(np.int64)


def _ratio(
    missed: FloatArray, total: FloatArray, shared: SharedObjects, rows: IntArray, what: str
) -> Estimate:
    r2 = 1 - float(missed.sum() / total.sum())
    influence = shared.sum_up(-(missed - (1 - r2) * total) / total.sum(), rows)
    found = shared.interval(r2, influence, n=len(rows), what=what)
    return Estimate(value=found.value, low=found.low, high=min(found.high, 1.0), n=found.n, what=what)
