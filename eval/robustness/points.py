"""Models as points of a robustness plot: mean accuracy over tasks on each axis, with draws of their test images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from oddpair.benchmarks.benchmark import RobustnessAxes
from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import read_answers
from oddpair.eval.intervals import FloatArray
from oddpair.eval.results import Found
from oddpair.eval.robustness.lines import N_DRAWS, keep_finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a model lies.

    Attributes:
        name: Model and weights.
        x: Mean accuracy over the tasks in distribution, a fraction that is neither 0 nor 1.
        y: Likewise out of distribution.
        n_x: Test images on x.
        n_y: Test images on y.
        x_draws: x on resampled images, shape ``(n_draws,)``; ``None`` where records were not read.
        y_draws: Likewise.
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
    Draws resample each task's clusters, tasks independently of one another.

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


def draw_accuracy(hits: FloatArray, clusters: ArrayLike, rng: np.random.Generator) -> FloatArray:
    """Return an accuracy on resampled images, clusters being drawn whole with replacement.

    Clusters of equal size and success are one kind, and how often each kind is drawn is one draw of a
    multinomial: the same distribution as drawing clusters one by one, in a fraction of the time.

    Args:
        hits: Credit of each image, 0 to 1, shape ``(n,)``.
        clusters: Name of what each image goes alike with, shape ``(n,)``.
        rng: Source of the draws.

    Returns:
        Shape ``(n_draws,)``.
    """
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    totals = np.stack([np.bincount(codes, weights=hits), np.bincount(codes)], axis=1)
    kinds, counts = np.unique(totals, axis=0, return_counts=True)
    n_clusters = int(counts.sum())
    drawn = rng.multinomial(n_clusters, counts / n_clusters, size=N_DRAWS) @ kinds
    shares: FloatArray = drawn[:, 0] / drawn[:, 1]
    return shares


def _point(name: str, tasks: dict[str, Found], axes: RobustnessAxes, *, with_draws: bool) -> Point:
    on_x, on_y = [tasks[task] for task in axes.x], [tasks[task] for task in axes.y]
    (x, n_x), (y, n_y) = _mean(on_x), _mean(on_y)
    with_draws = with_draws and all(one.record_path.is_file() for one in (*on_x, *on_y))
    return Point(
        name=name,
        x=x,
        y=y,
        n_x=n_x,
        n_y=n_y,
        x_draws=_draws(on_x) if with_draws else None,
        y_draws=_draws(on_y) if with_draws else None,
    )


def _mean(found: Sequence[Found]) -> tuple[float, int]:
    n = sum(one.result.n_images for one in found)
    return float(keep_finite(np.mean([one.result.main.estimate.value for one in found]), n)), n


def _draws(found: Sequence[Found]) -> FloatArray:
    drawn = [_draw_task(one) for one in found]
    n = sum(one.result.n_images for one in found)
    return keep_finite(np.mean(drawn, axis=0), n)


def _draw_task(found: Found) -> FloatArray:
    answers = read_answers(found)
    # Of what was scored and not of the model: the same images give the same draws.
    seed = int(found.result.hashes["uids"][:16], 16)
    return draw_accuracy(answers.credit, answers.clusters, np.random.default_rng(seed))
