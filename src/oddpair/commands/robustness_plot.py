"""The plot of effective robustness as inline SVG: baseline models, their line, and the models in question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import Markup

from oddpair.eval.robustness.baseline import Baseline
from oddpair.eval.robustness.lines import Line, transform
from oddpair.eval.robustness.points import Point
from oddpair.html_style import GROUP_COLOURS
from oddpair.progress import visible

_WIDTH, _HEIGHT = 690, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 680, 10, 470
_GREY = "#7f7f7f"
# Accuracies that are marked where they lie within the plot and leave room for their numbers.
_TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
_ROOM = 26
_MARGIN = 0.06
_TAIL = 0.025

_PLOT = Markup(
    '<figure class="plot">\n<figcaption>{title}</figcaption>\n<ul class="legend">{legend}</ul>\n'
    '<div class="scroll" tabindex="0" role="img" aria-label="{title}">'
    '<svg viewBox="0 0 {width} {height}" style="max-width:{width}px;min-width:min({width}px,30rem)" font-size="12" '
    'aria-hidden="true">{drawing}</svg></div>\n</figure>'
)
_KEY = Markup('<li><i style="background:{colour}"></i>{text}</li>')
_TEXT = Markup('<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{text}</text>')
_LINE = Markup('<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{more}/>')
_DOT = Markup('<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"{more}>{inner}</circle>')
_TITLE = Markup("<title>{text}</title>")
_DASHED = Markup(' stroke-dasharray="5 4"')


def draw_plot(
    title: str, axes: tuple[str, str], baseline: Baseline, line: Line, points: Sequence[Point]
) -> Markup:
    """Draw models about the line of their baseline, both axes transformed as the line's.

    Args:
        title: What the plot shows.
        axes: Labels of x and y.
        baseline: Grey dots; those of 0 and 1 have no place.
        line: Whole where the baseline has models, dashed beyond.
        points: The models in question, in colours, with bars of 95 % where their records are known.

    Returns:
        A figure of a page, all of whose words are escaped; equal input gives equal markup.
    """
    inside = (baseline.x > 0) & (baseline.x < 1) & (baseline.y > 0) & (baseline.y < 1)
    place = _Place(
        line,
        np.concatenate([baseline.x[inside], [point.x for point in points]]),
        np.concatenate([baseline.y[inside], [point.y for point in points]]),
    )
    legend = [_KEY.format(colour=_GREY, text=f"baseline and its line (n = {line.n:,})")]
    legend += [
        _KEY.format(colour=_colour(number), text=visible(point.name)) for number, point in enumerate(points)
    ]
    drawing = [*_draw_axes(place, axes), *_draw_line(place, line)]
    for name, x, y in zip(
        np.array(baseline.names, dtype=object)[inside], baseline.x[inside], baseline.y[inside], strict=True
    ):
        drawing.append(
            _DOT.format(
                x=place.across(x),
                y=place.up(y),
                r=3,
                colour=_GREY,
                more=Markup(' fill-opacity="0.5"'),
                inner=_TITLE.format(text=visible(f"{name}: {100 * x:.1f}, {100 * y:.1f}")),
            )
        )
    for number, point in enumerate(points):
        drawing += _draw_point(place, point, _colour(number))
    return _PLOT.format(
        title=visible(title),
        legend=Markup().join(legend),
        drawing=Markup().join(drawing),
        width=_WIDTH,
        height=_HEIGHT,
    )


class _Place:
    """Where accuracies lie on the paper."""

    def __init__(
        self, line: Line, x: np.typing.NDArray[np.float64], y: np.typing.NDArray[np.float64]
    ) -> None:
        self._line = line
        self.x_range = self._widened(x)
        self.y_range = self._widened(y)

    def across(self, share: float) -> float:
        """Return the place of an accuracy on x, kept within the plot."""
        return self._between(share, self.x_range, _LEFT, _RIGHT)

    def up(self, share: float) -> float:
        """Return the place of an accuracy on y, kept within the plot."""
        return self._between(share, self.y_range, _BOTTOM, _TOP)

    def _between(self, share: float, ends: tuple[float, float], first: float, last: float) -> float:
        at = (float(transform(share, self._line.scale)) - ends[0]) / (ends[1] - ends[0])
        return first + min(max(at, 0.0), 1.0) * (last - first)

    def _widened(self, shares: np.typing.NDArray[np.float64]) -> tuple[float, float]:
        moved = transform(shares, self._line.scale)
        low, high = float(moved.min()), float(moved.max())
        more = _MARGIN * ((high - low) or 1.0)
        return low - more, high + more


def _draw_axes(place: _Place, axes: tuple[str, str]) -> Iterator[Markup]:
    for x in _spread([place.across(share) for share in _TICKS], _LEFT, _RIGHT):
        at = place.across(_TICKS[x])
        yield _LINE.format(path=f"M{at:.1f} {_TOP}V{_BOTTOM}", colour="var(--line)", width=1, more="")
        yield _TEXT.format(x=at, y=_BOTTOM + 17, anchor="middle", text=f"{100 * _TICKS[x]:g}", more="")
    for y in _spread([place.up(share) for share in _TICKS], _TOP, _BOTTOM):
        at = place.up(_TICKS[y])
        yield _LINE.format(path=f"M{_LEFT} {at:.1f}H{_RIGHT}", colour="var(--line)", width=1, more="")
        yield _TEXT.format(x=_LEFT - 6, y=at + 4, anchor="end", text=f"{100 * _TICKS[y]:g}", more="")
    yield _TEXT.format(
        x=(_LEFT + _RIGHT) / 2, y=_HEIGHT - 12, anchor="middle", text=visible(f"{axes[0]}, per cent"), more=""
    )
    middle = (_TOP + _BOTTOM) / 2
    yield _TEXT.format(
        x=16,
        y=middle,
        anchor="middle",
        text=visible(f"{axes[1]}, per cent"),
        more=Markup(f' transform="rotate(-90 16 {middle:.1f})"'),  # noqa: S704  a number
    )


def _spread(places: Sequence[float], low: float, high: float) -> Iterator[int]:
    """Return which of some places lie between two and far enough from the one before."""
    last = -np.inf
    for number in sorted(range(len(places)), key=lambda one: places[one]):
        if low < places[number] < high and places[number] - last >= _ROOM:
            last = places[number]
            yield number


def _draw_line(place: _Place, line: Line) -> Iterator[Markup]:
    # Straight on these axes, but for the edges of the plot.
    low, high = place.x_range
    known = [float(transform(end, line.scale)) for end in (line.low, line.high)]
    for start, end, more in ((low, known[0], _DASHED), (known[0], known[1], ""), (known[1], high, _DASHED)):
        ends = _clip(place, line, start, end)
        if ends is not None:
            (x1, y1), (x2, y2) = ends
            yield _LINE.format(
                path=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", colour="currentColor", width=1.6, more=more
            )


def _clip(
    place: _Place, line: Line, start: float, end: float
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the ends on paper of the line between two transformed x, within the plot; ``None`` where it is not."""
    low, high = place.y_range
    if line.slope:
        crossings = sorted((edge - line.intercept) / line.slope for edge in (low, high))
        start, end = max(start, crossings[0]), min(end, crossings[1])
    elif not low <= line.intercept <= high:
        return None
    if end <= start:
        return None

    def on_paper(x: float) -> tuple[float, float]:
        across = (x - place.x_range[0]) / (place.x_range[1] - place.x_range[0])
        up = (line.slope * x + line.intercept - low) / (high - low)
        return _LEFT + across * (_RIGHT - _LEFT), _BOTTOM + up * (_TOP - _BOTTOM)

    return on_paper(start), on_paper(end)


def _draw_point(place: _Place, point: Point, colour: str) -> Iterator[Markup]:
    x, y = place.across(point.x), place.up(point.y)
    if point.x_draws is not None and point.y_draws is not None:
        left, right = (place.across(float(np.quantile(point.x_draws, end))) for end in (_TAIL, 1 - _TAIL))
        low, high = (place.up(float(np.quantile(point.y_draws, end))) for end in (_TAIL, 1 - _TAIL))
        yield _LINE.format(path=f"M{left:.1f} {y:.1f}H{right:.1f}", colour=colour, width=1.4, more="")
        yield _LINE.format(path=f"M{x:.1f} {low:.1f}V{high:.1f}", colour=colour, width=1.4, more="")
    text = visible(f"{point.name}: {100 * point.x:.1f}, {100 * point.y:.1f}")
    yield _DOT.format(x=x, y=y, r=5, colour=colour, more="", inner=_TITLE.format(text=text))


def _colour(number: int) -> str:
    return GROUP_COLOURS[number % len(GROUP_COLOURS)]
