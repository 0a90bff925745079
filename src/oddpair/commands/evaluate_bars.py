"""Bars of scores and of differences: a value from zero, its interval as a whisker, what guessing scores as a mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from oddpair.eval.intervals import Estimate
from oddpair.eval.result_table import UNBOUNDED
from oddpair.html_style import GROUP_COLOURS
from oddpair.progress import visible

_FIGURE = Markup(
    '<figure>\n<figcaption>{caption}</figcaption>\n{legend}<ul class="bars">\n{bars}\n</ul>\n</figure>'
)
_LEGEND = Markup('<ul class="legend">{keys}</ul>\n')
_KEY = Markup('<li><i style="background:{colour}"></i>{name}</li>')
_GUESSING = Markup(
    '<li><i style="width:0;border-left:2px dashed var(--ink);border-radius:0"></i>what guessing scores</li>'
)
_GROUP = Markup(' <bdi class="group">{name}</bdi>')
_BAR = Markup(
    '<li><span class="label"><bdi>{label}</bdi>{group}</span>'
    '<span class="track" role="img" aria-label="{spoken}">'
    '<span class="fill" style="left:{left:.2f}%;width:{width:.2f}%;background:{colour}"></span>{marks}'
    '<span class="whisker" style="left:{low:.2f}%;width:{span:.2f}%"></span></span>'
    '<span class="value"><span>{value}</span> <span class="interval">{interval}</span> '
    '<span class="n">n = {n:,}</span></span></li>'
)
_MARK = Markup(
    '<span style="position:absolute;top:-.15rem;bottom:-.15rem;left:{at:.2f}%;border-left:{line} var(--ink)"></span>'
)
_LEAST_SCALE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBar:
    """One bar.

    Attributes:
        label: What was measured.
        estimate: Its value, a fraction or a difference of two.
        group: What gives it its colour, such as a model; ``""`` for none.
        chance: What guessing scores; ``None`` where that is no number.
    """

    label: str
    estimate: Estimate
    group: str = ""
    chance: float | None = None


def draw_scores(bars: Sequence[ScoreBar], *, caption: str, groups: Sequence[str] = ()) -> Markup:
    """Draw scores from 0 to 100 %.

    Args:
        bars: From top to bottom, at least one.
        caption: What they show.
        groups: Groups in the order of their colours; by default as they first appear.

    Returns:
        A figure of a page, all of whose words are escaped.

    Raises:
        ValueError: If there is no bar.
    """
    return _draw(bars, caption, groups, low=0.0, high=1.0, show=_per_cent)


def draw_differences(bars: Sequence[ScoreBar], *, caption: str, groups: Sequence[str] = ()) -> Markup:
    """Draw differences of scores, in points of a per cent, on both sides of a line at none; else as `draw_scores`."""
    ends = [abs(end) for bar in bars for end in (bar.estimate.value, bar.estimate.low, bar.estimate.high)]
    limit = min(1.0, max(_LEAST_SCALE, *ends))
    return _draw(bars, caption, groups, low=-limit, high=limit, show=_points)


def _draw(
    bars: Sequence[ScoreBar],
    caption: str,
    groups: Sequence[str],
    *,
    low: float,
    high: float,
    show: Callable[[float], str],
) -> Markup:
    if not bars:
        raise ValueError("found no bar, needed one or more")
    order = list(dict.fromkeys([*groups, *(bar.group for bar in bars)]))
    colours = {group: GROUP_COLOURS[place % len(GROUP_COLOURS)] for place, group in enumerate(order)}
    present = {bar.group for bar in bars}
    named = [group for group in order if group and group in present]
    keys = [_KEY.format(colour=colours[group], name=visible(group)) for group in named if len(named) > 1]
    if any(bar.chance is not None for bar in bars):
        keys.append(_GUESSING)

    def place(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / (high - low)

    drawn = []
    for bar in bars:
        estimate = bar.estimate
        zero, value = place(0.0), place(estimate.value)
        # A difference needs its zero, a score the mark of guessing.
        marks = [_MARK.format(at=zero, line="1px solid")] if low < 0 else []
        if bar.chance is not None:
            marks.append(_MARK.format(at=place(bar.chance), line="2px dashed"))
        shown, interval = show(estimate.value), f"[{show(estimate.low)}, {show(estimate.high)}]"
        guessed = "" if bar.chance is None else f", guessing scores {show(bar.chance)}"
        spoken = f"{bar.label} {bar.group}".strip() + f": {shown} % {interval}, n = {estimate.n:,}{guessed}"
        drawn.append(
            _BAR.format(
                label=visible(bar.label),
                group=_GROUP.format(name=visible(bar.group)) if len(named) > 1 and bar.group else "",
                spoken=visible(spoken),
                left=min(zero, value),
                width=abs(value - zero),
                colour=colours[bar.group],
                marks=Markup().join(marks),
                low=place(estimate.low),
                span=place(estimate.high) - place(estimate.low),
                value=f"{shown} %" if low == 0 else shown,
                interval=interval,
                n=estimate.n,
            )
        )
    legend = _LEGEND.format(keys=Markup().join(keys)) if keys else ""
    return _FIGURE.format(caption=visible(caption), legend=legend, bars=Markup("\n").join(drawn))


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else UNBOUNDED


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−") if math.isfinite(value) else UNBOUNDED
