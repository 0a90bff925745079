"""How the plots of a report are begun, worded and written as pictures."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oddpair import files
from oddpair.html_style import GROUP_COLOURS
from oddpair.progress import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Black and white become the ink and the paper of a page.
INK, PAPER = "#000000", "#ffffff"
OURS, OTHER, GREY = GROUP_COLOURS[0], GROUP_COLOURS[1], GROUP_COLOURS[6]
SMALL, NORMAL = 7.5, 8.5
# Fits the screen of a telephone.
WIDTH = 3.8
_DOTS_PER_INCH = 160
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def start(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Begin a figure of one plot, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    dress(axes)
    return figure, axes


def dress(axes: Axes) -> None:
    """Give axes the look of the report: two spines, a faint grid along y, small numbers."""
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
        axes.spines[side].set_alpha(0.5)
    axes.grid(visible=True, axis="y", color=INK, alpha=0.1, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, color=INK, width=0.6)


def dress_rows(axes: Axes, labels: Sequence[str], most: int = 26) -> None:
    """Make y a list of named rows from top to bottom, with a faint grid along x."""
    axes.set_yticks(range(len(labels)), [shorten(label, most) for label in labels])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=INK, alpha=0.1, linewidth=0.7)


def name_axes(axes: Axes, x: str, y: str = "") -> None:
    """Say what is measured along x and y."""
    axes.set_xlabel(shorten(x, 60), fontsize=NORMAL, parse_math=False)
    axes.set_ylabel(shorten(y, 60), fontsize=NORMAL, parse_math=False)


def shorten(text: str, most: int) -> str:
    """Return text that is safe to draw, at most so many letters long.

    >>> shorten("ViT-B-32 of a long name", 12)
    'ViT-B-32 of…'
    """
    shown = visible(text)
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"


def brief(n: int) -> str:
    """Write a number in four letters or so.

    >>> [brief(n) for n in (7, 999, 1_234, 45_678, 1_234_567)]
    ['7', '999', '1.2k', '46k', '1.2M']
    """
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.1f}{letter}" if n < 9.95 * size else f"{n / size:.0f}{letter}"
    return str(n)


def power(exponent: int) -> str:
    """Write a power of ten.

    >>> power(0), power(5)
    ('1', '10⁵')
    """
    return "1" if exponent == 0 else "10" + str(exponent).translate(_SUPERSCRIPTS)


def draw_equality(axes: Axes, limit: float, *, step: float) -> None:
    """Make both axes run from 0 to a limit, in per cent, with the line where they agree."""
    axes.plot([0, limit], [0, limit], color=INK, alpha=0.45, linewidth=1, dashes=(4, 3))
    axes.set_xlim(-0.02 * limit, 1.02 * limit)
    axes.set_ylim(-0.02 * limit, 1.02 * limit)
    ticks = np.arange(0, limit + 1e-9, step)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_aspect("equal")


def write_picture(path: Path, figure: Figure) -> None:
    """Write a figure as PNG on white; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Names may have letters that the font lacks; they are drawn as boxes, and whole on the page.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, facecolor=PAPER, metadata={"Software": None})
    files.write_bytes(path, buffer.getvalue())
