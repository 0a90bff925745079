"""One drawn world served from loopback, downloaded by the real img2dataset, embedded and split once; what ran, as a table."""

from __future__ import annotations

import csv
import functools
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.interop import peers

# Scripts of the other environment.
collect_ignore = ["theirs"]

ROWS = 400
FROM_CSV = ("--input_format=csv", "--url_col=url", "--caption_col=caption")
UNTOUCHED = ("--resize_mode=no", "--disable_all_reencoding=True")
RAW = ("--output_format=webdataset", *UNTOUCHED)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "tool(name, does): a tool that somebody else wrote, and what it does here"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.user_properties.extend(("tool", mark.args) for mark in item.iter_markers("tool"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed: Counter[tuple[str, str]] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        passed.update(value for name, value in report.user_properties if name == "tool")
    versions = peers.find_versions(sorted({tool for tool, _ in passed}))
    terminalreporter.section("what was run")
    for (tool, does), tests in sorted(passed.items()):
        terminalreporter.write_line(f"{tool:17} {versions[tool]:11} {tests:3} passed   {does}")


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    assert (peers.BIN / "img2dataset").is_file(), f"no {peers.BIN}: run make interop"


def run_oddpair(*arguments: object, **environment: str) -> str:
    """Run the command line as a user would, with some variables set; return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-m", "oddpair.cli", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=inherited | environment,
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
def downloads(world: Path, address: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The world as img2dataset writes it in one of its formats, each written once.

    Two addresses fail, and every row has its style.
    """
    folder = tmp_path_factory.mktemp("download")
    table = pq.read_table(world / "00000.parquet", columns=["key", "caption", "style"]).to_pylist()
    with tarfile.open(world / "00000.tar") as tar:
        names = {name.split(".")[0]: name for name in tar.getnames() if not name.endswith((".json", ".txt"))}
    with (folder / "urls.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "caption", "style"])
        writer.writerows([f"{address}/{names[row['key']]}", row["caption"], row["style"]] for row in table)
        writer.writerows([f"{address}/{name}", "lost", "photo"] for name in ("lost.jpg", peers.GONE))

    @functools.cache
    def fetch(kind: str) -> Path:
        options = (*FROM_CSV, f"--output_format={kind}", *UNTOUCHED, '--save_additional_columns=["style"]')
        peers.run_img2dataset(folder / "urls.csv", folder / kind, *options, rows_per_shard=150)
        return folder / kind

    return fetch


@pytest.fixture(scope="session")
def embedded(
    downloads: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A download in one of the formats, embedded once."""

    @functools.cache
    def embed(kind: str) -> Path:
        out = tmp_path_factory.mktemp("embeddings") / kind
        printed = run_oddpair("embed", downloads(kind), "--out", out)
        assert f"{ROWS} rows of dimension" in printed
        return out

    return embed


@pytest.fixture(scope="session")
def download(downloads: Callable[[str], Path]) -> Path:
    """The download as tars."""
    return downloads("webdataset")


@pytest.fixture(scope="session")
def embeddings(embedded: Callable[[str], Path]) -> Path:
    """The tars, embedded."""
    return embedded("webdataset")


@pytest.fixture(scope="session")
def split(download: Path, embeddings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos of the download by its certificate, verified."""
    out = tmp_path_factory.mktemp("split") / "out"
    arguments = ("--corpus", download, "--embeddings", embeddings, "--set", "precision=0.5", "--out", out)
    run_oddpair("split", "style-strict", *arguments)
    run_oddpair("verify", out / "splits" / "natural-strict")
    return out / "splits" / "natural-strict"


@pytest.fixture(scope="session")
def export(split: Path, download: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Export the split in one of the formats, once for all tests; return the folder."""

    @functools.cache
    def write(kind: str) -> Path:
        out = tmp_path_factory.mktemp("export") / kind
        run_oddpair("export", split, "--corpus", download, "--as", kind, "--out", out)
        return out

    return write


@pytest.fixture(scope="session")
def parts(download: Path, embeddings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embeddings as clip-retrieval's own writer writes them: two partitions, in an order of its own."""
    from oddpair.retrieval.corpus import open_corpus
    from oddpair.retrieval.embeddings import load_embeddings

    records = {}
    for path in sorted(download.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    record = json.load(file)
                    records[(record["url"], record["caption"])] = record
    rows = open_corpus(download).metadata(["url"]).to_pylist()
    by_uid = {row["uid"]: records[(row["url"], row["caption"])] for row in rows}
    ours = load_embeddings(embeddings)
    order = np.random.default_rng(0).permutation(len(ours.uids))
    halves = [
        (
            ours.image[chosen].astype(np.float16),
            ours.text[chosen].astype(np.float16),
            [by_uid[ours.uids[row]] for row in chosen],
        )
        for chosen in np.array_split(order, 2)
    ]
    out = tmp_path_factory.mktemp("clip-retrieval") / "out"
    peers.run_numpy_writer(out, halves)
    return out


@pytest.fixture(scope="session")
def expected(split: Path, download: Path) -> dict[str, tuple[str, str]]:
    """Caption and address of every row of the split, by uid, read without oddpair's readers."""
    from oddpair.retrieval.formats.clean import hash_text
    from oddpair.splits.manifest import read_manifest

    rows = [row for path in sorted(download.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    known = {hash_text(row["url"], row["caption"]): (row["caption"], row["url"]) for row in rows}
    return {uid: known[uid] for uid in read_manifest(split).uids.to_pylist()}
