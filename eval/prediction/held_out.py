"""Accuracies of concepts and datasets that a model's fit has not met, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.prediction.dispersion import Interval, find_intervals, fit_dispersion
from oddpair.eval.prediction.features import ConceptFeatures
from oddpair.eval.prediction.kernel import Pooling, make_basis, make_kernel
from oddpair.eval.prediction.logits import fit_logits, rate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Chosen by held-out scores on the published tables, where halving or doubling any of them moves the mean R2 by
# less than .004, but for the length (.01 for concepts, .02 for datasets). A new concept meets others of its dataset;
# a new dataset has only what all datasets share.
CONCEPTS = Pooling(
    dataset=0.9,
    curve=0.45,
    curve_in_dataset=0.45,
    word=0.15,
    word_in_dataset=0.15,
    length=2.5,
    rank=3.0,
    spread=0.0,
)
DATASETS = Pooling(
    dataset=0.03,
    curve=1.2,
    curve_in_dataset=0.0,
    word=0.12,
    word_in_dataset=0.0,
    length=4.0,
    rank=0.0,
    spread=1.0,
)
# Parts that each training set is cut in, to see how far accuracies lie from predictions of a fit without them.
_INNER = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """Predicted accuracies of ``n`` rows.

    Attributes:
        mean: Predicted accuracy, 0 to 1, shape ``(n,)``; NaN where the row was not predicted.
        interval: Where nine in ten accuracies should lie.
    """

    mean: FloatArray
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows of one model, and what is known of them beside their features.

    Attributes:
        features: Their features.
        accuracy: Accuracy, NaN where unknown, shape ``(n,)``.
        support: Samples behind it, shape ``(n,)``.
        chance: Accuracy of a blind guess, shape ``(n,)``.
    """

    features: ConceptFeatures
    accuracy: FloatArray
    support: FloatArray
    chance: FloatArray


def predict_held_out(rows: Rows, part: IntArray, pooling: Pooling, *, whole_datasets: bool) -> Prediction:
    """Predict each part of the rows by a fit that has met none of it.

    Scatter is measured within the training rows: they are cut in three, and each third is predicted by a fit
    without it and without the part in question.

    Args:
        rows: The rows; unknown accuracies are predicted, by all that is known, and never trained on.
        part: Part of each row, 0 and up, shape ``(n,)``. Rows of one concept, or of one dataset, are in one.
        pooling: What is shared among concepts.
        whole_datasets: Whether parts are datasets: their scatter is then one for all, not each dataset's own.

    Returns:
        Predictions of all rows.

    Raises:
        ValueError: If a part is all there is.
    """
    known = ~np.isnan(rows.accuracy)
    names = np.unique(part)
    # The last problem leaves nothing out: for rows of unknown accuracy whose part is not wholly unknown.
    tests = np.column_stack([part[:, None] == names[None, :], np.zeros(len(part), dtype=np.bool_)])
    # Neighbouring parts stay together, in thirds that turn with the part left out.
    order = (np.searchsorted(names, part)[:, None] - np.arange(len(names) + 1)[None, :]) % len(names)
    third = (order - 1) * _INNER // max(1, len(names) - 1)
    trained = [known[:, None] & ~tests]
    trained += [trained[0] & (third != inner) for inner in range(_INNER)]
    for one in trained[1:]:
        # Too few parts to be cut in three: what is left is used whole.
        empty = ~one.any(axis=0)
        one[:, empty] = trained[0][:, empty]
    columns = np.concatenate(trained, axis=1)
    basis = make_basis(make_kernel(rows.features, pooling))
    fitted = fit_logits(
        basis,
        np.repeat(rows.accuracy[:, None], columns.shape[1], axis=1),
        rows.support,
        rows.chance,
        columns,
    )
    mean = rate(fitted.eta, fitted.guess * rows.chance[:, None], pooling.spread)
    n = len(names) + 1
    outer, inner = mean[:, :n], [mean[:, (k + 1) * n : (k + 2) * n] for k in range(_INNER)]
    group = np.zeros(len(part), dtype=np.int64) if whole_datasets else rows.features.dataset
    found = np.empty(len(part))
    dispersion = np.empty(len(part))
    partly = np.isin(part, part[known])
    for column in range(n):
        left = tests[:, column]
        test = (left & (known | ~partly)) if column < len(names) else ~known & partly
        found[test] = outer[test, column]
        left_out = [known & ~left & (third[:, column] == k) for k in range(_INNER)]
        met = np.concatenate([np.flatnonzero(mask) for mask in left_out])
        foretold = np.concatenate([inner[k][left_out[k], column] for k in range(_INNER)])
        scatter = fit_dispersion(
            foretold, rows.accuracy[met], rows.support[met], group[met], int(group.max()) + 1
        )
        dispersion[test] = scatter[group[test]]
    return Prediction(mean=found, interval=find_intervals(found, dispersion, rows.support))
