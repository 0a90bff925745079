import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.formats.parquet import DamagedTable, read_footer, read_footers, stream_table
from oddpair.retrieval.stores import find_path

TABLE = pa.table(
    {
        "number": pa.array(range(1000), pa.int32()),
        "text": [f"caption {row}" for row in range(1000)],
        "boxes": [[[float(row), 1.0]] for row in range(1000)],
    }
)


def write(path, table=TABLE, **options):
    pq.write_table(table, path, **{"row_group_size": 300, "write_page_checksum": True, **options})
    return path


def read_until_damage(path, columns=None):
    parts: list[pa.Table] = []
    rows = stream_table(path, columns, rows=100)
    while True:
        try:
            part = next(rows, None)
        except DamagedTable as damage:
            return parts, damage
        if part is None:
            return parts, None
        parts.append(part)


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "a.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole") / "whole.parquet", row_group_size=250)


@pytest.fixture
def remote():
    path = find_path("memory://parquet/a.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        pq.write_table(TABLE, target)
    return path


def test_batches_are_the_table_in_order(file):
    parts = list(stream_table(file, rows=128))
    assert pa.concat_tables(parts).equals(TABLE)
    assert max(part.num_rows for part in parts) == 128


def test_columns_come_in_the_order_asked_for(file):
    parts = list(stream_table(file, ["text", "number"]))
    assert pa.concat_tables(parts).equals(TABLE.select(["text", "number"]))


def test_a_remote_file_reads_as_a_local_one(remote):
    assert read_footer(remote)[1] == 1000
    assert pa.concat_tables(stream_table(remote, rows=77)).equals(TABLE)


def test_rows_that_are_large_come_in_short_batches(tmp_path):
    table = pa.table({"jpg": [bytes([row]) * 3_000_000 for row in range(60)], "key": range(60)})
    path = write(tmp_path / "a.parquet", table, row_group_size=60, use_dictionary=False)
    parts = list(stream_table(path))
    assert max(part.num_rows for part in parts) == (64 << 20) // 3_000_000
    assert pa.concat_tables(parts).equals(table)
    # Without the pictures the rows are small.
    assert [part.num_rows for part in stream_table(path, ["key"])] == [60]


def test_memory_does_not_grow_with_the_file(tmp_path):
    # One group of rows, which Arrow would by itself take whole.
    rng = np.random.default_rng(0)
    for name, rows in (("small", 50_000), ("large", 400_000)):
        table = pa.table({"text": [f"{value:064x}" for value in rng.integers(0, 2**62, rows)]})
        write(
            tmp_path / f"{name}.parquet", table, row_group_size=rows, compression="none", use_dictionary=False
        )
    code = (
        "import json, sys, pyarrow as pa\n"
        "from pathlib import Path\n"
        "from oddpair.retrieval.formats.parquet import stream_table\n"
        "rows = sum(part.num_rows for part in stream_table(Path(sys.argv[1]), rows=1024))\n"
        "print(json.dumps([rows, pa.default_memory_pool().max_memory()]))\n"
    )
    peaks = {}
    for name in ("small", "large"):
        command = [sys.executable, "-c", code, str(tmp_path / f"{name}.parquet")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[name] = json.loads(done.stdout)
    assert [rows for rows, _ in peaks.values()] == [50_000, 400_000]
    assert peaks["large"][1] < 1.5 * peaks["small"][1]
    assert peaks["large"][1] < (tmp_path / "large.parquet").stat().st_size / 2


@pytest.mark.parametrize("group", [400_000, 3_000], ids=["one-group", "small-groups"])
def test_a_long_text_that_a_dictionary_repeats_comes_in_short_batches(tmp_path, group):
    # Half a gigabyte of text in a file of some kilobytes, behind rows that are short.
    rows, length = 9_000, 1 << 16
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000 + [1] * (rows - 1000)), ["a", "b" * length])
    path = write(
        tmp_path / "a.parquet",
        pa.table({"text": texts, "number": range(rows)}),
        row_group_size=group,
        compression="zstd",
        store_schema=False,
    )
    assert path.stat().st_size < 100_000
    sizes = [(part.num_rows, part.nbytes) for part in stream_table(path)]
    assert sum(number for number, _ in sizes) == rows
    assert max(size for _, size in sizes) < 80 << 20
    # Columns that are not read cost nothing.
    assert [part.num_rows for part in stream_table(path, ["number"])] == [rows]


