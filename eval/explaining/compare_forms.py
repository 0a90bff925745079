"""Which form of accuracy against count predicts concepts that it has not met, and which forms cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.explaining.form_draws import draw_rows
from oddpair.eval.explaining.form_pooling import pool_rows
from oddpair.eval.explaining.forms import BEYOND, FORMS, LOG_LINEAR, FittedForm, fit_form
from oddpair.eval.intervals import Estimate, percentile_interval, widen_confidence
from oddpair.eval.prediction.table import AccuracyTable

FloatArray = NDArray[np.float64]

Count = Literal["text", "image", "joint"]
Standing = Literal["better", "tie", "worse", "reference", "unknown"]

# The log score of a prediction of exactly 0 or 1 is without bound.
LEAST_PROBABILITY = 1e-3
_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class FormScore:
    """How one form predicts held-out concepts of one model.

    Attributes:
        form: Its name.
        r2: One minus squared error over that of the pooled mean.
        mae: Mean absolute error of the accuracy, a fraction.
        log_score: Mean log likelihood, in nats, of one picture of the concept being told right or wrong; higher is
            better.
        gain: R2 minus that of the log-linear form, for other concepts of these datasets; ``None`` for that form itself.
        gain_elsewhere: The same with datasets drawn as well, for other datasets; ``None`` also where there is one.
        standing: What the interval of ``gain`` says: ``tie`` where it holds 0.
        standing_elsewhere: What that of ``gain_elsewhere`` says, or ``unknown`` for one dataset.
        beyond: What the form says above the largest count that it was fitted on.
    """

    form: str
    r2: Estimate
    mae: Estimate
    log_score: Estimate
    gain: Estimate | None
    gain_elsewhere: Estimate | None
    standing: Standing
    standing_elsewhere: Standing
    beyond: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelForms:
    """The forms of one model's accuracy against one count.

    Attributes:
        model: Name of the model.
        count: The count that accuracies were fitted on.
        scores: One per form, the baseline of dataset means first.
        best: Form with the highest held-out R2.
        tied: Forms whose R2 for other concepts of these datasets is not told from that of the best.
        fits: Every form fitted on all rows, for drawing and for predictions.
        n_rows: Rows that were predicted.
        n_concepts: Concepts, by normalised name.
        n_datasets: Datasets.
    """

    model: str
    count: Count
    scores: tuple[FormScore, ...]
    best: str
    tied: tuple[str, ...]
    fits: Mapping[str, FittedForm]
    n_rows: int
    n_concepts: int
    n_datasets: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FormComparison:
    """The forms of every model that has enough rows, and why the others have none.

    Attributes:
        models: One per model, by name.
        left_out: One line for each model that has too little to compare.
    """

    models: tuple[ModelForms, ...]
    left_out: tuple[str, ...]


def compare_forms(
    table: AccuracyTable, rng: np.random.Generator, *, count: Count = "joint", draws: int = _DRAWS
) -> FormComparison:
    """Predict held-out concepts by every form and tell the forms apart where the data can.

    Each of the table's ten concept folds is predicted by fits on the other nine; a concept's datasets all lie in one
    fold. All rows count alike. Intervals draw whole concepts, with the predictions kept, and cover 95 %; those of gains
    cover 95 % over all forms of a model together (Bonferroni). Beside them stand gains with whole datasets drawn as
    well, widened for few datasets: most of what tells forms apart is how datasets differ.

    Args:
        table: Accuracies; rows without accuracy or without the count are left out.
        rng: Source of the draws.
        count: Which of the table's counts accuracies are fitted on.
        draws: Bootstrap draws.

    Returns:
        Scores by model, the best form by held-out R2, and the forms that tie with it.
    """
    counts: FloatArray = getattr(table, f"count_{count}")
    usable, folds, keys = table.known & ~np.isnan(counts), table.fold, table.key
    found, left_out = [], []
    for model in table.models:
        rows = np.flatnonzero(usable & (table.model == model))
        training = [rows[folds[rows] != fold] for fold in np.unique(folds[rows])]
        short = next((part for part in training if np.unique(counts[part]).size < 2), None)
        if len(training) < 2 or short is not None:
            left_out.append(
                f"{model}: {len(rows)} rows with accuracy and {count} count, of {len(training)} concept folds: too few "
                "to hold a fold out, or their counts are all the same"
            )
            continue
        x, y, dataset = np.log10(1 + counts[rows]), table.accuracy[rows], table.dataset[rows]
        held_out = predict_held_out(x, y, dataset, folds[rows])
        everything = pool_rows(x, y, np.ones(len(rows)), dataset)
        scores, tied = _score(held_out, y, keys[rows], dataset, rng, draws)
        found.append(
            ModelForms(
                model=model,
                count=count,
                scores=scores,
                best=tied[0],
                tied=tied[1:],
                fits={form: fit_form(form, everything) for form in FORMS},
                n_rows=len(rows),
                n_concepts=np.unique(keys[rows]).size,
                n_datasets=np.unique(dataset).size,
            )
        )
    return FormComparison(models=tuple(found), left_out=tuple(left_out))


def predict_held_out(
    x: FloatArray, y: FloatArray, dataset: NDArray[np.str_], fold: NDArray[np.int64]
) -> dict[str, FloatArray]:
    """Predict every fold by each form fitted on the others, by form an array of shape ``(n,)``.

    Args:
        x: Log10 of one plus the count, shape ``(n,)``.
        y: Accuracy, shape ``(n,)``.
        dataset: Dataset of each row, shape ``(n,)``.
        fold: Fold of each row, shape ``(n,)``.

    Raises:
        ValueError: If the counts outside a fold do not vary.
    """
    found = {form: np.empty(len(x)) for form in FORMS}
    for held in np.unique(fold):
        test = fold == held
        rows = pool_rows(x[~test], y[~test], np.ones(int((~test).sum())), dataset[~test])
        for form, predictions in found.items():
            predictions[test] = fit_form(form, rows)(x[test], dataset[test])
    return found


def show_forms(found: FormComparison) -> Iterator[str]:
    """Lines for people: every form's held-out scores, the best one, and what it cannot be told from."""
    for model in found.models:
        yield (
            f"{model.model}: accuracy against {model.count} count, {model.n_rows} rows, {model.n_concepts} concepts, "
            f"{model.n_datasets} datasets, concepts held out"
        )
        for score in model.scores:
            line = f"  {score.form:<20} R2 {_show(score.r2)}  MAE {score.mae.value:.3f}"
            line += f"  log score {score.log_score.value:.3f}"
            if score.gain is not None:
                line += f"  over {LOG_LINEAR} {_show(score.gain, '+')}: {score.standing}"
                if score.standing_elsewhere != score.standing:
                    line += f" ({score.standing_elsewhere} for other datasets)"
            yield line
        tied = f", not told from {', '.join(model.tied)}" if model.tied else ""
        yield f"  best: {model.best}{tied}; above the largest count: {BEYOND[model.best]}"
    yield from found.left_out


