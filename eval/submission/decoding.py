"""The process that decodes strangers' parquet: it forks a child for each file, under limits of memory and time.

Run as a script by `oddpair.eval.submission.decoder`, of whose package it imports nothing: it starts in the time that
pyarrow takes, and a child that is taken over holds no more than one file.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

# Lengths of the limits, the schema and the file, in front of them; and status and length in front of an answer.
REQUEST = struct.Struct("<QQQ")
ANSWER = struct.Struct("<BQ")
DECODED, REFUSED, KILLED = range(3)
# A footer of records has some 5 kB, and 1 kB more for each further group of rows.
_MOST_FOOTER = 64 << 10
_ROWS_PER_GROUP = 1 << 16
_MOST_STRING = 1 << 16


def decode(data: bytes, schema: pa.Schema, limits: dict[str, int]) -> pa.Table:
    """Decode a parquet file, its footer first.

    Args:
        data: The file.
        schema: Exactly its columns.
        limits: ``rows`` at most; ``bytes``, of its decoded columns; ``values``, of a column.

    Raises:
        ValueError: With what is wrong.
    """
    with pq.ParquetFile(
        pa.BufferReader(data),
        page_checksum_verification=True,
        pre_buffer=False,
        memory_map=False,
        thrift_string_size_limit=_MOST_STRING,
        thrift_container_size_limit=_MOST_STRING,
    ) as file:
        _check_footer(file, schema, limits)
        table = file.read(use_threads=False)
        told = file.metadata.num_rows
    table.validate(full=True)
    if table.num_rows != told:
        raise ValueError(f"it holds {table.num_rows:,} rows, its footer says {told:,}")
    table = table.replace_schema_metadata(None)
    if table.nbytes > limits["bytes"]:
        raise ValueError(f"its rows take {table.nbytes:,} bytes, {limits['bytes']:,} are enough")
    return table


def _check_footer(file: pq.ParquetFile, schema: pa.Schema, limits: dict[str, int]) -> None:
    footer, found = file.metadata, file.schema_arrow.remove_metadata()
    if footer.serialized_size > _MOST_FOOTER:
        raise ValueError(f"its footer has {footer.serialized_size:,} bytes, needed at most {_MOST_FOOTER:,}")
    if not found.equals(schema):
        # The names of strangers' columns are not told.
        wrong = next((name for name in schema.names if name not in found.names), None)
        if wrong is None:
            wrong = next((one.name for one in schema if found.field(one.name) != one), None)
        told = f"{wrong} is missing or of another type" if wrong else "it has more columns, or another order"
        raise ValueError(f"its columns are not those of records: {told}")
    if not 0 < footer.num_rows <= limits["rows"]:
        raise ValueError(f"it holds {footer.num_rows:,} rows, needed 1 to {limits['rows']:,}")
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    if len(groups) > 1 + footer.num_rows // _ROWS_PER_GROUP:
        raise ValueError(f"it has {len(groups):,} groups of rows, needed one for {_ROWS_PER_GROUP:,} rows")
    columns = [group.column(index) for group in groups for index in range(group.num_columns)]
    size = sum(column.total_uncompressed_size for column in columns)
    values = max((column.num_values for column in columns), default=0)
    if size > limits["bytes"] or values > limits["values"]:
        raise ValueError(
            f"it unpacks to {size:,} bytes and {values:,} values in a column, {limits['bytes']:,} and "
            f"{limits['values']:,} are enough"
        )


def _limit(limits: dict[str, int]) -> None:
    """Bound this process: memory above what it has, seconds of work and of waiting, no files to write."""
    used = Path("/proc/self/statm")
    # Elsewhere than on Linux the sizes in the footer, and the time, are the bounds.
    if used.is_file():
        most = int(used.read_text().split()[0]) * resource.getpagesize() + limits["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["seconds"], limits["seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.alarm(2 * limits["seconds"])


def _answer(data: bytes, schema: pa.Schema, limits: dict[str, int]) -> tuple[int, bytes]:
    # mimalloc reserves more memory than a file may take.
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        table = decode(data, schema, limits)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    except MemoryError:
        return REFUSED, f"it needs more than {limits['memory'] >> 20} MiB to decode".encode()
    except (pa.ArrowException, OSError, KeyError, OverflowError, ValueError) as error:
        return REFUSED, (str(error).splitlines() or ["damaged"])[0][:300].encode("ascii", "backslashreplace")
    return DECODED, sink.getvalue().to_pybytes()


def _answer_in_child(data: bytes, schema: pa.Schema, limits: dict[str, int]) -> tuple[int, bytes]:
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(here)
            _limit(limits)
            status, answer = _answer(data, schema, limits)
            with os.fdopen(there, "wb") as pipe:
                pipe.write(bytes([status]) + answer)
        finally:
            # Nothing of the parent is to be written twice.
            os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        told = pipe.read(limits["answer"] + 1)
    if len(told) > limits["answer"]:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if status == 0 and 0 < len(told) <= limits["answer"]:
        return told[0], told[1:]
    signal_number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    slow = signal_number in (signal.SIGALRM, signal.SIGXCPU)
    what = f"takes more than {limits['seconds']} seconds" if slow else "ends the process that decodes it"
    return KILLED, what.encode()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there is none."""
    while head := requests.read(REQUEST.size):
        lengths: Any = REQUEST.unpack(head)
        limits, schema, data = (requests.read(length) for length in lengths)
        status, answer = _answer_in_child(
            data, pa.ipc.read_schema(pa.py_buffer(schema)), json.loads(limits.decode())
        )
        answers.write(ANSWER.pack(status, len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    # A library that aborts says so on the standard error, which is for one line.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # Ctrl-C reaches all processes, and is the first one's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
