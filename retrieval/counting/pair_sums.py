"""Counts of pairs, some at a time: so many that a whole corpus's are held in memory by nobody who only adds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oddpair.errors import Refusal
from oddpair.files import atomic
from oddpair.retrieval.counting.counts import place_pairs
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.retrieval.formats.parquet import DamagedTable, stream_table

_ROWS_PER_GROUP = 1 << 16
# Pairs that are read at a time from each of the parts that are added.
_AT_ONCE = 1 << 18
_KINDS = ("count_text", "count_image", "count_joint")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSums:
    """How often pairs of concepts occur, in captions alone or in captions, images and both.

    Attributes:
        keys: ``a * n_concepts + b`` of each pair with ``a < b``, ascending, each once; shape ``(n_pairs,)``.
        counts: A row for each kind of count, shape ``(n_kinds, n_pairs)``.
    """

    keys: IntArray
    counts: IntArray


def join_kinds(kinds: Sequence[tuple[IntArray, IntArray]]) -> PairSums:
    """Put the counts of each kind side by side; a pair that one kind does not list is 0 there.

    Args:
        kinds: Keys and counts of each kind.

    >>> join_kinds([(np.array([2]), np.array([5])), (np.array([1, 5]), np.array([3, 4]))])
    PairSums(keys=array([1, 2, 5]), counts=array([[0, 5, 0],
           [3, 0, 4]]))
    """
    if len(kinds) == 1:
        return PairSums(keys=kinds[0][0], counts=kinds[0][1][None])
    keys = np.unique(np.concatenate([found for found, _ in kinds]))
    return PairSums(keys=keys, counts=np.stack([place_pairs(keys, found, counts) for found, counts in kinds]))


def add_sums(parts: Sequence[PairSums]) -> PairSums:
    """Add the counts of parts of a corpus; at least one.

    >>> one = PairSums(keys=np.array([1, 4]), counts=np.array([[2, 3]]))
    >>> add_sums([one, PairSums(keys=np.array([0, 4]), counts=np.array([[1, 1]]))])
    PairSums(keys=array([0, 1, 4]), counts=array([[1, 2, 4]]))
    """
    if len(parts) == 1:
        return parts[0]
    keys = np.unique(np.concatenate([part.keys for part in parts]))
    counts = np.zeros((len(parts[0].counts), len(keys)), np.int64)
    for part in parts:
        counts[:, np.searchsorted(keys, part.keys)] += part.counts
    return PairSums(keys=keys, counts=counts)


def write_sums(path: Path, blocks: Iterable[PairSums], *, n_kinds: int) -> None:
    """Write the pairs of one part, as they come: blocks of ascending keys, the next behind the last."""
    schema = pa.schema([(name, pa.int64()) for name in ("gap", *_KINDS[:n_kinds])])
    write_tables(path, schema, _gaps(blocks, schema))


def stream_sums(path: Path) -> Iterator[PairSums]:
    """Read what ``write_sums`` wrote, some pairs at a time.

    Raises:
        Refusal: If the file is missing or damaged.
    """
    last = 0
    try:
        for table in stream_table(path, rows=_AT_ONCE):
            gaps, *counts = (column.to_numpy() for column in table.columns)
            keys = np.cumsum(gaps) + last
            last = int(keys[-1])
            yield PairSums(keys=keys, counts=np.stack(counts))
    except DamagedTable as damage:
        raise Refusal(f"{path}: {damage.reason}: delete it and run again") from damage


def merge_sums(paths: Sequence[Path]) -> Iterator[PairSums]:
    """Add the pairs of all parts, some at a time, in ascending order: of each part no more than a block is in memory."""
    streams = [stream_sums(path) for path in paths]
    held = [next(stream, None) for stream in streams]
    while any(block is not None for block in held):
        # Up to here all parts are known.
        bound = min(block.keys[-1] for block in held if block is not None)
        parts: list[PairSums] = []
        for place, block in enumerate(held):
            if block is None:
                continue
            cut = int(np.searchsorted(block.keys, bound, side="right"))
            if cut:
                parts.append(PairSums(keys=block.keys[:cut], counts=block.counts[:, :cut]))
            held[place] = (
                PairSums(keys=block.keys[cut:], counts=block.counts[:, cut:])
                if cut < len(block.keys)
                else next(streams[place], None)
            )
        yield add_sums(parts)


def write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write rows as they come, atomically; the bytes do not depend on how they fall into tables. Gives their number."""
    waiting: list[pa.Table] = []
    rows = written = 0
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            write_page_checksum=True,
        ) as writer,
    ):
        for table in tables:
            waiting.append(table)
            rows += table.num_rows
            if rows >= _ROWS_PER_GROUP:
                whole = pa.concat_tables(waiting).combine_chunks()
                full = rows // _ROWS_PER_GROUP * _ROWS_PER_GROUP
                writer.write_table(whole.slice(0, full), row_group_size=_ROWS_PER_GROUP)
                waiting, rows, written = [whole.slice(full)], rows - full, written + full
        if rows:
            writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=_ROWS_PER_GROUP)
    return written + rows


def _gaps(blocks: Iterable[PairSums], schema: pa.Schema) -> Iterator[pa.Table]:
    # Gaps between keys take a quarter of the room of keys, and half the time.
    last = 0
    for block in blocks:
        if len(block.keys):
            yield pa.table([np.diff(block.keys, prepend=last), *block.counts], schema=schema)
            last = int(block.keys[-1])
