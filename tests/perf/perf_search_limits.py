"""Exact search beside what the machine can do: the bare product, rows that are in memory already, bounded memory."""

import argparse
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.perf import search_peers
from tests.perf.figures import FOLDER, Figure, divide, report, use_two_cores
from tests.perf.search_data import DIMENSION, World, make_world
from tests.perf.search_ours import ALL, DECISIONS, NEAREST, list_fast, make_ask, make_uids, search
from tests.perf.search_peers import CORES, Product
from tests.perf.stage import Stage

from oddpair.retrieval.scan import prepare_tests, scan
from oddpair.retrieval.unit_rows import HeldRows

FLOORS: dict[Product, float] = {"int8": 65, "bfloat16": 70}
MULTIPLY_SECONDS = 1.0
MANY = 10_000
TIMES = 4


@dataclass(frozen=True, slots=True)
class Spans:
    """Seconds of one search of rows on disk, of rows in memory, and of reading alone; all of the same rows."""

    stored: float
    held: float
    reading: float


def measure_products(world: World, rows: int, tests: int, rounds: int, stage: Stage) -> list[Figure]:
    """Compare a search with the bare matrix product of its first pass."""
    fast = stage.run("ours", list_fast)
    shares: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for kind in FLOORS:
            rate = stage.run("product", search_peers.multiply, kind, MULTIPLY_SECONDS)
            for ask in (DECISIONS, NEAREST):
                taken = stage.run("ours", search, world, rows, tests, kind, ask).seconds
                share = 100 * 2 * DIMENSION * rows * tests / taken / rate
                if turn:
                    shares.setdefault(f"{kind}, {ask}", []).append(share)
    return [
        Figure(
            name=f"search, {tests:,} tests: share of the bare product's rate, {name}",
            values=values,
            unit="%",
            floor=FLOORS[kind] if name.endswith(DECISIONS) and kind in fast else None,
        )
        for kind in FLOORS
        for name, values in shares.items()
        if name.startswith(kind)
    ]


def measure_cold(world: World, rows: int, tests: int, rounds: int, stage: Stage) -> list[Figure]:
    """Compare a search of rows that no cache holds with one of rows that are in memory."""
    spans = [stage.run("ours", stream, world, rows, tests) for _ in range(rounds + 1)][1:]
    held, stored = [span.held for span in spans], [span.stored for span in spans]
    size = rows * DIMENSION * 2
    name = f"search, {tests:,} tests, rows from disk, no page cached"
    speed = ", ".join(f"{size / span.reading / 1e9:.2g}" for span in spans)
    return [
        Figure(
            name=f"{name}: share of the speed in memory",
            values=[100 * share for share in divide(held, stored)],
            unit="%",
            floor=80,
            note=f"the disk alone reads {speed} GB/s, the search in memory takes {size / min(held) / 1e9:.2g}",
        )
    ]


def stream(world: World, rows: int, tests: int) -> Spans:
    """Search rows on disk that no cache holds, then read them alone, then search them in memory."""
    stored, ask = world.corpus(rows), make_ask(world, tests, DECISIONS)
    prepared = prepare_tests(world.tests(tests), make_uids(tests))
    forget(world.shards(rows))
    start = time.perf_counter()
    scan(stored, prepared, ask, threads=CORES)
    cold = time.perf_counter() - start
    forget(world.shards(rows))
    start = time.perf_counter()
    for path in world.shards(rows):
        path.read_bytes()
    reading = time.perf_counter() - start
    held = HeldRows(stored.read(0, stored.shape[0]), make_uids(stored.shape[0]))
    start = time.perf_counter()
    scan(held, prepared, ask, threads=CORES)
    return Spans(cold, time.perf_counter() - start, reading)


def forget(paths: list[Path]) -> None:
    """Have the system drop what it holds of files in memory."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_memory(world: World, rows: int, tests: int) -> list[Figure]:
    """Compare the peak memory of a search with that of one of four times the rows."""
    peaks = []
    for number in (rows // TIMES, rows):
        with Stage() as stage:
            peaks.append(stage.run("ours", tell_peak, world, number, tests))
    print(f"    peak memory above the libraries: {peaks[0]:.0f} and {peaks[1]:.0f} MB", flush=True)
    return [
        Figure(
            name=f"search, {tests:,} tests, {number:,} rows, all at once: peak memory above the libraries",
            values=[peak],
            unit="MB",
            ceiling=1000,
        )
        for number, peak in zip((rows // TIMES, rows), peaks, strict=True)
    ]


def tell_peak(world: World, rows: int, tests: int) -> float:
    """Search in this process; megabytes at the peak, above what it has once all is imported and compiled."""
    search(world, 1, min(tests, 100), "int8", ALL)
    Path("/proc/self/clear_refs").write_text("5")
    before = _read_memory("VmRSS")
    search(world, rows, tests, "int8", ALL)
    return _read_memory("VmHWM") - before


def _read_memory(name: str) -> float:
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=800_000, help="of the corpus; few for a try")
    asked = options.parse_args()
    use_two_cores()
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Not where temporary files may lie in memory.
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, Stage() as stage:
        world = make_world(Path(folder) / "world", rows=asked.rows, tests=MANY)
        figures = measure_products(world, asked.rows // 20, MANY, asked.rounds, stage)
        figures += measure_cold(world, asked.rows, MANY // 10, asked.rounds, stage)
        figures += measure_cold(world, asked.rows // 5, MANY, asked.rounds, stage)
        figures += measure_memory(world, asked.rows, MANY)
    report("7-search-limits", figures)


if __name__ == "__main__":
    main()
