import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.stored_folder import write_manifest
from tests.splits.style_data import features_of, plant, write_pictures

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import part_path
from oddpair.splits.styles import features as style_features
from oddpair.splits.styles.features import fetch_half, open_features, open_textures


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    rows = plant(90)
    return rows, write_pictures(tmp_path_factory.mktemp("features"), rows, sizes=[40, 0, 50])


def test_textures_are_read_across_shards_as_they_were_written(planted):
    (_, texture, _, _), pictures = planted
    found = open_textures(pictures.stored)
    assert found is not None
    assert found.shape == (90, 5)
    for start, stop in ((0, 90), (35, 60), (40, 40), (39, 41), (89, 90)):
        assert (found.read(start, stop) == texture[start:stop].astype(np.float16)).all()


def test_features_are_fetched_in_the_order_asked_for_side_by_side(planted, monkeypatch):
    monkeypatch.setattr(style_features, "_BYTES_AT_ONCE", 12 * 2 * 7)
    (image, texture, _, _), pictures = planted
    features = open_features(pictures.stored, textured=True)
    wanted = np.array([80, 3, 41, 3])
    assert features.widths == (12, 5)
    expected = np.hstack([image[wanted], texture[wanted]]).astype(np.float16)
    assert (features.fetch(wanted) == expected).all()
    assert features.fetch(wanted[:0]).shape == (0, 17)
    stretches = list(features.blocks())
    assert [stretch.start for stretch in stretches[1:]] == [stretch.stop for stretch in stretches[:-1]]
    assert (stretches[0].start, stretches[-1].stop, len(stretches) > 10) == (0, 90, True)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 50), m=st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_rows_anywhere_are_those_of_plain_indexing(seed, n, m):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 3)).astype(np.float16)
    wanted = rng.integers(0, n, m)
    assert (fetch_half(features_of(rows).image, wanted) == rows[wanted]).all()


def test_what_lies_between_rows_far_apart_is_not_read():
    class Counted:
        shape = (10**9, 64)

        def read(self, start, stop):
            sizes.append(stop - start)
            return (np.arange(start, stop) % 1000).astype(np.float16)[:, None].repeat(64, axis=1)

    sizes: list[int] = []
    rows = Counted()
    wanted = np.array([5, 900_000_000, 7, 100])
    assert (fetch_half(rows, wanted)[[0, 2, 3], 0] == [5, 7, 100]).all()
    assert sorted(sizes) == [1, 100 - 5 + 1]


def test_a_folder_without_textures_is_refused_where_they_are_needed(tmp_path):
    pictures = write_pictures(tmp_path, plant(20), textured=False)
    assert open_textures(pictures.stored) is None
    assert open_features(pictures.stored, textured=False).texture is None
    with pytest.raises(Refusal, match="has no textures and the corpus has: embed these pictures again"):
        open_features(pictures.stored, textured=True)


def test_textures_that_are_not_what_the_manifest_says_are_refused(tmp_path):
    pictures = write_pictures(tmp_path, plant(20))
    part = part_path(pictures.folder, "texture", 0, 1)
    files.write_array(part, np.zeros((19, 5), np.float16))
    found = open_textures(pictures.stored)
    assert found is not None
    with pytest.raises(
        Refusal, match=r"holds float16 of shape \(19, 5\), its manifest says float16 of \(20, 5\)"
    ):
        found.read(0, 19)
    write_manifest(pictures.folder, dimensions={"img_emb": 12})
    assert open_textures(pictures.stored) is None
