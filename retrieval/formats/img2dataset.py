"""The webdataset output of img2dataset: ``NNNNN.tar``, ``NNNNN.parquet`` and ``NNNNN_stats.json`` a shard.

Rows come from the table, pictures from the tar, and every read checks that both tell of the same samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.retrieval.formats.clean import Identity, clean
from oddpair.retrieval.formats.downloads import (
    describe_counts,
    find_successes,
    open_download,
)
from oddpair.retrieval.formats.parquet import DamagedTable, read_footer, stream_table
from oddpair.retrieval.formats.schemas import conform, fit_columns
from oddpair.retrieval.formats.tar_samples import (
    HASH_COLUMNS,
    BadSample,
    find_difference,
    find_hashes,
    read_picture,
)
from oddpair.retrieval.formats.tars import TarIndex, has_end, open_tar
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.retrieval.stores import identify_file

_NEEDED = "download with img2dataset, its tables and a column that ids can be made from"


class _Listed(NamedTuple):
    """What a first pass over a table found: the keys of the rows that were downloaded, and the columns."""

    keys: list[str | None]
    columns: pa.Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Img2datasetSource:
    """A corpus that img2dataset downloaded, or that oddpair exported; the fields are those of ``Source``.

    Attributes:
        identity: What uids are made from.
        first: Table that the columns of the others are compared with where they are read.
        schema: Its columns.
    """

    root: Path
    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    captioned: bool
    notes: tuple[str, ...]
    identity: Identity
    first: str
    schema: pa.Schema = field(repr=False)
    layout: str = "img2dataset"
    pictures: bool = True
    embedded: bool = False

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read the rows of a shard that were downloaded, in batches; of a tar that ends as one only the end.

        Args:
            shard: One of ``shards``.
            columns: Columns beside ``uid``, ``key`` and ``caption``; ``None`` for all.

        Yields:
            Rows with status ``success``, in the order of the table.

        Raises:
            Refusal: If the table lacks a column that is read, or has one that does not fit the first table's.
        """
        listed = self._list(shard, self._names(columns))
        if isinstance(listed, _Listed) and not has_end(self.root / f"{shard}.tar"):
            with open_tar(self.root / f"{shard}.tar") as (index, _):
                listed = self._compare(shard, index, listed.keys) or listed
        if isinstance(listed, Bad):
            yield Batch(table=self._clean(shard, self.schema.empty_table(), [], columns).table, bad=(listed,))
        else:
            yield from self._read(shard, listed, columns)

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read the samples of a shard with their pictures, one at a time, each compared with its row.

        Args:
            shard: One of ``shards``.

        Yields:
            Samples in the order of ``scan``, and what was set aside.

        Raises:
            Refusal: As ``scan``; or if the tar is compressed or unsorted, or has keys with dots.
        """
        listed = self._list(shard, self._names(()))
        if isinstance(listed, Bad):
            yield listed
            return
        tar = f"{shard}.tar"
        with open_tar(self.root / tar) as (index, file):
            worse = self._compare(shard, index, listed.keys)
            if worse is not None:
                yield worse
                return
            if not index.ended:
                say(f"{self.root / tar} lacks its end mark; all samples of its table are there and taken")
            known = {*listed.columns.names} & {*self.schema.names}
            hashes = [name for name in (*HASH_COLUMNS, "width") if name in known]
            entries = {entry.key: entry for entry in index.entries}
            for batch in self._read(shard, listed, hashes):
                yield from batch.bad
                rows = batch.table.select(["uid", "key", "caption"]).to_pylist()
                for row, digest in zip(rows, find_hashes(batch.table, listed.columns), strict=True):
                    entry = entries.get(row["key"])
                    caption = row["caption"] if self.captioned else None
                    try:
                        if entry is None:
                            raise BadSample(f"the tar lacks sample {row['key']} of its table")
                        image = read_picture(file, entry, caption=caption, digest=digest)
                    except BadSample as found:
                        offset = None if entry is None else entry.offset
                        yield Bad(file=tar, offset=offset, uid=row["uid"], reason=str(found))
                    else:
                        yield Sample(**row, image=image, file=tar, offset=entry.offset)

    def only(self, shard: str) -> Img2datasetSource:
        """Return the same source with one shard, which is all that the worker of that shard need be sent."""
        return replace(self, shards=(shard,), sizes=(self._size(shard),))

    def identify(self, shard: str) -> dict[str, str]:
        """Name the files of a shard with the hash of its table, the size of its tar and its successes.

        The tar is not read: a table is written anew with every download, and holds the hashes of the pictures.
        """
        tar = self.root / f"{shard}.tar"
        return {
            f"{shard}.parquet": identify_file(self.root / f"{shard}.parquet"),
            f"{shard}.tar": f"{tar.stat().st_size} bytes",
            f"{shard}_stats.json": f"{self._size(shard)} successes",
        }

    def _size(self, shard: str) -> int:
        return self.sizes[self.shards.index(shard)]

    def _list(self, shard: str, names: Sequence[str]) -> _Listed | Bad:
        """List the keys of the rows that were downloaded, or say why the table cannot be used.

        Raises:
            Refusal: If one of the columns ``names`` is not there, or does not fit the first table's.
        """
        table, size = f"{shard}.parquet", self._size(shard)
        keys: list[str | None] = []
        try:
            columns = read_footer(self.root / table)[0]
            self._fit(shard, columns, names)
            for part in stream_table(self.root / table, ["key", "status"]):
                keys += _texts(part["key"].take(find_successes(part)))
        except DamagedTable as damage:
            return Bad(file=table, reason=damage.reason, rows=size)
        if len(keys) > size:
            return Bad(file=table, reason=describe_counts(len(keys), size), rows=size)
        return _Listed(keys, columns)

    def _fit(self, shard: str, columns: pa.Schema, names: Sequence[str]) -> pa.Schema:
        first = (str(self.root / self.first), self.schema)
        return fit_columns(first, (str(self.root / f"{shard}.parquet"), columns), names)

    def _compare(self, shard: str, index: TarIndex, keys: Sequence[str | None]) -> Bad | None:
        """Say why the tar as a whole cannot be used beside its table."""
        reason = index.verdict if index.damage is not None else None
        if reason is None:
            in_table, in_tar = Counter(keys), Counter(entry.key for entry in index.entries)
            twice = {key for counts in (in_table, in_tar) for key, times in counts.items() if times > 1}
            reason = find_difference(
                [entry.key for entry in index.entries if entry.key not in twice],
                [key or "" for key in keys if key not in twice],
            )
        if reason is None and not index.ended:
            whole = {entry.key for entry in index.entries if entry.fault is None}
            lacking = next((key for key in keys if key not in whole), None)
            reason = f"{index.verdict}; {lacking} of its table is not whole" if lacking is not None else None
        if reason is None:
            return None
        return Bad(file=f"{shard}.tar", reason=reason, rows=self._size(shard))

    def _read(self, shard: str, listed: _Listed, columns: Sequence[str] | None) -> Iterator[Batch]:
        table, size = f"{shard}.parquet", self._size(shard)
        names = self._names(columns)
        copies = Counter(key or "" for key in listed.keys)
        schema = self._fit(shard, listed.columns, names)
        row = done = 0
        try:
            for part in stream_table(self.root / table, names):
                part = conform(part, schema, str(self.root / table))
                chosen = find_successes(part).to_pylist()
                keys = listed.keys[done : done + len(chosen)]
                once = [place for place, key in zip(chosen, keys, strict=True) if not key or copies[key] < 2]
                twice = tuple(
                    Bad(file=table, row=row + place, reason=f"key {key} is there more than once")
                    for place, key in zip(chosen, keys, strict=True)
                    if key and copies[key] > 1
                )
                good = part.take(pa.array(once, pa.int64()))
                batch = self._clean(shard, good, [row + place for place in once], columns)
                yield Batch(table=batch.table, bad=(*batch.bad, *twice))
                row += part.num_rows
                done += len(chosen)
            missing, reason = size - done, describe_counts(done, size)
        except DamagedTable as damage:
            missing, reason = size - done, damage.reason
        if missing:
            empty = self._clean(shard, self.schema.empty_table(), [], columns).table
            yield Batch(table=empty, bad=(Bad(file=table, reason=reason, rows=missing),))

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return list(self.schema.names)
        made = ("uid", "key", "caption")
        missing = next((name for name in columns if name not in (*made, *self.schema.names)), None)
        if missing is not None:
            raise Refusal(
                f"{self.root / self.first} has no column {missing!r}, only "
                f"{', '.join(map(repr, self.schema.names))}: ask for one of these"
            )
        needed = dict.fromkeys(["key", "status", "caption", *_SOURCES[self.identity], *columns])
        return [name for name in needed if name in self.schema.names]

    def _clean(self, shard: str, part: pa.Table, rows: list[int], columns: Sequence[str] | None) -> Batch:
        table, by, told = f"{shard}.parquet", self.identity, self.captioned
        batch = clean(part, file=table, first_row=0, identity=by, captioned=told, rows=rows)
        if columns is None:
            return batch
        names = dict.fromkeys(["uid", "key", "caption", *columns])
        return Batch(table=batch.table.select(list(names)), bad=batch.bad)


_SOURCES: dict[Identity, tuple[str, ...]] = {
    "uid": ("uid",),
    "hash": ("hash",),
    "url and caption": ("url",),
    "key": (),
}


def open_img2dataset(place: Place) -> Img2datasetSource:
    """Open the shards that img2dataset wrote; the stats of all and the columns of one table are read.

    The uid is the column ``uid``; else LAION's ``hash``; else it is made from ``url`` and caption.

    Args:
        place: Where they are.

    Returns:
        The source; sizes are the successes that the stats count.

    Raises:
        Refusal: If a shard lacks one of its three files or is missing in the numbering, no table can be read,
            ids cannot be made, or there is not one sample.
    """
    found = open_download(
        place, (".tar", ".parquet", "_stats.json"), without_column=_NEEDED, without_identity=_NEEDED
    )
    return Img2datasetSource(root=place.root, **found._asdict())


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    raw = column.cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode(errors="replace") for value in raw]
