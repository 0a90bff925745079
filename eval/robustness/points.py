"""Models as points of a robustness plot: mean accuracy over tasks on each axis, with draws of their test images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from oddpair.benchmarks.benchmark import RobustnessAxes
from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import make_seed, read_answers
from oddpair.eval.comparing.draws import code_clusters, draw_means
from oddpair.eval.intervals import FloatArray
from oddpair.eval.results import Found
from oddpair.eval.robustness.lines import keep_finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a model lies.

    Attributes:
        name: Model and weights.
        x: Mean accuracy over the tasks in distribution, a fraction that is neither 0 nor 1.
        y: Likewise out of distribution.
        n_x: Test images on x.
        n_y: Test images on y.
        x_draws: x on resampled images, shape ``(n_draws,)``; ``None`` where records were not read, or a task has so few
            clusters that a draw may show nothing of it.
        y_draws: y on the same.
    """

    name: str
    x: float
    y: float
    n_x: int
    n_y: int
    x_draws: FloatArray | None
    y_draws: FloatArray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The models of some results on two axes.

    Attributes:
        points: Models that have every task of both axes, in the order of the results.
        missing: The tasks that each other model lacks, by the model's name.
    """

    points: tuple[Point, ...]
    missing: dict[str, tuple[str, ...]]


def find_points(
    found: Iterable[Found], benchmark: str, axes: RobustnessAxes, *, with_draws: bool = True
) -> Points:
    """Place models on the axes of a benchmark.

    The accuracy on an axis is the plain mean over its tasks; a mean of 0 or 1 is moved by half an image.
    Draws take whole clusters (classes, pairs, pictures), for all tasks of both axes together: what tasks share moves x
    and y alike, and what they do not share moves each on its own.

    Args:
        found: Results.
        benchmark: Name of the benchmark that the axes belong to; results of others are passed over.
        axes: The axes.
        with_draws: Whether to read records, for intervals; where a file of records is missing there are none.

    Raises:
        Refusal: If a model has two results for a task, or records are damaged.
    """
    models: dict[str, dict[str, Found]] = {}
    for one in found:
        if one.result.benchmark != benchmark:
            continue
        name = f"{one.result.model} {one.result.pretrained}".strip()
        tasks = models.setdefault(name, {})
        if one.result.task in tasks:
            raise Refusal(
                f"{name} has two results for {one.result.task}, {tasks[one.result.task].path} and {one.path}: "
                "give one of them"
            )
        tasks[one.result.task] = one
    needed = (*axes.x, *axes.y)
    return Points(
        points=tuple(
            _point(name, tasks, axes, with_draws=with_draws)
            for name, tasks in models.items()
            if all(task in tasks for task in needed)
        ),
        missing={
            name: tuple(task for task in needed if task not in tasks)
            for name, tasks in models.items()
            if any(task not in tasks for task in needed)
        },
    )


def _point(name: str, tasks: dict[str, Found], axes: RobustnessAxes, *, with_draws: bool) -> Point:
    on_x, on_y = [tasks[task] for task in axes.x], [tasks[task] for task in axes.y]
    (x, n_x), (y, n_y) = _mean(on_x), _mean(on_y)
    with_draws = with_draws and all(one.record_path.is_file() for one in (*on_x, *on_y))
    drawn = _draws(on_x, on_y) if with_draws else None
    return Point(
        name=name,
        x=x,
        y=y,
        n_x=n_x,
        n_y=n_y,
        x_draws=None if drawn is None else drawn[0],
        y_draws=None if drawn is None else drawn[1],
    )


def _mean(found: Sequence[Found]) -> tuple[float, int]:
    n = sum(one.result.n_images for one in found)
    return float(keep_finite(np.mean([one.result.main.estimate.value for one in found]), n)), n


def _draws(on_x: Sequence[Found], on_y: Sequence[Found]) -> tuple[FloatArray, FloatArray] | None:
    sides = [read_answers(one) for one in (*on_x, *on_y)]
    codes, n_clusters = code_clusters(sides)
    if min(len(np.unique(code)) for code in codes) < 2:
        return None
    # The seed is of what was asked and not of the model: the same images give the same draws.
    drawn = draw_means([side.credit for side in sides], codes, n_clusters, make_seed(sides))
    if np.isnan(drawn).any():
        return None
    (_, n_x), (_, n_y) = _mean(on_x), _mean(on_y)
    return (
        keep_finite(drawn[:, : len(on_x)].mean(axis=1), n_x),
        keep_finite(drawn[:, len(on_x) :].mean(axis=1), n_y),
    )
