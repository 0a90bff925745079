"""``oddpair compare``: do two models differ, task by task, on the same questions?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oddpair.cli_options import AS_JSON, tell

if TYPE_CHECKING:
    from oddpair.eval.comparing.paired import Comparison
    from oddpair.eval.intervals import Estimate

_MODEL = "Folder of a model that oddpair eval wrote, or one result in it."
_HEAD = (
    "task",
    "A",
    "B",
    "A - B, points",
    "95 % interval",
    "A / B",
    "95 % interval",
    "p",
    "p, all",
    "A only",
    "B only",
    "n",
)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help=_MODEL)],
    b: Annotated[Path, typer.Argument(metavar="B", help=_MODEL)],
    as_json: AS_JSON = False,
) -> None:
    """Compare two models question by question: difference and ratio with intervals, exact p, by task."""
    import json

    from oddpair.commands.compare import compare_models

    found = compare_models(a, b)
    if as_json:
        tell(json.dumps(_finite(asdict(found)), allow_nan=False))
        return
    tell(f"A: {found.a}")
    tell(f"B: {found.b}")
    if found.tasks:
        for line in _align([_HEAD, *map(_row, found.tasks)]):
            tell(line)
        tell(_legend(found.tasks))
    for note in found.notes:
        tell(f"warning: {note}")
    for letter, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            tell(f"only {letter} was scored on: {', '.join(names)}")


def _legend(tasks: Sequence[Comparison]) -> str:
    test = "McNemar's exact test"
    if any(one.n_clusters < one.n for one in tasks):
        test += ", with questions of one class, pair or picture taken as one piece of evidence"
    adjusted = f"; p, all: adjusted for {len(tasks)} tasks (Holm)" if len(tasks) > 1 else ""
    return f"p: {test}{adjusted}; A only: questions for which A earned more"


def _row(one: Comparison) -> tuple[str, ...]:
    ratio = ("", "") if one.ratio is None else (f"{one.ratio.value:.3f}", _interval(one.ratio, ".3f"))
    return (
        one.task,
        f"{one.a:.1%}",
        f"{one.b:.1%}",
        f"{one.difference.value:+.1f}",
        _interval(one.difference, "+.1f"),
        *ratio,
        _chance(one.p_value),
        _chance(one.p_adjusted),
        f"{one.better:,}",
        f"{one.worse:,}",
        f"{one.n:,}",
    )


def _interval(estimate: Estimate, form: str) -> str:
    return f"[{estimate.low:{form}}, {estimate.high:{form}}]"


def _chance(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _finite(value: Any) -> Any:
    """Return JSON's view of a value: an open end is null."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
