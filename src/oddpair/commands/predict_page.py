"""The report of ``oddpair predict``: one page and its pictures, warnings first, every section where there is something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from oddpair import files, html
from oddpair.commands.predict_checks import Checked, Checks, Leader, check
from oddpair.commands.predict_counts import KEYS, find_span, plot_model
from oddpair.commands.predict_more import show_additions, show_forms, show_predictions
from oddpair.commands.predict_parts import arrange, as_interval, as_per_cent, show_keys, show_table
from oddpair.commands.predict_pictures import BETTER, WORSE, write_pictures
from oddpair.commands.predict_plots import (
    TARGET,
    name_baselines,
    plot_calibration,
    plot_coverage,
    plot_leaders,
    plot_pmi,
    plot_scores,
    plot_unseen,
)
from oddpair.commands.predict_report import Caution, HeldOut, ModelReport, ModelScores, Report, Score

PAGE = "report.html"
_SEED = 0
# Cautions of one kind that are shown before the rest is folded.
_SHOWN = 4


def write_report(folder: Path, report: Report) -> tuple[str, ...]:
    """Write a report as a page that opens without network, and its plots as PNG; equal reports give equal bytes.

    Args:
        folder: Where they go, which exists.
        report: What to show; parts that are empty have no section.

    Returns:
        Names of the files, the page first.
    """
    checks = check(report, np.random.default_rng(_SEED))
    files.write_text(folder / PAGE, make_page(report, checks))
    return (PAGE, *write_pictures(folder, report, checks))


def make_page(report: Report, checks: Checks) -> str:
    """Return the page of a report, all of whose words are escaped.

    Args:
        report: What to show.
        checks: What `oddpair.commands.predict_checks.check` found of it.
    """
    sections = [html.section("Before you read the numbers", *_show_cautions(report.cautions))]
    if any(scheme.scores for scheme in report.held_out):
        sections.append(_show_scores(report.held_out))
    if report.models:
        sections.append(_show_models(report.models, report.count_name))
    if checks.schemes:
        sections.append(_show_checks(checks.schemes))
    if checks.leaders is not None:
        sections.append(_show_leaders(checks, several=len(report.models) > 1))
    if report.forms is not None:
        sections.append(show_forms(report.forms))
    if any(curve.points for curve in report.pmi):
        sections.append(_show_pmi(report))
    if any(len(sets.n) for sets in report.unseen):
        sections.append(_show_unseen(report))
    if report.additions:
        sections.append(show_additions(report.additions))
    if report.predictions is not None and len(report.predictions):
        sections.append(show_predictions(report.predictions))
    return html.page(report.title, sections, lead=report.lead)


def _show_cautions(cautions: Sequence[Caution]) -> Iterator[Markup]:
    if not cautions:
        yield html.paragraph("Nothing to warn of was found.")
    for title in dict.fromkeys(caution.title for caution in cautions):
        rows = [
            (caution.about or "whole table", caution.text) for caution in cautions if caution.title == title
        ]
        yield html.card(title, rows[:_SHOWN])
        if len(rows) > _SHOWN:
            yield html.fold(f"{len(rows) - _SHOWN:,} more of this kind", html.card(title, rows[_SHOWN:]))


def _show_scores(schemes: Iterable[HeldOut]) -> html.Section:
    shown = [scheme for scheme in schemes if scheme.scores]
    figures = [
        html.svg(plot_scores(scheme), f"R2 of held-out {scheme.what} by model, beside the baselines")
        for scheme in shown
    ]
    tables = []
    for scheme in shown:
        baselines = name_baselines(scheme)
        columns = ["model", "n", "R²", "interval", "error (points)", "within 90 % (%)", "interval score"]
        rows = [
            [*_score_cells(row), *(_r2_cell(row.baselines.get(name)) for name in baselines)]
            for row in (*([scheme.mean] if scheme.mean is not None else []), *scheme.scores)
        ]
        tables.append(
            show_table(
                [*columns, *(f"R² of {name}" for name in baselines)],
                rows,
                caption=f"Held-out {scheme.what}: R², mean absolute error, coverage and score of the 90 % intervals",
            )
        )
    return html.section(
        "What is held out and predicted",
        arrange(figures, least=22),
        *tables,
        note="R² is 1 minus the squared error over that about the mean of all rows: 0 is what their mean would score, "
        "below 0 is worse. Bars carry 95 % intervals where these are known; marks are the plain baselines on the same "
        "rows. What scores below the left edge is drawn at it, and stands in the table.",
    )


def _score_cells(row: ModelScores) -> list[object]:
    ours = row.ours
    return [
        row.name,
        ours.r2.n,
        f"{ours.r2.value:.3f}",
        as_interval(ours.r2.low, ours.r2.high, "{:.3f}"),
        _known(100 * ours.mae, "{:.1f}"),
        _known(100 * ours.coverage90, "{:.1f}"),
        _known(ours.interval_score, "{:.3f}"),
    ]


def _r2_cell(score: Score | None) -> str | None:
    return None if score is None else f"{score.r2.value:.3f}"


def _known(value: float, form: str) -> str | None:
    return form.format(value) if math.isfinite(value) else None


def _show_models(models: Sequence[ModelReport], count_name: str) -> html.Section:
    span = find_span(models)
    alone = len(models) == 1
    figures = [
        html.svg(
            plot_model(model, span, count_name if alone else ""),
            f"Accuracy of {model.name} ({model.corpus}) against the {count_name}",
        )
        for model in models
    ]
    rows = [
        [
            model.name,
            model.corpus,
            decade.label,
            decade.accuracy.n,
            decade.n_concepts,
            *as_per_cent(decade.accuracy),
            f"{100 * decade.baseline:.1f}",
        ]
        for model in models
        for decade in model.decades
    ]
    columns = ["model", "corpus", "count", "rows", "concepts", "accuracy (%)", "interval (%)", "datasets (%)"]
    parts = [show_keys(KEYS), figures[0] if alone else arrange(figures, least=18)]
    if rows:
        parts.append(
            show_table(columns, rows, caption="Accuracy by decade of the count", numeric=columns[3:])
        )
    zero = sum(int((model.count == 0).sum()) for model in models)
    missing = sum(int(np.isnan(model.count).sum()) for model in models)
    note = f"Across: {count_name}, in powers of ten; up: accuracy in per cent. "
    if zero:
        note += f"The {zero:,} rows with a count of 0 stand at the left, apart. "
    if missing:
        note += f"{missing:,} rows without a count are not drawn. "
    note += (
        "Of many classes a sample of evenly spaced ranks is drawn; means and intervals are over all of them."
    )
    return html.section("Accuracy against the count", *parts, note=note)


def _show_checks(schemes: Sequence[Checked]) -> html.Section:
    figures = []
    for checked in schemes:
        figures.append(
            html.svg(
                plot_calibration(checked.deciles, checked.what),
                f"Observed accuracy by predicted accuracy of held-out {checked.what}",
            )
        )
        figures.append(
            html.svg(
                plot_coverage(checked.parts, checked.first_dataset, checked.what),
                f"Share of held-out {checked.what} within their 90 % intervals, by decade and dataset",
            )
        )
    tables = [
        show_table(
            ["part", "rows", "concepts", "within 90 % (%)", "interval (%)"],
            [[part.name, part.share.n, part.n_concepts, *as_per_cent(part.share)] for part in checked.parts],
            caption=f"Coverage for held-out {checked.what}",
        )
        for checked in schemes
    ]
    return html.section(
        "Are the predictions and their intervals right?",
        arrange(figures, least=22),
        *tables,
        note="Calibration: bins of as many predictions each, with 95 % intervals that draw whole concepts; on the dashed "
        f"line predictions are right on the average. Coverage: the band is {100 * TARGET[0]:.0f} to {100 * TARGET[1]:.0f} %; "
        "orange are parts whose 95 % interval, in which rows of one concept may go alike, does not reach it.",
    )


def _show_leaders(checks: Checks, *, several: bool) -> html.Section:
    leaders = checks.leaders
    assert leaders is not None
    title = "Better or worse than predicted"
    sides = [(BETTER, leaders.better), (WORSE, leaders.worse)]
    if not any(side for _, side in sides):
        words = f"All {leaders.n_classes:,} classes lie within their intervals."
        return html.section(title, html.paragraph(words))
    figures = [
        html.svg(plot_leaders(side, name), f"{name}: predicted intervals and observed accuracies")
        for name, side in sides
        if side
    ]
    columns = [
        "class",
        "dataset",
        "count",
        "n",
        "predicted (%)",
        "90 % interval",
        "observed (%)",
        "beyond (points)",
    ]
    tables = [
        show_table(
            [*columns, *(["models beyond"] if several else [])],
            [_leader_cells(leader, several=several) for leader in side],
            caption=name,
            numeric=[*columns[2:], "models beyond"],
        )
        for name, side in sides
        if side
    ]
    overall = checks.schemes[0].overall.share
    return html.section(
        title,
        arrange(figures, least=22),
        *tables,
        note=f"The extremes of {leaders.n_classes:,} classes, by how far accuracy lies beyond the predicted interval"
        f"{', on the average over models' if several else ''}. Grey: the 90 % interval, its bar the prediction; orange: "
        f"what was observed. {100 * (1 - overall.value):.1f} % of all {overall.n:,} rows lie beyond their intervals; chance "
        "alone puts 10 % there, and the extremes of many owe part of their distance to it.",
    )


def _leader_cells(leader: Leader, *, several: bool) -> list[object]:
    cells: list[object] = [
        leader.concept,
        leader.dataset,
        _whole(leader.count),
        _whole(leader.n),
        f"{100 * leader.predicted:.1f}",
        as_interval(100 * leader.low, 100 * leader.high, "{:.1f}"),
        f"{100 * leader.observed:.1f}",
        f"{100 * leader.beyond:+.1f}".replace("-", "−"),
    ]
    return [*cells, f"{leader.n_beyond} of {leader.n_models}"] if several else cells


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def _show_pmi(report: Report) -> html.Section:
    curves = [curve for curve in report.pmi if curve.points]
    figures = [html.svg(plot_pmi(curve), f"Accuracy of {curve.name} against PMI") for curve in curves]
    rows = [
        [
            curve.name,
            name,
            gap.n,
            f"{100 * gap.value:+.1f}".replace("-", "−"),
            as_interval(100 * gap.low, 100 * gap.high, "{:+.1f}"),
        ]
        for curve in curves
        for name, gap in (("as it is", curve.gap), ("at matched counts", curve.matched_gap))
        if gap is not None
    ]
    columns = ["model", "gap", "n", "points", "interval"]
    caption = "Accuracy at the highest PMI minus that at the lowest"
    return html.section(
        "Accuracy against PMI",
        arrange(figures, least=22),
        *([show_table(columns, rows, caption=caption)] if rows else []),
        note="Bins of PMI with 95 % intervals. Concepts of high PMI differ in their counts as well: the gap at matched "
        "counts is the one that PMI is behind.",
    )


def _show_unseen(report: Report) -> html.Section:
    shown = [sets for sets in report.unseen if len(sets.n)]
    figures = [
        html.svg(
            plot_unseen(sets),
            f"Observed against predicted accuracy of {len(sets.n):,} unseen sets, {sets.name}",
        )
        for sets in shown
    ]
    rows = [
        [
            sets.name,
            len(sets.n),
            round(float(sets.n.sum())),
            None if sets.r2 is None else f"{sets.r2.value:.3f}",
            None if sets.r2 is None else as_interval(sets.r2.low, sets.r2.high, "{:.3f}"),
        ]
        for sets in shown
    ]
    return html.section(
        "Sets never seen together",
        arrange(figures, least=22),
        show_table(
            ["model", "sets", "samples", "R²", "interval"],
            rows,
            caption="Predicted from the counts of their single concepts",
        ),
        note="Grey: sets, larger for more samples. Blue: means of bins of the prediction with 95 % intervals. On the dashed "
        "line accuracy is as predicted.",
    )
