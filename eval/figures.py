"""The figures of a report: each takes arrays and returns a matplotlib figure; black and white become ink and paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.logistic import Band
from oddpair.html_style import GROUP_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

INK, FIRST, SECOND = "#000000", GROUP_COLOURS[0], GROUP_COLOURS[1]
_SMALL, _NORMAL = 8.0, 9.0


def plot_counts(text: IntArray, image: IntArray) -> Figure:
    """Draw concept counts from the most to the least frequent, on a decimal log scale.

    Args:
        text: Captions that name each concept, shape ``(K,)``.
        image: Pictures that show it, shape ``(K,)``.

    Returns:
        One curve for each, sorted by itself; a concept that never occurs is left out of its curve.
    """
    figure, axes = _start(6.6, 2.9)
    for counts, colour, label in ((text, FIRST, "in captions"), (image, SECOND, "in pictures")):
        ordered = np.sort(counts[counts > 0])[::-1]
        axes.plot(
            1 + np.arange(len(ordered)), ordered, ".-", color=colour, linewidth=1, markersize=4, label=label
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_plain_numbers())
    axes.set_xlabel("rank of the concept")
    axes.set_ylabel("rows of the corpus")
    _legend(axes)
    return figure


def plot_accuracy_against_count(
    count: IntArray,
    accuracy: FloatArray,
    *,
    curve_count: FloatArray,
    curve: Band,
    bin_count: FloatArray,
    bin_accuracy: FloatArray,
) -> Figure:
    """Draw the accuracy of every concept against its corpus count, with a fitted curve and binned means.

    Args:
        count: Corpus count of each concept, shape ``(n,)``; drawn at ``1 + count`` on a log scale.
        accuracy: Its accuracy, shape ``(n,)``.
        curve_count: Counts at which the curve is given, shape ``(m,)``.
        curve: The fitted accuracy there, with its band.
        bin_count: Count at the upper edge of each bin, shape ``(b,)``.
        bin_accuracy: Mean accuracy of each bin, shape ``(b,)``.
    """
    figure, axes = _start(6.6, 3.8)
    axes.plot(
        1 + count, 100 * accuracy, "o", color=FIRST, alpha=0.75, markersize=4.5, mew=0, label="one concept"
    )
    axes.fill_between(
        1 + curve_count, 100 * curve.low, 100 * curve.high, color=SECOND, alpha=0.22, linewidth=0
    )
    axes.plot(
        1 + curve_count, 100 * curve.probability, color=SECOND, linewidth=1.8, label="fit with 95 % band"
    )
    axes.plot(
        1 + bin_count, 100 * bin_accuracy, "D", color="none", mec=INK, markersize=6, label="mean of a bin"
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_plain_numbers())
    axes.set_ylim(-3, 103)
    axes.set_xlabel("1 + captions that name the concept")
    axes.set_ylabel("accuracy, %")
    _legend(axes)
    return figure


def plot_predicted_against_true(
    predicted: FloatArray, true: FloatArray, low: FloatArray, high: FloatArray
) -> Figure:
    """Draw true against predicted accuracy of bins, with intervals, beside the line where they agree.

    Args:
        predicted: Mean predicted accuracy of each bin, shape ``(b,)``.
        true: True accuracy of each bin, shape ``(b,)``.
        low: Lower end of its interval, shape ``(b,)``.
        high: Upper end of its interval, shape ``(b,)``.
    """
    figure, axes = _start(4.4, 4.0)
    top = 100 * float(max(predicted.max(), high.max()))
    limit = min(100.0, 10 * float(np.ceil(top / 10 + 0.2)))
    axes.plot([0, limit], [0, limit], color=INK, alpha=0.4, linewidth=1, dashes=(4, 3), label="as predicted")
    _points(axes, 100 * predicted, 100 * true, 100 * low, 100 * high)
    axes.set_xlim(0, limit)
    axes.set_ylim(-0.02 * limit, limit)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted accuracy, %")
    axes.set_ylabel("true accuracy, %")
    _legend(axes)
    return figure


def plot_accuracy_against_pmi(
    pmi: FloatArray,
    accuracy: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    curve: tuple[FloatArray, Band] | None = None,
) -> Figure:
    """Draw the accuracy of groups of pairs against their PMI, with intervals and a fitted curve.

    Args:
        pmi: Median PMI of each group in nats, shape ``(g,)``.
        accuracy: Accuracy of each group, shape ``(g,)``.
        low: Lower end of its interval, shape ``(g,)``.
        high: Upper end of its interval, shape ``(g,)``.
        curve: PMI and fitted accuracy with its band, where one fit stands behind the groups.
    """
    figure, axes = _start(5.2, 3.2)
    if curve is not None:
        along, band = curve
        axes.fill_between(along, 100 * band.low, 100 * band.high, color=SECOND, alpha=0.22, linewidth=0)
        axes.plot(along, 100 * band.probability, color=SECOND, linewidth=1.8, label="fit with 95 % band")
    _points(axes, pmi, 100 * accuracy, 100 * low, 100 * high)
    axes.set_ylim(min(0.0, 100 * float(low.min()) - 2), 100 * min(1.05, 1.25 * float(high.max()) + 0.02))
    axes.axvline(0, color=INK, alpha=0.3, linewidth=0.8)
    axes.set_xlabel("median PMI of a fifth of the seen pairs, nats (0: as often as chance)")
    axes.set_ylabel("accuracy at equal counts, %")
    if curve is not None:
        _legend(axes)
    return figure


def plot_differences(
    labels: Sequence[str], values: FloatArray, low: FloatArray, high: FloatArray, *, xlabel: str
) -> Figure:
    """Draw differences with intervals from top to bottom, beside the line of no difference.

    Args:
        labels: What each difference is between, length ``n``.
        values: The differences, shape ``(n,)``.
        low: Lower ends of the intervals, shape ``(n,)``.
        high: Upper ends of the intervals, shape ``(n,)``.
        xlabel: What the axis measures, with the unit.
    """
    figure, axes = _start(6.6, 0.9 + 0.3 * len(labels))
    place = np.arange(len(labels))
    axes.axvline(0, color=INK, alpha=0.5, linewidth=0.9)
    axes.hlines(place, low, high, color=FIRST, linewidth=1.6)
    axes.plot(values, place, "o", color=FIRST, markersize=5.5)
    axes.set_yticks(place, list(labels))
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=INK, alpha=0.1, linewidth=0.7)
    axes.set_xlabel(xlabel)
    return figure


def _start(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
        axes.spines[side].set_alpha(0.5)
    axes.grid(visible=True, axis="y", color=INK, alpha=0.1, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=_SMALL, color=INK, width=0.6)
    axes.xaxis.label.set_fontsize(_NORMAL)
    axes.yaxis.label.set_fontsize(_NORMAL)
    return figure, axes


def _points(axes: Axes, x: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray) -> None:
    axes.vlines(x, low, high, color=FIRST, linewidth=1.4)
    axes.plot(x, y, "o", color=FIRST, markersize=5.5)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=_SMALL, loc="best")


def _plain_numbers() -> Formatter:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
