"""Pictures that are files of their own, listed or bare, read as shards of 1,000 rows."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import clean
from oddpair.retrieval.formats.listing import ROWS_PER_BLOCK, Listing, read_block
from oddpair.retrieval.formats.loose import LooseFiles
from oddpair.retrieval.samples import REPEATED, Bad, Batch, Sample

_NO_UID = "-"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The rows of a shard whose text is good, with their numbers, and the others by number."""

    table: pa.Table
    numbers: list[int]
    bad: dict[int, Bad]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """Pictures that are files of their own, in shards of 1,000 rows; a ``Source``.

    The uid is the ``uid`` column of the listing, else the first 32 hex digits of the file's SHA-256; then
    rows of a shard whose files have the same bytes are one sample, the first, unless ``repeats`` keeps them.
    Where the listing has a column ``sha256``, pictures of other bytes are set aside.

    Attributes:
        root: Folder of the pictures.
        shards: Numbers of the blocks of rows.
        sizes: Rows in each.
        captioned: Whether there are captions.
        notes: What a user should know of it.
        outside: Whether the user named the files, which may then lie outside the folder.
        table: Name of the listing; ``""`` if there is none.
        listing: Where its rows are; ``None`` if there is none.
        names: Without a listing, the names of each shard's pictures, a zero byte between, compressed.
        repeats: Whether each of several files with the same bytes is a sample: they share a uid, keys differ.
    """

    root: Path
    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    captioned: bool
    outside: bool
    notes: tuple[str, ...] = ()
    table: str = ""
    listing: Listing | None = None
    # Every worker is given a copy of the source, and the names are most of it.
    names: tuple[bytes, ...] = ()
    repeats: bool = False
    layout: str = "folder"
    pictures: bool = True
    embedded: bool = False

    @property
    def identity(self) -> str:
        """What uids are made from: the ``uid`` of the listing, or the ``bytes`` of each picture's file."""
        return "uid" if self._has("uid") else "bytes"

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read a shard's metadata as one batch; where no listing gives uids, its pictures are read for them.

        Raises:
            Refusal: If a column is not there, the listing has changed, or a link leads outside the folder.
        """
        asked = self._choose_columns(columns)
        judged = self._judge(shard, asked)
        kept: list[int] = []
        uids: list[str] = []
        bad: list[Bad] = []
        for found in self._find_pictures(judged, read=not self._has("uid")):
            if isinstance(found, Bad):
                bad.append(found)
            else:
                kept.append(found[0])
                uids.append(found[1])
        table = judged.table.select(["uid", "key", "caption", *asked]).take(pa.array(kept, pa.int64()))
        yield Batch(table=table.set_column(0, "uid", pa.array(uids, pa.string())), bad=tuple(bad))

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read a shard's samples, one picture in memory at a time.

        Raises:
            Refusal: If the listing has changed, or a link leads outside the folder.
        """
        judged = self._judge(shard, [])
        keys, captions = (judged.table[name].to_pylist() for name in ("key", "caption"))
        for found in self._find_pictures(judged, read=True):
            if isinstance(found, Bad):
                yield found
            else:
                place, uid, image = found
                yield Sample(uid=uid, key=keys[place], caption=captions[place], image=image, file=keys[place])

    def only(self, shard: str) -> FolderSource:
        """Return the same source with the names of one shard, which is what the worker of that shard need be sent."""
        block = self.shards.index(shard)
        return replace(
            self, names=tuple(names if place == block else b"" for place, names in enumerate(self.names))
        )

    def identify(self, shard: str) -> dict[str, str]:
        """Return one hash of a shard's rows and of the bytes of all its files."""
        files = LooseFiles(self.root, outside=self.outside)
        header, rows = self._read_rows(shard, files)
        key = header.index("key")
        marks = self._ask(files.identify, [cells[key] or "" for _, cells in rows])
        total = hashlib.sha256()
        for (_, cells), mark in zip(rows, marks, strict=True):
            total.update(json.dumps([cells, mark]).encode())
        return {f"{self.table or 'pictures'} {shard}": total.hexdigest()}

    def _ask(self, question: Callable[[str], Answer], names: Sequence[str]) -> list[Answer]:
        if isinstance(self.root, Path):
            return [question(name) for name in names]
        # A store answers late, and many at a time.
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(question, names))

    def _has(self, column: str) -> bool:
        return self.listing is not None and column in self.listing.header

    def _choose_columns(self, columns: Sequence[str] | None) -> list[str]:
        own = self.listing.header if self.listing is not None else ()
        if columns is None:
            return [name for name in own if name not in ("uid", "caption")]
        asked = [name for name in dict.fromkeys(columns) if name not in ("uid", "key", "caption")]
        known = {*own, *("url" for name in own if name.lower() == "url")}
        missing = next((name for name in asked if name not in known), None)
        if missing is not None:
            raise Refusal(
                f"{self.root / self.table} has no column {missing!r}, only {', '.join(own) or 'pictures'}: add it to "
                "a csv of file and caption"
            )
        return asked

    def _read_rows(
        self, shard: str, files: LooseFiles
    ) -> tuple[tuple[str, ...], list[tuple[int, tuple[str | None, ...]]]]:
        """Read the rows of a shard as they are: names of the columns, and number and cells of each row."""
        if shard not in self.shards:
            raise ValueError(f"no shard {shard!r} in {self.root}, which has {len(self.shards)} shards")
        block = self.shards.index(shard)
        first = block * ROWS_PER_BLOCK
        if self.listing is None:
            names = zlib.decompress(self.names[block]).decode("utf-8", "surrogateescape").split("\0")
            captions = self._ask(files.read_caption, names) if self.captioned else [""] * len(names)
            return ("key", "caption"), list(enumerate(zip(names, captions, strict=True), first))
        listing = self.listing
        header = {name: place for place, name in enumerate(listing.header)}
        header |= {"key": header[listing.file], "caption": header[listing.caption]}
        spelled = next((name for name in header if name.lower() == "url"), None)
        if spelled is not None:
            header["url"] = header[spelled]
        rows = read_block(self.root / self.table, listing, block)
        return tuple(header), [
            (row.number, tuple(row.cells[place] for place in header.values())) for row in rows
        ]

    def _judge(self, shard: str, columns: Sequence[str]) -> _Judged:
        files = LooseFiles(self.root, outside=self.outside)
        header, rows = self._read_rows(shard, files)
        key = header.index("key")
        bad = {
            number: self._set_aside(number, cells[key] or "", f"{name} is not UTF-8")
            for number, cells in rows
            if (name := _find_broken(header, cells))
        }
        good = [(number, cells) for number, cells in rows if number not in bad]
        wanted = {"key", "caption", "uid", "sha256", *columns}
        table = pa.table(
            {
                name: pa.array([_replace_broken(cells[place]) for _, cells in good], pa.string())
                for place, name in enumerate(header)
                if name in wanted
            }
        )
        if not self._has("uid"):
            table = table.append_column("uid", pa.array([_NO_UID] * len(good), pa.string()))
        batch = clean(
            table,
            file=self.table,
            first_row=0,
            identity="uid",
            captioned=self.captioned,
            rows=[number for number, _ in good],
        )
        keys = {number: cells[key] or "" for number, cells in good}
        for one in batch.bad:
            number = one.row if one.row is not None else -1
            bad[number] = self._set_aside(number, keys[number], one.reason, one.uid)
        return _Judged(
            table=batch.table, numbers=[number for number, _ in good if number not in bad], bad=bad
        )

    def _set_aside(self, number: int, key: str, reason: str, uid: str | None = None) -> Bad:
        uid = None if uid == _NO_UID else uid
        if self.listing is not None:
            return Bad(file=self.table, row=number, uid=uid, reason=reason)
        return Bad(file=key.encode("utf-8", "backslashreplace").decode(), uid=uid, reason=reason)

    def _find_pictures(self, judged: _Judged, *, read: bool) -> Iterator[tuple[int, str, bytes] | Bad]:
        """Give place in the table, uid and picture of what is good, and what is bad, in the order of rows."""
        files = LooseFiles(self.root, outside=self.outside)
        n_good = judged.table.num_rows
        keys, uids = judged.table["key"].to_pylist(), judged.table["uid"].to_pylist()
        listed = judged.table["sha256"].to_pylist() if self._has("sha256") else [""] * n_good
        seen: set[str] = set()
        places = {number: place for place, number in enumerate(judged.numbers)}
        for number in sorted([*judged.bad, *places]):
            if number in judged.bad:
                yield judged.bad[number]
                continue
            place = places[number]
            image = files.read(keys[place]) if read else files.find(keys[place])
            uid = uids[place]
            if isinstance(image, bytes):
                digest = hashlib.sha256(image).hexdigest()
                uid = digest[:32] if uid == _NO_UID else uid
                if listed[place].lower() not in ("", digest):
                    image = "sha256 is not the listed one"
                elif uid in seen and not (self.repeats or self._has("uid")):
                    image = REPEATED
                else:
                    seen.add(uid)
            if isinstance(image, str):
                yield self._set_aside(number, keys[place], image, uid)
            else:
                yield place, uid, image if isinstance(image, bytes) else b""


def _find_broken(header: Sequence[str], cells: Sequence[str | None]) -> str | None:
    """Name the first of the columns that make a sample whose text is not UTF-8."""
    judged = ("uid", "key", "caption")
    return next(
        (
            name
            for name, cell in zip(header, cells, strict=True)
            if name in judged and cell != _replace_broken(cell)
        ),
        None,
    )


def _replace_broken(cell: str | None) -> str | None:
    """Return text as it is; of what is not UTF-8, with U+FFFD for the bytes that are wrong."""
    if cell is None or cell.isascii():
        return cell
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
