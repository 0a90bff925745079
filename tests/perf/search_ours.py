"""The exact search of oddpair, timed in a process of its own, and the same answers found the slow way."""

import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.perf.search_data import World
from tests.perf.search_peers import CORES, Timed

from oddpair.retrieval.kernel.passes import explain_first_pass
from oddpair.retrieval.scan import Ask, FirstPass, Found, PreparedTests, prepare_tests, scan

DECISIONS, NEAREST, TOP, ALL = "threshold decisions", "max and argmax", "top 10", "all at once"
PREPARE = "preparing the tests"
BEST = 10
# Float64 sums of so many tests at a time stay in the cache.
_TESTS_AT_ONCE = 2000
# Rows near their thresholds are looked for among so many.
_ROWS_LOOKED_AT = 20_000


def list_fast() -> list[str]:
    """Name the first passes that this processor has instructions for."""
    return [name for name, verdict in explain_first_pass() if verdict == "ok"]


def make_ask(world: World, tests: int, name: str) -> Ask:
    """Say in the search's terms what is asked for."""
    return Ask(
        nearest=name in (NEAREST, ALL),
        top=BEST if name in (TOP, ALL) else 0,
        above=world.thresholds(tests) if name in (DECISIONS, ALL) else None,
    )


def search(world: World, rows: int, tests: int, first_pass: FirstPass, name: str) -> Timed:
    """Search the stored corpus for tests that were prepared before, or prepare them."""
    if name == PREPARE:
        vectors, uids = world.tests(tests), make_uids(tests)
        start = time.perf_counter()
        prepare_tests(vectors, uids, first_pass=first_pass)
        return Timed(time.perf_counter() - start)
    corpus, ask = world.corpus(rows), make_ask(world, tests, name)
    prepared = _prepare(world, tests, first_pass)
    start = time.perf_counter()
    found = scan(corpus, prepared, ask, threads=CORES)
    return Timed(time.perf_counter() - start, found)


@functools.lru_cache(maxsize=3)
def _prepare(world: World, tests: int, first_pass: FirstPass) -> PreparedTests:
    return prepare_tests(world.tests(tests), make_uids(tests), first_pass=first_pass)


def make_uids(tests: int) -> list[str]:
    """Name tests so that the order of their names is their own."""
    return [f"{test:08d}" for test in range(tests)]


def check(world: World, rows: int, tests: int, name: str, found: Found) -> None:
    """Compare what a search found with brute force: some rows with all tests, and some tests with all rows."""
    ask, truth = make_ask(world, tests, name), find_truth(world, rows, tests)
    few = truth.rows
    if ask.nearest:
        assert (found.test[few] == truth.by_row.argmax(axis=1)).all(), f"{name}: another test is nearest"
        assert (found.score[few] == truth.by_row.max(axis=1)).all(), f"{name}: another score"
    if ask.above is not None:
        assert (found.hit[few] == (truth.by_row > ask.above).any(axis=1)).all(), f"{name}: another decision"
    if ask.top:
        for test, scores in zip(truth.tests, truth.by_test, strict=True):
            order = sorted(
                np.argpartition(-scores, 2 * BEST)[: 2 * BEST],
                key=lambda row: (-scores[row], truth.uids[row]),
            )[:BEST]
            mine = found.top.test == test
            assert found.top.row[mine].tolist() == order, f"{name}: other rows are nearest to test {test}"
            assert (found.top.score[mine] == scores[order]).all(), f"{name}: another score of test {test}"


@dataclass(frozen=True, slots=True)
class Truth:
    """Exact scores of some rows with all tests, ``by_row``, and of some tests with all rows, ``by_test``."""

    rows: NDArray[np.int64]
    tests: NDArray[np.int64]
    by_row: NDArray[np.float32]
    by_test: NDArray[np.float32]
    uids: list[str]


@functools.lru_cache(maxsize=2)
def find_truth(world: World, rows: int, tests: int) -> Truth:
    """Score rows and tests drawn at random, and the rows that matter most: those nearest to their thresholds."""
    corpus, asked, gaps = world.corpus(rows), world.tests(tests), world.thresholds(tests)
    every = corpus.read(0, corpus.shape[0])
    rng = np.random.default_rng(1)
    drawn = rng.choice(len(every), 50, replace=False)
    parts = np.array_split(every[:_ROWS_LOOKED_AT], 100)
    near = np.concatenate([_tell_margins(part, asked, gaps) for part in parts])
    few = np.unique(np.concatenate([drawn, near.argsort()[:50]]))
    some = rng.choice(tests, 10, replace=False)
    return Truth(
        rows=few,
        tests=some,
        by_row=score_slowly(every[few], asked),
        by_test=score_slowly(asked[some], every),
        uids=corpus.uids(np.arange(len(every))),
    )


def _tell_margins(rows: NDArray[Any], tests: NDArray[Any], gaps: NDArray[np.float32]) -> NDArray[np.float32]:
    scores = rows.astype(np.float32) @ tests.astype(np.float32).T
    margins: NDArray[np.float32] = np.abs((scores - gaps).max(axis=1))
    return margins


def score_slowly(rows: NDArray[Any], tests: NDArray[Any]) -> NDArray[np.float32]:
    """Add float64 products in index order and round the sum: the score, shape ``(n, m)``."""
    scores = np.empty((len(rows), len(tests)), dtype=np.float32)
    left = rows.astype(np.float64)
    for start in range(0, len(tests), _TESTS_AT_ONCE):
        right = np.ascontiguousarray(tests[start : start + _TESTS_AT_ONCE].astype(np.float64).T)
        for row, out in zip(left, scores[:, start : start + _TESTS_AT_ONCE], strict=True):
            total = np.zeros(right.shape[1])
            for value, column in zip(row, right, strict=True):
                total += value * column
            out[:] = total
    return scores
