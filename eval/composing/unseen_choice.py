"""Which feature of single counts predicts seen sets best, on sets that the fit has not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from oddpair.eval.composing.object_features import CANDIDATES, WITH_PMI, make_design, tell_apart
from oddpair.eval.composing.objects import FloatArray, IntArray, ObjectSamples
from oddpair.eval.composing.unseen_errors import tie
from oddpair.eval.intervals import Estimate
from oddpair.eval.logistic import fit
from oddpair.eval.prediction.table import fold_of

# Keeps the loss of a certain and wrong prediction finite.
_CERTAIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureScore:
    """How well some features predict seen sets that the fit has not met.

    Attributes:
        name: The features.
        columns: Likewise, one by one.
        log_loss: Mean over samples, in nats.
        worse: How much that is above the chosen features' loss, with an interval.
    """

    name: str
    columns: tuple[str, ...]
    log_loss: float
    worse: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The features that were chosen, and how the others did.

    Attributes:
        columns: The chosen ones.
        scores: Of every candidate that the samples can tell, in the order of the candidates.
        pmi: What PMI would add to the mean log count on seen sets; ``None`` where it is not known for all. It is never
            chosen: an unseen set has none.
    """

    columns: tuple[str, ...]
    scores: tuple[FeatureScore, ...]
    pmi: FeatureScore | None


def choose_features(seen: ObjectSamples, candidates: Mapping[str, tuple[str, ...]] = CANDIDATES) -> Choice:
    """Choose the features whose fits have the smallest log loss on whole sets of objects that were held out.

    A set is in one of ten folds by the SHA-256 of its objects' names, whoever asks.

    Args:
        seen: Samples whose objects the corpus shows together, of one corpus.
        candidates: Feature names by candidate, the simplest first.

    Returns:
        The choice.

    Raises:
        ValueError: If no candidate varies, or a fold holds all samples of a model.
    """
    told = {name: columns for name, columns in candidates.items() if tell_apart(seen, columns)}
    if not told:
        raise ValueError(
            f"none of {list(candidates)} varies over {len(seen)} seen samples, needed one that does"
        )
    fold = share_out(seen)
    losses = {
        name: log_loss(seen.correct, predict_held_out(seen, columns, fold)) for name, columns in told.items()
    }
    # Rounded, so that candidates that differ in the last bits are equal and the simplest is chosen.
    best = min(losses, key=lambda name: round(float(losses[name].mean()), 9))
    shared = tie(seen)

    def score(name: str, columns: tuple[str, ...], loss: FloatArray) -> FeatureScore:
        worse = shared.mean(loss - losses[best], what="log loss above the chosen features', nats")
        return FeatureScore(name=name, columns=columns, log_loss=float(loss.mean()), worse=worse)

    pmi = None
    if tell_apart(seen, WITH_PMI):
        pmi = score(
            ", ".join(WITH_PMI), WITH_PMI, log_loss(seen.correct, predict_held_out(seen, WITH_PMI, fold))
        )
    return Choice(
        columns=told[best],
        scores=tuple(score(name, columns, losses[name]) for name, columns in told.items()),
        pmi=pmi,
    )


def share_out(seen: ObjectSamples) -> IntArray:
    """Fold of each sample, 0 to 9, by the SHA-256 of its set of objects, shape ``(n,)``."""
    keys, codes = np.unique(seen.key, return_inverse=True)
    return np.array([fold_of(key) for key in keys.tolist()], np.int64)[codes.reshape(-1)]


def predict_held_out(seen: ObjectSamples, columns: tuple[str, ...], fold: IntArray) -> FloatArray:
    """Predict each sample by a fit without its fold, shape ``(n,)``.

    Raises:
        ValueError: If a fold holds all samples of a model.
    """
    design = make_design(seen, columns, seen.models)
    predicted = np.empty(len(seen))
    for held in np.unique(fold).tolist():
        test = fold == held
        for model in np.unique(seen.model[test]).tolist():
            if not (seen.model[~test] == model).any():
                raise ValueError(f"fold {held} holds all seen samples of {model!r}, needed sets in two folds")
        fitted = fit(seen.correct[~test], np.ones(int((~test).sum())), design[~test])
        predicted[test] = expit(design[test] @ fitted.coefficients)
    return predicted


def log_loss(correct: FloatArray, predicted: FloatArray) -> FloatArray:
    """Log loss of each sample in nats, of predictions that are moved away from 0 and 1 by a millionth.

    >>> log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.0])).round(4)
    array([0.6931, 0.    ])
    """
    share = np.clip(predicted, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(-correct * np.log(share) - (1 - correct) * np.log1p(-share), np.float64)
