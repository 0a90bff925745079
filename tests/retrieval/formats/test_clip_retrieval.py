import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import hash_text
from oddpair.retrieval.formats.clip_retrieval import open_clip_retrieval
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import Bad

FIXTURE = Path(__file__).parents[2] / "fixtures" / "clip-retrieval"
WIDTH = 8


def unit(seed, rows, width=WIDTH):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def metadata(part, rows, **columns):
    return {
        "image_path": [f"{part:05d}{row:04d}" for row in range(rows)],
        "caption": [f"caption {row} of part {part}" for row in range(rows)],
        "url": [f"http://127.0.0.1/{part}/{row}.jpg" for row in range(rows)],
        **columns,
    }


def write_part(folder, part, image, text, columns, digits=1):
    """Write a part as clip-retrieval's NumpyWriter does: np.save of what the model gave, then pandas."""
    for kind, rows in (("img_emb", image), ("text_emb", text)):
        if rows is not None:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"{kind}_{part:0{digits}d}.npy", rows)
    (folder / "metadata").mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / "metadata" / f"metadata_{part:0{digits}d}.parquet")


@pytest.fixture
def written(tmp_path):
    """Three parts of 5, 6 and 7 rows."""
    folder = tmp_path / "out"
    for part, rows in enumerate((5, 6, 7)):
        write_part(folder, part, unit(part, rows), unit(part + 10, rows), metadata(part, rows))
    return folder


def opened(folder):
    return open_clip_retrieval(locate(folder))


def vectors_of(source):
    return [batch for shard in source.shards for batch in source.vectors(shard)]


def kept_and_bad(source, shard):
    """Count what a shard gives, by vectors and by metadata."""
    vectors, batches = list(source.vectors(shard)), list(source.scan(shard))
    return tuple(
        sum(kept) + sum(bad.rows for bad in bads)
        for kept, bads in (
            ([len(batch.uids) for batch in vectors], [bad for batch in vectors for bad in batch.bad]),
            ([len(batch.table) for batch in batches], [bad for batch in batches for bad in batch.bad]),
        )
    )


def test_what_clip_retrieval_itself_wrote_is_read_as_numpy_and_pandas_read_it():
    source = opened(FIXTURE)
    assert (source.layout, source.shards, source.sizes) == ("clip-retrieval", ("0", "1"), (5, 5))
    assert (source.captioned, source.pictures, source.embedded, source.encoder) == (True, False, True, "")
    for shard in source.shards:
        table = pd.read_parquet(FIXTURE / "metadata" / f"metadata_{shard}.parquet")
        (found,) = source.vectors(shard)
        assert found.keys == tuple(table["image_path"])
        assert found.captions == tuple(table["caption"])
        assert found.uids == tuple(map(hash_text, table["url"], table["caption"]))
        for rows, kind in ((found.image, "img_emb"), (found.text, "text_emb")):
            stored = np.load(FIXTURE / kind / f"{kind}_{shard}.npy").astype(np.float64)
            expected = stored / np.linalg.norm(stored, axis=1, keepdims=True)
            assert np.abs(rows - expected).max() < 1e-7
        assert found.bad == ()
        (batch,) = source.scan(shard, None)
        assert batch.table.column_names == ["uid", "key", *table.columns[1:3], *table.columns[4:]]
        for name in ("caption", "url", "exif", "sha256", "original_width"):
            assert batch.table[name].to_pylist() == table[name].tolist()


def test_types_that_pandas_inferred_part_by_part_become_one():
    source = opened(FIXTURE)
    tables = [batch.table for shard in source.shards for batch in source.scan(shard, None)]
    assert tables[0].schema == tables[1].schema
    assert tables[0].schema.field("error_message").type == pa.string()
    assert tables[0].schema.field("width").type == pa.float64()
    assert pa.concat_tables(tables)["width"].to_pylist().count(None) == 1


