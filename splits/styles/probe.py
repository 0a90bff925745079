"""Two linear classifiers, each of one style against all other rows: as a probe, or as an estimate of a density ratio."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.styles.features import StyleFeatures
from oddpair.splits.styles.kernel import add_weighted_sums
from oddpair.splits.styles.scorer import CODE, PROBED, Codes, Scores, StyleScorer, need_both

_PENALTY = 0.1  # sklearn's C: the probes see about as many features as rows of a class
_FOLDS = 5
_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScores:
    """Scores that are weighted sums of features: ``features @ weights.T + intercepts``.

    Attributes:
        weights: Shape ``(c, d)``.
        intercepts: Shape ``(c,)``.
    """

    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]


def fit_probe(
    features: StyleFeatures, rows: IntArray, codes: Codes, *, balanced: bool = False
) -> StyleScorer:
    """Fit a natural and a rendition probe, each against all other rows, ambiguous ones among them.

    Logistic regressions on standardised embeddings and textures. A score is the log odds of the class among the
    labelled rows. Balanced, both sides weigh as much, and a score is the log of a density ratio: how much likelier a row
    is among those of the class than among the others.

    Args:
        features: Of the corpus.
        rows: The labelled rows, shape ``(n,)``; in the same order they give the same probes.
        codes: Their labels, shape ``(n,)``.
        balanced: Whether to weigh the two sides alike, as density ratios do.

    Returns:
        What scores rows.

    Raises:
        Refusal: If no row is natural, or none is a rendition.

    References:
        Cohen-Wang, Vendrow and Madry, Ask your distribution shift if pre-training is right for you, 2024,
        arXiv:2403.00194 (density ratios).
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    need_both(codes)
    x = features.fetch(rows)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1.0
    z = (x - mean) / scale
    weight = "balanced" if balanced else None
    probes = []
    unseen = np.empty((len(codes), len(PROBED)))
    # One thread: several give other last bits on other machines, and are slower on matrices this small.
    with threadpool_limits(1):
        for column, name in enumerate(PROBED):
            truth = codes == CODE[name]
            probe = LogisticRegression(C=_PENALTY, max_iter=2000, class_weight=weight)
            unseen[:, column] = _unseen_scores(probe, z, truth)
            probes.append(probe.fit(z, truth))
    weights = np.stack([probe.coef_[0] / scale for probe in probes])
    intercepts = np.array([probe.intercept_[0] for probe in probes]) - weights @ mean
    linear = LinearScores(weights=weights, intercepts=intercepts)
    return StyleScorer(score=functools.partial(score_linear, linear), unseen=unseen, codes=codes)


def score_linear(linear: LinearScores, features: StyleFeatures) -> Scores:
    """Score every row of some features, which are read some at a time.

    Args:
        linear: The weights of all parts of the features, or of the embeddings alone.
        features: Of ``n`` rows.

    Returns:
        Shape ``(n, c)``.

    Raises:
        ValueError: If the features have another dimension.
        Refusal: If a number is not finite.
    """
    width = linear.weights.shape[1]
    ends = np.cumsum(features.widths)
    parts = int(np.searchsorted(ends, width)) + 1
    if parts > len(ends) or ends[parts - 1] != width:
        raise ValueError(f"features have dimensions {features.widths}, the classifier has {width}")
    scores = np.tile(linear.intercepts, (len(features), 1))
    weights = [np.ascontiguousarray(each) for each in np.split(linear.weights, ends[: parts - 1], axis=1)]

    def score(block: slice) -> None:
        for part, weight in zip(features.parts, weights, strict=False):
            bad = add_weighted_sums(part.read(block.start, block.stop), weight, scores[block])
            if bad is not None:
                raise Refusal(
                    f"{features.image.tell_place(block.start + bad)} has a feature that is not finite: embed again"
                )

    # Some read while the others add.
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(score, features.blocks()):
            pass
    return scores


def _unseen_scores(probe: object, z: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = min(_FOLDS, int(truth.sum()), int((~truth).sum()))
    if folds < 2:  # one row of a class: no fold can be scored, every start is as good as another
        return np.zeros(len(truth))
    found: NDArray[np.float64] = cross_val_predict(
        clone(probe),
        z,
        truth,
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
        method="decision_function",
    )
    return found
