import errno
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair import files
from oddpair.errors import Refusal
from oddpair.files import (
    atomic,
    digest,
    locked,
    read_array,
    read_json,
    read_table,
    sha256,
    write_array,
    write_bytes,
    write_json,
    write_table,
    write_text,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(number: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_is_written_whole_and_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "wet\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"wet\n"
    assert names(tmp_path / "a") == ["b.txt"]


def test_an_error_in_the_block_keeps_the_old_content_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_tar_written_by_tarfile_appears_only_when_it_is_complete(tmp_path):
    (tmp_path / "member").write_bytes(b"x" * 1000)
    with atomic(tmp_path / "a.tar") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name == f".a.tar.{os.getpid()}.tmp"
        with tarfile.open(temporary, "w") as tar:
            tar.add(tmp_path / "member", "member")
        assert not (tmp_path / "a.tar").exists()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getnames() == ["member"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "line"),
    [
        (
            errno.ENOSPC,
            "no space left to write {}: free some space and run again, everything finished so far",
        ),
        (errno.EDQUOT, "disk quota used up while writing {}: free some space"),
        (errno.EROFS, "{} is on a read-only file system: choose another --out"),
        (errno.EIO, "the disk failed while writing {}: check the disk"),
    ],
)
def test_a_full_or_failing_disk_is_refused_and_keeps_the_old_content(
    tmp_path, monkeypatch, call, number, line
):
    path = tmp_path / "a.json"
    write_json(path, "old")
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(Refusal) as caught:
        write_json(path, "new")
    assert str(caught.value).startswith(line.format(path))
    monkeypatch.undo()
    assert read_json(path) == "old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "write",
    [
        lambda path, values: write_bytes(path, values.tobytes()),
        lambda path, values: write_table(path, pa.table({"a": values})),
        lambda path, values: write_array(path, values),
    ],
)
def test_a_write_that_meets_a_full_device_is_refused_whoever_writes(tmp_path, write):
    # The temporary path leads to a device on which every write fails with ENOSPC.
    (tmp_path / f".a.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(Refusal, match=r"(no space left to write|could not write) .*a.*: free some space"):
        write(tmp_path / "a", np.arange(100_000))
    assert names(tmp_path) == []


def test_a_missing_input_inside_the_block_is_not_told_as_a_failed_write(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), atomic(tmp_path / "a") as temporary:
        temporary.write_bytes((tmp_path / "nowhere").read_bytes())


def test_a_folder_below_a_file_is_refused(tmp_path):
    write_text(tmp_path / "file", "")
    with pytest.raises(
        Refusal, match=r"a part of .*file/a\.txt is a file, not a folder: choose another --out"
    ):
        write_text(tmp_path / "file" / "a.txt", "")
    with pytest.raises(Refusal, match="is a file, not a folder"), locked(tmp_path / "file"):
        pass


_WRITER = """
import sys
from pathlib import Path
from oddpair.files import write_bytes
print("ready", flush=True)
for number in range(1, 10**6):
    write_bytes(Path(sys.argv[1]), bytes([number % 251]) * 3_000_000)
"""


def test_a_writer_killed_at_any_moment_leaves_one_whole_content_and_the_lock_clears_the_rest(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, bytes([7]) * 3_000_000)
    rng = np.random.default_rng(0)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.06))
        child.kill()
        child.wait()
        child.stdout.close()
        content = path.read_bytes()
        assert len(content) == 3_000_000
        assert len(set(content)) == 1
    with locked(tmp_path):
        assert names(tmp_path) == [".lock", "a.bin"]


def test_stale_temporary_files_are_removed_at_any_depth_and_nothing_else(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in (".a.npy.123.tmp", "deep/er/.b.json.9.tmp"):
        (tmp_path / name).touch()
    kept = [".mine.tmp", "deep/a.123.tmp", "deep/er/b.json"]
    for name in kept:
        (tmp_path / name).touch()
    with locked(tmp_path):
        pass
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        ".lock",
        *kept,
    ]


