"""Copies of test images in a corpus, planted one by one, and what is said where there are no pictures."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.retrieval.stored_folder import write_stored

from oddpair import stages
from oddpair.eval.auditing.asked import Asked, Material
from oddpair.eval.auditing.duplicates import find_duplicates
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.stored import open_stored
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.similar.search import search_corpus


def draw(seed, side=48):
    """A picture of large blocks, whose frequencies a hash tells apart."""
    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return blocks.resize((side, side), Image.Resampling.BICUBIC)


def encode(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


TESTS = {f"test{number}.png": encode(draw(number)) for number in range(6)}
COPIES = {
    "a-file.png": TESTS["test0.png"],
    "b-compressed.jpg": encode(draw(1), "JPEG", quality=60),
    "c-scaled.png": encode(draw(2).resize((24, 24), Image.Resampling.LANCZOS)),
    "d-mirrored.png": encode(ImageOps.mirror(draw(3))),
    "e-plain.png": encode(Image.new("RGB", (48, 48), (9, 9, 9))),
}
OTHERS = {f"other{number}.png": encode(draw(100 + number)) for number in range(12)}


@pytest.fixture
def place(tmp_path, write_folder):
    """Folders of pictures with unit rows, so that every copy is the nearest row of its test image."""
    rng = np.random.default_rng(0)
    test_rows = rng.normal(size=(6, 16))
    rows = np.concatenate([test_rows[:5] + 0.01, rng.normal(size=(12, 16))])
    for name, pictures, vectors in (("val", TESTS, test_rows), ("web", COPIES | OTHERS, rows)):
        write_folder(tmp_path / name, pictures, ["a picture"] * len(pictures))
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
        uids = uids_of(tmp_path / name)
        stages.begin(tmp_path / f"emb-{name}", {"name": name})
        write_stored(tmp_path / f"emb-{name}", unit, [uids[key] for key in pictures], [len(pictures)])
        stages.finish(tmp_path / f"emb-{name}")
    return tmp_path


def uids_of(folder):
    """Uid of each file."""
    (table,) = [batch.table for batch in open_corpus(folder).batches()]
    return dict(zip(table["key"].to_pylist(), table["uid"].to_pylist(), strict=True))


def material_of(place, *, pictures=True, **asked):
    sides = {
        name: Pictures(
            name=name,
            corpus=open_corpus(place / name) if pictures else None,
            stored=open_stored(place / f"emb-{name}"),
        )
        for name in ("web", "val")
    }
    inputs = Inputs(corpus=sides["web"], tests={"val": sides["val"]})
    work = place / "work"
    return Material(
        asked=Asked(**asked),
        inputs=inputs,
        name="val",
        searched=search_corpus(inputs, work / "search", deduplicate=None, sampled=0, seed=0),
        table=None,
        work=work,
    )


def told(place, found):
    """Reason and copy by test image, as files."""
    # A copied file has the uid of the file that it is a copy of.
    tests, rows = ({uid: name for name, uid in uids_of(place / folder).items()} for folder in ("val", "web"))
    return {
        tests[row["uid"]]: (row["duplicate"], rows[row["duplicate_uid"]]) for row in found.images.to_pylist()
    }


EXPECTED = {
    "test0.png": ("same bytes", "a-file.png"),
    "test1.png": ("same look", "b-compressed.jpg"),
    "test2.png": ("same look", "c-scaled.png"),
}


def test_copies_are_found_by_file_and_look_and_neither_mirrored_nor_plain_ones_are(place):
    found = find_duplicates(material_of(place))
    assert told(place, found) == EXPECTED
    counts = found.duplicates
    assert (counts.found.part, counts.same_bytes.part, counts.same_look.part, counts.near.part) == (
        3,
        1,
        2,
        0,
    )
    assert (counts.rows, counts.compared, counts.unseen, counts.found.n) == (3, 60, 0, 6)


def test_what_is_nearer_than_a_threshold_is_a_duplicate_of_the_weakest_kind(place):
    found = find_duplicates(material_of(place, similarity=0.99))
    assert told(place, found) == EXPECTED | {
        "test3.png": ("near", "d-mirrored.png"),
        "test4.png": ("near", "e-plain.png"),
    }
    reasons = found.pairs["reason"].to_pylist()
    assert sorted(reasons) == ["near", "near", "same bytes", "same look", "same look"]


def test_every_picture_finds_copies_wherever_the_encoder_puts_them(place):
    path = place / "emb-web" / "img_emb"
    (file,) = path.iterdir()
    rows = np.load(file)
    # The copies are now the farthest of all.
    rows[:3] *= -1
    np.save(file, rows)
    near = find_duplicates(material_of(place, bits=4))
    assert told(place, near) == {}
    every = find_duplicates(dataclasses.replace(material_of(place), asked=Asked(every_picture=True)))
    assert told(place, every) == EXPECTED
    assert every.pairs["score"].null_count == 3


def test_without_pictures_only_a_threshold_tells(place):
    found = find_duplicates(material_of(place, pictures=False))
    assert found.images.num_rows == 0
    assert (found.duplicates.compared, found.duplicates.unseen) == (0, 60)
    found = find_duplicates(material_of(place, pictures=False, similarity=0.99))
    assert set(found.images["duplicate"].to_pylist()) == {"near"}
    assert found.duplicates.found.part == 5


def test_a_second_look_reads_what_the_first_one_noted(place, monkeypatch):
    from oddpair.splits.curation import perceptual

    first = find_duplicates(material_of(place))
    monkeypatch.setattr(perceptual, "_fingerprint_shard", lambda *_: pytest.fail("hashed again"))
    again = find_duplicates(material_of(place))
    assert again.images.equals(first.images)
    assert again.pairs.equals(first.pairs)
