import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import hash_text
from oddpair.retrieval.formats.laion import EXCHANGED, open_laion, write_laion
from oddpair.retrieval.formats.parquet import ROWS_PER_BATCH
from oddpair.retrieval.places import locate

FIXTURE = Path(__file__).parents[2] / "fixtures" / "laion"
TEXTS = ["a cat", "a dog on a rug", None, "ein Bär", "  "]
URLS = [f"https://example.org/{row}.jpg" for row in range(5)]

ADDRESSES = {"URL": URLS, "TEXT": TEXTS}
SIZES = {"WIDTH": pa.array([640, 1, 2, 3, 4], pa.int32()), "HEIGHT": pa.array([480, 1, 2, 3, 4], pa.int32())}
DOUBLES = {"WIDTH": pa.array([640.0, 1, None, 3, 4]), "HEIGHT": pa.array([480.0, 1, None, 3, 4])}
HASH = {"hash": pa.array([-1, 2, 3, 4, 5], pa.int64())}
SCORES = {
    "similarity": pa.array([0.3] * 5, pa.float64()),
    "punsafe": pa.array([0.1] * 5, pa.float32()),
    "pwatermark": pa.array([0.2] * 5, pa.float32()),
}

# Columns and types of the releases, as their tables and cards have them.
RELEASES = {
    "400m": {
        "SAMPLE_ID": pa.array(range(5), pa.int64()),
        **ADDRESSES,
        **dict(reversed(SIZES.items())),
        "LICENSE": ["?"] * 5,
        "NSFW": ["UNLIKELY"] * 5,
        "similarity": pa.array([0.3] * 5, pa.float64()),
    },
    "400m-double-ids": {"SAMPLE_ID": pa.array([1e12] * 5), **ADDRESSES},
    "2b-en-joined": {**ADDRESSES, **SIZES, **SCORES, **HASH},
    "2b-multi-joined": {**ADDRESSES, **DOUBLES, **SCORES, "LANGUAGE": ["de"] * 5, **HASH},
    "2b-en-unjoined": {**ADDRESSES, **SIZES, "similarity": pa.array([0.3] * 5), **HASH},
    "aesthetic": {**ADDRESSES, **DOUBLES, **SCORES, **HASH, "aesthetic": pa.array([5.5] * 5, pa.float32())},
    "aesthetic-v2": {**ADDRESSES, **SCORES, **HASH, "AESTHETIC_SCORE": pa.array([6.5] * 5)},
    "md5": {**ADDRESSES, **HASH, "md5": ["0" * 32] * 5},
    "re-laion": {"url": URLS, "caption": TEXTS, "similarity": pa.array([0.3] * 5), **HASH},
    "lower-text": {"url": URLS, "text": TEXTS},
}


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in files.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    return folder


def read(source, shard, columns=()):
    batches = list(source.scan(shard, columns))
    return pa.concat_tables([batch.table for batch in batches]), [
        bad for batch in batches for bad in batch.bad
    ]


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_is_read(tmp_path, release):
    table = pa.table(RELEASES[release])
    source = open_laion(locate(write(tmp_path / "laion", **{"part-00000": RELEASES[release]})))
    assert (source.shards, source.sizes) == (("part-00000",), (5,))
    rows, bad = read(source, "part-00000", None)
    assert rows["caption"].to_pylist() == ["a cat", "a dog on a rug", "ein Bär"]
    assert rows["url"].to_pylist() == [URLS[0], URLS[1], URLS[3]]
    assert rows["key"].to_pylist() == ["000000000", "000000001", "000000003"]
    expected = {"ffffffffffffffff", "0000000000000002", "0000000000000004"}
    if "hash" not in table.column_names:
        expected = {hash_text(URLS[row], TEXTS[row]) for row in (0, 1, 3)}
    assert set(rows["uid"].to_pylist()) == expected
    assert [(one.row, one.reason) for one in bad] == [(2, "no caption"), (4, "no caption")]
    # All else has its own name and type.
    own = [name for name in table.column_names if name.lower() not in ("url", "text", "caption")]
    for name in own:
        assert rows.schema.field(name).type == table.schema.field(name).type
        assert rows[name].to_pylist() == table[name].take([0, 1, 3]).to_pylist()
    assert set(rows.column_names) == {"uid", "key", "caption", "url", *own}


@pytest.mark.parametrize(
    ("release", "told"),
    [("400m", True), ("2b-en-unjoined", True), ("2b-en-joined", False), ("md5", False), ("re-laion", False)],
)
def test_sizes_that_may_be_exchanged_are_told(tmp_path, release, told):
    source = open_laion(locate(write(tmp_path / "laion", a=RELEASES[release])))
    assert source.notes == ((EXCHANGED,) if told else ())


