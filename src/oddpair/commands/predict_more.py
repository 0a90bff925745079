"""Sections of a report that are tables: forms of the curve, what to add to the corpus, rows without accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from oddpair import html
from oddpair.commands.predict_parts import as_interval, show_table
from oddpair.commands.predict_report import Predictions
from oddpair.eval.explaining.add import Additions
from oddpair.eval.explaining.compare_forms import FormComparison, ModelForms
from oddpair.eval.intervals import Estimate

_MOST_CONCEPTS = 20
_MOST_ROWS = 200


def show_forms(forms: FormComparison) -> html.Section:
    """Show the form that predicts held-out concepts of each model best, and those it is not told from."""
    columns = [
        "model",
        "rows",
        "best form",
        "R²",
        "interval",
        "over log-linear",
        "interval of that",
        "not told from",
    ]
    rows = [_form_cells(model) for model in forms.models]
    parts: list[Markup] = []
    if rows:
        caption = "Form of accuracy against count, by R² of held-out concepts"
        parts.append(show_table(columns, rows, caption=caption))
    parts += [html.paragraph(line) for line in forms.left_out]
    return html.section("Form of the curve", *parts)


def _form_cells(model: ModelForms) -> list[object]:
    best = next(score for score in model.scores if score.form == model.best)
    return [
        model.model,
        model.n_rows,
        best.form,
        f"{best.r2.value:.3f}",
        as_interval(best.r2.low, best.r2.high, "{:.3f}"),
        None if best.gain is None else f"{best.gain.value:+.3f}",
        None if best.gain is None else as_interval(best.gain.low, best.gain.high, "{:+.3f}"),
        ", ".join(name for name in model.tied if name != model.best) or "none",
    ]


def show_additions(additions: Mapping[str, Additions]) -> html.Section:
    """Show what to add to each model's corpus, beside three plain ways of spending as many samples."""
    parts: list[Markup] = []
    for model, plan in additions.items():
        ways = [
            [
                scenario.way,
                round(scenario.spent),
                f"{100 * scenario.accuracy:.2f}",
                *_as_points(scenario.gain),
            ]
            for scenario in plan.scenarios
        ]
        concepts = [
            [
                each.concept,
                ", ".join(each.datasets),
                round(each.count),
                round(each.added),
                f"{100 * each.before:.1f}",
                f"{100 * each.after:.1f}",
                *_as_points(each.gain),
                "yes" if each.outside else "no",
            ]
            for each in plan.concepts[:_MOST_CONCEPTS]
        ]
        inner = [
            html.table(
                ["way", "samples", "mean accuracy (%)", "gain (points)", "interval"],
                ways,
                caption=f"{model}: {plan.budget:,} samples more, {100 * plan.before:.2f} % without them",
            )
        ]
        if concepts:
            names = [
                "concept",
                "datasets",
                "count",
                "add",
                "now (%)",
                "then (%)",
                "gain (points)",
                "interval",
            ]
            caption = f"{len(concepts):,} of {len(plan.concepts):,} concepts that the plan adds to, the largest gain first"
            inner.append(show_table([*names, "extrapolated"], concepts, caption=caption))
        parts += inner if len(additions) == 1 else [html.fold(model, *inner, is_open=not parts)]
    return html.section(
        "What to add",
        *parts,
        note="Read off a curve that was fitted over concepts, which is no experiment: rare concepts differ from common "
        "ones in more than their counts. Intervals are those of the fit alone.",
    )


def show_predictions(rows: Predictions) -> html.Section:
    """Show the first predictions of rows whose accuracy was not known."""
    shown = [
        [
            rows.model[at],
            rows.dataset[at],
            rows.concept[at],
            None if math.isnan(rows.count[at]) else round(float(rows.count[at])),
            f"{100 * rows.predicted[at]:.1f}",
            as_interval(100 * float(rows.low[at]), 100 * float(rows.high[at]), "{:.1f}"),
            "yes" if rows.outside[at] else "no",
        ]
        for at in range(min(len(rows), _MOST_ROWS))
    ]
    outside = int(rows.outside.sum())
    words = f"The accuracy of {len(rows):,} rows was not known and is predicted. "
    if outside:
        words += f"{outside:,} of them lie beyond what was fitted on: their predictions are extrapolated. "
    caption = "Predicted accuracy"
    if len(shown) < len(rows):
        words += f"The first {len(shown):,} are shown."
        caption = f"Predicted accuracy, the first {len(shown):,} of {len(rows):,}"
    columns = ["model", "dataset", "concept", "count", "predicted (%)", "90 % interval (%)", "extrapolated"]
    return html.section(
        "Predictions", html.paragraph(words.strip()), show_table(columns, shown, caption=caption)
    )


def _as_points(gain: Estimate) -> tuple[str, str | None]:
    shown = f"{100 * gain.value:+.2f}".replace("-", "−")
    return shown, as_interval(100 * gain.low, 100 * gain.high, "{:+.2f}")
