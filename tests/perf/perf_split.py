"""Making splits of a million rows from ready embeddings, searches and tables, beside a plain read of these.

Everything that `oddpair split` does behind its imports is timed: inputs opened and identified, decisions, the splits of
an earlier round deleted, manifests and uids written and forced to disk, the page. Searches are finished. Everything lies
on disk first, as what is larger than memory does, and then in memory already.

A plain read is of the embeddings (`numpy.fromfile`, every part) and their column of uids (`pyarrow`), which is what
style-strict must read. Similarity, once searched, needs no more than uids and what the search left of each row, so it
stands beside a read of these too. A control looks at no picture: uids alone of embeddings; of tables the captions too,
as rows without one are no rows, and every byte, as the manifest names the hash of the files. What it writes is as large
as what it reads, which no ceiling in reads is fair to.
"""

import argparse
import itertools
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.perf.figures import FOLDER, Figure, divide, report, time_ways, use_two_cores
from tests.perf.stage import Stage

from oddpair import files, stages
from oddpair.cli_options import REFERENCE
from oddpair.commands.given import Given
from oddpair.commands.split import SPLITS, WORK, split_corpus
from oddpair.retrieval.embed_layout import part_path
from oddpair.splits.recipe_file import load_recipe

DIMENSION = 512
SHARDS = 12
TESTS, REFERENCES, LABELLED = 200, 2_000, 4_000
ROWS_AT_ONCE = 1 << 16


def draw_rows(rng: np.random.Generator, styles: np.ndarray) -> np.ndarray:
    """Draw unit rows, of either style about a mean of its own."""
    means = np.random.default_rng(1).standard_normal((2, DIMENSION)).astype(np.float32) * 0.5
    rows = rng.standard_normal((len(styles), DIMENSION), dtype=np.float32) + means[styles]
    found: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return found


def write_embeddings(folder: Path, rows: np.ndarray, uids: list[str], shards: int) -> None:
    """Write rows as a finished folder of `oddpair embed`; textures are noise."""
    stages.begin(folder, {"name": folder.name})
    ends = np.linspace(0, len(rows), shards + 1).astype(int)
    for shard, (start, end) in enumerate(itertools.pairwise(ends)):
        files.write_array(part_path(folder, "img_emb", shard, shards), rows[start:end])
        names = pa.array(uids[start:end], pa.string())
        columns = {"image_path": names, "uid": names, "caption": pa.array(["a photo"] * (end - start))}
        files.write_table(part_path(folder, "metadata", shard, shards), pa.table(columns))
    described = {
        "rows": np.diff(ends).tolist(),
        "dimensions": {"img_emb": DIMENSION},
        "encoder_sha256": "ab" * 32,
    }
    files.write_json(folder / "manifest.json", described)
    stages.finish(folder)


