"""Parquet files read in batches, so that memory does not grow with the file; damage is told, never skipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oddpair.errors import Refusal
from oddpair.retrieval.stores import store_errors, unreadable

ROWS_PER_BATCH = 16_384

# What the rows of a batch may take by the sizes in the footer; with pictures in them, batches are shorter.
_BYTES_PER_BATCH = 64 << 20
# Arrow would otherwise load every column of a row group whole, and with pre_buffer of the whole file.
_BYTES_PER_READ = 1 << 20
_FOOTERS_AT_ONCE = 16
# To look into a group of rows that is no larger would take longer than reading it in shorter batches.
_SMALL_GROUP = 1 << 16
# Bytes of text in a row that no batch is made shorter for.
_SHORT = _BYTES_PER_BATCH // ROWS_PER_BATCH


class DamagedTable(Exception):  # noqa: N818
    """A parquet file that cannot be read to its end; ``row`` is the first that was not read."""

    def __init__(self, reason: str, row: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row


def read_footer(path: Path) -> tuple[pa.Schema, int]:
    """Read the columns of a parquet file and the number of its rows.

    Raises:
        DamagedTable: If the file has no whole footer.
        Refusal: If the file is not there or may not be read, or two of its columns have one name.
    """
    with _opened(path) as file:
        return file.schema_arrow, file.metadata.num_rows


def read_footers(paths: Sequence[Path]) -> list[tuple[pa.Schema, int] | DamagedTable]:
    """Read the footers of many files, several at once; in place of a footer that is damaged, what is wrong.

    Raises:
        Refusal: As ``read_footer`` does, of the first such file.
    """
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        return list(pool.map(_read_footer_or_damage, paths))


def stream_table(
    path: Path, columns: Sequence[str] | None = None, *, rows: int = ROWS_PER_BATCH
) -> Iterator[pa.Table]:
    """Read a parquet file some rows at a time; the checksums of its pages are checked where it has them.

    Args:
        path: The file, local or remote.
        columns: Columns to read, in this order; ``None`` for all.
        rows: Rows in a batch, at most; fewer where the rows are large.

    Yields:
        Tables without chunks, at least one row each.

    Raises:
        DamagedTable: If the file is damaged or ends early; what came before has been given.
        Refusal: If the file is not there, may not be read, or lacks a column.
    """
    done = 0
    with _opened(path) as file:
        names = file.schema_arrow.names
        missing = next((name for name in columns or () if name not in names), None)
        if missing is not None:
            raise Refusal(
                f"{path} has no column {missing!r}, only {', '.join(map(repr, names))}: give a file that has it"
            )
        chosen = names if columns is None else list(dict.fromkeys(columns))
        batches = file.iter_batches(
            batch_size=_choose_batch(path, file, chosen, rows),
            columns=None if columns is None else chosen,
        )
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, *store_errors()) as error:
                raise _damage(path, error, "damaged parquet", done) from error
            if batch is None:
                break
            done += batch.num_rows
            if batch.num_rows:
                yield pa.Table.from_batches([batch]).select(chosen)
        if done != file.metadata.num_rows:
            raise DamagedTable(
                f"damaged parquet ({done:,} rows where the footer has {file.metadata.num_rows:,})", done
            )


def _choose_batch(path: Path, file: pq.ParquetFile, columns: Sequence[str], most: int) -> int:
    """Choose how many rows are read at a time, so that they do not take much memory."""
    text = [field.name for field in file.schema_arrow if field.name in columns and _is_text(field.type)]
    if text:
        most = max(1, min(most, _BYTES_PER_BATCH // _find_longest(path, file, text)))
    large = {field.name for field in file.schema_arrow if _may_hold_pictures(field.type)}
    if large and large.isdisjoint(columns):
        return most
    # The size of one column is not asked for: of a damaged footer, Arrow answers that by ending the process.
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    largest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(most, _BYTES_PER_BATCH // max(largest, 1)))


def _find_longest(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """Return how many bytes of text a row may have at most that repeats what stands in dictionaries.

    A dictionary holds a long text once for as many rows as there are, and a small file much more than memory.
    """
    longest = _SHORT
    with _opened(path, footer=file.metadata, dictionaries=columns) as repeated:
        for group in range(file.metadata.num_row_groups):
            # All texts of a group together are no shorter than the longest of its dictionaries.
            size = file.metadata.row_group(group).total_byte_size
            if size <= max(longest, _SMALL_GROUP):
                longest = max(longest, min(size, _SMALL_GROUP))
                continue
            try:
                # With the first row comes the dictionary, whole.
                first = next(repeated.iter_batches(batch_size=1, row_groups=[group], columns=columns), None)
            except (pa.ArrowException, *store_errors()):
                # Damage is told by who reads the rows.
                continue
            if first is not None:
                longest = max(longest, sum(_longest_of(column) for column in first.columns))
    return longest


def _longest_of(column: pa.Array) -> int:
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _may_hold_pictures(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _read_footer_or_damage(path: Path) -> tuple[pa.Schema, int] | DamagedTable:
    try:
        return read_footer(path)
    except DamagedTable as error:
        return error


@contextmanager
def _opened(
    path: Path, *, footer: pq.FileMetaData | None = None, dictionaries: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    remote = None
    try:
        # Arrow reads a local file faster by its name than through Python.
        remote = None if isinstance(path, Path) else path.open("rb")
        with pq.ParquetFile(
            remote or str(path),
            page_checksum_verification=True,
            pre_buffer=False,
            buffer_size=_BYTES_PER_READ,
            metadata=footer,
            read_dictionary=list(dictionaries),
        ) as file:
            if footer is None:
                _check_footer(path, file)
            yield file
    except UnicodeDecodeError as error:
        raise DamagedTable("no parquet file, or damaged (a name in it is not UTF-8)", 0) from error
    except (pa.ArrowException, *store_errors()) as error:
        raise _damage(path, error, "no parquet file, or damaged", 0) from error
    finally:
        if remote is not None:
            remote.close()


def _check_footer(path: Path, file: pq.ParquetFile) -> None:
    names = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Refusal(f"{path} has two columns {twice!r}: write the table anew with one of them")
    footer = file.metadata
    groups = sum(footer.row_group(index).num_rows for index in range(footer.num_row_groups))
    if groups != footer.num_rows:
        raise DamagedTable(
            f"damaged parquet ({groups:,} rows in its groups, {footer.num_rows:,} in its footer)", 0
        )


def _damage(path: Path, error: Exception, reason: str, row: int) -> Exception:
    # What Arrow finds wrong with the bytes comes without a number; disks and networks fail with one, or with
    # an error of their own, and that says nothing about the data.
    found_by_arrow = isinstance(error, pa.ArrowException) or type(error) is OSError
    if not found_by_arrow or getattr(error, "errno", None) is not None:
        return unreadable(str(path), error)
    return DamagedTable(f"{reason} ({_first_line(error)})", row)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
