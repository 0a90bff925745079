"""One file of posting lists: a parquet with the rows of each concept as a Roaring bitmap.

The bitmaps are in Roaring's portable serialisation, which libraries of other languages read too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyroaring import BitMap

from oddpair.errors import Refusal
from oddpair.files import atomic

POSTINGS_FOLDER = "postings"
# What to do where posting lists are missing or damaged.
COUNT_AGAIN = "count again into another folder: oddpair count --postings"

# A query of a few concepts reads one group of each: as much as a disk gives in the time of a seek or two.
_GROUP_BYTES = 1 << 20
_GROUP_CONCEPTS = 1024
_SCHEMA = pa.schema(
    [
        pa.field("concept_id", pa.int32(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("rows", pa.binary(), nullable=False),
    ]
)


def file_name(kind: str, first_shard: int, n_shards: int) -> str:
    """Name the file whose rows begin with a shard.

    >>> file_name("text", 3, 100)
    'text_0003.parquet'
    """
    digits = max(4, len(str(n_shards - 1)))
    return f"{kind}_{first_shard:0{digits}d}.parquet"


def write_bitmaps(path: Path, bitmaps: Mapping[int, BitMap], *, n_rows: int, n_concepts: int) -> None:
    """Write the rows of each concept atomically; equal sets give equal bytes, however they were collected.

    Args:
        path: File to write.
        bitmaps: Rows by concept id; an empty one is left out.
        n_rows: Rows that were looked at: all numbers are below.
        n_concepts: Size of the vocabulary.
    """
    schema = _SCHEMA.with_metadata({"n_rows": str(n_rows), "n_concepts": str(n_concepts)})
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            version="2.6",
            # Among small bitmaps headers are much of the whole: it saves 7 % of large files and half of small ones.
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=["concept_id"],
            write_page_checksum=True,
        ) as writer,
    ):
        for group in _groups(bitmaps):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=schema))


def read_bitmaps(path: Path, concepts: Iterable[int], *, n_rows: int, n_concepts: int) -> dict[int, BitMap]:
    """Read the rows of some concepts, and no more of the file than holds them.

    Args:
        path: A file that ``write_bitmaps`` wrote.
        concepts: Ids.
        n_rows: Rows that the file must be of.
        n_concepts: Size of the vocabulary that it must be of.

    Returns:
        Rows by concept id; without a concept that does not occur.

    Raises:
        Refusal: If the file is missing, damaged, or of other rows or another vocabulary.
    """
    found = {}
    for concept, count, data in _entries(path, sorted(set(concepts)), n_rows, n_concepts):
        try:
            # It checks all that it reads, so that bytes of strangers do no harm; nothing at all is an IndexError.
            bitmap = BitMap.deserialize(data)
        except (ValueError, IndexError) as error:
            raise _damaged(path, f"the rows of concept {concept} are no Roaring bitmap: {error}") from error
        if not bitmap or len(bitmap) != count or bitmap.max() >= n_rows:
            raise _damaged(path, f"concept {concept} has other rows than its count of {count} in {n_rows}")
        found[concept] = bitmap
    return found


def read_counts_of(path: Path, concepts: Iterable[int], *, n_rows: int, n_concepts: int) -> dict[int, int]:
    """Read in how many rows some concepts are, as ``read_bitmaps`` does, without their rows."""
    return {
        concept: count
        for concept, count, _ in _entries(path, sorted(set(concepts)), n_rows, n_concepts, with_rows=False)
    }


def read_sizes(path: Path) -> tuple[int, int]:
    """Return of how many rows and of how many concepts a file is; ``(-1, -1)`` where it does not say."""
    return _sizes(pq.read_schema(path))


def _groups(bitmaps: Mapping[int, BitMap]) -> Iterator[list[tuple[int, int, bytes]]]:
    group: list[tuple[int, int, bytes]] = []
    size = 0
    for concept in sorted(bitmaps):
        bitmap = bitmaps[concept]
        if not bitmap:
            continue
        # Runs become runs and others do not: after this, one set has one serialisation.
        bitmap.run_optimize()
        data = bitmap.serialize()
        group.append((concept, len(bitmap), data))
        size += len(data)
        if size >= _GROUP_BYTES or len(group) == _GROUP_CONCEPTS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _entries(
    path: Path, wanted: Sequence[int], n_rows: int, n_concepts: int, *, with_rows: bool = True
) -> Iterator[tuple[int, int, bytes]]:
    if not path.is_file():
        raise _damaged(path, "there is no such file")
    columns = ["concept_id", "count", *(["rows"] if with_rows else [])]
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            if not schema.remove_metadata().equals(_SCHEMA) or _sizes(schema) != (n_rows, n_concepts):
                raise _damaged(path, f"needed posting lists of {n_concepts} concepts in {n_rows} rows")
            groups = [
                number
                for number in range(file.num_row_groups)
                if _may_hold(file.metadata.row_group(number).column(0).statistics, wanted)
            ]
            table = file.read_row_groups(groups, columns=columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    if any(column.null_count for column in table.columns):
        raise _damaged(path, "a value is null")
    ids: NDArray[np.int32] = table["concept_id"].to_numpy()
    if np.any(np.diff(ids) <= 0):
        raise _damaged(path, "its concepts are not in order")
    places = np.flatnonzero(np.isin(ids, np.asarray(wanted, np.int64)))
    for row in table.take(pa.array(places)).to_pylist():
        yield row["concept_id"], row["count"], row.get("rows", b"")


def _may_hold(statistics: Any, wanted: Sequence[int]) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    first = int(np.searchsorted(wanted, statistics.min))
    return first < len(wanted) and wanted[first] <= statistics.max


def _sizes(schema: pa.Schema) -> tuple[int, int]:
    try:
        metadata = schema.metadata or {}
        return int(metadata[b"n_rows"]), int(metadata[b"n_concepts"])
    except (KeyError, ValueError):
        return -1, -1


def _damaged(path: Path, found: str) -> Refusal:
    return Refusal(f"{path} holds no posting lists that can be used ({found}): {COUNT_AGAIN}")
