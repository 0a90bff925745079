import hashlib
import json
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import hash_text
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import NO_CAPTION, Bad

FIXTURES = Path(__file__).parents[2] / "fixtures"


def place(folder, **changes):
    return Place(
        **{"root": folder, "names": tuple(sorted(path.name for path in folder.iterdir())), **changes}
    )


@pytest.fixture
def folder(tmp_path, as_bytes, noise):
    for index in range(3):
        write_shard(
            tmp_path,
            index,
            keys=make_keys(index, 4),
            captions=[f"caption {4 * index + row}" for row in range(4)],
            images=[as_bytes(noise(4 * index + row, 8, 8)) for row in range(4)],
            columns=pa.table(
                {"uid": [f"{4 * index + row:032x}" for row in range(4)], "style": ["photo"] * 4}
            ),
        )
    return tmp_path


def change_table(folder, change, shard="00001"):
    path = folder / f"{shard}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def with_column(name, values):
    return lambda table: table.set_column(table.column_names.index(name), name, values)


def read(source, shard="00001"):
    """Read a shard both ways; return the keys that each keeps and what each sets aside, sums being right."""
    size = source.sizes[source.shards.index(shard)]
    batches = list(source.scan(shard))
    scanned = [key for batch in batches for key in batch.table["key"].to_pylist()]
    aside = [bad for batch in batches for bad in batch.bad]
    found = list(source.stream(shard))
    kept = [one.key for one in found if not isinstance(one, Bad)]
    bads = [one for one in found if isinstance(one, Bad)]
    for keys, bad in ((scanned, aside), (kept, bads)):
        assert len(keys) + sum(one.rows for one in bad) == size
    return scanned, aside, kept, bads


KEYS = list(make_keys(1, 4))


def test_rows_and_pictures_are_those_that_were_written(folder, as_bytes, noise):
    source = open_img2dataset(place(folder))
    assert (source.layout, source.shards, source.sizes) == (
        "img2dataset",
        ("00000", "00001", "00002"),
        (4, 4, 4),
    )
    assert (source.captioned, source.pictures, source.embedded, source.notes) == (True, True, False, ())
    samples = [sample for sample in source.stream("00001") if not isinstance(sample, Bad)]
    assert [sample.uid for sample in samples] == [f"{row:032x}" for row in range(4, 8)]
    assert [sample.caption for sample in samples] == [f"caption {row}" for row in range(4, 8)]
    assert [sample.image for sample in samples] == [as_bytes(noise(row, 8, 8)) for row in range(4, 8)]
    assert read(source) == (KEYS, [], KEYS, [])


def test_columns_are_given_when_they_are_asked_for(folder):
    source = open_img2dataset(place(folder))
    (none,), (some,), (every,) = (
        list(source.scan("00001", columns)) for columns in ((), ("style", "width"), None)
    )
    assert none.table.column_names == ["uid", "key", "caption"]
    assert some.table.column_names == ["uid", "key", "caption", "style", "width"]
    assert some.table["style"].to_pylist() == ["photo"] * 4
    assert set(every.table.column_names) == set(pq.read_schema(folder / "00001.parquet").names)
    with pytest.raises(Refusal, match=r"00000\.parquet has no column 'licence', only 'uid', 'style'"):
        list(source.scan("00001", ["licence"]))


def test_workers_are_given_copies(folder):
    source = open_img2dataset(place(folder))
    assert read(pickle.loads(pickle.dumps(source))) == read(source)


def test_a_shard_is_identified_by_its_table_and_the_size_of_its_tar(folder):
    source = open_img2dataset(place(folder))
    assert source.identify("00001") == {
        "00001.parquet": hashlib.sha256((folder / "00001.parquet").read_bytes()).hexdigest(),
        "00001.tar": f"{(folder / '00001.tar').stat().st_size} bytes",
        "00001_stats.json": "4 successes",
    }


