"""Corpora of metadata alone: parquet files, one a shard, with an address and a caption in each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import Identity, clean, find_identity
from oddpair.retrieval.formats.downloads import count_successes, find_successes
from oddpair.retrieval.formats.parquet import ROWS_PER_BATCH, DamagedTable, read_footers, stream_table
from oddpair.retrieval.formats.schemas import IDS, conform, widen_schemas
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.retrieval.stores import identify_file

KEY_DIGITS = 9

_COUNTED_AT_ONCE = 16

_CANONICAL = ("uid", "key", "caption")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataSource:
    """Parquet files of one release; a ``Source`` without pictures.

    The key of a row is its number in the file; where the files are the tables of a download, its own.

    Attributes:
        root: Folder that the files are relative to.
        layout: Name of the layout.
        shards: Files, without ``.parquet``.
        sizes: Rows of each file by its footer, of a download those with status ``success``; where a file is
            damaged, by another file beside it, or 0.
        schema: Columns of all files, under their own names.
        url: Name of the column of addresses; ``None`` if there is none.
        caption: Name of the column of captions.
        identity: What uids are made from.
        damaged: What is wrong with each file, ``""`` for nothing.
        notes: What a user should know.
        download: Whether the files are tables of img2dataset, which list what could not be downloaded too.
    """

    root: Path
    layout: str
    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    schema: pa.Schema
    url: str | None
    caption: str
    identity: Identity
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()
    captioned: bool = True
    pictures: bool = False
    download: bool = False
    embedded: bool = False

    def scan(self, shard: str, columns: Sequence[str] | None = (), *, named: bool = True) -> Iterator[Batch]:
        """Read a file in batches; ``columns`` of ``None`` are all that it has, the address as ``url``.

        Args:
            shard: One of ``shards``.
            columns: Columns beside ``uid``, ``key`` and ``caption``.
            named: Whether ``uid`` and ``key`` are needed; without they are null, and no time is spent on them.

        Raises:
            Refusal: If there is no such column, or the file has changed since it was opened.
        """
        yield from self._read(shard, columns, ROWS_PER_BATCH, named=named)

    def _read(
        self, shard: str, columns: Sequence[str] | None, most: int, *, named: bool = True
    ) -> Iterator[Batch]:
        """Read batches that are made from ``most`` rows of the file, or fewer."""
        index, file = self.shards.index(shard), f"{shard}.parquet"
        asked = self._choose_columns(columns)
        sources = {name: self._source_of(name) for name in asked}
        if self.damaged[index]:
            unknown = "" if self.sizes[index] else "; how many rows it had is not known"
            whole = Bad(file=file, rows=self.sizes[index], reason=self.damaged[index] + unknown)
            yield Batch(table=self._empty(sources), bad=(whole,))
            return
        identifier = "url" if self.identity == "url and caption" else self.identity
        needed = {"caption": self.caption, identifier: self._source_of(identifier)}
        if self.download:
            needed |= {"key": "key", "status": "status"}
        row, done, size = 0, 0, self.sizes[index]
        try:
            names = list(dict.fromkeys([*needed.values(), *sources.values()]))
            for part in stream_table(self.root / file, names, rows=most):
                part = conform(part, self.schema, str(self.root / file))
                listed = find_successes(part).to_numpy() if self.download else np.arange(part.num_rows)
                if done + len(listed) > size:
                    raise self._changed(file)
                columns_of = {name: part[source] for name, source in {**needed, **sources}.items()}
                numbers = {"key": number_rows(row, part.num_rows)} if named else {}
                table = pa.table({**numbers, **columns_of})
                if self.download:
                    table = table.take(pa.array(listed))
                batch = clean(
                    table, file=file, first_row=0, identity=self.identity, rows=listed + row, named=named
                )
                row += part.num_rows
                done += len(listed)
                yield Batch(table=batch.table.select([*_CANONICAL, *asked]), bad=batch.bad)
        except DamagedTable as error:
            rest = Bad(file=file, row=error.row, rows=size - done, reason=error.reason)
            yield Batch(table=self._empty(sources), bad=(rest,))
            return
        if done != size:
            raise self._changed(file)

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Refuse: there are no pictures in this layout."""
        raise Refusal(
            f"{self.root} holds addresses and captions, no pictures: fetch them with --fetch, or download with "
            "img2dataset and give its folder"
        )

    def only(self, shard: str) -> Self:
        """Return the same source with one file, which is all that the worker of that file need be sent."""
        index = self.shards.index(shard)
        return replace(self, shards=(shard,), sizes=(self.sizes[index],), damaged=(self.damaged[index],))

    def identify(self, shard: str) -> dict[str, str]:
        """Name the file of a shard, with what changes when its content does."""
        file = f"{shard}.parquet"
        return {file: identify_file(self.root / file)}

    def _choose_columns(self, columns: Sequence[str] | None) -> list[str]:
        if columns is not None:
            return [name for name in dict.fromkeys(columns) if name not in _CANONICAL]
        named = ["url" if name == self.url else name for name in self.schema.names if name != self.caption]
        return [name for name in named if name not in _CANONICAL]

    def _source_of(self, name: str) -> str:
        if name == "url" and self.url is not None:
            return self.url
        if name not in self.schema.names:
            raise Refusal(
                f"{self.root} has no column {name!r}, only {', '.join(map(repr, self.schema.names))}: "
                "ask for one of these"
            )
        return name

    def _empty(self, sources: dict[str, str]) -> pa.Table:
        fields = [(name, pa.string()) for name in _CANONICAL]
        fields += [(name, self.schema.field(source).type) for name, source in sources.items()]
        return pa.schema(fields).empty_table()

    def _changed(self, file: str) -> Refusal:
        return Refusal(f"{self.root / file} has another number of rows than when the run began: run again")