def test_groups_of_few_rows_are_read_together(tmp_path):
    path = write(tmp_path / "a.parquet", row_group_size=10)
    assert [part.num_rows for part in stream_table(path)] == [1000]


def test_35_a_page_whose_checksum_is_wrong_ends_the_table(file):
    data = bytearray(file.read_bytes())
    data[pq.read_metadata(file).row_group(2).column(1).data_page_offset + 100] ^= 1
    file.write_bytes(data)
    parts, damage = read_until_damage(file)
    assert damage.reason.startswith("damaged parquet (")
    assert damage.row == 600
    assert pa.concat_tables(parts).equals(TABLE.slice(0, 600))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"", id="35-empty"),
        pytest.param(lambda data: b"<html>not found</html>", id="35-page-of-html"),
        pytest.param(lambda data: data[:-10], id="35-cut"),
        pytest.param(lambda data: data[: len(data) // 2], id="35-half"),
        pytest.param(lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", id="35-footer-too-long"),
    ],
)
def test_a_file_without_a_whole_footer_is_damaged(file, change):
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DamagedTable, match="no parquet file, or damaged") as found:
        read_footer(file)
    assert found.value.row == 0
    with pytest.raises(DamagedTable):
        next(stream_table(file))


def test_footers_of_many_files_come_in_order_with_what_is_damaged(tmp_path):
    paths = [write(tmp_path / f"{index:02d}.parquet", TABLE.slice(0, index)) for index in range(20)]
    paths[7].write_bytes(b"PAR1")
    found = read_footers(paths)
    assert isinstance(found[7], DamagedTable)
    assert [rows[1] for rows in found if isinstance(rows, tuple)] == [*range(7), *range(8, 20)]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"a\.parquet does not exist"):
        read_footer(tmp_path / "a.parquet")
    with pytest.raises(Refusal, match=r"gone\.parquet does not exist"):
        read_footer(find_path("memory://parquet/gone.parquet"))


def test_a_missing_column_is_refused_with_those_that_there_are(file):
    with pytest.raises(Refusal, match=r"has no column 'url', only 'number', 'text', 'boxes'"):
        next(stream_table(file, ["url"]))


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(Refusal, match="has two columns 'a'"):
        read_footer(write(tmp_path / "a.parquet", table))


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), TimeoutError("slow"), OSError(5, "disk")])
def test_a_disk_or_network_that_fails_is_no_damage(remote, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(type(remote), "open", fail)
    with pytest.raises(Refusal, match="cannot be read"):
        read_footer(remote)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_bit_that_flipped_anywhere_ends_in_rows_or_is_told(whole, place, bit):
    # Heads of pages and the footer have no checksum: not every flip can be seen, but none may do worse.
    data = bytearray(whole.read_bytes())
    data[place % len(data)] ^= 1 << bit
    flipped = whole.with_name("flipped.parquet")
    flipped.write_bytes(data)
    try:
        parts, damage = read_until_damage(flipped, ["number", "text"])
    except Refusal as error:
        parts, damage = [], None
        told = str(error)
    else:
        told = ""
    done = sum(part.num_rows for part in parts)
    assert done <= TABLE.num_rows
    assert damage is None or damage.row == done
    assert not told or "has no column" in told or "has two columns" in told


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_file_that_was_cut_anywhere_is_damaged(whole, place):
    data = whole.read_bytes()
    cut = whole.with_name("cut.parquet")
    cut.write_bytes(data[: place % len(data)])
    with pytest.raises(DamagedTable):
        read_footer(cut)
