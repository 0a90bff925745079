"""Every fault is met without the network, and leaves nothing in the temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# What a helper asserts is shown as in a test.
pytest.register_assert_rewrite("tests.retrieval.fault_matrix.runs")

from tests.retrieval.fault_matrix.corpora import ROWS  # noqa: E402
from tests.retrieval.fault_matrix.runs import Bench  # noqa: E402


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Whole corpora and what they become."""
    made = Bench(tmp_path_factory.mktemp("whole"))
    # torch makes a folder of its own when it is first used.
    made.whole("listing", ROWS)
    return made


@pytest.fixture(autouse=True)
def clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench, no_network: None
) -> Iterator[None]:
    """Look that temporary files are gone, both of the system and of outputs."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []
    assert list(tmp_path.rglob("*.tmp")) == []
