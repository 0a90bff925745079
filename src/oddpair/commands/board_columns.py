"""Columns of the leaderboard's tables and the text of each cell: what is shown, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal
from urllib.parse import quote

from oddpair.eval.board.board import Board, BoardEntry, BoardTask, Score

UNKNOWN = "unknown"
NOTHING = "–"
# Columns of a group are shown or hidden together; those of "always" stay.
Group = Literal["always", "families", "robustness", "about", "tasks", "styles"]
GROUPS: dict[Group, str] = {
    "always": "",
    "families": "Families",
    "robustness": "Effective robustness",
    "about": "About the model",
    "tasks": "Tasks",
    "styles": "Styles",
}
UNITS: dict[Group, str] = {
    "families": "%",
    "robustness": "points above the line, 99 %",
    "tasks": "%",
    "styles": "%",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        under: A second, smaller line.
        value: What it is sorted by; ``None`` stays last in both directions.
        href: Page that it links to.
        bar: Where the interval begins, how wide it is and where the value lies, in hundredths of a bar.
        badge: Class of a badge.
    """

    text: str
    under: str = ""
    value: float | str | None = None
    href: str = ""
    bar: tuple[str, str, str] | None = None
    badge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        key: Its name in the address of the page.
        title: Its heading.
        group: Columns that are shown and hidden together.
        numeric: Whether it is aligned right.
        best_first: Whether the first click sorts from the largest down.
        under: A second line of the heading.
        cell: Makes the cell of an entry.
    """

    key: str
    title: str
    group: Group
    numeric: bool
    best_first: bool
    under: str = ""
    cell: Callable[[BoardEntry], Cell]

    @property
    def classes(self) -> str:
        """Classes of its cells in the page."""
        own = [self.key] if self.group == "always" else []
        return " ".join([self.group, *own, *(["number"] if self.numeric else [])])


def ranked_columns(board: Board) -> list[Column]:
    """Return the columns of the ranking."""
    place = Column(
        key="place",
        title="Rank",
        group="always",
        numeric=True,
        best_first=False,
        under="interval",
        cell=_place,
    )
    band = Column(key="band", title="Band", group="always", numeric=True, best_first=False, cell=_band)
    return [place, band, _model_column(), _score_column(board), *_common_columns(board)]


def unranked_columns(board: Board) -> list[Column]:
    """Return the columns of the entries without a rank: the same, with what is missing in its place."""
    missing = Column(
        key="missing", title="Missing tasks", group="always", numeric=False, best_first=False, cell=_missing
    )
    return [_model_column(), missing, *_common_columns(board)]


def entry_address(entry: str) -> str:
    """Return the address of an entry's page, relative to the index.

    >>> entry_address("lab__tiny__01234567")
    'entries/lab__tiny__01234567.html'
    """
    return f"entries/{quote(entry, safe='')}.html"


def percent(value: float) -> str:
    """Return a fraction in per cent with one decimal, rounded from its decimal digits.

    >>> percent(0.6125), percent(-0.0004)
    ('61.2', '0.0')
    """
    rounded = (Decimal(repr(value)) * 100).quantize(Decimal("0.1"))
    return f"{abs(rounded) if rounded == 0 else rounded}".replace("-", "−")


def shorten_count(count: int) -> str:
    """Return a number with three digits and its unit: k, M, B (10⁹) or T.

    >>> shorten_count(7), shorten_count(151_277_313), shorten_count(12_800_000_000), shorten_count(999_960)
    ('7', '151 M', '12.8 B', '1.00 M')
    """
    for unit, power in (("", 0), ("k", 3), ("M", 6), ("B", 9), ("T", 12)):
        scaled = Decimal(count).scaleb(-power)
        if power == 0 and count < 1000:
            return str(count)
        for digits in (2, 1, 0):
            rounded = scaled.quantize(Decimal(1).scaleb(-digits))
            if power and rounded < Decimal(10) ** (3 - digits):
                return f"{rounded} {unit}"
    return f"{scaled:,.0f} {unit}"


def name_training(entry: BoardEntry) -> tuple[str, ...]:
    """Return the declared corpora of an entry, or that they are unknown."""
    return entry.training or (UNKNOWN,)


def _common_columns(board: Board) -> list[Column]:
    styles = sorted({name for entry in board.entries for name in entry.styles})
    return [
        *[_family_column(board, name) for name in board.families],
        *[_robustness_column(board, line.axes) for line in board.lines],
        Column(key="level", title="Level", group="always", numeric=False, best_first=False, cell=_level),
        Column(key="flags", title="Flags", group="always", numeric=True, best_first=True, cell=_flags),
        *_about_columns(),
        *[_task_column(board, task) for task in board.tasks],
        *[_style_column(board, name) for name in styles],
    ]


def _about_columns() -> Iterable[Column]:
    numbers: dict[str, tuple[str, Callable[[BoardEntry], Cell]]] = {
        "parameters": ("Parameters", lambda entry: _count(entry.parameters)),
        "samples": ("Samples seen", lambda entry: _count(entry.samples_seen)),
    }
    texts: dict[str, tuple[str, Callable[[BoardEntry], Cell]]] = {
        "training": ("Training data", lambda entry: _text(", ".join(name_training(entry)))),
        "weights": ("Weights", lambda entry: _text("open" if entry.open_weights else "closed")),
        "architecture": ("Architecture", lambda entry: _text(entry.architecture)),
    }
    for key in ("parameters", "training", "samples", "weights", "architecture"):
        title, cell = (numbers | texts)[key]
        number = key in numbers
        yield Column(key=key, title=title, group="about", numeric=number, best_first=number, cell=cell)


def _model_column() -> Column:
    return Column(
        key="model",
        title="Model",
        group="always",
        numeric=False,
        best_first=False,
        under="submitted by",
        cell=_model,
    )


def _score_column(board: Board) -> Column:
    scores = [entry.score for entry in board.entries if entry.score is not None]
    low = min((score.low for score in scores), default=0.0)
    span = max((score.high for score in scores), default=1.0) - low

    def cell(entry: BoardEntry) -> Cell:
        score = entry.score
        if score is None:
            return Cell(text=NOTHING)
        lengths = (score.low - low, score.high - score.low, score.value - low)
        start, width, middle = (f"{100 * length / span if span else 0:.2f}" for length in lengths)
        return replace(_show(score), bar=(start, width, middle))

    under = f"%, {_support(scores)}"
    return Column(
        key="score", title="Score", group="always", numeric=True, best_first=True, under=under, cell=cell
    )


def _family_column(board: Board, name: str) -> Column:
    return _measure_column(board, "families", name, lambda entry: entry.families.get(name))


def _robustness_column(board: Board, axes: str) -> Column:
    def get(entry: BoardEntry) -> Score | None:
        return next((one.above for one in entry.robustness if one.axes == axes), None)

    return _measure_column(board, "robustness", axes, get)


def _task_column(board: Board, task: BoardTask) -> Column:
    return _measure_column(board, "tasks", task.name, lambda entry: entry.tasks.get(task.name))


def _style_column(board: Board, name: str) -> Column:
    return _measure_column(board, "styles", name, lambda entry: entry.styles.get(name))


def _measure_column(
    board: Board, group: Group, name: str, get: Callable[[BoardEntry], Score | None]
) -> Column:
    scores = [score for entry in board.entries if (score := get(entry)) is not None]
    return Column(
        key=f"{group}.{name}",
        title=name,
        group=group,
        numeric=True,
        best_first=True,
        under=_support(scores),
        cell=lambda entry: _show(get(entry)),
    )


def _support(scores: Iterable[Score]) -> str:
    numbers = sorted({score.n for score in scores})
    return "n = " + " to ".join(f"{number:,}" for number in dict.fromkeys((*numbers[:1], *numbers[-1:])))


def _show(score: Score | None) -> Cell:
    if score is None:
        return Cell(text=NOTHING)
    interval = f"[{percent(score.low)}, {percent(score.high)}]"
    return Cell(text=percent(score.value), under=interval, value=score.value)


def _place(entry: BoardEntry) -> Cell:
    if entry.rank is None:
        raise ValueError(f"entry {entry.id!r} has no rank, needed a ranked entry")
    return Cell(
        text=str(entry.rank.place), under=f"[{entry.rank.low}, {entry.rank.high}]", value=entry.rank.place
    )


def _band(entry: BoardEntry) -> Cell:
    if entry.rank is None:
        raise ValueError(f"entry {entry.id!r} has no rank, needed a ranked entry")
    return Cell(text=str(entry.rank.band), value=entry.rank.band)


def _model(entry: BoardEntry) -> Cell:
    return Cell(text=entry.model, under=entry.handle, value=entry.model, href=entry_address(entry.id))


def _missing(entry: BoardEntry) -> Cell:
    return Cell(text=", ".join(entry.missing), value=len(entry.missing))


def _level(entry: BoardEntry) -> Cell:
    return Cell(text=entry.level, value=entry.level, badge=entry.level)


def _flags(entry: BoardEntry) -> Cell:
    number = len(entry.flags)
    return Cell(text=str(number), value=number, href=f"{entry_address(entry.id)}#flags" if number else "")


def _count(count: int | None) -> Cell:
    return Cell(text=UNKNOWN) if count is None else Cell(text=shorten_count(count), value=count)


def _text(text: str) -> Cell:
    return Cell(text=text, value=text)
