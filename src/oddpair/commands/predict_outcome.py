"""What ``oddpair predict`` finds beyond the scores, and what it leaves in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.commands import predict_report as report
from oddpair.commands.predict import KINDS, SHORT, SHOWN, Predicted, as_json, choose_prediction, held_out
from oddpair.commands.predict_page import write_report
from oddpair.commands.predict_summary import summarise
from oddpair.commands.predict_texts import make_curves, predict_pmi, show_pmi
from oddpair.errors import Refusal
from oddpair.eval.composing.scaling import Scaling, scale
from oddpair.eval.composing.scaling_rows import scale_concepts
from oddpair.eval.explaining.add_fitted import ModelAdditions, find_additions, show_additions
from oddpair.eval.explaining.compare_forms import FormComparison, compare_forms, show_forms
from oddpair.eval.explaining.decades import find_decades
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.progress import track

FloatArray = NDArray[np.float64]

_SEED = 0
_POINTS = 81


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class More:
    """What is found beyond the scores; empty where it was not asked for or the table does not say.

    Attributes:
        forms: Which form of the curve predicts held-out concepts best.
        additions: What to add to each model's corpus.
        scaling: How the smaller corpora foretell the largest.
        pmi: What PMI says of each model's accuracies, as `predict_pmi`; empty where the table has no PMI.
        left_out: Why something that was asked for is not there, a line each.
    """

    forms: FormComparison | None
    additions: Mapping[str, ModelAdditions]
    scaling: Scaling | None
    pmi: Mapping[str, Any]
    left_out: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data, for strict JSON."""
        return {
            "additions": {name: _plain(asdict(one.found)) for name, one in self.additions.items()},
            "scaling": None if self.scaling is None else _plain(asdict(self.scaling)),
            "pmi": dict(self.pmi),
            "left_out": list(self.left_out),
        }

    def show(self) -> Iterator[str]:
        """Lines for people."""
        if self.forms is not None:
            yield ""
            yield from show_forms(self.forms)
        for one in self.additions.values():
            yield ""
            yield from show_additions(one)
        if self.scaling is not None:
            yield ""
            yield from _show_scaling(self.scaling)
        if self.pmi:
            yield ""
            yield from show_pmi(self.pmi)
        yield from (f"note: {line}" for line in self.left_out)


def find_more(found: Predicted, *, budget: int | None, sizes: Mapping[str, float], whole: bool) -> More:
    """Find what was asked for beyond the scores.

    Args:
        found: Scores and explanation.
        budget: Samples that may be added to each corpus; ``None`` for no plan.
        sizes: Samples of corpora, for scaling; empty for none.
        whole: Whether the forms of the curve are compared, as a report shows them.
    """
    table, rng, left_out = found.table, np.random.default_rng(_SEED), []
    forms = compare_forms(table, rng) if whole else None
    additions = {}
    if budget is not None:
        with track("plan additions", len(table.models), "models") as progress:
            for model in table.models:
                try:
                    additions[model] = find_additions(table, model, budget, rng)
                except Refusal as refusal:
                    left_out.append(f"additions of {model}: {refusal}")
                progress.advance()
    scaling = None
    if sizes:
        try:
            scaling = scale(scale_concepts(table, sizes), rng)
        except ValueError as error:
            raise Refusal(
                f"{found.path}: {error}: give --corpus-size of three corpora of the table"
            ) from error
    pmi = predict_pmi(table) if (~np.isnan(table.pmi) & table.known).any() else {}
    return More(forms=forms, additions=additions, scaling=scaling, pmi=pmi, left_out=tuple(left_out))


