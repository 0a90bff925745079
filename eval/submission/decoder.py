"""Parquet of strangers as a table: decoded in another process, under limits of memory and time."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from oddpair.eval.submission import decoding
from oddpair.eval.submission.decoding import ANSWER, DECODED, REQUEST

_MEMORY = 512 << 20
_SECONDS = 5


@dataclass(slots=True)
class _Decoder:
    """The process, started when it is first needed and again where it died."""

    process: subprocess.Popen[bytes] | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        with self.turn:
            if self.process is not None and self.process.poll() is not None:
                self.stop()
            if self.process is None:
                self.process = _start()
            is_answered = False
            try:
                answer = _exchange(self.process, request)
                is_answered = True
            except OSError as error:
                raise ValueError("ends the process that decodes it") from error
            finally:
                # Also of an interrupt: the next answer would be to this request.
                if not is_answered:
                    self.stop()
            return answer

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


_DECODER = _Decoder()
atexit.register(_DECODER.stop)


def decode_table(
    data: bytes, schema: pa.Schema, *, most_rows: int, most_bytes: int, most_values: int
) -> pa.Table:
    """Decode a parquet file that anybody may have made.

    Its footer is looked at first and believed in nothing; checksums of pages are checked where it has them. A file that
    unpacks to much more than it should, for ever, or into a crash costs a child process its life and nothing else.

    Args:
        data: The file.
        schema: Exactly its columns, in their order.
        most_rows: What it may hold.
        most_bytes: What its columns may take, unpacked.
        most_values: What a column may hold, values of lists counted.

    Returns:
        The table.

    Raises:
        ValueError: With what is wrong, without the file's name.
    """
    limits = {
        "rows": most_rows,
        "bytes": most_bytes,
        "values": most_values,
        "memory": _MEMORY + 4 * most_bytes,
        "seconds": _SECONDS,
        # Arrow pads each buffer, and names the columns.
        "answer": most_bytes + (64 << 10),
    }
    told, columns = json.dumps(limits).encode(), schema.serialize().to_pybytes()
    status, answer = _DECODER.ask(REQUEST.pack(len(told), len(columns), len(data)) + told + columns + data)
    if status != DECODED:
        raise ValueError(answer.decode("ascii", "replace"))
    try:
        table = pa.ipc.open_stream(answer).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError("its decoded rows are no table") from error
    if not table.schema.equals(schema) or not 0 < table.num_rows <= most_rows:
        raise ValueError("its decoded rows are no table of its columns")
    return table


def _start() -> subprocess.Popen[bytes]:
    # Isolated: no folder of the user's, and no variable of the environment, changes what is imported.
    return subprocess.Popen(  # noqa: S603  this interpreter and a file of this package
        [sys.executable, "-I", str(Path(decoding.__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> tuple[int, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    process.stdin.flush()
    head = process.stdout.read(ANSWER.size)
    if len(head) < ANSWER.size:
        raise BrokenPipeError
    status, length = ANSWER.unpack(head)
    answer = process.stdout.read(length)
    if len(answer) < length:
        raise BrokenPipeError
    return status, answer
