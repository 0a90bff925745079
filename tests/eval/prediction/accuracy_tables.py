"""Tables of accuracies as tests need them: rows given as dictionaries, all else missing."""

from typing import Any

import numpy as np

from oddpair.eval.prediction.table import NAMES, NUMBERS, AccuracyTable


def make_table(rows):
    """Make a table; what a row does not say is model m, corpus c, dataset d, concept x, or missing."""
    told = {"model": "m", "corpus": "c", "dataset": "d", "concept": "x"}
    names = {name: np.array([row.get(name, told[name]) for row in rows], dtype=np.str_) for name in NAMES}
    numbers = {name: np.array([row.get(name, np.nan) for row in rows], dtype=float) for name in NUMBERS}
    columns: dict[str, Any] = {**names, **numbers}
    return AccuracyTable(**columns)


def as_rows(table):
    """Say a table as a sorted list of rows in which a missing number is None."""
    columns = [column.tolist() for column in table.columns().values()]
    rows = [tuple(None if cell != cell else cell for cell in row) for row in zip(*columns, strict=True)]
    return sorted(rows, key=lambda row: (row[0], row[2], row[3]))