def test_a_source_can_be_handed_to_workers():
    source = opened(FIXTURE)
    assert pickle.loads(pickle.dumps(source)) == source


def test_columns_come_as_asked_for_and_no_others(written):
    source = opened(written)
    (batch,) = source.scan("1")
    assert batch.table.column_names == ["uid", "key", "caption"]
    (batch,) = source.scan("1", ["url", "image_path", "caption"])
    assert batch.table.column_names == ["uid", "key", "caption", "url", "image_path"]
    with pytest.raises(
        Refusal, match=r"metadata_1.parquet has no column 'hash', only image_path, caption, url"
    ):
        list(source.scan("1", ["hash"]))
    with pytest.raises(ValueError, match=r"no shard '3' in .*, which has 3 shards"):
        list(source.scan("3"))
    with pytest.raises(Refusal, match="embeddings and metadata, no pictures"):
        source.stream("1")


@pytest.mark.parametrize(
    ("extra", "identity", "uids"),
    [
        ({"uid": ["a", "b"], "hash": [1, 2]}, "uid", ("a", "b")),
        ({"hash": [1, -1]}, "hash", (f"{1:016x}", "f" * 16)),
        ({}, "url and caption", (hash_text("u", "one"), hash_text("v", "two"))),
        ({"url": None}, "key", ("x", "y")),
    ],
    ids=["uid", "hash", "url and caption", "image_path"],
)
@pytest.mark.parametrize("spelling", ["url", "URL"])
def test_ids_are_made_of_the_best_that_there_is(tmp_path, extra, identity, uids, spelling):
    columns = {"image_path": ["x", "y"], "caption": ["one", "two"], "url": ["u", "v"], **extra}
    columns = {
        {"url": spelling}.get(name, name): values for name, values in columns.items() if values is not None
    }
    write_part(tmp_path / "out", 0, unit(0, 2), unit(1, 2), columns)
    source = opened(tmp_path / "out")
    assert source.identity == identity
    (found,) = vectors_of(source)
    assert found.uids == uids
    if spelling in columns:
        (batch,) = source.scan("0", ["url"])
        assert batch.table["url"].to_pylist() == ["u", "v"]
        (batch,) = source.scan("0", None)
        assert batch.table.column_names.count("url") == 1
        assert "URL" not in batch.table.column_names


def test_without_anything_to_make_ids_of_a_corpus_is_refused(tmp_path):
    write_part(tmp_path / "out", 0, None, unit(0, 2), {"caption": ["one", "two"]})
    with pytest.raises(
        Refusal, match=r"metadata_0.parquet has only columns caption, needed one of uid, hash, url"
    ):
        opened(tmp_path / "out")


def test_ids_that_pandas_rounded_to_double_are_passed_over_with_a_note(tmp_path):
    for part, values in enumerate(([1, 2], [1.0, np.nan])):
        write_part(tmp_path / "out", part, unit(part, 2), None, metadata(part, 2, hash=values))
    source = opened(tmp_path / "out")
    assert source.identity == "url and caption"
    assert re.match(
        r"column 'hash' of .*metadata_0\.parquet is double, needed int64: ids are", source.notes[0]
    )
    rows = metadata(1, 2)
    assert vectors_of(source)[1].uids == tuple(map(hash_text, rows["url"], rows["caption"]))
    for part, values in enumerate(([1, 2], [1.0, np.nan])):
        columns = {"image_path": ["a", "b"], "caption": ["c", "d"], "hash": values}
        write_part(tmp_path / "out", part, unit(part, 2), None, columns)
    with pytest.raises(Refusal, match=r"has double in column 'hash', needed int64: write the table anew"):
        opened(tmp_path / "out")


def test_rows_without_an_address_are_set_aside_where_ids_are_made_of_it(tmp_path):
    columns = {"caption": ["logo"] * 3, "url": ["http://a", None, ""]}
    write_part(tmp_path / "out", 0, unit(0, 3), None, columns)
    (found,) = vectors_of(opened(tmp_path / "out"))
    assert found.uids == (hash_text("http://a", "logo"),)
    assert [(bad.row, bad.reason) for bad in found.bad] == [(1, "no url"), (2, "no url")]