def test_the_fixture_is_read():
    source = open_laion(locate(FIXTURE))
    rows, bad = read(source, source.shards[0], ["URL", "similarity", "hash"])
    assert rows.num_rows + len(bad) == source.sizes[0] == 5
    table = pq.read_table(FIXTURE / f"{source.shards[0]}.parquet")
    kept = [row for row, text in enumerate(table["TEXT"].to_pylist()) if text is not None]
    assert rows["URL"].to_pylist() == table["URL"].take(kept).to_pylist()
    assert rows["uid"].to_pylist() == [f"{value % 2**64:016x}" for value in rows["hash"].to_pylist()]
    assert rows.column_names == ["uid", "key", "caption", "URL", "similarity", "hash"]


def test_batches_are_told_by_no_difference_from_a_whole_reading(tmp_path):
    rows = 40_000
    table = {
        "URL": [f"u{row}" for row in range(rows)],
        "TEXT": [f"t{row}" if row % 7 else "" for row in range(rows)],
    }
    source = open_laion(locate(write(tmp_path / "laion", a=table)))
    batches = list(source.scan("a"))
    assert len(batches) > 1
    found, bad = read(source, "a")
    assert found["key"].to_pylist() == [f"{row:09d}" for row in range(rows) if row % 7]
    assert [one.row for one in bad] == list(range(0, rows, 7))
    assert found["uid"][-1].as_py() == hash_text(f"u{rows - 1}", f"t{rows - 1}")


def test_a_remote_folder_is_read_and_the_source_can_be_sent_to_workers():
    folder = UPath("memory://laion-remote")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "a.parquet").open("wb") as file:
        pq.write_table(pa.table(RELEASES["re-laion"]), file)
    source = pickle.loads(pickle.dumps(open_laion(locate("memory://laion-remote"))))
    assert read(source, "a")[0].num_rows == 3
    assert set(source.identify("a")) == {"a.parquet"}


def test_a_file_says_when_it_changed(tmp_path):
    folder = write(tmp_path / "laion", a=RELEASES["md5"])
    source = open_laion(locate(folder))
    before = source.identify("a")
    assert before == open_laion(locate(folder)).identify("a")
    write(folder, a=RELEASES["re-laion"])
    assert source.identify("a") != before


def test_pictures_are_refused_with_the_way_to_get_them(tmp_path):
    source = open_laion(locate(write(tmp_path / "laion", a=RELEASES["md5"])))
    assert not source.pictures
    with pytest.raises(Refusal, match=r"holds addresses and captions, no pictures: fetch them with --fetch"):
        source.stream("a")


@pytest.mark.parametrize(
    "change",
    [pytest.param(lambda data: b"<html>", id="35-html"), pytest.param(lambda data: data[:-9], id="35-cut")],
)
def test_a_file_without_a_footer_is_set_aside_with_the_rows_it_may_have_had(tmp_path, change):
    folder = write(tmp_path / "laion", a=RELEASES["md5"], b=RELEASES["md5"])
    (folder / "a.parquet").write_bytes(change((folder / "a.parquet").read_bytes()))
    source = open_laion(locate(folder))
    assert source.sizes == (0, 5)
    rows, (bad,) = read(source, "a", ["url", "md5"])
    assert rows.schema.equals(read(source, "b", ["url", "md5"])[0].schema)
    assert (rows.num_rows, bad.file, bad.rows) == (0, "a.parquet", 0)
    assert bad.reason.endswith("; how many rows it had is not known")


def test_35_a_damaged_page_costs_the_rest_of_its_file(tmp_path):
    rows = 60_000
    table = pa.table({"URL": [f"u{row}" for row in range(rows)], "TEXT": [f"t{row}" for row in range(rows)]})
    (tmp_path / "laion").mkdir()
    path = tmp_path / "laion" / "a.parquet"
    pq.write_table(table, path, row_group_size=20_000, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[pq.read_metadata(path).row_group(2).column(1).data_page_offset + 200] ^= 8
    path.write_bytes(data)
    source = open_laion(locate(tmp_path / "laion"))
    found, (bad,) = read(source, "a")
    assert found.num_rows + bad.rows == source.sizes[0] == rows
    # The batch that the damage lies in is lost from its beginning.
    assert found.num_rows == bad.row == 2 * ROWS_PER_BATCH
    assert found["caption"].to_pylist() == [f"t{row}" for row in range(2 * ROWS_PER_BATCH)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param(
            {**RELEASES["md5"], "hash": pa.array([1.0] * 5)}, "double in column 'hash', ", id="36-rounded-ids"
        ),
        pytest.param(
            {**RELEASES["md5"], "md5": pa.array([1.0] * 5)}, "double in column 'md5', ", id="36-type"
        ),
        pytest.param(RELEASES["2b-en-joined"], "b.parquet has no column 'md5', which", id="36-column"),
    ],
)
def test_files_of_two_releases_are_refused(tmp_path, other, message):
    with pytest.raises(Refusal, match=message) as found:
        open_laion(locate(write(tmp_path / "laion", a=RELEASES["md5"], b=other)))
    assert "a.parquet" in str(found.value)
    assert "b.parquet" in str(found.value)


