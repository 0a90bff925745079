import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.formats.datacomp import DatacompSource, open_datacomp, write_datacomp
from oddpair.retrieval.places import locate

FIXTURE = Path(__file__).parents[2] / "fixtures" / "datacomp"
NAMES = tuple(f"{value:032x}" for value in (0xA, 0xB, 0xC))
WIDTHS = {"b32_img": 512, "b32_txt": 512, "l14_img": 768, "l14_txt": 768}


def make_table(rows, seed=0, captions=None):
    return pa.table(
        {
            "uid": [f"{seed:016x}{row:016x}" for row in range(rows)],
            "url": [f"http://{row}" for row in range(rows)],
            "text": captions or [f"caption {row}" for row in range(rows)],
            "original_width": pa.array([640] * rows, pa.int64()),
            "original_height": pa.array([480] * rows, pa.int64()),
            "clip_b32_similarity_score": pa.array([0.25] * rows, pa.float32()),
            "clip_l14_similarity_score": pa.array([0.5] * rows, pa.float32()),
            "face_bboxes": pa.array([[[0.0, 0.1, 0.5, 0.6]]] * rows, pa.list_(pa.list_(pa.float64()))),
            "sha256": [f"{row:064x}" for row in range(rows)],
        }
    )


def make_arrays(rows, seed=0, dtype=np.float16, **changes):
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, width in WIDTHS.items():
        values = rng.standard_normal((rows, width))
        arrays[name] = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(dtype)
    arrays["dedup"] = rng.standard_normal((rows, 8)).astype(np.float32)
    return {**arrays, **changes}


def write(folder, name, table, arrays=None, save=np.savez):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"{name}.parquet")
    if arrays is not None:
        save(folder / f"{name}.npz", **arrays)
    return folder


def read_rows(source, shard, columns=()):
    return pa.concat_tables([batch.table for batch in source.scan(shard, columns)])


def open_embedded(path):
    source = open_datacomp(locate(path))
    assert isinstance(source, DatacompSource)
    assert source.embedded
    return source


@pytest.fixture
def embedded(tmp_path):
    for seed, name in enumerate(NAMES):
        write(tmp_path / "d", name, make_table(3 + seed, seed), make_arrays(3 + seed, seed))
    return tmp_path / "d"


def test_the_fixture_is_read():
    source = open_embedded(FIXTURE)
    assert (source.layout, source.embedded, source.pictures) == ("datacomp", True, False)
    for shard, size in zip(source.shards, source.sizes, strict=True):
        table = pq.read_table(FIXTURE / f"{shard}.parquet")
        assert read_rows(source, shard)["uid"].to_pylist() == table["uid"].to_pylist()
        with np.load(FIXTURE / f"{shard}.npz") as arrays:
            found = list(source.vectors(shard))
            assert sum(len(part.uids) for part in found) == size
            image = np.concatenate([part.image for part in found])
            np.testing.assert_allclose(image, arrays["l14_img"].astype(np.float32), atol=1e-3)


def test_columns_are_given_under_their_own_names(tmp_path):
    source = open_datacomp(locate(write(tmp_path / "d", NAMES[0], make_table(3))))
    rows = read_rows(source, NAMES[0], None)
    assert rows.column_names == [
        "uid",
        "key",
        "caption",
        *(name for name in make_table(0).column_names if name not in ("uid", "text")),
    ]
    assert rows["caption"].to_pylist() == ["caption 0", "caption 1", "caption 2"]
    assert rows["face_bboxes"][1].as_py() == [[0.0, 0.1, 0.5, 0.6]]
    assert not source.embedded


def test_parts_of_the_largest_pool_are_found_in_their_folders(tmp_path):
    for part, name in enumerate(NAMES):
        write(tmp_path / "d" / f"part_{part}", name, make_table(2, part), make_arrays(2, part))
    (tmp_path / "d" / "other").mkdir()
    source = open_embedded(tmp_path / "d")
    assert source.shards == tuple(f"part_{part}/{name}" for part, name in enumerate(NAMES))
    assert source.sizes == (2, 2, 2)
    assert [part.uids for part in source.vectors(source.shards[2])] == [
        (f"{2:016x}{0:016x}", f"{2:016x}{1:016x}")
    ]


