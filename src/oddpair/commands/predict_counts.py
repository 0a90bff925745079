"""Plots of accuracy against the count: one panel a model, with decades, their bands, concepts and what is predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.commands.predict_axes import (
    GREY,
    INK,
    NORMAL,
    OTHER,
    OURS,
    PAPER,
    SMALL,
    brief,
    dress,
    name_axes,
    power,
    shorten,
)
from oddpair.commands.predict_report import ModelReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

# Colour and words of what a panel shows.
KEYS = (
    (OURS, "mean of a decade with its 95 % interval; above, its number of rows"),
    (GREY, "what the datasets in it score on the average, whatever the count"),
    (OTHER, "predicted, with 95 % band"),
    ("#9cc4dc", "one class of a dataset"),
)
_PANEL = (3.0, 2.35)
_ALONE = (7.2, 4.2)
_MOST_COLUMNS = 4
_MOST_DOTS = 300
# Where a count of 0 has its place, on an axis of powers of ten.
_ZERO, _HALF = -0.85, 0.3
_TOP = 104


class Span(NamedTuple):
    """What an axis of counts reaches over.

    Attributes:
        has_zero: Whether a count of 0 has a place.
        top: Power of ten at the right end.
    """

    has_zero: bool
    top: int


def plot_models(models: Sequence[ModelReport], count_name: str) -> Figure:
    """Draw all models in one figure of small panels with the same axes.

    Args:
        models: One or more.
        count_name: What the counts are.
    """
    from matplotlib.figure import Figure

    if len(models) == 1:
        return plot_model(models[0], find_span(models), count_name)
    columns = min(_MOST_COLUMNS, math.ceil(math.sqrt(len(models))))
    rows = math.ceil(len(models) / columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes, model in zip(grid, models, strict=False):
        _draw(axes, model, find_span(models), dots=_MOST_DOTS)
    for axes in grid[len(models) :]:
        axes.set_axis_off()
    figure.supxlabel(shorten(count_name, 60), fontsize=NORMAL, parse_math=False)
    figure.supylabel("accuracy, %", fontsize=NORMAL)
    _add_keys(figure)
    return figure


def _add_keys(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    mean, baseline, predicted, dot = KEYS
    handles = [
        Line2D([], [], color=mean[0], marker="o", markersize=4.6, linewidth=1.6, label=mean[1]),
        Line2D([], [], color=baseline[0], linewidth=1.6, label=baseline[1]),
        Line2D([], [], color=predicted[0], linewidth=1.6, label=predicted[1]),
        Line2D([], [], color=dot[0], marker="o", markersize=3, linestyle="", label=dot[1]),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=SMALL + 0.5)


def plot_model(model: ModelReport, span: Span, count_name: str = "") -> Figure:
    """Draw one model: large with the name of its axis, small without.

    Args:
        model: The model.
        span: What its axis reaches over, see `find_span`.
        count_name: What the counts are; ``""`` for a small panel.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=_ALONE if count_name else _PANEL)
    figure.patch.set_alpha(0)
    # The same margins in all panels, so that those beside each other line up.
    edges = (0.085, 0.975, 0.13, 0.9) if count_name else (0.115, 0.975, 0.115, 0.85)
    figure.subplots_adjust(**dict(zip(("left", "right", "bottom", "top"), edges, strict=True)))
    axes = figure.subplots()
    _draw(axes, model, span, dots=4 * _MOST_DOTS if count_name else _MOST_DOTS)
    if count_name:
        name_axes(axes, count_name, "accuracy, %")
    return figure


def find_span(models: Sequence[ModelReport]) -> Span:
    """Return what the axis of the counts of all models reaches over, one power of ten or more."""
    counts = np.concatenate([np.ones(1), *(model.count[~np.isnan(model.count)] for model in models)])
    top = max(1, math.ceil(math.log10(float(counts.max())) + 1e-9))
    return Span(has_zero=bool((counts == 0).any()), top=top)


def _draw(axes: Axes, model: ModelReport, span: Span, *, dots: int) -> None:
    dress(axes)
    _draw_dots(axes, model, dots)
    _draw_curve(axes, model)
    has_zero, top = span
    if has_zero:
        axes.axvspan(_ZERO - _HALF, _ZERO + _HALF, color=INK, alpha=0.05, linewidth=0)
    for decade in model.decades:
        low, high = (
            (_ZERO - _HALF, _ZERO + _HALF) if decade.high == 0 else np.log10([decade.low, decade.high])
        )
        at, found = (low + high) / 2, decade.accuracy
        axes.plot(
            [low + 0.12, high - 0.12], [100 * decade.baseline] * 2, color=GREY, linewidth=1.6, alpha=0.9
        )
        axes.vlines(at, 100 * max(found.low, 0), 100 * min(found.high, 1), color=OURS, linewidth=1.6)
        axes.plot(at, 100 * found.value, "o", color=OURS, markersize=4.6, mec=PAPER, mew=0.7)
        axes.text(at, _TOP, brief(found.n), fontsize=6.5, ha="center", va="bottom", color=INK, alpha=0.75)
    step = 1 if top <= 6 else 2
    zero = [_ZERO] if has_zero else []
    powers = list(range(0, top + 1, step))
    axes.set_xticks([*zero, *powers], [*("0" for _ in zero), *map(power, powers)])
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xlim(_ZERO - 0.4 if has_zero else -0.15, top + 0.05)
    axes.set_ylim(-3, 113)
    axes.spines["left"].set_bounds(0, 100)
    axes.set_title(shorten(model.name, 40), fontsize=SMALL + 0.5, loc="left", pad=4, parse_math=False)


def _draw_dots(axes: Axes, model: ModelReport, most: int) -> None:
    """Draw classes; of many those of evenly spaced ranks, which no drawing of lots decides."""
    known = np.flatnonzero(~np.isnan(model.count) & ~np.isnan(model.accuracy))
    order = known[np.lexsort((model.accuracy[known], model.count[known]))]
    drawn = order[np.linspace(0, len(order) - 1, min(len(order), most)).astype(np.int64)]
    count = model.count[drawn]
    # Golden steps, so that neighbours of a count of 0 do not hide each other.
    spread = _ZERO + 0.8 * _HALF * (2 * ((np.arange(len(drawn)) * 0.6180339887) % 1) - 1)
    across = np.where(count == 0, spread, np.log10(np.maximum(count, 1)))
    axes.plot(across, 100 * model.accuracy[drawn], "o", color=OURS, alpha=0.4, markersize=2.2, mew=0)


def _draw_curve(axes: Axes, model: ModelReport) -> None:
    curve = model.curve
    if curve is None:
        return
    zero = curve.count == 0
    for at in np.flatnonzero(zero).tolist():
        ends = [_ZERO - _HALF, _ZERO + _HALF]
        axes.fill_between(
            ends, 100 * curve.low[at], 100 * curve.high[at], color=OTHER, alpha=0.2, linewidth=0
        )
        axes.plot(ends, [100 * curve.accuracy[at]] * 2, color=OTHER, linewidth=1.6)
    across = np.log10(np.maximum(curve.count[~zero], 1))
    low, high = 100 * curve.low[~zero], 100 * curve.high[~zero]
    axes.fill_between(across, low, high, color=OTHER, alpha=0.2, linewidth=0)
    axes.plot(across, 100 * curve.accuracy[~zero], color=OTHER, linewidth=1.6)