def test_36_a_column_that_is_null_in_one_file_has_one_type_in_all(tmp_path):
    empty = {**RELEASES["md5"], "md5": pa.nulls(5)}
    source = open_laion(locate(write(tmp_path / "laion", a=empty, b=RELEASES["md5"])))
    first, second = (read(source, shard, ["md5"])[0] for shard in "ab")
    assert first.schema.equals(second.schema)
    assert first["md5"].null_count == 3


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"URL": URLS}, "has no column caption, text or TEXT, only 'URL'"),
        ({"TEXT": TEXTS}, "has no column uid, hash or url to make ids from"),
        ({"URL": URLS, "TEXT": list(range(5))}, "has int64 in column 'TEXT', needed string"),
        ({"TEXT": TEXTS, "hash": URLS}, "has string in column 'hash', needed int64"),
        ({"TEXT": TEXTS, "uid": list(range(5))}, "has int64 in column 'uid', needed string"),
    ],
)
def test_a_table_that_is_no_corpus_is_refused(tmp_path, table, message):
    with pytest.raises(Refusal, match=message):
        open_laion(locate(write(tmp_path / "laion", a=table)))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {"hash": pa.array([1.0, 2, None, 4, 5])},
            "column 'hash' of .*a.parquet is double, needed int64: ids are made from url and caption",
        ),
        ({"uid": list(range(5))}, "column 'uid' of .* is int64, needed string: ids are made from url and"),
    ],
)
def test_ids_of_another_type_are_passed_over_with_a_note(tmp_path, columns, told):
    (folder := tmp_path / "laion").mkdir()
    source = open_laion(locate(write(folder, a={**ADDRESSES, **columns})))
    assert source.identity == "url and caption"
    assert re.search(told, source.notes[0])
    rows, _ = read(source, "a", list(columns))
    assert rows["uid"].to_pylist() == [hash_text(URLS[row], TEXTS[row]) for row in (0, 1, 3)]


def test_widths_that_pandas_inferred_otherwise_in_one_file_have_one_type_in_all(tmp_path):
    other = {**RELEASES["2b-en-unjoined"], **DOUBLES}
    source = open_laion(locate(write(tmp_path / "laion", a=RELEASES["2b-en-unjoined"], b=other)))
    first, second = (read(source, shard, ["WIDTH"])[0] for shard in "ab")
    assert first.schema.field("WIDTH").type == second.schema.field("WIDTH").type == pa.float64()
    assert first["WIDTH"].to_pylist() == second["WIDTH"].to_pylist() == [640.0, 1.0, 3.0]


def test_rows_without_an_address_are_set_aside_where_ids_are_made_of_it(tmp_path):
    urls = ["http://a", None, "", " ", "http://b"]
    source = open_laion(locate(write(tmp_path / "laion", a={"url": urls, "text": ["logo"] * 5})))
    rows, bad = read(source, "a")
    assert rows["key"].to_pylist() == ["000000000", "000000004"]
    assert [(one.row, one.reason) for one in bad] == [(row, "no url") for row in (1, 2, 3)]
    # LAION's own ids need none.
    source = open_laion(locate(write(tmp_path / "other", a={"url": urls, "text": ["logo"] * 5, **HASH})))
    assert read(source, "a")[0].num_rows == 5


def download(rows, failed):
    """The table of one shard as img2dataset writes it beside a tar."""
    return {
        "url": [f"http://{row}" for row in range(rows)],
        "key": [f"00000{row:04d}" for row in range(rows)],
        "caption": ["" if row == 0 else f"caption {row}" for row in range(rows)],
        "status": ["failed_to_download" if row in failed else "success" for row in range(rows)],
    }


def test_of_tables_of_a_download_only_successes_are_samples(tmp_path):
    rows = ROWS_PER_BATCH + 9
    failed = {1, *range(5, rows, 7)}
    folder = write(tmp_path / "tables", **{"00000": download(rows, failed), "00001": download(4, {0, 3})})
    source = open_laion(locate(folder))
    assert (source.layout, source.sizes) == ("img2dataset-table", (rows - len(failed), 2))
    assert source.notes == (
        "tables of a download without its pictures; "
        f"{len(failed) + 2:,} of their rows are no success and left out",
    )
    good = [row for row in range(1, rows) if row not in failed]
    found, bad = read(source, "00000", ["url"])
    assert found["key"].to_pylist() == [f"00000{row:04d}" for row in good]
    assert found["url"].to_pylist() == [f"http://{row}" for row in good]
    assert found["uid"][0].as_py() == hash_text(f"http://{good[0]}", f"caption {good[0]}")
    assert [(one.row, one.reason) for one in bad] == [(0, "no caption")]
    only = pickle.loads(pickle.dumps(source.only("00001")))
    assert read(only, "00001")[0]["key"].to_pylist() == ["000000001", "000000002"]


