"""LAION's metadata: 400M, 2B, aesthetic and Re-LAION, in both spellings of their columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.files import write_table
from oddpair.retrieval.formats.metadata import MetadataSource, read_metadata, take_successes
from oddpair.retrieval.places import Place

EXCHANGED = (
    "WIDTH and HEIGHT may be exchanged: they are in releases of LAION-2B that were not joined with punsafe and "
    "pwatermark"
)

# The joined 2B-en release. What the others have beyond this comes behind it.
_TYPES = {
    "URL": pa.string(),
    "TEXT": pa.string(),
    "WIDTH": pa.int32(),
    "HEIGHT": pa.int32(),
    "similarity": pa.float64(),
    "hash": pa.int64(),
    "punsafe": pa.float32(),
    "pwatermark": pa.float32(),
}


def open_laion(place: Place) -> MetadataSource:
    """Open parquet files of addresses and captions, a shard each.

    The uid is a column of that name, else LAION's ``hash`` as 16 hex digits, else the hash of address and
    caption. ``hash`` is taken as it is and not computed again: releases may mend a caption and keep the id.
    Of img2dataset's tables, which list failures too, the rows with status ``success`` are the corpus.

    Raises:
        Refusal: If there are no such files, or they do not agree on their columns.
    """
    files = [name for name in place.names if name.endswith(".parquet")]
    if not files:
        raise Refusal(f"{place.root} holds no .parquet file: give a folder of metadata")
    source = take_successes(read_metadata(place.root, files, layout="laion"))
    names = set(source.schema.names)
    sized, joined = {"WIDTH", "HEIGHT"} <= names, names & {"punsafe", "pwatermark"}
    return replace(source, notes=(*source.notes, EXCHANGED)) if sized and not joined else source


def write_laion(path: Path, table: pa.Table) -> None:
    """Write metadata with the columns and types of LAION's joined 2B-en release, which img2dataset downloads.

    Args:
        path: The ``.parquet`` file.
        table: ``url``, ``caption`` and any others; columns that LAION does not have come last, and a ``uid``
            among them keeps the ids what they are.

    Raises:
        ValueError: If there is no ``url`` or ``caption``.
        Refusal: If a column cannot have the type that it has in LAION's files.
    """
    for name in ("url", "caption"):
        if name not in table.column_names:
            raise ValueError(f"no column {name!r}, only {table.column_names}")
    table = table.rename_columns(
        [{"url": "URL", "caption": "TEXT"}.get(name, name) for name in table.column_names]
    )
    columns = {
        name: _cast(table[name], name, kind) for name, kind in _TYPES.items() if name in table.column_names
    }
    rest = {name: table[name] for name in table.column_names if name not in columns}
    write_table(path, pa.table({**columns, **rest}))


def _cast(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    # Releases that have unknown sizes store them as double.
    if kind == pa.int32() and pa.types.is_floating(column.type):
        kind = pa.float64()
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal(
            f"column {name!r} is {column.type}, which cannot be LAION's {kind}: leave it out"
        ) from error
