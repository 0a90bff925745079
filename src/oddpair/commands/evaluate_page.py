"""The page of an evaluation: scores with interval and chance, gaps, styles, classes, and pictures of mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import MappingProxyType

import pyarrow as pa
from markupsafe import Markup

from oddpair import files, html
from oddpair.commands.evaluate_bars import ScoreBar, draw_differences, draw_scores
from oddpair.commands.evaluate_mistakes import count_confusions, find_mistakes
from oddpair.commands.thumbnails import as_thumbnail
from oddpair.eval.comparing.gaps import POINTS
from oddpair.eval.intervals import Estimate
from oddpair.eval.result_table import UNBOUNDED, show
from oddpair.eval.results import Found
from oddpair.eval.scoring.breakdown import break_down
from oddpair.eval.scoring.records import read_records

# Pictures of a task and those that hold some keys: encoded files by key; what cannot be read is left out.
Pictures = Callable[[str, str, Sequence[str]], Mapping[str, bytes]]

STYLES = "by-style"
_MEASURED = ("n", "value", "low", "high")
# Pages grow with the models: of more than these the best of each task are looked at more closely.
_LOOKED_AT = 3
_MISTAKES, _COLUMNS = 24, 8
_CLASSES = 8
_CONFUSIONS = 12


def write_page(
    path: Path,
    found: Sequence[Found],
    *,
    gaps: Mapping[str, Mapping[str, Estimate]] = MappingProxyType({}),
    pictures: Pictures | None = None,
) -> None:
    """Write the page of an evaluation.

    Args:
        path: The page.
        found: Results, at least one; their records are read.
        gaps: Differences of families of tasks in points, by their name, by the model's folder.
        pictures: Gives pictures of a benchmark's task by key; ``None`` for a page without.

    Raises:
        Refusal: If records are missing or damaged.
        ValueError: If there is no result.
    """
    if not found:
        raise ValueError("found no result, needed one or more")
    names = name_models(found)
    tasks: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        tasks.setdefault((one.result.benchmark, one.result.task), []).append(one)
    sections = [_show_scores(tasks, names)]
    if any(gaps.values()):
        sections.append(_show_gaps(gaps, names))
    for (benchmark, task), here in tasks.items():
        sections.append(
            html.section(
                _task_title(benchmark, task, several=len({each for each, _ in tasks}) > 1),
                *_show_task(here, names, pictures),
                anchor=f"task-{len(sections)}",
            )
        )
    lead = (
        f"{_count(len(names), 'model')} on {_count(len(tasks), 'task')}. Every number stands beside its 95 % interval, and "
        "follows from the records beside this page: oddpair score computes them again."
    )
    files.write_text(path, html.page("Evaluation", sections, lead=lead))


def name_models(found: Iterable[Found]) -> dict[str, str]:
    """Name each model as briefly as tells them apart, by folder: the ends of paths, or the folder where two agree.

    Returns:
        Names by slug, in the order of the results.
    """
    brief = {
        one.result.slug: " ".join(
            filter(None, (PurePath(name).name for name in (one.result.model, one.result.pretrained)))
        )
        for one in found
    }
    taken = list(brief.values())
    return {slug: name if taken.count(name) == 1 else slug for slug, name in brief.items()}


def _show_scores(tasks: Mapping[tuple[str, str], Sequence[Found]], names: Mapping[str, str]) -> html.Section:
    figures: list[Markup] = []
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in tasks):
        bars = [
            ScoreBar(
                label=task,
                estimate=one.result.main.estimate,
                group=names[one.result.slug],
                chance=one.result.main.chance,
            )
            for (owner, task), here in tasks.items()
            if owner == benchmark
            for one in here
        ]
        versions = sorted(
            {one.result.version for (owner, _), here in tasks.items() if owner == benchmark for one in here}
        )
        version = " and ".join(map(str, versions))
        caption = f"{benchmark}, version {version}: the main metric of each task"
        figures.append(draw_scores(bars, caption=caption, groups=tuple(names.values())))
    rows = [
        [
            benchmark,
            task,
            one.result.main.name,
            names[one.result.slug],
            *_cells(one.result.main.estimate),
            chance,
        ]
        for (benchmark, task), here in tasks.items()
        for one in here
        for chance in [None if one.result.main.chance is None else show(one.result.main.chance)]
    ]
    columns = ["benchmark", "task", "metric", "model", "n", "value (%)", "interval (%)", "chance (%)"]
    table = html.table(columns, rows, caption="The same in numbers", numeric=columns[4:])
    return html.section("Scores", *figures, html.fold("The same as a table", table))


def _show_gaps(gaps: Mapping[str, Mapping[str, Estimate]], names: Mapping[str, str]) -> html.Section:
    bars = [
        ScoreBar(label=gap, estimate=_as_fraction(of_model[gap]), group=names.get(slug, slug))
        for gap in dict.fromkeys(gap for of_model in gaps.values() for gap in of_model)
        for slug, of_model in gaps.items()
        if gap in of_model
    ]
    caption = "Mean accuracy of the first minus that of the second, in points"
    return html.section("Gaps", draw_differences(bars, caption=caption, groups=tuple(names.values())))


def _as_fraction(points: Estimate) -> Estimate:
    value, low, high = (end / POINTS for end in (points.value, points.low, points.high))
    return Estimate(value=value, low=low, high=high, n=points.n, what=points.what)


def _show_task(
    here: Sequence[Found], names: Mapping[str, str], pictures: Pictures | None
) -> Iterator[Markup]:
    yield _show_metrics(here, names)
    best = sorted(here, key=lambda one: -one.result.main.estimate.value)[:_LOOKED_AT]
    if len(best) < len(here):
        yield html.paragraph(f"Below are the {len(best)} models that score best.")
    records = {one.result.slug: read_records(one.record_path, one.result.kind) for one in best}
    tables = {
        slug: break_down(records[slug], one.result.kind, one.result.class_names)
        for one in best
        for slug in [one.result.slug]
    }
    yield from _show_styles({names[slug]: of_model.get(STYLES) for slug, of_model in tables.items()}, names)
    for one in best:
        slug = one.result.slug
        parts = [
            *(
                part
                for name, table in tables[slug].items()
                if name != STYLES
                for part in _show_extremes(name, table, names[slug], tuple(names.values()))
            ),
            *_show_confusions(one, records[slug]),
            *_show_mistakes(one, records[slug], pictures),
        ]
        if parts and len(best) == 1:
            yield from parts
        elif parts:
            yield html.fold(f"{names[slug]}: classes and mistakes", *parts, is_open=one is best[0])


def _show_metrics(here: Sequence[Found], names: Mapping[str, str]) -> Markup:
    rows = [
        [
            names[one.result.slug],
            metric.name,
            *_cells(metric.estimate),
            None if metric.chance is None else show(metric.chance),
        ]
        for one in here
        for metric in one.result.metrics
    ]
    columns = ["model", "metric", "n", "value (%)", "interval (%)", "chance (%)"]
    first = here[0].result
    asked = f"{_count(first.n_images, 'picture')}"
    if first.class_names:
        asked += f", {_count(len(first.class_names), 'class', 'classes')}"
    if first.damaged:
        asked += f"; {first.damaged:,} more could not be read"
    return html.table(
        columns, rows, caption=f"Kind {first.kind}, family {first.family}: {asked}", numeric=columns[2:]
    )


def _show_styles(tables: Mapping[str, pa.Table | None], names: Mapping[str, str]) -> Iterator[Markup]:
    known = {model: _estimates(table) for model, table in tables.items() if table is not None}
    styles = dict.fromkeys(style for of_model in known.values() for style, _ in of_model)
    if len(styles) > 1:
        bars = [
            ScoreBar(label=style, estimate=estimate, group=model)
            for style in styles
            for model, of_model in known.items()
            for name, estimate in of_model
            if name == style
        ]
        yield draw_scores(bars, caption="By style of the picture", groups=tuple(names.values()))


def _show_extremes(name: str, table: pa.Table, model: str, groups: Sequence[str]) -> Iterator[Markup]:
    """Show the parts that surely score worst and best, by the ends of their intervals; all where they are few."""
    parts = _estimates(table)
    what = name.removeprefix("by-")
    worst = sorted(parts, key=lambda each: (each[1].high, each[1].value, each[0]))
    if len(parts) <= 2 * _CLASSES:
        chosen = {f"By {what}, the surely worst first": worst}
    else:
        best = sorted(parts, key=lambda each: (-each[1].low, -each[1].value, each[0]))
        plural = {"class": "classes", "category": "categories"}.get(what, f"{what}s")
        chosen = {
            f"{_CLASSES} of {len(parts):,} {plural}: those whose intervals end lowest": worst[:_CLASSES],
            f"{_CLASSES} of {len(parts):,} {plural}: those whose intervals begin highest": best[:_CLASSES],
        }
    for caption, some in chosen.items():
        if some:
            bars = [ScoreBar(label=label, estimate=estimate, group=model) for label, estimate in some]
            yield draw_scores(bars, caption=caption, groups=groups)


def _show_confusions(one: Found, records: pa.Table) -> Iterator[Markup]:
    rows = count_confusions(records, one.result.kind, one.result.class_names)
    if rows:
        shown = [
            [right, said, n, f"{100 * n / support:.1f}"] for right, said, n, support in rows[:_CONFUSIONS]
        ]
        columns = ["is", "said", "how often", "of that class (%)"]
        yield html.table(columns, shown, caption="Taken for one another most often")


def _show_mistakes(one: Found, records: pa.Table, pictures: Pictures | None) -> Iterator[Markup]:
    if pictures is None:
        return
    result = one.result
    mistakes = find_mistakes(records, result.kind, result.class_names, _MISTAKES)
    found = pictures(result.benchmark, result.task, [each.key for each in mistakes]) if mistakes else {}
    shown = [(as_thumbnail(found[each.key]), each.text) for each in mistakes if each.key in found]
    if shown:
        caption = "Mistakes that the model is surest of, at most two of a kind"
        yield html.contact_sheet(shown, columns=_COLUMNS, caption=caption)


def _estimates(table: pa.Table) -> list[tuple[str, Estimate]]:
    """Read a breakdown, whose parts are named by one column or by several."""
    labels = [name for name in table.column_names if name not in _MEASURED]
    found = []
    for row in table.to_pylist():
        name = ", ".join(row[label] or "unknown" for label in labels)
        found.append(
            (name, Estimate(value=row["value"], low=row["low"], high=row["high"], n=row["n"], what=name))
        )
    return found


def _cells(estimate: Estimate) -> tuple[int, str, str]:
    low, high = (show(end) if math.isfinite(end) else UNBOUNDED for end in (estimate.low, estimate.high))
    return estimate.n, show(estimate.value), f"[{low}, {high}]"


def _task_title(benchmark: str, task: str, *, several: bool) -> str:
    return f"{benchmark}: {task}" if several else task


def _count(n: int, one: str, more: str = "") -> str:
    return f"{n:,} {one if n == 1 else more or one + 's'}"
