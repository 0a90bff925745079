"""What a table is before anybody shows it: text in cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oddpair.demo.numbers import show_estimate

Results = Mapping[str, Any]

NONE = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text: cells are written already, one per column."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: row {index} has {len(row)} cells, {len(self.columns)} columns"
                )


def impossible_table(title: str, columns: tuple[str, ...], found: Mapping[str, Any]) -> Table:
    """Make the table of a result that the rows of a run cannot give: one row with the reason."""
    row = ("all", show_estimate(found), *[NONE] * (len(columns) - 2))
    return Table(
        title=title, caption="The rows of this run cannot give these numbers.", columns=columns, rows=(row,)
    )
