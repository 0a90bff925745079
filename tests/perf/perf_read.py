"""Reading shards beside webdataset and tarfile, and metadata beside pyarrow alone, one thread."""

import argparse
import functools
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from tests.perf.drawing import draw_jpegs
from tests.perf.figures import Figure, divide, report, time_ways

from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.samples import Sample

WORDS = np.array(
    ["a", "the", "red", "dog", "kettle", "harbour", "violin", "bicycle", "castle", "with", "photo"]
)


def write_tars(folder: Path, shards: int, rows: int) -> Path:
    """Write img2dataset shards of a few JPEGs in turn."""
    folder.mkdir()
    pictures = draw_jpegs(20)
    for shard in range(shards):
        write_shard(
            folder,
            shard,
            keys=make_keys(shard, rows),
            captions=[f"a picture with the number {row}" for row in range(rows)],
            images=[pictures[row % len(pictures)] for row in range(rows)],
            columns=pa.table({"url": [f"https://example.org/{shard}/{row}" for row in range(rows)]}),
        )
    return folder


def write_metadata(folder: Path, rows: int) -> Path:
    """Write one file of LAION's columns; without ``hash`` the ids are made from address and caption."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    columns = {
        "URL": [f"https://cdn.example.org/pictures/large/{number:012d}.jpg" for number in range(rows)],
        "TEXT": [" ".join(words) for words in WORDS[rng.integers(0, len(WORDS), (rows, 10))]],
        "hash": rng.integers(-(2**63), 2**63, rows),
        "similarity": rng.random(rows),
    }
    for name, kept in {"hashed": list(columns), "plain": ["URL", "TEXT", "similarity"]}.items():
        (folder / name).mkdir()
        path = folder / name / "part-00000-a.snappy.parquet"
        pq.write_table(pa.table({column: columns[column] for column in kept}), path, row_group_size=50_000)
    return folder


def read_ours(corpus: Corpus) -> int:
    """Read all pictures and captions, joined and checked."""
    return sum(isinstance(each, Sample) for shard in corpus.shards for each in corpus.stream(shard))


def read_by_tarfile(tars: list[str]) -> int:
    """Read every member."""
    read = 0
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                read += len(content.read()) > 0
    return read


def read_by_webdataset(tars: list[str]) -> int:
    """Group members into samples."""
    return sum("jpg" in sample for sample in webdataset.WebDataset(tars, shardshuffle=False))


def read_raw(path: Path) -> int:
    """Read the columns that an id and a caption are made from."""
    names = [name for name in ("URL", "TEXT", "hash") if name in pq.read_schema(path).names]
    batches = pq.ParquetFile(path).iter_batches(columns=names, use_threads=False)
    return sum(batch.num_rows for batch in batches)


def read_clean(corpus: Corpus) -> int:
    """Read ids and captions as commands do."""
    return sum(batch.table.num_rows for batch in corpus.batches())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=2000)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        shards = write_tars(Path(folder) / "tars", 2, asked.pictures // 2)
        tars = sorted(map(str, shards.glob("*.tar")))
        metadata = write_metadata(Path(folder) / "metadata", asked.rows)
        corpus = open_corpus(shards)
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda: read_ours(corpus),
            "tarfile": lambda: read_by_tarfile(tars),
            "webdataset": lambda: read_by_webdataset(tars),
        }
        for name in ("hashed", "plain"):
            opened = open_corpus(metadata / name)
            (path,) = (metadata / name).iterdir()
            ways[f"{name} ours"] = functools.partial(read_clean, opened)
            ways[f"{name} raw"] = functools.partial(read_raw, path)
        times = time_ways(ways, asked.rounds, clock=time.process_time)
    for name, taken in times.items():
        number = asked.rows if " " in name else asked.pictures
        print(f"    {name:16}{number / sorted(taken)[len(taken) // 2]:12,.0f} a second")
    report(
        "4-read",
        [
            Figure(
                name="reading img2dataset shards, joined and checked, beside webdataset",
                values=divide(times["webdataset"], times["ours"]),
            ),
            Figure(name="the same, beside tarfile", values=divide(times["tarfile"], times["ours"])),
            Figure(
                name="LAION metadata to checked ids and captions, beside pyarrow alone",
                values=divide(times["hashed raw"], times["hashed ours"]),
            ),
            Figure(
                name="the same, ids made from address and caption",
                values=divide(times["plain raw"], times["plain ours"]),
            ),
        ],
    )


if __name__ == "__main__":
    main()