def make_world(folder: Path, rows: int) -> None:
    """Write the corpus, test sets, the reference set, which is in the corpus, and hand labels."""
    rng = np.random.default_rng(0)
    styles = (rng.random(rows) < 0.2).astype(np.int64)
    drawn = np.concatenate(
        [draw_rows(rng, styles[at : at + ROWS_AT_ONCE]) for at in range(0, rows, ROWS_AT_ONCE)]
    )
    uids = [rng.bytes(16).hex() for _ in range(rows)]
    write_embeddings(folder / "corpus", drawn, uids, SHARDS)
    write_embeddings(folder / "reference", drawn[:REFERENCES], uids[:REFERENCES], 1)
    for style, name in enumerate(("natural", "rendition")):
        tests = draw_rows(rng, np.full(TESTS, style))
        write_embeddings(folder / name, tests, [f"{name} {row}" for row in range(TESTS)], 1)
    (folder / "metadata").mkdir()
    for number in range(SHARDS):
        # As DataComp publishes it.
        part = uids[number::SHARDS]
        columns = {
            "uid": part,
            "url": [f"https://example.org/{uid}.jpg" for uid in part],
            "text": ["a photo"] * len(part),
        }
        pq.write_table(pa.table(columns), folder / "metadata" / f"{number:032x}.parquet")
    # Spread over the corpus, as rows that were drawn to be labelled are.
    some = slice(None, None, max(1, rows // LABELLED))
    names = [("natural", "rendition")[style] for style in styles[some]]
    pq.write_table(pa.table({"uid": uids[some], "label": names}), folder / "labels.parquet")


# Whose split the controls are of.
FIRST = "similarity, far"
RECIPES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    FIRST: ("similarity", {"prune": ["far"], "sizes": [0.5], "sampled": 100}, ("tests",)),
    "similarity, gap": ("similarity", {"prune": ["gap"], "sampled": 100}, ("tests", "reference")),
    "control of tables": ("control", {}, ("pools", "metadata")),
    "control of embeddings": ("control", {}, ("pools",)),
    "style-strict": (
        "style-strict",
        {"precision": 0.9, "natural_tests": ["natural"], "rendition_tests": ["rendition"]},
        ("styles", "labels"),
    ),
}


PLAIN = "embeddings and uids"
BESIDE: dict[str, tuple[str, ...]] = {
    FIRST: (PLAIN, "uids and scores"),
    "similarity, gap": (PLAIN, "uids and scores"),
    "control of tables": ("tables",),
    "control of embeddings": ("uids",),
    "style-strict": (PLAIN,),
}


def make_given(world: Path, names: tuple[str, ...]) -> Given:
    """Name the inputs of a recipe."""
    inputs: dict[str, Any] = {
        "tests": {"tests": {"natural": str(world / "natural")}},
        "styles": {"tests": {name: str(world / name) for name in ("natural", "rendition")}},
        "reference": {"reference": str(world / "reference")},
        "labels": {"labels": str(world / "labels.parquet")},
        "pools": {"pools": {"far": str(world / FIRST / SPLITS / "far-pruned-natural-0.5")}},
    }
    found: Mapping[str, Any] = {key: value for name in names for key, value in inputs.get(name, {}).items()}
    if "metadata" in names:
        return Given(corpus=str(world / "metadata"), **found)
    # With a model named, a recipe that need not look at embeddings does.
    return Given(corpus=str(world / "corpus"), model=REFERENCE, **found)


def make_split(world: Path, name: str) -> None:
    """Carry out a recipe anew, but for its searches."""
    kind, changes, inputs = RECIPES[name]
    out = world / name
    shutil.rmtree(out / SPLITS, ignore_errors=True)
    split_corpus(load_recipe(kind, changes), make_given(world, inputs), out, workers=1)


def read_plainly(world: Path) -> None:
    """Read the numbers and the uids of the corpus."""
    for path in sorted((world / "corpus" / "img_emb").iterdir()):
        np.fromfile(path, dtype=np.float16)
    read_tables(world / "corpus" / "metadata", "uid")


def read_scores(world: Path) -> None:
    """Read the uids of the corpus, and the score of each row from a search."""
    read_tables(world / "corpus" / "metadata", "uid")
    read_tables(world / FIRST / WORK / "neighbours-natural" / "rows", "score")


def read_tables(folder: Path, *columns: str) -> None:
    """Read some columns of tables; all if none is named."""
    for path in sorted(folder.iterdir()):
        pq.read_table(path, columns=list(columns) or None)


def time_on_disk(
    ways: Mapping[str, Callable[[], object]], rounds: int, world: Path
) -> dict[str, list[float]]:
    """Time each way once a round, with nothing of what it reads in memory."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            for path in filter(Path.is_file, world.rglob("*")):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return times


def measure_peak(world: Path, name: str) -> float:
    """Carry out a recipe, and return the most memory that this process ever held, in megabytes."""
    # What `getrusage` tells begins with what the parent held.
    Path("/proc/self/clear_refs").write_text("5")
    make_split(world, name)
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def measure(world: Path, rows: int, rounds: int, recipes: list[str]) -> list[Figure]:
    """Time every recipe and a plain read in turn, and find their peak memory."""
    ways: dict[str, Callable[[], object]] = {name: partial(make_split, world, name) for name in recipes}
    reads: dict[str, Callable[[], object]] = {
        PLAIN: partial(read_plainly, world),
        "uids": partial(read_tables, world / "corpus" / "metadata", "uid"),
        "uids and scores": partial(read_scores, world),
        "tables": partial(read_tables, world / "metadata"),
    }
    reads = {name: reads[name] for name in dict.fromkeys(read for name in recipes for read in BESIDE[name])}
    for name in dict.fromkeys([FIRST, *recipes]):
        make_split(world, name)  # searches are finished then
    figures = []
    for place, taken in (
        ("on disk", time_on_disk({**reads, **ways}, rounds, world)),
        ("in memory", time_ways({**reads, **ways}, rounds)),
    ):
        figures += [
            Figure(
                name=f"split of {rows:,} rows {place}, {name}: time beside a plain read of {read}",
                values=divide(taken[name], taken[read]),
                ceiling=2.0 if (place, read) == ("on disk", PLAIN) else None,
                note=f"{statistics.median(taken[name]):.2f} s beside {statistics.median(taken[read]):.2f} s",
            )
            for name in recipes
            for read in BESIDE[name]
        ]
    with Stage() as stage:
        peaks = {name: stage.run(name, measure_peak, world, name) for name in recipes}
    return figures + [
        Figure(name=f"split of {rows:,} rows, {name}: peak memory", values=(peak,), unit="MB")
        for name, peak in peaks.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--recipe", action="append", choices=list(RECIPES))
    asked = options.parse_args()
    use_two_cores()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        make_world(Path(folder), asked.rows)
        report("10-split", measure(Path(folder), asked.rows, asked.rounds, asked.recipe or list(RECIPES)))


if __name__ == "__main__":
    main()
