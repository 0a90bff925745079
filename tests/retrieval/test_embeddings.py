import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, read_records
from oddpair.retrieval.embed_layout import Kind, part_path
from oddpair.retrieval.embeddings import load_embeddings

WIDTHS: dict[Kind, int] = {"img_emb": 6, "text_emb": 6, "texture": 4}


def unit(seed, rows, width=6):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def write(folder, uids, *, kinds=tuple(WIDTHS), vectors=None):
    """Write a folder as ``oddpair embed`` lays it out; ``uids`` are lists, one a shard."""
    drawn = {
        kind: [unit(100 * place + index, len(part), WIDTHS[kind]) for index, part in enumerate(uids)]
        for place, kind in enumerate(WIDTHS)
        if kind in kinds
    }
    drawn |= vectors or {}
    for kind, parts in drawn.items():
        for index, rows in enumerate(parts):
            files.write_array(part_path(folder, kind, index, len(uids)), rows)
    for index, part in enumerate(uids):
        table = pa.table(
            {
                "image_path": pa.array([f"k{uid}" for uid in part], pa.string()),
                "caption": pa.array([f"caption of {uid}" for uid in part], pa.string()),
                "uid": pa.array(part, pa.string()),
            }
        )
        files.write_table(part_path(folder, "metadata", index, len(uids)), table)
    manifest = {
        "encoder": "model",
        "encoder_sha256": "ab" * 32,
        "rows": [len(part) for part in uids],
        "dimensions": {kind: WIDTHS[kind] for kind in drawn},
    }
    files.write_json(folder / "manifest.json", manifest)
    return drawn


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any))
def test_what_is_loaded_is_what_numpy_loads_joined(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("load")
    uids = [[f"{index}-{row}" for row in range(size)] for index, size in enumerate(sizes)]
    write(folder, uids)
    found = load_embeddings(folder)
    assert found.uids == tuple(uid for part in uids for uid in part)
    assert found.captions == tuple(f"caption of {uid}" for uid in found.uids)
    for name, kind in (("image", "img_emb"), ("text", "text_emb"), ("texture", "texture")):
        parts = [np.load(folder / kind / f"{kind}_{index:04d}.npy") for index in range(len(sizes))]
        rows = getattr(found, name)
        assert rows.dtype == np.float32
        assert np.array_equal(rows, np.concatenate(parts).astype(np.float32))
    assert (found.encoder, found.duplicates) == ("ab" * 32, 0)


def test_without_captions_or_textures_their_rows_are_empty(tmp_path):
    write(tmp_path / "out", [["a", "b"], ["c"]], kinds=("img_emb",))
    found = load_embeddings(tmp_path / "out")
    assert (found.image.shape, found.text.shape, found.texture.shape) == ((3, 6), (3, 0), (3, 0))


def test_numbers_grow_with_the_number_of_parts(tmp_path):
    for parts, name in ((1, "0007"), (10_000, "0007"), (10_001, "00007"), (100_001, "000007")):
        assert part_path(tmp_path, "img_emb", 7, parts).name == f"img_emb_{name}.npy"
    assert part_path(tmp_path, "records", 7, 8) == tmp_path / "records" / "record_0007.json"
    assert part_path(tmp_path, "metadata", 7, 8) == tmp_path / "metadata" / "metadata_0007.parquet"


def test_loading_takes_the_memory_of_one_copy(tmp_path):
    uids = [[f"{index}-{row}" for row in range(2_000)] for index in range(8)]
    vectors = {"img_emb": [unit(index, 2_000, 64) for index in range(8)]}
    write(tmp_path / "out", uids, kinds=(), vectors=vectors)
    manifest = files.read_json(tmp_path / "out" / "manifest.json")
    files.write_json(tmp_path / "out" / "manifest.json", {**manifest, "dimensions": {"img_emb": 64}})
    copy = 16_000 * 64 * 4
    tracemalloc.start()
    try:
        found = load_embeddings(tmp_path / "out")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = sum(len(uid) + len(caption) + 200 for uid, caption in zip(found.uids, found.captions, strict=True))
    assert copy < most < 1.25 * copy + 2 * text


@pytest.mark.parametrize("noise", [0, 0.002], ids=["46-same", "46-same-but-for-rounding"])
def test_a_uid_that_comes_again_with_its_vectors_is_kept_once_and_counted(tmp_path, noise):
    vectors = {kind: [unit(seed, 3), unit(seed + 1, 2)] for seed, kind in ((0, "img_emb"), (5, "text_emb"))}
    for parts in vectors.values():
        parts[1][1] = parts[0][0] + np.float16(noise)
        parts[0][2] = parts[0][0]
    write(tmp_path / "out", [["a", "b", "a"], ["c", "a"]], vectors=vectors)
    found = load_embeddings(tmp_path / "out")
    assert (found.uids, found.duplicates) == (("a", "b", "c"), 2)
    assert found.captions == ("caption of a", "caption of b", "caption of c")
    for name, kind in (("image", "img_emb"), ("text", "text_emb")):
        one, other = vectors[kind]
        assert np.array_equal(getattr(found, name), np.stack([one[0], one[1], other[0]]).astype(np.float32))
    assert found.texture.shape == (3, 4)


@pytest.mark.parametrize("kind", ["img_emb", "text_emb"], ids=["46-other-image", "46-other-text"])
def test_a_uid_that_comes_again_with_other_vectors_is_refused_with_both_places(tmp_path, kind):
    vectors = {
        name: [unit(0, 3), np.concatenate([unit(1, 1), unit(0, 3)[1:2]])] for name in ("img_emb", "text_emb")
    }
    vectors[kind][1] = unit(9, 2)
    write(tmp_path / "out", [["a", "b", "d"], ["c", "b"]], vectors=vectors)
    with pytest.raises(
        Refusal,
        match=r"uid b has one vector in .*metadata_0000.parquet row 1 and another in .*metadata_0001.parquet row 1:",
    ):
        load_embeddings(tmp_path / "out")


def test_a_manifest_of_somebody_else_is_refused(tmp_path):
    values: list[object] = [{}, [], {"rows": [1]}]
    for value in values:
        files.write_json(tmp_path / "manifest.json", value)
        with pytest.raises(Refusal, match=r"manifest.json is no manifest of oddpair embed"):
            load_embeddings(tmp_path)


def test_a_part_that_is_not_as_its_manifest_says_is_refused(tmp_path):
    write(tmp_path / "out", [["a"], ["b", "c"]])
    path = tmp_path / "out" / "text_emb" / "text_emb_0001.npy"
    rows = np.load(path)
    for wrong in (rows[:1], rows.astype(np.float32), rows[:, :3], rows[0]):
        np.save(path, wrong)
        with pytest.raises(
            Refusal, match=r"text_emb_0001.npy holds float\d\d of shape .* float16 of \(2, 6\)"
        ):
            load_embeddings(tmp_path / "out")
    np.save(path, rows)
    table = tmp_path / "out" / "metadata" / "metadata_0001.parquet"
    pq.write_table(pq.read_table(table).slice(1), table)
    with pytest.raises(Refusal, match=r"metadata_0001.parquet has 1 rows, its manifest says 2: embed again"):
        load_embeddings(tmp_path / "out")


def taken_over(folder):
    """Take an embedding folder over, as ``oddpair embed`` does with embeddings made elsewhere."""
    out = folder.with_name(f"{folder.name}-taken")
    embed_corpora([EmbedTask(corpus=open_corpus(folder), out=out, tower=None)], workers=1)
    return out


def test_what_is_taken_over_is_what_was_there_but_for_textures(tmp_path):
    write(tmp_path / "out", [["a", "b"], ["c", "d", "e"]])
    loaded = load_embeddings(tmp_path / "out")
    found = load_embeddings(taken_over(tmp_path / "out"))
    assert (found.uids, found.captions, found.encoder) == (loaded.uids, loaded.captions, loaded.encoder)
    assert np.abs(found.image - loaded.image).max() < 1e-3
    assert np.abs(np.linalg.norm(found.text, axis=1) - 1).max() < 2e-3
    assert found.texture.shape == (5, 0)


def test_38_39_rows_that_are_not_finite_or_zero_are_quarantined_when_taken_over(tmp_path):
    vectors = {"img_emb": [unit(0, 2), unit(1, 3)]}
    vectors["img_emb"][0][1] = np.nan
    vectors["img_emb"][1][0] = 0
    write(tmp_path / "out", [["a", "b"], ["c", "d", "e"]], kinds=(), vectors=vectors)
    out = taken_over(tmp_path / "out")
    found = load_embeddings(out)
    assert found.uids == ("a", "d", "e")
    bad = [line for record in read_records(out) for line in record.bad]
    assert [(one.file, one.row, one.uid) for one in bad] == [
        ("img_emb/img_emb_0000.npy", 1, "b"),
        ("img_emb/img_emb_0001.npy", 0, "c"),
    ]
    kept = np.concatenate([vectors["img_emb"][0][:1], vectors["img_emb"][1][1:]])
    assert np.abs(found.image - kept).max() < 1e-3


def test_46_what_is_taken_over_has_a_uid_once_or_is_refused_with_both_places(tmp_path):
    same = unit(0, 2)
    write(tmp_path / "same", [["a", "b"], ["a"]], kinds=(), vectors={"img_emb": [same, same[:1]]})
    found = load_embeddings(taken_over(tmp_path / "same"))
    assert (found.uids, found.duplicates, len(found.image)) == (("a", "b"), 1, 2)
    write(tmp_path / "other", [["a", "b"], ["a"]], kinds=(), vectors={"img_emb": [same, same[1:]]})
    out = taken_over(tmp_path / "other")
    with pytest.raises(
        Refusal,
        match=r"uid a has one vector in .*metadata_0000\.parquet row 0 and another in .*metadata_0001",
    ):
        load_embeddings(out)


def test_embeddings_without_a_good_row_are_refused_with_the_first_reason(tmp_path):
    write(tmp_path / "out", [["a", "b"]], kinds=(), vectors={"img_emb": [np.zeros((2, 6), dtype=np.float16)]})
    with pytest.raises(Refusal, match=r"none of its 2 rows can be embedded .*embedding is 0 throughout"):
        taken_over(tmp_path / "out")
