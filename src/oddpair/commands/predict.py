"""``oddpair predict TABLE``: accuracies predicted from counts, judged on what was held out, and explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.explaining.explain import Explanation, explain
from oddpair.eval.prediction.baselines import DATASET_AND_COUNT, DATASET_MEAN, GLOBAL_MEAN
from oddpair.eval.prediction.dispersion import Interval
from oddpair.eval.prediction.held_out import Prediction
from oddpair.eval.prediction.scoring import Score
from oddpair.eval.prediction.support import find_support
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.table_defects import find_defects
from oddpair.eval.prediction.table_file import read_table
from oddpair.eval.prediction.validate import (
    OTHER_MODELS,
    OTHER_MODELS_MOVED,
    WITHOUT_CORPUS,
    WITHOUT_COUNTS,
    HeldOut,
    ModelValidation,
    Validation,
    validate,
)
from oddpair.eval.result_table import align
from oddpair.progress import track

FloatArray = NDArray[np.float64]

KINDS = ("concepts", "datasets", "model")
# Told beside ours for people; all the others are in the JSON.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "concepts": (GLOBAL_MEAN, DATASET_MEAN, DATASET_AND_COUNT),
    "datasets": (GLOBAL_MEAN, "log joint count", "isotonic joint count"),
    "model": (OTHER_MODELS, OTHER_MODELS_MOVED, WITHOUT_COUNTS, WITHOUT_CORPUS),
}
# Names that fit a column or a legend.
SHORT: Mapping[str, str] = {
    DATASET_AND_COUNT: "dataset + count",
    "log joint count": "count",
    "isotonic joint count": "isotonic count",
    OTHER_MODELS: "other models",
    OTHER_MODELS_MOVED: "others, moved",
    WITHOUT_COUNTS: "without counts",
    WITHOUT_CORPUS: "without its corpus",
}
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """What was found of a table.

    Attributes:
        path: Where it lies.
        table: The table.
        support: Samples behind each row, shape ``(n,)``.
        validation: Held-out predictions.
        explanation: What the counts explain.
        notes: What its user should know, a line each.
    """

    path: Path
    table: AccuracyTable
    support: FloatArray
    validation: Validation
    explanation: Explanation
    notes: tuple[str, ...]


def predict_table(path: Path, *, anchor: str | None, top1: Sequence[str], workers: int = 1) -> Predicted:
    """Predict and explain the accuracies of a table.

    Args:
        path: The table, CSV or parquet.
        anchor: Dataset that stands for a model's skill; ``None`` for ImageNet, else the largest.
        top1: Accuracy on it of models that have none there, each as ``MODEL=FRACTION``.
        workers: Processes.

    Raises:
        Refusal: If the table cannot be read, an argument is wrong, or a model's skill is not known.
    """
    table = read_table(path)
    told = _read_top1(top1, table)
    support = table.n if not np.isnan(table.n).any() else find_support(table)
    steps = 2 * len(table.models)
    with track("predict what is held out", steps, "steps") as progress:
        try:
            validation = validate(
                table, support, anchor=anchor, top1=told, workers=workers, advance=progress.advance
            )
        except ValueError as error:
            raise Refusal(f"{path}: {error}: give --anchor DATASET, or --top1 MODEL=FRACTION") from error
    explanation = explain(table, np.random.default_rng(_SEED))
    return Predicted(
        path=path,
        table=table,
        support=support,
        validation=validation,
        explanation=explanation,
        notes=tuple(_find_notes(table, validation)),
    )


def choose_prediction(
    found: ModelValidation, rows: AccuracyTable, table: AccuracyTable
) -> tuple[Prediction, NDArray[np.str_]]:
    """Choose for each row the prediction that knows most, and say which kind it is.

    A row of unknown accuracy is predicted as a new concept where its dataset is known of the model; else from the other
    models where they were tested on the dataset; else as a new dataset, of which nobody's accuracy is known.

    Args:
        found: What was found of the model.
        rows: Its rows.
        table: All rows.

    Returns:
        Predictions, NaN where nothing can be said, and ``concepts``, ``datasets``, ``model`` or ``""`` for each row.
    """
    n = len(rows)
    mine = np.isin(rows.dataset, rows.dataset[rows.known])
    others = np.isin(rows.dataset, table.dataset[table.known & (table.model != rows.model[0])])
    wanted = np.where(mine, "concepts", np.where(others & (found.model is not None), "model", "datasets"))
    mean, low, high = (np.full(n, np.nan) for _ in range(3))
    kind = np.full(n, "", dtype="<U8")
    for name, one in zip(KINDS, (found.concepts, found.datasets, found.model), strict=True):
        here = wanted == name
        if one is None or not here.any():
            continue
        mean[here] = one.prediction.mean[here]
        low[here], high[here] = one.prediction.interval.low[here], one.prediction.interval.high[here]
        kind[here] = name
    return Prediction(mean=mean, interval=Interval(low=low, high=high)), kind


def as_json(found: Predicted) -> dict[str, Any]:
    """Return the scores of every model and their means as strict JSON; ``null`` for what could not be found."""
    validation = found.validation
    models = {
        name: {kind: _tell(held_out(one, kind)) for kind in KINDS} for name, one in validation.models.items()
    }
    gain = validation.counts_gain
    return {
        "table": str(found.path),
        "anchor": validation.anchor,
        "models": models,
        "mean": {kind: _mean_of([one[kind] for one in models.values()]) for kind in KINDS},
        "counts_gain": None if gain is None else asdict(gain),
        "explanation": [_tell_explanation(one) for one in found.explanation.models],
        "notes": list(found.notes),
    }


def held_out(one: ModelValidation, kind: str) -> HeldOut | None:
    """What was held out of a model: ``concepts``, ``datasets`` or ``model``."""
    return {"concepts": one.concepts, "datasets": one.datasets, "model": one.model}[kind]


def show_predicted(found: Predicted) -> Iterator[str]:
    """Say what was found, a table for each kind of held-out predictions."""
    told = as_json(found)
    titles = {
        "concepts": "Held-out concepts: ten folds by normalised name",
        "datasets": "Held-out datasets, one after the other",
        "model": f"Held-out models: from other models, counts and accuracy on {told['anchor']}",
    }
    for kind in KINDS:
        rows = [(name, one[kind]) for name, one in told["models"].items() if one[kind]]
        yield ""
        yield f"{titles[kind]}; last columns: R2 of others"
        if not rows:
            yield "    not possible: the table is too small"
            continue
        if len(rows) > 1:
            rows.append(("mean", told["mean"][kind]))
        header = ("", "n", "R2", "MAE", "cover", "score", *(SHORT.get(name, name) for name in SHOWN[kind]))
        yield from align(
            [header, *(_show_row(name, one, kind) for name, one in rows)], n_names=1
        ).splitlines()
    gain = found.validation.counts_gain
    if gain is not None:
        yield ""
        yield (
            f"R2 of held-out models gained by counts: {gain.value:+.3f} [{gain.low:.3f}, {gain.high:.3f}], "
            f"95 %, {gain.n} datasets resampled"
        )
    yield ""
    yield from _show_explanation(told["explanation"])
    yield from (f"note: {note}" for note in found.notes)


def _read_top1(given: Sequence[str], table: AccuracyTable) -> dict[str, float]:
    told: dict[str, float] = {}
    for text in given:
        name, sign, value = text.rpartition("=")
        try:
            share = float(value)
        except ValueError:
            share = np.nan
        if not sign or not 0 <= share <= 1:
            raise Refusal(f"--top1 {text!r} is not MODEL=FRACTION with a fraction from 0 to 1: write it so")
        if name not in table.models:
            raise Refusal(
                f"--top1 {text!r}: the table has no model {name!r}; it has {', '.join(table.models)}"
            )
        told[name] = share
    return told


def _find_notes(table: AccuracyTable, validation: Validation) -> Iterator[str]:
    yield from find_defects(table)
    for name, one in validation.models.items():
        rows = table.take(one.rows)
        unknown = ~rows.known
        if not unknown.any():
            continue
        counts = one.features.counts
        known = counts[rows.known] if rows.known.any() else counts
        outside = ((counts < known.min(axis=0)) | (counts > known.max(axis=0))).any(axis=1) & unknown
        if outside.any():
            yield (
                f"{name}: {outside.sum():,} of {unknown.sum():,} predicted rows have counts beyond those of the "
                "rows that were fitted: extrapolated"
            )


def _tell(one: HeldOut | None) -> dict[str, Any] | None:
    if one is None or one.score is None:
        return None
    return {
        **asdict(one.score),
        "baselines": {
            name: None if score is None else asdict(score) for name, score in one.baselines.items()
        },
    }


def _mean_of(found: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    scores = [one for one in found if one is not None]
    if not scores:
        return None
    figures = [name for name in Score.__dataclass_fields__ if name != "n"]

    def mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"n": len(rows)} | {name: float(np.mean([row[name] for row in rows])) for name in figures}

    # A baseline that some model lacks has no mean that could stand beside ours.
    names = [name for name in scores[0]["baselines"] if all(one["baselines"].get(name) for one in scores)]
    return {
        **mean(scores),
        "baselines": {name: mean([one["baselines"][name] for one in scores]) for name in names},
    }


def _show_row(name: str, one: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    others = [one["baselines"].get(other) for other in SHOWN[kind]]
    return (
        name,
        f"{one['n']:,}",
        f"{one['r2']:.3f}",
        f"{one['mae']:.3f}",
        f"{one['coverage90']:.3f}",
        f"{one['interval_score']:.3f}",
        *("-" if other is None else f"{other['r2']:.3f}" for other in others),
    )


def _tell_explanation(one: Any) -> dict[str, Any]:
    told = {}
    for count in one.counts:
        within, test = count.effects.within, count.permutation
        told[count.count] = {
            "n": count.n,
            "datasets": count.n_datasets,
            "within_r": None if within is None else _tell_estimate(within.r),
            "within_slope": None if within is None else _tell_estimate(within.slope),
            "permutation_p": None if test is None else test.p,
            "warnings": [warning.text for warning in count.warnings],
        }
    return {"model": one.model, "corpus": one.corpus, "counts": told, "left_out": list(one.left_out)}


def _tell_estimate(estimate: Any) -> dict[str, Any] | None:
    if estimate is None:
        return None
    told = asdict(estimate)
    return told | {end: told[end] if np.isfinite(told[end]) else None for end in ("low", "high")}


def _show_explanation(models: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [("", "count", "n", "within-dataset r", "points a decade", "permutation p")]
    warnings = []
    for one in models:
        for name, count in one["counts"].items():
            r, slope = count["within_r"], count["within_slope"]
            if r is None or slope is None:
                continue
            p = count["permutation_p"]
            rows.append(
                (
                    one["model"],
                    name.removeprefix("count_"),
                    f"{count['n']:,}",
                    _with_interval(r, 1, 2),
                    _with_interval(slope, 100, 1),
                    "-" if p is None else f"{p:.3f}",
                )
            )
            warnings += [f"{one['model']}, {name}: {text}" for text in count["warnings"]]
    if len(rows) > 1:
        yield "What counts explain within datasets (slopes of accuracy per tenfold count, 95 % intervals)"
        yield from align(rows, n_names=2).splitlines()
    if warnings:
        yield ""
        yield f"{len(warnings)} warnings that pooled figures mislead, such as:"
        yield from (f"    {text}" for text in warnings[:3])


def _with_interval(estimate: Mapping[str, Any], factor: float, digits: int) -> str:
    ends = [
        "?" if estimate[end] is None else f"{factor * estimate[end]:.{digits}f}" for end in ("low", "high")
    ]
    return f"{factor * estimate['value']:.{digits}f} [{ends[0]}, {ends[1]}]"
