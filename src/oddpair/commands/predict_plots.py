"""Plots of what predictions are worth: held-out R2, calibration, coverage, residual leaders, PMI and unseen sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddpair.commands.predict_axes import (
    GREY,
    INK,
    NORMAL,
    OTHER,
    OURS,
    PAPER,
    SMALL,
    draw_equality,
    dress_rows,
    name_axes,
    shorten,
    start,
)
from oddpair.commands.predict_checks import Coverage, Leader
from oddpair.commands.predict_report import HeldOut, PmiCurve, Point, UnseenSets
from oddpair.html_style import GROUP_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Where coverage of 90 % intervals should lie.
TARGET = (0.87, 0.93)
# R2 of something absurd would leave no room for the rest: it is drawn at this edge.
LEAST_R2 = -0.5
_MARKS = (
    ("v", GREY),
    ("s", GROUP_COLOURS[3]),
    ("D", OTHER),
    ("^", GROUP_COLOURS[2]),
    ("P", GROUP_COLOURS[4]),
)
_MOST_SETS = 1500


def plot_scores(scheme: HeldOut) -> Figure:
    """Draw R2 of every model as a bar with its interval, and those of the baselines as marks on it.

    Args:
        scheme: Scores, one or more.
    """
    rows = [*([scheme.mean] if scheme.mean is not None else []), *scheme.scores]
    figure, axes = start(1.35 + 0.21 * len(rows))
    lowest = min(score.r2.value for row in rows for score in (row.ours, *row.baselines.values()))
    edge = max(LEAST_R2, min(0.0, lowest - 0.05))
    for place, row in enumerate(rows):
        ours = row.ours.r2
        axes.barh(
            *(place, max(ours.value, edge)),
            height=0.62,
            color=OURS,
            alpha=0.55,
            linewidth=0,
            label="predictor, with 95 % interval",
        )
        if math.isfinite(ours.low) and math.isfinite(ours.high):
            axes.hlines(place, max(ours.low, edge), max(ours.high, edge), color=INK, linewidth=1)
    for number, name in enumerate(name_baselines(scheme)):
        marker, colour = mark_of(number)
        known = [
            (place, row.baselines[name].r2.value) for place, row in enumerate(rows) if name in row.baselines
        ]
        axes.plot(
            [max(value, edge) for _, value in known],
            [place for place, _ in known],
            *(marker,),
            color=colour,
            markersize=4.6,
            mec=PAPER,
            mew=0.6,
            label=name,
            clip_on=False,
        )
    axes.axvline(0, color=INK, alpha=0.5, linewidth=0.9)
    dress_rows(axes, [row.name for row in rows])
    axes.set_xlim(edge, 1)
    if scheme.mean is not None:
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.axhline(0.5, color=INK, alpha=0.25, linewidth=0.7)
    name_axes(axes, f"R² of held-out {scheme.what}")
    bar = axes.containers[0]
    marks = [mark for mark in axes.lines if not str(mark.get_label()).startswith("_")]
    legend = figure.legend(
        handles=[bar, *marks], loc="outside upper left", ncols=2, frameon=False, fontsize=SMALL
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def name_baselines(scheme: HeldOut) -> list[str]:
    """Name the baselines of a scheme in the order in which they first appear."""
    return list(dict.fromkeys(name for row in scheme.scores for name in row.baselines))


def mark_of(number: int) -> tuple[str, str]:
    """Return marker and colour of a baseline by its place among them."""
    return _MARKS[number % len(_MARKS)]


def plot_calibration(deciles: Sequence[Point], what: str) -> Figure:
    """Draw observed against predicted accuracy of bins with 95 % intervals.

    Args:
        deciles: Bins, one or more.
        what: What was held out.
    """
    figure, axes = start(3.6)
    draw_equality(axes, 100, step=25)
    _draw_points(axes, deciles, scale=100)
    name_axes(axes, f"predicted accuracy of held-out {what}, %", "observed accuracy, %")
    return figure


def plot_coverage(parts: Sequence[Coverage], first: int, what: str) -> Figure:
    """Draw the coverage of 90 % intervals in each part, with the band where it should lie.

    Args:
        parts: Rows from top to bottom, one or more.
        first: Rows above the line that divides two kinds of parts.
        what: What was held out.
    """
    figure, axes = start(0.75 + 0.19 * len(parts))
    axes.axvspan(100 * TARGET[0], 100 * TARGET[1], color=GROUP_COLOURS[2], alpha=0.18, linewidth=0)
    axes.axvline(90, color=GROUP_COLOURS[2], linewidth=1)
    for place, part in enumerate(parts):
        colour = OURS if part.share.low <= TARGET[1] and part.share.high >= TARGET[0] else OTHER
        axes.hlines(place, 100 * part.share.low, 100 * part.share.high, color=colour, linewidth=1.4)
        axes.plot(100 * part.share.value, place, "o", color=colour, markersize=4.4)
    dress_rows(axes, [f"{part.name}, n = {part.share.n:,}" for part in parts], most=34)
    if 0 < first < len(parts):
        axes.axhline(first - 0.5, color=INK, alpha=0.25, linewidth=0.7)
    lowest = min(100 * part.share.low for part in parts)
    axes.set_xlim(max(0, min(70, 10 * math.floor(lowest / 10))), 101)
    name_axes(axes, f"held-out {what} within 90 %, %")
    return figure


def plot_leaders(leaders: Sequence[Leader], title: str) -> Figure:
    """Draw classes one below the other: the predicted interval, its middle, and what was observed.

    Args:
        leaders: One or more.
        title: What they have in common.
    """
    figure, axes = start(0.85 + 0.36 * len(leaders))
    for place, leader in enumerate(leaders):
        axes.hlines(place + 0.15, 100 * leader.low, 100 * leader.high, color=GREY, alpha=0.55, linewidth=5)
        ends = sorted((leader.predicted, leader.observed))
        axes.hlines(place + 0.15, 100 * ends[0], 100 * ends[1], color=OTHER, linewidth=1.2)
        axes.plot(100 * leader.predicted, place + 0.15, "|", color=INK, markersize=8, mew=1.4)
        axes.plot(100 * leader.observed, place + 0.15, "o", color=OTHER, markersize=5.5)
        label = f"{shorten(leader.concept, 34)}  ({shorten(leader.dataset, 18)})"
        axes.text(0, place - 0.1, label, fontsize=SMALL, ha="left", va="bottom", parse_math=False)
    dress_rows(axes, ["" for _ in leaders])
    axes.set_ylim(len(leaders) - 0.35, -0.65)
    axes.set_xlim(-2, 102)
    axes.set_title(title, fontsize=NORMAL, loc="left", parse_math=False)
    name_axes(axes, "accuracy, %")
    return figure


def plot_pmi(curve: PmiCurve) -> Figure:
    """Draw mean accuracy in bins of the PMI with 95 % intervals.

    Args:
        curve: Points, one or more.
    """
    figure, axes = start(2.7)
    axes.axvline(0, color=INK, alpha=0.35, linewidth=0.8)
    axes.plot(
        *([point.at for point in curve.points], [100 * point.observed.value for point in curve.points]),
        color=OURS,
        alpha=0.35,
        linewidth=1,
    )
    _draw_points(axes, curve.points, scale=1)
    low = min(max(point.observed.low, 0.0) for point in curve.points)
    high = max(min(point.observed.high, 1.0) for point in curve.points)
    margin = max(2.0, 8 * (high - low))
    axes.set_ylim(max(-1.0, 100 * low - margin), min(101.0, 100 * high + margin))
    axes.set_title(shorten(curve.name, 46), fontsize=NORMAL, loc="left", parse_math=False)
    name_axes(axes, "PMI, nats (0: as often as chance)", "accuracy, %")
    return figure


def plot_unseen(sets: UnseenSets) -> Figure:
    """Draw observed against predicted accuracy of unseen sets, larger for more samples, with means of bins.

    Args:
        sets: Sets, one or more.
    """
    figure, axes = start(3.7)
    most = max(
        (
            *sets.predicted.tolist(),
            *sets.observed.tolist(),
            *(min(point.observed.high, 1.0) for point in sets.points),
        )
    )
    limit = float(min(100, 10 * math.ceil(10 * most + 0.2)))
    draw_equality(axes, limit, step=limit / 5 if limit > 50 else 10)
    # Those of most samples say most; of many sets they are the ones that are drawn.
    order = np.lexsort((sets.observed, sets.predicted, -sets.n))[:_MOST_SETS]
    size = 6 + 60 * np.sqrt(sets.n[order] / sets.n.max(initial=1))
    axes.scatter(
        100 * sets.predicted[order],
        100 * sets.observed[order],
        s=size,
        color=GREY,
        alpha=0.3,
        linewidths=0,
        clip_on=False,
    )
    _draw_points(axes, sets.points, scale=100)
    axes.set_title(shorten(sets.name, 46), fontsize=NORMAL, loc="left", parse_math=False)
    name_axes(axes, "predicted accuracy, %", "observed accuracy, %")
    return figure


def _draw_points(axes: Axes, points: Sequence[Point], *, scale: float) -> None:
    for point in points:
        found = point.observed
        axes.vlines(
            scale * point.at, 100 * max(found.low, 0.0), 100 * min(found.high, 1.0), color=OURS, linewidth=1.4
        )
    axes.plot(
        *([scale * point.at for point in points], [100 * point.observed.value for point in points], "o"),
        color=OURS,
        markersize=5,
    )
