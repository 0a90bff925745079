"""Plots of the leaderboard as small SVG of our own: points are links with a title, digits are the same anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from scipy.special import ndtri

from oddpair.commands.board_template import read_template
from oddpair.html_style import GROUP_COLOURS
from oddpair.progress import visible

WIDTH, HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 46
# Names stand beside their points where there is room for them.
_MOST_NAMED = 12
_LONGEST_NAME = 26
# Room that a letter and a line of a name take, in pixels.
_LETTER, _ROW = 6.2, 12
_PERCENTS = (0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5)
_MOST_TICKS = 8
_CLOSEST = 0.0005
# Beyond this a mark would hide others.
_WIDEST = 2.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One mark of a plot.

    Attributes:
        x: Its place across; a fraction, or any positive number on a logarithmic axis.
        y: Its place upwards, a fraction.
        label: What it is, in its title.
        href: Where a click leads; ``""`` for nowhere.
        group: Points of one group share a colour.
        low: Lower end of its whisker, a fraction; ``None`` for none.
        high: Upper end.
        weight: What it stands for, such as concepts at one place: its area grows with it.
        marked: Whether it is what the plot is about: drawn last, larger, and named however many others there are.
    """

    x: float
    y: float
    label: str
    href: str = ""
    group: str = ""
    low: float | None = None
    high: float | None = None
    weight: int = 1
    marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale from numbers to pixels: ``warp`` bends it, ``low`` and ``high`` are its ends, ``ticks`` have texts."""

    warp: Callable[[float], float]
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the pixel of a number, clipped to the ends, to a tenth."""
        bent, low, high = (self.warp(each) for each in (value, self.low, self.high))
        share = min(max((bent - low) / (high - low), 0.0), 1.0)
        return round(self.start + share * (self.end - self.start), 1)


def scatter(
    points: Sequence[Point],
    *,
    x_label: str,
    y_label: str,
    title: str,
    line: Sequence[tuple[float, float]] = (),
    band: Sequence[tuple[float, float, float]] = (),
    diagonal: bool = False,
    log_x: bool = False,
    probit: bool = False,
) -> Markup:
    """Return a plot of points, with a line and a band behind them.

    Args:
        points: The marks, at least one.
        x_label: What is across.
        y_label: What is upwards.
        title: What the plot shows, for those who cannot see it.
        line: Places of a line, rising in x.
        band: Places of a band: x, lower and upper end, rising in x.
        diagonal: Whether to draw where both are equal.
        log_x: Whether x is any positive number on a logarithmic scale; else it is a fraction, told in per cent.
        probit: Whether fractions are bent by the normal quantile, on which lines of robustness are straight.

    Raises:
        ValueError: If there is no point.
    """
    if not points:
        raise ValueError("found no point, needed one or more")
    heights = [each for point in points for each in (point.y, point.low, point.high) if each is not None]
    across = [point.x for point in points]
    return draw(
        points,
        powers_axis(across) if log_x else percents_axis(across, across=True, probit=probit),
        percents_axis([*heights, *(y for _, y in line)], across=False, probit=probit),
        x_label=x_label,
        y_label=y_label,
        title=title,
        line=line,
        band=band,
        diagonal=diagonal,
        colours={group: GROUP_COLOURS[n % len(GROUP_COLOURS)] for n, group in enumerate(_groups(points))},
    )


