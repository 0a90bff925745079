"""The page of one entry of the leaderboard: all that is known of it, and how it stands against every other; no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from oddpair.commands.board_columns import NOTHING, UNKNOWN, name_training, percent, shorten_count
from oddpair.commands.board_entry_rows import (
    beside,
    compared_tasks,
    list_metrics,
    list_others,
    list_scores,
    signed_points,
)
from oddpair.commands.board_plots import Point, scatter
from oddpair.commands.board_residual_plot import (
    Farthest,
    count_sides,
    has_counts,
    list_farthest,
    plot_concepts,
)
from oddpair.commands.board_template import read_part, read_template
from oddpair.eval.board.board import Board, BoardEntry, ConceptPoint, Robustness, Score
from oddpair.html_style import STYLE

_OWN, _OTHERS = "this model", "other models"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Residual:
    """A task beside its prediction, as texts; ``verdict`` is where it lies beside the band of 99 %.

    ``counted`` is whether its plot has counts across; ``sides`` how many concepts lie where beside their intervals.
    """

    task: str
    accuracy: str
    predicted: str
    band: str
    above: str
    interval: str
    n: str
    verdict: str
    plot: Markup | None
    counted: bool
    sides: Mapping[str, int]
    farthest: list[Farthest]


def render_entry(board: Board, entry: BoardEntry) -> str:
    """Return the page of an entry, the same bytes for the same board.

    Every number has the digits of ``leaderboard.json``: pass a board that was read from it. Whatever the entry says is
    shown as text; the page loads nothing, and its policy lets no script run.

    Args:
        board: The board.
        entry: One of its entries.
    """
    style = STYLE + read_part("board.css") + read_part("board_entry.css")
    scores, end = list_scores(board, entry)
    return read_template("board_entry.html").render(
        board=board,
        entry=entry,
        policy=_policy(style),
        style=Markup(style),  # noqa: S704  files of the package
        ranks=sum(other.rank is not None for other in board.entries),
        score=None if entry.score is None else _tell(entry.score),
        scores=scores,
        end=end,
        declared=_declare(entry),
        summary=_summarise(entry),
        links=[(kind, entry.links[kind], _is_safe(entry.links[kind])) for kind in sorted(entry.links)],
        metrics=list_metrics(board, entry),
        robustness=[(own, _tell_above(own), _plot_robustness(board, entry, own)) for own in entry.robustness],
        residuals=[_residual(entry, task) for task in entry.residual],
        # More than one corpus is never counted.
        corpus=entry.training[0] if len(entry.training) == 1 else "the declared corpus",
        others=list_others(board, entry),
        compared=compared_tasks(board),
    )


def _summarise(entry: BoardEntry) -> str:
    return f"{entry.architecture}, {shorten_count(entry.parameters)} parameters"


def _declare(entry: BoardEntry) -> list[tuple[str, str]]:
    return [
        ("Architecture", entry.architecture),
        ("Parameters", f"{entry.parameters:,}"),
        ("Training data", ", ".join(name_training(entry))),
        ("Samples seen", UNKNOWN if entry.samples_seen is None else f"{entry.samples_seen:,}"),
        ("Variants tried", f"{entry.variants_tried:,}"),
        ("Weights", "open" if entry.open_weights else "closed"),
        ("SHA-256 of the weights", entry.weights),
        ("Arithmetic", entry.precision or UNKNOWN),
        ("Scored by oddpair", entry.commit or UNKNOWN),
    ]


def _is_safe(address: str) -> bool:
    return address.startswith("https://")


def _plot_robustness(board: Board, entry: BoardEntry, own: Robustness) -> Markup:
    line = next((line for line in board.lines if line.axes == own.axes), None)
    points = [
        Point(
            x=place.x,
            y=place.y,
            label=f"{other.model}, {other.handle}",
            href="" if other.id == entry.id else beside(other.id),
            group=_OWN if other.id == entry.id else _OTHERS,
            marked=other.id == entry.id,
        )
        for other in board.entries
        for place in other.robustness
        if place.axes == own.axes
    ]
    return scatter(
        points,
        x_label="in distribution, %" if line is None else f"{', '.join(line.x)}, %",
        y_label="out of distribution, %" if line is None else f"{', '.join(line.y)}, %",
        line=() if line is None else line.points,
        diagonal=True,
        probit=True,
        title=f"Accuracy out of distribution against accuracy in distribution, {own.axes}",
    )


def _tell_above(own: Robustness) -> str:
    told = f"{percent(own.y)} % out of distribution at {percent(own.x)} % in distribution"
    if own.above is None:
        return f"{told}. Too few other models make a line to hold it against."
    side = "below" if own.above.value < 0 else "above"
    low, high = signed_points(own.above.low), signed_points(own.above.high)
    return (
        f"{told}, {percent(abs(own.above.value))} points {side} the line of the {own.above.n:,} other models [{low}, {high}]. "
        "The interval is that of one more model about their line: it holds 0 for 99 such models in 100."
    )


def _residual(entry: BoardEntry, task: str) -> _Residual:
    above, band = entry.residual[task], entry.residual_bands.get(task)
    points: list[ConceptPoint] = [point for point in entry.points if point.task == task]
    predicted = accuracy = reach = verdict = NOTHING
    if band is not None:
        scored = round(band.value + above.value, 6)
        predicted, accuracy = percent(band.value), percent(scored)
        reach = f"[{percent(band.low)}, {percent(band.high)}]"
        verdict = "above" if scored > band.high else "below" if scored < band.low else "inside"
    corpus = entry.training[0] if len(entry.training) == 1 else "the corpus"
    return _Residual(
        task=task,
        accuracy=accuracy,
        predicted=predicted,
        band=reach,
        above=signed_points(above.value),
        interval=f"[{signed_points(above.low)}, {signed_points(above.high)}]",
        n=f"{above.n:,}",
        verdict=verdict,
        plot=plot_concepts(points, task=task, corpus=corpus) if points else None,
        counted=has_counts(points),
        sides=count_sides(points),
        farthest=list_farthest(points),
    )


def _tell(score: Score) -> tuple[str, str]:
    return percent(score.value), f"[{percent(score.low)}, {percent(score.high)}]"


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
