"""The board as JSON: every number is rounded here, once, so that files and pages show the same digits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.board.board import (
    FORMAT,
    Board,
    BoardEntry,
    BoardTask,
    ConceptPoint,
    Concurrence,
    Flag,
    Line,
    Pairwise,
    Rank,
    Robustness,
    Score,
    Stability,
)

DIGITS = 6
_SURE_DIGITS = 12
# There are many of these: rows without the names of columns keep the file small.
_SCORE = ("", "_low", "_high", "_n")
_POINT = ("task", "concept", "count", "pmi", "accuracy", "n", *(f"predicted{end}" for end in _SCORE))
_PAIR = ("first", "second", "p_adjusted", "significant")


def round_number(value: float) -> float:
    """Return a number with six decimals, the same ones for numbers that differ in their last bits.

    Sums in another order differ in the 16th digit, and many shares lie halfway between two numbers of six decimals: they
    are rounded to twelve decimals first, where no share of so few questions lies halfway.

    >>> round_number(0.0703125), round_number(0.0703125 - 1e-16), round_number(-1e-9)
    (0.070312, 0.070312, 0.0)
    """
    return round(round(value, _SURE_DIGITS), DIGITS) + 0.0


def as_json(board: Board) -> bytes:
    """Return the board as strict ASCII JSON with sorted keys; entries are rows of their own.

    Points of entries and pairs are tables: ``columns`` and ``rows``, of pairs with the places of both in ``entries``,
    counted from 0.

    Args:
        board: The board.
    """
    place = {entry.id: number for number, entry in enumerate(board.entries)}
    compared = tuple(board.pairs[0].tasks) if board.pairs else ()
    told: dict[str, object] = {
        "format": FORMAT,
        "benchmarks": dict(board.benchmarks),
        "families": board.families,
        "tasks": [asdict(task) for task in board.tasks],
        "entries": [_tell_entry(entry) for entry in board.entries],
        "lines": [asdict(line) for line in board.lines],
        "pairs": {
            "tasks": compared,
            "columns": _pair_columns(compared),
            "rows": [_tell_pair(pair, compared, place) for pair in board.pairs],
        },
        "concurrence": [asdict(one) for one in board.concurrence],
        "stability": None if board.stability is None else asdict(board.stability),
        "draws": board.draws,
    }
    text = json.dumps(_round(told), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{text}\n".encode("ascii")


def read_board(data: bytes) -> Board:
    """Read a board from its JSON; what `as_json` makes of it are the same bytes.

    Raises:
        Refusal: If it is no such JSON.
    """
    try:
        told = files.parse_json(data)
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}")
        entries = tuple(_read_entry(entry) for entry in told["entries"])
        return Board(
            benchmarks=told["benchmarks"],
            families=tuple(told["families"]),
            tasks=tuple(BoardTask(**task) for task in told["tasks"]),
            entries=entries,
            lines=tuple(_read_line(line) for line in told["lines"]),
            pairs=tuple(_read_pair(row, told["pairs"]["tasks"], entries) for row in told["pairs"]["rows"]),
            concurrence=tuple(
                Concurrence(**{**one, "tau": _read_score(one["tau"])}) for one in told["concurrence"]
            ),
            stability=None if told["stability"] is None else Stability(**told["stability"]),
            draws=told["draws"],
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Refusal(
            f"leaderboard.json is no board of format {FORMAT} ({error}): make it again with oddpair leaderboard"
        ) from error


def _round(value: object) -> object:
    if isinstance(value, float):
        return round_number(value)
    if isinstance(value, Mapping):
        return {name: _round(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_round(one) for one in value]
    return value


def _tell_entry(entry: BoardEntry) -> dict[str, object]:
    told = {
        field.name: _plain(getattr(entry, field.name)) for field in fields(entry) if field.name != "points"
    }
    rows = [
        [
            point.task,
            point.concept,
            point.count,
            point.pmi,
            point.accuracy,
            point.n,
            *_numbers(point.predicted),
        ]
        for point in entry.points
    ]
    return {**told, "points": {"columns": _POINT, "rows": rows}}


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def _pair_columns(tasks: Sequence[str]) -> list[str]:
    return [*_PAIR, *(f"{name}{end}" for name in ("difference", *tasks) for end in _SCORE)]


def _tell_pair(pair: Pairwise, tasks: Sequence[str], place: Mapping[str, int]) -> list[object]:
    told: list[object] = [place[pair.first], place[pair.second], pair.p_adjusted, pair.significant]
    for score in (pair.difference, *(pair.tasks[task] for task in tasks)):
        told += _numbers(score)
    return told


def _numbers(score: Score | None) -> tuple[float | None, ...]:
    return (None,) * 4 if score is None else (score.value, score.low, score.high, score.n)


def _read_pair(row: Sequence[Any], tasks: Sequence[str], entries: Sequence[BoardEntry]) -> Pairwise:
    first, second, p_adjusted, significant, *numbers = row
    scores = [_from_numbers(numbers[start : start + 4]) for start in range(0, len(numbers), 4)]
    return Pairwise(
        first=entries[first].id,
        second=entries[second].id,
        difference=scores[0],
        p_adjusted=p_adjusted,
        significant=significant,
        tasks=dict(zip(tasks, scores[1:], strict=True)),
    )


def _from_numbers(numbers: Sequence[Any]) -> Score:
    value, low, high, n = numbers
    return Score(value=value, low=low, high=high, n=n)


def _read_entry(told: dict[str, Any]) -> BoardEntry:
    found = dict(told)
    found["rank"] = None if told["rank"] is None else Rank(**told["rank"])
    found["score"] = _read_score(told["score"])
    for name in ("families", "tasks", "styles", "residual", "residual_bands"):
        found[name] = _read_scores(told[name])
    found["metrics"] = {task: _read_scores(scores) for task, scores in told["metrics"].items()}
    found["robustness"] = tuple(
        Robustness(**{**one, "above": _read_score(one["above"])}) for one in told["robustness"]
    )
    found["points"] = tuple(_read_point(row) for row in told["points"]["rows"])
    found["flags"] = tuple(Flag(**flag) for flag in told["flags"])
    for name in ("training", "missing"):
        found[name] = tuple(told[name])
    return BoardEntry(**found)


def _read_point(row: Sequence[Any]) -> ConceptPoint:
    task, concept, count, pmi, accuracy, n, *predicted = row
    return ConceptPoint(
        task=task,
        concept=concept,
        count=count,
        pmi=pmi,
        accuracy=accuracy,
        n=n,
        predicted=_from_numbers(predicted),
    )


def _read_line(told: dict[str, Any]) -> Line:
    points = tuple((x, y) for x, y in told["points"])
    return Line(**{**told, "x": tuple(told["x"]), "y": tuple(told["y"]), "points": points})


def _read_score(told: dict[str, Any] | None) -> Score | None:
    return None if told is None else Score(**told)


def _read_scores(told: dict[str, Any]) -> dict[str, Score]:
    return {name: Score(**score) for name, score in told.items()}