def draw(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    x_label: str,
    y_label: str,
    title: str,
    colours: Mapping[str, str],
    line: Sequence[tuple[float, float]] = (),
    band: Sequence[tuple[float, float, float]] = (),
    diagonal: bool = False,
) -> Markup:
    """Return a plot on axes that are given.

    Args:
        points: The marks.
        x: The axis across.
        y: The axis upwards.
        x_label: What is across.
        y_label: What is upwards.
        title: What the plot shows, for those who cannot see it.
        colours: Colour of each group of points, in the order of the legend.
        line: Places of a line, rising in x.
        band: Places of a band behind it: x, lower and upper end, rising in x.
        diagonal: Whether to draw where both are equal.
    """
    named = len(points) <= _MOST_NAMED
    # Small marks over large ones at the same place; of equal ones the later is seen.
    ordered = sorted(points, key=lambda point: (point.marked, -_widen(point)))
    return Markup(  # noqa: S704  the template escapes
        read_template("board_plot.html").render(
            width=WIDTH,
            height=HEIGHT,
            left=_LEFT,
            right=WIDTH - _RIGHT,
            top=_TOP,
            bottom=HEIGHT - _BOTTOM,
            x_label=x_label,
            y_label=y_label,
            title=title,
            legend=[(group, colour) for group, colour in colours.items() if group],
            x_ticks=[(x.place(value), text) for value, text in x.ticks],
            y_ticks=[(y.place(value), text) for value, text in y.ticks],
            line=_path([(x.place(a), y.place(b)) for a, b in _inside(line, x)]),
            band=_area([(x.place(a), y.place(low), y.place(high)) for a, low, high in band]),
            diagonal=_diagonal(x, y) if diagonal else "",
            points=_leave_room([_mark(point, x, y, colours[point.group], named=named) for point in ordered]),
        )
    )


def interval_bar(
    value: float,
    low: float,
    high: float,
    *,
    end: float,
    start: float = 0.0,
    others: Iterable[float] = (),
    reference: float | None = None,
) -> Markup:
    """Return a small bar without text, as wide as its cell: an interval, its value, and where the others lie.

    Args:
        value: What is shown.
        low: Lower end of its interval.
        high: Upper end.
        end: Right end of the scale.
        start: Left end of the scale.
        others: Values of others, thin strokes behind.
        reference: Where to draw a dashed stroke, such as at what guessing scores.

    >>> print(interval_bar(0.5, 0.4, 0.6, end=1.0).partition('"false">')[2])
    <rect class="span" x="400" y="6" width="200" height="8"/><path class="mark" d="M500 0v20"/></svg>
    """

    def place(number: float) -> int:
        return round(1000 * min(max((number - start) / (end - start), 0.0), 1.0))

    strokes = "".join(f"M{at} 3v14" for at in sorted({place(other) for other in others}))
    return Markup(  # noqa: S704  numbers alone
        '<svg class="interval" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        + (f'<path class="others" d="{strokes}"/>' if strokes else "")
        + ("" if reference is None else f'<path class="reference" d="M{place(reference)} 0v20"/>')
        + f'<rect class="span" x="{place(low)}" y="6" width="{place(high) - place(low)}" height="8"/>'
        + f'<path class="mark" d="M{place(value)} 0v20"/></svg>'
    )


def _widen(point: Point) -> float:
    return min(math.sqrt(point.weight), _WIDEST)


def _mark(point: Point, x: Axis, y: Axis, colour: str, *, named: bool) -> dict[str, Any]:
    across, up = x.place(point.x), y.place(point.y)
    whisker = ""
    if point.low is not None and point.high is not None:
        whisker = f"M{across} {y.place(point.low)}V{y.place(point.high)}"
    label = visible(point.label)
    short = label if len(label) <= _LONGEST_NAME else f"{label[: _LONGEST_NAME - 1]}…"
    to_left = across > _LEFT + 0.7 * (WIDTH - _LEFT - _RIGHT)
    radius = (5.0 if named else 3.5) * _widen(point) + 2.5 * point.marked
    away = (radius + 4) * (-1 if to_left else 1)
    return {
        "x": across,
        "y": up,
        "colour": colour,
        "whisker": whisker,
        "marked": point.marked,
        "href": point.href,
        "title": label,
        "radius": round(radius, 1),
        "name": short if point.marked or (named and point.href) else "",
        "name_x": round(across + away, 1),
        "anchor": "end" if to_left else "start",
    }


