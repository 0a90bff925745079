"""Every model of a table predicted on what was held out: concepts, datasets, and the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from oddpair.engines import one_thread, open_engine
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.baselines import predict_by_baselines
from oddpair.eval.prediction.cells import Cells, drop_counts, find_anchor, find_cells
from oddpair.eval.prediction.dispersion import Interval
from oddpair.eval.prediction.features import ConceptFeatures, find_features
from oddpair.eval.prediction.held_out import CONCEPTS, DATASETS, Prediction, Rows, predict_held_out
from oddpair.eval.prediction.new_models import FEWEST_DONORS, move_to_mean, predict_model
from oddpair.eval.prediction.scoring import Score, compare_r2, score
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.transfer_features import Shared, find_shared

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

OTHER_MODELS = "mean of the other models"
OTHER_MODELS_MOVED = "mean of the other models, moved to the anchor"
WITHOUT_COUNTS = "ours without counts"
WITHOUT_CORPUS = "ours without the models of its corpus"
# Fewer concepts or datasets make folds of next to nothing.
_FEWEST_ROWS = 30
_FEWEST_DATASETS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """One kind of held-out predictions of one model.

    Attributes:
        prediction: Ours, row by row.
        score: Its scores; ``None`` where accuracies do not vary.
        baselines: Scores of others on the same rows, by name.
    """

    prediction: Prediction
    score: Score | None
    baselines: Mapping[str, Score | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelValidation:
    """A model predicted in three ways; ``None`` where the table is too small for one.

    Attributes:
        rows: Its rows of the table, shape ``(n,)``.
        features: Their features.
        support: Samples behind them, shape ``(n,)``.
        concepts: Whole concepts held out, in ten folds by name.
        datasets: Whole datasets held out.
        model: The model held out: predicted from the other models.
    """

    rows: IntArray
    features: ConceptFeatures
    support: FloatArray
    concepts: HeldOut | None
    datasets: HeldOut | None
    model: HeldOut | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validation:
    """All models of a table predicted on what was held out.

    Attributes:
        anchor: Dataset whose mean accuracy is known of a held-out model.
        models: By name.
        counts_gain: Mean R2 of held-out models less that without counts; ``None`` where they are too few.
    """

    anchor: str
    models: Mapping[str, ModelValidation]
    counts_gain: Estimate | None


def validate(
    table: AccuracyTable,
    support: FloatArray,
    *,
    anchor: str | None = None,
    top1: Mapping[str, float] | None = None,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Validation:
    """Predict every model on held-out concepts, on held-out datasets, and from the other models.

    Concepts and datasets are predicted from counts, names, class lists and the same model's accuracies on the
    others. A held-out model is predicted from other models, its corpus' counts and its anchor accuracy. Names of
    datasets and models group rows and are nothing else. Rows of unknown accuracy are predicted and train nothing.

    Args:
        table: The table.
        support: Samples behind each row, shape ``(len(table),)``.
        anchor: Dataset that stands for a model's skill; default as `find_anchor`.
        top1: Anchor accuracy of models without rows of it.
        workers: Processes; the predictions do not depend on it.
        advance: Called after each of the up to ``2 * len(table.models)`` steps.

    Returns:
        Predictions and scores.

    Raises:
        ValueError: If the anchor is not in the table, or a model's accuracy on it is not known.
    """
    anchor = find_anchor(table, anchor)
    across = _prepare(table, support, anchor, top1 or {})
    tasks = [_Inside(rows=rows, table=table.take(rows), support=support[rows]) for rows in _rows_of(table)]
    jobs: list[_Inside | _Task] = [*tasks, *across.tasks]
    done = _run(jobs, min(workers, len(jobs)), advance)
    inside = [one for one in done if isinstance(one, ModelValidation)]
    outside = {one.name: one for one in done if isinstance(one, _Outside)}
    models = {
        name: replace(one, model=outside[name].held_out if name in outside else None)
        for name, one in zip(table.models, inside, strict=True)
    }
    return Validation(anchor=anchor, models=models, counts_gain=_gain(across.cells, outside))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Inside:
    """A model to be predicted from itself."""

    rows: IntArray
    table: AccuracyTable
    support: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    """A model to be predicted from others."""

    name: str
    model: int
    here: IntArray
    donors: IntArray
    cells: Cells
    plain: Cells
    shared: Shared
    shared_plain: Shared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outside:
    name: str
    model: int
    held_out: HeldOut
    ours: FloatArray
    without_counts: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Across:
    cells: Cells | None
    tasks: tuple[_Task, ...]


def _rows_of(table: AccuracyTable) -> list[IntArray]:
    return [np.flatnonzero(table.model == name) for name in table.models]


def _run(
    jobs: Sequence[_Inside | _Task], workers: int, advance: Callable[[], None]
) -> list[ModelValidation | _Outside]:
    # One thread each, alone or side by side: sums of another order would differ in the last digits.
    done = []
    if workers < 2:
        with one_thread():
            for job in jobs:
                done.append(_work(job))
                advance()
        return done
    with open_engine(None, workers) as executor:
        waiting = [executor.submit(_work, job) for job in jobs]
        for future in waiting:
            done.append(future.result())
            advance()
    return done


def _work(job: _Inside | _Task) -> ModelValidation | _Outside:
    return _hold_out_inside(job) if isinstance(job, _Inside) else _hold_out_model(job)


def _hold_out_inside(job: _Inside) -> ModelValidation:
    features = find_features(job.table)
    data = Rows(
        features=features,
        accuracy=job.table.accuracy,
        support=job.support,
        chance=1 / np.bincount(features.dataset)[features.dataset],
    )
    return ModelValidation(
        rows=job.rows,
        features=features,
        support=job.support,
        concepts=_hold_out_concepts(data, job.table),
        datasets=_hold_out_datasets(data),
        model=None,
    )


def _hold_out_concepts(data: Rows, rows: AccuracyTable) -> HeldOut | None:
    if rows.known.sum() < _FEWEST_ROWS or len(np.unique(rows.fold[rows.known])) < _FEWEST_DATASETS:
        return None
    part = rows.fold
    prediction = predict_held_out(data, part, CONCEPTS, whole_datasets=False)
    return _held_out(data.accuracy, prediction, predict_by_baselines(data.features, data.accuracy, part))


def _hold_out_datasets(data: Rows) -> HeldOut | None:
    known = ~np.isnan(data.accuracy)
    if known.sum() < _FEWEST_ROWS or len(np.unique(data.features.dataset[known])) < _FEWEST_DATASETS:
        return None
    part = data.features.dataset
    prediction = predict_held_out(data, part, DATASETS, whole_datasets=True)
    return _held_out(data.accuracy, prediction, predict_by_baselines(data.features, data.accuracy, part))


def _held_out(accuracy: FloatArray, prediction: Prediction, others: Mapping[str, Prediction]) -> HeldOut:
    return HeldOut(
        prediction=prediction,
        score=score(accuracy, prediction.mean, prediction.interval),
        baselines={name: score(accuracy, one.mean, one.interval) for name, one in others.items()},
    )


def _prepare(table: AccuracyTable, support: FloatArray, anchor: str, top1: Mapping[str, float]) -> _Across:
    if len(table.models) <= FEWEST_DONORS:
        return _Across(cells=None, tasks=())
    cells = find_cells(table, support, anchor, dict(top1))
    plain = drop_counts(cells)
    shared, shared_plain = find_shared(cells), find_shared(plain)
    tested = np.flatnonzero((~np.isnan(cells.accuracy)).any(axis=0))
    place = cells.place_rows(table)
    tasks = [
        _Task(
            name=name,
            model=model,
            here=place[table.model == name],
            donors=tested[tested != model],
            cells=cells,
            plain=plain,
            shared=shared,
            shared_plain=shared_plain,
        )
        for model, name in enumerate(cells.models.tolist())
    ]
    return _Across(cells=cells, tasks=tuple(one for one in tasks if len(one.donors) >= FEWEST_DONORS))


def _hold_out_model(job: _Task) -> _Outside:
    cells, model, donors = job.cells, job.model, job.donors
    ours = predict_model(cells, job.shared, model, donors)
    without = predict_model(job.plain, job.shared_plain, model, donors)
    others = {WITHOUT_COUNTS: without}
    strangers = donors[cells.corpora[donors] != cells.corpora[model]]
    if len(strangers) >= FEWEST_DONORS and len(np.unique(cells.corpora[strangers])) > 1:
        others[WITHOUT_CORPUS] = predict_model(cells, job.shared, model, strangers)
    others |= _plain_means(cells, model, donors)
    return _Outside(
        name=job.name,
        model=model,
        held_out=_held_out(
            cells.accuracy[job.here, model],
            _take(ours, job.here),
            {other: _take(one, job.here) for other, one in others.items()},
        ),
        ours=ours.mean,
        without_counts=without.mean,
    )


def _gain(cells: Cells | None, outside: Mapping[str, _Outside]) -> Estimate | None:
    if cells is None or not outside:
        return None
    ours, without = (np.full_like(cells.accuracy, np.nan) for _ in range(2))
    for one in outside.values():
        ours[:, one.model], without[:, one.model] = one.ours, one.without_counts
    known = [one.model for one in outside.values() if (~np.isnan(cells.accuracy[:, one.model])).any()]
    if not known:
        return None
    return compare_r2(
        cells.accuracy[:, known],
        ours[:, known],
        without[:, known],
        cells.dataset,
        np.random.default_rng(0),
        what="R2 of held-out models gained by counts",
    )


def _plain_means(cells: Cells, model: int, donors: IntArray) -> dict[str, Prediction]:
    known = ~np.isnan(cells.accuracy[:, donors])
    values = np.where(known, cells.accuracy[:, donors], 0.0)
    n = known.sum(axis=1)
    mean = np.where(n > 0, values.sum(axis=1) / np.maximum(n, 1), values.sum() / known.sum())
    spread = np.sqrt(np.where(known, (values - mean[:, None]) ** 2, 0.0).sum() / known.sum())
    logits = logit(np.clip(mean, 0.005, 0.995))
    here = cells.dataset == cells.anchor
    shift = move_to_mean(logits[here], float(expit(cells.skill[model])))
    found = {}
    for name, one in ((OTHER_MODELS, mean), (OTHER_MODELS_MOVED, expit(logits + shift))):
        found[name] = Prediction(
            mean=one,
            interval=Interval(
                low=np.clip(one - 1.645 * spread, 0, 1), high=np.clip(one + 1.645 * spread, 0, 1)
            ),
        )
    return found


def _take(prediction: Prediction, rows: IntArray) -> Prediction:
    return Prediction(
        mean=prediction.mean[rows],
        interval=Interval(low=prediction.interval.low[rows], high=prediction.interval.high[rows]),
    )
