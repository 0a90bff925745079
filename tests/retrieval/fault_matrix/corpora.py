"""The same seven rows in every layout, written by hand, for faults to be put into."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

# Rows of each shard. Faults are put into the first, most of them into row 2; only long corpora have a third.
SHARDS = (range(5), range(5, 7), range(7, 9))
DIMENSION = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a corpus; a caption may be bytes that are no text, and the hash one of another picture."""

    number: int
    picture: bytes
    caption: str | bytes | None
    hashed: bytes | None = None

    @property
    def key(self) -> str:
        shard = next(index for index, rows in enumerate(SHARDS) if self.number in rows)
        return f"{shard:05d}{self.number - SHARDS[shard].start:04d}"

    @property
    def uid(self) -> str:
        return f"{self.number + 1:032x}"

    @property
    def raw(self) -> bytes | None:
        return self.caption.encode() if isinstance(self.caption, str) else self.caption

    @property
    def fields(self) -> dict[str, Any]:
        """What img2dataset says of a download that it did not encode again."""
        known = self.picture if self.hashed is None else self.hashed
        return {
            "uid": self.uid,
            "caption": self.raw,
            "url": f"http://pictures.test/{self.number}.jpg",
            "key": self.key,
            "status": "success",
            "width": None,
            "sha256": hashlib.sha256(known).hexdigest(),
        }


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def draw(seed: int) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((40, 30), Image.Resampling.BICUBIC)


LONG = tuple(
    Row(number=number, picture=encode(draw(number), "JPEG"), caption=f"a picture of thing {number}, größer")
    for number in range(9)
)
ROWS = LONG[:7]


def rows_with(*changed: Row, without: Iterable[int] = ()) -> tuple[Row, ...]:
    """Give the seven rows, some of them replaced or left out."""
    instead = {row.number: row for row in changed}
    return tuple(instead.get(row.number, row) for row in ROWS if row.number not in set(without))


def vectors(numbers: Sequence[int], kind: str) -> np.ndarray[Any, Any]:
    """Give unit rows, a function of the row's number and what it embeds."""
    found = [np.random.default_rng([number, kind == "text"]).normal(size=DIMENSION) for number in numbers]
    rows = np.array(found).reshape(-1, DIMENSION)
    unit: np.ndarray[Any, Any] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float16)


def members_of(row: Row) -> Iterator[tuple[str, bytes]]:
    """Give the members of a sample; a json cannot hold what is no text, and then only the txt does."""
    fields = row.fields | {"caption": row.caption if isinstance(row.caption, str) else None}
    yield f"{row.key}.jpg", row.picture
    yield f"{row.key}.json", json.dumps(fields).encode()
    yield f"{row.key}.txt", row.raw or b""