@pytest.mark.parametrize("name", ["raw", "jpg", "laion"])
def test_what_img2dataset_wrote_is_read_as_python_reads_it(name):
    root = FIXTURES / f"img2dataset-{name}"
    source = open_img2dataset(place(root))
    assert source.identity == ("hash" if name == "laion" else "url and caption")
    for shard, size in zip(source.shards, source.sizes, strict=True):
        rows = [
            row for row in pq.read_table(root / f"{shard}.parquet").to_pylist() if row["status"] == "success"
        ]
        assert len(rows) == size
        good = [row for row in rows if (row["caption"] or "").strip()]
        with tarfile.open(root / f"{shard}.tar") as tar:
            files = {info.name: tar.extractfile(info) for info in tar}
            pictures = {key: file.read() for key, file in files.items() if file}
        scanned, aside, kept, bads = read(source, shard)
        assert scanned == kept == [row["key"] for row in good]
        assert (
            [bad.reason for bad in bads] == [NO_CAPTION] * (size - len(good)) == [bad.reason for bad in aside]
        )
        for row, sample in zip(
            good, [one for one in source.stream(shard) if not isinstance(one, Bad)], strict=True
        ):
            assert sample.image == pictures[f"{row['key']}.jpg"]
            assert sample.caption == row["caption"]
            number = (
                f"{row['hash'] % 2**64:016x}" if name == "laion" else hash_text(row["url"], row["caption"])
            )
            assert sample.uid == number


@pytest.mark.parametrize(("name", "told"), [("raw", True), ("jpg", False)])
def test_hashes_of_downloads_are_compared_only_where_they_are_what_is_stored(tmp_path, name, told):
    # Cases 7 and 20 as the tool itself writes them.
    shutil.copytree(FIXTURES / f"img2dataset-{name}", tmp_path / "a")
    tar = tmp_path / "a" / "00000.tar"
    with tarfile.open(tar) as archive:
        first = next(info for info in archive if info.name.endswith(".jpg"))
    data = bytearray(tar.read_bytes())
    data[first.offset_data + first.size // 2] ^= 1
    tar.write_bytes(data)
    _, _, _, bads = read(open_img2dataset(place(tmp_path / "a")), "00000")
    reasons = [bad.reason for bad in bads]
    assert (
        f"sample {first.name[:-4]} holds a picture whose hash is not the one in the table" in reasons
    ) == told


@pytest.mark.parametrize("name", ["md5", "sha512"])
def test_the_other_hashes_of_img2dataset_are_compared_too(folder, name):
    # Case 7 for --compute_hash md5 and sha512 with --disable_all_reencoding.
    def as_raw(table):
        images = [
            one.image for one in open_img2dataset(place(folder)).stream("00001") if not isinstance(one, Bad)
        ]
        hashes = [getattr(hashlib, name)(image).hexdigest() for image in images]
        hashes[2] = hashes[1]
        table = with_column("width", pa.nulls(4, pa.int32()))(table).replace_schema_metadata(None)
        return table.drop_columns("sha256").append_column(name, [hashes])

    change_table(folder, as_raw)
    for shard in ("00000", "00002"):
        for part in (".tar", ".parquet", "_stats.json"):
            (folder / f"{shard}{part}").unlink()
    _, _, kept, bads = read(open_img2dataset(place(folder)))
    assert kept == [KEYS[0], KEYS[1], KEYS[3]]
    assert "hash" in bads[0].reason


def test_shards_that_say_so_are_hashed_as_stored(folder):
    # Case 20: the same sample with another picture.
    change_table(folder, with_column("sha256", pa.array(["0" * 64] * 4)))
    assert read(open_img2dataset(place(folder)))[2] == []
    change_table(folder, lambda table: table.replace_schema_metadata(None))
    assert read(open_img2dataset(place(folder)))[2] == KEYS


def test_failures_are_passed_over_in_the_order_of_the_tar(folder):
    def with_failure(table):
        row = table.slice(0, 1).to_pylist()[0] | {"key": "9", "status": "failed_to_download", "caption": None}
        return pa.concat_tables(
            [table.slice(0, 2), pa.Table.from_pylist([row], schema=table.schema), table.slice(2)]
        )

    change_table(folder, with_failure)
    change_table(folder, lambda table: with_column("caption", pa.array(["a", "b", "c", "", "d"]))(table))
    scanned, aside, _, bads = read(open_img2dataset(place(folder)))
    assert scanned == [KEYS[0], KEYS[1], KEYS[3]]
    # Case 33: the row is the one of the table, failures counted.
    assert [(bad.row, bad.reason) for bad in aside] == [(3, NO_CAPTION)]
    assert [bad.reason for bad in bads[1:]] == [
        f"sample {key} has another caption in the tar than in the table" for key in scanned
    ]


def test_a_caption_longer_than_is_kept_agrees_with_its_txt(folder, as_bytes, noise):
    # Case 32.
    long = "ö" * 12_000
    write_shard(
        folder,
        1,
        keys=KEYS[:1],
        captions=[long],
        images=[as_bytes(noise(0))],
        columns=pa.table({"uid": ["u"], "style": ["x"]}),
    )
    (sample,) = open_img2dataset(place(folder)).stream("00001")
    assert not isinstance(sample, Bad)
    assert sample.caption == long[:10_000]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda t: t.slice(0, 3), "lists 3 rows with status success, the stats count 4", id="fewer"
        ),
        pytest.param(
            lambda t: pa.concat_tables([t, t.slice(3)]), "lists 5 rows with status success", id="more"
        ),
    ],
)
def test_a_table_with_another_number_of_successes_is_told_with_both_counts(folder, change, reason):
    change_table(folder, change)
    scanned, aside, kept, _ = read(open_img2dataset(place(folder)))
    assert reason in aside[-1].reason
    # Fewer is what the tool leaves when it failed to write a row; the tar must agree with what there is.
    assert scanned == (KEYS[:3] if len(aside) and aside[-1].rows == 1 else [])
    assert kept == []


