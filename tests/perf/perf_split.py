"""Making splits of a million rows from ready embeddings, searches and tables, beside a plain read of these.

Everything that `oddpair split` does behind its imports is timed: inputs opened and identified, decisions, manifests and
uids written, forced to disk and read back, the page. Searches are finished. A plain read is of the embeddings
(`numpy.fromfile`, every part) and their column of uids (`pyarrow`); for a recipe that looks at no picture, of the column
of uids in the metadata. Similarity recipes need the uids and what the search left of each row. Everything lies on disk
first, as what is larger than memory does, and then in memory already.
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
from oddpair.commands.given import Given
from oddpair.commands.split import SPLITS, split_corpus
from oddpair.retrieval.embed_layout import part_path
from oddpair.splits.recipe_file import load_recipe

DIMENSION = 512
SHARDS = 12
TESTS, REFERENCE, LABELLED = 200, 2_000, 4_000
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
    write_embeddings(folder / "reference", drawn[:REFERENCE], uids[:REFERENCE], 1)
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
    names = [("natural", "rendition")[style] for style in styles[:LABELLED]]
    pq.write_table(pa.table({"uid": uids[:LABELLED], "label": names}), folder / "labels.parquet")


RECIPES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "similarity, far": ("similarity", {"prune": ["far"], "sizes": [0.5], "sampled": 100}, ("tests",)),
    "similarity, gap": ("similarity", {"prune": ["gap"], "sampled": 100}, ("tests", "reference")),
    "control by size": ("control", {}, ("pools",)),
    "style-strict": (
        "style-strict",
        {"precision": 0.9, "natural_tests": ["natural"], "rendition_tests": ["rendition"]},
        ("styles", "labels"),
    ),
}


def make_given(world: Path, names: tuple[str, ...]) -> Given:
    """Name the inputs of a recipe."""
    inputs: dict[str, Any] = {
        "tests": {"tests": {"natural": str(world / "natural")}},
        "styles": {"tests": {name: str(world / name) for name in ("natural", "rendition")}},
        "reference": {"reference": str(world / "reference")},
        "labels": {"labels": str(world / "labels.parquet")},
        "pools": {"pools": {"far": str(world / "similarity, far" / SPLITS / "far-pruned-natural-0.5")}},
    }
    found: Mapping[str, Any] = {key: value for name in names for key, value in inputs[name].items()}
    return Given(corpus=str(world / ("metadata" if "pools" in names else "corpus")), **found)


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
    read_uids(world / "corpus" / "metadata")


def read_uids(folder: Path) -> None:
    """Read a column of tables."""
    for path in sorted(folder.iterdir()):
        pq.read_table(path, columns=["uid"])


def time_on_disk(
    ways: Mapping[str, Callable[[], object]], rounds: int, world: Path
) -> dict[str, list[float]]:
    """Time each way once a round, with nothing of what it reads in memory."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # searches are finished then
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
        "embeddings and uids": partial(read_plainly, world),
        "uids": partial(read_uids, world / "metadata"),
    }
    beside = {name: "uids" if "pools" in RECIPES[name][2] else "embeddings and uids" for name in recipes}
    figures = []
    for place, taken in (
        ("on disk", time_on_disk({**reads, **ways}, rounds, world)),
        ("in memory", time_ways({**reads, **ways}, rounds)),
    ):
        figures += [
            Figure(
                name=f"split of {rows:,} rows {place}, {name}: time beside a plain read of {beside[name]}",
                values=divide(taken[name], taken[beside[name]]),
                ceiling=2.0 if place == "on disk" else None,
                note=f"{statistics.median(taken[name]):.2f} s",
            )
            for name in recipes
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
