"""The page of the leaderboard: one file, its table readable without a script, its script named by hash in its policy."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from oddpair.commands.board_columns import (
    GROUPS,
    NOTHING,
    UNITS,
    Cell,
    Column,
    Group,
    entry_address,
    name_training,
    percent,
    ranked_columns,
    unranked_columns,
)
from oddpair.commands.board_plots import Point, scatter
from oddpair.commands.board_template import read_part, read_template
from oddpair.eval.board.board import Board, BoardEntry, BoardTask, Concurrence, Line, Score
from oddpair.html_style import STYLE
from oddpair.progress import visible

_FLAGS = {
    "degenerate": "a few answers make up most of its predictions",
    "copy": "at least 99.9 % of its answers, or half of those that either has wrong, are another entry's",
    "above-prediction": "it lies above the 99 % band of what counts of its declared corpus foretell",
    "outlier": "it lies outside the 99 % band around the robustness line of the other entries",
    "variants": "it is the best of several that were tried",
    "in-training": "told by oddpair validate --manifest, never here: test pictures are in the manifest of its training data",
}
_MINUS = str.maketrans("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table; ``rows`` holds each entry with its cells, ``groups`` each run of columns: group, title, length."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[tuple[BoardEntry, list[Cell]]]

    @property
    def groups(self) -> list[tuple[Group, str, int]]:
        runs = itertools.groupby(column.group for column in self.columns)
        return [(group, _head(group), len(list(columns))) for group, columns in runs]


def render_index(board: Board) -> str:
    """Return the page of the leaderboard, the same bytes for the same board.

    Every number has the digits of ``leaderboard.json``: pass a board that was read from it. Whatever the entries say is
    shown as text; the page loads nothing, and its policy lets no script run but its own.

    Args:
        board: The board.
    """
    ranked = [entry for entry in board.entries if entry.rank is not None]
    unranked = [entry for entry in board.entries if entry.rank is None]
    tables = [
        _make_table("ranking", "Ranked models, best first", ranked_columns(board), ranked),
        _make_table("unranked", "Models without a rank, by name", unranked_columns(board), unranked),
    ]
    script, style = read_part("board.js"), STYLE + read_part("board.css")
    return read_template("board.html").render(
        board=board,
        tables={table.name: table for table in tables},
        ranks=len(ranked),
        policy=_policy(script, style),
        script=Markup(script),  # noqa: S704  a file of the package
        style=Markup(style),  # noqa: S704  a file of the package
        data=embed_json({table.name: _describe(table) for table in tables if table.rows}),
        groups=_hideable(tables),
        training=sorted({visible(name) for entry in board.entries for name in name_training(entry)}),
        lines=[(line, _plot_line(line, board.entries)) for line in board.lines if len(line.points)],
        sizes=_plot_sizes(ranked) if ranked else "",
        agreement=_agree(board.concurrence),
        tasks=[(task, *_measure(task, board.entries)) for task in board.tasks],
        separated=sum(pair.significant for pair in board.pairs),
        stable=percent(board.stability.share) if board.stability else "",
        by_chance=percent(board.stability.by_chance) if board.stability else "",
        flags=_FLAGS,
    )


def embed_json(value: object) -> Markup:
    r"""Return JSON that nothing in a page can end or open: ASCII alone, and no ``<``, ``>`` or ``&``.

    >>> print(embed_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704  no letter of HTML is left


def _make_table(name: str, caption: str, columns: list[Column], entries: Sequence[BoardEntry]) -> _Table:
    rows = [(entry, [column.cell(entry) for column in columns]) for entry in entries]
    return _Table(name=name, caption=caption, columns=columns, rows=rows)


def _describe(table: _Table) -> dict[str, object]:
    """Return what the script sorts and filters by: columns, and of each row its facts and values."""
    rows = [
        {
            "id": entry.id,
            "name": visible(f"{entry.model}, {entry.handle}"),
            "words": [
                visible(word) for word in (entry.model, entry.handle, entry.architecture, entry.weights)
            ],
            "size": entry.parameters,
            "training": [visible(name) for name in name_training(entry)],
            "weights": "open" if entry.open_weights else "closed",
            "level": entry.level,
            "values": [cell.value for cell in cells],
        }
        for entry, cells in table.rows
    ]
    return {"columns": [[column.key, column.best_first] for column in table.columns], "rows": rows}


def _head(group: Group) -> str:
    return ", ".join(part for part in (GROUPS[group], UNITS.get(group)) if part)


def _hideable(tables: Sequence[_Table]) -> list[tuple[Group, str]]:
    there = {column.group for table in tables if table.rows for column in table.columns}
    return [(group, title) for group, title in GROUPS.items() if title and group in there]


def _plot_line(line: Line, entries: Sequence[BoardEntry]) -> Markup:
    points = [
        Point(
            x=place.x,
            y=place.y,
            label=f"{entry.model}, {entry.handle}",
            href=entry_address(entry.id),
            group=", ".join(name_training(entry)),
        )
        for entry in entries
        for place in entry.robustness
        if place.axes == line.axes
    ]
    return scatter(
        points,
        x_label=f"{', '.join(line.x)}, %",
        y_label=f"{', '.join(line.y)}, %",
        line=line.points,
        diagonal=True,
        probit=True,
        title=f"Accuracy out of distribution against accuracy in distribution, {line.axes}",
    )


def _plot_sizes(entries: Sequence[BoardEntry]) -> Markup:
    points = [
        Point(
            x=entry.parameters,
            y=entry.score.value,
            low=entry.score.low,
            high=entry.score.high,
            label=f"{entry.model}, {entry.handle}",
            href=entry_address(entry.id),
            group=", ".join(name_training(entry)),
        )
        for entry in entries
        if entry.score is not None
    ]
    return scatter(
        points,
        x_label="parameters",
        y_label="score, %",
        log_x=True,
        title="Score against the number of parameters",
    )


def _agree(found: Sequence[Concurrence]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the lower triangle of tau-b: each task with text and interval of those before it."""
    names = list(dict.fromkeys(name for one in found for name in (one.first, one.second)))
    taus = {frozenset((one.first, one.second)): one.tau for one in found}
    return [
        (name, [_tell_tau(taus.get(frozenset((name, other)))) for other in names[:place]])
        for place, name in enumerate(names)
    ]


def _tell_tau(tau: Score | None) -> tuple[str, str]:
    if tau is None:
        return NOTHING, ""
    value, low, high = (f"{number:.2f}".translate(_MINUS) for number in (tau.value, tau.low, tau.high))
    return value, f"[{low}, {high}], n = {tau.n:,}"


def _measure(task: BoardTask, entries: Sequence[BoardEntry]) -> tuple[str, str]:
    """Return how many questions a task has and what guessing scores, as its entries have it."""
    scores = [entry.tasks[task.name] for entry in entries if task.name in entry.tasks]
    counts = sorted({score.n for score in scores})
    chances = sorted({score.chance for score in scores if score.chance is not None})
    return (
        " to ".join(f"{n:,}" for n in dict.fromkeys((*counts[:1], *counts[-1:]))) or NOTHING,
        " to ".join(percent(chance) for chance in dict.fromkeys((*chances[:1], *chances[-1:]))) or NOTHING,
    )


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
