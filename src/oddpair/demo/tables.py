"""The tables of a run: made once from its results, shown on the terminal and in the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.demo.concept_tables import (
    correlation_table,
    gain_table,
    prediction_table,
    style_table,
)
from oddpair.demo.numbers import show_share
from oddpair.demo.pair_tables import (
    cooccurrence_table,
    pair_accuracy_table,
    pmi_table,
    quintile_table,
    transfer_table,
    unseen_table,
)
from oddpair.demo.tabulate import NONE, Results, Table
from oddpair.progress import visible
from oddpair.splits.manifest import Manifest, read_manifest
from oddpair.splits.pairs.unseen_pairs import PairTable


def make_tables(out: Path, results: Results) -> tuple[Table, ...]:
    """Make every table of a run, in the order of the report.

    Args:
        out: The run's folder.
        results: What its ``results.json`` holds.
    """
    return (
        style_table(results),
        correlation_table(results),
        prediction_table(results, "concepts"),
        gain_table(results, "concepts"),
        pair_accuracy_table(results),
        cooccurrence_table(
            files.read_table(out / "results" / "pair_rows.parquet"),
            PairTable.from_table(files.read_table(out / "splits" / "pairs.parquet")),
        ),
        transfer_table(results),
        unseen_table(results),
        pmi_table(results),
        quintile_table(results),
        prediction_table(results, "pairs"),
        gain_table(results, "pairs"),
        planted_table(results),
        split_table(read_splits(out)),
    )


def read_splits(out: Path) -> tuple[Manifest, ...]:
    """Read the splits of a run, sorted by name."""
    return tuple(read_manifest(path.parent) for path in sorted((out / "splits").glob("*/manifest.json")))


def planted_table(results: Results) -> Table:
    """Compare what the suite found with what the world planted."""
    planted = results["planted"]
    pairs, counts = planted["pairs"], planted["counts"]
    return Table(
        title="What was planted and what was found",
        caption="Styles are judged on rows without a hand label, pairs and counts on the world's own record.",
        columns=("check", "found", "needed"),
        rows=(
            *_planted_styles(planted["style"], results["plan"]["precision"]),
            (
                "tested held-out pairs found unseen",
                f"{pairs['held_out_found_unseen']:,} of {pairs['held_out_tested']:,}",
                "all",
            ),
            (
                "pairs called unseen that a caption names or a picture shows",
                f"{pairs['found_unseen_but_shown_or_named']:,} of {pairs['found_unseen']:,}",
                "0",
            ),
            (
                "pairs in no caption but in a picture, found by the search",
                f"{pairs['silent_but_shown_found_by_search']:,} of {pairs['silent_but_shown']:,}",
                NONE,
            ),
            (
                "mentions counted otherwise than the captions' truth",
                f"{counts['count_text_differences']:,}",
                "0",
            ),
            ("pictures counted otherwise than drawn", f"{counts['count_image_differences']:,}", "0"),
        ),
    )


def split_table(manifests: Sequence[Manifest]) -> Table:
    """List the splits of a run."""
    return Table(
        title="Splits",
        caption="Each is a folder of uids with a card and the hash of the list.",
        columns=("split", "rows", "what it is"),
        rows=tuple((split.name, f"{len(split):,}", describe_split(split)) for split in manifests),
    )


def describe_split(split: Manifest) -> str:
    """Say in a few words what a split is."""
    parameters = split.parameters
    match split.recipe:
        case "style-strict":
            return f"{split.name.removesuffix('-strict')} rows, none too near a test picture of another style"
        case "control":
            return (
                f"rows in every style, matched with {parameters['control_of']} by {parameters['matched_by']}"
            )
        case "unseen-pairs":
            return f"test pictures of pairs that are {split.name.removeprefix('pairs-')}"
        case _:
            return split.recipe


def show(tables: Sequence[Table]) -> None:
    """Print tables on stdout: with rules and wrapped cells on a terminal, as aligned plain text elsewhere."""
    if sys.stdout.isatty():
        _show_on_terminal(tables)
        return
    for table in tables:
        print("\n".join(_plain_lines(table)))


def _show_on_terminal(tables: Sequence[Table]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    for table in tables:
        shown = RichTable(title=Text(table.title, style="bold"), title_justify="left", box=SIMPLE_HEAD)
        for name in table.columns:
            shown.add_column(Text(name))
        for row in table.rows:
            shown.add_row(*(Text(visible(cell)) for cell in row))
        console.print(shown)


def _plain_lines(table: Table) -> Iterator[str]:
    grid = [table.columns, *(tuple(visible(cell) for cell in row) for row in table.rows)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(table.columns))]
    yield table.title
    for row in grid:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
    yield ""


def _planted_styles(styles: Mapping[str, Any], precision: float) -> Iterator[tuple[str, str, str]]:
    for style, found in styles.items():
        yield (
            f"{style}: precision of the classifier",
            _share_of(found["precision"]),
            f"{precision:.0%} or more",
        )
        yield f"{style}: recall of the classifier", _share_of(found["recall"]), NONE
        for name, when in (("wrong_before_search", "before"), ("wrong_after_search", "after")):
            yield f"{style}: rows of another style {when} the search", _share_of(found[name]), NONE
        yield f"{style}: rows that the search took out", f"{found['left_by_search']:,}", NONE


def _share_of(entry: Mapping[str, Any]) -> str:
    return f"{show_share(entry, 2)} of {entry['n']:,}"
