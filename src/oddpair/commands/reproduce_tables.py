"""What ``oddpair predict --reproduce`` writes: rows as CSV with everything, and as Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def as_csv(rows: Sequence[Row]) -> str:
    r"""Write rows as CSV: an estimate becomes its value, both ends and n, and a list its items between semicolons.

    Args:
        rows: At least one, all with the same keys.

    Raises:
        ValueError: If the rows do not have the same columns.

    >>> as_csv([{"label": "0.9", "r": {"value": 0.5, "low": None, "high": 1.0, "n": 4}, "dropped": ["a", "b"]}])
    'label,r,r_low,r_high,r_n,dropped\n0.9,0.5,,1.0,4,a; b\n'
    """
    columns = list(rows[0])
    # An estimate that one row lacks has its columns still.
    estimates = {name for row in rows for name, value in row.items() if isinstance(value, Mapping)}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([head for name in columns for head in _heads(name, name in estimates)])
    for row in rows:
        if list(row) != columns:
            raise ValueError(f"row has columns {list(row)}, the first has {columns}")
        writer.writerow(
            [cell for name, value in row.items() for cell in _cells(value, is_estimate=name in estimates)]
        )
    return file.getvalue()


def as_markdown(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, n_names: int) -> str:
    r"""Write a titled table of GitHub's Markdown.

    Args:
        title: Heading above it.
        header: Column names.
        rows: Cells of each row.
        n_names: Columns that are aligned left, the first ones.

    >>> as_markdown("Fits", ["of", "r"], [["a|b", "0.5"]], n_names=1)
    '## Fits\n\n| of | r |\n| --- | ---: |\n| a\\|b | 0.5 |\n'
    """
    rule = ["---" if column < n_names else "---:" for column in range(len(header))]
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    lines.insert(1, rule)
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"## {title}\n\n{table}"


def _heads(name: str, is_estimate: bool) -> Iterator[str]:
    yield name
    if is_estimate:
        yield from (f"{name}_low", f"{name}_high", f"{name}_n")


def _cells(value: Any, *, is_estimate: bool) -> Iterator[str]:
    if is_estimate:
        known = value or {}
        yield from (_cell(known.get(end)) for end in ("value", "low", "high", "n"))
    elif isinstance(value, (list, tuple)):
        yield "; ".join(map(str, value))
    else:
        yield _cell(value)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