def test_35_a_damaged_table_of_a_download_is_set_aside(tmp_path):
    folder = write(tmp_path / "tables", **{"00000": download(4, {0}), "00001": download(4, {0})})
    (folder / "00001.parquet").write_bytes(b"<html>")
    source = open_laion(locate(folder))
    assert source.sizes == (3, 0)
    (bad,) = read(source, "00001")[1]
    assert bad.reason.endswith("how many rows it had is not known")
    assert "; 1 of their rows" in source.notes[0]


def test_a_folder_without_a_table_that_can_be_read_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(Refusal, match=r"a\.parquet: no parquet file, or damaged .*, as are all 1 files"):
        open_laion(locate(tmp_path))
    (tmp_path / "a.parquet").rename(tmp_path / "a.txt")
    with pytest.raises(Refusal, match=r"holds no \.parquet file"):
        open_laion(locate(tmp_path))


def test_a_column_that_is_not_there_is_refused(tmp_path):
    source = open_laion(locate(write(tmp_path / "laion", a=RELEASES["md5"])))
    with pytest.raises(Refusal, match="has no column 'LANGUAGE', only 'URL', 'TEXT', 'hash', 'md5'"):
        list(source.scan("a", ["LANGUAGE"]))


@pytest.mark.parametrize("rows", [4, 6])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, rows):
    source = open_laion(locate(write(tmp_path / "laion", a={"url": ["a"] * 5, "text": ["b"] * 5})))
    write(tmp_path / "laion", a={"url": ["a"] * rows, "text": ["b"] * rows})
    with pytest.raises(Refusal, match="another number of rows than when the run began: run again"):
        list(source.scan("a"))


def test_what_is_written_has_the_columns_of_the_joined_release(tmp_path):
    table = pa.table(
        {
            "extra": [1, 2],
            "hash": [7, -7],
            "caption": ["a", "b"],
            "WIDTH": [3, 4],
            "HEIGHT": [5, 6],
            "url": ["u", "v"],
            "similarity": pa.array([0.25, 0.5], pa.float32()),
            "uid": ["x", "y"],
        }
    )
    write_laion(tmp_path / "a.parquet", table)
    assert [(field.name, str(field.type)) for field in pq.read_schema(tmp_path / "a.parquet")] == [
        ("URL", "string"),
        ("TEXT", "string"),
        ("WIDTH", "int32"),
        ("HEIGHT", "int32"),
        ("similarity", "double"),
        ("hash", "int64"),
        ("extra", "int64"),
        ("uid", "string"),
    ]
    rows, bad = read(open_laion(locate(tmp_path)), "a", None)
    assert rows["uid"].to_pylist() == ["x", "y"]
    assert rows["caption"].to_pylist() == ["a", "b"]
    assert not bad


def test_what_was_read_is_written_as_it_was(tmp_path):
    whole = {**RELEASES["2b-en-joined"], "TEXT": ["a", "b", "c", "d", "e"]}
    whole = pa.table(
        {
            name: pa.table(whole)[name]
            for name in ("URL", "TEXT", *SIZES, "similarity", "hash", "punsafe", "pwatermark")
        }
    )
    source = open_laion(
        locate(write(tmp_path / "in", a=dict(zip(whole.column_names, whole.columns, strict=True))))
    )
    rows, _ = read(source, "a", None)
    write_laion(tmp_path / "out.parquet", rows.drop_columns(["uid", "key"]))
    assert pq.read_table(tmp_path / "out.parquet").equals(whole)


def test_unknown_sizes_stay_double(tmp_path):
    sizes = pa.array([np.nan, 3.0])
    write_laion(tmp_path / "a.parquet", pa.table({"url": ["u", "v"], "caption": ["a", "b"], "WIDTH": sizes}))
    assert str(pq.read_schema(tmp_path / "a.parquet").field("WIDTH").type) == "double"


def test_a_column_that_laion_has_with_another_meaning_is_refused(tmp_path):
    table = pa.table({"url": ["u"], "caption": ["a"], "hash": ["not a number"]})
    with pytest.raises(Refusal, match=r"column 'hash' is string, which cannot be LAION's int64"):
        write_laion(tmp_path / "a.parquet", table)
    with pytest.raises(ValueError, match="no column 'url'"):
        write_laion(tmp_path / "a.parquet", table.drop_columns(["url"]))
