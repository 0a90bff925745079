"""The page of ``oddpair graph``: the pairs of a test set against chance, and one table of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files, html
from oddpair.commands.counted import label_tagger
from oddpair.commands.graph_plot import plot_pairs
from oddpair.splits.pairs.findings import (
    ABSENT,
    BOTH,
    CAVEAT,
    NESTED,
    NOT_COUNTED,
    SEEN,
    STATUS_MEANINGS,
    SUM_CONDITION,
    SUPPORT_CONDITION,
    UNSEEN,
)

_SHOWN = 200
# What is text at one time: there may be millions of pairs.
_ROWS_AT_ONCE = 4096
_COLUMNS = (
    "first",
    "second",
    "together",
    "captions with both",
    "by chance",
    "PMI [95 %]",
    "captions with each",
    "seen with",
    "common neighbours",
    "path",
    "conditions met",
)
_NUMERIC = frozenset(_COLUMNS) - {"first", "second", "together", "common neighbours", "conditions met"}
_LEAST = (
    "Not all pairs of the vocabulary were counted, so what concepts are seen with and the neighbours that they share are "
    "the least there can be, and a pair that is not identifiable may be so by pairs that were not counted."
)


def write_rows(path: Path, table: pa.Table) -> None:
    """Write all pairs as comma-separated text: the numbers as they are, lists of neighbours with semicolons."""
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        for start in range(0, len(table), _ROWS_AT_ONCE):
            columns = table.slice(start, _ROWS_AT_ONCE).itercolumns()
            texts = [[_as_text(value) for value in column.to_pylist()] for column in columns]
            writer.writerows(zip(*texts, strict=True))


def write_page(path: Path, table: pa.Table, summary: Mapping[str, Any]) -> None:
    """Write the page.

    Args:
        path: The file.
        table: What ``describe_pairs`` found.
        summary: What ``oddpair graph`` sums up of it.
    """
    statuses = summary["statuses"]
    lead = (
        f"{summary['pairs']:,} pairs of concepts in {summary['captions']:,} captions: {statuses[SEEN]['pairs']:,} are "
        f"seen together, {statuses[UNSEEN]['pairs']:,} are unseen, {statuses[NOT_COUNTED]['pairs']:,} were not counted, "
        f"{statuses[ABSENT]['pairs']:,} have a concept that no caption names, {statuses[NESTED]['pairs']:,} are no pair."
    )
    figure, left_out = plot_pairs(table)
    alt = f"Captions with both concepts against those expected by chance, {summary['pairs']:,} pairs"
    order = _order(table)
    rows = [_to_cells(row) for row in table.take(order[:_SHOWN]).to_pylist()]
    caption = "The pairs, unseen ones first, of equal ones those that chance would show most often"
    if len(order) > _SHOWN:
        caption += f"; {_SHOWN} of {len(order):,}, all are in graph.csv and graph.parquet"
    sections = [
        html.section(
            "Pairs",
            html.card("Pairs of the test set", _pairs_card(summary)),
            html.card("Graph of seen pairs", _graph_card(summary)),
        ),
        html.section("Against chance", html.svg(figure, alt), note=_note(left_out)),
        html.section(
            "Every pair",
            html.table(_COLUMNS, rows, caption=caption, numeric=_NUMERIC),
            note=None if summary["pair_concepts"] is None else _LEAST,
        ),
        html.section(
            "What status and conditions say",
            *(html.paragraph(text) for text in (STATUS_MEANINGS, SUPPORT_CONDITION, SUM_CONDITION, CAVEAT)),
        ),
    ]
    files.write_text(path, html.page("Pairs of a test set", sections, lead=lead))


def _pairs_card(summary: Mapping[str, Any]) -> list[tuple[str, object]]:
    statuses = summary["statuses"]
    unseen = statuses[UNSEEN]
    shown = [] if summary["shown"] is None else [("of these, tagged together in a picture", summary["shown"])]
    conditions = [
        (f"of the unseen, {words}", _share(unseen[name], unseen["pairs"]))
        for name, words in (("supported", "supported"), ("identifiable", "identifiable"), ("both", "both"))
    ]
    return [
        ("captions", summary["captions"]),
        ("seen: together in a caption", statuses[SEEN]["pairs"]),
        ("unseen: together in no counted caption", unseen["pairs"]),
        *shown,
        *conditions,
        ("not counted: neither seen nor unseen", statuses[NOT_COUNTED]["pairs"]),
        ("absent: a concept is in no counted caption", statuses[ABSENT]["pairs"]),
        ("no pair: mentioned together by construction", statuses[NESTED]["pairs"]),
        ("supported: captions with each concept", f"{summary['support']:,} or more"),
        ("how concepts were found", _describe(summary["counting"], ("rules", "overlap", "paper", "check"))),
        *_tagger_rows(summary["tagger"], summary["tag_threshold"]),
    ]


def _tagger_rows(tagger: Mapping[str, Any] | None, threshold: float | None) -> list[tuple[str, object]]:
    if tagger is None:
        return []
    rows: list[tuple[str, object]] = [("pictures", label_tagger(tagger))]
    return rows if threshold is None else [*rows, ("tags above", threshold)]


def _describe(made: Mapping[str, Any] | None, names: Sequence[str]) -> str:
    """Put what counts say of themselves into one line; they may come from another version and say less."""
    said = [f"{name} {made[name]}" for name in names if made and made.get(name)]
    return ", ".join(said) or "not said"


def _graph_card(summary: Mapping[str, Any]) -> list[tuple[str, object]]:
    graph, degrees = summary["graph"], summary["degrees"]
    low, lower, median, upper, high = (f"{value:,.0f}" for value in degrees["quantiles"].values())
    among = summary["pair_concepts"]
    return [
        ("concepts", graph["concepts"]),
        (
            "edges: two concepts together in captions",
            f"{graph['edges']:,}, each in {summary['minimum']:,} or more",
        ),
        (
            "pairs were counted among",
            "all concepts" if among is None else f"the {among:,} most frequent, and as asked for",
        ),
        ("components of two concepts or more", graph["components"]),
        ("of these without a cycle of odd length", graph["bipartite"]),
        ("concepts in the largest", graph["largest"]),
        ("concepts seen with no other", graph["alone"]),
        ("components that the test set's concepts lie in", summary["components"]),
        (
            "concepts that each of them is seen with",
            f"{low} to {high}, quartiles {lower}, {median}, {upper}, n = {degrees['concepts']:,}",
        ),
    ]


def _share(part: int, total: int) -> str:
    return f"{part:,} of {total:,} ({part / total:.1%})" if total else "no pair"


def _note(left_out: int) -> str:
    note = (
        "Above the line a pair is seen more often than independent concepts would be, below it less often. Far left, "
        "not being seen says little: chance alone would not show the pair."
    )
    return f"{note} Not drawn, as there are so many of their kind: {left_out:,}." if left_out else note


def _order(table: pa.Table) -> NDArray[np.int64]:
    rank = {UNSEEN: 0, ABSENT: 1, NOT_COUNTED: 2, NESTED: 3, SEEN: 4}
    status = np.array([rank[status] for status in table["status"].to_pylist()])
    return np.lexsort((-table["expected"].to_numpy(), status))


def _to_cells(row: Mapping[str, Any]) -> list[object]:
    through = f"{row['common_neighbours']:,}"
    if row["strongest"]:
        more = ", …" if row["common_neighbours"] > 1 else ""
        through += f": {row['strongest'][0]} ({row['strongest_counts'][0]:,}){more}"
    return [
        row["a"],
        row["b"],
        row["status"],
        row["count_text"],
        f"{row['expected']:,.0f}" if row["expected"] >= 100 else f"{row['expected']:.3g}",
        None
        if row["pmi"] is None
        else f"{_signed(row['pmi'])} [{_signed(row['pmi_low'])}, {_signed(row['pmi_high'])}]",
        f"{row['count_a']:,} · {row['count_b']:,}",
        f"{row['degree_a']:,} · {row['degree_b']:,}",
        through,
        row["path"],
        "both" if row["composition"] == BOTH else row["composition"],
    ]


def _signed(value: float) -> str:
    return ("−∞" if value < 0 else "∞") if math.isinf(value) else f"{value:.2f}".replace("-", "−")


def _as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return "; ".join(map(str, value))
        case _:
            return str(value)
