"""Lines of effective robustness through the published models, and how far published CLIPs lie above the standard one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.benchmarks.benchmark_file import load_benchmark
from oddpair.errors import Refusal
from oddpair.eval.intervals import Estimate, percentile_interval, resample
from oddpair.eval.published.layout import OPEN_CLIP, TESTBED, Published
from oddpair.eval.robustness.baseline import OPENCLIP as OF_OPEN_CLIP
from oddpair.eval.robustness.baseline import TESTBED as OF_TESTBED
from oddpair.eval.robustness.baseline import Baseline, read_baseline
from oddpair.eval.robustness.lines import Line, fit_line, restore, transform

_BENCHMARK = "imagenet"
_FILES = {OF_TESTBED: TESTBED, OF_OPEN_CLIP: OPEN_CLIP}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLine:
    """A line through the models of a published table, both axes on probit scale.

    Attributes:
        table: File of the models.
        axes: Name of the axes in the benchmark ``imagenet``.
        x: Columns whose mean is x.
        y: Columns whose mean is y.
        slope: Of the line; its support is the models.
        intercept: Where an accuracy on x is one half.
        residual_sd: Of the models about the line, probit.
        n_dropped: Models that lack an accuracy, or have one of 0 or 1.
        above_standard: Mean effective robustness of these models over the line of the testbed on the same axes, a
            difference of accuracies; ``None`` for the testbed itself.
        n_outside: Models beyond the testbed's x, where that line is a guess.
    """

    table: str
    axes: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    slope: Estimate
    intercept: Estimate
    residual_sd: float
    n_dropped: int
    above_standard: Estimate | None
    n_outside: int


def reproduce_lines(published: Published) -> tuple[PublishedLine, ...]:
    """Fit the lines of effective robustness to the published models.

    Args:
        published: The tables.

    Returns:
        A line for each table and each axes of the benchmark ``imagenet`` that its columns allow.

    Raises:
        Refusal: If a table lacks a column, or too few models are left for a line.

    References:
        Taori et al., Measuring robustness to natural distribution shifts, NeurIPS 2020.
    """
    found = []
    for axes in load_benchmark(_BENCHMARK).robustness:
        standard: Line | None = None
        for kind, name in _FILES.items():
            if kind not in axes.baseline:
                continue
            baseline = read_baseline(published.folder / name, axes, benchmark=_BENCHMARK)
            try:
                line = fit_line(baseline.x, baseline.y, groups=baseline.groups)
            except ValueError as error:
                raise Refusal(f"{baseline.source}: {error}") from error
            above = None if standard is None else _measure_above(standard, baseline)
            outside = 0 if standard is None else int(_is_outside(standard, baseline).sum())
            found.append(
                PublishedLine(
                    table=name,
                    axes=axes.name,
                    x=tuple(axes.baseline[kind]["x"]),
                    y=tuple(axes.baseline[kind]["y"]),
                    slope=_as_estimate(line, 0, "slope"),
                    intercept=_as_estimate(line, 1, "intercept"),
                    residual_sd=line.residual_sd,
                    n_dropped=line.n_dropped + baseline.n_dropped,
                    above_standard=above,
                    n_outside=outside,
                )
            )
            if kind == OF_TESTBED:
                standard = line
    return tuple(found)


def _as_estimate(line: Line, column: int, what: str) -> Estimate:
    value = (line.slope, line.intercept)[column]
    return percentile_interval(value, line.draws[:, column], n=line.n, what=what)


def _is_outside(line: Line, baseline: Baseline) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return (baseline.x < line.low) | (baseline.x > line.high)


def _measure_above(line: Line, baseline: Baseline) -> Estimate:
    """Mean distance from a line, with the models of both drawn anew."""
    slopes, intercepts = line.draws.T
    at = transform(baseline.x, line.scale)
    distances = baseline.y - restore(slopes[:, None] * at + intercepts[:, None], line.scale)
    n = len(baseline.x)
    weights = resample(lambda drawn: drawn, n, np.random.default_rng(1), len(slopes))
    draws = np.sum(weights * distances, axis=1) / n
    value = float(np.mean(baseline.y - line.foretell(baseline.x)))
    return percentile_interval(value, draws, n=n, what="mean effective robustness")
