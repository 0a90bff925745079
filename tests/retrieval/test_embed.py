import hashlib
import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import fingerprint, open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, read_records
from oddpair.retrieval.embed_shard import Tower, embed_shard, encoder_of
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.pictures import decode_pixels
from oddpair.retrieval.samples import EmbeddedSource
from oddpair.retrieval.subset import write_subset
from oddpair.workers import NOWHERE

FIXTURES = Path(__file__).parents[1] / "fixtures"
HTML = b"<!doctype html><title>gone</title>"


def embed(corpus, out, model="reference", *, workers=1, only_images=False, subset=None):
    task = EmbedTask(
        corpus=open_corpus(corpus, subset),
        out=out,
        tower=model and Tower(model=str(model)),
        only_images=only_images,
    )
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
    image, texture = (
        np.concatenate(parts)
        for parts in zip(
            *(encoder.encode_pictures([decode_pixels(data) for data in part.images]) for part in rows),
            strict=True,
        )
    )
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
    monkeypatch.setattr("oddpair.retrieval.embed.embed_shard", None)
    embed(drawn, embedded, transformer)
    assert {path: path.stat().st_mtime_ns for path in embedded.rglob("*")} == before


@pytest.mark.parametrize(
    "lost",
    [
        ["done.json"],
        ["done.json", "manifest.json", "metadata/metadata_0001.parquet"],
        ["img_emb/img_emb_0000.npy"],
        ["texture/texture_0002.npy", "text_emb/text_emb_0001.npy"],
        ["records/record_0001.json", "done.json", "quarantine.jsonl"],
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
    with pytest.raises(Refusal, match=r"again was made with files\.00000\.parquet=.*choose another --out"):
        embed(other, again, transformer)
    with pytest.raises(Refusal, match="only_images"):
        embed(drawn, again, transformer, only_images=True)


def test_a_model_that_does_not_exist_leaves_nothing_that_stops_the_next_try(drawn, transformer, tmp_path):
    with pytest.raises(Refusal, match="no model 'referense'"):
        embed(drawn, tmp_path / "out", "referense")
    assert not list((tmp_path / "out").glob("**/*.npy"))
    assert len(load_embeddings(embed(drawn, tmp_path / "out", transformer)).uids) == 300


def test_a_shard_that_crashes_in_threads_is_decoded_one_picture_after_the_other_to_find_the_one(
    drawn, tmp_path, monkeypatch
):
    class Asked(Exception):  # noqa: N818
        pass

    def run_jobs(function, jobs, *, blame, **options):
        raise Asked([job.threads for job in jobs], blame(jobs[0], NOWHERE), blame(jobs[1], 7))

    monkeypatch.setattr("oddpair.retrieval.embed.run_jobs", run_jobs)
    task = EmbedTask(corpus=open_corpus(drawn), out=tmp_path, tower=Tower(model="reference", device="cpu:0"))
    with pytest.raises(Asked) as caught:
        embed_corpora([task], workers=3)
    threads, slow, without = caught.value.args
    assert threads == [3, 3, 3]
    assert (slow.threads, slow.skip) == (0, ())
    assert (without.threads, without.skip) == (3, (7,))


def test_only_images_leaves_out_captions_and_textures_and_changes_no_image(
    drawn, embedded, transformer, tmp_path
):
    found = load_embeddings(embed(drawn, tmp_path / "out", transformer, only_images=True))
    assert found.text.shape == found.texture.shape == (300, 0)
    assert np.array_equal(found.image, load_embeddings(embedded).image)


@pytest.fixture
def bad_pictures(noise, as_bytes):
    whole = as_bytes(noise(50, 90, 90), "JPEG")
    bomb = as_bytes(Image.new("1", (9000, 9000)))
    return {
        "b-html.jpg": (HTML, "not a picture"),
        "e-cut.jpg": (whole[: len(whole) // 2], "damaged picture"),
        "g-bomb.png": (bomb, "9000 x 9000 pixels, more than 50000000"),
    }


def lines(folder):
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]


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
    assert lines(with_bad) == [
        {"file": name, "reason": reason, "rows": 1, "uid": hashlib.sha256(data).hexdigest()[:32]}
        for name, (data, reason) in bad_pictures.items()
    ]
    manifest = files.read_json(with_bad / "manifest.json")
    assert (manifest["rows"], manifest["quarantined"], manifest["seen"]) == ([4], 3, 7)
    assert (without / "quarantine.jsonl").read_bytes() == b""


def test_every_row_that_is_seen_is_kept_or_quarantined(tmp_path, transformer):
    out = embed(FIXTURES / "img2dataset-raw", tmp_path / "out", transformer)
    records = read_records(out)
    assert [record.seen for record in records] == list(open_corpus(FIXTURES / "img2dataset-raw").sizes)
    for record in records:
        assert record.kept + record.outside + sum(line.rows for line in record.bad) == record.seen
    (page,) = lines(out)
    assert (page["file"], page["reason"]) == ("00001.tar", "not a picture")
    assert (FIXTURES / "img2dataset-raw" / "00001.tar").read_bytes()[page["offset"] :][257:262] == b"ustar"


def test_the_manifest_holds_the_hash_of_every_file_that_was_read(tmp_path, transformer):
    source = FIXTURES / "img2dataset-jpg"
    manifest = files.read_json(embed(source, tmp_path / "out", transformer) / "manifest.json")
    for name in ("00000.tar", "00001.tar", "00000.parquet"):
        assert manifest["files"][name] == files.sha256(source / name)


def test_rows_outside_a_subset_are_left_out_and_counted(tmp_path, transformer, drawn):
    corpus = open_corpus(drawn)
    chosen = sorted(corpus.metadata()["uid"].to_pylist()[::7])
    write_subset(tmp_path / "subset.npy", chosen)
    out = embed(drawn, tmp_path / "out", transformer, subset=tmp_path / "subset.npy")
    assert sorted(load_embeddings(out).uids) == chosen
    assert files.read_json(out / "manifest.json")["outside_subset"] == 300 - len(chosen)


def test_a_shard_of_bad_pictures_alone_does_not_stop_the_others(
    noise, as_bytes, write_folder, transformer, tmp_path, monkeypatch
):
    for module in ("listing", "folder_source", "folder"):
        monkeypatch.setattr(f"oddpair.retrieval.formats.{module}.ROWS_PER_BLOCK", 2)
    pictures = {"a.png": as_bytes(noise(1)), "b.png": as_bytes(noise(2)), "c.jpg": HTML}
    corpus = write_folder(tmp_path / "corpus", pictures, list(pictures))
    found = load_embeddings(embed(corpus, tmp_path / "out", transformer))
    assert found.captions == ("a.png", "b.png")
    assert found.image.shape == (2, 24)
    manifest = files.read_json(tmp_path / "out" / "manifest.json")
    assert (manifest["rows"], manifest["quarantined"]) == ([2, 0], 1)


def test_a_shard_whose_tar_is_damaged_is_set_aside_whole(drawn, transformer, tmp_path):
    broken = shutil.copytree(drawn, tmp_path / "broken")
    data = (broken / "00001.tar").read_bytes()
    (broken / "00001.tar").write_bytes(data[: len(data) // 3])
    out = embed(broken, tmp_path / "out", transformer)
    manifest = files.read_json(out / "manifest.json")
    assert (manifest["rows"], manifest["quarantined"]) == ([100, 0, 100], 100)
    (line,) = lines(out)
    assert (line["file"], line["rows"]) == ("00001.tar", 100)
    assert len(load_embeddings(out).uids) == 200


def test_a_corpus_without_one_picture_is_refused_with_the_first_reason(write_folder, transformer, tmp_path):
    corpus = write_folder(tmp_path / "corpus", {"a.jpg": HTML, "b.jpg": b"x"}, ["a", "b"])
    with pytest.raises(
        Refusal, match=r"none of its 2 rows can be embedded \(2 of them, as in a\.jpg: not a picture\)"
    ):
        embed(corpus, tmp_path / "out", transformer)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_pictures_without_captions_are_embedded_without_them(noise, as_bytes, transformer, tmp_path):
    (tmp_path / "bare").mkdir()
    for number in range(3):
        (tmp_path / "bare" / f"{number}.png").write_bytes(as_bytes(noise(number)))
    found = load_embeddings(embed(tmp_path / "bare", tmp_path / "out", transformer))
    assert (found.image.shape, found.text.shape, found.captions) == ((3, 24), (3, 0), ("", "", ""))


@pytest.mark.parametrize("name", ["clip-retrieval", "datacomp"])
def test_embeddings_made_elsewhere_are_taken_over_row_by_row(name, tmp_path):
    corpus = open_corpus(FIXTURES / name)
    found = load_embeddings(embed(FIXTURES / name, tmp_path / "out", None))
    parts = [part for shard in corpus.shards for part in cast("EmbeddedSource", corpus.source).vectors(shard)]
    assert found.uids == tuple(uid for part in parts for uid in part.uids)
    for kind in ("image", "text"):
        rows = np.concatenate([getattr(part, kind) for part in parts])
        assert np.array_equal(getattr(found, kind), rows.astype(np.float16).astype(np.float32))
    assert found.encoder == ""
    # What we write is itself a corpus, with the same ids.
    again = open_corpus(tmp_path / "out")
    assert (again.layout, again.metadata()["uid"].to_pylist()) == ("clip-retrieval", list(found.uids))


def test_embeddings_of_another_model_are_not_taken_over_as_this_one(tmp_path, embedded, drawn, transformer):
    with pytest.raises(Refusal, match=r"dimension 16, model reference has 128"):
        embed(FIXTURES / "clip-retrieval", tmp_path / "out", "reference")
    (embedded_elsewhere := tmp_path / "elsewhere").mkdir()
    for kind in ("img_emb", "text_emb", "metadata"):
        shutil.copytree(embedded / kind, embedded_elsewhere / kind)
    taken = load_embeddings(embed(embedded_elsewhere, tmp_path / "taken", transformer))
    assert taken.encoder == load_embeddings(embedded).encoder
    assert np.array_equal(taken.image, load_embeddings(embedded).image)
    rows = np.load(embedded_elsewhere / "text_emb" / "text_emb_0000.npy")
    np.save(embedded_elsewhere / "text_emb" / "text_emb_0000.npy", rows[::-1].copy())
    with pytest.raises(Refusal, match="made by another model, or captions and rows do not belong together"):
        embed(embedded_elsewhere, tmp_path / "other", transformer)


def test_metadata_alone_cannot_be_embedded(tmp_path):
    with pytest.raises(Refusal, match="laion holds no pictures"):
        embed(FIXTURES / "laion", tmp_path / "out")


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


def test_only_workers_load_the_model(write_folder, as_bytes, noise, tmp_path):
    pictures = {f"{number}.png": as_bytes(noise(number)) for number in range(3)}
    corpus = open_corpus(write_folder(tmp_path / "in", pictures, ["a", "b", "c"]))
    encoder_of.cache_clear()
    embed_corpora([EmbedTask(corpus=corpus, out=tmp_path / "out", tower=Tower(model="reference"))], workers=2)
    assert encoder_of.cache_info().misses == 0
    described = files.read_json(tmp_path / "out" / "manifest.json")
    encoder = load_encoder("reference")
    assert described["encoder_sha256"] == encoder.sha256
    assert described["preprocessing"] == encoder.preprocess.describe()


def test_a_model_that_nothing_confirms_is_not_recorded(tmp_path, embedded, transformer, capsys):
    elsewhere = tmp_path / "elsewhere"
    for kind in ("img_emb", "metadata"):
        shutil.copytree(embedded / kind, elsewhere / kind)
    out = embed(elsewhere, tmp_path / "out", transformer)
    manifest = files.read_json(out / "manifest.json")
    assert (manifest["encoder"], manifest["encoder_sha256"]) == ("made elsewhere", "")
    assert "nothing tells whether" in capsys.readouterr().err
    shutil.copytree(embedded / "text_emb", elsewhere / "text_emb")
    again = files.read_json(embed(elsewhere, tmp_path / "again", transformer) / "manifest.json")
    assert again["encoder_sha256"] == files.sha256(transformer / "open_clip_model.safetensors")


def test_a_tar_that_changed_since_its_shard_was_embedded_stops_the_next_run(drawn, transformer, tmp_path):
    corpus = shutil.copytree(drawn, tmp_path / "corpus")
    out = embed(corpus, tmp_path / "out", transformer)
    (out / "done.json").unlink()
    tar = corpus / "00001.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    with pytest.raises(Refusal, match=r"00001\.tar has changed since it was embedded: choose another --out"):
        embed(corpus, out, transformer)
    data[600] ^= 1
    tar.write_bytes(data)
    embed(corpus, out, transformer)


def test_a_table_that_changes_while_it_is_embedded_is_told(drawn, transformer, tmp_path, monkeypatch):
    corpus = shutil.copytree(drawn, tmp_path / "corpus")

    def change(job):
        table = pq.read_table(corpus / "00001.parquet")
        pq.write_table(table, corpus / "00001.parquet", compression="none")
        return embed_shard(job)

    monkeypatch.setattr("oddpair.retrieval.embed.embed_shard", change)
    with pytest.raises(Refusal, match=r"00001\.parquet changed while it was embedded: delete"):
        embed(corpus, tmp_path / "out", transformer)


def test_shards_embedded_with_other_weights_are_not_called_one_model(again, drawn, transformer):
    (again / "done.json").unlink()
    path = again / "records" / "record_0001.json"
    record = files.read_json(path)
    files.write_json(path, {**record, "encoder": {**record["encoder"], "encoder_sha256": "f" * 64}})
    with pytest.raises(Refusal, match=r"shard 00001 was embedded with other weights of .* than shard 00000"):
        embed(drawn, again, transformer)


def test_a_tar_that_changed_since_stops_a_run_that_has_nothing_left_to_do(drawn, transformer, tmp_path):
    corpus = shutil.copytree(drawn, tmp_path / "corpus")
    out = embed(corpus, tmp_path / "out", transformer)
    data = bytearray((corpus / "00002.tar").read_bytes())
    data[700] ^= 1
    (corpus / "00002.tar").write_bytes(data)
    with pytest.raises(Refusal, match=r"00002\.tar has changed since it was embedded"):
        embed(corpus, out, transformer)
