"""The table of faults in docs/faults.md names every test of this folder and of an index's faults, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.retrieval import test_index_faults
from tests.retrieval.fault_matrix import (
    test_fetch_faults,
    test_picture_faults,
    test_shard_faults,
    test_table_faults,
    test_vector_faults,
)
from tests.retrieval.fault_matrix.corpora import LAYOUTS

MODULES = (
    test_shard_faults,
    test_picture_faults,
    test_table_faults,
    test_vector_faults,
    test_fetch_faults,
    test_index_faults,
)
CASES = [*range(1, 50), 59]


def ids_of(module: ModuleType) -> Iterator[str]:
    """Give the ids of parametrised tests, and the names of others."""
    for name, function in vars(module).items():
        if not name.startswith("test_"):
            continue
        numbered = [one for mark in getattr(function, "pytestmark", []) for one in ids_of_mark(mark)]
        yield from [one for one in numbered if re.match(r"\d+-", one)] or [name]


def ids_of_mark(mark: Any) -> Iterator[str]:
    if mark.name != "parametrize":
        return
    given = mark.kwargs.get("ids")
    for place, value in enumerate(mark.args[1]):
        found = (
            given(value) if callable(given) else given[place] if given else str(getattr(value, "id", value))
        )
        # The layout is no part of the fault.
        for layout in LAYOUTS:
            found = found.removesuffix(f"-{layout}")
        yield found


def number_of(found: str) -> int:
    digits = re.match(r"(?:test_)?(\d+)", found)
    assert digits, f"{found} begins with no number of a case"
    return int(digits[1])


def rows_of(root: Path) -> dict[int, list[str]]:
    """Read the table: the tests that each case names in its last column."""
    lines = (root / "docs" / "faults.md").read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| \d", line)]
    assert {len(row) for row in cells} == {5}
    assert len({row[0] for row in cells}) == len(cells)
    return {int(row[0]): re.findall(r"`([^`]+)`", row[-1]) for row in cells}


@pytest.fixture(autouse=True)
def clean_up() -> None:
    """Nothing is embedded here."""


def test_every_case_has_a_row_and_a_test(root: Path) -> None:
    assert list(rows_of(root)) == CASES
    assert sorted({number_of(found) for module in MODULES for found in ids_of(module)}) == CASES


def test_the_table_names_the_tests_that_there_are(root: Path) -> None:
    tests: dict[int, set[str]] = {}
    for module in MODULES:
        for found in ids_of(module):
            tests.setdefault(number_of(found), set()).add(found)
    assert {case: set(named) for case, named in rows_of(root).items()} == tests
