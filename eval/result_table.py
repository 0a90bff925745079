"""Results as one table, tasks by models: aligned text, Markdown, CSV and LaTeX of the same digits."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from oddpair.errors import Refusal
from oddpair.eval.results import Found
from oddpair.progress import visible

NOTHING = "–"
UNBOUNDED = "unbounded"
CSV_COLUMNS = (
    *("benchmark", "version", "task", "metric", "model", "pretrained"),
    *("n", "chance_percent", "value_percent", "low_percent", "high_percent"),
)
_TASK_COLUMNS = ("benchmark", "task", "metric", "n", "chance (%)")
# The first columns are names, the others numbers.
_N_NAMES = 3
_GAP = "  "
# Hashes that must agree for two models to stand in one row: they were asked the same.
_ASKED = ("questions", "prompts", "classes")
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{letter: f"{{{letter}}}" for letter in "[]*"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number of a table: what a model scored on a task, with what is known of it.

    Attributes:
        model: What the user, or who published it, called the model.
        pretrained: Likewise its weights; may be empty.
        benchmark: Name of the benchmark; may be empty.
        version: Its version; ``None`` where unknown.
        task: Name of the task.
        metric: Name of the metric.
        value: A fraction.
        low: Lower end of its 95 % interval, a fraction; ``None`` where none is known.
        high: Upper end, likewise.
        n: Support; ``None`` where unknown.
        chance: What guessing scores, a fraction; ``None`` where unknown or no number.
        asked: Hashes of what was asked, as (name, hash) pairs: scores share a row only where they agree.
    """

    model: str
    pretrained: str
    benchmark: str
    version: int | None
    task: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int | None
    chance: float | None
    asked: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Model and weights in one string, as CLIP_benchmark's ``model_fullname``."""
        return f"{self.model} {self.pretrained}".strip()


def score_of(found: Found) -> Score:
    """Return the main metric of a result as a number of a table."""
    result, metric = found.result, found.result.main
    estimate = metric.estimate
    return Score(
        model=result.model,
        pretrained=result.pretrained,
        benchmark=result.benchmark,
        version=result.version,
        task=result.task,
        metric=metric.name,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        chance=metric.chance,
        asked=tuple((name, result.hashes[name]) for name in _ASKED if name in result.hashes),
    )


