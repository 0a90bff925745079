"""Tars without tables: what DataComp's resharder writes, and any shards that open_clip's trainer reads."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.retrieval.formats.clean import clean
from oddpair.retrieval.formats.json_rows import JsonRow, TarIdentity, build_columns, read_row
from oddpair.retrieval.formats.shard_sizes import find_sizes
from oddpair.retrieval.formats.tar_samples import BadSample, read_picture
from oddpair.retrieval.formats.tars import TarIndex, index_tar, open_tar
from oddpair.retrieval.places import Place, require_no_gaps
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.retrieval.stores import identify_file, store_errors, unreadable

# The first samples of a shard lie in its first megabytes; of a remote one no more is fetched to look at them.
_HEAD = 4 << 20
_LOOKED_AT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The first good samples of a tar, a name with several dots, and the first thing that is wrong."""

    rows: tuple[JsonRow, ...] = ()
    dotted: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebdatasetSource:
    """A corpus of tars; the fields are those of ``Source``.

    Attributes:
        tars: Files of the shards.
        identity: What the uid of the first sample is made of; each sample decides for itself.
    """

    root: Path
    shards: tuple[str, ...]
    tars: tuple[str, ...]
    sizes: tuple[int, ...]
    captioned: bool
    notes: tuple[str, ...]
    identity: TarIdentity
    layout: str = "webdataset"
    pictures: bool = True
    embedded: bool = False

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read what a shard says of its pictures, in one batch; pictures are read where they are the ids.

        Args:
            shard: One of ``shards``.
            columns: Scalar fields of the json members beside ``uid``, ``key`` and ``caption``; ``None`` for all.

        Yields:
            Samples in the order of the tar.

        Raises:
            Refusal: If the tar is compressed or unsorted, has keys with dots, or no sample has a field asked for.
        """
        with open_tar(self.root / self._tar(shard)) as (index, file):
            bad = self._judge(shard, index)
            if bad is not None:
                yield Batch(table=self._build(shard, [], columns).table, bad=(bad,))
                return
            rows, bads = self._gather(shard, index, file, columns)
        batch = self._build(shard, rows, columns)
        yield Batch(table=batch.table, bad=(*batch.bad, *bads))

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read the samples of a shard with their pictures, one at a time.

        Args:
            shard: One of ``shards``.

        Yields:
            Samples in the order of ``scan``, and what was set aside.

        Raises:
            Refusal: As ``scan``.
        """
        tar = self._tar(shard)
        with open_tar(self.root / tar) as (index, file):
            worse = self._judge(shard, index)
            if worse is not None:
                yield worse
                return
            if not index.ended:
                say(
                    f"{self.root / tar} lacks its end mark; as many samples as it should hold are there, and taken"
                )
            rows, bads = self._gather(shard, index, file, ())
            batch = self._build(shard, rows, ())
            yield from (*batch.bad, *bads)
            row_of = {row.entry.key: row for row in rows}
            for sample in batch.table.to_pylist():
                row = row_of[sample["key"]]
                try:
                    image = read_picture(file, row.entry, digest=row.digest)
                except BadSample as found:
                    yield Bad(file=tar, offset=row.entry.offset, uid=sample["uid"], reason=str(found))
                else:
                    yield Sample(**sample, image=image, file=tar, offset=row.entry.offset)

    def only(self, shard: str) -> WebdatasetSource:
        """Return the same source with one shard, which is all that the worker of that shard need be sent."""
        return replace(self, shards=(shard,), tars=(self._tar(shard),), sizes=(self._size(shard),))

    def identify(self, shard: str) -> dict[str, str]:
        """Name the tar of a shard, with what changes when its content does and the samples it should hold."""
        tar = self._tar(shard)
        return {tar: f"{identify_file(self.root / tar)}, {self._size(shard)} samples"}

    def _tar(self, shard: str) -> str:
        return self.tars[self.shards.index(shard)]

    def _size(self, shard: str) -> int:
        return self.sizes[self.shards.index(shard)]

    def _judge(self, shard: str, index: TarIndex) -> Bad | None:
        """Say why a tar as a whole cannot be used."""
        size, n_found = self._size(shard), len(index.entries)
        whole = n_found == size and all(entry.fault is None for entry in index.entries)
        reason = None
        if not index.ended and (index.damage is not None or not whole):
            reason = index.verdict
            if size == 0:
                reason += "; how many samples it should hold is not known"
        elif n_found > size:
            reason = f"holds {n_found} samples, it should hold {size}"
        return None if reason is None else Bad(file=self._tar(shard), reason=reason, rows=size)

    def _gather(
        self, shard: str, index: TarIndex, file: BinaryIO, columns: Sequence[str] | None
    ) -> tuple[list[JsonRow], list[Bad]]:
        rows: list[JsonRow] = []
        bad: list[Bad] = []
        for entry in index.entries:
            try:
                row = read_row(file, entry, columns)
                picture = None
                if row.identity == "bytes":
                    picture = read_picture(file, entry, digest=row.digest)
                rows.append(replace(row, uid=row.make_uid(picture)))
            except BadSample as found:
                bad.append(Bad(file=self._tar(shard), offset=entry.offset, reason=str(found)))
        missing = self._size(shard) - len(index.entries)
        if missing:
            reason = f"holds {len(index.entries)} samples, it should hold {self._size(shard)}"
            bad.append(Bad(file=self._tar(shard), reason=reason, rows=missing))
        return rows, bad

    def _build(self, shard: str, rows: list[JsonRow], columns: Sequence[str] | None) -> Batch:
        made = {
            "key": pa.array([row.entry.key for row in rows], pa.string()),
            "caption": pa.array([row.caption for row in rows], pa.string()),
            "uid": pa.array([row.uid for row in rows], pa.string()),
        }
        fields = build_columns(rows, columns, str(self.root / self._tar(shard)))
        batch = clean(
            pa.table({**made, **{name: fields[name] for name in fields if name not in made}}),
            file=self._tar(shard),
            first_row=0,
            identity="uid",
            captioned=self.captioned,
        )
        asked = [name for name in fields if name not in ("uid", "key", "caption")]
        # A place in a tar is a byte; the rows of this table are not in it.
        bad = tuple(
            replace(one, row=None, offset=rows[one.row].entry.offset)
            for one in batch.bad
            if one.row is not None
        )
        return Batch(table=batch.table.select(["uid", "key", "caption", *asked]), bad=bad)