_HOLDER = """
import sys, time
from pathlib import Path
from oddpair.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_by_the_process_number_of_the_first_until_that_is_killed(tmp_path):
    folder = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", _HOLDER, folder], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    line = f"{folder} is in use by process {child.pid}: wait for it to end or choose another --out"
    with pytest.raises(Refusal) as caught, locked(folder):
        pass
    assert str(caught.value) == line
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with locked(folder):
        assert (folder / ".lock").read_text() == str(os.getpid())
    assert (folder / ".lock").read_text() == ""


@settings(max_examples=40, deadline=None)
@given(json_values)
def test_json_comes_back_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_is_sorted_ascii_with_a_final_newline(tmp_path):
    write_json(tmp_path / "a.json", {"b": "é\u202e", "a": [1]})
    assert (tmp_path / "a.json").read_bytes() == b'{\n "a": [\n  1\n ],\n "b": "\\u00e9\\u202e"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "key 'a' is given twice"),
        (b"[NaN]", "NaN is not a number of JSON"),
        (b"[-Infinity]", "-Infinity is not a number of JSON"),
        (b"[1e400]", "number 1e400 is out of range"),
        (b"[" * 100_000, "nested too deep for JSON"),
        (b'{"a": ' * 100_000, "nested too deep for JSON"),
        (b"9" * 5000, "Exceeds the limit"),
        (b'{"a": ', "Expecting value"),
        (b"", "Expecting value"),
        (b'"\xff"', "can't decode byte 0xff"),
    ],
)
def test_hostile_json_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(Refusal) as caught:
        read_json(path)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_json, read_table, read_array, sha256])
def test_a_missing_file_and_a_folder_are_refused(tmp_path, read):
    with pytest.raises(Refusal, match="nowhere does not exist: check the path"):
        read(tmp_path / "nowhere")
    with pytest.raises(Refusal, match="is a folder, needed a file"):
        read(tmp_path)


def test_equal_tables_give_equal_bytes_however_they_are_chunked(tmp_path):
    words = [f"row {i // 100}" for i in range(5000)]
    lists = pa.array([["a"] * (i % 3) for i in range(5000)])
    whole = pa.table({"a": pa.array(words).dictionary_encode(), "b": lists})
    chunks = [pa.array(part).dictionary_encode() for part in (words[:13], words[13:2000], words[2000:])]
    parts = pa.table({"a": pa.chunked_array(chunks), "b": lists})
    write_table(tmp_path / "whole.parquet", whole)
    write_table(tmp_path / "parts.parquet", parts)
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "parts.parquet").read_bytes()
    assert read_table(tmp_path / "parts.parquet").equals(whole)


def test_columns_come_in_the_order_asked_for_and_a_missing_one_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"uid": ["x"], "caption": ["owl"], "n": [1]}))
    assert read_table(path, ["n", "uid"]).column_names == ["n", "uid"]
    assert read_table(path, []).num_rows == 1
    with pytest.raises(Refusal, match=r"a\.parquet has no column 'score', only 'uid', 'caption', 'n': give"):
        read_table(path, ["uid", "score"])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_parquet_is_refused_with_its_remedy(tmp_path, share):
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"a": np.random.default_rng(0).normal(size=10_000)}))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(Refusal, match=r"a\.parquet is truncated or damaged \(.+\): delete it and run again"):
        read_table(path)


def test_one_flipped_bit_in_a_parquet_page_is_found(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"a": np.random.default_rng(0).normal(size=10_000)}))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(Refusal, match="truncated or damaged"):
        read_table(path)


def test_parquet_written_elsewhere_without_checksums_is_read(tmp_path):
    table = pa.table({"a": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet", compression="snappy")
    assert read_table(tmp_path / "a.parquet").equals(table)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float16).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(24).reshape(4, 6)[::2, ::3],
        np.zeros((0, 5), np.float32),
        np.array(3.5),
        np.array(["owl", "pine tree"]),
    ],
)
def test_an_array_comes_back_as_it_was_written_and_in_row_order(tmp_path, array):
    write_array(tmp_path / "a.npy", array)
    read = read_array(tmp_path / "a.npy")
    np.testing.assert_array_equal(read, array, strict=True)
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)


def test_a_fortran_ordered_array_from_elsewhere_is_read_right(tmp_path):
    array = np.arange(6).reshape(2, 3)
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)


def test_a_truncated_or_overlong_array_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "a.npy"
    write_array(path, np.zeros(10))
    whole = path.read_bytes()
    for content in (whole[:-8], whole + b"\0" * 8):
        path.write_bytes(content)
        with pytest.raises(Refusal, match=r"holds (72|88) bytes of data, its header .* needs 80: delete"):
            read_array(path)
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 48,)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(Refusal, match="holds 0 bytes of data"):
        read_array(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"PK\x03\x04 an npz", b"<html>", b"\x93NUMPY\x03\x00"]
)
def test_what_is_no_npy_file_is_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(Refusal, match=r"a\.npy is not a whole \.npy file \(.+\): delete it and run again"):
        read_array(tmp_path / "a.npy")


def test_python_objects_are_neither_written_nor_read(tmp_path):
    objects = np.array([{"a": 1}, None])
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_array(tmp_path / "a.npy", objects)
    assert names(tmp_path) == []
    np.save(tmp_path / "b.npy", objects, allow_pickle=True)
    with pytest.raises(Refusal, match="holds pickled Python objects"):
        read_array(tmp_path / "b.npy")


def test_the_digest_depends_on_the_value_and_not_on_the_order_of_keys(tmp_path):
    assert digest({"a": 1, "b": [2.5]}) == digest(json.loads('{"b": [2.5], "a": 1}'))
    assert digest({"a": 1}) != digest({"a": "1"})
    write_bytes(tmp_path / "a", b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("sizes", [[], [0], [3], [2, 0, 5], [1] * 120])
def test_an_array_written_piece_by_piece_has_the_bytes_of_one_written_whole(tmp_path, sizes):
    rng = np.random.default_rng(len(sizes))
    pieces = [rng.normal(size=(size, 4)).astype(np.float16) for size in sizes]
    with files.array_writer(tmp_path / "pieces.npy", 4, np.float16) as append:
        for piece in pieces:
            append(piece)
    files.write_array(tmp_path / "whole.npy", np.concatenate([np.empty((0, 4), np.float16), *pieces]))
    assert (tmp_path / "pieces.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_piece_of_another_width_leaves_no_file(tmp_path):
    with (
        pytest.raises(ValueError, match=r"rows of shape \(2, 3\), needed \(n, 4\)"),
        files.array_writer(tmp_path / "a.npy", 4, np.float16) as append,
    ):
        append(np.zeros((2, 3)))
    assert not list(tmp_path.iterdir())