def write_outcome(found: Predicted, more: More, folder: Path) -> None:
    """Write scores (json, csv, md), predictions.parquet, report.html and its pictures; equal tables give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    told = as_json(found) | more.as_json()
    # The path of the table is of this machine.
    files.write_text(folder / "scores.json", json.dumps(told | {"table": found.path.name}, indent=1) + "\n")
    files.write_text(folder / "scores.csv", _scores_csv(told))
    files.write_text(folder / "scores.md", summarise(told))
    predictions = _find_predictions(found)
    columns = {name: pa.array(values) for name, values in predictions.items()}
    files.write_table(folder / "predictions.parquet", pa.table(columns))
    write_report(folder, _make_report(found, more))


def _find_predictions(found: Predicted) -> dict[str, NDArray[Any]]:
    parts = []
    for name, one in found.validation.models.items():
        rows = found.table.take(one.rows)
        chosen, kind = choose_prediction(one, rows, found.table)
        columns: dict[str, NDArray[Any]] = {
            "model": rows.model,
            "dataset": rows.dataset,
            "concept": rows.concept,
            "n": one.support,
            "accuracy": rows.accuracy,
            "predicted_as": kind,
            "predicted": chosen.mean,
            "low90": chosen.interval.low,
            "high90": chosen.interval.high,
        }
        for held in KINDS:
            prediction = held_out(one, held)
            columns[f"held_out_{held}"] = (
                np.full(len(rows), np.nan) if prediction is None else prediction.prediction.mean
            )
        parts.append((name, columns))
    return {
        name: np.concatenate([columns[name] for _, columns in parts])
        for name in (parts[0][1] if parts else {})
    }


def _scores_csv(told: Mapping[str, Any]) -> str:
    lines = ["held_out,model,predictor,n,r2,mae,coverage90,interval_score"]
    for kind in KINDS:
        for model, scores in [*told["models"].items(), ("mean", told["mean"])]:
            ours = scores[kind]
            if ours is None:
                continue
            for predictor, one in [("ours", ours), *ours["baselines"].items()]:
                if one is not None:
                    figures = ",".join(
                        f"{one[key]:.6g}" for key in ("n", "r2", "mae", "coverage90", "interval_score")
                    )
                    lines.append(f'{kind},"{_quote(model)}","{_quote(predictor)}",{figures}')
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return text.replace('"', '""')


def _make_report(found: Predicted, more: More) -> report.Report:
    table, rng = found.table, np.random.default_rng(_SEED)
    cautions = [
        report.Caution(title="Pooled figures mislead", text=warning.text, about=f"{one.model}, {count.count}")
        for one in found.explanation.models
        for count in one.counts
        for warning in count.warnings
    ]
    cautions += [report.Caution(title="The table", text=note) for note in (*found.notes, *more.left_out)]
    return report.Report(
        title="Accuracy predicted from counts",
        lead=f"{len(table.models):,} models, {len(table.datasets):,} datasets and {len(np.unique(table.key)):,} concepts, "
        "each predicted by fits that have not met it.",
        cautions=tuple(cautions),
        models=tuple(_model_report(table, model, more.forms, rng) for model in _counted(table)),
        count_name="samples that name and show the concept",
        held_out=tuple(_scheme(found, kind) for kind in KINDS),
        forms=more.forms,
        pmi=make_curves(more.pmi) if more.pmi else (),
        additions={name: one.found for name, one in more.additions.items()},
        predictions=_rows(found, None),
    )


def _counted(table: AccuracyTable) -> list[str]:
    told = ~np.isnan(table.count_joint) & table.known
    return [model for model in table.models if (told & (table.model == model)).any()]


def _model_report(
    table: AccuracyTable, model: str, forms: FormComparison | None, rng: np.random.Generator
) -> report.ModelReport:
    rows = (
        table.take((table.model == model) & table.known)
        if (table.known & (table.model == model)).any()
        else None
    )
    corpus = str(table.corpus[table.model == model][0])
    empty = np.empty(0)
    if rows is None:
        return report.ModelReport(name=model, corpus=corpus, count=empty, accuracy=empty, decades=())
    counted = ~np.isnan(rows.count_joint)
    part = rows.take(counted) if counted.any() else None
    decades = (
        () if part is None else find_decades(part.count_joint, part.accuracy, part.dataset, part.key, rng)
    )
    return report.ModelReport(
        name=model,
        corpus=corpus,
        count=rows.count_joint,
        accuracy=rows.accuracy,
        decades=decades,
        curve=_curve(model, forms),
    )


def _curve(model: str, forms: FormComparison | None) -> report.Curve | None:
    for one in forms.models if forms is not None else ():
        if one.model == model:
            fitted = one.fits[one.best]
            x = np.linspace(fitted.low, fitted.high, _POINTS)
            accuracy = fitted(x, np.full(len(x), "\0average"))
            return report.Curve(count=10**x - 1, accuracy=accuracy, low=accuracy, high=accuracy)
    return None


def _scheme(found: Predicted, kind: str) -> report.HeldOut:
    told = as_json(found)
    scores = [(name, one[kind]) for name, one in told["models"].items() if one[kind]]
    mean = told["mean"][kind]
    return report.HeldOut(
        what={"model": "models"}.get(kind, kind),
        scores=tuple(_model_scores(name, one, kind) for name, one in scores),
        mean=None if mean is None else _model_scores("mean", mean, kind),
        predictions=_rows(found, kind),
    )


def _model_scores(name: str, one: Mapping[str, Any], kind: str) -> report.ModelScores:
    baselines = {other: one["baselines"].get(other) for other in SHOWN[kind]}
    return report.ModelScores(
        name=name,
        ours=_score(one),
        baselines={
            SHORT.get(other, other): _score(score) for other, score in baselines.items() if score is not None
        },
    )


def _score(one: Mapping[str, Any]) -> report.Score:
    open_ends = Estimate(value=one["r2"], low=-np.inf, high=np.inf, n=one["n"], what="held-out R2")
    return report.Score(
        r2=open_ends, mae=one["mae"], coverage90=one["coverage90"], interval_score=one["interval_score"]
    )


def _rows(found: Predicted, kind: str | None) -> report.Predictions | None:
    """Held-out rows of a kind or, for ``None``, the rows whose accuracy is not known."""
    parts: dict[str, list[NDArray[Any]]] = {}
    for one in found.validation.models.values():
        rows = found.table.take(one.rows)
        if kind is None:
            prediction = choose_prediction(one, rows, found.table)[0]
            wanted = ~rows.known & ~np.isnan(prediction.mean)
        else:
            held = held_out(one, kind)
            if held is None:
                continue
            prediction, wanted = held.prediction, rows.known & ~np.isnan(held.prediction.mean)
        counts = one.features.counts
        known = counts[rows.known] if rows.known.any() else counts
        outside = ((counts < known.min(axis=0)) | (counts > known.max(axis=0))).any(axis=1)
        for name, values in (
            ("model", rows.model),
            ("dataset", rows.dataset),
            ("concept", rows.concept),
            ("observed", rows.accuracy),
            ("predicted", prediction.mean),
            ("low", prediction.interval.low),
            ("high", prediction.interval.high),
            ("n", one.support),
            ("count", rows.count_joint),
            ("outside", outside),
        ):
            parts.setdefault(name, []).append(values[wanted])
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    if not joined or len(joined["model"]) == 0:
        return None
    return report.Predictions(**joined)


def _show_scaling(scaling: Scaling) -> Iterator[str]:
    yield f"Scaling: {scaling.largest} predicted from the smaller corpora, {scaling.n:,} {scaling.kind}; error in points"
    for one in scaling.scores:
        mark = "*" if one.law == scaling.default else " "
        error = one.whole.error
        yield f"  {mark} {one.law}: {error.value:+.1f} [{error.low:.1f}, {error.high:.1f}]"
    yield from (f"    {note}" for note in scaling.notes)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
