"""Tables of pictures and captions as text: a ``.csv`` of file and caption, or open_clip's of filepath and title."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from oddpair.errors import Refusal
from oddpair.retrieval.stores import store_errors, unreadable

ROWS_PER_BLOCK = 1000

# Columns of the file and of the caption, and what stands between cells: ours, and open_clip's.
_KINDS = (
    ("file", "caption", ","),
    ("filepath", "title", "\t"),
    ("filepath", "title", ","),
    ("file", "caption", "\t"),
)
_MADE_HERE = ("key", "shard")
_LONGEST_LINE = 1 << 24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A table of pictures that was read through once; its rows stay on disk.

    Attributes:
        header: Names of the columns.
        file: Column of the picture's path.
        caption: Column of the caption.
        delimiter: What stands between cells.
        rows: Rows below the header.
        blocks: Byte and line that every block of 1,000 rows begins at.
        size: Of the table, in bytes.
    """

    header: tuple[str, ...]
    file: str
    caption: str
    delimiter: str
    rows: int
    blocks: tuple[tuple[int, int], ...]
    size: int


class Row(NamedTuple):
    """One row of a listing: its number below the header, from 0, the line it ends on, and its cells."""

    number: int
    line: int
    cells: list[str]


def open_listing(path: Path, *, outside: bool) -> Listing:
    """Read a listing through once and note where its blocks begin.

    Args:
        path: The table: UTF-8, with a header that names ``file`` and ``caption``, or ``filepath`` and
            ``title``; with commas or tabs between cells.
        outside: Whether pictures may lie outside the folder of the listing.

    Returns:
        Where its rows are.

    Raises:
        Refusal: If it is malformed or empty, a uid is empty, or a path leads outside the folder.
    """
    with _opened(path) as file:
        header, kind = _read_header(path, file)
        name, uid = header.index(kind[0]), header.index("uid") if "uid" in header else None
        outside = outside and isinstance(path, Path)
        start = file.tell()
        lines = _Lines(path, file, start, 1)
        rows = 0
        blocks: list[tuple[int, int]] = []
        here = (start, 1)
        for row in _parse(path, lines, header, kind[2], 0):
            if rows % ROWS_PER_BLOCK == 0:
                blocks.append(here)
            if uid is not None and not row.cells[uid]:
                raise Refusal(f"{path} line {row.line} has an empty uid: fill it in, or remove the column")
            _check_name(path, row.line, row.cells[name], outside=outside)
            rows += 1
            here = (lines.offset, lines.line)
        if not rows:
            raise Refusal(f"{path} lists no picture: add a row per picture")
        return Listing(
            header=header,
            file=kind[0],
            caption=kind[1],
            delimiter=kind[2],
            rows=rows,
            blocks=tuple(blocks),
            size=lines.offset,
        )


def read_block(path: Path, listing: Listing, block: int) -> Iterator[Row]:
    """Read the rows of one block; what is not UTF-8 in them comes as lone surrogates.

    Raises:
        Refusal: If the table has changed since it was opened.
    """
    offset, line = listing.blocks[block]
    first = block * ROWS_PER_BLOCK
    count = min(ROWS_PER_BLOCK, listing.rows - first)
    with _opened(path) as file:
        if path.stat().st_size != listing.size:
            raise Refusal(f"{path} has changed since the run began: run again")
        file.seek(offset)
        lines = _Lines(path, file, offset, line)
        yield from islice(_parse(path, lines, listing.header, listing.delimiter, first), count)


class _Lines:
    """The lines of an open file as text, and the byte and line that comes next.

    A reader of csv takes no line before it needs it, so that between two rows this is where the next begins.
    """

    def __init__(self, path: Path, file: BinaryIO, offset: int, line: int) -> None:
        self._path = path
        self._file = file
        self.offset = offset
        self.line = line

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(_LONGEST_LINE):
            if len(raw) == _LONGEST_LINE:
                raise Refusal(
                    f"{self._path} line {self.line + 1} is longer than 16 MiB: is it a listing? mend it"
                )
            self.offset += len(raw)
            self.line += 1
            yield raw.decode("utf-8", "surrogateescape")


def _parse(path: Path, lines: _Lines, header: tuple[str, ...], delimiter: str, number: int) -> Iterator[Row]:
    # A caption may be longer than the default of the module, and is cut later; a quote that is never closed
    # must not read the whole file as one cell.
    csv.field_size_limit(_LONGEST_LINE)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Refusal(f"{path} line {lines.line} is no csv ({error}): mend that line") from error
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(header):
            raise Refusal(
                f"{path} line {lines.line} has {len(cells)} cells, the header {len(header)}: "
                f"quote captions that hold a {'comma' if delimiter == ',' else 'tab'}"
            )
        yield Row(number, lines.line, cells)
        number += 1


def _read_header(path: Path, file: BinaryIO) -> tuple[tuple[str, ...], tuple[str, str, str]]:
    raw = file.readline(_LONGEST_LINE)
    try:
        text = raw.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    for kind in _KINDS:
        header = _split_line(path, text, kind[2])
        if kind[0] in header and kind[1] in header:
            break
    else:
        raise Refusal(
            f"{path} has the columns {_split_line(path, text, ',')}, needed 'file' and 'caption', or 'filepath' "
            "and 'title': name them in line 1"
        )
    if len(set(header)) < len(header):
        raise Refusal(f"{path} names a column twice in its first line {header}: rename one")
    taken = next((name for name in (*_MADE_HERE, "caption") if name in header and name != kind[1]), None)
    if taken is not None:
        raise Refusal(f"{path} has a column {taken!r}, a name that oddpair gives itself: rename it")
    return tuple(header), kind


def _split_line(path: Path, text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise Refusal(f"{path} line 1 is no csv ({error}): mend that line") from error


def _check_name(path: Path, line: int, name: str, *, outside: bool) -> None:
    if "\0" in name:
        raise Refusal(f"{path} line {line} names {name!r}, which is no path: mend it")
    if not name or (not outside and is_outside(name)):
        raise Refusal(
            f"{path} line {line} names {name!r}, which is outside {path.parent}: give a path inside it"
        )


def is_outside(name: str) -> bool:
    """Say whether a name does not lie below the folder that it is joined to, links apart.

    >>> [is_outside(name) for name in ("a/b.jpg", "/a.jpg", "a/../../b.jpg", "s3://bucket/a.jpg")]
    [False, True, True, True]
    """
    # Joined to a remote folder, the URL of another one would take its place.
    return name.startswith("/") or "://" in name or (".." in name and ".." in name.split("/"))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except store_errors() as error:
        raise unreadable(str(path), error) from error