def _show(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _score(
    held_out: Mapping[str, FloatArray],
    y: FloatArray,
    concept: NDArray[np.str_],
    dataset: NDArray[np.str_],
    rng: np.random.Generator,
    draws: int,
) -> tuple[tuple[FormScore, ...], tuple[str, ...]]:
    names = list(held_out)
    predictions = np.stack([held_out[name] for name in names], axis=1)
    sure = np.clip(predictions, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    columns = np.concatenate(
        [
            np.stack([np.ones(len(y)), y, y**2], axis=1),
            (y[:, None] - predictions) ** 2,
            np.abs(y[:, None] - predictions),
            y[:, None] * np.log(sure) + (1 - y[:, None]) * np.log1p(-sure),
        ],
        axis=1,
    )
    value = _summarise(columns.sum(axis=0)[None])[0]
    here = _draw(columns, [concept], rng, draws)
    n_datasets = np.unique(dataset).size
    elsewhere = _draw(columns, [concept, dataset], rng, draws) if n_datasets > 1 else None
    together = 1 - 0.05 / (len(names) - 1)

    def estimate(pick: int, form: int, what: str) -> Estimate:
        return percentile_interval(
            value[pick, form], here[:, pick, form], n=len(y), what=f"{names[form]}, {what}"
        )

    def gain(form: int, other: int, drawn: FloatArray, confidence: float) -> Estimate:
        return percentile_interval(
            value[0, form] - value[0, other],
            drawn[:, 0, form] - drawn[:, 0, other],
            n=len(y),
            what=f"R2 of {names[form]} minus {names[other]}",
            confidence=confidence,
        )

    line, best = names.index(LOG_LINEAR), int(np.argmax(value[0]))
    scores = []
    for index, form in enumerate(names):
        within = across = None
        if index != line:
            within = gain(index, line, here, together)
            if elsewhere is not None:
                across = gain(index, line, elsewhere, widen_confidence(together, n_datasets))
        scores.append(
            FormScore(
                form=form,
                r2=estimate(0, index, "held-out R2"),
                mae=estimate(1, index, "held-out mean absolute error"),
                log_score=estimate(2, index, "held-out log score"),
                gain=within,
                gain_elsewhere=across,
                standing="reference" if within is None else _stand(within),
                standing_elsewhere="reference" if index == line else _stand(across),
                beyond=BEYOND[form],
            )
        )
    others = [index for index in range(len(names)) if index != best]
    tied = [names[index] for index in others if gain(best, index, here, together).low <= 0]
    return tuple(scores), (names[best], *tied)


def _draw(
    columns: FloatArray, clusters: list[NDArray[np.str_]], rng: np.random.Generator, draws: int
) -> FloatArray:
    return np.concatenate([_summarise(weights @ columns) for weights in draw_rows(clusters, rng, draws)])


def _summarise(sums: FloatArray) -> FloatArray:
    """R2, mean absolute error and log score of every form, from sums of shape ``(draws, 3 + 3 * forms)``."""
    size, total, squares = sums[:, :3].T[:, :, None]
    errors, absolute, logs = np.split(sums[:, 3:], 3, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = squares - total**2 / size
        found = np.stack([1 - errors / spread, absolute / size, logs / size], axis=1)
    # A draw without spread has no R2; it then counts against both ends of the interval.
    found[~np.isfinite(found)] = np.nan
    return found


def _stand(gain: Estimate | None) -> Standing:
    if gain is None:
        return "unknown"
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "tie"
