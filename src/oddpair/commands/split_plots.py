"""Plots of what a split changed, how near and which styles, as inline SVG: a page has many, and they take no time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from oddpair.html_style import GROUP_COLOURS
from oddpair.progress import visible
from oddpair.splits.built import Composition, Histogram

_WIDTH, _HEIGHT = 690, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 680, 10, 225
_LETTER = 7
_MOST_TICKS = 8
_GREY = "#7f7f7f"

_PLOT = Markup(
    '<figure class="plot">\n<figcaption>{title}, share of rows</figcaption>\n<ul class="legend">{legend}</ul>\n'
    '<div class="scroll" tabindex="0" role="img" aria-label="{title}">'
    '<svg viewBox="0 0 {width} {height}" style="max-width:{width}px;min-width:min({width}px,30rem)" font-size="12" '
    'aria-hidden="true">{drawing}</svg></div>\n</figure>'
)
_KEY = Markup('<li><i style="background:{colour}"></i>{text}</li>')
_TEXT = Markup('<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')
_LINE = Markup('<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" {more}/>')
_BAR = Markup('<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')
_DASHED = Markup('stroke-dasharray="5 3"')


def draw_panel(panel: Histogram | Composition) -> Markup:
    """Draw shares of rows, per bin of a value or per category, for every group of a panel.

    Args:
        panel: What to draw; equal panels give equal markup.

    Returns:
        A figure of a page, all of whose words are escaped.
    """
    shares = (
        {name: np.asarray(counts, dtype=np.float64) for name, counts in panel.counts.items()}
        if isinstance(panel, Histogram)
        else _by_category(panel)
    )
    rows = {name: counts.sum() for name, counts in shares.items()}
    shares = {name: counts / max(rows[name], 1.0) for name, counts in shares.items()}
    most = max((float(counts.max(initial=0.0)) for counts in shares.values()), default=0.0) or 1.0
    height = _scale(0.0, most * 1.05, _BOTTOM, _TOP)
    legend = [
        _KEY.format(colour=_colour(number), text=visible(f"{name} (n = {int(rows[name]):,})"))
        for number, name in enumerate(shares)
    ]
    drawing = [*_draw_shares(most, height)]
    if isinstance(panel, Histogram):
        legend += [
            _KEY.format(colour=_GREY, text=visible(f"{name} {at:.3g}")) for name, at in panel.marks.items()
        ]
        drawing += _draw_histogram(panel, shares, height)
    else:
        drawing += _draw_bars(_categories(panel), shares, height)
    return _PLOT.format(
        title=visible(panel.title),
        legend=Markup().join(legend),
        drawing=Markup().join(drawing),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _draw_shares(most: float, height: Callable[[float], float]) -> Iterator[Markup]:
    """Draw the axis of shares, with a faint line at each number."""
    for share in _ticks(0.0, most * 1.05, _MOST_TICKS // 2):
        y = height(share)
        yield _LINE.format(path=f"M{_LEFT} {y:.1f}H{_RIGHT}", colour="var(--line)", width=1, more="")
        yield _TEXT.format(x=_LEFT - 6, y=y + 4, anchor="end", text=f"{100 * share:.6g} %")


def _draw_histogram(
    panel: Histogram, shares: Mapping[str, NDArray[np.float64]], height: Callable[[float], float]
) -> Iterator[Markup]:
    low, high = float(panel.edges[0]), float(panel.edges[-1])
    across = _scale(low, high, _LEFT, _RIGHT)
    for tick in _ticks(low, high, _MOST_TICKS):
        yield _TEXT.format(x=across(tick), y=_BOTTOM + 17, anchor="middle", text=f"{tick:.6g}")
    yield _TEXT.format(x=(_LEFT + _RIGHT) / 2, y=_HEIGHT - 8, anchor="middle", text=visible(panel.label))
    edges = [across(float(edge)) for edge in panel.edges]
    for number, counts in enumerate(shares.values()):
        steps = (
            f"V{height(share):.1f}H{edge:.1f}" for share, edge in zip(counts.tolist(), edges[1:], strict=True)
        )
        path = f"M{edges[0]:.1f} {_BOTTOM}{''.join(steps)}V{_BOTTOM}"
        yield _LINE.format(path=path, colour=_colour(number), width=1.8, more="")
    for value in panel.marks.values():
        # Marks may lie beyond what there is.
        x = min(max(across(value), _LEFT), _RIGHT)
        yield _LINE.format(path=f"M{x:.1f} {_TOP}V{_BOTTOM}", colour=_GREY, width=1.2, more=_DASHED)


def _draw_bars(
    categories: Sequence[str], shares: Mapping[str, NDArray[np.float64]], height: Callable[[float], float]
) -> Iterator[Markup]:
    room = (_RIGHT - _LEFT) / max(len(categories), 1)
    width = 0.8 * room / max(len(shares), 1)
    for number, counts in enumerate(shares.values()):
        for place, share in enumerate(counts.tolist()):
            x, y = _LEFT + (place + 0.1) * room + number * width, height(share)
            yield _BAR.format(x=x, y=y, width=width, height=_BOTTOM - y, colour=_colour(number))
    # Of many names those that have room.
    every = math.ceil((1 + max(map(len, categories), default=0)) * _LETTER / room)
    for place in range(0, len(categories), every):
        x = _LEFT + (place + 0.5) * room
        yield _TEXT.format(x=x, y=_BOTTOM + 17, anchor="middle", text=visible(categories[place]))


def _categories(panel: Composition) -> list[str]:
    return list(dict.fromkeys(itertools.chain.from_iterable(panel.counts.values())))


def _by_category(panel: Composition) -> dict[str, NDArray[np.float64]]:
    categories = _categories(panel)
    return {
        name: np.array([counts.get(category, 0) for category in categories], dtype=np.float64)
        for name, counts in panel.counts.items()
    }


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """Return what takes numbers from ``low`` to ``high`` to places from ``first`` to ``last``."""
    return lambda value: first + (value - low) / (high - low or 1.0) * (last - first)


def _ticks(low: float, high: float, most: int) -> Iterable[float]:
    """Return round numbers between two, ``most`` or fewer beside the first.

    >>> list(_ticks(0.0, 1.0, 4))
    [0.0, 0.5, 1.0]
    """
    if not high > low:
        return [low]
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= least)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _colour(number: int) -> str:
    return GROUP_COLOURS[number % len(GROUP_COLOURS)]
