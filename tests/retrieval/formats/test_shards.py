import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval.formats.downloads import read_successes
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.shards import make_keys, write_shard, write_sizes
from oddpair.retrieval.formats.tars import open_tar, read_member
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import NO_CAPTION, Sample

CAPTIONS = ["a cat", "", "ein Bär, größer", "two\nlines", "=cmd <b>"]


def picture(seed, kind="PNG", size=(9, 7)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


IMAGES = [picture(0, "JPEG"), picture(1), picture(2, "WEBP"), picture(3, size=(4, 5)), picture(4)]
COLUMNS = pa.table(
    {
        "uid": [f"{row:032x}" for row in range(5)],
        "concepts": [["cat"], [], ["bear"], ["a", "b"], []],
        "similarity": pa.array([0.5, float("nan"), float("inf"), None, 1.0], pa.float32()),
    }
)


def write(folder, index=0, **changes):
    given = {"keys": make_keys(index, 5), "captions": CAPTIONS, "images": IMAGES, "columns": COLUMNS}
    write_shard(folder, index, **{**given, **changes})


def rewrite_table(folder, change, shard="00000"):
    path = folder / f"{shard}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def samples_of(path):
    """Key and members of each sample of a tar."""
    with open_tar(path) as (index, file):
        return [
            (entry.key, {suffix: read_member(file, span) for suffix, span in entry.members.items()})
            for entry in index.entries
        ]


def members_of(folder):
    return [
        (f"{key}.{suffix}", data)
        for key, members in samples_of(folder / "00000.tar")
        for suffix, data in members.items()
    ]


def replace_column(name, values):
    return lambda table: table.set_column(table.column_names.index(name), name, values)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


def read_table(folder):
    return pq.read_table(folder / "00000.parquet")


def test_rows_come_back_as_they_were_written_but_for_one_without_a_caption(folder):
    source = open_img2dataset(locate(folder))
    found = list(source.stream("00000"))
    samples = [item for item in found if isinstance(item, Sample)]
    kept = [row for row, caption in enumerate(CAPTIONS) if caption]
    assert [sample.image for sample in samples] == [IMAGES[row] for row in kept]
    assert [sample.caption for sample in samples] == [CAPTIONS[row] for row in kept]
    assert [sample.key for sample in samples] == [make_keys(0, 5)[row] for row in kept]
    assert [item.reason for item in found if not isinstance(item, Sample)] == [NO_CAPTION]
    (batch,) = source.scan("00000", ["concepts"])
    assert batch.table["concepts"].to_pylist() == [COLUMNS["concepts"][row].as_py() for row in kept]


def test_the_table_has_the_columns_and_types_of_img2dataset(folder):
    schema = pq.read_schema(folder / "00000.parquet")
    assert [(field.name, str(field.type)) for field in schema] == [
        ("uid", "string"),
        ("concepts", "list<element: string>"),
        ("similarity", "float"),
        ("caption", "string"),
        ("url", "string"),
        ("key", "string"),
        ("status", "string"),
        ("error_message", "string"),
        ("width", "int32"),
        ("height", "int32"),
        ("original_width", "int32"),
        ("original_height", "int32"),
        ("exif", "string"),
        ("sha256", "string"),
    ]


def test_made_columns_describe_the_stored_picture(folder):
    row = read_table(folder).slice(3, 1).to_pylist()[0]
    assert (row["width"], row["height"], row["original_width"], row["original_height"]) == (4, 5, 4, 5)
    assert row["sha256"] == hashlib.sha256(IMAGES[3]).hexdigest()
    assert (row["url"], row["status"], row["error_message"], row["exif"]) == ("", "success", None, "{}")


def test_given_columns_of_img2dataset_are_kept_where_they_speak_of_the_original(tmp_path):
    columns = pa.table(
        {"url": list("abcde"), "original_width": [1, 2, 3, 4, 5], "width": [0] * 5, "sha256": ["x"] * 5}
    )
    write(tmp_path, columns=columns)
    table = read_table(tmp_path)
    assert table["url"].to_pylist() == list("abcde")
    assert table["original_width"].to_pylist() == [1, 2, 3, 4, 5]
    assert table["original_width"].type == pa.int32()
    assert table["width"].to_pylist() == [9, 9, 9, 4, 9]
    assert "x" not in table["sha256"].to_pylist()


def test_members_lie_in_the_order_jpg_json_txt_and_json_holds_the_row(folder):
    samples = samples_of(folder / "00000.tar")
    assert [list(members) for _, members in samples[:3]] == [
        ["jpg", "json", "txt"],
        ["png", "json", "txt"],
        ["webp", "json", "txt"],
    ]
    values = json.loads(samples[2][1]["json"])
    assert list(values) == sorted(values)
    table = read_table(folder)
    assert set(values) == set(table.column_names)
    assert values["caption"] == "ein Bär, größer"
    assert values["concepts"] == ["bear"]


def test_numbers_that_json_lacks_are_null_in_json_and_kept_in_the_table(folder):
    def refuse(name):
        raise AssertionError(name)

    samples = samples_of(folder / "00000.tar")
    values = [json.loads(members["json"], parse_constant=refuse)["similarity"] for _, members in samples]
    assert values == [0.5, None, None, None, 1.0]
    assert np.isinf(read_table(folder)["similarity"][2].as_py())


def test_stats_count_the_rows_and_hold_no_time(folder):
    assert json.loads((folder / "00000_stats.json").read_text()) == {
        "count": 5,
        "successes": 5,
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "duration": 0,
        "start_time": 0,
        "end_time": 0,
        "status_dict": {"success": 5},
    }


def test_the_same_rows_give_the_same_bytes(folder, tmp_path):
    write(tmp_path / "again", columns=COLUMNS.slice(0))
    for name in ("00000.tar", "00000.parquet", "00000_stats.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_webdataset_reads_what_was_written(folder):
    import webdataset

    samples = list(webdataset.WebDataset(str(folder / "00000.tar"), shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == list(make_keys(0, 5))
    assert [sample["txt"] for sample in samples] == CAPTIONS
    assert samples[3]["png"].size == (4, 5)
    assert samples[0]["json"]["concepts"] == ["cat"]


def test_a_shard_of_no_rows_is_written_and_read(tmp_path):
    write_shard(tmp_path, 0, keys=[], captions=[], images=[], columns=pa.table({}))
    assert (read_table(tmp_path).num_rows, samples_of(tmp_path / "00000.tar")) == (0, [])
    assert read_successes(tmp_path, "00000") == 0


@pytest.mark.parametrize(
    "text", ['{"successes": -4}', '{"successes": "5"}', '{"successes": true}', "[]", "{}", "{"]
)
def test_stats_that_do_not_count_are_refused(folder, text):
    (folder / "00000_stats.json").write_text(text)
    with pytest.raises(Refusal, match=r"00000_stats\.json"):
        read_successes(folder, "00000")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"captions": CAPTIONS[:4]}, "5 keys, 4 captions, 5 images and 5 rows"),
        ({"columns": COLUMNS.slice(1)}, "5 captions, 5 images and 4 rows"),
        ({"keys": ["1", "2", "3", "4", "4"]}, "5 keys, only 4 of them distinct"),
        ({"keys": ["1", "2", "3", "4", "a.b"]}, r"key 'a\.b' is empty or holds a dot"),
        ({"columns": COLUMNS.append_column("caption", [CAPTIONS])}, "columns hold 'caption'"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_an_error(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extension": "png"}, "picture with key 000000000 is JPEG, needed png; convert it"),
        ({"images": [*IMAGES[:4], picture(1, "GIF")]}, "key 000000004 is GIF, needed jpg, png or webp"),
        ({"images": [*IMAGES[:4], b"<html>"]}, "key 000000004 cannot be read"),
        ({"columns": pa.table({"x": [b"a"] * 5})}, "column 'x' has type binary, which the json"),
    ],
)
def test_rows_that_a_shard_cannot_hold_are_refused_with_nothing_published(tmp_path, changes, message):
    with pytest.raises(Refusal, match=message):
        write(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_keys_are_shard_and_row_with_leading_zeros():
    assert make_keys(12, 2) == ("000120000", "000120001")
    assert make_keys(3, 2, rows_per_shard=1000) == ("00003000", "00003001")
    assert make_keys(3, 2, rows_per_shard=1500) == ("000030000", "000030001")
    with pytest.raises(ValueError, match="3 rows in a shard of 2"):
        make_keys(0, 3, rows_per_shard=2)


def test_sizes_are_written_where_open_clip_looks(tmp_path):
    write_sizes(tmp_path, {"00000.tar": 5})
    assert json.loads((tmp_path / "sizes.json").read_text()) == {"00000.tar": 5}
    with pytest.raises(ValueError, match="'00000' is not the name of a tar"):
        write_sizes(tmp_path, {"00000": 5})