def test_captions_alone_or_pictures_alone_are_enough(tmp_path):
    columns = metadata(0, 3)
    write_part(tmp_path / "texts", 0, None, unit(1, 3), {name: columns[name] for name in ("caption", "url")})
    (found,) = vectors_of(opened(tmp_path / "texts"))
    assert (found.image.shape, found.text.shape) == ((3, 0), (3, WIDTH))
    assert found.keys == ("0", "1", "2")
    write_part(tmp_path / "pictures", 0, unit(1, 3), None, {"image_path": columns["image_path"]})
    source = opened(tmp_path / "pictures")
    (found,) = vectors_of(source)
    assert (found.image.shape, found.text.shape) == ((3, WIDTH), (3, 0))
    assert not source.captioned
    assert (found.uids, found.captions) == (tuple(columns["image_path"]), ("", "", ""))


def test_embeddings_as_laion_published_them_are_read(written):
    for path in sorted(written.rglob("*_?.*")):
        path.rename(path.with_name(re.sub(r"_(\d)\.", r"_000\1.", path.name)))
    (written / "metadata").rename(written / "laion2B-en-metadata")
    source = opened(written)
    assert source.shards == ("0000", "0001", "0002")
    assert source.tables[2] == "laion2B-en-metadata/metadata_0002.parquet"
    assert len(vectors_of(source)) == 3


def test_remote_embeddings_are_read_as_local_ones(written):
    remote = UPath("memory://test_clip_retrieval/out")
    for path in written.rglob("*.*"):
        target = remote / path.relative_to(written).as_posix()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    source, local = opened(str(remote)), opened(written)
    assert source.sizes == local.sizes
    for here, there in zip(vectors_of(local), vectors_of(source), strict=True):
        assert here.uids == there.uids
        assert np.array_equal(here.image, there.image)
    assert source.identify("1") == local.identify("1")


def test_what_identifies_a_part_follows_its_content(written):
    source = opened(written)
    before = source.identify("1")
    assert list(before) == ["metadata/metadata_1.parquet", "img_emb/img_emb_1.npy", "text_emb/text_emb_1.npy"]
    np.save(written / "img_emb" / "img_emb_1.npy", unit(99, 6))
    after = source.identify("1")
    assert [name for name in before if before[name] != after[name]] == ["img_emb/img_emb_1.npy"]


def test_wide_rows_come_in_short_batches(written, monkeypatch):
    source = opened(written)
    (whole,) = source.vectors("2")
    monkeypatch.setattr("oddpair.retrieval.formats.arrays._BYTES_AT_ONCE", 2 * 4 * WIDTH)
    parts = list(source.vectors("2"))
    assert [len(part.uids) for part in parts] == [2, 2, 2, 1]
    assert np.array_equal(np.concatenate([part.image for part in parts]), whole.image)
    assert tuple(uid for part in parts for uid in part.uids) == whole.uids