def test_a_row_that_the_tool_failed_to_write_costs_only_itself(folder):
    change_table(folder, lambda table: table.slice(0, 3))
    with tarfile.open(folder / "00001.tar") as tar:
        files = {info.name: tar.extractfile(info) for info in tar}
        pairs = [(name, file.read()) for name, file in files.items() if file and not name.startswith(KEYS[3])]
    write_tar(folder / "00001.tar", pairs)
    scanned, _, kept, bads = read(open_img2dataset(place(folder)))
    assert scanned == kept == KEYS[:3]
    assert [bad.rows for bad in bads] == [1]


def test_rows_that_an_intact_tar_lacks_are_set_aside_alone(folder):
    with tarfile.open(folder / "00001.tar") as tar:
        files = {info.name: tar.extractfile(info) for info in tar}
        pairs = [(name, file.read()) for name, file in files.items() if file and not name.startswith(KEYS[1])]
    write_tar(folder / "00001.tar", pairs)
    scanned, _, kept, bads = read(open_img2dataset(place(folder)))
    assert (scanned, kept) == (KEYS, [KEYS[0], *KEYS[2:]])
    assert [(bad.uid, bad.reason) for bad in bads] == [
        (f"{5:032x}", f"the tar lacks sample {KEYS[1]} of its table")
    ]


def test_another_order_in_the_tar_sets_the_shard_aside(folder):
    change_table(folder, lambda table: table.take([0, 2, 1, 3]))
    _, _, kept, bads = read(open_img2dataset(place(folder)))
    assert kept == []
    assert bads[0].reason == (
        f"holds 4 samples, its table lists 4; at sample 1 the tar has {KEYS[1]}, the table {KEYS[2]}"
    )


def test_the_tar_of_another_shard_is_told(folder):
    shutil.copy(folder / "00002.tar", folder / "00001.tar")
    assert read(open_img2dataset(place(folder)))[2] == []


def test_a_key_that_the_table_lists_twice_is_set_aside_twice(folder):
    # Case 13 in the table.
    change_table(folder, with_column("key", pa.array([KEYS[0], KEYS[1], KEYS[1], KEYS[3]])))
    with tarfile.open(folder / "00001.tar") as tar:
        files = {info.name: tar.extractfile(info) for info in tar}
        pairs = [(name, file.read()) for name, file in files.items() if file and not name.startswith(KEYS[2])]
    write_tar(folder / "00001.tar", pairs)
    scanned, aside, kept, _ = read(open_img2dataset(place(folder)))
    assert scanned == kept == [KEYS[0], KEYS[3]]
    assert [(bad.row, bad.reason) for bad in aside] == [
        (row, f"key {KEYS[1]} is there more than once") for row in (1, 2)
    ]


def test_a_cut_tar_is_noticed_without_reading_pictures(folder):
    # Cases 1 and 2 for whoever needs the captions only.
    tar = folder / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    scanned, aside, _, bads = read(open_img2dataset(place(folder)))
    assert scanned == []
    assert aside == bads