def _leave_room(marks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take the names away that would be written over an earlier one; their titles tell them still."""
    taken: list[tuple[float, float, float]] = []
    for mark in sorted(marks, key=lambda mark: not mark["marked"]):
        reach = _LETTER * len(mark["name"])
        left = mark["name_x"] - (reach if mark["anchor"] == "end" else 0)
        here = (left, left + reach, mark["y"])
        if any(here[0] < b and a < here[1] and abs(here[2] - up) < _ROW for a, b, up in taken):
            mark["name"] = ""
        elif mark["name"]:
            taken.append(here)
    return marks


def _groups(points: Sequence[Point]) -> list[str]:
    return sorted({point.group for point in points})


def _inside(line: Sequence[tuple[float, float]], x: Axis) -> list[tuple[float, float]]:
    return [(a, b) for a, b in line if x.low <= a <= x.high]


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{across} {up}" for across, up in places) if len(places) > 1 else ""


def _area(places: Sequence[tuple[float, float, float]]) -> str:
    if len(places) < 2:
        return ""
    upper = [f"{across} {high}" for across, _, high in places]
    lower = [f"{across} {low}" for across, low, _ in reversed(places)]
    return "M" + "L".join([*upper, *lower]) + "Z"


def _diagonal(x: Axis, y: Axis) -> str:
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low >= high:
        return ""
    return _path([(x.place(value), y.place(value)) for value in (low, high)])


def _probit(value: float) -> float:
    return float(ndtri(min(max(value, _CLOSEST), 1 - _CLOSEST)))


def percents_axis(values: Sequence[float], *, across: bool, probit: bool = False) -> Axis:
    """Return an axis of fractions that holds all values and ends at ticks.

    Args:
        values: At least one.
        across: Whether it lies across; else it rises.
        probit: Whether it is bent by the normal quantile.
    """
    low, high = min(values), max(values)
    if probit:
        steps = [percent / 100 for percent in _PERCENTS]
        start = max((step for step in steps if step <= low), default=steps[0])
        end = min((step for step in steps if step >= high and step > start), default=steps[-1])
        ticks = [step for step in steps if start <= step <= end]
    else:
        reach = max(high - low, 0.01)
        step = next(each for each in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if reach / each <= _MOST_TICKS)
        start = max(math.floor(low / step + 1e-9) * step, 0.0)
        end = min(max(math.ceil(high / step - 1e-9) * step, start + step), 1.0)
        ticks = [start + n * step for n in range(round((end - start) / step) + 1)]
    return Axis(
        warp=_probit if probit else float,
        low=start,
        high=max(end, start + 1e-3),
        ticks=[(tick, f"{round(100 * tick, 1):g}") for tick in ticks],
        start=_LEFT if across else HEIGHT - _BOTTOM,
        end=WIDTH - _RIGHT if across else _TOP,
    )


def powers_axis(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis across that holds all values, with ticks at 1 and 3 times powers of ten."""
    positive = [max(value, 1e-9) for value in values]
    steps = [factor * 10.0**power for power in range(-9, 16) for factor in (1, 3)]
    start = max(step for step in steps if step <= min(positive))
    end = min(step for step in steps if step >= max(positive) and step > start)
    ticks = [step for step in steps if start <= step <= end]
    while len(ticks) > _MOST_TICKS:
        ticks = ticks[::2]
    return _across(math.log10, start, end, ticks)


def counts_axis(counts: Sequence[int]) -> Axis:
    """Return an axis across of the logarithm of 1 plus a count, so that 0 has its place on it."""
    steps = [0, *(factor * 10**power for power in range(15) for factor in (1, 3))]
    end = min(step for step in steps if step >= max(*counts, 1))
    ticks = [step for step in steps if step <= end]
    while len(ticks) > _MOST_TICKS:
        ticks = [0, *ticks[1::2]]
    return _across(math.log1p, 0, end, ticks)


def _across(warp: Callable[[float], float], low: float, high: float, ticks: Sequence[float]) -> Axis:
    return Axis(
        warp=warp,
        low=low,
        high=high,
        ticks=[(tick, shorten(tick)) for tick in ticks],
        start=_LEFT,
        end=WIDTH - _RIGHT,
    )


def shorten(number: float) -> str:
    """Tell a number in three digits or fewer.

    >>> shorten(30_000), shorten(3_000_000), shorten(0.3)
    ('30 k', '3 M', '0.3')
    """
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
