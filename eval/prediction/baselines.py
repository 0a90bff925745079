"""Plain predictors of accuracy that any other has to beat, on the same folds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from oddpair.eval.prediction.dispersion import COVERAGE, Interval
from oddpair.eval.prediction.features import ConceptFeatures
from oddpair.eval.prediction.held_out import Prediction

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

GLOBAL_MEAN = "global mean"
DATASET_MEAN = "dataset mean"
DATASET_AND_COUNT = "dataset mean + log joint count"
DATASET_AND_COUNTS = "dataset mean + all log counts"
TEXT, IMAGE, JOINT = 0, 1, 2
# Columns of counts, whether datasets have means of their own, and whether the curve is isotonic.
_LINES: Mapping[str, tuple[tuple[int, ...], bool, bool]] = MappingProxyType(
    {
        GLOBAL_MEAN: ((), False, False),
        "log image count": ((IMAGE,), False, False),
        "log text count": ((TEXT,), False, False),
        "log joint count": ((JOINT,), False, False),
        "all log counts": ((TEXT, IMAGE, JOINT), False, False),
        "isotonic joint count": ((JOINT,), False, True),
        "isotonic image count": ((IMAGE,), False, True),
        DATASET_MEAN: ((), True, False),
        DATASET_AND_COUNT: ((JOINT,), True, False),
        DATASET_AND_COUNTS: ((TEXT, IMAGE, JOINT), True, False),
    }
)


def predict_by_baselines(
    features: ConceptFeatures, accuracy: FloatArray, part: IntArray
) -> dict[str, Prediction]:
    """Predict each part by plain fits on the others: means, lines and isotonic curves, by least squares.

    Intervals are the mean plus and minus 1.645 residual standard deviations of the training rows, cut at 0 and 1.
    A dataset without training rows has the mean of all training rows.

    Args:
        features: Features of the rows; missing counts are filled there.
        accuracy: Accuracy, NaN where unknown, shape ``(n,)``.
        part: Part of each row, shape ``(n,)``.

    Returns:
        Predictions by name, the plainest first.
    """
    found = {}
    known = ~np.isnan(accuracy)
    for name, (columns, by_dataset, isotonic) in _LINES.items():
        mean, spread = np.empty(len(part)), np.empty(len(part))
        for number in np.unique(part).tolist():
            test, train = part == number, known & (part != number)
            if isotonic:
                fitted = _isotonic(features.counts[:, columns[0]], accuracy, train)
                n_parameters = 2
            else:
                fitted, n_parameters = _line(features, columns, by_dataset, accuracy, train)
            mean[test] = fitted[test]
            free = max(1, int(train.sum()) - n_parameters)
            spread[test] = np.sqrt(((accuracy - fitted)[train] ** 2).sum() / free)
        reach = ndtri((1 + COVERAGE) / 2) * spread
        found[name] = Prediction(
            mean=mean,
            interval=Interval(low=np.clip(mean - reach, 0, 1), high=np.clip(mean + reach, 0, 1)),
        )
    return found


def _line(
    features: ConceptFeatures,
    columns: tuple[int, ...],
    by_dataset: bool,
    accuracy: FloatArray,
    train: BoolArray,
) -> tuple[FloatArray, int]:
    counts = features.counts[:, list(columns)]
    if not by_dataset:
        design = np.column_stack([np.ones(len(train)), counts])
    else:
        codes = features.dataset
        seen = np.bincount(codes[train], minlength=int(codes.max()) + 1)
        dummies = (codes[:, None] == np.flatnonzero(seen)[None, :]).astype(np.float64)
        dummies[seen[codes] == 0] = seen[seen > 0] / seen.sum()
        design = np.column_stack([dummies, counts])
    coefficients = np.linalg.lstsq(design[train], accuracy[train], rcond=None)[0]
    fitted: FloatArray = design @ coefficients
    return fitted, design.shape[1]


def _isotonic(x: FloatArray, accuracy: FloatArray, train: BoolArray) -> FloatArray:
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(out_of_bounds="clip").fit(x[train], accuracy[train])
    return np.asarray(curve.predict(x), dtype=np.float64)
