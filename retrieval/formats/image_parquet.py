"""The parquet output of img2dataset: ``NNNNN.parquet`` with the pictures in a column, and ``NNNNN_stats.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oddpair.errors import Refusal
from oddpair.files import atomic
from oddpair.retrieval.formats.clean import Identity, clean
from oddpair.retrieval.formats.downloads import (
    count_successes,
    describe_counts,
    find_successes,
    open_download,
    write_stats,
)
from oddpair.retrieval.formats.parquet import DamagedTable, read_footer, stream_table
from oddpair.retrieval.formats.schemas import conform, fit_columns
from oddpair.retrieval.formats.shard_table import build_table, look_at_picture
from oddpair.retrieval.formats.tar_samples import HASH_COLUMNS, find_hashes
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.retrieval.stores import identify_file

# Named by what img2dataset was told to encode; what was not encoded lies under jpg, whatever it is.
PICTURE_COLUMNS = ("jpg", "png", "webp")

_CANONICAL = ("uid", "key", "caption")
_ROWS_PER_GROUP = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParquetSource:
    """Tables with pictures that img2dataset downloaded, or that oddpair exported; a ``Source``.

    Attributes:
        root: Folder that the shards are relative to.
        shards: Names of the shards.
        sizes: Successes that the stats count.
        picture: Column of the pictures.
        identity: What uids are made from.
        first: Table that the columns of the others are compared with where they are read.
        schema: Its columns.
        captioned: Whether there is a column of captions.
    """

    root: Path
    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    picture: str
    identity: Identity
    first: str
    schema: pa.Schema = field(repr=False)
    captioned: bool
    notes: tuple[str, ...] = ()
    layout: str = "image-parquet"
    pictures: bool = True
    embedded: bool = False

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read the rows with status ``success`` in batches, without their pictures; ``None`` is all columns.

        Raises:
            Refusal: If the table lacks a column that is read, or has one that does not fit the first table's.
        """
        asked = [name for name in self.schema.names if name != self.picture] if columns is None else columns
        for batch, _ in self._read(shard, [name for name in dict.fromkeys(asked) if name not in _CANONICAL]):
            yield batch

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Read the samples of a shard with their pictures, one at a time; what was set aside comes between.

        A picture is compared with its hash where that is of the stored bytes.

        Raises:
            Refusal: As ``scan``.
        """
        table = f"{shard}.parquet"
        hashes = [name for name in (*HASH_COLUMNS, "width") if name in self.schema.names]
        kind = next((name for name in hashes if name in HASH_COLUMNS), "")
        for batch, rows in self._read(shard, [self.picture, *hashes]):
            yield from batch.bad
            digests = find_hashes(batch.table, batch.table.schema)
            values = zip(*(batch.table[name].to_pylist() for name in _CANONICAL), strict=True)
            images = batch.table[self.picture]
            for place, (uid, key, caption) in enumerate(values):
                image, digest, reason = images[place].as_py(), digests[place], ""
                if not image:
                    reason = "no picture, though its status is success"
                elif digest is not None and hashlib.new(kind, image).hexdigest() != digest:
                    reason = f"the picture has another {kind} than its row says"
                if reason:
                    yield Bad(file=table, row=rows[place], uid=uid, reason=reason)
                else:
                    yield Sample(uid=uid, key=key, caption=caption, image=image, file=table, row=rows[place])

    def only(self, shard: str) -> ImageParquetSource:
        """Return the same source with one shard, which is all that the worker of that shard need be sent."""
        return replace(self, shards=(shard,), sizes=(self._size(shard),))

    def identify(self, shard: str) -> dict[str, str]:
        """Name the files of a shard, with the hash of its table and the successes of its stats."""
        table = f"{shard}.parquet"
        return {
            table: identify_file(self.root / table),
            f"{shard}_stats.json": f"{self._size(shard)} successes",
        }

    def _size(self, shard: str) -> int:
        return self.sizes[self.shards.index(shard)]

    def _read(self, shard: str, columns: Sequence[str]) -> Iterator[tuple[Batch, list[int]]]:
        """Read batches with ``columns``, and the row in the file of each row that is good."""
        table, size = f"{shard}.parquet", self._size(shard)
        path = self.root / table
        unknown = next((name for name in columns if name not in self.schema.names), None)
        if unknown is not None:
            raise Refusal(
                f"{self.root / self.first} has no column {unknown!r}, only "
                f"{', '.join(map(repr, self.schema.names))}: ask for one of these"
            )
        identifier = "url" if self.identity == "url and caption" else self.identity
        captions = ["caption"] if self.captioned else []
        empty = self._clean(self.schema.empty_table(), table, [], columns)
        done = row = 0
        try:
            names = list(dict.fromkeys(["key", "status", identifier, *captions, *columns]))
            known = (str(self.root / self.first), self.schema)
            schema = fit_columns(known, (str(path), read_footer(path)[0]), names)
            counted = count_successes(path)
            if counted > size:
                raise DamagedTable(describe_counts(counted, size), 0)
            for part in stream_table(path, names):
                part = conform(part, schema, str(path))
                good = find_successes(part)
                rows = [row + place for place in good.to_pylist()]
                batch = self._clean(part.take(good), table, rows, columns)
                bad = {found.row for found in batch.bad}
                yield batch, [number for number in rows if number not in bad]
                row += part.num_rows
                done += len(rows)
            place, reason = None, describe_counts(done, size)
        except DamagedTable as damage:
            place, reason = row, damage.reason
        if done < size:
            rest = Bad(file=table, row=place, reason=reason, rows=size - done)
            yield Batch(table=empty.table, bad=(rest,)), []

    def _clean(self, part: pa.Table, table: str, rows: list[int], columns: Sequence[str]) -> Batch:
        batch = clean(
            part, file=table, first_row=0, identity=self.identity, captioned=self.captioned, rows=rows
        )
        return Batch(table=batch.table.select(list(dict.fromkeys([*_CANONICAL, *columns]))), bad=batch.bad)


def open_image_parquet(place: Place) -> ImageParquetSource:
    """Open the shards of img2dataset's parquet output; the stats of all and the columns of one are read.

    The uid is the column ``uid``; else LAION's ``hash``; else it is made from ``url`` and caption.

    Raises:
        Refusal: If a shard lacks a file or is missing in the numbering, no table can be read, there is no
            column of pictures, ids cannot be made, or there is not one sample.
    """
    found = open_download(
        place,
        (".parquet", "_stats.json"),
        without_column="download with img2dataset",
        without_identity="add one to make ids from",
    )
    binary = {
        one.name for one in found.schema if pa.types.is_binary(one.type) or pa.types.is_large_binary(one.type)
    }
    picture = next((name for name in PICTURE_COLUMNS if name in binary), None)
    if picture is None:
        raise Refusal(
            f"{place.root / found.first} has no column jpg, png or webp of pictures, and there is no tar beside it: "
            "fetch the tars, or give the folder of the pictures"
        )
    return ImageParquetSource(root=place.root, picture=picture, **found._asdict())


def write_image_parquet(
    folder: Path,
    index: int,
    *,
    keys: Sequence[str],
    captions: Sequence[str],
    images: Sequence[bytes],
    columns: pa.Table,
) -> None:
    """Write one shard as img2dataset's parquet output: the table and, last, the stats that mark it complete.

    The pictures lie in column ``jpg``, of whatever format they are, as img2dataset stores those that it does
    not encode itself. The same rows give the same bytes.

    Args:
        folder: Folder of the corpus.
        index: Number of the shard; names the files, with five digits.
        keys: Key of each row, unique.
        captions: Caption of each row.
        images: Encoded JPEG, PNG or WebP files, one per row.
        columns: All other columns, one row per key, or a table of none.

    Raises:
        ValueError: If the parts differ in length, a key repeats, or ``columns`` holds a ``caption``, ``key``
            or ``jpg``.
        Refusal: If an image is no JPEG, PNG or WebP.
    """
    n_given = columns.num_rows if columns.num_columns else len(keys)
    if not len(set(keys)) == len(keys) == len(captions) == len(images) == n_given:
        raise ValueError(
            f"{len(keys)} keys, {len(set(keys))} of them distinct, {len(captions)} captions, {len(images)} images "
            f"and {n_given} rows of columns; needed one of each per row"
        )
    if "jpg" in columns.column_names:
        raise ValueError("columns hold 'jpg', which is made of the images")
    sizes = [look_at_picture(key, image, None)[1:] for key, image in zip(keys, images, strict=True)]
    table = build_table(
        keys, captions, images, columns, [width for width, _ in sizes], [height for _, height in sizes]
    )
    table = table.append_column("jpg", pa.array(images, pa.binary()))
    name = f"{index:05d}"
    # Of pictures neither repeats nor the least and the largest are worth a place in the file.
    plain = [column for column in table.column_names if column != "jpg"]
    with atomic(folder / f"{name}.parquet") as temporary:
        # Small groups, as img2dataset's, so that a reader need not take a shard whole.
        pq.write_table(
            table.combine_chunks(),
            temporary,
            version="2.6",
            compression="zstd",
            row_group_size=_ROWS_PER_GROUP,
            use_dictionary=plain,
            write_statistics=plain,
            write_page_checksum=True,
        )
    write_stats(folder, name, len(keys))
