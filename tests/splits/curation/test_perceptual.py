import io
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.curation import perceptual
from oddpair.splits.curation.perceptual import (
    REASONS,
    Likeness,
    Looks,
    as_looks,
    count_bits,
    drop_alike,
    find_alike,
    fingerprint_pictures,
    hash_picture,
)

FAR = Likeness(bits=10, similarity=0.9)


def hash_slowly(pixels):
    """The hash by the sums of its definition, frequency by frequency."""
    grey = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.LANCZOS).convert("L"), float)
    place = np.arange(32)
    waves = np.array([2 * np.cos(np.pi * k * (2 * place + 1) / 64) for k in range(8)])
    found = [float(np.round(waves[k] @ grey @ waves[m], 6)) for k in range(8) for m in range(8)]
    middle = sorted(found[1:])[31]
    return [value >= middle for value in found]


def draw_looks(n, seed, *, vectors=True):
    """Pictures in small groups of copies that differ in a few bits or none."""
    rng = np.random.default_rng(seed)
    look = rng.integers(0, 256, (4, 8), dtype=np.uint8)[rng.integers(0, 4, n)]
    for row in look:
        row[0] ^= np.uint8(rng.integers(0, 16))
        row[1] ^= np.uint8(rng.integers(0, 256)) if rng.random() < 0.5 else np.uint8(0)
    digest = np.zeros((n, 16), np.uint8)
    digest[:, 0] = rng.integers(0, max(2, n), n)
    rows = None
    if vectors:
        drawn = rng.standard_normal((n, 3))
        rows = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)
    return Looks(digest=digest, look=look, rows=rows)


def tell_slowly(looks, likeness, one, other):
    """By which reasons two pictures are alike."""
    differing = sum(
        bin(int(a) ^ int(b)).count("1") for a, b in zip(looks.look[one], looks.look[other], strict=True)
    )
    found = {
        "same bytes": bytes(looks.digest[one]) == bytes(looks.digest[other]),
        "same look": differing <= likeness.bits,
    }
    if looks.rows is not None:
        score = sum(float(a) * float(b) for a, b in zip(looks.rows[one], looks.rows[other], strict=True))
        found["near"] = bool(np.float32(score) > np.float32(likeness.similarity))
    return [name for name, alike in found.items() if alike]


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_is_that_of_its_definition(noise, seed):
    pixels = np.asarray(noise(seed, width=50 + seed, height=40))
    assert np.unpackbits(hash_picture(pixels)).astype(bool).tolist() == hash_slowly(pixels)


def test_hashes_are_those_of_imagededup(noise):
    # By preprocess_image and PHash._hash_algo of imagededup 0.3.3.
    hashes = [hash_picture(np.asarray(noise(seed))).tobytes().hex() for seed in range(4)]
    assert hashes == ["a7b2e3075cf85c0b", "f2e91267fc18ec68", "83b2d82723dc23ef", "f892f2d80e270ddd"]


def test_copies_are_alike_and_other_pictures_are_not(noise, as_bytes):
    pictures = [noise(seed, width=120, height=90) for seed in range(8)]
    looks = np.array([hash_picture(np.asarray(picture)) for picture in pictures])
    for picture, look in zip(pictures, looks, strict=True):
        for copy in (
            Image.open(io.BytesIO(as_bytes(picture, "JPEG", quality=40))),
            picture.resize((61, 47)),
            picture.point(lambda level: round(0.9 * level)),
        ):
            assert count_bits(look[np.newaxis], hash_picture(np.asarray(copy))[np.newaxis]).item() <= 10
    between = count_bits(looks, looks)
    assert between[~np.eye(8, dtype=bool)].min() > 10


def test_bits_are_counted_as_by_hand():
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in (3, 5))
    slow = [
        [sum(bin(int(a) ^ int(b)).count("1") for a, b in zip(x, y, strict=True)) for y in other] for x in one
    ]
    assert count_bits(one, other).tolist() == slow


