"""Pictures of a set are embedded once a model, and found by their keys."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pytest

from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.eval.picture_cache import damaged_of, embed_sets, load_pictures, open_pictures, pictures_folder
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.pictures import decode_pixels

TOWER = Tower(model="reference", exact=True)


@pytest.fixture
def pictures(noise, as_bytes):
    return [as_bytes(noise(seed)) for seed in range(6)]


def write_tars(folder, tars):
    """Tars of pictures, whose keys begin anew in each."""
    folder.mkdir()
    for number, pictures in enumerate(tars):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for row, data in enumerate(pictures):
                member = tarfile.TarInfo(f"s{row}.png")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return folder


def a_set(root, keys):
    table = pa.table({"key": keys, "style": [""] * len(keys), "label": ["a"] * len(keys)})
    return EvaluationSet(
        root=root,
        layout="test",
        kind="classification",
        corpus=open_corpus(root),
        table=table,
        keyed_by_shard=True,
    )


def test_rows_are_found_by_shard_and_key_and_are_those_of_the_encoder(tmp_path, pictures):
    root = write_tars(tmp_path / "set", [pictures[:3], pictures[3:]])
    found = a_set(root, ["1/s2", "0/s0", "0/s2", "1/s0"])
    embed_sets([found], TOWER, tmp_path / "cache", workers=1)
    loaded = load_pictures(tmp_path / "cache", found)
    decoded = [decode_pixels(pictures[place]) for place in (5, 0, 2, 3)]
    rows, _ = load_encoder("reference", exact=True).encode_pictures(decoded, textures=False)
    assert np.array_equal(loaded.read(np.arange(4)), rows)
    assert np.array_equal(loaded.read(np.array([2, 0])), rows[[2, 0]])
    assert loaded.damaged == 0


def test_a_picture_that_cannot_be_read_has_no_uid_and_no_row(tmp_path, pictures):
    root = write_tars(tmp_path / "set", [[pictures[0], b"<html>", pictures[2]]])
    found = a_set(root, ["0/s0", "0/s1", "0/s2"])
    embed_sets([found], TOWER, tmp_path / "cache", workers=1)
    loaded = load_pictures(tmp_path / "cache", found)
    assert [uid is None for uid in loaded.uids] == [False, True, False]
    assert loaded.damaged == 1
    assert damaged_of(tmp_path / "cache", found) == {"not a picture": 1}
    with pytest.raises(ValueError, match="picture 1 was set aside"):
        loaded.read(np.array([0, 1]))


def test_the_same_pictures_under_another_name_are_embedded_once(tmp_path, pictures):
    sets = [a_set(write_tars(tmp_path / name, [pictures]), ["0/s0"]) for name in ("one", "other")]
    assert len({pictures_folder(tmp_path, found) for found in sets}) == 1
    embed_sets(sets, TOWER, tmp_path / "cache", workers=1)
    assert len(list((tmp_path / "cache" / "pictures").iterdir())) == 1


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_folder_of_oddpair_embed_is_read_as_it_is(tmp_path, pictures, dtype):
    root = write_tars(tmp_path / "set", [pictures[:3], pictures[3:]])
    found = a_set(root, ["1/s2", "0/s0"])
    embed_corpora(
        [EmbedTask(corpus=found.corpus, out=tmp_path / "e", tower=TOWER, only_images=True, dtype=dtype)],
        workers=1,
        title="embed",
    )
    rows, _ = load_encoder("reference", exact=True).encode_pictures(
        [decode_pixels(pictures[place]) for place in (5, 0)], textures=False
    )
    read = open_pictures(tmp_path / "e", found).read(np.arange(2))
    assert read.dtype == np.float32
    assert np.array_equal(read, rows.astype(dtype).astype(np.float32))