def test_batches_give_the_rows_of_one_read(written, monkeypatch):
    source = opened(written)
    whole = vectors_of(source)
    monkeypatch.setattr("oddpair.retrieval.formats.parquet._BYTES_PER_BATCH", 1)
    parts = vectors_of(source)
    assert len(parts) == 18
    assert tuple(uid for batch in parts for uid in batch.uids) == tuple(
        u for batch in whole for u in batch.uids
    )
    for name in ("image", "text"):
        one, other = (np.concatenate([getattr(batch, name) for batch in found]) for found in (whole, parts))
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        pytest.param("img_emb", np.nan, "embedding holds NaN or an infinity", id="38-NaN-image"),
        pytest.param("text_emb", -np.inf, "embedding holds NaN or an infinity", id="38-infinite-text"),
        pytest.param("img_emb", 0, "embedding is 0 throughout", id="39-zero-image"),
        pytest.param("text_emb", 0, "embedding is 0 throughout", id="39-zero-text"),
    ],
)
def test_a_row_without_direction_is_set_aside_with_its_place(written, kind, value, reason):
    path = written / kind / f"{kind}_1.npy"
    rows = np.load(path)
    rows[4] = value
    np.save(path, rows)
    source = opened(written)
    (found,) = source.vectors("1")
    uid = hash_text("http://127.0.0.1/1/4.jpg", "caption 4 of part 1")
    assert found.bad == (Bad(file=f"{kind}/{kind}_1.npy", row=4, uid=uid, reason=reason),)
    assert uid not in found.uids
    others = [0, 1, 2, 3, 5]
    assert found.keys == tuple(metadata(1, 6)["image_path"][row] for row in others)
    assert np.abs(found.image - unit(1, 6)[others]).max() < 1e-3
    assert np.abs(found.text - unit(11, 6)[others]).max() < 1e-3
    assert [kept_and_bad(source, shard) for shard in source.shards] == [(5, 5), (6, 6), (7, 7)]


@settings(max_examples=40, deadline=None)
@given(blank=st.sets(st.integers(0, 8)), image=st.sets(st.integers(0, 8)), text=st.sets(st.integers(0, 8)))
def test_whatever_is_bad_the_good_rows_keep_their_vectors_and_nothing_is_lost(
    tmp_path_factory, blank, image, text
):
    folder = tmp_path_factory.mktemp("bad") / "out"
    columns = metadata(0, 9, uid=[str(row) for row in range(9)])
    columns["caption"] = [None if row in blank else f"{row}" for row in range(9)]
    pictures, captions = unit(0, 9), unit(1, 9)
    pictures[list(image)] = np.nan
    captions[list(text)] = 0
    write_part(folder, 0, pictures, captions, columns)
    (found,) = vectors_of(opened(folder))
    good = [row for row in range(9) if row not in blank | image | text]
    assert found.uids == tuple(str(row) for row in good)
    assert np.abs(found.image - unit(0, 9)[good]).max(initial=0) < 1e-3
    assert np.abs(found.text - unit(1, 9)[good]).max(initial=0) < 1e-3
    assert [bad.row for bad in found.bad] == sorted(blank | image | text)


@pytest.mark.parametrize("size", [5, 7, 0])
@pytest.mark.parametrize("kind", ["img_emb", "text_emb"])
def test_41_other_rows_in_an_array_than_in_its_table_are_refused_with_both_counts(written, kind, size):
    np.save(written / kind / f"{kind}_1.npy", unit(3, size))
    with pytest.raises(Refusal) as refused:
        opened(written)
    told = str(refused.value)
    assert f"{kind}_1.npy has {size} rows" in told or f"{kind}_1.npy has {size}, so" in told
    assert " 6" in told
    assert "so nothing says which belong together" in told


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (["metadata/metadata_1.parquet"], "lacks metadata/metadata_1.parquet, beside other parts"),
        (["img_emb/img_emb_0.npy"], "lacks img_emb/img_emb_0.npy, beside"),
        (["img_emb/img_emb_2.npy", "text_emb/text_emb_0.npy"], "lacks img_emb/img_emb_2.npy, text_emb/text_emb_0.npy"),
        (["img_emb/img_emb_1.npy", "text_emb/text_emb_1.npy", "metadata/metadata_1.parquet"], "parts 0 to 2 but not 1:"),
        ([f"metadata/metadata_{part}.parquet" for part in range(3)], "metadata_0.parquet, metadata/metadata_1"),
    ],
    ids=["42-middle-table", "42-first-image", "42-two", "42-middle-part", "42-all-tables"],
)  # fmt: skip
def test_missing_parts_are_refused_by_name(written, lost, told):
    for name in lost:
        (written / name).unlink()
    with pytest.raises(Refusal, match=re.escape(told)):
        opened(written)


