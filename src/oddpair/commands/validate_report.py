"""What ``oddpair validate`` says of a submission that holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from oddpair.commands.validate import Validated
from oddpair.eval.result_table import align
from oddpair.eval.results import Metric
from oddpair.eval.submission.entry import Recomputed


def as_json(done: Validated) -> dict[str, Any]:
    """Return a submission as strict JSON: recomputed numbers as fractions, what it lacks, and flags."""
    return {
        "name": done.entry.submission.name,
        "sha256": done.entry.sha256,
        "level": "recomputed",
        "score": done.score,
        "missing": list(done.missing),
        "tasks": {
            name: {metric.name: _as_json(metric) for metric in task.metrics}
            for name, task in done.entry.tasks.items()
        },
        "flags": [asdict(flag) for flag in done.flags],
    }


def as_text(done: Validated) -> list[str]:
    """Return lines to read: every metric with n, chance and interval in per cent, eligibility and flags."""
    return list(_lines(done))


def _lines(done: Validated) -> Iterator[str]:
    yield f"{done.entry.submission.name}: recomputed, every claimed number follows from the predictions"
    grid = [["task", "metric", "n", "chance (%)", "recomputed (%)"]]
    grid += [row for name, task in done.entry.tasks.items() for row in _rows(name, task)]
    yield from align(grid, n_names=2).splitlines()
    if done.score is None:
        yield f"not ranked: no predictions of {', '.join(done.missing)}"
    else:
        yield f"can be ranked: macro mean over families {100 * done.score:.2f} %"
    for flag in done.flags:
        yield f"flag, {flag.kind}: {flag.text}"
    if not done.flags:
        yield "no flags"


def _rows(name: str, task: Recomputed) -> Iterator[list[str]]:
    for metric in task.metrics:
        found = metric.estimate
        yield [
            f"{name}@{task.key.version}",
            metric.name,
            f"{found.n:,}",
            "" if metric.chance is None else f"{100 * metric.chance:.2f}",
            f"{100 * found.value:.2f} [{100 * found.low:.2f}, {100 * found.high:.2f}]",
        ]


def _as_json(metric: Metric) -> dict[str, Any]:
    found = metric.estimate
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "chance": metric.chance,
        "interval": metric.interval,
    }
