"""What an evaluation leaves for readers: tables, gaps and the page; and the check that results follow from records."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from oddpair import files
from oddpair.benchmarks.benchmark import Benchmark, Gap
from oddpair.benchmarks.set_pictures import read_pictures
from oddpair.commands.evaluate import measure_again
from oddpair.commands.evaluate_page import write_page
from oddpair.commands.evaluate_plan import Plan
from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import read_answers
from oddpair.eval.comparing.gaps import gap_of
from oddpair.eval.intervals import Estimate
from oddpair.eval.result_table import as_csv, as_latex, as_markdown
from oddpair.eval.results import Found, Metric, find_results
from oddpair.eval.scoring.breakdown import break_down
from oddpair.eval.scoring.records import read_records

PAGE_FILE = "report.html"
TABLE = "table"
GAPS_FILE = "gaps.json"
# Of sums of some ten thousand float64; a changed answer of a million moves an accuracy a thousand times as far.
_ROUNDING = 1e-10


def write_report(out: Path, plan: Plan) -> list[Found]:
    """Write what is to be read of all that is in a folder.

    ``table.md``, ``table.csv`` and ``table.tex``; the page; each model's ``gaps.json``; and beside each result its
    accuracy by style, class, concept, pair or category, as ``BENCHMARK.TASK.by-style.csv`` and so on.

    Args:
        out: What `evaluate` wrote, maybe of several runs.
        plan: The tasks of the last.

    Returns:
        Every result in the folder; none where every task failed.
    """
    if not any(out.rglob("*.result.json")):
        return []
    order = {planned.name: place for place, planned in enumerate(plan.tasks)}
    found = sorted(
        find_results([out]),
        key=lambda one: order.get(f"{one.result.benchmark}.{one.result.task}", len(order)),
    )
    for ending, write in (("md", as_markdown), ("csv", as_csv), ("tex", as_latex)):
        files.write_text(out / f"{TABLE}.{ending}", write(found))
    for one in found:
        records = read_records(one.record_path, one.result.kind)
        for name, table in break_down(records, one.result.kind, one.result.class_names).items():
            path = one.record_path.with_name(f"{one.record_path.stem}.{name}.csv")
            files.write_bytes(path, _as_csv(table))
    gaps: dict[str, dict[str, Estimate]] = {}
    for slug in dict.fromkeys(one.result.slug for one in found):
        of_model = {
            f"{one.result.benchmark}.{one.result.task}": one for one in found if one.result.slug == slug
        }
        measured = {
            f"{benchmark.name}: {gap.name}": estimate
            for benchmark in plan.benchmarks
            for gap in benchmark.gaps
            if (estimate := _measure_gap(benchmark, gap, of_model)) is not None
        }
        (out / slug / GAPS_FILE).unlink(missing_ok=True)
        if measured:
            gaps[slug] = measured
            files.write_json(
                out / slug / GAPS_FILE,
                {
                    name: {"value": each.value, "low": each.low, "high": each.high, "n": each.n}
                    for name, each in measured.items()
                },
            )
    write_page(out / PAGE_FILE, found, gaps=gaps, pictures=_find_pictures(plan))
    return found


def score_again(folders: Sequence[Path]) -> dict[str, int]:
    """Compute every metric of some results again from their records.

    Args:
        folders: What ``oddpair eval`` wrote, folders of models in it, or results.

    Returns:
        Number of metrics by model and task.

    Raises:
        Refusal: If a record file is not the one that the result names, or a metric does not follow from it.
    """
    checked: dict[str, int] = {}
    for one in find_results(folders):
        result = one.result
        if files.sha256(one.record_path) != result.records:
            raise Refusal(
                f"{one.record_path} is not the file that {one.path.name} was made from: score the model again"
            )
        again = {metric.name: metric for metric in measure_again(result, one.record_path)}
        for metric in result.metrics:
            if not _same(again.pop(metric.name, None), metric):
                raise Refusal(
                    f"{one.path}: {metric.name} does not follow from its records: score the model again"
                )
        if again:
            raise Refusal(
                f"{one.path} lacks {next(iter(again))}, which its records give: score the model again"
            )
        checked[f"{result.slug} {result.benchmark}.{result.task}"] = len(result.metrics)
    return checked


def _as_csv(table: pa.Table) -> bytes:
    import pyarrow.csv as csv

    buffer = io.BytesIO()
    csv.write_csv(table, buffer)
    return buffer.getvalue()


def _same(found: Metric | None, told: Metric) -> bool:
    """Say whether two metrics are one: another processor sums in another order, and differs in the last digits."""
    if found is None or (found.estimate.n, found.interval) != (told.estimate.n, told.interval):
        return False
    pairs = [(getattr(found.estimate, end), getattr(told.estimate, end)) for end in ("value", "low", "high")]
    pairs.append((found.chance or 0.0, told.chance or 0.0))
    return all(abs(one - other) <= _ROUNDING for one, other in pairs)


def _find_pictures(plan: Plan) -> Callable[[str, str, Collection[str]], dict[str, bytes]]:
    sets = {(planned.benchmark.name, planned.task.name): planned.found for planned in plan.tasks}

    def find(benchmark: str, task: str, keys: Collection[str]) -> dict[str, bytes]:
        found = sets.get((benchmark, task))
        # A task of an earlier run, whose set may be anywhere.
        return {} if found is None else read_pictures(found, keys)

    return find


def _measure_gap(benchmark: Benchmark, gap: Gap, found: Mapping[str, Found]) -> Estimate | None:
    sides = []
    for names in (gap.first, gap.second):
        here = [found.get(f"{benchmark.name}.{name}") for name in names]
        # Scores of another version were asked something else.
        if any(one is None or one.result.version != benchmark.version for one in here):
            return None
        sides.append([read_answers(found[f"{benchmark.name}.{name}"]) for name in names])
    return gap_of(*sides, what=gap.name)
