"""Make ``tests/fixtures`` anew: ``.venv/bin/python -m tests.interop.write_fixtures`` after ``make interop``."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tests.interop import peers

FIXTURES = peers.ROOT / "tests" / "fixtures"
# The uids of rows without one are made of their urls.
PORT = 8753
RAW = ("--output_format=webdataset", "--resize_mode=no", "--disable_all_reencoding=True")
AGAIN = ("--output_format=webdataset", "--image_size=32")
PARQUET = ("--output_format=parquet", "--image_size=32")
FROM_CSV = ("--input_format=csv", "--url_col=url", "--caption_col=caption")
FROM_LAION = ("--input_format=parquet", "--url_col=URL", "--caption_col=TEXT")
KEEP = '--save_additional_columns=["hash","similarity"]'


def write_img2dataset() -> None:
    """Download the pictures in three ways from a csv, and some of them from LAION's metadata."""
    with peers.serve(peers.draw_pictures(), port=PORT) as address, tempfile.TemporaryDirectory() as folder:
        urls = Path(folder, "urls.csv")
        peers.write_urls(urls, address)
        for name, options in (("raw", RAW), ("jpg", AGAIN), ("parquet", PARQUET)):
            peers.run_img2dataset(urls, _empty(f"img2dataset-{name}"), *FROM_CSV, *options, rows_per_shard=6)
        laion = _empty("laion") / "part-00000-fixture.snappy.parquet"
        laion.parent.mkdir()
        peers.write_laion(laion, address, ["00.jpg", peers.GONE, "06.png", "02.jpg", "09.jpg"])
        peers.run_img2dataset(laion, _empty("img2dataset-laion"), *FROM_LAION, *AGAIN, KEEP, rows_per_shard=5)


def write_clip_retrieval() -> None:
    """Let clip-retrieval's writer write two partitions of what was downloaded, types differing as they do."""
    first = _records(FIXTURES / "img2dataset-jpg" / "00000.tar")
    second = _records(FIXTURES / "img2dataset-jpg" / "00001.tar")
    second[0] |= {"width": None, "height": None}
    second[1] |= {"error_message": "read twice"}
    rng = np.random.default_rng(2)
    parts = [(_unit(rng, len(rows), 16), _unit(rng, len(rows), 16), rows) for rows in (first, second)]
    peers.run_numpy_writer(_empty("clip-retrieval"), parts)


def write_datacomp() -> None:
    """Write DataComp metadata with its embeddings, and a subset in which one uid stands twice."""
    folder = _empty("datacomp")
    folder.mkdir()
    rng = np.random.default_rng(3)
    uids = [hashlib.md5(f"row {row}".encode(), usedforsecurity=False).hexdigest() for row in range(4)]
    for half in (uids[:2], uids[2:]):
        name = hashlib.md5(half[0].encode(), usedforsecurity=False).hexdigest()
        pq.write_table(_datacomp_table(half), folder / f"{name}.parquet")
        rows = {kind: _unit(rng, 2, 512 if kind != "l14" else 768) for kind in ("b32", "l14")}
        texts = {kind: _unit(rng, 2, found.shape[1]) for kind, found in rows.items()}
        np.savez(
            folder / f"{name}.npz",
            b32_img=rows["b32"],
            b32_txt=texts["b32"],
            l14_img=rows["l14"],
            l14_txt=texts["l14"],
            dedup=_unit(rng, 2, 512),
        )
    chosen = [uids[2], uids[0], uids[2]]
    subset = np.array([(int(u[:16], 16), int(u[16:], 16)) for u in chosen], np.dtype("u8,u8"))
    subset.sort()
    np.save(FIXTURES / "datacomp-subset.npy", subset)


def _datacomp_table(uids: list[str]) -> pa.Table:
    boxes = [[[0.25, 0.25, 0.5, 0.75]], []]
    return pa.table(
        {
            "uid": pa.array(uids, pa.string()),
            "url": pa.array([f"http://example.org/{uid[:4]}.jpg" for uid in uids], pa.string()),
            "text": pa.array([f"a thing called {uid[:4]}" for uid in uids], pa.string()),
            "original_width": pa.array([640, 1024], pa.int64()),
            "original_height": pa.array([480, 768], pa.int64()),
            "clip_b32_similarity_score": pa.array([0.25, 0.3125], pa.float32()),
            "clip_l14_similarity_score": pa.array([0.1875, 0.28125], pa.float32()),
            "face_bboxes": pa.array(boxes, pa.list_(pa.list_(pa.float64()))),
            "sha256": pa.array([hashlib.sha256(uid.encode()).hexdigest() for uid in uids], pa.string()),
        }
    )


def _records(path: Path) -> list[dict[str, Any]]:
    found = []
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.endswith(".json"):
                file = tar.extractfile(member)
                assert file is not None
                found.append(json.load(file))
    return found


def _unit(rng: np.random.Generator, n_rows: int, dimension: int) -> NDArray[np.float16]:
    rows = rng.standard_normal((n_rows, dimension), dtype=np.float32)
    found: NDArray[np.float16] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return found


def _empty(name: str) -> Path:
    shutil.rmtree(FIXTURES / name, ignore_errors=True)
    return FIXTURES / name


if __name__ == "__main__":
    write_img2dataset()
    write_clip_retrieval()
    write_datacomp()
