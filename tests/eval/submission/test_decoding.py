"""The process that decodes strangers' parquet: what goes wrong in it stays in it, and it goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair.eval.submission import decoder, decoding
from oddpair.eval.submission.decoding import ANSWER, DECODED, KILLED, REFUSED, REQUEST

SCHEMA = pa.schema([("a", pa.int32())])
TABLE = pa.table({"a": [1, 2]}, schema=SCHEMA)
LIMITS = {
    "rows": 2,
    "bytes": 1000,
    "values": 2,
    "memory": 256 << 20,
    "seconds": 1,
    "answer": 10_000,
}
# The script as it is started, but for what it does with a file.
SCRIPT = f"""
import importlib.util, os, sys
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("decoding", {decoding.__file__!r})
decoding = importlib.util.module_from_spec(spec)
spec.loader.exec_module(decoding)
honest = decoding.decode
def decode(data, schema, limits):
    match data:
        case b"spins":
            while True: pass
        case b"waits": import time; time.sleep(60)
        case b"aborts": os.abort()
        case b"grows": return [bytearray(1 << 20) for _ in range(10_000)]
        case b"floods":
            import pyarrow as pa
            return pa.table({{"a": pa.array(range(100_000), pa.int32())}})
        case b"raises": raise RuntimeError("not thought of")
        case b"writes": open(os.path.expanduser("~/evil"), "w").write("x")
    return honest(data, schema, limits)
decoding.decode = decode
decoding.serve(sys.stdin.buffer, sys.stdout.buffer)
"""


def as_parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def request(data, **limits):
    parts = [json.dumps({**LIMITS, **limits}).encode(), SCHEMA.serialize().to_pybytes(), data]
    return REQUEST.pack(*map(len, parts)) + b"".join(parts)


def answers(*requests, script=SCRIPT, home=None):
    """Statuses and answers of a process to some requests."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        input=b"".join(requests),
        capture_output=True,
        check=True,
        env={**os.environ, "HOME": str(home)},
    ).stdout
    found = []
    while done:
        status, length = ANSWER.unpack(done[: ANSWER.size])
        found.append((status, done[ANSWER.size :][:length]))
        done = done[ANSWER.size + length :]
    return found


def test_each_request_has_its_answer_whatever_became_of_the_one_before(tmp_path):
    bad = [b"spins", b"aborts", b"grows", b"floods", b"raises", b"writes", b"no parquet"]
    good = request(as_parquet(TABLE))
    found = answers(*(part for name in bad for part in (request(name), good)), home=tmp_path)
    assert len(found) == 2 * len(bad)
    for status, answer in found[1::2]:
        assert status == DECODED
        assert pa.ipc.open_stream(answer).read_all().equals(TABLE)
    told = dict(zip(bad, found[::2], strict=True))
    assert told[b"spins"] == (KILLED, b"takes more than 1 seconds")
    for name in (b"aborts", b"floods", b"raises"):
        assert told[name] == (KILLED, b"ends the process that decodes it"), name
    assert told[b"grows"] == (REFUSED, b"it needs more than 256 MiB to decode")
    # No byte may be written to a file; the signal that says so ends the child, or the write fails.
    assert told[b"writes"][0] in (KILLED, REFUSED)
    assert not any(path.stat().st_size for path in tmp_path.iterdir())
    assert told[b"no parquet"][0] == REFUSED


def test_a_file_that_waits_is_ended_too(tmp_path):
    assert answers(request(b"waits"), home=tmp_path) == [(KILLED, b"takes more than 1 seconds")]


def test_the_decoder_is_started_again_where_it_was_killed():
    options = {"most_rows": 2, "most_bytes": 1000, "most_values": 2}
    assert decoder.decode_table(as_parquet(TABLE), SCHEMA, **options).equals(TABLE)
    process = decoder._DECODER.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert decoder.decode_table(as_parquet(TABLE), SCHEMA, **options).equals(TABLE)
    assert decoder._DECODER.process is not process


def test_the_script_imports_nothing_of_the_package():
    text = Path(decoding.__file__).read_text()
    assert "import oddpair" not in text
    assert "from oddpair" not in text


@pytest.mark.parametrize("rows", [1, 2])
def test_as_many_rows_as_are_allowed_are_read(rows):
    options = {"most_rows": rows, "most_bytes": 1000, "most_values": 2}
    if rows == 2:
        assert decoder.decode_table(as_parquet(TABLE), SCHEMA, **options).equals(TABLE)
        return
    with pytest.raises(ValueError, match="it holds 2 rows, needed 1 to 1"):
        decoder.decode_table(as_parquet(TABLE), SCHEMA, **options)
