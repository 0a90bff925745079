"""Exact search of stored rows beside the published script's logic and faiss: two threads, one interleaved run."""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.perf import search_ours, search_peers
from tests.perf.figures import FOLDER, Figure, divide, report, use_two_cores
from tests.perf.search_data import DIMENSION, ROWS_PER_SHARD, World, make_world
from tests.perf.search_ours import ALL, DECISIONS, NEAREST, PREPARE, TOP
from tests.perf.search_peers import Timed
from tests.perf.stage import Stage

from oddpair.retrieval.kernel.passes import choose_first_pass
from oddpair.retrieval.scan import FirstPass, Work

PUBLISHED, FAISS, MENDED = "published logic", "faiss as installed", "faiss as oddpair imports it"
EXACT: FirstPass = "float32"
FAST: tuple[FirstPass, ...] = ("bfloat16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many tests, the rows that make a search of them last some seconds, and the ratios that are wanted.

    ``many`` rows are for asks of the best rows of each test: these change often among the first of them, and seldom
    among the millions that a corpus has.
    """

    tests: int
    rows: int
    many: int
    exact: float
    goal: float
    floor: float
    faiss: bool = True

    @property
    def name(self) -> str:
        """What its figures begin with."""
        return f"search, {self.tests:,} tests"

    def rows_of(self, name: str) -> int:
        """Rows that a way is timed on."""
        return self.many if name.endswith((TOP, ALL)) else self.rows


CASES = (
    Case(tests=1_000, rows=200_000, many=400_000, exact=2.8, goal=8, floor=5.5),
    Case(tests=10_000, rows=40_000, many=200_000, exact=3.8, goal=10, floor=5.5),
    Case(tests=50_000, rows=20_000, many=100_000, exact=3.5, goal=7, floor=5.3, faiss=False),
)


def list_ways(world: World, case: Case, stage: Stage) -> dict[str, Callable[[], Timed]]:
    """Say how each way is asked, in the process that it has to itself."""
    asked: tuple[Any, ...] = (world, case.rows, case.tests)
    ways: dict[str, Callable[[], Timed]] = {
        PUBLISHED: partial(stage.run, PUBLISHED, search_peers.search_as_published, *asked)
    }
    if case.faiss:
        ways[FAISS] = partial(stage.run, FAISS, search_peers.search_by_faiss, *asked, False)
        ways[MENDED] = partial(stage.run, MENDED, search_peers.search_by_faiss, *asked, True)
    ours = [(EXACT, NEAREST), *((kind, ask) for kind in FAST for ask in (DECISIONS, NEAREST, TOP, ALL))]
    for kind, ask in (*ours, *((kind, PREPARE) for kind in (EXACT, *FAST))):
        place = (world, case.rows_of(ask), case.tests)
        ways[f"{kind}, {ask}"] = partial(stage.run, "ours", search_ours.search, *place, kind, ask)
    return ways


def measure(world: World, case: Case, rounds: int, stage: Stage) -> list[Figure]:
    """Time every way in turn, compare what ours found with brute force, and make the figures."""
    print(case.name, flush=True)
    ways = list_ways(world, case, stage)
    last = {name: way() for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            last[name] = way()
            times[name].append(last[name].seconds)
    fast = stage.run("ours", choose_first_pass)
    published = [seconds / case.rows for seconds in times.pop(PUBLISHED)]
    figures = []
    for name, taken in times.items():
        found = last[name].found
        if name.endswith(PREPARE):
            figures.append(Figure(name=f"{case.name}: {name}, once", values=taken, unit="s"))
            continue
        rows = case.rows_of(name)
        figure = Figure(
            name=f"{case.name}, {rows:,} rows: {name}, beside {PUBLISHED}",
            values=divide(published, [seconds / rows for seconds in taken]),
        )
        if found is not None:
            kind, ask = name.split(", ")
            search_ours.check(world, rows, case.tests, ask, found)
            figure = replace(figure, note=_tell_work(found.work))
            if kind == EXACT:
                figure = replace(figure, floor=case.exact)
            elif ask == DECISIONS and kind == fast:
                figure = replace(figure, goal=case.goal, floor=case.floor)
        figures.append(figure)
    rate = 2e-9 * DIMENSION * case.tests / statistics.median(published)
    print(f"    {PUBLISHED}: {rate:,.0f} GFLOP/s", flush=True)
    return figures


def _tell_work(work: Work) -> str:
    return (
        f"{100 * work.refined / work.pairs:.2g} % of pairs again in float32, "
        f"{100 * work.exact / work.pairs:.2g} % in float64"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--shrink", type=int, default=1, help="so many times fewer rows and tests: for a try"
    )
    asked = options.parse_args()
    use_two_cores()
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = [
        replace(
            case,
            tests=case.tests // asked.shrink,
            rows=case.rows // asked.shrink,
            many=case.many // asked.shrink,
        )
        for case in CASES
    ]
    figures = []
    # Not where temporary files may lie in memory.
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, Stage() as stage:
        world = make_world(
            Path(folder) / "world",
            rows=max(case.many for case in cases),
            tests=max(case.tests for case in cases),
            rows_per_shard=ROWS_PER_SHARD // asked.shrink,
        )
        for case in cases:
            figures += measure(world, case, asked.rounds, stage)
    report("6-search", figures)


if __name__ == "__main__":
    main()
