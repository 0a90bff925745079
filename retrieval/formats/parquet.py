"""Parquet files read in batches, so that memory does not grow with the file; damage is told, never skipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oddpair.errors import Refusal

ROWS_PER_BATCH = 16_384


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
        Refusal: If the file is not there, or may not be read.
    """
    with closing(_open(path)) as file:
        return file.schema_arrow, file.metadata.num_rows


def stream_table(
    path: Path, columns: Sequence[str] | None = None, *, rows: int = ROWS_PER_BATCH
) -> Iterator[pa.Table]:
    """Read a parquet file some rows at a time; the checksums of its pages are checked where it has them.

    Args:
        path: The file, local or remote.
        columns: Columns to read, in this order; ``None`` for all.
        rows: Rows in a batch, at most.

    Yields:
        Tables without chunks, at least one row each.

    Raises:
        DamagedTable: If the file is damaged; what came before has been given.
        Refusal: If the file is not there, may not be read, or lacks a column.
    """
    done = 0
    with closing(_open(path)) as file:
        names = file.schema_arrow.names
        missing = next((name for name in columns or () if name not in names), None)
        if missing is not None:
            raise Refusal(
                f"{path} has no column {missing!r}, only {', '.join(map(repr, names))}: give a file that has it"
            )
        batches = file.iter_batches(batch_size=rows, columns=None if columns is None else list(columns))
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise DamagedTable(f"damaged parquet ({_first_line(error)})", done) from error
            if batch is None:
                return
            done += batch.num_rows
            if batch.num_rows:
                table = pa.Table.from_batches([batch])
                yield table if columns is None else table.select(list(columns))


def _open(path: Path) -> pq.ParquetFile:
    # Arrow reads a local file faster by its name than through Python.
    source = str(path) if isinstance(path, Path) else path.open("rb")
    try:
        return pq.ParquetFile(source, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise Refusal(f"{path} does not exist: check the path, or fetch it again") from error
    except PermissionError as error:
        raise Refusal(f"{path} cannot be read: check its permissions") from error
    except (pa.ArrowException, OSError) as error:
        raise DamagedTable(f"no parquet file, or damaged ({_first_line(error)})", 0) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
