"""The board as CSV: one table of entries and one of pairs, with the digits of the JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from oddpair.eval.board.board import Board, BoardEntry, Score
from oddpair.eval.board.serialise import round_number

_ENDS = ("", "_low", "_high", "_n")
_RANK = ("place", "low", "high", "band")
_ABOUT = (
    *(
        "id",
        "handle",
        "model",
        "architecture",
        "parameters",
        "weights",
        "open_weights",
        "training",
        "samples_seen",
    ),
    *("variants_tried", "level", "precision", "commit", "missing"),
)
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(board: Board) -> bytes:
    """Return one line for each entry, in UTF-8: rank, what is declared, flags, and every score with its interval and n.

    Scores are fractions. What lies above a line or above what counts foretell has a column of that name. A text that a
    spreadsheet would take for a formula is led by an apostrophe.

    Args:
        board: The board.
    """
    columns = list(_name_scores(board))
    head = ["place", "rank_low", "rank_high", "band", *_ABOUT, "flags"]
    head += [f"{name}{end}" for name, _, _ in columns for end in _ENDS]
    return _write(
        head,
        (
            [
                *(None if entry.rank is None else getattr(entry.rank, name) for name in _RANK),
                *(getattr(entry, name) for name in _ABOUT),
                [flag.kind for flag in entry.flags],
                *_numbers(_find_score(entry, group, name) for _, group, name in columns),
            ]
            for entry in board.entries
        ),
    )


def pairs_csv(board: Board) -> bytes:
    """Return one line for each two ranked entries, in UTF-8: the first less the second, altogether and by task.

    Args:
        board: The board.
    """
    tasks = tuple(board.pairs[0].tasks) if board.pairs else ()
    head = ["first", "second", "p_adjusted", "significant"]
    head += [f"{name}{end}" for name in ("difference", *tasks) for end in _ENDS]
    return _write(
        head,
        (
            [
                *(pair.first, pair.second, pair.p_adjusted, pair.significant),
                *_numbers([pair.difference, *(pair.tasks[task] for task in tasks)]),
            ]
            for pair in board.pairs
        ),
    )


def _name_scores(board: Board) -> Iterator[tuple[str, str, str]]:
    """Yield each score's column, the field of an entry that it is in, and its name there."""
    tasks = [task.name for task in board.tasks]
    styles = sorted({style for entry in board.entries for style in entry.styles})
    yield "score", "score", ""
    yield from ((f"family {name}", "families", name) for name in board.families)
    yield from ((f"task {name}", "tasks", name) for name in tasks)
    yield from ((f"style {name}", "styles", name) for name in styles)
    yield from ((f"above line {line.axes}", "robustness", line.axes) for line in board.lines)
    yield from ((f"above prediction {name}", "residual", name) for name in tasks)


def _find_score(entry: BoardEntry, group: str, name: str) -> Score | None:
    if group == "score":
        return entry.score
    if group == "robustness":
        return next((one.above for one in entry.robustness if one.axes == name), None)
    found: Score | None = getattr(entry, group).get(name)
    return found


def _numbers(scores: Iterable[Score | None]) -> Iterator[float | None]:
    for score in scores:
        yield from (None,) * 4 if score is None else (score.value, score.low, score.high, score.n)


def _write(head: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(name) for name in head])
    writer.writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue().encode("utf-8")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(round_number(value))
    if isinstance(value, list | tuple):
        return _cell("; ".join(map(str, value)))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
