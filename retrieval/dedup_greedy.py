"""Greedy near-duplicate removal, block by block: what is kept lies on disk, what is decided outlives a killed run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.progress import Progress
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.formats.arrays import open_array
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import HeldRows, IntArray, UnitRows, find_bad_row

HalfRows = NDArray[np.float16]

# Rows that are compared at once with all kept before them: enough that reading those costs nothing beside it.
BLOCK = 8192
# Rows of a block that are settled at once: of a block of copies they make two million pairs at most.
_SETTLED_AT_ONCE = 256
# Rows in uid order lie anywhere in the corpus, so each pass over it fetches many blocks.
_BYTES_FETCHED = 256 << 20
_BYTES_AT_ONCE = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Rows dropped, each with the nearest kept row before it; ``row`` ascends, all have shape ``(dropped,)``."""

    row: IntArray
    witness: IntArray
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Kept rows of the blocks so far; they are told apart by numbers alone, and were checked when first read."""

    stored: StoredRows

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.shape

    def read(self, start: int, stop: int) -> HalfRows:
        return self.stored.read(start, stop)

    def uids(self, rows: IntArray) -> list[str]:
        return _names(rows)

    def tell_place(self, row: int) -> str:
        return self.stored.tell_place(row)


def drop_duplicates(
    rows: UnitRows,
    order: IntArray,
    threshold: float,
    parts: Path,
    *,
    threads: int = 1,
    block: int = BLOCK,
    progress: Progress | None = None,
) -> Drops:
    """Drop each row whose score with a kept row before it is above a threshold, strictly.

    So no two kept rows are above the threshold, and each dropped row has a kept witness that is; the nearest
    one, the earlier of equals.

    Args:
        rows: float16 unit rows.
        order: The rows to go through, in this order, by their numbers; shape ``(n,)``.
        threshold: Cosine similarity.
        parts: Folder of kept rows and of decisions; finished blocks in it are not done again, so it must be
            that of the same rows, order, threshold and block.
        threads: Threads.
        block: Rows compared at once with those kept before; the result does not depend on it.
        progress: Counts pairs of rows.

    Returns:
        What was dropped, by position in ``order``.

    Raises:
        Refusal: If a row is not of length 1.
    """
    total, width = len(order), rows.shape[1]
    blocks = -(-total // block)
    drops = _read_finished(parts, blocks, block, total, width)
    kept = [_kept_of(drop, index * block, block, total) for index, drop in enumerate(drops)]
    if progress:
        progress.skip(_pairs(min(len(drops) * block, total)))
    for first, here in _read_blocks(rows, order, block, len(drops) * block):
        index = len(drops)
        sizes = (*map(len, kept), *[0] * (blocks - index))
        before = StoredRows(
            folder=parts, kind="img_emb", sizes=sizes, dimension=width, encoder="", digest="", last=index
        )
        numbers = np.concatenate([np.empty(0, np.int64), *kept])
        drops.append(_settle(here, first, _Kept(before), numbers, threshold, threads, progress))
        kept.append(_kept_of(drops[-1], first, block, total))
        # The decisions last: where they are, the rows are too.
        files.write_array(part_path(parts, "img_emb", index, blocks), here[kept[-1] - first])
        write_drops(_decisions(parts, index, blocks), drops[-1])
        if progress:
            # Pairs with kept rows have been counted; those with dropped ones are settled without a look.
            progress.advance(_pairs(first + len(here)) - _pairs(first) - len(here) * len(numbers))
    return join_drops(drops)


def join_drops(drops: list[Drops]) -> Drops:
    """Return the drops of all parts, by row."""
    row = np.concatenate([np.empty(0, np.int64), *(drop.row for drop in drops)])
    order = np.argsort(row, kind="stable")
    return Drops(
        row=row[order],
        witness=np.concatenate([np.empty(0, np.int64), *(drop.witness for drop in drops)])[order],
        score=np.concatenate([np.empty(0, np.float32), *(drop.score for drop in drops)])[order],
    )


def fetch_rows(rows: UnitRows, wanted: IntArray) -> HalfRows:
    """Read rows anywhere in a corpus in one pass over it, in the order asked for.

    Args:
        rows: float16 unit rows.
        wanted: Their numbers, shape ``(n,)``.

    Returns:
        The rows, shape ``(n, d)``.

    Raises:
        Refusal: If one of them is not of length 1.
    """
    width = rows.shape[1]
    found: HalfRows = np.empty((len(wanted), width), dtype=np.float16)
    order = np.argsort(wanted, kind="stable")
    ascending = wanted[order]
    stretch = max(1, _BYTES_AT_ONCE // (2 * width))
    begin = 0
    while begin < len(ascending):
        start = int(ascending[begin])
        end = int(np.searchsorted(ascending, start + stretch))
        part = rows.read(start, int(ascending[end - 1]) + 1)[ascending[begin:end] - start]
        _require_unit(part, ascending[begin:end], rows)
        found[order[begin:end]] = part
        begin = end
    return found


def read_drops(path: Path) -> Drops:
    """Read what ``write_drops`` wrote."""
    table = files.read_table(path, ["row", "witness", "score"])
    row, witness, score = (column.to_numpy() for column in table.columns)
    return Drops(row=row, witness=witness, score=score)


def write_drops(path: Path, drops: Drops) -> None:
    """Write drops to a parquet file, atomically."""
    columns = {"row": pa.array(drops.row), "witness": pa.array(drops.witness), "score": pa.array(drops.score)}
    files.write_table(path, pa.table(columns))


def _read_blocks(rows: UnitRows, order: IntArray, block: int, start: int) -> Iterator[tuple[int, HalfRows]]:
    """Yield the blocks from ``start`` on, each with the position of its first row."""
    at_once = block * max(1, _BYTES_FETCHED // (2 * rows.shape[1] * block))
    for begin in range(start, len(order), at_once):
        fetched = fetch_rows(rows, order[begin : begin + at_once])
        for first in range(0, len(fetched), block):
            yield begin + first, fetched[first : first + block]


def _settle(
    rows: HalfRows,
    first: int,
    before: UnitRows,
    numbers: IntArray,
    threshold: float,
    threads: int,
    progress: Progress | None,
) -> Drops:
    """Decide one block, whose rows are numbered from ``first``, given the kept ``numbers`` before it."""
    tests = prepare_tests(rows, _names(np.arange(len(rows))))
    ask = Ask(above=np.full(len(rows), threshold, dtype=np.float32), pairs=True)
    score = np.full(len(rows), -np.inf, dtype=np.float32)
    witness = np.full(len(rows), -1, dtype=np.int64)
    if len(numbers):
        told = None if progress is None else lambda done: progress.advance(done * len(rows))
        near = scan(before, tests, ask, threads=threads, told=told).pairs
        best = np.lexsort((near.row, -near.score, near.test))
        tests_near, foremost = np.unique(near.test[best], return_index=True)
        score[tests_near] = near.score[best][foremost]
        witness[tests_near] = numbers[near.row[best][foremost]]
    for start in range(0, len(rows), _SETTLED_AT_ONCE):
        open_rows = start + np.flatnonzero(witness[start : start + _SETTLED_AT_ONCE] < 0)
        if not len(open_rows):
            continue
        near = scan(HeldRows(rows[open_rows], _names(open_rows)), tests, ask, threads=threads).pairs
        bounds = np.searchsorted(near.row, np.arange(len(open_rows) + 1)).tolist()
        for place, row in enumerate(open_rows.tolist()):
            if witness[row] >= 0:
                continue
            mine = slice(bounds[place], bounds[place + 1])
            better = (near.test[mine] > row) & (near.score[mine] > score[near.test[mine]])
            later = near.test[mine][better]
            score[later] = near.score[mine][better]
            witness[later] = first + row
    dropped = np.flatnonzero(witness >= 0)
    return Drops(row=first + dropped, witness=witness[dropped], score=score[dropped])


def _names(numbers: IntArray) -> list[str]:
    """Name rows so that their names sort as they do."""
    return [f"{number:012d}" for number in numbers.tolist()]


def _pairs(rows: int) -> int:
    return rows * (rows - 1) // 2


def _kept_of(drop: Drops, first: int, block: int, total: int) -> IntArray:
    return np.setdiff1d(np.arange(first, min(first + block, total)), drop.row, assume_unique=True)


def _require_unit(part: HalfRows, numbers: IntArray, rows: UnitRows) -> None:
    bad = find_bad_row(part.astype(np.float32))
    if bad is not None:
        row, length = bad
        raise Refusal(f"{rows.tell_place(int(numbers[row]))} has length {length:.4g}, needed 1: embed again")


def _decisions(parts: Path, index: int, blocks: int) -> Path:
    return part_path(parts, "records", index, blocks).with_suffix(".parquet")


def _read_finished(parts: Path, blocks: int, block: int, total: int, width: int) -> list[Drops]:
    """Read the decisions on the blocks from the first on that have them, and whose kept rows are there."""
    found: list[Drops] = []
    for index in range(blocks):
        rows, decided = part_path(parts, "img_emb", index, blocks), _decisions(parts, index, blocks)
        if not rows.is_file() or not decided.is_file():
            break
        drops = read_drops(decided)
        if open_array(rows).shape != (min(block, total - index * block) - len(drops), width):
            break
        found.append(drops)
    return found
