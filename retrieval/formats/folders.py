"""A folder of pictures listed by one ``.csv`` with the columns ``file`` and ``caption``."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.files import sha256

ROWS_PER_SHARD = 1000

_MADE_HERE = ("key", "sha256", "shard")


def read_listing(folder: Path, listing: Path) -> tuple[pa.Table, int]:
    """Read which pictures a folder lists; every picture file is hashed once.

    A picture's uid is the ``uid`` column where the csv has one, else the first 32 hex digits of the file's
    SHA-256. Without that column, rows whose files have the same bytes are one sample: the first row stays.

    Args:
        folder: Folder that the ``file`` column is relative to.
        listing: The csv: UTF-8 with a header; further columns are kept as strings.

    Returns:
        A table of the rows that stay, with ``uid``, ``caption``, ``shard`` (blocks of 1,000 rows), ``key``
        (as ``file``), ``sha256`` and the columns of the csv; and the number of rows left out as duplicates.

    Raises:
        Refusal: If the csv is malformed or empty, or a row's picture is missing or outside the folder.
    """
    header, rows = _read_csv(listing)
    root = folder.resolve()
    kept: list[list[str]] = []
    hashes: dict[str, None] = {}
    duplicates = 0
    seen: list[str] = []
    for line, row in rows:
        digest = sha256(_picture(folder, root, listing, line, row[header.index("file")]))
        if "uid" not in header and digest in hashes:
            duplicates += 1
            continue
        if "uid" in header and not row[header.index("uid")]:
            raise Refusal(f"{listing} line {line} has an empty uid: fill it in, or remove the column")
        hashes[digest] = None
        seen.append(digest)
        kept.append(row)
    columns = dict(zip(header, map(list, zip(*kept, strict=True)), strict=True))
    made = {
        "uid": columns.get("uid", [digest[:32] for digest in seen]),
        "shard": [f"{row // ROWS_PER_SHARD:05d}" for row in range(len(kept))],
        "key": columns["file"],
        "sha256": seen,
    }
    everything = {**columns, **made}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in everything.items()})
    return table, duplicates


def read_pictures(folder: Path, rows: pa.Table) -> tuple[bytes, ...]:
    """Read the files of some rows of a listing, in order.

    Raises:
        Refusal: If a file is gone or its bytes have changed since the listing was read.
    """
    pictures = []
    for key, digest in zip(rows["key"].to_pylist(), rows["sha256"].to_pylist(), strict=True):
        path = folder / key
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Refusal(
                f"{path} can no longer be read ({error.strerror}): restore it and run again"
            ) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise Refusal(f"{path} has changed since the run began: run again")
        pictures.append(data)
    return tuple(pictures)


def _read_csv(listing: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    rows: list[tuple[int, list[str]]] = []
    try:
        with listing.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            for name in ("file", "caption"):
                if name not in header:
                    raise Refusal(
                        f"{listing} has the columns {header}, needed 'file' and 'caption': name them "
                        "in line 1"
                    )
            if len(set(header)) < len(header):
                raise Refusal(f"{listing} names a column twice in its first line {header}: rename one")
            taken = next((name for name in _MADE_HERE if name in header), None)
            if taken is not None:
                raise Refusal(
                    f"{listing} has a column {taken!r}, a name that oddpair gives itself: rename it"
                )
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise Refusal(
                        f"{listing} line {reader.line_num} has {len(row)} cells, the header {len(header)}: "
                        "quote captions that hold a comma"
                    )
                rows.append((reader.line_num, row))
    except OSError as error:
        raise Refusal(f"{listing} cannot be read ({error.strerror}): check its permissions") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{listing} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    except csv.Error as error:
        raise Refusal(f"{listing} line {reader.line_num} is no csv ({error}): mend that line") from error
    if not rows:
        raise Refusal(f"{listing} lists no picture: add a row per picture")
    return header, rows


def _picture(folder: Path, root: Path, listing: Path, line: int, file: str) -> Path:
    path = folder / file
    try:
        inside = bool(file) and path.resolve().is_relative_to(root)
        present = path.is_file()
    except (OSError, ValueError) as error:
        raise Refusal(f"{listing} line {line} names {file!r}, which is no path: mend it") from error
    if not inside:
        raise Refusal(
            f"{listing} line {line} names {file!r}, which is outside {folder}: give a path inside it"
        )
    if not present:
        raise Refusal(
            f"{listing} line {line} names {file!r}, and {path} is no file: add it or remove the line"
        )
    return path
