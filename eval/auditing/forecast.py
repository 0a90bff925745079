"""Accuracy on a test set that no model has met, foretold from counts, with the band by which a model's datasets were off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from oddpair.engines import one_thread
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.features import find_features
from oddpair.eval.prediction.held_out import DATASETS, Rows, predict_held_out
from oddpair.eval.prediction.table import AccuracyTable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEWEST_DATASETS = 3
_STEPS = 401
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """What a test set shows, with one set of counts.

    Attributes:
        concepts: Names of its concepts, shape ``(n,)``.
        counts: Captions with each, shape ``(n,)``.
        images: Test images whose rarest concept it is, shape ``(n,)``; an image stands for one concept.
    """

    concepts: NDArray[np.str_]
    counts: IntArray
    images: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """What is foretold of one or more sets of counts for one test set.

    Attributes:
        means: Mean accuracy for each, with the band.
        differences: The first less each of them, with the band; the first is nothing.
        offsets: By how much each known dataset lay above its own prediction, in logits, in order of name.
    """

    means: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    offsets: FloatArray


def forecast(known: AccuracyTable, support: FloatArray, shown: Sequence[Shown]) -> Forecast:
    raise NotImplementedError


def predict_shown(
    known: AccuracyTable, support: FloatArray, shown: Sequence[Shown]
) -> tuple[FloatArray, list[FloatArray]]:
    n = len(known)
    blank = np.full(sum(len(one.concepts) for one in shown), np.nan)
    columns = {
        "model": np.full(len(blank), known.model[0]),
        "corpus": np.full(len(blank), known.corpus[0]),
        "dataset": np.repeat([f"\1{k}" for k in range(len(shown))], [len(one.concepts) for one in shown]),
        "concept": np.concatenate([one.concepts for one in shown]),
        "accuracy": blank,
        "n": np.concatenate([np.maximum(one.images, 1) for one in shown]).astype(np.float64),
        "count_text": np.concatenate([one.counts for one in shown]).astype(np.float64),
    }
    none = np.full(n + len(blank), np.nan)
    table = AccuracyTable(
        **{name: np.concatenate([known.columns()[name], columns[name]]) for name in columns},
        count_image=none,
        count_joint=none,
        pmi=none,
    )
    features = find_features(table)
    rows = Rows(
        features=features,
        accuracy=table.accuracy,
        support=np.concatenate([support, columns["n"]]),
        chance=1 / np.bincount(features.dataset)[features.dataset],
    )
    with one_thread():
        mean = predict_held_out(rows, features.dataset, DATASETS, whole_datasets=True).mean
    ends = np.cumsum([n, *(len(one.concepts) for one in shown)])
    return mean[:n], [mean[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
