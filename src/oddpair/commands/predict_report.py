"""What a report of predictions holds: plain data for its page and its plots, every part of which may be empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.explaining.add import Additions
from oddpair.eval.explaining.compare_forms import FormComparison
from oddpair.eval.explaining.decades import Decade
from oddpair.eval.intervals import Estimate

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something to know before the numbers are read.

    Attributes:
        title: Its kind in a few words, such as ``Datasets explain more than counts``; cautions of one title stand
            together.
        text: What was found, with its numbers.
        about: Model or count that it is about; ``""`` for the whole table.
    """

    title: str
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Accuracy that was observed where something else has some value.

    Attributes:
        at: That value: a predicted accuracy, or a PMI in nats.
        observed: Mean accuracy with its interval.
    """

    at: float
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Predicted accuracy along the count, for a concept of average difficulty.

    Attributes:
        count: Counts, rising; 0 is drawn apart, shape ``(m,)``.
        accuracy: Predicted accuracy, 0 to 1, shape ``(m,)``.
        low: Lower end of its 95 % band, shape ``(m,)``.
        high: Upper end, shape ``(m,)``.
    """

    count: FloatArray
    accuracy: FloatArray
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        _check_shapes(self, "count")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelReport:
    """What one model's accuracies look like along the count of its concepts.

    Attributes:
        name: The model.
        corpus: What it was trained on.
        count: Count of each row, NaN where none was made, shape ``(n,)``.
        accuracy: Accuracy of each row, 0 to 1, shape ``(n,)``.
        decades: Means by decade of the count.
        curve: What is predicted along the count; ``None`` for nothing.
    """

    name: str
    corpus: str
    count: FloatArray
    accuracy: FloatArray
    decades: tuple[Decade, ...]
    curve: Curve | None = None

    def __post_init__(self) -> None:
        if self.accuracy.shape != self.count.shape:
            raise ValueError(f"accuracy has shape {self.accuracy.shape}, count has {self.count.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well something predicts what was held out; NaN where that is not known.

    Attributes:
        r2: R2 of the held-out rows; ends without bound where no interval was made.
        mae: Mean absolute error, a fraction.
        coverage90: Share of rows within their 90 % intervals.
        interval_score: Mean score of these intervals, lower is better.
    """

    r2: Estimate
    mae: float
    coverage90: float
    interval_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScores:
    """Scores of one model, or their mean over models.

    Attributes:
        name: The model.
        ours: Scores of the predictor.
        baselines: Those of plain predictions on the same rows, by their name.
    """

    name: str
    ours: Score
    baselines: Mapping[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Predicted accuracies, one row per model, dataset and concept; NaN for a number that is not known.

    Attributes:
        model: Model of the row, shape ``(n,)``.
        dataset: Test set, shape ``(n,)``.
        concept: Class of the test set, shape ``(n,)``.
        observed: Accuracy, 0 to 1, shape ``(n,)``; NaN for one that is to be predicted.
        predicted: Prediction, 0 to 1, shape ``(n,)``.
        low: Lower end of its 90 % interval, shape ``(n,)``.
        high: Upper end, shape ``(n,)``.
        n: Samples behind the accuracy, shape ``(n,)``.
        count: Count of the concept in the model's corpus, shape ``(n,)``.
        outside: Whether the row lies beyond what was fitted on, shape ``(n,)``.
    """

    model: Names
    dataset: Names
    concept: Names
    observed: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    n: FloatArray
    count: FloatArray
    outside: BoolArray

    def __post_init__(self) -> None:
        _check_shapes(self, "model")

    def __len__(self) -> int:
        return len(self.model)

    def take(self, rows: BoolArray | IntArray) -> Predictions:
        """The rows of a mask or of indices, in that order."""
        return replace(self, **{each.name: getattr(self, each.name)[rows] for each in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What was predicted without having been fitted on.

    Attributes:
        what: What was held out, in the plural: ``concepts``, ``datasets`` or ``models``.
        scores: One per model.
        mean: Their mean over models; ``None`` for none.
        predictions: The predictions themselves; ``None`` leaves out calibration and residuals.
    """

    what: str
    scores: tuple[ModelScores, ...]
    mean: ModelScores | None = None
    predictions: Predictions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PmiCurve:
    """Accuracy along the PMI of a model's concepts.

    Attributes:
        name: The model.
        points: Mean accuracy in bins of the PMI, rising.
        gap: Accuracy of the highest PMI minus that of the lowest; ``None`` where it is not known.
        matched_gap: The same at matched counts.
    """

    name: str
    points: tuple[Point, ...]
    gap: Estimate | None = None
    matched_gap: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnseenSets:
    """Sets of concepts that the corpus never shows together, predicted from their single counts.

    Attributes:
        name: Model, or corpus of several.
        predicted: Predicted accuracy of each set, 0 to 1, shape ``(s,)``.
        observed: Its accuracy, shape ``(s,)``.
        n: Samples behind it, shape ``(s,)``.
        points: Means of equally filled bins of the prediction.
        r2: R2 over the samples; ``None`` where it is not known.
    """

    name: str
    predicted: FloatArray
    observed: FloatArray
    n: FloatArray
    points: tuple[Point, ...] = ()
    r2: Estimate | None = None

    def __post_init__(self) -> None:
        for name in ("observed", "n"):
            if getattr(self, name).shape != self.predicted.shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}, predicted has {self.predicted.shape}"
                )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """A report of predictions.

    Attributes:
        title: Heading of its page.
        lead: What was predicted from what, in a sentence or two.
        cautions: What stands before all numbers.
        models: Accuracy along the count, by model.
        count_name: What the counts are, such as ``samples that name and show the concept``.
        held_out: Scores by what was held out; residuals are those of the first that has predictions.
        forms: Which form of the curve predicts best.
        pmi: Accuracy along PMI.
        unseen: Predictions for unseen sets.
        additions: What to add to the corpus, by model.
        predictions: Rows whose accuracy was not known.
    """

    title: str
    lead: str
    cautions: tuple[Caution, ...] = ()
    models: tuple[ModelReport, ...] = ()
    count_name: str = "count of the concept"
    held_out: tuple[HeldOut, ...] = ()
    forms: FormComparison | None = None
    pmi: tuple[PmiCurve, ...] = ()
    unseen: tuple[UnseenSets, ...] = ()
    additions: Mapping[str, Additions] = field(default_factory=lambda: MappingProxyType({}))
    predictions: Predictions | None = None


def _check_shapes(columns: Any, first: str) -> None:
    wanted = getattr(columns, first).shape
    for each in fields(columns):
        found = getattr(columns, each.name).shape
        if found != wanted or len(found) != 1:
            raise ValueError(f"{each.name} has shape {found}, {first} has {wanted}")
