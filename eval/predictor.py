"""Accuracy predicted from concept counts and PMI, judged on concepts that the fit has not met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.concept_rows import LOG_COUNT, LOG_PARTNER_COUNT, PMI, ConceptRows
from oddpair.eval.intervals import Estimate, percentile_interval, resample
from oddpair.eval.logistic import fit, predict

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MEAN = "mean"
COUNT = "log count"
COUNTS = "both log counts"
COUNTS_AND_PMI = "both log counts + PMI"
# From the simplest on: what a model adds is its gain over the one before it.
MODELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        MEAN: (),
        COUNT: (LOG_COUNT,),
        COUNTS: (LOG_COUNT, LOG_PARTNER_COUNT),
        COUNTS_AND_PMI: (LOG_COUNT, LOG_PARTNER_COUNT, PMI),
    }
)
BASELINES = (MEAN, COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    """How one model predicts concepts that it was not fitted on.

    Attributes:
        model: Its name.
        r2: One minus squared error over that of the training mean; below 0 is worse than the mean.
        log_loss: Nats per trial.
        absolute_error: Mean absolute error of the accuracy, in points.
        r2_gain: R2 minus that of each model before it.
        log_loss_gain: Log loss of each model before it minus that of the model: positive is better.
    """

    model: str
    r2: Estimate
    log_loss: Estimate
    absolute_error: Estimate
    r2_gain: Mapping[str, Estimate]
    log_loss_gain: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossValidation:
    """Out-of-fold scores of every model.

    Attributes:
        scores: One per model, in the order given.
        predictions: Out-of-fold accuracy by model, each of shape ``(n,)``.
        ceiling: R2 that the true accuracies would reach: what is left is the noise of finite trials.
            ``None`` where a row has a single trial.
        n_rows: Rows predicted.
        n_concepts: Concepts that were shared out among the folds.
        folds: Number of folds.
    """

    scores: tuple[ModelScore, ...]
    predictions: Mapping[str, FloatArray]
    ceiling: float | None
    n_rows: int
    n_concepts: int
    folds: int


def cross_validate(
    rows: ConceptRows,
    rng: np.random.Generator,
    *,
    folds: int = 10,
    models: Mapping[str, Sequence[str]] = MODELS,
) -> CrossValidation:
    """Predict concepts that the fit has not met.

    Concepts are shared out among folds. A fold is tested on the rows whose target lies in it, by fits
    on the rows that have neither target nor partner in it. Every model has one intercept per group.
    Intervals resample targets (a name is one cluster, whatever its group) with the predictions kept.

    Args:
        rows: The table.
        rng: Shares out the concepts and draws the intervals.
        folds: Number of folds.
        models: Feature names by model; holds both baselines.

    Returns:
        Scores of every model, and their gain over each baseline.

    Raises:
        ValueError: If a baseline is missing, there are more folds than concepts, or a fold leaves too few
            training rows.
    """
    missing = [name for name in BASELINES if name not in models]
    if missing:
        raise ValueError(f"models {list(models)} lack the baseline {missing[0]!r}")
    fold_of_target, fold_of_partner, n_concepts = _share_out(rows, rng, folds)
    predictions = {name: np.empty(len(rows)) for name in models}
    groups = np.unique(rows.group).tolist()
    for fold in np.unique(fold_of_target):
        test = fold_of_target == fold
        train = ~test & (fold_of_partner != fold)
        known = rows.take(train) if train.any() else None
        if known is None or not np.isin(rows.group[test], known.group).all():
            raise ValueError(f"fold {fold} leaves no training rows in a group that it tests; use more folds")
        for name, features in models.items():
            # A level absent from training keeps an all-zero dummy, which the ridge holds at 0.
            fitted = fit(known.successes, known.trials, known.design(features, groups))
            predictions[name][test] = predict(fitted, rows.take(test).design(features, groups)).probability
    return CrossValidation(
        scores=_score(rows, predictions, rng),
        predictions=predictions,
        ceiling=_ceiling(rows, predictions[MEAN]),
        n_rows=len(rows),
        n_concepts=n_concepts,
        folds=folds,
    )


def _share_out(rows: ConceptRows, rng: np.random.Generator, folds: int) -> tuple[IntArray, IntArray, int]:
    concepts = np.unique(np.concatenate([rows.target, rows.partner]))
    concepts = concepts[concepts != ""]
    if not 2 <= folds <= len(concepts):
        raise ValueError(f"{folds} folds for {len(concepts)} concepts")
    fold = np.empty(len(concepts), dtype=np.int64)
    fold[rng.permutation(len(concepts))] = np.arange(len(concepts)) % folds
    of_partner = fold[np.searchsorted(concepts, rows.partner)]
    of_partner[rows.partner == ""] = -1
    return fold[np.searchsorted(concepts, rows.target)], of_partner, len(concepts)


def _score(
    rows: ConceptRows, predictions: Mapping[str, FloatArray], rng: np.random.Generator
) -> tuple[ModelScore, ...]:
    codes = np.unique(rows.target, return_inverse=True)[1]
    n_targets = int(codes.max()) + 1
    names = list(predictions)
    losses = np.stack([_losses(rows, predictions[name]) for name in names])
    totals = np.stack([np.bincount(codes, weights=column) for column in losses.reshape(-1, len(rows))])
    trials = np.bincount(codes, weights=rows.trials)

    def statistic(weights: FloatArray) -> FloatArray:
        summed = (weights @ totals.T).reshape(len(weights), len(names), 3)
        asked = (weights @ trials)[:, None]
        mean_error = summed[:, [names.index(MEAN)], 0]
        # A draw of targets that the mean predicts exactly leaves nothing to explain.
        explained = np.where(mean_error > 0, 1 - summed[..., 0] / np.maximum(mean_error, 1e-300), np.nan)
        return np.stack([explained, summed[..., 1] / asked, 100 * summed[..., 2] / asked], axis=2)

    values = statistic(np.ones((1, n_targets)))[0]
    draws = resample(statistic, n_targets, rng)

    def estimate(model: int, column: int, what: str) -> Estimate:
        return percentile_interval(values[model, column], draws[:, model, column], n=n_targets, what=what)

    def gain(model: int, column: int, sign: int, what: str) -> dict[str, Estimate]:
        found = {}
        for other, baseline in enumerate(names[:model]):
            found[baseline] = percentile_interval(
                sign * (values[model, column] - values[other, column]),
                sign * (draws[:, model, column] - draws[:, other, column]),
                n=n_targets,
                what=f"{what} over {baseline!r}",
            )
        return found

    return tuple(
        ModelScore(
            model=name,
            r2=estimate(index, 0, "out-of-fold R2"),
            log_loss=estimate(index, 1, "log loss per trial, nats"),
            absolute_error=estimate(index, 2, "mean absolute error, points"),
            r2_gain=gain(index, 0, 1, "R2 gained"),
            log_loss_gain=gain(index, 1, -1, "log loss saved"),
        )
        for index, name in enumerate(names)
    )


def _losses(rows: ConceptRows, predicted: FloatArray) -> FloatArray:
    gap = rows.accuracy - predicted
    nats = -rows.successes * np.log(predicted) - (rows.trials - rows.successes) * np.log1p(-predicted)
    return np.stack([rows.trials * gap**2, nats, rows.trials * np.abs(gap)])


def _ceiling(rows: ConceptRows, mean: FloatArray) -> float | None:
    total = float(rows.trials @ (rows.accuracy - mean) ** 2)
    if rows.trials.min() < 2 or total == 0:
        return None
    noise = rows.trials @ (rows.accuracy * (1 - rows.accuracy) / (rows.trials - 1))
    return float(1 - noise / total)
