"""Baseline models of effective robustness, read from published tables, from results, or from a plain table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from oddpair.benchmarks.benchmark import RobustnessAxes
from oddpair.errors import Refusal
from oddpair.eval.exchange.clip_benchmark import read_csv
from oddpair.eval.intervals import FloatArray
from oddpair.eval.results import find_results
from oddpair.eval.robustness.points import find_points

TESTBED = "testbed"
OPENCLIP = "openclip"
_PLAIN = ("model", "x", "y")
# What names a model in a published table, and what makes its numbers fractions.
_TABLES = {TESTBED: (("model",), 0.01), OPENCLIP: (("name", "pretrained"), 1.0)}
_BUILT = ("dataset", "model", "pretrained")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Baseline models on two axes.

    Attributes:
        source: What the models were read from, in words.
        names: The models.
        groups: What goes alike, such as epochs of one run; each model is its own where the source does not say.
        x: Accuracy in distribution, fractions of shape ``(n,)``.
        y: Accuracy out of distribution, likewise.
        n_dropped: Models left out since the source lacks one of their accuracies.
    """

    source: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    n_dropped: int


class _Model(NamedTuple):
    name: str
    group: str
    x: float | None
    y: float | None


def read_baseline(path: Path, axes: RobustnessAxes, *, benchmark: str) -> Baseline:
    """Read baseline models.

    Args:
        path: A folder of results of ``oddpair eval``, of several models; the CSV of the ImageNet testbed (in per
            cent) or of open_clip (fractions), with the columns that the axes name; a table of ``clip_benchmark
            build`` whose datasets are called as the tasks; or a CSV with the columns ``model``, ``x`` and ``y``
            (fractions) and, for what goes alike, ``group``.
        axes: The axes; accuracy on each is the plain mean over its tasks or columns.
        benchmark: Name of the benchmark that the axes belong to.

    Raises:
        Refusal: If the path is none of these, lacks a column, or holds no model with both accuracies.
    """
    models = list(_models(path, axes, benchmark))
    kept = [(model, model.x, model.y) for model in models if model.x is not None and model.y is not None]
    if not kept:
        raise Refusal(
            f"{path} has no model with an accuracy on both axes of {axes.name} "
            f"(x: {', '.join(axes.x)}; y: {', '.join(axes.y)}): give another baseline"
        )
    return Baseline(
        source=str(path),
        names=tuple(model.name for model, _, _ in kept),
        groups=tuple(model.group for model, _, _ in kept),
        x=np.array([x for _, x, _ in kept]),
        y=np.array([y for _, _, y in kept]),
        n_dropped=len(models) - len(kept),
    )


def _models(path: Path, axes: RobustnessAxes, benchmark: str) -> Iterator[_Model]:
    if not path.is_file():
        return _from_results(path, axes, benchmark)
    columns, rows = _read_table(path)
    if set(_PLAIN) <= set(columns):
        return _from_plain(path, rows)
    if set(_BUILT) <= set(columns):
        return _from_clip_benchmark(path, axes, benchmark)
    for table, (names, _) in _TABLES.items():
        if set(names) <= set(columns):
            return _from_columns(path, columns, rows, axes, table)
    raise Refusal(
        f"{path} has columns {', '.join(columns[:6])}: give the table of the ImageNet testbed, of open_clip or of "
        f"clip_benchmark build, or one with columns {', '.join(_PLAIN)}"
    )


def _from_results(path: Path, axes: RobustnessAxes, benchmark: str) -> Iterator[_Model]:
    placed = find_points(find_results([path]), benchmark, axes, with_draws=False)
    for point in placed.points:
        yield _Model(point.name, point.name, point.x, point.y)
    for name in placed.missing:
        yield _Model(name, name, None, None)


def _from_plain(path: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[_Model]:
    for row in rows:
        group = row.get("group") or row["model"]
        yield _Model(row["model"], group, _fraction(row, "x", path), _fraction(row, "y", path))


def _from_columns(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    axes: RobustnessAxes,
    table: str,
) -> Iterator[_Model]:
    names, scale = _TABLES[table]
    wanted = axes.baseline.get(table)
    if wanted is None:
        raise Refusal(
            f"{path} is a table of the kind '{table}', of which axes {axes.name} name no columns: "
            "give another baseline, or other axes"
        )
    missing = [name for axis in ("x", "y") for name in wanted[axis] if name not in columns]
    if missing:
        raise Refusal(
            f"{path} has no column {missing[0]!r}, which axes {axes.name} need: give a table that has it"
        )
    for row in rows:
        name = " ".join(row[column] for column in names)
        x, y = (
            _mean([_fraction(row, column, path, scale) for column in wanted[axis]]) for axis in ("x", "y")
        )
        yield _Model(name, name, x, y)


def _from_clip_benchmark(path: Path, axes: RobustnessAxes, benchmark: str) -> Iterator[_Model]:
    models: dict[str, dict[str, float]] = {}
    for entry in read_csv(path):
        scores = models.setdefault(f"{entry.model} {entry.pretrained}".strip(), {})
        task = entry.dataset.removeprefix(f"{benchmark}/")
        if task in scores:
            raise Refusal(f"{path}: {entry.model} has two rows for {entry.dataset}: delete one of them")
        if entry.main is not None:
            scores[task] = entry.metrics[entry.main]
    for name, scores in models.items():
        x, y = (_mean([scores.get(task) for task in tasks]) for tasks in (axes.x, axes.y))
        yield _Model(name, name, x, y)


def _read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        columns, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{path} cannot be read as CSV ({error}): check the path") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise Refusal(f"{path} line {number} has another number of cells than the header: write it again")
    return columns, rows


def _fraction(row: Mapping[str, str], column: str, path: Path, scale: float = 1.0) -> float | None:
    """Return a cell as a fraction, ``None`` where it is empty."""
    cell = row[column].strip()
    if cell.lower() in {"", "nan"}:
        return None
    try:
        value = float(cell) * scale
    except ValueError:
        raise Refusal(f"{path}: {column} is {cell!r}, needed a number: mend the table") from None
    if not 0 <= value <= 1:
        needed = "a fraction from 0 to 1" if scale == 1 else "per cent from 0 to 100"
        raise Refusal(f"{path}: {column} is {cell}, needed {needed}: mend the table")
    return value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
