"""The unit rows of an embedding folder, read from its files some at a time, nothing held in memory."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import part_path, read_manifest
from oddpair.retrieval.formats.arrays import open_array
from oddpair.retrieval.unit_rows import IntArray

Side = Literal["img_emb", "text_emb"]

# Ids and captions of shards that were looked into: of hundreds of small ones, of a few of a million rows.
_BYTES_HELD = 256 << 20
# Where rows are read in order, those that follow are asked for ahead, so that the disk works while the processor does.
_BYTES_AHEAD = 16 << 20
_IN_ORDER = 256 << 10
_READ_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """Rows of some consecutive shards of an embedding folder, numbered from 0 within them.

    Attributes:
        folder: The embedding folder.
        kind: ``img_emb`` for pictures, ``text_emb`` for captions.
        sizes: Rows of each shard of the whole folder.
        dimension: Length of a row.
        encoder: sha256 of the weights of the model; ``""`` where it is not known.
        digest: Changes when the manifest does, or any part of a finished folder.
        first: The first of the shards.
        last: The shard behind the last of them; ``None`` for all that follow.
    """

    folder: Path
    kind: Side
    sizes: tuple[int, ...]
    dimension: int
    encoder: str
    digest: str
    first: int = 0
    last: int | None = None
    # Where each shard's rows end, found once: every block of rows asks, and there may be many thousand shards.
    _ends: IntArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = np.cumsum(self.sizes[self.first : self.last], dtype=np.int64)
        object.__setattr__(self, "_ends", ends)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimension."""
        return int(self._ends[-1]) if len(self._ends) else 0, self.dimension

    @property
    def start(self) -> int:
        """Number of the first row in the whole folder."""
        return sum(self.sizes[: self.first])

    def only(self, first: int, last: int | None) -> StoredRows:
        """Return the rows of shards ``first`` to ``last`` of the whole folder, numbered from 0."""
        return replace(self, first=first, last=last)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows ``start`` to ``stop`` as float16 of shape ``(stop - start, d)``.

        Raises:
            ValueError: If there are no such rows.
            Refusal: If a file is shorter than it was.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise ValueError(f"rows {start} to {stop}, needed 0 <= start <= stop <= {self.shape[0]}")
        rows = np.empty((stop - start, self.dimension), dtype=np.float16)
        filled = 0
        for shard, begin, end in self._parts(start, stop):
            if begin == 0 and shard + 1 < (len(self.sizes) if self.last is None else self.last):
                _ask_for_beginning(self._path(shard + 1))
            _read_into(self._path(shard), rows[filled : filled + end - begin], begin, self.sizes[shard])
            filled += end - begin
        return rows

    def uids(self, rows: IntArray) -> list[str]:
        """Return the ids of rows, in the order asked for."""
        return self._look_up("uid", rows)

    def captions(self, rows: IntArray) -> list[str]:
        """Return the captions of rows, in the order asked for."""
        return self._look_up("caption", rows)

    def tell_place(self, row: int) -> str:
        """Name the file and row, for an error."""
        part = bisect_right(self._ends, row)
        shard = self.first + part
        return f"{self._path(shard)} row {row - self._before(part)}"

    def _path(self, shard: int) -> Path:
        return part_path(self.folder, self.kind, shard, len(self.sizes))

    def _before(self, part: int) -> int:
        """Return how many rows lie before a shard of the range."""
        return int(self._ends[part]) - self.sizes[self.first + part]

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield each shard that holds some of the rows, with the first and the end of them in it."""
        part = bisect_right(self._ends, start)
        while start < stop:
            shard = self.first + part
            before = self._before(part)
            end = min(stop, int(self._ends[part]))
            if end > start:
                yield shard, start - before, end - before
            start, part = end, part + 1

    def _look_up(self, column: str, rows: IntArray) -> list[str]:
        wanted = np.asarray(rows, dtype=np.int64)
        parts = np.searchsorted(self._ends, wanted, side="right")
        found = np.empty(len(wanted), dtype=object)
        for part in np.unique(parts).tolist():
            shard = self.first + part
            mask = parts == part
            path = part_path(self.folder, "metadata", shard, len(self.sizes))
            inside = wanted[mask] - self._before(part)
            found[mask] = (
                _TABLES.read(path, column, self.sizes[shard], self.digest).take(pa.array(inside)).to_pylist()
            )
        return found.tolist()


def open_stored(folder: Path, kind: Side = "img_emb") -> StoredRows:
    """Open the rows of an embedding folder; the header of every part is compared with the manifest.

    Args:
        folder: What ``oddpair embed`` made.
        kind: Pictures or captions.

    Returns:
        The rows, none of them read.

    Raises:
        Refusal: If the folder is no finished embedding, has no such rows, or a part is not what its manifest says.
    """
    manifest = read_manifest(folder)
    dimension = manifest["dimensions"].get(kind, 0)
    if not dimension:
        what = "pictures" if kind == "img_emb" else "captions"
        raise Refusal(f"{folder} has no embeddings of {what}: embed a corpus with {what}")
    stored = StoredRows(
        folder=folder,
        kind=kind,
        sizes=tuple(manifest["rows"]),
        dimension=dimension,
        encoder=manifest["encoder_sha256"],
        digest=identify_folder(folder),
    )
    for shard, size in enumerate(stored.sizes):
        part = part_path(folder, kind, shard, len(stored.sizes))
        found = open_array(part)
        if found.shape != (size, dimension) or found.dtype != np.dtype("<f2") or found.fortran:
            raise Refusal(
                f"{part} holds {found.dtype} of shape {found.shape}, its manifest says float16 of {(size, dimension)}: "
                "embed again"
            )
    return stored


def read_uids(stored: StoredRows) -> pa.Array:
    """Return the ids of all rows in their order, ``large_string``; 40 bytes a row where they have 32 letters.

    Raises:
        Refusal: If a file is missing or damaged, or has another number of rows than its part.
    """
    shards = range(len(stored.sizes))[stored.first : stored.last]
    paths = {shard: part_path(stored.folder, "metadata", shard, len(stored.sizes)) for shard in shards}
    with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
        columns = list(
            threads.map(lambda shard: _read_column(paths[shard], "uid", stored.sizes[shard]), shards)
        )
    # 32 bits of offsets are too few for the letters of all shards together.
    chunks = [chunk.cast(pa.large_string()) for column in columns for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.large_string()).combine_chunks()


def identify_folder(folder: Path) -> str:
    """Hash what tells the folder apart: its manifest, and the hashes of all its parts, where they were finished."""
    named = ("manifest.json", "done.json")
    return files.digest({name: files.sha256(folder / name) for name in named if (folder / name).is_file()})


class _Tables:
    """Columns that were read of shards' metadata, the latest ones within a limit of bytes; for all threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[Path, str, str], pa.ChunkedArray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def read(self, path: Path, column: str, rows: int, digest: str) -> pa.ChunkedArray:
        """Return a column of ``rows`` rows; ``digest`` keeps apart tables of a folder that was made again."""
        key = path, column, digest
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            found = self._held[key] = _read_column(path, column, rows)
            self._bytes += found.nbytes
            while self._bytes > _BYTES_HELD and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
            return found