def test_files_that_the_user_lists_bring_their_embeddings(embedded):
    source = open_datacomp(locate(f"{embedded}/{{{NAMES[0]},{NAMES[2]}}}.parquet"))
    assert (source.shards, source.sizes, source.embedded) == ((NAMES[0], NAMES[2]), (3, 5), True)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
@pytest.mark.parametrize(("width", "model"), [(None, "l14"), (768, "l14"), (512, "b32")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_vectors_are_the_unit_rows_of_the_model_that_is_asked_for(tmp_path, dtype, width, model, save):
    arrays = make_arrays(4, dtype=dtype)
    source = open_embedded(write(tmp_path / "d", NAMES[0], make_table(4), arrays, save))
    source = pickle.loads(pickle.dumps(source))
    (part,) = source.vectors(NAMES[0], width=width)
    for found, name in ((part.image, f"{model}_img"), (part.text, f"{model}_txt")):
        expected = arrays[name].astype(np.float64)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert found.dtype == np.float32
    assert part.captions == ("caption 0", "caption 1", "caption 2", "caption 3")


def test_wide_rows_come_in_short_batches(tmp_path, monkeypatch):
    table = make_table(5).set_column(2, "text", pa.array(["a", "b", None, "d", "e"]))
    source = open_embedded(write(tmp_path / "d", NAMES[0], table, make_arrays(5)))
    (whole,) = source.vectors(NAMES[0])
    monkeypatch.setattr("oddpair.retrieval.formats.arrays._BYTES_AT_ONCE", 2 * 4 * 768)
    parts = list(source.vectors(NAMES[0]))
    assert [len(part.uids) for part in parts] == [2, 1, 1]
    assert np.array_equal(np.concatenate([part.image for part in parts]), whole.image)
    assert tuple(uid for part in parts for uid in part.uids) == whole.uids
    assert tuple(bad for part in parts for bad in part.bad) == whole.bad


def test_another_dimension_is_refused(embedded):
    source = open_embedded(embedded)
    with pytest.raises(Refusal, match=r"holds embeddings of dimension 512 and 768, needed 640"):
        next(source.vectors(NAMES[0], width=640))


def test_pictures_alone_may_be_embedded(tmp_path):
    arrays = {"b32_img": make_arrays(2)["b32_img"]}
    source = open_embedded(write(tmp_path / "d", NAMES[0], make_table(2), arrays))
    (part,) = source.vectors(NAMES[0])
    assert (part.image.shape, part.text.shape) == ((2, 512), (2, 0))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(np.nan, "l14_txt: embedding holds NaN or an infinity", id="38-nan"),
        pytest.param(np.inf, "l14_txt: embedding holds NaN or an infinity", id="38-infinity"),
        pytest.param(0, "l14_txt: embedding is 0 throughout", id="39-zero"),
    ],
)
def test_a_row_without_direction_is_set_aside_with_its_picture(tmp_path, value, reason):
    arrays = make_arrays(6)
    arrays["l14_txt"][4] = value
    table = make_table(6, captions=["a", "", "c", "d", "e", "f"])
    source = open_embedded(write(tmp_path / "d", NAMES[0], table, arrays))
    (part,) = source.vectors(NAMES[0])
    assert part.captions == ("a", "c", "d", "f")
    np.testing.assert_allclose(part.image, arrays["l14_img"][[0, 2, 3, 5]].astype(np.float32), atol=1e-3)
    np.testing.assert_allclose(part.text, arrays["l14_txt"][[0, 2, 3, 5]].astype(np.float32), atol=1e-3)
    first, second = part.bad
    assert (first.file, first.row, first.reason) == (f"{NAMES[0]}.parquet", 1, "no caption")
    assert (second.file, second.row, second.reason) == (f"{NAMES[0]}.npz", 4, reason)
    assert second.uid == f"{4:032x}"