@pytest.mark.parametrize("cut", [0, 7, 1000, -9])
def test_a_damaged_table_sets_its_shard_aside(folder, cut):
    # Case 35.
    path = folder / "00001.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    scanned, aside, _, bads = read(open_img2dataset(place(folder)))
    assert scanned == []
    assert [(bad.file, bad.rows) for bad in aside] == [("00001.parquet", 4)]
    assert aside == bads


def test_a_page_with_a_wrong_checksum_is_told(folder):
    # Case 35.
    path = folder / "00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=2, write_page_checksum=True, compression="none")
    data = bytearray(path.read_bytes())
    data[data.index(b"caption 7") + 3] ^= 1
    path.write_bytes(data)
    scanned, aside, _, bads = read(open_img2dataset(place(folder)))
    assert scanned == []
    assert "damaged parquet" in aside[0].reason
    assert aside == bads


def test_a_first_table_that_is_damaged_does_not_stop_the_others(folder):
    (folder / "00000.parquet").write_bytes(b"PAR1 no")
    source = open_img2dataset(place(folder))
    assert source.first == "00001.parquet"
    assert read(source)[2] == KEYS
    for shard in ("00001", "00002"):
        (folder / f"{shard}.parquet").write_bytes(b"")
    with pytest.raises(Refusal, match=r"no table that can be read \(00000\.parquet: no parquet file"):
        open_img2dataset(place(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            with_column("caption", pa.array([1, 2, 3, 4])),
            r"00001\.parquet has int64 in column 'caption', .*00000\.parquet has string",
            id="36-type",
        ),
        pytest.param(
            lambda table: table.drop_columns("uid"),
            r"00001\.parquet has no column 'uid', which .*00000\.parquet has",
            id="36-column",
        ),
    ],
)
def test_tables_that_differ_in_their_columns_are_refused(folder, change, message):
    change_table(folder, change)
    source = open_img2dataset(place(folder))
    assert read(source, "00002")[2]
    with pytest.raises(Refusal, match=message):
        list(source.scan("00001"))
    with pytest.raises(Refusal, match=message):
        list(source.stream("00001"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_column("style", pa.array([1, 2, 3, 4])),
            r"00001\.parquet has int64 in column 'style', .*has string",
        ),
        (lambda table: table.drop_columns("style"), r"00001\.parquet has no column 'style', which .*has"),
    ],
)
def test_columns_that_nobody_asks_for_may_differ(folder, change, message):
    change_table(folder, change)
    source = open_img2dataset(place(folder))
    assert read(source) == (KEYS, [], KEYS, [])
    for columns in (["style"], None):
        with pytest.raises(Refusal, match=message):
            list(source.scan("00001", columns))


def test_numbers_that_were_inferred_otherwise_in_one_table_take_the_wider_type(folder):
    change_table(folder, lambda table: with_column("width", table["width"].cast(pa.float64()))(table))
    source = open_img2dataset(place(folder))
    kinds = [next(source.scan(shard, ["width"])).table.schema.field("width").type for shard in source.shards]
    assert kinds == [pa.int32(), pa.float64(), pa.int32()]
    assert read(source) == (KEYS, [], KEYS, [])


def test_columns_may_be_null_or_encoded_otherwise_in_a_part(folder):
    change_table(folder, with_column("style", pa.nulls(4)))
    change_table(
        folder, lambda table: with_column("caption", table["caption"].cast(pa.large_string()))(table)
    )
    assert read(open_img2dataset(place(folder)))[2] == KEYS


@pytest.mark.parametrize("name", ["00001.tar", "00000.parquet", "00002_stats.json"])
def test_a_missing_part_of_a_shard_is_refused_by_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(
        Refusal, match=f"lacks {name} beside the other parts of the shard: .*run the download again"
    ):
        open_img2dataset(place(folder))


def test_a_gap_in_the_numbering_is_refused_unless_the_shards_were_listed(folder):
    # Case 18.
    for part in (".tar", ".parquet", "_stats.json"):
        (folder / f"00001{part}").unlink()
    with pytest.raises(Refusal, match="lacks 00001 between shards 00000 and 00002"):
        open_img2dataset(place(folder))
    listed = place(folder, explicit=True, names=("00000.parquet", "00000.tar", "00002.tar"))
    assert open_img2dataset(listed).shards == ("00000", "00002")


