"""Accuracies of a model that nobody has tested: from its corpus' counts, one accuracy, and other models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from oddpair.eval.prediction.cells import Cells
from oddpair.eval.prediction.dispersion import find_intervals, fit_dispersion
from oddpair.eval.prediction.held_out import Prediction
from oddpair.eval.prediction.transfer_features import Shared, Transfer, find_transfer

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Coded = NDArray[np.float32]

# A correction is learned from how donors depart from each other; fewer would teach nothing.
FEWEST_DONORS = 4
_FEWEST_TEACHERS = 2
# Donors of like skill teach most: the weight falls off over this many logits of anchor accuracy.
_REACH = 0.35
# Of a dataset's common departure half is believed, and of the learned correction this share: few models, and many
# concepts that share what is peculiar to each.
_COMMON = 0.5
_BELIEVED = 0.7
_LEVELS = 60
_FARTHEST = 2.5


def predict_model(cells: Cells, shared: Shared, model: int, donors: IntArray, *, seed: int = 0) -> Prediction:
    """Predict all accuracies of a model from other models; of its own, the anchor's mean alone is read.

    The weighed mean of the donors is corrected by boosted trees that have learned, each donor in turn being predicted
    by the others, where a model departs from that mean: where its corpus holds a concept more often than theirs
    do, where the donors nearest to it in skill or in corpus disagree. Predictions of the anchor dataset are moved to
    its known mean.

    Args:
        cells: Models side by side.
        shared: As `find_shared` of these cells.
        model: The model.
        donors: Models that may be read, at least `FEWEST_DONORS`; leave out those of its corpus to predict a new one.
        seed: Of the trees' choice of features.

    Returns:
        Predicted accuracies of every concept, with intervals.

    Raises:
        ValueError: If there are too few donors or the model is among them.
    """
    if len(donors) < FEWEST_DONORS or model in donors:
        raise ValueError(f"{len(donors)} donors, at least {FEWEST_DONORS} other models are needed")
    strangers = not (cells.corpora[donors] == cells.corpora[model]).any()
    lessons = _give_lessons(cells, shared, model, donors, hide_corpus=strangers)
    if not lessons:
        # Donors of one corpus alone: nobody would be left to predict them without it.
        lessons = _give_lessons(cells, shared, model, donors, hide_corpus=False)
    own = find_transfer(cells, shared, model, donors)
    mean = own.mean
    if len(lessons) >= FEWEST_DONORS:
        mean = np.clip(mean + _learn(cells, model, lessons, own, seed), 0, 1)
    here = cells.dataset == cells.anchor
    if here.any():
        logits = logit(np.clip(mean[here], 0.002, 0.998))
        mean[here] = expit(logits + move_to_mean(logits, float(expit(cells.skill[model]))))
    return Prediction(
        mean=mean, interval=find_intervals(mean, _scatter(cells, model, lessons), cells.support)
    )


def _give_lessons(
    cells: Cells, shared: Shared, model: int, donors: IntArray, *, hide_corpus: bool
) -> dict[int, Transfer]:
    # A model of a new corpus is learned from donors whose corpus is hidden from them as well.
    lessons = {}
    for donor in _teachers(cells, model, donors):
        hidden = cells.corpora[donors] == cells.corpora[donor] if hide_corpus else donors == donor
        if (~hidden).sum() >= _FEWEST_TEACHERS:
            lessons[donor] = find_transfer(cells, shared, donor, donors[~hidden])
    return lessons


def _teachers(cells: Cells, model: int, donors: IntArray) -> list[int]:
    # Models of quite another skill would weigh next to nothing.
    away = np.abs(cells.skill[donors] - cells.skill[model])
    order = np.argsort(away, kind="stable")
    near = donors[order][(away[order] < _FARTHEST * _REACH) | (np.arange(len(donors)) < 2 * FEWEST_DONORS)]
    return sorted(near.tolist())


def _learn(cells: Cells, model: int, lessons: Mapping[int, Transfer], own: Transfer, seed: int) -> FloatArray:
    from sklearn.ensemble import HistGradientBoostingRegressor

    features, departures, weights = [], [], []
    for donor, lesson in lessons.items():
        known = ~np.isnan(cells.accuracy[:, donor])
        departure = np.where(known, cells.accuracy[:, donor] - lesson.mean, 0.0)
        common = cells.mean_by_dataset(departure) / np.maximum(cells.mean_by_dataset(known * 1.0), 1e-9)
        near = np.exp(-0.5 * ((cells.skill[donor] - cells.skill[model]) / _REACH) ** 2) + 0.05
        if cells.counted[donor] != cells.counted[model]:
            near *= 0.5
        features.append(lesson.features[known])
        departures.append((departure - (1 - _COMMON) * common)[known])
        weights.append(np.full(int(known.sum()), near))
    weight = np.concatenate(weights)
    met, asked = _code(np.concatenate(features), own.features)
    trees = HistGradientBoostingRegressor(
        max_iter=80,
        learning_rate=0.1,
        max_bins=64,
        max_leaf_nodes=16,
        min_samples_leaf=max(20, len(weight) // 150),
        l2_regularization=100,
        max_features=0.2,
        early_stopping=False,
        random_state=seed,
    )
    trees.fit(met, np.concatenate(departures), sample_weight=weight / weight.mean())
    learned: FloatArray = _BELIEVED * trees.predict(asked)
    return learned


def _code(met: Coded, asked: Coded) -> tuple[Coded, Coded]:
    # Weighted quantiles of every column would take the trees ten times as long as growing does.
    coded, wanted = np.empty_like(met), np.empty_like(asked)
    for column in range(met.shape[1]):
        edges = np.unique(np.quantile(met[:, column], np.arange(1, _LEVELS) / _LEVELS))
        coded[:, column] = np.searchsorted(edges, met[:, column])
        wanted[:, column] = np.searchsorted(edges, asked[:, column])
    return coded, wanted


def _scatter(cells: Cells, model: int, lessons: Mapping[int, Transfer]) -> FloatArray:
    # From the models of like skill, which scatter alike.
    near = sorted(lessons, key=lambda donor: abs(cells.skill[donor] - cells.skill[model]))
    near = near[: max(FEWEST_DONORS, len(near) // 2)]
    means, accuracies, supports, groups = [], [], [], []
    for donor in near:
        known = ~np.isnan(cells.accuracy[:, donor])
        means.append(lessons[donor].mean[known])
        accuracies.append(cells.accuracy[known, donor])
        supports.append(cells.support[known])
        groups.append(cells.dataset[known])
    scatter = fit_dispersion(
        np.concatenate(means),
        np.concatenate(accuracies),
        np.concatenate(supports),
        np.concatenate(groups),
        int(cells.dataset.max()) + 1,
    )
    return scatter[cells.dataset]


def move_to_mean(logits: FloatArray, wanted: float) -> float:
    """Find the shift of logits that gives their rates that mean.

    >>> round(move_to_mean(np.array([0.0, 0.0]), 0.75), 6)
    1.098612
    """
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(logits + middle).mean() < wanted else (low, middle)
    return low