def test_embeddings_without_a_row_are_refused(tmp_path):
    write_part(tmp_path / "out", 0, unit(0, 0), None, metadata(0, 0))
    with pytest.raises(Refusal, match="holds not one row that can be read"):
        opened(tmp_path / "out")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f2", ">f8"])
def test_43_other_floats_and_orders_are_read_as_the_same_rows(written, dtype, order):
    expected = vectors_of(opened(written))
    for kind in ("img_emb", "text_emb"):
        path = written / kind / f"{kind}_1.npy"
        np.save(path, np.array(np.load(path), dtype=dtype, order=order))
    for found, before in zip(vectors_of(opened(written)), expected, strict=True):
        assert np.array_equal(found.image, before.image)
        assert np.array_equal(found.text, before.text)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param(unit(0, 6, 4), "has rows of dimension", id="43-dimension"),
        pytest.param(np.ones((6, 8), dtype=np.int8), "holds '|i1', needed float16", id="43-integers"),
        pytest.param(
            np.ones(6, dtype=np.float16), "has shape (6,), needed (rows, dimension)", id="43-one-axis"
        ),
        pytest.param(np.full((6, 8), None), "holds pickled Python objects", id="45-objects"),
        pytest.param(
            unit(0, 6).astype(np.float32) * 9, "holds rows that are not of length 1 (6 of", id="47-length"
        ),
    ],
)
@pytest.mark.parametrize("kind", ["img_emb", "text_emb"])
def test_arrays_that_cannot_be_such_rows_are_refused(written, kind, rows, told):
    np.save(written / kind / f"{kind}_1.npy", rows)
    with pytest.raises(Refusal) as refused:
        vectors_of(opened(written))
    assert told in str(refused.value)
    assert kind in str(refused.value)


@pytest.mark.parametrize("size", [0, 1, 100, 127, 200])
def test_44_a_truncated_array_is_refused_at_opening(written, size):
    path = written / "img_emb" / "img_emb_2.npy"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        Refusal, match=r"img_emb_2.npy (is no .npy file|holds 72 bytes of data, .* needs 112)"
    ):
        opened(written)


def test_47_another_dimension_than_the_one_needed_is_refused(written):
    source = opened(written)
    assert len(next(source.vectors("0", width=WIDTH)).uids) == 5
    with pytest.raises(Refusal, match=r"holds rows of dimension 8, needed 512"):
        next(source.vectors("0", width=512))


def test_35_a_table_without_a_footer_sets_its_whole_part_aside(written):
    path = written / "metadata" / "metadata_1.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    source = opened(written)
    assert source.sizes == (5, 6, 7)
    for found in (*source.vectors("1"), *source.scan("1", ["url"])):
        (bad,) = found.bad
        assert (bad.file, bad.row, bad.rows) == ("metadata/metadata_1.parquet", 0, 6)
        assert "no parquet file, or damaged" in bad.reason
    assert [kept_and_bad(source, shard) for shard in source.shards] == [(5, 5), (6, 6), (7, 7)]
    for part in (0, 2):
        (written / "metadata" / f"metadata_{part}.parquet").write_bytes(b"<html>")
    with pytest.raises(Refusal, match="holds not one row that can be read"):
        opened(written)