def test_names_of_different_width_are_refused(folder):
    for part in (".tar", ".parquet", "_stats.json"):
        (folder / f"00001{part}").rename(folder / f"000001{part}")
    with pytest.raises(Refusal, match="with 5 and with 6 digits"):
        open_img2dataset(place(folder))


@pytest.mark.parametrize(
    "text", ['{"successes": "4"}', '{"successes": -1}', "[]", "{", '{"successes": 1, "successes": 4}']
)
def test_stats_that_count_nothing_are_refused(folder, text):
    (folder / "00001_stats.json").write_text(text)
    with pytest.raises(Refusal, match=r"00001_stats\.json"):
        open_img2dataset(place(folder))


def test_shards_without_one_sample_are_refused(folder):
    for shard in ("00000", "00001", "00002"):
        (folder / f"{shard}_stats.json").write_text('{"successes": 0}')
    with pytest.raises(Refusal, match="holds 3 shards and not one sample"):
        open_img2dataset(place(folder))


def drop_everywhere(folder, *names):
    for shard in ("00000", "00001", "00002"):
        change_table(folder, lambda table: table.drop_columns(list(names)), shard)


def test_a_download_without_captions_is_a_corpus_of_pictures(folder):
    drop_everywhere(folder, "caption")
    source = open_img2dataset(place(folder))
    assert not source.captioned
    assert source.notes == ("There are no captions: 00000.parquet has no column 'caption'.",)
    assert [one.caption for one in source.stream("00001") if not isinstance(one, Bad)] == [""] * 4


def test_tables_that_ids_cannot_be_made_from_are_refused_with_what_is_needed(folder):
    drop_everywhere(folder, "uid", "url")
    with pytest.raises(Refusal, match="has none of the columns uid, hash and url: download with img2dataset"):
        open_img2dataset(place(folder))
    drop_everywhere(folder, "status")
    with pytest.raises(Refusal, match="has no column 'status' of strings: download with img2dataset"):
        open_img2dataset(place(folder))


def test_without_ids_they_are_made_of_address_and_caption_and_rows_without_one_are_set_aside(folder):
    drop_everywhere(folder, "uid")
    change_table(folder, with_column("url", pa.array(["http://4", None, " ", "http://7"])))
    source = open_img2dataset(place(folder))
    scanned, aside, kept, bads = read(source)
    assert scanned == kept == [KEYS[0], KEYS[3]]
    assert [(bad.row, bad.reason) for bad in aside] == [(1, "no url"), (2, "no url")]
    assert aside == bads
    uids = [uid for batch in source.scan("00001") for uid in batch.table["uid"].to_pylist()]
    assert uids == [hash_text(f"http://{row}", f"caption {row}") for row in (4, 7)]


def test_ids_of_another_type_are_passed_over_with_a_note(folder):
    for shard in ("00000", "00001", "00002"):
        change_table(folder, with_column("uid", pa.array(range(4))), shard)
        change_table(folder, with_column("url", pa.array(["http://a"] * 4)), shard)
    source = open_img2dataset(place(folder))
    assert source.identity == "url and caption"
    assert "column 'uid' of " in source.notes[0]
    assert read(source) == (KEYS, [], KEYS, [])
    drop_everywhere(folder, "url")
    with pytest.raises(Refusal, match=r"00000\.parquet has int64 in column 'uid', needed string: write the"):
        open_img2dataset(place(folder))


def test_shards_in_a_store_are_read_as_local_ones(folder):
    remote: Any = UPath("memory://img2dataset-corpus")
    remote.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        (remote / path.name).write_bytes(path.read_bytes())
    there = open_img2dataset(place(folder, root=remote))
    here = open_img2dataset(place(folder))
    assert list(there.stream("00001")) == list(here.stream("00001"))
    assert read(there) == read(here)
    assert there.identify("00001")["00001.tar"] == here.identify("00001")["00001.tar"]


def test_stats_of_the_tool_are_read_with_all_they_hold():
    stats = json.loads((FIXTURES / "img2dataset-raw" / "00000_stats.json").read_text())
    assert open_img2dataset(place(FIXTURES / "img2dataset-raw")).sizes[0] == stats["successes"]