_TABLES = _Tables()


def _read_column(path: Path, column: str, rows: int) -> pa.ChunkedArray:
    found = files.read_table(path, [column])[column]
    if len(found) != rows:
        raise Refusal(f"{path} has {len(found)} rows, its manifest says {rows}: embed again")
    _require_strings(path, column, found)
    return found


def _require_strings(path: Path, column: str, found: pa.ChunkedArray) -> None:
    try:
        found.validate(full=True)
        is_good = pa.types.is_string(found.type) and not found.null_count
    except pa.ArrowInvalid:  # no UTF-8
        is_good = False
    if not is_good:
        raise Refusal(f"{path} has a {column} that is no text: embed again")


def _read_into(path: Path, rows: NDArray[Any], start: int, total: int) -> None:
    """Fill ``rows`` with those from ``start`` on of a file of ``total`` rows; without the interpreter's lock."""
    view = rows.reshape(-1).view(np.uint8).data
    width = rows.shape[1] * rows.itemsize
    try:
        with path.open("rb", buffering=0) as file:
            place = _first_byte(file.fileno(), total * width, path) + start * width
            _ask_ahead(file.fileno(), place, len(view))
            filled = 0
            while filled < len(view):
                got = os.preadv(file.fileno(), [view[filled:]], place + filled)
                if not got:
                    raise Refusal(f"{path} was cut short while it was read: embed again")
                filled += got
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): embed again") from error


def _ask_ahead(file: int, place: int, size: int) -> None:
    """Have the system fetch what follows in a file, a stretch at a time, one beyond the one that is entered."""
    stop = place + size
    if size >= _IN_ORDER and (place < size or place // _BYTES_AHEAD != stop // _BYTES_AHEAD):
        _ask_for(file, stop, 2 * _BYTES_AHEAD)


def _ask_for_beginning(path: Path) -> None:
    """Have the system fetch the first stretch of the file that comes next."""
    with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:  # it is missed when it is read
        _ask_for(file.fileno(), 0, _BYTES_AHEAD)


def _ask_for(file: int, place: int, size: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, place, size, os.POSIX_FADV_WILLNEED)


def _first_byte(file: int, size: int, path: Path) -> int:
    """Return where the numbers of an ``.npy`` file begin, which was looked at whole when the folder was opened."""
    head = os.pread(file, 12, 0)
    # The length of the header has 2 bytes in version 1 of the format, 4 later.
    wide = len(head) == 12 and head[6] > 1
    first = (
        (12 + int.from_bytes(head[8:12], "little")) if wide else (10 + int.from_bytes(head[8:10], "little"))
    )
    if os.fstat(file).st_size != first + size:
        raise Refusal(f"{path} was changed while it was read: embed again")
    return first
