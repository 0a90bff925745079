"""The plots of a report as PNG files, the same whenever the report is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oddpair.commands.predict_axes import write_picture
from oddpair.commands.predict_checks import Checks
from oddpair.commands.predict_counts import plot_models
from oddpair.commands.predict_plots import (
    plot_calibration,
    plot_coverage,
    plot_leaders,
    plot_pmi,
    plot_scores,
    plot_unseen,
)
from oddpair.commands.predict_report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BETTER, WORSE = "Better than predicted", "Worse than predicted"


def write_pictures(folder: Path, report: Report, checks: Checks) -> tuple[str, ...]:
    """Write a PNG of every plot that the report has something for.

    Args:
        folder: Where they go.
        report: What to draw.
        checks: What `oddpair.commands.predict_checks.check` found of it.

    Returns:
        Names of the files.
    """
    names = []
    for name, figure in _draw(report, checks):
        names.append(f"{name}.png")
        write_picture(folder / names[-1], figure)
    return tuple(names)


def _draw(report: Report, checks: Checks) -> Iterator[tuple[str, Figure]]:
    if report.models:
        yield "accuracy-by-count", plot_models(report.models, report.count_name)
    for scheme in report.held_out:
        if scheme.scores:
            yield f"r2-held-out-{scheme.what}", plot_scores(scheme)
    for checked in checks.schemes:
        yield f"calibration-held-out-{checked.what}", plot_calibration(checked.deciles, checked.what)
        yield (
            f"coverage-held-out-{checked.what}",
            plot_coverage(checked.parts, checked.first_dataset, checked.what),
        )
    if checks.leaders is not None:
        if checks.leaders.better:
            yield "better-than-predicted", plot_leaders(checks.leaders.better, BETTER)
        if checks.leaders.worse:
            yield "worse-than-predicted", plot_leaders(checks.leaders.worse, WORSE)
    for number, curve in enumerate(report.pmi):
        if curve.points:
            yield f"pmi-{number + 1:02}", plot_pmi(curve)
    for number, sets in enumerate(report.unseen):
        if len(sets.n):
            yield f"unseen-{number + 1:02}", plot_unseen(sets)
