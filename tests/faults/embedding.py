"""Runs of ``oddpair embed`` under faults, over corpora with bad rows, and the undisturbed run to compare with."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.faults.runs import Ended, Launcher, Started, hashes, temporaries

from oddpair.retrieval.embed import read_records
from oddpair.retrieval.formats.shards import make_keys, write_shard

SHARDS = 6
# More than one batch.
ROWS = 40
# What the fault "deadly" looks for in a file that is given to a decoder.
MARK = b"kills the decoder of the tests"
DEADLY = ((4, 0), (4, 1))
CUT_PICTURE, FLIPPED, CUT_TAR = (0, 7), 2, 3


def make_shards(folder: Path, noise: Callable[..., Any], as_bytes: Callable[..., bytes]) -> None:
    """Write img2dataset shards with a cut picture, a flipped bit and a cut tar; some pictures bear the mark."""
    folder.mkdir()
    for shard in range(SHARDS):
        pictures = [
            as_bytes(
                noise(1000 * shard + row),
                "JPEG",
                comment=MARK if (shard, row) in DEADLY else b"harmless",
            )
            for row in range(ROWS)
        ]
        if shard == CUT_PICTURE[0]:
            pictures[CUT_PICTURE[1]] = pictures[CUT_PICTURE[1]][:-200]
        captions = [f"a picture of number {row} of {shard}" for row in range(ROWS)]
        write_shard(
            folder,
            shard,
            keys=make_keys(shard, ROWS),
            captions=captions,
            images=pictures,
            columns=pa.table({"url": [f"https://example.org/{shard}/{row}" for row in range(ROWS)]}),
        )
        tar = folder / f"{shard:05d}.tar"
        data = bytearray(tar.read_bytes())
        if shard == FLIPPED:
            data[data.index(pictures[9]) + len(pictures[9]) // 2] ^= 1
        if shard == CUT_TAR:
            del data[len(data) // 2 :]
        tar.write_bytes(data)


def take_embeddings(source: Path, folder: Path) -> None:
    """Lay out what an undisturbed run made as embeddings made elsewhere, with a row of NaN and one of zeros."""
    for kind in ("img_emb", "text_emb", "metadata"):
        shutil.copytree(source / "embeddings" / kind, folder / kind)
    path = folder / "img_emb" / "img_emb_0001.npy"
    rows = np.load(path)
    rows[3], rows[5] = np.nan, 0
    np.save(path, rows)


class Embedding:
    """Runs into ``embeddings`` below a folder, which is the stage "embed" of the faults."""

    def __init__(self, launcher: Launcher, folder: Path, options: Sequence[str]) -> None:
        self.folder = folder
        self.corpus = folder / "corpus"
        self.reference = folder / "reference"
        self._launcher = launcher
        self._options = options
        start = time.monotonic()
        ended = self.run(self.reference, {})
        self.seconds = time.monotonic() - start
        assert ended.status == 0, ended.stderr
        kinds = [kind for stage, kind, _ in ended.events if stage == "embed"]
        self.events = len(kinds)
        self.writes = {"write": kinds.count("write") + kinds.count("sync"), "rename": kinds.count("rename")}
        self.files = hashes(self.reference)
        self._expect_all_rows(self.reference)

    def start(
        self,
        out: Path,
        fault: dict[str, Any] | None = None,
        *,
        workers: int = 1,
        more: Sequence[str] = (),
        options: Sequence[str] | None = None,
        corpus: Path | None = None,
        **how: Any,
    ) -> Started:
        """Start ``oddpair embed`` into ``out/embeddings``, with a fault."""
        arguments = ["embed", str(corpus or self.corpus), "--out", str(out / "embeddings")]
        arguments += [*(self._options if options is None else options), "--max-bad", "1", "--device", "cpu"]
        cwd = how.get("folder", self.folder)
        return self._launcher.start(
            [*arguments, "--workers", str(workers), *more],
            None if fault is None else {"out": str(cwd / out), **fault},
            **how,
        )

    def run(self, out: Path, fault: dict[str, Any] | None = None, **options: Any) -> Ended:
        """Start a run and wait for its end."""
        return self.start(out, fault, **options).end()

    def new(self, name: str) -> Path:
        """Return a new folder to run into."""
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        return folder

    def copy(self, name: str) -> Path:
        """Copy the undisturbed run."""
        return shutil.copytree(self.reference, self.folder / name.replace(" ", "-"))

    def expect_same(self, out: Path) -> None:
        """Expect the files of the undisturbed run, byte for byte, and no other."""
        found = hashes(out)
        assert found.keys() == self.files.keys(), found.keys() ^ self.files.keys()
        assert [name for name in found if found[name] != self.files[name]] == []
        assert temporaries(out) == []

    def expect_whole(self, out: Path) -> None:
        """Expect no temporary file, and only files of the undisturbed run, with its bytes."""
        assert temporaries(out) == []
        found = hashes(out)
        assert [name for name in found if found[name] != self.files.get(name)] == []

    def _expect_all_rows(self, out: Path) -> None:
        folder = out / "embeddings"
        lines = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]
        records = read_records(folder)
        kept, seen = sum(record.kept for record in records), sum(record.seen for record in records)
        assert 0 < kept < seen
        assert kept + sum(line["rows"] for line in lines) == seen
