"""What ``oddpair robustness`` measures: models against the line of a baseline, as numbers, text and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from oddpair import files, html
from oddpair.benchmarks.benchmark import Benchmark, RobustnessAxes
from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
from oddpair.commands.robustness_plot import draw_plot
from oddpair.errors import Refusal
from oddpair.eval.intervals import Estimate
from oddpair.eval.result_table import align, show
from oddpair.eval.results import find_results
from oddpair.eval.robustness.baseline import Baseline, read_baseline
from oddpair.eval.robustness.lines import Line, Robustness, Scale, effective_robustness, fit_line
from oddpair.eval.robustness.points import Point, find_points

# Below this a bootstrap over models is known to understate.
_FEW = 10
_COLUMNS = ("model", "x", "y", "line's y", "effective robustness", "of the line alone", "of the images alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Models against a baseline.

    Attributes:
        benchmark: Name of the benchmark.
        axes: Its axes.
        baseline: The baseline models.
        line: Their line.
        scatter: Root mean square of the baseline models' own distances from the line, a difference of accuracies.
        models: Each model and its effective robustness, in the order of the results.
        missing: Tasks that the other models lack, by name.
    """

    benchmark: str
    axes: RobustnessAxes
    baseline: Baseline
    line: Line
    scatter: float
    models: tuple[tuple[Point, Robustness], ...]
    missing: dict[str, tuple[str, ...]]

    @property
    def labels(self) -> tuple[str, str]:
        """What x and y are, in words."""
        on_x = "the same classes" if self.axes.same_classes else "the full set"
        return f"{_mean_of(self.axes.x)} (x, {on_x})", f"{_mean_of(self.axes.y)} (y)"


def measure_robustness(
    paths: Sequence[Path], baseline_path: Path, *, axes_name: str | None, suite: str | None, scale: Scale
) -> Measured:
    """Measure effective robustness of the models of some results.

    Args:
        paths: What ``oddpair eval`` wrote.
        baseline_path: As `read_baseline`.
        axes_name: Axes of the benchmark; ``None`` for its only ones.
        suite: Name or file of the benchmark; ``None`` for the one that the results name.
        scale: Transform of both axes.

    Raises:
        Refusal: If there are no such axes, no model has their tasks, or no line can be laid.
    """
    found = find_results(paths)
    # Results of a folder or of a user's own benchmark stand beside others, and have no axes that could be found by name.
    names = [suite] if suite else sorted({one.result.benchmark for one in found} & set(shipped()))
    benchmark, axes = _choose_axes([load_benchmark(name) for name in names], axes_name)
    placed = find_points(found, benchmark.name, axes)
    if not placed.points:
        name, lacking = next(iter(placed.missing.items()), ("no model", (*axes.x, *axes.y)))
        raise Refusal(
            f"axes {axes.name}: {name} has no result of {', '.join(lacking)}: score it on these tasks"
        )
    baseline = read_baseline(baseline_path, axes, benchmark=benchmark.name)
    try:
        line = fit_line(baseline.x, baseline.y, scale, groups=baseline.groups)
    except ValueError as error:
        raise Refusal(f"{baseline.source}: {error}") from error
    inside = (baseline.x > 0) & (baseline.x < 1)
    distances = (baseline.y - line.foretell(baseline.x))[inside]
    return Measured(
        benchmark=benchmark.name,
        axes=axes,
        baseline=baseline,
        line=line,
        scatter=float(np.sqrt(np.mean(distances**2))),
        models=tuple(
            (
                point,
                effective_robustness(line, point.x, point.y, x_draws=point.x_draws, y_draws=point.y_draws),
            )
            for point in placed.points
        ),
        missing=placed.missing,
    )


def as_json(measured: Measured) -> dict[str, Any]:
    """Return what was measured as strict JSON: fractions, and ``null`` for an end without bound."""
    line = asdict(measured.line)
    del line["draws"]
    return {
        "benchmark": measured.benchmark,
        "axes": measured.axes.name,
        "x": list(measured.axes.x),
        "y": list(measured.axes.y),
        "same_classes": measured.axes.same_classes,
        "baseline": measured.baseline.source,
        "baseline_dropped": measured.baseline.n_dropped,
        "baseline_scatter": measured.scatter,
        "line": line,
        "models": [
            {
                "model": point.name,
                "x": point.x,
                "y": point.y,
                "line_y": float(measured.line.foretell(point.x)),
                "effective_robustness": _as_json(found.total),
                "of_line": _as_json(found.of_line),
                "of_images": None if found.of_images is None else _as_json(found.of_images),
                "is_outside": found.is_outside,
            }
            for point, found in measured.models
        ],
        "missing": {name: list(tasks) for name, tasks in measured.missing.items()},
    }