def test_vectors_stay_with_their_rows_over_batches(tmp_path):
    rows = 20_000
    captions = [f"c{row}" if row % 5 else "" for row in range(rows)]
    image = np.zeros((rows, 2), np.float32)
    image[:, 0] = np.cos(np.arange(rows) / rows)
    image[:, 1] = np.sin(np.arange(rows) / rows)
    source = open_embedded(
        write(tmp_path / "d", NAMES[0], make_table(rows, captions=captions), {"l14_img": image})
    )
    parts = list(source.vectors(NAMES[0]))
    assert len(parts) > 1
    for part in parts:
        numbers = np.array([int(caption[1:]) for caption in part.captions])
        np.testing.assert_allclose(part.image, image[numbers], atol=1e-6)
    assert sum(len(part.uids) + len(part.bad) for part in parts) == rows


def test_47_rows_that_were_not_normalised_are_refused(tmp_path):
    arrays = make_arrays(4)
    arrays["l14_img"] *= 10
    source = open_embedded(write(tmp_path / "d", NAMES[0], make_table(4), arrays))
    with pytest.raises(Refusal, match=r"\(l14_img\) holds rows that are not of length 1"):
        list(source.vectors(NAMES[0]))


@pytest.mark.parametrize(
    "rows",
    [pytest.param(3, id="41-one-less"), pytest.param(5, id="41-one-more"), pytest.param(0, id="41-none")],
)
def test_other_numbers_of_rows_are_refused_with_both_counts(tmp_path, rows):
    folder = write(tmp_path / "d", NAMES[0], make_table(4), make_arrays(rows))
    with pytest.raises(
        Refusal, match=rf"{NAMES[0]}\.npz holds {rows} rows in 'l14_img', {NAMES[0]}\.parquet 4"
    ):
        open_datacomp(locate(folder))


@pytest.mark.parametrize(
    "suffix", [pytest.param("npz", id="42-npz"), pytest.param("parquet", id="42-parquet")]
)
def test_a_missing_file_among_others_is_refused_by_name(embedded, suffix):
    (embedded / f"{NAMES[1]}.{suffix}").unlink()
    with pytest.raises(Refusal, match=rf"lacks {NAMES[1]}\.{suffix}: fetch what is missing"):
        open_datacomp(locate(embedded))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"l14_img": np.zeros((3, 10), np.float16)}, "l14_img of dimension 10", id="43-dimension"
        ),
        pytest.param(
            {"l14_img": np.zeros((3, 768), np.int8)}, "needed float16, float32 or float64", id="43-type"
        ),
        pytest.param(
            {"l14_img": np.array([{}] * 3, object)}, "holds pickled Python objects", id="45-objects"
        ),
    ],
)
def test_arrays_that_are_no_embeddings_are_refused(embedded, changes, message):
    def save(path, **arrays):
        np.savez(path, allow_pickle=True, **arrays)

    write(embedded, NAMES[0], make_table(3), make_arrays(3, **changes), save)
    with pytest.raises(Refusal, match=message):
        open_datacomp(locate(embedded))


def test_43_columns_that_lie_together_are_read_as_rows(tmp_path):
    arrays = {name: np.asfortranarray(array) for name, array in make_arrays(4).items()}
    source = open_embedded(write(tmp_path / "d", NAMES[0], make_table(4), arrays))
    (part,) = source.vectors(NAMES[0])
    np.testing.assert_allclose(part.image, arrays["l14_img"].astype(np.float32), atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="44-half"),
        pytest.param(lambda data: b"", id="44-empty"),
        pytest.param(lambda data: data.replace(b"(3, 768)", b"(9, 768)"), id="44-claims-more"),
    ],
)
def test_a_damaged_archive_is_refused_before_any_row(embedded, change):
    path = embedded / f"{NAMES[0]}.npz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Refusal, match=rf"{NAMES[0]}\.npz"):
        open_datacomp(locate(embedded))


def test_35_a_table_without_a_footer_is_set_aside_beside_its_embeddings(embedded):
    (embedded / f"{NAMES[1]}.parquet").write_bytes(b"PAR1")
    source = open_embedded(embedded)
    # How many rows it had, the arrays tell.
    assert source.sizes == (3, 4, 5)
    (part,) = source.vectors(NAMES[1])
    assert (part.uids, part.bad[0].rows, part.image.shape) == ((), 4, (0, 768))
    assert part.bad[0].reason.startswith("no parquet file, or damaged (")
    assert [len(part.uids) for part in source.vectors(NAMES[2])] == [5]