def test_35_a_damaged_page_sets_the_rest_of_its_part_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.retrieval.formats.parquet._BYTES_PER_BATCH", 1)
    folder, rows = tmp_path / "out", 40
    write_part(folder, 0, unit(0, rows), None, metadata(0, rows))
    path = folder / "metadata" / "metadata_0.parquet"
    pq.write_table(
        pq.read_table(path), path, row_group_size=10, write_page_checksum=True, use_dictionary=False
    )
    data = bytearray(path.read_bytes())
    captions = pq.ParquetFile(path).metadata.row_group(2).column(1)
    data[captions.data_page_offset + captions.total_compressed_size - 5] ^= 0xFF
    path.write_bytes(data)
    source = opened(folder)
    found = list(source.vectors("0"))
    (bad,) = found[-1].bad
    kept = sum(len(batch.uids) for batch in found)
    assert kept + bad.rows == rows
    assert 0 < bad.row == kept <= 20
    assert np.abs(np.concatenate([batch.image for batch in found]) - unit(0, rows)[:kept]).max() < 1e-3
    assert kept_and_bad(source, "0") == (rows, rows)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        pytest.param(
            {"width": ["a", "b"]},
            "has large_string in column 'width', .*metadata_0.parquet has int64",
            id="36-type",
        ),
        pytest.param({"more": [1, 2]}, "metadata_0.parquet has no column 'more', which", id="36-one-more"),
        pytest.param({"width": None}, "metadata_1.parquet has no column 'width', which", id="36-one-less"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(tmp_path, columns, told):
    write_part(tmp_path / "out", 0, unit(0, 2), None, metadata(0, 2, width=[1, 2]))
    table = {**metadata(1, 2, width=[1, 2]), **columns}
    table = {name: values for name, values in table.items() if values is not None}
    write_part(tmp_path / "out", 1, unit(1, 2), None, table)
    with pytest.raises(Refusal, match=told):
        opened(tmp_path / "out")


@pytest.mark.parametrize("rows", [4, 6])
def test_a_table_that_changes_after_opening_is_refused(written, rows):
    source = opened(written)
    columns = metadata(0, rows)
    pd.DataFrame(columns).to_parquet(written / "metadata" / "metadata_0.parquet")
    for read in (source.scan, source.vectors):
        with pytest.raises(
            Refusal, match=r"metadata_0.parquet had 5 rows when it was opened, and has others"
        ):
            list(read("0"))


def test_a_column_that_changes_after_opening_is_refused(written):
    source = opened(written)
    columns = metadata(0, 5, url=[1, 2, 3, 4, 5])
    pd.DataFrame(columns).to_parquet(written / "metadata" / "metadata_0.parquet")
    with pytest.raises(
        Refusal, match=r"metadata_0.parquet has int64 in column 'url', it had string when it was"
    ):
        list(source.vectors("0"))


def test_what_oddpair_embed_writes_is_checked_against_its_manifest(written):
    manifest = {
        "encoder": "m",
        "encoder_sha256": "ab" * 32,
        "rows": [5, 6, 7],
        "dimensions": {"img_emb": WIDTH, "text_emb": WIDTH, "texture": 99},
    }
    files.write_json(written / "manifest.json", manifest)
    source = opened(written)
    assert source.encoder == "ab" * 32
    assert replace(source, encoder="") == replace(opened(written), encoder="")
    changes: list[tuple[str, object]] = [
        ("rows", [5, 6, 8]),
        ("rows", [5, 6]),
        ("rows", None),
        ("dimensions", {"img_emb": WIDTH}),
        ("dimensions", {"img_emb": WIDTH, "text_emb": 9}),
        ("dimensions", []),
    ]
    for name, value in changes:
        files.write_json(written / "manifest.json", {**manifest, name: value})
        with pytest.raises(
            Refusal, match=r"of other parts than these 3 with 18 rows of dimension 8: embed again"
        ):
            opened(written)
    (written / "manifest.json").write_text("{")
    with pytest.raises(Refusal, match=r"manifest.json cannot be read as JSON"):
        opened(written)
    (written / "manifest.json").write_text(json.dumps({"name": "of somebody else"}))
    assert opened(written).encoder == ""


def test_an_embedding_run_that_was_interrupted_is_refused(written):
    files.write_json(written / "inputs.json", {})
    with pytest.raises(Refusal, match="was not embedded to its end: run oddpair embed again"):
        opened(written)
    files.write_json(written / "done.json", {})
    assert opened(written).sizes == (5, 6, 7)