def as_lines(measured: Measured) -> Iterator[str]:
    """Say what was measured, in per cent and points."""
    over, under = measured.labels
    yield f"{measured.benchmark}, {measured.axes.name}: {under} against {over}, in per cent"
    yield _tell_line(measured)
    yield ""
    yield from align([_COLUMNS, *_rows(measured)], n_names=1).splitlines()
    yield ""
    yield from _notes(measured)


def write_page(path: Path, measured: Measured) -> None:
    """Write a page with the plot, the line and every model's effective robustness."""
    over, under = measured.labels
    points = [point for point, _ in measured.models]
    plot: Markup = draw_plot(
        f"{measured.axes.name}: {under} against {over}, {measured.line.scale} axes",
        measured.labels,
        measured.baseline,
        measured.line,
        points,
    )
    line = measured.line
    card = html.card(
        "The line",
        [
            ("baseline", measured.baseline.source),
            ("models", line.n),
            ("models left out: an accuracy is missing", measured.baseline.n_dropped),
            ("models left out: an accuracy is 0 or 1", line.n_dropped),
            ("groups drawn whole", line.n_groups),
            ("scale of both axes", line.scale),
            ("slope", line.slope),
            ("intercept", line.intercept),
            (f"residual standard deviation, {line.scale}", line.residual_sd),
            ("baseline models' own distance from the line, points", f"{show(measured.scatter)}"),
        ],
    )
    table = html.table(_COLUMNS, list(_rows(measured)), caption="Per cent and points, with 95 % intervals")
    lead = (
        "Effective robustness is accuracy out of distribution beyond what the baseline's line foretells from accuracy "
        "in distribution. 0 is a model like the baseline's."
    )
    sections = [
        html.section(measured.axes.name, plot),
        html.section("Models", table, *(html.paragraph(note) for note in _notes(measured))),
        html.section("Baseline", card),
    ]
    files.write_text(path, html.page(f"Effective robustness, {measured.benchmark}", sections, lead=lead))


def _choose_axes(benchmarks: Sequence[Benchmark], name: str | None) -> tuple[Benchmark, RobustnessAxes]:
    every = [(benchmark, axes) for benchmark in benchmarks for axes in benchmark.robustness]
    chosen = [one for one in every if name is None or one[1].name == name]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(f"{axes.name} of {benchmark.name}" for benchmark, axes in every) or "none"
    asked = "--axes is not given" if name is None else f"--axes {name} fits {len(chosen)}"
    raise Refusal(f"{asked}; the benchmarks of these results have {there}: name one with --axes, and --suite")


def _tell_line(measured: Measured) -> str:
    line, baseline = measured.line, measured.baseline
    left = baseline.n_dropped + line.n_dropped
    return (
        f"baseline: {line.n:,} models of {baseline.source}"
        f"{f' ({left:,} left out)' if left else ''}; "
        f"{line.scale}(y) = {line.slope:.3f} {line.scale}(x) {line.intercept:+.3f}, "
        f"residual sd {line.residual_sd:.3f}; its own models lie {show(measured.scatter)} points off (rms)"
    )


def _rows(measured: Measured) -> Iterator[tuple[str, ...]]:
    for point, found in measured.models:
        yield (
            point.name,
            show(point.x),
            show(point.y),
            show(float(measured.line.foretell(point.x))),
            _with_interval(found.total),
            _with_interval(found.of_line),
            "no records" if found.of_images is None else _with_interval(found.of_images),
        )


def _notes(measured: Measured) -> Iterator[str]:
    low, high = show(measured.line.low), show(measured.line.high)
    for point, found in measured.models:
        if found.is_outside:
            yield f"{point.name} lies outside the baseline's x of {low} to {high}: the line is a guess there"
    for name, tasks in measured.missing.items():
        yield f"{name} is left out: no result of {', '.join(tasks)}"
    if measured.line.n_groups < _FEW:
        yield f"{measured.line.n_groups} independent baseline models are few: intervals of the line are too narrow"
    yield "intervals: resampled baseline models and test images; they say nothing of other seeds of training"


def _with_interval(estimate: Estimate) -> str:
    low, high = (show(end) if np.isfinite(end) else "unbounded" for end in (estimate.low, estimate.high))
    return f"{show(estimate.value)} [{low}, {high}]"


def _as_json(estimate: Estimate) -> dict[str, float | None]:
    low, high = (end if np.isfinite(end) else None for end in (estimate.low, estimate.high))
    return {"value": estimate.value, "low": low, "high": high}


def _mean_of(tasks: Sequence[str]) -> str:
    return tasks[0] if len(tasks) == 1 else f"mean of {', '.join(tasks)}"