def test_35_the_rest_of_a_damaged_table_has_no_vectors(tmp_path):
    rows = 40_000
    image = np.ones((rows, 1), np.float32)
    folder = write(tmp_path / "d", NAMES[0], make_table(1), {"l14_img": image})
    path = folder / f"{NAMES[0]}.parquet"
    pq.write_table(make_table(rows), path, row_group_size=20_000, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[pq.read_metadata(path).row_group(1).column(2).data_page_offset + 200] ^= 8
    path.write_bytes(data)
    parts = list(open_embedded(folder).vectors(NAMES[0]))
    assert sum(len(part.uids) + sum(bad.rows for bad in part.bad) for part in parts) == rows
    assert all(len(part.uids) == len(part.image) == len(part.text) for part in parts)


def test_another_table_between_them_is_refused(embedded):
    pq.write_table(make_table(1), embedded / "more.parquet")
    with pytest.raises(Refusal, match=r"holds more\.parquet between files named by 32 hex digits"):
        open_datacomp(locate(embedded))


def test_both_files_of_a_shard_say_when_they_changed(embedded):
    source = open_embedded(embedded)
    before = source.identify(NAMES[0])
    assert sorted(before) == [f"{NAMES[0]}.npz", f"{NAMES[0]}.parquet"]
    np.savez(embedded / f"{NAMES[0]}.npz", **make_arrays(3, seed=9))
    after = source.identify(NAMES[0])
    assert [name for name in before if before[name] != after[name]] == [f"{NAMES[0]}.npz"]


def test_what_is_written_has_the_columns_of_datacomp_and_is_read_back(tmp_path):
    arrays = make_arrays(3)
    table = pa.table({"mine": [1, 2, 3], "uid": [f"{row:032x}" for row in range(3)], "caption": list("abc")})
    write_datacomp(tmp_path / "d", NAMES[0], table, arrays)
    schema = pq.read_schema(tmp_path / "d" / f"{NAMES[0]}.parquet")
    assert schema.names == [*make_table(0).column_names, "mine"]
    assert [field.type for field in schema][:9] == [field.type for field in make_table(1).schema]
    source = open_embedded(tmp_path / "d")
    (part,) = source.vectors(NAMES[0])
    assert part.uids == tuple(table["uid"].to_pylist())
    assert part.captions == ("a", "b", "c")
    np.testing.assert_allclose(part.text, arrays["l14_txt"].astype(np.float32), atol=1e-3)
    with np.load(tmp_path / "d" / f"{NAMES[0]}.npz") as found:
        for name, array in arrays.items():
            assert np.array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def test_the_same_rows_give_the_same_bytes(tmp_path):
    table = make_table(3).rename_columns({"text": "caption"})
    for folder in ("a", "b"):
        write_datacomp(tmp_path / folder, NAMES[0], table, make_arrays(3))
    for suffix in ("parquet", "npz"):
        first, second = ((tmp_path / folder / f"{NAMES[0]}.{suffix}").read_bytes() for folder in "ab")
        assert first == second
    np.savez(tmp_path / "numpy.npz", **dict(sorted(make_arrays(3).items())))
    assert (tmp_path / "a" / f"{NAMES[0]}.npz").read_bytes() == (tmp_path / "numpy.npz").read_bytes()


def test_rows_that_do_not_fit_are_an_error(tmp_path):
    table = pa.table({"uid": ["a"], "caption": ["b"]})
    with pytest.raises(ValueError, match="needed 32 hex digits"):
        write_datacomp(tmp_path, "a", table)
    with pytest.raises(ValueError, match="no column 'uid'"):
        write_datacomp(tmp_path, NAMES[0], table.drop_columns(["uid"]))
    with pytest.raises(ValueError, match="2 rows in 'l14_img', 1 in the table"):
        write_datacomp(tmp_path, NAMES[0], table, {"l14_img": np.ones((2, 4), np.float16)})
    with pytest.raises(Refusal, match="column 'original_width' is string, which cannot be DataComp's int64"):
        write_datacomp(tmp_path, NAMES[0], table.append_column("original_width", pa.array(["wide"])))
