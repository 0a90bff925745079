"""Rows of an entry's page: its scores among those of the others, and the difference from each other entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from oddpair.commands.board_columns import NOTHING, entry_address, percent
from oddpair.commands.board_plots import interval_bar
from oddpair.eval.board.board import Board, BoardEntry, Score

_MEAN = "mean of the families"
_STEP = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """A score as texts, and a bar in which others are strokes."""

    name: str
    value: str
    interval: str
    bar: Markup
    n: str
    chance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRow:
    """Another entry as texts.

    Attributes:
        id: The other entry.
        href: Address of its page, where the same two are compared.
        model: Its name.
        handle: Who submitted it.
        place: Its place.
        difference: This entry less the other: value and interval, in points.
        bar: The same as a bar about zero.
        p: Adjusted for all pairs.
        verdict: ``ahead``, ``behind`` or ``not separated``.
        tasks: Value and interval by task.
    """

    id: str
    href: str
    model: str
    handle: str
    place: str
    difference: tuple[str, str]
    bar: Markup
    p: str
    verdict: str
    tasks: tuple[tuple[str, str], ...]


def list_scores(board: Board, entry: BoardEntry) -> tuple[list[tuple[str, list[ScoreRow]]], str]:
    """Return the scores of an entry under headings, and where the scale of their bars ends, in per cent."""
    headings: list[tuple[str, Iterable[str], Callable[[BoardEntry], Mapping[str, Score]]]] = [
        ("Score", [_MEAN], lambda one: {} if one.score is None else {_MEAN: one.score}),
        ("Families", board.families, lambda one: one.families),
        ("Tasks", [task.name for task in board.tasks], lambda one: one.tasks),
        ("Styles", sorted(entry.styles), lambda one: one.styles),
    ]
    every = [score for _, _, get in headings for one in board.entries for score in get(one).values()]
    end = _round_up(max((score.high for score in every), default=1.0))
    found = []
    for heading, names, get in headings:
        own, others = get(entry), [get(other) for other in board.entries if other.id != entry.id]
        rows = [
            _show(name, own[name], [scores[name].value for scores in others if name in scores], end)
            for name in names
            if name in own
        ]
        if rows:
            found.append((heading, rows))
    return found, f"{round(100 * end)}"


def list_others(board: Board, entry: BoardEntry) -> list[OtherRow]:
    """Return every other ranked entry, best first, from the side of this one; nothing for one without a rank."""
    found = dict(_compare(board, entry))
    return [found[other.id] for other in board.entries if other.id in found]


def compared_tasks(board: Board) -> tuple[str, ...]:
    """Return the tasks on which entries are compared, in the order of the board."""
    tasks = board.pairs[0].tasks if board.pairs else {}
    return tuple(task.name for task in board.tasks if task.name in tasks)


def beside(entry: str) -> str:
    """Return the address of another entry's page, from a page of an entry.

    >>> beside("lab__tiny__01234567")
    'lab__tiny__01234567.html'
    """
    return entry_address(entry).rpartition("/")[2]


def signed_points(value: float) -> str:
    """Return a difference of fractions in percentage points, with its sign.

    >>> signed_points(0.0123), signed_points(-0.0123), signed_points(-0.0001)
    ('+1.2', '−1.2', '0.0')
    """
    text = percent(value)
    return text if text.startswith("−") or text == "0.0" else f"+{text}"


def _show(name: str, score: Score, values: Iterable[float], end: float) -> ScoreRow:
    return ScoreRow(
        name=name,
        value=percent(score.value),
        interval=_interval(score),
        bar=interval_bar(score.value, score.low, score.high, end=end, others=values, reference=score.chance),
        n=f"{score.n:,}",
        chance=NOTHING if score.chance is None else percent(score.chance),
    )


def _round_up(share: float) -> float:
    return min(max(math.ceil(round(share / _STEP, 6)), 1) * _STEP, 1.0)


def _compare(board: Board, entry: BoardEntry) -> Iterator[tuple[str, OtherRow]]:
    own = [pair for pair in board.pairs if entry.id in (pair.first, pair.second)]
    others = {other.id: other for other in board.entries}
    tasks = compared_tasks(board)
    reach = max(
        (abs(end) for pair in own for end in (pair.difference.low, pair.difference.high)), default=1.0
    )
    for pair in own:
        is_first = pair.first == entry.id
        other = others[pair.second if is_first else pair.first]
        away = pair.difference if is_first else _turn(pair.difference)
        verdict = "not separated"
        if pair.significant:
            verdict = "ahead" if is_first else "behind"
        yield (
            other.id,
            OtherRow(
                id=other.id,
                href=f"{beside(other.id)}#vs-{quote(entry.id, safe='')}",
                model=other.model,
                handle=other.handle,
                place=NOTHING if other.rank is None else str(other.rank.place),
                difference=_points(away),
                bar=interval_bar(away.value, away.low, away.high, start=-reach, end=reach, reference=0.0),
                p="< 0.001" if pair.p_adjusted < 0.001 else f"{pair.p_adjusted:.3f}",
                verdict=verdict,
                tasks=tuple(
                    _points(pair.tasks[task] if is_first else _turn(pair.tasks[task])) for task in tasks
                ),
            ),
        )


def _turn(score: Score) -> Score:
    return Score(value=-score.value, low=-score.high, high=-score.low, n=score.n)


def _points(score: Score) -> tuple[str, str]:
    return signed_points(score.value), f"[{signed_points(score.low)}, {signed_points(score.high)}]"


def _interval(score: Score) -> str:
    return f"[{percent(score.low)}, {percent(score.high)}]"


def list_metrics(board: Board, entry: BoardEntry) -> list[tuple[str, list[tuple[str, str, str, str, str]]]]:
    """Return every metric of every task, the main one first: name, value, interval, n and what guessing scores."""
    return [
        (
            task.name,
            [
                (
                    name,
                    percent(score.value),
                    _interval(score),
                    f"{score.n:,}",
                    NOTHING if score.chance is None else percent(score.chance),
                )
                for name, score in _main_first(entry.metrics[task.name], task.metric)
            ],
        )
        for task in board.tasks
        if task.name in entry.metrics
    ]


def _main_first(metrics: Mapping[str, Score], main: str) -> Sequence[tuple[str, Score]]:
    return sorted(metrics.items(), key=lambda one: (one[0] != main, one[0]))