@given(seed=st.integers(0, 10**6), n=st.integers(0, 40), vectors=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_two_kept_are_alike_and_every_dropped_one_has_the_first_kept_witness(seed, n, vectors):
    looks = draw_looks(n, seed, vectors=vectors)
    witness, reason = drop_alike(looks, FAR)
    kept: list[int] = []
    for row in range(n):
        alike = {other: tell_slowly(looks, FAR, row, other) for other in kept}
        first = next(
            (
                (number, other)
                for number, name in enumerate(REASONS)
                for other in kept
                if name in alike[other]
            ),
            None,
        )
        assert (int(reason[row]), int(witness[row])) == (first or (-1, -1))
        if first is None:
            kept.append(row)
    assert find_alike(looks.take(np.array(kept, np.int64)), FAR) is None
    dropped = np.flatnonzero(witness >= 0)
    if len(dropped):
        found = find_alike(looks, FAR)
        assert found is not None
        one, other, name = found
        assert one < other
        assert name == tell_slowly(looks, FAR, one, other)[0]


def test_the_result_does_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    looks = draw_looks(70, seed=1)
    whole = drop_alike(looks, FAR), find_alike(looks, FAR)
    monkeypatch.setattr(perceptual, "_BLOCK", 7)
    parts = drop_alike(looks, FAR), find_alike(looks, FAR)
    np.testing.assert_array_equal(whole[0], parts[0])
    assert parts[1] is not None


def test_a_chain_keeps_both_ends():
    look = np.zeros((3, 8), np.uint8)
    look[1, 0], look[2, :2] = 255, 255  # 8 bits from one to the next, 16 from end to end
    looks = Looks(digest=np.arange(3, dtype=np.uint8)[:, np.newaxis].repeat(16, axis=1), look=look)
    witness, reason = drop_alike(looks, FAR)
    assert (witness.tolist(), reason.tolist()) == ([-1, 0, -1], [-1, 1, -1])


def test_a_cosine_at_the_limit_is_not_near():
    rows = np.array([[1, 0], [0.6, 0.8]], np.float16)
    limit = float(np.float32(np.float64(rows[1, 0])))
    looks = Looks(
        digest=np.array([[0], [1]], np.uint8), look=np.array([[0] * 8, [255] * 8], np.uint8), rows=rows
    )
    assert find_alike(looks, Likeness(bits=3, similarity=limit)) is None
    assert find_alike(looks, Likeness(bits=3, similarity=np.nextafter(np.float32(limit), np.float32(0)))) == (
        0,
        1,
        "near",
    )


@pytest.fixture
def pictures(tmp_path, noise, as_bytes, write_folder):
    """A folder with a copy of bytes, a damaged picture and one listed with a uid that comes twice."""
    data = [as_bytes(noise(seed)) for seed in range(4)]
    named = {
        "a.png": data[0],
        "b.png": data[0],
        "c.png": data[1],
        "d.png": data[2][:300],
        "e.png": data[2],
        "f.png": data[3],
    }
    folder = write_folder(tmp_path / "pictures", named, ["x"] * 6, uid=["u1", "u2", "u3", "u4", "u4", "u6"])
    return open_corpus(folder)


def test_pictures_are_hashed_once_each_and_damaged_ones_are_told(pictures, tmp_path, noise):
    shard = pictures.shards[0]
    wanted = {shard: {"u1", "u2", "u3", "u4", "nowhere"}}
    found = fingerprint_pictures(pictures, wanted, tmp_path / "one", threads=1)
    again = fingerprint_pictures(pictures, wanted, tmp_path / "four", threads=4)
    assert found.equals(again)
    assert found["uid"].to_pylist() == ["nowhere", "u1", "u2", "u3", "u4"]
    assert found["reason"].to_pylist() == ["its picture was not found", None, None, None, None]
    looks = as_looks(found.filter(pa.array([False, True, True, True, True])))
    assert (
        looks.look[3].tobytes() == hash_picture(np.asarray(noise(2))).tobytes()
    )  # of two pictures, the good one
    assert [
        (one, other)
        for one, other in combinations(range(4), 2)
        if (looks.digest[one] == looks.digest[other]).all()
    ] == [(0, 1)]


def test_a_run_that_was_killed_hashes_the_rest_alone(numbered, tmp_path, monkeypatch):
    numbered.write(tmp_path / "corpus")
    corpus = open_corpus(tmp_path / "corpus")
    wanted = {shard: set(numbered.uids(corpus.only(shard))) for shard in corpus.shards}
    whole = fingerprint_pictures(corpus, wanted, tmp_path / "whole", threads=1)
    read = type(corpus).stream
    opened = []

    def stream(self, shard):
        opened.append(shard)
        if len(opened) == 2:
            raise KeyboardInterrupt
        return read(self, shard)

    monkeypatch.setattr(type(corpus), "stream", stream)
    with pytest.raises(KeyboardInterrupt):
        fingerprint_pictures(corpus, wanted, tmp_path / "killed", threads=1)
    assert fingerprint_pictures(corpus, wanted, tmp_path / "killed", threads=1).equals(whole)
    assert opened == [*corpus.shards[:2], *corpus.shards[1:]]


def test_no_row_at_all_gives_an_empty_table(pictures, tmp_path):
    found = fingerprint_pictures(pictures, {}, tmp_path / "none", threads=1)
    assert found.num_rows == 0
    assert len(as_looks(found)) == 0
