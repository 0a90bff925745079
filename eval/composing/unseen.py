"""Accuracy on sets of objects that a corpus never shows together, from the counts of each object alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from oddpair.eval.composing.object_features import CANDIDATES, MEAN_LOG, make_design, measure, tell_apart
from oddpair.eval.composing.objects import BoolArray, FloatArray, IntArray, ObjectSamples
from oddpair.eval.composing.unseen_choice import Choice, choose_features
from oddpair.eval.composing.unseen_control import Control, match_controls
from oddpair.eval.composing.unseen_errors import SharedObjects, tie
from oddpair.eval.composing.unseen_figures import (
    Baseline,
    Explained,
    compare_losses,
    explain,
    predict_baselines,
)
from oddpair.eval.intervals import Estimate
from oddpair.eval.logistic import Fit, fit

# Fewer seen sets than this of a model leave nothing to choose features on.
LEAST_SEEN_SETS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """How many samples a prediction is from and for.

    Attributes:
        seen: Samples whose objects the corpus shows together: the fit's.
        seen_sets: Their different sets of objects.
        unseen: Samples whose objects it never shows together: predicted.
        unseen_sets: Their different sets.
        single: Samples of one object, left out.
        unknown: Samples left out because a count was not made.
        absent: Unseen samples with an object that the corpus does not show at all; they are predicted too.
        outside: Unseen samples with a feature or number of objects beyond those of the fit: extrapolated.
    """

    seen: int
    seen_sets: int
    unseen: int
    unseen_sets: int
    single: int
    unknown: int
    absent: int
    outside: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnseenPrediction:
    """Accuracy on unseen sets as predicted by a fit on seen sets.

    Attributes:
        models: Models whose samples were used, each with a level of its own.
        corpus: Their corpus.
        samples: How many samples.
        choice: Which features of the counts were chosen, on the seen alone.
        coefficients: Of the fit, logits per unit of each feature.
        predicted: Mean prediction for the unseen samples.
        observed: Their mean accuracy.
        bias: Predicted minus observed, in points: above 0 unseen sets are harder than their objects' counts say.
        bias_inside: The same without extrapolated samples; ``None`` if none is left.
        explained: Variance explained, and calibration; ``None`` where accuracy does not vary.
        log_loss: Of the predictions, nats per sample.
        baselines: What knows no counts, on the same samples.
        control: Unseen beside seen sets with the same mean log count; ``None`` without two matches.
        rows: The unseen samples among those that were given, shape ``(n_unseen,)``.
        predictions: Predicted accuracy of each, shape ``(n_unseen,)``.
    """

    models: tuple[str, ...]
    corpus: str
    samples: Samples
    choice: Choice
    coefficients: Mapping[str, Estimate]
    predicted: float
    observed: float
    bias: Estimate
    bias_inside: Estimate | None
    explained: Explained | None
    log_loss: Estimate
    baselines: tuple[Baseline, ...]
    control: Control | None
    rows: IntArray
    predictions: FloatArray


def find_obstacle(samples: ObjectSamples) -> str | None:
    """Say why samples allow no prediction of unseen sets, in words; ``None`` if they do."""
    if len(samples.corpora) > 1:
        return f"they are of {len(samples.corpora)} corpora, what is unseen is so in one"
    unseen = np.unique(samples.key[samples.unseen])
    if len(unseen) < 2:
        return f"{len(unseen)} sets of objects are unseen, needed 2 or more"
    for model in samples.models:
        seen = np.unique(samples.key[samples.seen & (samples.model == model)])
        if len(seen) < LEAST_SEEN_SETS:
            return (
                f"{model} has samples of {len(seen)} seen sets of objects, needed {LEAST_SEEN_SETS} or more"
            )
    if not tell_apart(samples.take(samples.seen), (MEAN_LOG,)):
        return "the objects of all seen sets are equally frequent, needed counts that differ"
    return None


def predict_unseen(
    samples: ObjectSamples, candidates: Mapping[str, tuple[str, ...]] = CANDIDATES
) -> UnseenPrediction:
    """Fit accuracy on seen sets of objects from counts of single objects, and predict the unseen sets.

    The fit is a logistic regression with a level for each model. Its features are chosen by cross-validation over whole
    seen sets; no unseen sample has a part in the choice or the fit. Intervals take sets that share objects to go
    together, and hold for the features as chosen: the choice itself adds to the error.

    Args:
        samples: Samples of one corpus, of one model or more.
        candidates: Feature names by candidate, the simplest first.

    Returns:
        The predictions and how they compare with what was found.

    Raises:
        ValueError: If `find_obstacle` finds one, or no feature varies.

    References:
        Pairs, OpenReview NDXoM1wYgl: unseen combinations from frequencies of single objects.
    """
    obstacle = find_obstacle(samples)
    if obstacle is not None:
        raise ValueError(f"no prediction of unseen sets: {obstacle}")
    used = np.flatnonzero(samples.usable)
    usable = samples.take(used)
    shared = tie(usable)
    seen_rows, unseen_rows = np.flatnonzero(usable.seen), np.flatnonzero(usable.unseen)
    seen, unseen = usable.take(seen_rows), usable.take(unseen_rows)
    choice = choose_features(seen, candidates)
    design = make_design(seen, choice.columns, samples.models)
    fitted = fit(seen.correct, np.ones(len(seen)), design, shared.codes[seen_rows])
    influence = _spread_influence(fitted, shared, seen_rows)
    asked = make_design(unseen, choice.columns, samples.models)
    predictions = expit(asked @ fitted.coefficients)
    inside = ~_is_outside(seen, unseen, choice.columns)

    def bias(rows: BoolArray) -> Estimate:
        gap = predictions[rows] - unseen.correct[rows]
        slope = predictions[rows] * (1 - predictions[rows])
        moved = influence @ (slope @ asked[rows] / rows.sum())
        moved += shared.sum_up((gap - gap.mean()) / len(gap), unseen_rows[rows])
        return shared.interval(
            100 * gap.mean(), 100 * moved, n=len(gap), what="predicted minus observed accuracy, points"
        )

    losses, baselines = compare_losses(
        unseen.correct, predictions, predict_baselines(seen, unseen), shared, unseen_rows
    )
    levels = len(samples.models)
    return UnseenPrediction(
        models=samples.models,
        corpus=samples.corpora[0],
        samples=Samples(
            seen=len(seen),
            seen_sets=len(fitted.influence),
            unseen=len(unseen),
            unseen_sets=len(np.unique(shared.codes[unseen_rows])),
            single=int((samples.size == 1).sum()),
            unknown=int(((samples.size > 1) & ~samples.usable).sum()),
            absent=int((unseen.smallest == 0).sum()),
            outside=int((~inside).sum()),
        ),
        choice=choice,
        coefficients={
            name: shared.interval(
                float(fitted.coefficients[levels + place]),
                influence[:, levels + place],
                n=len(fitted.influence),
                what=f"logits per unit of {name}",
            )
            for place, name in enumerate(choice.columns)
        },
        predicted=float(predictions.mean()),
        observed=float(unseen.correct.mean()),
        bias=bias(np.ones(len(unseen), np.bool_)),
        bias_inside=bias(inside) if inside.any() else None,
        explained=explain(unseen.correct, predictions, shared, unseen_rows),
        log_loss=losses,
        baselines=baselines,
        control=match_controls(usable, shared),
        rows=used[unseen_rows],
        predictions=predictions,
    )


def _spread_influence(fitted: Fit, shared: SharedObjects, seen_rows: IntArray) -> FloatArray:
    """Place the influence of the seen sets, which the fit numbers among themselves, among all sets."""
    influence = np.zeros((shared.members.shape[0], len(fitted.coefficients)))
    influence[np.unique(shared.codes[seen_rows])] = fitted.influence
    return influence


def _is_outside(seen: ObjectSamples, unseen: ObjectSamples, columns: tuple[str, ...]) -> BoolArray:
    outside: BoolArray = (unseen.size < seen.size.min()) | (unseen.size > seen.size.max())
    for name in columns:
        known, asked = measure(seen, name), measure(unseen, name)
        outside |= (asked < known.min()) | (asked > known.max())
    return outside
