"""Peak memory over a corpus and over one eight times as large: ratios, which would be near 8 if all were held."""

import argparse
import io
import multiprocessing
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tests.perf.figures import Figure, report

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.formats.shards import make_keys, write_shard

TIMES = 8
ROWS_PER_GROUP = 50_000


def write_pictures(folder: Path, shards: int, rows: int) -> None:
    """Write img2dataset shards of noise, whose JPEGs are as large as those of photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(20):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (240, 240, 3), dtype=np.uint8)).save(buffer, "JPEG", quality=95)
        pictures.append(buffer.getvalue())
    for shard in range(shards):
        write_shard(
            folder,
            shard,
            keys=make_keys(shard, rows),
            captions=[f"a photo of noise number {row} of {shard}" for row in range(rows)],
            images=[pictures[row % len(pictures)] for row in range(rows)],
            columns=pa.table({"url": [f"https://example.org/{shard}/{row}" for row in range(rows)]}),
        )


def write_laion(folder: Path, files: int, rows: int) -> None:
    """Write metadata as LAION publishes it."""
    folder.mkdir()
    for number in range(files):
        schema = pa.schema([("URL", pa.string()), ("TEXT", pa.string()), ("hash", pa.int64())])
        with pq.ParquetWriter(folder / f"part-{number:05d}-a.snappy.parquet", schema) as writer:
            for start in range(0, rows, ROWS_PER_GROUP):
                span = [number * rows + row for row in range(start, min(start + ROWS_PER_GROUP, rows))]
                columns = {
                    "URL": [f"https://example.org/a/rather/long/path/to/picture/{row}.jpg" for row in span],
                    "TEXT": [f"a caption of the picture with the number {row}, for sale" for row in span],
                    "hash": span,
                }
                writer.write_table(pa.table(columns, schema=schema))


def embed(folder: Path) -> float:
    """Embed shards in this process; megabytes at the peak."""
    with tempfile.TemporaryDirectory() as out:
        task = EmbedTask(corpus=open_corpus(folder), out=Path(out) / "out", tower=Tower(model="reference"))
        embed_corpora([task], workers=1)
    return peak()


def read_batches(folder: Path) -> float:
    """Read all metadata; megabytes at the peak."""
    rows = sum(batch.table.num_rows for batch in open_corpus(folder).batches(["url"]))
    assert rows == len(open_corpus(folder))
    return peak()


def peak() -> float:
    """Most memory that this process ever had, in megabytes."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def measure(work: Callable[[Path], float], folder: Path) -> float:
    """Do the work in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder,))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=500, help="of the smaller corpus")
    options.add_argument("--rows", type=int, default=400_000, help="of the smaller metadata")
    asked = options.parse_args()
    few, rows = asked.pictures, asked.rows
    cases: dict[str, tuple[Callable[[Path], float], list[Callable[[Path], None]]]] = {
        "embedding, more shards": (
            embed,
            [lambda to: write_pictures(to, 2, few // 2), lambda to: write_pictures(to, 2 * TIMES, few // 2)],
        ),
        "embedding, one larger shard": (
            embed,
            [lambda to: write_pictures(to, 1, few), lambda to: write_pictures(to, 1, few * TIMES)],
        ),
        "LAION batches, more files": (
            read_batches,
            [lambda to: write_laion(to, 1, rows), lambda to: write_laion(to, TIMES, rows)],
        ),
        "LAION batches, one larger file": (
            read_batches,
            [lambda to: write_laion(to, 1, rows), lambda to: write_laion(to, 1, rows * TIMES)],
        ),
    }
    figures = []
    for name, (work, writers) in cases.items():
        peaks = []
        for write in writers:
            with tempfile.TemporaryDirectory() as folder:
                corpus = Path(folder) / "corpus"
                write(corpus)
                size = sum(path.stat().st_size for path in corpus.iterdir()) / 1e6
                peaks.append(measure(work, corpus))
        print(f"    {name:32}{peaks[0]:6.0f} and{peaks[1]:6.0f} MB for {size:.0f} MB on disk", flush=True)
        figures.append(
            Figure(
                name=f"peak memory of {TIMES} times as much: {name}",
                values=(peaks[1] / peaks[0],),
                ceiling=1.5,
            )
        )
    report("5-memory", figures)


if __name__ == "__main__":
    main()