def archive(members: Iterable[tuple[str, bytes]], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> None:
    """Write a table with a checksum on every page; columns of text may hold bytes that are none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, write_page_checksum=True, **options)


def texts(values: Iterable[str | bytes | None]) -> pa.Array:
    """Make a column of strings without asking whether they are UTF-8."""
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    known = pa.array(raw, pa.binary())
    return pa.StringArray.from_buffers(
        len(known), known.buffers()[1], known.buffers()[2], known.buffers()[0], known.null_count
    )


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    fields = [row.fields for row in rows]
    named = {name: texts(field[name] for field in fields) for name in ROWS[0].fields if name != "width"}
    return {**named, "width": pa.nulls(len(rows), pa.int32())}


def _stats(path: Path, successes: int) -> None:
    path.write_text(json.dumps({"count": successes, "successes": successes}))


def _divide(rows: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    for index, numbers in enumerate(SHARDS):
        part = [row for row in rows if row.number in numbers]
        if part:
            yield index, part


def write_img2dataset(folder: Path, rows: Sequence[Row]) -> None:
    write_tars(folder, rows)
    for index, part in _divide(rows):
        write_parquet(folder / f"{index:05d}.parquet", _columns(part))
        _stats(folder / f"{index:05d}_stats.json", len(part))


def write_tars(folder: Path, rows: Sequence[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, part in _divide(rows):
        members = [member for row in part for member in members_of(row)]
        (folder / f"{index:05d}.tar").write_bytes(archive(members))


def write_sized_tars(folder: Path, rows: Sequence[Row]) -> None:
    write_tars(folder, rows)
    sizes = {f"{index:05d}.tar": len(part) for index, part in _divide(rows)}
    (folder / "sizes.json").write_text(json.dumps(sizes))


def write_image_parquet(folder: Path, rows: Sequence[Row]) -> None:
    for index, part in _divide(rows):
        pictures = pa.array([row.picture for row in part], pa.binary())
        write_parquet(folder / f"{index:05d}.parquet", {**_columns(part), "jpg": pictures})
        _stats(folder / f"{index:05d}_stats.json", len(part))


def write_listing(folder: Path, rows: Sequence[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "list.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption", "uid", "sha256"])
        for row in rows:
            caption = (row.raw or b"").decode(errors="surrogateescape")
            writer.writerow([f"{row.key}.jpg", caption, row.uid, row.fields["sha256"]])
            (folder / f"{row.key}.jpg").write_bytes(row.picture)


def write_bare(folder: Path, rows: Sequence[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / f"{row.key}.jpg").write_bytes(row.picture)
        if row.raw is not None:
            (folder / f"{row.key}.txt").write_bytes(row.raw)


def write_laion(folder: Path, rows: Sequence[Row]) -> None:
    for index, part in _divide(rows):
        columns = {
            "URL": texts(row.fields["url"] for row in part),
            "TEXT": texts(row.raw for row in part),
            "hash": pa.array([row.number - 4 for row in part], pa.int64()),
        }
        write_parquet(folder / f"part-{index:05d}.snappy.parquet", columns)


def write_datacomp(folder: Path, rows: Sequence[Row]) -> None:
    for index, part in _divide(rows):
        columns = {
            "uid": texts(row.uid for row in part),
            "url": texts(row.fields["url"] for row in part),
            "text": texts(row.raw for row in part),
        }
        write_parquet(folder / f"{index:032x}.parquet", columns)


def write_npz(folder: Path, rows: Sequence[Row]) -> None:
    write_datacomp(folder, rows)
    for index, part in _divide(rows):
        numbers = [row.number for row in part]
        np.savez(
            folder / f"{index:032x}.npz", l14_img=vectors(numbers, "image"), l14_txt=vectors(numbers, "text")
        )


def write_embeddings(folder: Path, rows: Sequence[Row]) -> None:
    for index, part in _divide(rows):
        columns = {
            "image_path": texts(row.key for row in part),
            "caption": texts(row.raw for row in part),
            "uid": texts(row.uid for row in part),
        }
        write_parquet(folder / "metadata" / f"metadata_{index}.parquet", columns)
        for kind in ("img", "text"):
            (folder / f"{kind}_emb").mkdir(exist_ok=True)
            found = vectors([row.number for row in part], "image" if kind == "img" else "text")
            np.save(folder / f"{kind}_emb" / f"{kind}_emb_{index}.npy", found)


Writer = Callable[[Path, Sequence[Row]], None]
# "tars" say nowhere how many samples they should hold, "sized-tars" do in sizes.json.
TARS: dict[str, Writer] = {
    "img2dataset": write_img2dataset,
    "sized-tars": write_sized_tars,
    "tars": write_tars,
}
PICTURES: dict[str, Writer] = {
    "img2dataset": write_img2dataset,
    "tars": write_tars,
    "image-parquet": write_image_parquet,
    "listing": write_listing,
    "bare-folder": write_bare,
}
METADATA: dict[str, Writer] = {"laion": write_laion, "datacomp": write_datacomp}
EMBEDDED: dict[str, Writer] = {"clip-retrieval": write_embeddings, "npz": write_npz}
LAYOUTS: dict[str, Writer] = {**TARS, **PICTURES, **METADATA, **EMBEDDED}
