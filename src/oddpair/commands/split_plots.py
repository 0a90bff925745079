"""Plots of what a split changed: how near, which styles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oddpair.html_style import GROUP_COLOURS
from oddpair.splits.built import Composition, Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_panel(panel: Histogram | Composition) -> Figure:
    """Draw shares of rows, per bin of a value or per category, for every group of a panel."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    if isinstance(panel, Histogram):
        _draw_histogram(axes, panel)
    else:
        _draw_composition(axes, panel)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_ylabel("share of rows")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_histogram(axes: Axes, panel: Histogram) -> None:
    for number, (name, counts) in enumerate(panel.counts.items()):
        total = int(np.sum(counts))
        axes.stairs(
            np.asarray(counts) / max(total, 1),
            panel.edges,
            label=f"{name} (n = {total:,})",
            color=GROUP_COLOURS[number % len(GROUP_COLOURS)],
            linewidth=1.6,
        )
    for name, value in panel.marks.items():
        axes.axvline(value, color="#555555", linestyle="--", linewidth=1, label=f"{name} {value:.3g}")
    axes.set_xlabel(panel.label)


def _draw_composition(axes: Axes, panel: Composition) -> None:
    categories = list(dict.fromkeys(name for group in panel.counts.values() for name in group))
    width = 0.8 / max(len(panel.counts), 1)
    places = np.arange(len(categories))
    for number, (name, counts) in enumerate(panel.counts.items()):
        total = sum(counts.values())
        axes.bar(
            places + number * width,
            [counts.get(category, 0) / max(total, 1) for category in categories],
            width,
            label=f"{name} (n = {total:,})",
            color=GROUP_COLOURS[number % len(GROUP_COLOURS)],
        )
    axes.set_xticks(places + 0.4 - width / 2, categories)
