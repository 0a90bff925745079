"""Effective robustness among the entries: each beside the line through the others, with the interval of a new model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from oddpair.benchmarks.benchmark import Benchmark, RobustnessAxes
from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
from oddpair.eval.board.board import Line, Robustness, Score
from oddpair.eval.robustness.lines import keep_finite
from oddpair.eval.submission.entry import Entry, Recomputed

CONFIDENCE = 0.99
# A line has two parameters: of fewer points nothing tells how far models lie from it.
FEWEST_OTHERS = 4
_FEWEST = 3
_DRAWN = 33
_Place = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    # On the probit scale: the line, the mean of x, the sum of squares about it, the models' deviation from the line.
    slope: float
    intercept: float
    centre: float
    spread: float
    deviation: float
    n: int


def find_robustness(
    entries: Sequence[Entry], benchmarks: Mapping[str, Benchmark] | None = None
) -> dict[str, tuple[Robustness, ...]]:
    """Compare the accuracy of each entry out of distribution with what the line of the others foretells.

    The accuracy on an axis is the plain mean over its tasks. The line is fitted by least squares to the probits of both,
    as in the papers; the interval (99 %, Student's t) is that of one more model about it: it grows with the distance of
    the others from their line, the more so where they are few or lie far off. Entries at the very place of another are
    copies for a line: of them one counts, and none for itself.

    Args:
        entries: All entries.
        benchmarks: Benchmarks by name; ``None`` for those that ship.

    Returns:
        By entry, one for each axes whose tasks it has in the benchmark's version, in the order of the benchmarks;
        ``above`` is a fraction, its ``n`` the others behind the line, and ``None`` for fewer than four.

    References:
        Taori et al., Measuring robustness to natural distribution shifts, NeurIPS 2020. Interval of a new observation:
        Draper and Smith, Applied Regression Analysis, 3rd edition, 1998, section 3.2.
    """
    found: dict[str, list[Robustness]] = {entry.submission.name: [] for entry in entries}
    for name, _, places in _find_places(entries, benchmarks):
        for entry, place in places.items():
            others = sorted(set(places.values()) - {place})
            fit = _fit(others) if len(others) >= FEWEST_OTHERS else None
            above = None if fit is None else _above(fit, *place)
            found[entry].append(Robustness(axes=name, x=place[0], y=place[1], above=above))
    return {entry: tuple(all_axes) for entry, all_axes in found.items()}


def find_lines(
    entries: Sequence[Entry], benchmarks: Mapping[str, Benchmark] | None = None
) -> tuple[Line, ...]:
    """Fit the line of effective robustness through all entries that have its tasks.

    Args:
        entries: All entries.
        benchmarks: Benchmarks by name; ``None`` for those that ship.

    Returns:
        A line for each axes with three entries or more at different places.
    """
    lines = []
    for name, axes, places in _find_places(entries, benchmarks):
        distinct = sorted(set(places.values()))
        fit = _fit(distinct) if len(distinct) >= _FEWEST else None
        if fit is None:
            continue
        at = np.linspace(ndtri(distinct[0][0]), ndtri(distinct[-1][0]), _DRAWN)
        points = np.stack([ndtr(at), ndtr(fit.slope * at + fit.intercept)], axis=1)
        lines.append(
            Line(
                axes=name,
                x=axes.x,
                y=axes.y,
                slope=fit.slope,
                intercept=fit.intercept,
                n=fit.n,
                points=tuple((x, y) for x, y in points.tolist()),
            )
        )
    return tuple(lines)


def _find_places(
    entries: Sequence[Entry], benchmarks: Mapping[str, Benchmark] | None
) -> Iterator[tuple[str, RobustnessAxes, dict[str, _Place]]]:
    if benchmarks is None:
        benchmarks = {name: load_benchmark(name) for name in shipped()}
    for name, benchmark in benchmarks.items():
        for axes in benchmark.robustness:
            sides = [[f"{name}.{task}" for task in side] for side in (axes.x, axes.y)]
            places = {}
            for entry in entries:
                held = [[entry.tasks.get(task) for task in side] for side in sides]
                x, y = (_mean(side, benchmark.version) for side in held)
                if x is not None and y is not None:
                    places[entry.submission.name] = (x, y)
            if places:
                yield f"{name}.{axes.name}", axes, places


def _mean(tasks: Sequence[Recomputed | None], version: int) -> float | None:
    held = [task for task in tasks if task is not None and task.key.version == version]
    if len(held) < len(tasks):
        return None
    n = sum(task.main.estimate.n for task in held)
    return float(keep_finite(np.mean([task.main.estimate.value for task in held]), n))


def _fit(places: Sequence[_Place]) -> _Fit | None:
    """Fit a line to the probits of places, or none where they do not differ on x."""
    x, y = ndtri(np.array(places)).T
    centre = x.mean()
    spread = float(((x - centre) ** 2).sum())
    if np.ptp(x) < 1e-9:
        return None
    slope = float(((x - centre) * (y - y.mean())).sum()) / spread
    intercept = float(y.mean()) - slope * float(centre)
    rest = y - slope * x - intercept
    return _Fit(
        slope=slope,
        intercept=intercept,
        centre=float(centre),
        spread=spread,
        deviation=float(np.sqrt((rest**2).sum() / (len(x) - 2))),
        n=len(x),
    )


def _above(fit: _Fit, x: float, y: float) -> Score:
    at = float(ndtri(x))
    foretold = fit.slope * at + fit.intercept
    far = float(np.sqrt(1 + 1 / fit.n + (at - fit.centre) ** 2 / fit.spread))
    reach = float(stdtrit(fit.n - 2, (1 + CONFIDENCE) / 2)) * fit.deviation * far
    value, low, high = (y - float(ndtr(end)) for end in (foretold, foretold + reach, foretold - reach))
    return Score(value=value, low=low, high=high, n=fit.n)