def read_metadata(root: Path, files: Sequence[str], *, layout: str) -> MetadataSource:
    """Look at the footers of the files of one release.

    The address is column ``url``, the caption ``caption`` or else ``text``, in any case.

    Args:
        root: Folder of the files.
        files: Names relative to it, ending in ``.parquet``; at least one.
        layout: Name of the layout.

    Returns:
        The source, without notes.

    Raises:
        Refusal: If no file can be read, they do not agree on their columns, or there are no captions or
            nothing to make ids from.
    """
    files = sorted(files)
    footers = read_footers([root / file for file in files])
    whole = [(file, footer) for file, footer in zip(files, footers, strict=True) if isinstance(footer, tuple)]
    if not whole:
        first = footers[0]
        assert isinstance(first, DamagedTable)
        raise Refusal(f"{root / files[0]}: {first.reason}, as are all {len(files)} files: fetch them again")
    schema = widen_schemas([(str(root / file), schema) for file, (schema, _) in whole], exact=IDS)
    where = root / whole[0][0]
    url, caption = _find(schema, "url"), _find(schema, "caption", "text")
    if caption is None:
        raise Refusal(
            f"{where} has no column caption, text or TEXT, only "
            f"{', '.join(map(repr, schema.names))}: give a table that has them"
        )
    types = dict(zip(schema.names, schema.types, strict=True))
    identity, notes = find_identity({**types, **({"url": types[url]} if url else {})}, where)
    if identity is None:
        raise Refusal(f"{where} has no column uid, hash or url to make ids from: add one of them")
    for name in [caption, *([url] if url else [])]:
        kind = schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_null(kind)):
            raise Refusal(f"{where} has {kind} in column {name!r}, needed string: write the table anew")
    return MetadataSource(
        root=root,
        layout=layout,
        shards=tuple(file.removesuffix(".parquet") for file in files),
        sizes=tuple(footer[1] if isinstance(footer, tuple) else 0 for footer in footers),
        schema=schema,
        url=url,
        caption=caption,
        identity=identity,
        damaged=tuple(footer.reason if isinstance(footer, DamagedTable) else "" for footer in footers),
        notes=notes,
    )


def take_successes(source: MetadataSource) -> MetadataSource:
    """Leave out what could not be downloaded, if the files are tables of img2dataset; else return the source.

    Args:
        source: Files that may list failures too: they have columns ``key`` and ``status`` of strings.

    Returns:
        The source, whose sizes count the successes.
    """
    kinds = [source.schema.field(name).type for name in ("key", "status") if name in source.schema.names]
    if kinds != [pa.string(), pa.string()]:
        return source

    def count(index: int) -> tuple[int, str]:
        if source.damaged[index]:
            return 0, source.damaged[index]
        try:
            return count_successes(source.root / f"{source.shards[index]}.parquet"), ""
        except DamagedTable as error:
            return 0, error.reason

    with ThreadPoolExecutor(_COUNTED_AT_ONCE) as pool:
        found = list(pool.map(count, range(len(source.shards))))
    failures = sum(
        rows - size for rows, (size, reason) in zip(source.sizes, found, strict=True) if not reason
    )
    told = (
        f"tables of a download without its pictures; {failures:,} of their rows are no success and left out"
    )
    return replace(
        source,
        layout="img2dataset-table",
        sizes=tuple(size for size, _ in found),
        damaged=tuple(reason for _, reason in found),
        notes=(*source.notes, told),
        download=True,
    )


def number_rows(first: int, n_rows: int) -> pa.Array:
    """Make the keys of rows that have none: their numbers in the file, with leading zeros.

    >>> number_rows(9, 2).to_pylist()
    ['000000009', '000000010']
    """
    numbers = pa.array(np.arange(first, first + n_rows)).cast(pa.string())
    return pc.utf8_lpad(numbers, KEY_DIGITS, "0")


def _find(schema: pa.Schema, *spellings: str) -> str | None:
    for spelling in spellings:
        found = [name for name in schema.names if name.lower() == spelling]
        if found:
            return spelling if spelling in found else min(found)
    return None
