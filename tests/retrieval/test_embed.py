import hashlib
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, fingerprint, load_embeddings
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.pictures import decode_picture

HTML = b"<!doctype html><title>gone</title>"


def embed(corpus, out, model="reference", *, workers=1, only_images=False):
    task = EmbedTask(corpus=open_corpus(corpus), out=out, model=str(model), only_images=only_images)
    embed_corpora([task], workers=workers)
    return out


def content(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def embedded(drawn, transformer, tmp_path_factory):
    return embed(drawn, tmp_path_factory.mktemp("embedded") / "out", transformer)


@pytest.fixture
def again(embedded, tmp_path):
    return shutil.copytree(embedded, tmp_path / "again")


def test_every_row_is_what_the_encoder_says_of_its_picture_and_caption(drawn, embedded, transformer):
    found = load_embeddings(embedded)
    corpus, encoder = open_corpus(drawn), load_encoder(str(transformer))
    rows = [corpus.read(shard) for shard in corpus.shards]
    assert found.uids == tuple(uid for part in rows for uid in part.uids)
    assert found.captions == tuple(caption for part in rows for caption in part.captions)
    image, texture = encoder.encode_pictures([decode_picture(data) for part in rows for data in part.images])
    text = encoder.encode_texts(list(found.captions))
    for name, expected in (("image", image), ("texture", texture), ("text", text)):
        assert getattr(found, name).dtype == np.float32
        assert np.array_equal(getattr(found, name), expected.astype(np.float16).astype(np.float32)), name
    assert found.encoder == files.sha256(transformer / "open_clip_model.safetensors")


def test_the_folder_is_laid_out_as_clip_retrieval_lays_it_out(embedded):
    for index in range(3):
        assert np.load(embedded / "img_emb" / f"img_emb_{index:04d}.npy").dtype == np.float16
        assert np.load(embedded / "text_emb" / f"text_emb_{index:04d}.npy").shape == (100, 24)
        table = pq.read_table(embedded / "metadata" / f"metadata_{index:04d}.parquet")
        assert table.column_names == ["image_path", "caption", "uid"]
    manifest = files.read_json(embedded / "manifest.json")
    assert (manifest["rows"], manifest["quarantined"]) == ([100, 100, 100], 0)


def test_two_processes_give_the_bytes_of_one(drawn, embedded, transformer, tmp_path):
    assert content(embed(drawn, tmp_path / "out", transformer, workers=2)) == content(embedded)


def test_a_second_run_opens_no_picture_and_changes_no_file(drawn, embedded, transformer, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in embedded.rglob("*")}
    monkeypatch.setattr("oddpair.retrieval.embed._embed_shard", None)
    embed(drawn, embedded, transformer)
    assert {path: path.stat().st_mtime_ns for path in embedded.rglob("*")} == before


@pytest.mark.parametrize(
    "lost",
    [
        ["done.json"],
        ["done.json", "manifest.json", "metadata/metadata_0001.parquet"],
        ["img_emb/img_emb_0000.npy"],
        ["texture/texture_0002.npy", "text_emb/text_emb_0001.npy"],
        ["quarantine/quarantine_0001.parquet", "done.json"],
    ],
    ids=lambda lost: "+".join(name.split("/")[-1] for name in lost),
)
def test_what_is_lost_is_made_again_to_the_same_bytes(drawn, embedded, transformer, again, lost):
    for name in lost:
        (again / name).unlink()
    embed(drawn, again, transformer)
    assert content(again) == content(embedded)


def test_a_folder_made_by_another_model_or_from_another_corpus_is_refused_by_the_key(
    drawn, transformer, again, tmp_path, write_folder, noise, as_bytes
):
    with pytest.raises(Refusal, match=r"again was made with .*model\.weights="):
        embed(drawn, again, "reference")
    other = write_folder(tmp_path / "other", {"a.png": as_bytes(noise(1))}, ["a"])
    with pytest.raises(Refusal, match=r"again was made with corpus=.*choose another --out"):
        embed(other, again, transformer)
    with pytest.raises(Refusal, match="only_images"):
        embed(drawn, again, transformer, only_images=True)


def test_a_model_that_does_not_exist_leaves_nothing_that_stops_the_next_try(drawn, transformer, tmp_path):
    with pytest.raises(Refusal, match="no model 'referense'"):
        embed(drawn, tmp_path / "out", "referense")
    assert not list((tmp_path / "out").glob("**/*.npy"))
    assert len(load_embeddings(embed(drawn, tmp_path / "out", transformer)).uids) == 300


def test_only_images_leaves_out_captions_and_textures_and_changes_no_image(
    drawn, embedded, transformer, tmp_path
):
    found = load_embeddings(embed(drawn, tmp_path / "out", transformer, only_images=True))
    assert found.text.shape == found.texture.shape == (300, 0)
    assert np.array_equal(found.image, load_embeddings(embedded).image)


@pytest.fixture
def bad_pictures(noise, as_bytes):
    whole = as_bytes(noise(50, 90, 90), "JPEG")
    deep = np.full((4, 4), 40_000, dtype=np.uint16)
    from PIL import Image

    return {
        "b-html.jpg": (HTML, "not a picture"),
        "c-empty.jpg": (b"", "not a picture"),
        "e-cut.jpg": (whole[: len(whole) // 2], "damaged picture"),
        "g-deep.png": (as_bytes(Image.fromarray(deep)), "mode I;16: more than 8 bits a channel"),
    }


def test_bad_pictures_are_quarantined_and_the_others_keep_their_bytes(
    noise, as_bytes, bad_pictures, write_folder, transformer, tmp_path
):
    good = {f"{letter}.png": as_bytes(noise(number)) for number, letter in enumerate("adfh")}
    mixed = dict(sorted({**good, **{name: data for name, (data, _) in bad_pictures.items()}}.items()))
    clean = write_folder(tmp_path / "clean", good, list(good))
    dirty = write_folder(tmp_path / "dirty", mixed, list(mixed))
    without, with_bad = (
        embed(folder, tmp_path / f"{folder.name}-out", transformer) for folder in (clean, dirty)
    )
    for kind, ending in (
        ("img_emb", "npy"),
        ("text_emb", "npy"),
        ("texture", "npy"),
        ("metadata", "parquet"),
    ):
        name = f"{kind}/{kind}_0000.{ending}"
        assert (without / name).read_bytes() == (with_bad / name).read_bytes(), name
    quarantined = pq.read_table(with_bad / "quarantine" / "quarantine_0000.parquet").to_pylist()
    assert quarantined == [
        {"shard": "00000", "uid": hashlib.sha256(data).hexdigest()[:32], "reason": reason}
        for data, reason in bad_pictures.values()
    ]
    manifest = files.read_json(with_bad / "manifest.json")
    assert (manifest["rows"], manifest["quarantined"]) == ([4], 4)
    assert pq.read_table(without / "quarantine" / "quarantine_0000.parquet").num_rows == 0


def test_a_shard_of_bad_pictures_alone_does_not_stop_the_others(
    noise, as_bytes, write_folder, transformer, tmp_path, monkeypatch
):
    monkeypatch.setattr("oddpair.retrieval.formats.folders.ROWS_PER_SHARD", 2)
    pictures = {"a.png": as_bytes(noise(1)), "b.png": as_bytes(noise(2)), "c.jpg": HTML}
    corpus = write_folder(tmp_path / "corpus", pictures, list(pictures))
    found = load_embeddings(embed(corpus, tmp_path / "out", transformer))
    assert found.captions == ("a.png", "b.png")
    assert found.image.shape == (2, 24)
    manifest = files.read_json(tmp_path / "out" / "manifest.json")
    assert (manifest["rows"], manifest["quarantined"]) == ([2, 0], 1)


def test_a_corpus_without_one_picture_is_refused_with_the_first_reason(write_folder, transformer, tmp_path):
    corpus = write_folder(tmp_path / "corpus", {"a.jpg": HTML, "b.jpg": b""}, ["a", "b"])
    with pytest.raises(Refusal, match=r"none of its 2 pictures can be decoded \(the first: not a picture\)"):
        embed(corpus, tmp_path / "out", transformer)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_loading_refuses_parts_that_do_not_fit_the_manifest(again):
    path = again / "img_emb" / "img_emb_0001.npy"
    rows = np.load(path)
    for wrong, found in (
        (rows[:-1], r"float16 of shape \(99, 24\)"),
        (np.concatenate([rows, rows[:1]]), r"float16 of shape \(101, 24\)"),
        (rows.astype(np.float64), r"float64 of shape \(100, 24\)"),
        (rows[:, :8], r"float16 of shape \(100, 8\)"),
    ):
        np.save(path, wrong)
        with pytest.raises(Refusal, match=rf"img_emb_0001.npy holds {found}.* float16 of \(100, 24\)"):
            load_embeddings(again)
    np.save(path, rows)
    table = again / "metadata" / "metadata_0002.parquet"
    pq.write_table(pq.read_table(table).slice(0, 60), table)
    with pytest.raises(Refusal, match=r"metadata_0002.parquet has 60 rows, its manifest says 100"):
        load_embeddings(again)
    table.unlink()
    with pytest.raises(Refusal, match=r"metadata_0002.parquet does not exist"):
        load_embeddings(again)


def test_an_unfinished_folder_is_refused(again, tmp_path):
    (again / "manifest.json").unlink()
    for folder in (again, tmp_path / "none"):
        with pytest.raises(Refusal, match=r"manifest.json does not exist"):
            load_embeddings(folder)


def test_a_fingerprint_follows_the_content_and_not_the_place(drawn, tmp_path, write_folder, noise, as_bytes):
    moved = shutil.copytree(drawn, tmp_path / "moved")
    before = fingerprint(open_corpus(drawn))
    assert fingerprint(open_corpus(moved)) == before
    shutil.copy(moved / "00000.parquet", moved / "00002.parquet")
    assert fingerprint(open_corpus(moved)) != before
    pictures = {"a.png": as_bytes(noise(1)), "b.png": as_bytes(noise(2))}
    prints = [
        fingerprint(open_corpus(write_folder(tmp_path / str(index), chosen, captions)))
        for index, (chosen, captions) in enumerate(
            [(pictures, ["x", "y"]), (pictures, ["x", "z"]), ({"a.png": pictures["a.png"]}, ["x"])]
        )
    ]
    assert len(set(prints)) == 3
