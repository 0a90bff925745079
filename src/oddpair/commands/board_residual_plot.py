"""Accuracy by concept of an entry against how often its corpus names the concept, beside what was foretold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from oddpair.commands.board_columns import percent
from oddpair.commands.board_entry_rows import signed_points
from oddpair.commands.board_plots import Point, counts_axis, draw, percents_axis
from oddpair.eval.board.board import ConceptPoint
from oddpair.eval.board.residual_cells import BESIDE

# Where an accuracy lies beside the interval that should hold nine in ten.
WITHIN, ABOVE, BELOW = "within", "above", "below"
_COLOURS = {WITHIN: "#0072b2", ABOVE: "#d55e00", BELOW: "#009e73"}
_LEGEND = {
    WITHIN: "inside its interval",
    ABOVE: "above it",
    BELOW: "below it",
}
# Standard deviations of the weights by which predictions nearby are averaged: in decades of counts, and as a fraction.
_DECADES = 0.15
_POINTS = 0.03
_FEWEST_COUNTS = 3
_DRAWN = 49
# Concepts that a title names, and a table of the farthest at each end.
_NAMED = 6
_FARTHEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Farthest:
    """A concept in the table of those that lie farthest from what was foretold, as texts."""

    concept: str
    count: str
    pmi: str
    accuracy: str
    predicted: str
    above: str
    n: str


def plot_concepts(points: Sequence[ConceptPoint], *, task: str, corpus: str) -> Markup:
    """Return the plot of one task: concepts at one place are one mark, whose title names them.

    The curve is the mean of what is foretold for concepts of like count, the band that of the intervals that should hold
    nine in ten: both differ between concepts of one count, as other models find some easier. Where counts hardly differ, as
    of pairs that no caption shows, what is foretold takes their place.

    Args:
        points: Concepts or pairs of the task, at least one.
        task: Its name.
        corpus: Name of the corpus that is counted.
    """
    counted = has_counts(points)
    paired = any(BESIDE in point.concept for point in points)
    curve = average_predictions(points)
    heights = [0.0, *(point.accuracy for point in points), *(row[3] for row in curve)]
    foretold = [point.predicted.value for point in points]
    return draw(
        _merge(points, counted=counted),
        counts_axis([point.count for point in points])
        if counted
        else percents_axis([0.0, *foretold], across=True),
        percents_axis(heights, across=False),
        x_label=f"captions of {corpus} that name {'both' if paired else 'it'}" if counted else "foretold, %",
        y_label="accuracy, %",
        title=f"{task}: accuracy by {'pair' if paired else 'concept'} against "
        + (f"its count in {corpus}" if counted else "what was foretold"),
        line=[(across, mean) for across, mean, _, _ in curve],
        band=[(across, low, high) for across, _, low, high in curve],
        colours={_LEGEND[side]: colour for side, colour in _COLOURS.items()},
    )


def has_counts(points: Sequence[ConceptPoint]) -> bool:
    """Return whether counts differ enough to plot against: three or more."""
    return len({point.count for point in points}) >= _FEWEST_COUNTS


def judge(point: ConceptPoint) -> str:
    """Return whether an accuracy lies ``within`` the interval that should hold nine in ten, ``above`` or ``below``."""
    if point.accuracy > point.predicted.high:
        return ABOVE
    return BELOW if point.accuracy < point.predicted.low else WITHIN


def count_sides(points: Sequence[ConceptPoint]) -> dict[str, int]:
    """Return how many concepts lie within their intervals, above and below."""
    found = Counter(map(judge, points))
    return {side: found[side] for side in (WITHIN, ABOVE, BELOW)}


def average_predictions(points: Sequence[ConceptPoint]) -> list[tuple[float, float, float, float]]:
    """Return prediction and interval along the plot: means over concepts nearby, by a normal kernel.

    Args:
        points: Concepts of one task.

    Returns:
        Place across, mean, lower and upper end, at places evenly spaced from the first to the last: of counts in
        log10(1 + count), with a kernel of 0.15 decades; of predictions with one of 3 points. One place where all are equal.
    """
    counted = has_counts(points)
    if counted:
        places = np.log10(1 + np.array([point.count for point in points], dtype=np.float64))
    else:
        places = np.array([point.predicted.value for point in points])
    told = np.array([(one.predicted.value, one.predicted.low, one.predicted.high) for one in points])
    n = np.array([point.n for point in points], dtype=np.float64)
    drawn = _DRAWN if np.ptp(places) > 0 else 1
    curve = []
    for at in np.linspace(places.min(), places.max(), drawn).tolist():
        apart = ((places - at) / (_DECADES if counted else _POINTS)) ** 2 / 2
        # The nearest weighs fully, however far it is: no place is without a mean.
        weights = n * np.exp(apart.min() - apart)
        mean, low, high = (weights @ told / weights.sum()).tolist()
        curve.append((10**at - 1, mean, low, high) if counted else (at, at, low, high))
    return curve


def list_farthest(points: Sequence[ConceptPoint]) -> list[Farthest]:
    """Return the concepts farthest above what was foretold, and then those farthest below, eight of each at most."""
    ordered = sorted(points, key=lambda point: (point.predicted.value - point.accuracy, point.concept))
    most = min(_FARTHEST, len(ordered) // 2)
    return [
        Farthest(
            concept=point.concept,
            count=f"{point.count:,}",
            pmi="" if point.pmi is None else f"{point.pmi:.1f}".replace("-", "−"),
            accuracy=percent(point.accuracy),
            predicted=f"{percent(point.predicted.value)} [{percent(point.predicted.low)}, {percent(point.predicted.high)}]",
            above=signed_points(round(point.accuracy - point.predicted.value, 6)),
            n=f"{point.n:,}",
        )
        for point in [*ordered[:most], *ordered[len(ordered) - most :]]
    ]


def _merge(points: Sequence[ConceptPoint], *, counted: bool) -> list[Point]:
    places = defaultdict(list)
    for point in points:
        # Predictions within half a point of each other are one place.
        across = point.count if counted else round(200 * point.predicted.value) / 200
        places[across, point.accuracy, judge(point)].append(point)
    # Of marks of one size at one place the last is seen: one that lies outside its interval.
    ordered = sorted(places.items(), key=lambda one: (one[0][2] != WITHIN, one[0]))
    return [
        Point(x=across, y=accuracy, label=_name_all(here), group=_LEGEND[side], weight=len(here))
        for (across, accuracy, side), here in ordered
    ]


def _name_all(points: Sequence[ConceptPoint]) -> str:
    first, counts = points[0], sorted(point.count for point in points)
    names = [point.concept for point in points[:_NAMED]]
    more = f" and {len(points) - _NAMED} more" if len(points) > _NAMED else ""
    foretold = [point.predicted.value for point in points]
    told = " to ".join(dict.fromkeys((percent(min(foretold)), percent(max(foretold)))))
    return (
        f"{', '.join(names)}{more}: {percent(first.accuracy)} %, foretold {told} %, "
        f"captions: {' to '.join(dict.fromkeys((f'{counts[0]:,}', f'{counts[-1]:,}')))}"
    )
