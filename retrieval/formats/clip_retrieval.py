"""clip-retrieval's layout: ``img_emb``, ``text_emb`` and ``metadata`` in parts that belong together row by row.

LAION's published embeddings and what ``oddpair embed`` writes are laid out in this way too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.formats.arrays import (
    ArrayFile,
    FloatRows,
    open_array,
    require_unit,
    rows_at_once,
    unit_rows,
)
from oddpair.retrieval.formats.clean import Identity, clean, find_identity
from oddpair.retrieval.formats.parquet import ROWS_PER_BATCH, DamagedTable, read_footers, stream_table
from oddpair.retrieval.formats.parts import KINDS, find_parts, require_equal_rows, require_one_dimension
from oddpair.retrieval.formats.schemas import conform, widen_schemas
from oddpair.retrieval.formats.strict_json import parse_json
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import Bad, Batch, Sample, Vectors
from oddpair.retrieval.stores import identify_file

# Headers of remote parts are waited for, not computed.
_OPENED_AT_ONCE = 8
_FIRST = ("uid", "key", "caption")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRetrievalSource:
    """Embeddings that exist, with their metadata; an ``EmbeddedSource``.

    Attributes:
        root: Folder of the embeddings.
        shards: Numbers of the parts, padded to one length.
        sizes: Rows of each part.
        tables: Metadata of each part, relative to ``root``.
        arrays: Of ``img_emb`` and ``text_emb``, what there is: one array a part.
        schema: Columns and types of all tables together.
        identity: What uids are made from.
        encoder: sha256 of the weights that made the rows; ``""`` where nobody wrote it down.
    """

    root: Path
    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    tables: tuple[str, ...]
    arrays: Mapping[str, tuple[ArrayFile, ...]]
    schema: pa.Schema
    identity: Identity
    captioned: bool
    encoder: str
    notes: tuple[str, ...] = ()
    layout: str = "clip-retrieval"
    pictures: bool = False
    embedded: bool = True

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read a part's metadata in batches; ``columns`` of ``None`` are all that the part has."""
        for _, _, batch in self._read(self._index(shard), columns):
            yield batch

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Refuse: there are no pictures in this layout."""
        raise Refusal(
            f"{self.root} holds embeddings and metadata, no pictures: give the corpus that it was made from"
        )

    def vectors(self, shard: str, *, width: int | None = None) -> Iterator[Vectors]:
        """Read a part's unit rows in batches; ``width`` is the dimension needed, if it is known.

        Rows that hold NaN or an infinity, or are 0 throughout, are set aside.

        Raises:
            Refusal: If the dimension is another, the rows were not normalised, or a file has changed.
        """
        index = self._index(shard)
        found = {kind: arrays[index].shape[1] for kind, arrays in self.arrays.items()}
        if width is not None and width not in found.values():
            raise Refusal(
                f"{self.root} holds rows of dimension {next(iter(found.values()))}, needed {width}: give the "
                "model that made them with --model and --pretrained"
            )
        with ExitStack() as stack:
            readers = {
                kind: stack.enter_context(arrays[index].reading()) for kind, arrays in self.arrays.items()
            }
            most = rows_at_once(max(found.values()))
            for first, count, batch in self._read(index, (), most):
                rows = {kind: read(first, first + count) for kind, read in readers.items()}
                if first == 0:
                    for kind, part in rows.items():
                        require_unit(part, self.arrays[kind][index].path)
                names = {kind: f"{kind}/{arrays[index].path.name}" for kind, arrays in self.arrays.items()}
                yield _join(batch, first, rows, names)

    def only(self, shard: str) -> ClipRetrievalSource:
        """Return the same source with one part, which is all that the worker of that part need be sent."""
        index = self._index(shard)
        return replace(
            self,
            shards=(shard,),
            sizes=(self.sizes[index],),
            tables=(self.tables[index],),
            arrays={kind: (parts[index],) for kind, parts in self.arrays.items()},
        )

    def identify(self, shard: str) -> dict[str, str]:
        """Name the files of a part, each with what changes when its content does."""
        index = self._index(shard)
        names = [self.tables[index]]
        names += [f"{kind}/{arrays[index].path.name}" for kind, arrays in self.arrays.items()]
        return {name: identify_file(self.root / name) for name in names}

    def _index(self, shard: str) -> int:
        if shard not in self.shards:
            raise ValueError(f"no shard {shard!r} in {self.root}, which has {len(self.shards)} shards")
        return self.shards.index(shard)

    def _read(
        self, index: int, columns: Sequence[str] | None, most: int = ROWS_PER_BATCH
    ) -> Iterator[tuple[int, int, Batch]]:
        """Read batches with their first row in the part and the number of rows that they are made from."""
        file, size, row = self.tables[index], self.sizes[index], 0
        asked = self._every_column() if columns is None else list(columns)
        places = self._find_columns(asked, file)
        stored = list(dict.fromkeys(places.values()))
        order = list(dict.fromkeys([*_FIRST, *asked]))

        def tidy(table: pa.Table, first: int) -> Batch:
            table = conform(table, self.schema, file)
            named = {name: table[column] for name, column in places.items()}
            if "key" not in named:
                named["key"] = _number_rows(first, len(table), size)
            batch = clean(
                pa.table(named), file=file, first_row=first, identity=self.identity, captioned=self.captioned
            )
            return Batch(table=batch.table.select(order), bad=batch.bad)

        try:
            for table in stream_table(self.root / file, stored, rows=most):
                first, row = row, row + table.num_rows
                if row > size:
                    break
                yield first, table.num_rows, tidy(table, first)
        except DamagedTable as error:
            bad = Bad(file=file, row=row, reason=error.reason, rows=size - row)
            yield row, 0, Batch(table=tidy(self.schema.empty_table().select(stored), row).table, bad=(bad,))
            return
        if row != size:
            raise Refusal(
                f"{self.root / file} had {size:,} rows when it was opened, and has others now: run again when "
                "nothing writes there"
            )

    def _every_column(self) -> list[str]:
        columns = _canonical(self.schema.names)
        renamed = {stored for name, stored in columns.items() if name != stored}
        return [name for name in columns if name not in renamed]

    def _find_columns(self, asked: Sequence[str], file: str) -> dict[str, str]:
        """Map what is asked for, and what samples are made of, to the columns of the tables."""
        columns = _canonical(self.schema.names)
        needed = ["key", *(["caption"] if self.captioned else [])]
        needed += self.identity.split(" and ")
        missing = [name for name in asked if name not in columns and name not in _FIRST]
        if missing:
            raise Refusal(
                f"{self.root / file} has no column {missing[0]!r}, only {', '.join(self.schema.names)}: ask for "
                "one that it has"
            )
        wanted = dict.fromkeys([*needed, *asked])
        return {name: columns[name] for name in wanted if name in columns}


def open_clip_retrieval(place: Place) -> ClipRetrievalSource:
    """Open a folder of ``img_emb`` and ``text_emb``, or one of them, with their metadata.

    The key of a row is its ``image_path``; its uid is the ``uid`` column, LAION's ``hash``, a hash of url and
    caption, or else the key.

    Raises:
        Refusal: If a part is missing, parts that belong together have other numbers of rows, rows have
            another dimension elsewhere, an array is truncated or no float array, tables do not fit each
            other, or there is nothing that ids can be made from.
    """
    root, parts = place.root, find_parts(place)
    footers = read_footers([root / name for name in parts.tables])
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        arrays = {
            kind: tuple(pool.map(open_array, [root / name for name in names]))
            for kind, names in parts.arrays.items()
        }
    rows = [None if isinstance(footer, DamagedTable) else footer[1] for footer in footers]
    sizes = require_equal_rows(arrays, [(root / name, n) for name, n in zip(parts.tables, rows, strict=True)])
    require_one_dimension(arrays)
    whole = [
        (name, footer[0])
        for name, footer in zip(parts.tables, footers, strict=True)
        if not isinstance(footer, DamagedTable)
    ]
    if not whole or not any(sizes):
        raise Refusal(f"{root} holds not one row that can be read: fetch or embed again")
    schema = widen_schemas(whole)
    columns = _canonical(schema.names)
    types = {name: schema.field(column).type for name, column in columns.items()}
    found, notes = find_identity(types, root / parts.tables[0])
    identity = found or "key"
    if identity == "key" and "key" not in columns:
        raise Refusal(
            f"{root / parts.tables[0]} has only columns {', '.join(schema.names)}, needed one of uid, hash, url or "
            "image_path: embed again with --enable_metadata True"
        )
    return ClipRetrievalSource(
        root=root,
        shards=parts.shards,
        sizes=sizes,
        tables=parts.tables,
        arrays=arrays,
        schema=schema,
        identity=identity,
        captioned="caption" in columns,
        notes=notes,
        encoder=_read_encoder(place, sizes, arrays),
    )


def _number_rows(first: int, count: int, size: int) -> pa.Array:
    digits = len(str(size))
    return pa.array([f"{row:0{digits}}" for row in range(first, first + count)], pa.string())


def _canonical(names: Sequence[str]) -> dict[str, str]:
    """Map the names that a source answers to to the columns that have them; the key is the ``image_path``."""
    columns = {name: name for name in names}
    if "image_path" in columns:
        columns["key"] = "image_path"
    if "URL" in columns:
        columns.setdefault("url", "URL")
    return columns


def _read_encoder(place: Place, sizes: Sequence[int], arrays: Mapping[str, Sequence[ArrayFile]]) -> str:
    """Return the hash of the weights from what ``oddpair embed`` wrote beside the parts, if they are as it says."""
    if "inputs.json" in place.names and "done.json" not in place.names:
        raise Refusal(
            f"{place.root} was not embedded to its end: run oddpair embed again, it goes on from there"
        )
    path = place.root / "manifest.json"
    if path.name not in place.names:
        return ""
    try:
        manifest = parse_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise Refusal(f"{path} cannot be read as JSON: embed again, or delete it") from error
    if not isinstance(manifest, dict) or "encoder_sha256" not in manifest:
        return ""
    width = next(iter(arrays.values()))[0].shape[1]
    dimensions = manifest.get("dimensions")
    said = {
        "rows": manifest.get("rows"),
        "dimensions": {kind: dimensions.get(kind) for kind in KINDS if kind in dimensions}
        if isinstance(dimensions, dict)
        else dimensions,
    }
    if said != {"rows": list(sizes), "dimensions": dict.fromkeys(arrays, width)}:
        raise Refusal(
            f"{path} is of other parts than these {len(sizes):,} with {sum(sizes):,} rows of dimension {width}: "
            "embed again into an empty folder"
        )
    return str(manifest["encoder_sha256"])


def _join(batch: Batch, first: int, rows: Mapping[str, FloatRows], names: Mapping[str, str]) -> Vectors:
    """Set aside rows that their metadata or their vectors make useless, and give the others side by side."""
    count = max(len(part) for part in rows.values())
    kept = np.setdiff1d(np.arange(count), [bad.row - first for bad in batch.bad if bad.row is not None])
    uids = dict(zip(kept.tolist(), batch.table["uid"].to_pylist(), strict=True))
    units: dict[str, FloatRows] = {}
    wrong: dict[int, Bad] = {}
    for kind, part in rows.items():
        units[kind], reasons = unit_rows(part)
        for row, reason in reasons.items():
            if row in uids:
                bad = Bad(file=names[kind], row=first + row, uid=uids[row], reason=reason)
                wrong.setdefault(row, bad)
    table = batch.table
    if wrong:
        good = ~np.isin(kept, list(wrong))
        kept, table = kept[good], table.filter(pa.array(good))
    empty: FloatRows = np.empty((len(kept), 0), dtype=np.float32)
    image, text = (
        empty if kind not in units else units[kind] if len(kept) == count else units[kind][kept]
        for kind in KINDS
    )
    return Vectors(
        uids=tuple(table["uid"].to_pylist()),
        keys=tuple(table["key"].to_pylist()),
        captions=tuple(table["caption"].to_pylist()),
        image=image,
        text=text,
        bad=tuple(sorted([*batch.bad, *wrong.values()], key=lambda bad: bad.row or 0)),
    )
