import hashlib
import io
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from upath import UPath

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import hash_text
from oddpair.retrieval.formats.image_parquet import open_image_parquet, write_image_parquet
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import Bad, Sample

FIXTURES = Path(__file__).parents[2] / "fixtures"


def picture(seed, kind="JPEG", size=(9, 7)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def download(folder, shard="00000", rows=6, *, raw=True, name="jpg", stats=None, **changes):
    """Write a shard as img2dataset does, with its third row a failure and its sixth without a caption."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = [row == 2 for row in range(rows)]
    images = [None if bad else picture(row) for row, bad in enumerate(failed)]

    def made(values, kind):
        return pa.array([None if bad else value for value, bad in zip(values, failed, strict=True)], kind)

    size = [None if raw else 9] * rows
    columns = {
        "similarity": pa.array([0.5] * rows, pa.float64()),
        "caption": [None if row == 5 else f"caption {row}" for row in range(rows)],
        "url": [f"http://{shard}/{row}" for row in range(rows)],
        "key": [f"{shard}{row:04d}" for row in range(rows)],
        "status": ["failed_to_download" if bad else "success" for bad in failed],
        "error_message": pa.array(["HTTP Error 404" if bad else None for bad in failed], pa.string()),
        **{one: made(size, pa.int32()) for one in ("width", "height", "original_width", "original_height")},
        "exif": made(["{}"] * rows, pa.string()),
        "sha256": made([hashlib.sha256(image or b"").hexdigest() for image in images], pa.string()),
        name: made(images, pa.binary()),
        **changes,
    }
    columns = {one: values for one, values in columns.items() if values is not None}
    pq.write_table(pa.table(columns), folder / f"{shard}.parquet", row_group_size=100)
    successes = rows - sum(failed) if stats is None else stats
    (folder / f"{shard}_stats.json").write_text(json.dumps({"count": rows, "successes": successes}))
    return folder


def read(source, shard="00000", columns=()):
    batches = list(source.scan(shard, columns))
    return pa.concat_tables([batch.table for batch in batches]), [
        bad for batch in batches for bad in batch.bad
    ]


def pull(source, shard="00000"):
    found = list(source.stream(shard))
    samples = [one for one in found if isinstance(one, Sample)]
    bad = [one for one in found if isinstance(one, Bad)]
    assert len(samples) + sum(one.rows for one in bad) == source.sizes[source.shards.index(shard)]
    return samples, bad


@pytest.mark.parametrize("shard", ["00000", "00001"])
def test_what_img2dataset_wrote_is_read(shard):
    folder = FIXTURES / "img2dataset-parquet"
    source = open_image_parquet(locate(folder))
    table = pq.read_table(folder / f"{shard}.parquet")
    good = [row for row in table.to_pylist() if row["status"] == "success" and row["caption"]]
    rows, bad = read(source, shard, None)
    assert rows["key"].to_pylist() == [row["key"] for row in good]
    assert rows.num_rows + len(bad) == source.sizes[source.shards.index(shard)]
    assert set(rows.column_names) == {"uid", *table.column_names} - {"jpg"}
    samples, lost = pull(source, shard)
    assert [(one.key, one.caption, one.image) for one in samples] == [
        (row["key"], row["caption"], row["jpg"]) for row in good
    ]
    assert [one.uid for one in samples] == [hash_text(row["url"], row["caption"]) for row in good]
    assert lost == bad


@pytest.mark.parametrize("name", ["jpg", "png", "webp"])
def test_failures_are_left_out_and_rows_without_captions_set_aside(tmp_path, name):
    source = open_image_parquet(locate(download(tmp_path / "c", name=name)))
    assert (source.picture, source.sizes) == (name, (5,))
    samples, bad = pull(source)
    assert [one.image for one in samples] == [picture(row) for row in (0, 1, 3, 4)]
    assert [one.key for one in samples] == [f"00000{row:04d}" for row in (0, 1, 3, 4)]
    assert [(one.row, one.reason, one.uid) for one in bad] == [
        (5, "no caption", hash_text("http://00000/5", ""))
    ]
    rows, same = read(source, columns=["url", "similarity"])
    assert rows["uid"].to_pylist() == [one.uid for one in samples]
    assert rows.column_names == ["uid", "key", "caption", "url", "similarity"]
    assert same == bad


@pytest.mark.parametrize(
    ("columns", "made"),
    [
        ({"uid": list("abcdef"), "hash": list(range(6))}, "abde"),
        (
            {"hash": pa.array([10, 11, 12, 13, 14, 15], pa.int64())},
            [f"{value:016x}" for value in (10, 11, 13, 14)],
        ),
    ],
)
def test_ids_that_the_table_brings_are_used(tmp_path, columns, made):
    source = open_image_parquet(locate(download(tmp_path / "c", **columns)))
    assert [one.uid for one in pull(source)[0]] == list(made)


def test_pictures_without_captions_are_a_corpus(tmp_path):
    folder = download(tmp_path / "c")
    path = folder / "00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["caption"]), path)
    source = open_image_parquet(locate(folder))
    assert not source.captioned
    samples, bad = pull(source)
    assert [one.caption for one in samples] == [""] * 5
    assert not bad


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "sha512"])
def test_7_a_picture_that_changed_is_set_aside_by_its_hash(tmp_path, algorithm):
    images = [b"" if row == 2 else picture(row) for row in range(6)]
    hashes = pa.array([hashlib.new(algorithm, image).hexdigest() for image in images])
    images[3] = images[3][:-20] + b"!" + images[3][-19:]
    folder = download(tmp_path / "c", jpg=pa.array(images, pa.binary()), sha256=hashes)
    path = folder / "00000.parquet"
    table = pq.read_table(path)
    pq.write_table(
        table.rename_columns([algorithm if name == "sha256" else name for name in table.column_names]), path
    )
    samples, bad = pull(open_image_parquet(locate(folder)))
    assert [one.key[-1] for one in samples] == ["0", "1", "4"]
    assert (bad[-1].row, bad[-1].file) == (3, "00000.parquet")
    assert bad[-1].reason == f"the picture has another {algorithm} than its row says"
    assert bad[-1].uid == hash_text("http://00000/3", "caption 3")


def test_hashes_of_downloads_that_were_encoded_anew_say_nothing(tmp_path):
    wrong = pa.array([None if row == 2 else "0" * 64 for row in range(6)])
    source = open_image_parquet(locate(download(tmp_path / "c", raw=False, sha256=wrong)))
    assert len(pull(source)[0]) == 4


def test_a_success_without_a_picture_is_set_aside(tmp_path):
    images = pa.array([None, b"", None, picture(3), picture(4), picture(5)], pa.binary())
    samples, bad = pull(open_image_parquet(locate(download(tmp_path / "c", jpg=images))))
    assert [one.image for one in samples] == [picture(3), picture(4)]
    assert [(one.row, one.reason) for one in bad if one.row != 5] == [
        (0, "no picture, though its status is success"),
        (1, "no picture, though its status is success"),
    ]


@pytest.mark.parametrize(
    ("stats", "kept", "lost", "reason"),
    [
        # img2dataset counts a success before it writes the row, and may then fail to.
        pytest.param(7, 4, 2, "lists 5 rows with status success, the stats count 7", id="stats-count-more"),
        pytest.param(4, 0, 4, "lists 5 rows with status success, the stats count 4", id="stats-count-fewer"),
    ],
)
def test_a_table_that_does_not_agree_with_its_stats_is_set_aside(tmp_path, stats, kept, lost, reason):
    source = open_image_parquet(locate(download(tmp_path / "c", stats=stats)))
    samples, bad = pull(source)
    assert len(samples) == kept
    assert (bad[-1].rows, bad[-1].reason) == (lost, reason)
    assert read(source)[1] == bad


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[:-9], id="35-cut"),
        pytest.param(lambda data: b"<html>", id="35-html"),
        pytest.param(lambda data: b"", id="35-empty"),
    ],
)
def test_a_damaged_table_is_set_aside_with_the_successes_of_its_stats(tmp_path, change):
    folder = download(download(tmp_path / "c"), "00001")
    path = folder / "00000.parquet"
    path.write_bytes(change(path.read_bytes()))
    source = open_image_parquet(locate(folder))
    samples, (bad,) = pull(source)
    assert (samples, bad.rows, bad.file) == ([], 5, "00000.parquet")
    assert bad.reason.startswith("no parquet file, or damaged (")
    assert read(source)[0].schema.equals(read(source, "00001")[0].schema)
    assert len(pull(source, "00001")[0]) == 4


def test_35_a_damaged_page_of_pictures_costs_the_rest_of_the_shard(tmp_path):
    rows = 1000
    images = [picture(row) for row in range(rows)]
    keys = [f"{row:09d}" for row in range(rows)]
    columns = pa.table({"url": keys})
    write_image_parquet(tmp_path, 0, keys=keys, captions=keys, images=images, columns=columns)
    path = tmp_path / "00000.parquet"
    data = bytearray(path.read_bytes())
    index = pq.read_schema(path).names.index("jpg")
    data[pq.read_metadata(path).row_group(7).column(index).data_page_offset + 200] ^= 8
    path.write_bytes(data)
    samples, bad = pull(open_image_parquet(locate(tmp_path)))
    assert len(bad) == 1
    assert bad[0].row == rows - bad[0].rows == len(samples)
    assert [one.image for one in samples] == images[: len(samples)]
    # Without the pictures nothing is amiss.
    assert read(open_image_parquet(locate(tmp_path)))[0].num_rows == rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"caption": pa.array([1] * 6)},
            "00001.parquet has int64 in column 'caption', .*00000.parquet has string",
            id="36-type",
        ),
        pytest.param(
            {"url": None},
            "00001.parquet has no column 'url', which .*00000.parquet has",
            id="36-column",
        ),
    ],
)
def test_shards_with_other_columns_are_refused(tmp_path, changes, message):
    source = open_image_parquet(locate(download(download(tmp_path / "c"), "00001", **changes)))
    for reading in (source.scan("00001"), source.stream("00001")):
        with pytest.raises(Refusal, match=message):
            list(reading)


def test_columns_that_nobody_asks_for_may_differ(tmp_path):
    other = {"similarity": pa.array(["high"] * 6), "exif": None, "more": pa.array([1] * 6)}
    source = open_image_parquet(locate(download(download(tmp_path / "c"), "00001", **other)))
    assert read(source, "00001")[0]["key"].to_pylist() == [f"00001000{row}" for row in (0, 1, 3, 4)]
    assert [one.key for one in pull(source, "00001")[0]] == [f"00001000{row}" for row in (0, 1, 3, 4)]
    with pytest.raises(Refusal, match=r"00001.parquet has string in column 'similarity'"):
        read(source, "00001", ["similarity"])
    with pytest.raises(Refusal, match=r"00001.parquet has no column 'exif'"):
        read(source, "00001", ["exif"])
    with pytest.raises(Refusal, match=r"00001.parquet has "):
        read(source, "00001", None)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.null()])
def test_numbers_that_were_inferred_otherwise_in_one_shard_take_the_wider_type(tmp_path, kind):
    values = pa.nulls(6) if pa.types.is_null(kind) else pa.array([9] * 6, kind)
    source = open_image_parquet(locate(download(download(tmp_path / "c"), "00001", original_width=values)))
    wide = pa.int32() if pa.types.is_null(kind) else kind
    assert read(source, "00001", ["original_width"])[0].schema.field("original_width").type == wide


def test_36_a_column_that_is_null_in_one_shard_is_no_drift(tmp_path):
    folder = download(download(tmp_path / "c"), "00001", similarity=pa.nulls(6))
    rows, _ = read(open_image_parquet(locate(folder)), "00001", ["similarity"])
    assert rows.schema.field("similarity").type == pa.float64()


def test_18_a_gap_in_the_numbering_is_refused_unless_files_are_listed(tmp_path):
    folder = tmp_path / "c"
    for shard in ("00000", "00001", "00003"):
        download(folder, shard)
    with pytest.raises(Refusal, match="lacks 00002 between shards 00000 and 00003"):
        open_image_parquet(locate(folder))
    source = open_image_parquet(locate(f"{folder}/{{00000,00003}}.parquet"))
    assert source.shards == ("00000", "00003")


@pytest.mark.parametrize("name", ["00001.parquet", "00001_stats.json"])
def test_18_a_missing_part_of_a_shard_is_refused(tmp_path, name):
    folder = download(download(tmp_path / "c"), "00001")
    (folder / name).unlink()
    with pytest.raises(Refusal, match=rf"lacks {name} beside the other parts of the shard"):
        open_image_parquet(locate(folder))


def rename(folder, name, other):
    (folder / name).rename(folder / other)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no shard such as 00000.parquet"),
        (lambda folder: download(folder, "000001"), "names shards with 5 and with 6 digits"),
        (lambda folder: download(folder, stats=0), "holds 1 shards and not one sample"),
        (lambda folder: download(folder, name="gif"), "has no column jpg, png or webp of pictures"),
        (lambda folder: download(folder, key=list(range(6))), "has no column 'key' of strings"),
        (lambda folder: (folder / "00000.parquet").write_bytes(b""), "has no table that can be read"),
    ],
)
def test_a_folder_that_is_no_such_corpus_is_refused(tmp_path, spoil, message):
    folder = download(tmp_path / "c")
    spoil(folder)
    with pytest.raises(Refusal, match=message):
        open_image_parquet(locate(folder))


def test_ids_of_another_type_are_passed_over_with_a_note(tmp_path):
    source = open_image_parquet(locate(download(tmp_path / "c", uid=pa.array(range(6)))))
    assert source.identity == "url and caption"
    assert re.match(r"column 'uid' of .*00000\.parquet is int64, needed string", source.notes[0])
    assert next(one.uid for one in pull(source)[0]) == hash_text("http://00000/0", "caption 0")


def test_rows_without_anything_to_make_ids_from_are_refused(tmp_path):
    folder = download(tmp_path / "c")
    path = folder / "00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["url"]), path)
    with pytest.raises(Refusal, match="none of the columns uid, hash and url"):
        open_image_parquet(locate(folder))


def test_a_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"has no column 'punsafe', only 'similarity', 'caption'"):
        list(open_image_parquet(locate(download(tmp_path / "c"))).scan("00000", ["punsafe"]))


def test_a_remote_folder_is_read_and_the_source_can_be_sent_to_workers(tmp_path):
    folder = download(tmp_path / "c")
    remote = UPath("memory://image-parquet")
    remote.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        (remote / path.name).write_bytes(path.read_bytes())
    there = pickle.loads(pickle.dumps(open_image_parquet(locate("memory://image-parquet"))))
    assert list(there.stream("00000")) == list(open_image_parquet(locate(folder)).stream("00000"))


def test_a_shard_says_when_it_changed(tmp_path):
    folder = download(tmp_path / "c")
    before = open_image_parquet(locate(folder)).identify("00000")
    assert before["00000_stats.json"] == "5 successes"
    download(folder, similarity=pa.array([0.75] * 6))
    after = open_image_parquet(locate(folder)).identify("00000")
    assert [name for name in before if before[name] != after[name]] == ["00000.parquet"]


KEYS = ["000000000", "000000001", "000000002"]
IMAGES = [picture(0), picture(1, "PNG", (3, 4)), picture(2, "WEBP")]


def write(folder, **changes):
    given = {
        "keys": KEYS,
        "captions": list("abc"),
        "images": IMAGES,
        "columns": pa.table({"uid": list("xyz")}),
    }
    write_image_parquet(folder, 3, **{**given, **changes})


def test_what_is_written_has_the_columns_of_img2dataset_and_is_read_back(tmp_path):
    write(tmp_path)
    theirs = pq.read_schema(FIXTURES / "img2dataset-parquet" / "00000.parquet")
    ours = pq.read_schema(tmp_path / "00003.parquet")
    assert ours.names == ["uid", *theirs.names]
    assert [field.type for field in ours][1:] == [field.type for field in theirs]
    stats = json.loads((tmp_path / "00003_stats.json").read_text())
    assert list(stats) == sorted(
        json.loads((FIXTURES / "img2dataset-parquet" / "00000_stats.json").read_text())
    )
    samples, bad = pull(open_image_parquet(locate(tmp_path)), "00003")
    assert [(one.uid, one.key, one.caption, one.image) for one in samples] == list(
        zip("xyz", KEYS, "abc", IMAGES, strict=True)
    )
    assert not bad
    rows, _ = read(open_image_parquet(locate(tmp_path)), "00003", ["width", "height"])
    assert rows["width"].to_pylist() == [9, 3, 9]
    assert rows["height"].to_pylist() == [7, 4, 7]


def test_20_a_picture_of_ours_that_changed_is_set_aside_though_its_width_is_known(tmp_path):
    write(tmp_path)
    path = tmp_path / "00003.parquet"
    table = pq.read_table(path)
    swapped = [IMAGES[1], IMAGES[0], IMAGES[2]]
    pq.write_table(
        table.set_column(table.column_names.index("jpg"), "jpg", pa.array(swapped, pa.binary())), path
    )
    samples, bad = pull(open_image_parquet(locate(tmp_path)), "00003")
    assert [one.uid for one in samples] == ["z"]
    assert [one.row for one in bad] == [0, 1]


def test_the_same_rows_give_the_same_bytes_in_groups_of_a_hundred(tmp_path):
    keys = [f"{row:09d}" for row in range(250)]
    for folder in ("a", "b"):
        write(
            tmp_path / folder,
            keys=keys,
            captions=keys,
            images=[IMAGES[0]] * 250,
            columns=pa.table({"url": keys}),
        )
    first, second = (tmp_path / folder / "00003.parquet" for folder in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert pq.read_metadata(first).num_row_groups == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": KEYS[:2]}, "2 keys, 2 of them distinct, 3 captions"),
        ({"keys": ["1", "1", "2"]}, "3 keys, 2 of them distinct"),
        ({"columns": pa.table({"jpg": [1, 2, 3]})}, "columns hold 'jpg'"),
        ({"columns": pa.table({"key": [1, 2, 3]})}, "columns hold 'key'"),
    ],
)
def test_parts_that_do_not_fit_are_an_error(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    with pytest.raises(Refusal, match="the picture with key 000000001 cannot be read"):
        write(tmp_path, images=[IMAGES[0], b"<html>", IMAGES[2]])
