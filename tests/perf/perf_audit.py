"""An audit of a million embedded rows against ten thousand test images, beside the search that it stands on, alone.

Embeddings alone, as the search takes them: everything else of an audit is then its own, from hashes to the page. By turns
in one run, each into a folder of its own; with a reference set and without.
"""

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from tests.perf.figures import FOLDER, Figure, divide, report, time_ways, use_two_cores
from tests.perf.perf_split import write_embeddings

from oddpair.commands.audit import audit_test
from oddpair.commands.given import Given
from oddpair.eval.auditing.asked import Asked
from oddpair.retrieval.neighbours import find_neighbours
from oddpair.retrieval.stored import open_stored

DIMENSION, SHARDS, K = 512, 10, 10
ROWS_AT_ONCE = 1 << 16
CEILING = 1.2


def make_world(folder: Path, rows: int, tests: int) -> None:
    """Write a corpus, a test set and a reference set of random unit rows."""
    for seed, (name, n, shards) in enumerate(
        (("corpus", rows, SHARDS), ("tests", tests, 1), ("reference", tests, 1))
    ):
        rng = np.random.default_rng(seed)
        drawn = np.empty((n, DIMENSION), dtype=np.float16)
        for start in range(0, n, ROWS_AT_ONCE):
            part = rng.standard_normal((min(ROWS_AT_ONCE, n - start), DIMENSION), dtype=np.float32)
            drawn[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
        write_embeddings(folder / name, drawn, [f"{seed}{row:031x}" for row in range(n)], shards)


def search(folder: Path, workers: int, *, referred: bool) -> None:
    """Search as an audit does, and no more."""
    out = folder / "searched"
    shutil.rmtree(out, ignore_errors=True)
    find_neighbours(
        open_stored(folder / "corpus"),
        open_stored(folder / "tests"),
        out,
        k=K,
        above=open_stored(folder / "reference") if referred else None,
        workers=workers,
    )


def audit(folder: Path, workers: int, *, referred: bool) -> None:
    """Audit anew."""
    out = folder / "audited"
    shutil.rmtree(out, ignore_errors=True)
    given = Given(
        corpus=str(folder / "corpus"),
        tests={"tests": str(folder / "tests")},
        reference=str(folder / "reference") if referred else None,
    )
    audit_test(given, Asked(), out, workers=workers)


def measure(folder: Path, rows: int, tests: int, rounds: int, workers: int) -> list[Figure]:
    """Time audits and searches in turn."""
    figures = []
    for referred in (False, True):
        ways: dict[str, Callable[[], object]] = {
            "search": partial(search, folder, workers, referred=referred),
            "audit": partial(audit, folder, workers, referred=referred),
        }
        taken = time_ways(ways, rounds)
        seconds = [statistics.median(taken[name]) for name in ("audit", "search")]
        beside = ", and with a reference set" if referred else ""
        figures.append(
            Figure(
                name=f"audit of {rows:,} rows, {tests:,} test images{beside}: time beside the search alone",
                values=divide(taken["audit"], taken["search"]),
                ceiling=CEILING,
                note=f"{seconds[0]:.1f} s beside {seconds[1]:.1f} s",
            )
        )
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--tests", type=int, default=10_000)
    options.add_argument("--workers", type=int, default=2)
    asked = options.parse_args()
    use_two_cores()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        make_world(Path(folder), asked.rows, asked.tests)
        report("12-audit", measure(Path(folder), asked.rows, asked.tests, asked.rounds, asked.workers))


if __name__ == "__main__":
    main()