def open_webdataset(place: Place) -> WebdatasetSource:
    """Open tars of samples; their heads tell whether there are captions.

    The uid of a sample is ``uid`` of its json member; else LAION's ``hash``; else made from ``url`` and caption;
    else, without an address, the first 32 hex digits of the picture's SHA-256. The caption is the txt member, else
    ``caption`` or ``text`` of the json. The samples of a shard are counted by its ``_stats.json``, else by
    ``sizes.json``, else in the tar.

    Args:
        place: Where they are; tables beside them are not read.

    Returns:
        The source.

    Raises:
        Refusal: If shards are missing in the numbering or in ``sizes.json``, there is not one sample, or a tar
            that is looked into is compressed, unsorted or has keys with dots.
    """
    tars = tuple(sorted(name for name in place.names if name.lower().endswith(".tar")))
    shards = tuple(tar[:-4] for tar in tars)
    twice = next((one for one, other in pairwise(sorted(shards)) if one == other), None)
    if twice is not None:
        raise Refusal(f"{place.root} holds {twice}.tar in two spellings of its ending: take one of them away")
    require_no_gaps(place, shards)
    sizes, counted = find_sizes(place, tars)
    heads = [_Head()]
    for tar in tars:
        heads.append(_look(place.root / tar))
        if heads[-1].rows:
            break
    head = heads[-1]
    if not head.rows or not any(sizes):
        reason = next((f" ({one.fault})" for one in heads if one.fault), "")
        raise Refusal(
            f"{place.root} holds {len(shards)} tars and not one sample with a picture{reason}: fetch them again"
        )
    captioned = any(row.caption is not None for row in head.rows)
    notes = []
    if not captioned:
        notes.append("There are no captions: samples have no txt, and no caption or text in their json.")
    if head.dotted is not None:
        notes.append(f"Members whose names have several dots, such as {head.dotted!r}, are passed over.")
    if any(name.lower().endswith(".parquet") for name in place.names):
        notes.append(
            "The tables beside the tars are passed over: those of img2dataset are named as their tars, by 5 to 8 digits."
        )
    if counted:
        notes.append(
            f"{counted:,} tars were read through to count their samples: a sizes.json beside them would save that."
        )
    return WebdatasetSource(
        root=place.root,
        shards=shards,
        tars=tars,
        sizes=sizes,
        captioned=captioned,
        notes=tuple(notes),
        identity=head.rows[0].identity,
    )


def _look(path: Path) -> _Head:
    """Look at the first samples of a tar; none is good if it is damaged before their end."""
    try:
        with path.open("rb") as source:
            data = io.BytesIO(source.read(_HEAD))
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    head = _read_first(index_tar(data, str(path)), data)
    if not head.rows and len(data.getbuffer()) == _HEAD:
        with open_tar(path) as (index, file):
            head = _read_first(index, file)
    return head


def _read_first(index: TarIndex, file: BinaryIO) -> _Head:
    rows: list[JsonRow] = []
    fault = index.damage
    # The last sample of a head may go on behind it.
    entries = index.entries if index.ended else index.entries[:-1]
    for entry in entries[:_LOOKED_AT]:
        try:
            rows.append(read_row(file, entry, ()))
        except BadSample as found:
            fault = fault or str(found)
    return _Head(rows=tuple(rows), dotted=index.dotted, fault=fault)