def as_text(results: Iterable[Found | Score], *, width: int = 120) -> str:
    """Write results as aligned plain text: a row for each task, a column for each model, in per cent.

    Models that do not fit into the width follow below, beside the same tasks.

    Args:
        results: What ``find_results`` found, or numbers from elsewhere.
        width: Letters that a line may have; one model is always shown.

    Returns:
        Lines, each with its end.

    Raises:
        Refusal: If there is nothing, or two results of one model on one task disagree.
    """
    grid = [[visible(cell) for cell in row] for row in _grid(results)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    task_columns = range(len(_TASK_COLUMNS))
    return "\n".join(
        align([[row[column] for column in (*task_columns, *block)] for row in grid], n_names=_N_NAMES)
        for block in _blocks(widths, width)
    )


def align(grid: Sequence[Sequence[str]], *, n_names: int) -> str:
    r"""Write rows of cells as lines of aligned text; what could move the cursor is escaped.

    Args:
        grid: Rows of equally many cells, the first being the header.
        n_names: Columns that are aligned left, the first ones; the others hold numbers.

    >>> align([["task", "n"], ["a", "10"]], n_names=1)
    'task   n\na     10\n'
    """
    shown = [[visible(cell) for cell in row] for row in grid]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = (
        [
            cell.ljust(width) if column < n_names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in shown
    )
    return "".join(f"{_GAP.join(line).rstrip()}\n" for line in lines)


def as_markdown(results: Iterable[Found | Score]) -> str:
    """Write results as a table of GitHub's Markdown; names are escaped. As `as_text` otherwise."""
    header, *rows = ([_for_markdown(cell) for cell in row] for row in _grid(results))
    rule = ["---" if column < _N_NAMES else "---:" for column in range(len(header))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def as_latex(results: Iterable[Found | Score]) -> str:
    """Write results as a LaTeX ``tabular`` with booktabs' rules; names are escaped. As `as_text` otherwise."""
    grid = _grid(results)
    columns = "l" * _N_NAMES + "r" * (len(grid[0]) - _N_NAMES)
    head, *body = (f"{' & '.join(map(_for_latex, row))} \\\\\n" for row in grid)
    return (
        "% \\usepackage{booktabs}; values and intervals (95 %) in per cent\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\\midrule\n{''.join(body)}\\bottomrule\n\\end{{tabular}}\n"
    )


def as_csv(results: Iterable[Found | Score]) -> str:
    """Write results as CSV, a line for each model and task; what is unknown or unbounded is empty.

    Raises:
        Refusal: As `as_text`.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in _rows(results):
        for score in row.scores.values():
            version, n = ("" if number is None else number for number in (score.version, score.n))
            shares = [_for_csv(share) for share in (score.chance, score.value, score.low, score.high)]
            what = [score.benchmark, version, row.task, score.metric]
            writer.writerow([*what, score.model, score.pretrained, n, *shares])
    return file.getvalue()


def show(value: float) -> str:
    """Write a fraction in per cent: the one place where a table's digits are made.

    >>> show(0.66654), show(-0.000001)
    ('66.65', '0.00')
    """
    text = f"{100 * value:.2f}"
    return text.lstrip("-") if float(text) == 0 else text


def show_score(score: Score) -> str:
    """Write a value with its interval, both in per cent."""
    if score.low is None or score.high is None:
        return show(score.value)
    low, high = (show(end) if math.isfinite(end) else UNBOUNDED for end in (score.low, score.high))
    return f"{show(score.value)} [{low}, {high}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _TaskRow:
    """Scores of every model on one question.

    Attributes:
        task: Name of the task, with what sets the row apart where another row has the same name.
        scores: Scores by the model's label.
    """

    task: str
    scores: dict[str, Score]

    @property
    def any(self) -> Score:
        """A score of the row: all agree in everything but model and value."""
        return next(iter(self.scores.values()))


def _rows(results: Iterable[Found | Score]) -> list[_TaskRow]:
    """Group scores that answer the same question, tasks and models in the order of their first appearance."""
    rows: dict[Hashable, dict[str, Score]] = {}
    tasks: dict[Hashable, list[Hashable]] = {}
    for one in results:
        score = score_of(one) if isinstance(one, Found) else one
        task = (score.benchmark, score.version, score.task, score.metric)
        question = (*task, score.n, score.chance, score.asked)
        if question not in rows:
            tasks.setdefault(task, []).append(question)
        row = rows.setdefault(question, {})
        if row.setdefault(score.label, score) != score:
            raise Refusal(
                f"two results of {score.label} on {score.benchmark} {score.task} disagree "
                f"({show(row[score.label].value)} and {show(score.value)}): give one of their folders"
            )
    if not rows:
        raise Refusal("there is no result to show: give what oddpair eval wrote")
    return [
        _TaskRow(task=name, scores=row)
        for questions in tasks.values()
        for name, row in _named([rows[question] for question in questions])
    ]


def _named(rows: Sequence[dict[str, Score]]) -> Iterator[tuple[str, dict[str, Score]]]:
    """Name the rows of one task; where what was asked differs, its hashes say so."""
    asked = [dict(next(iter(row.values())).asked) for row in rows]
    apart = [name for name in _ASKED if len({hashes.get(name) for hashes in asked}) > 1]
    for row, hashes in zip(rows, asked, strict=True):
        told = ", ".join(f"{name} {hashes.get(name, 'unknown')[:8]}" for name in apart)
        task = next(iter(row.values())).task
        yield f"{task} ({told})" if told else task, row


def _grid(results: Iterable[Found | Score]) -> list[list[str]]:
    """Return header and rows of cells: what a task is, then a cell for each model."""
    rows = _rows(results)
    labels = list(dict.fromkeys(label for row in rows for label in row.scores))
    return [
        [*_TASK_COLUMNS, *labels],
        *(
            [
                row.any.benchmark if row.any.version is None else f"{row.any.benchmark} v{row.any.version}",
                row.task,
                row.any.metric,
                NOTHING if row.any.n is None else f"{row.any.n:,}",
                NOTHING if row.any.chance is None else show(row.any.chance),
                *(show_score(row.scores[label]) if label in row.scores else NOTHING for label in labels),
            ]
            for row in rows
        ),
    ]


def _blocks(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Share the columns of models out over blocks that fit between the columns of the task and the edge."""
    fixed = len(_TASK_COLUMNS)
    room -= sum(widths[:fixed]) + len(_GAP) * fixed
    block: list[int] = []
    for column in range(fixed, len(widths)):
        needed = sum(widths[one] + len(_GAP) for one in (*block, column)) - len(_GAP)
        if block and needed > room:
            yield block
            block = []
        block.append(column)
    yield block


def _for_csv(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else show(value)


def _for_markdown(cell: str) -> str:
    return re.sub(r"([\\`*_{}<>|#&~$])", r"\\\1", visible(cell))


def _for_latex(cell: str) -> str:
    # Two hyphens would become a dash.
    return "".join(_LATEX.get(letter, letter) for letter in visible(cell)).replace("--", "-{}-")
