"""One drawn world served from loopback, downloaded by the real img2dataset, embedded, counted and split once."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.interop import peers

# Scripts of the other environment.
collect_ignore = ["theirs"]

ROWS = 400
FROM_CSV = ("--input_format=csv", "--url_col=url", "--caption_col=caption")
RAW = ("--output_format=webdataset", "--resize_mode=no", "--disable_all_reencoding=True")


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    assert (peers.BIN / "img2dataset").is_file(), f"no {peers.BIN}: run make interop"


def run_oddpair(*arguments: object) -> str:
    """Run the command line as a user would; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-m", "oddpair.cli", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
    )
    assert done.returncode == 0, (
        f"oddpair {arguments[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    )
    return done.stdout


@pytest.fixture(scope="session")
def oddpair() -> Callable[..., str]:
    """Run the command line, which must end well."""
    return run_oddpair


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn corpus with styles that a split can be made of."""
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world

    folder = tmp_path_factory.mktemp("world")
    draw_corpus(make_world(5), folder, ROWS, rows_per_shard=ROWS, workers=1)
    return folder / "corpus"


@pytest.fixture(scope="session")
def address(world: Path) -> Iterator[str]:
    """Where the world's pictures, and those of the fixtures, are served."""
    pictures = peers.draw_pictures()
    with tarfile.open(world / "00000.tar") as tar:
        for member in tar:
            if member.name.endswith((".jpg", ".png", ".webp")):
                file = tar.extractfile(member)
                assert file is not None
                pictures[member.name] = file.read()
    with peers.serve(pictures) as found:
        yield found


@pytest.fixture(scope="session")
def download(world: Path, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world as img2dataset downloads it, with two addresses that fail and the style of each row."""
    folder = tmp_path_factory.mktemp("download")
    table = pq.read_table(world / "00000.parquet", columns=["key", "caption", "style"]).to_pylist()
    with tarfile.open(world / "00000.tar") as tar:
        names = {name.split(".")[0]: name for name in tar.getnames() if not name.endswith((".json", ".txt"))}
    with (folder / "urls.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "caption", "style"])
        writer.writerows([f"{address}/{names[row['key']]}", row["caption"], row["style"]] for row in table)
        writer.writerows([f"{address}/{name}", "lost", "photo"] for name in ("lost.jpg", peers.GONE))
    kept = '--save_additional_columns=["style"]'
    peers.run_img2dataset(folder / "urls.csv", folder / "shards", *FROM_CSV, *RAW, kept, rows_per_shard=150)
    return folder / "shards"


@pytest.fixture(scope="session")
def embeddings(download: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The download, embedded."""
    out = tmp_path_factory.mktemp("embeddings") / "out"
    run_oddpair("embed", download, "--out", out, "--max-bad", 1)
    return out


@pytest.fixture(scope="session")
def split(download: Path, embeddings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos of the download by its certificate, verified."""
    out = tmp_path_factory.mktemp("split") / "out"
    arguments = ("--corpus", download, "--embeddings", embeddings, "--precision", 0.5, "--out", out)
    run_oddpair("split", "style-strict", *arguments)
    run_oddpair("verify", out / "splits" / "natural-strict")
    return out / "splits" / "natural-strict"


@pytest.fixture(scope="session")
def export(split: Path, download: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Export the split in one of the formats, once for all tests; return the folder."""
    made: dict[str, Path] = {}

    def write(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("export") / kind
            run_oddpair("export", split, "--corpus", download, "--as", kind, "--out", made[kind])
        return made[kind]

    return write


@pytest.fixture(scope="session")
def expected(split: Path, download: Path) -> dict[str, tuple[str, str]]:
    """Caption and address of every row of the split, by uid, read without oddpair's readers."""
    from oddpair.retrieval.formats.clean import hash_text
    from oddpair.splits.manifest import read_manifest

    rows = [row for path in sorted(download.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    known = {hash_text(row["url"], row["caption"]): (row["caption"], row["url"]) for row in rows}
    return {uid: known[uid] for uid in read_manifest(split).uids}
