from typing import cast

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st
from tests.retrieval.brute_force import all_scores, unit
from tests.retrieval.stored_folder import write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.counting import tagger
from oddpair.retrieval.counting.tagger import (
    CONCEPTS,
    TagPlan,
    embed_concepts,
    find_concepts,
    load_templates,
    tag_pictures,
    write_concepts,
)
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.stored import open_stored


def coarse(rng, n, d):
    """Unit rows of coarse numbers, so that some scores tie."""
    rows = rng.integers(-2, 3, (n, d)).astype(np.float64)
    rows[:, 0] += ~rows.any(axis=1)
    return unit(rows, np.float32)


def find_slowly(pictures, concepts, plan):
    """By the definition: best first, of equal ones the smaller concept."""
    found = []
    for picture, scores in enumerate(all_scores(pictures, concepts)):
        order = sorted(range(len(scores)), key=lambda concept: (-scores[concept], concept))
        kept = [each for each in order if plan.threshold is None or scores[each] > np.float32(plan.threshold)]
        found += [(picture, concept, scores[concept]) for concept in kept[: plan.per_image]]
    return found


@configure(max_examples=25, deadline=None)
@given(
    st.integers(0, 99),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(1, 4),
    st.sampled_from([None, 0.0, 0.5]),
    st.sampled_from([2, 5]),
)
def test_a_picture_has_its_nearest_concepts_above_the_threshold(seed, m, n, per_image, threshold, d):
    rng = np.random.default_rng(seed)
    pictures, concepts = coarse(rng, m, d), coarse(rng, n, d)
    plan = TagPlan(per_image=per_image, threshold=threshold)
    found = find_concepts(pictures, concepts, plan)
    listed = list(zip(found.test.tolist(), found.row.tolist(), found.score, strict=True))
    assert listed == find_slowly(pictures, concepts, plan)


NAMES = ["cat", "dog", "pine tree", "sun", "car"]


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(3)
    rows = unit(rng.normal(size=(23, 8)), np.float16)
    # A picture that the corpus holds twice.
    rows[22] = rows[0]
    uids = [f"u{row:02d}" for row in range(22)] + ["u00"]
    return open_stored(write_stored(tmp_path / "embeddings", rows, uids, [10, 0, 13]))


@pytest.fixture
def concepts():
    return unit(np.random.default_rng(4).normal(size=(5, 8)), np.float32)


def tag(pictures, concepts, out, plan, workers=1):
    write_concepts(out / CONCEPTS, NAMES, concepts)
    return tag_pictures(pictures, out, plan, tagger={"kind": "zero-shot"}, workers=workers)


def test_files_are_aligned_with_the_shards_and_say_what_the_slow_rule_says(
    pictures, concepts, tmp_path, monkeypatch
):
    monkeypatch.setattr(tagger, "_PICTURES_AT_ONCE", 4)
    plan = TagPlan(per_image=3, threshold=0.1)
    made = tag(pictures, concepts, tmp_path / "out", plan)
    assert [path.name for path in made] == [f"tags_000{shard}.parquet" for shard in range(3)]
    start = 0
    for size, path in zip(pictures.sizes, made, strict=True):
        rows = np.arange(start, start + size)
        slow = find_slowly(pictures.read(start, start + size).astype(np.float32), concepts, plan)
        uids = pictures.uids(rows)
        expected = [
            {"uid": uids[picture], "concept": NAMES[concept], "score": score}
            for picture, concept, score in slow
        ]
        table = pq.read_table(path)
        assert table.to_pylist() == expected
        assert [str(kind) for kind in table.schema.types] == ["string", "string", "float"]
        start += size


def test_tags_of_a_picture_depend_on_nothing_but_its_embedding(pictures, concepts, tmp_path):
    rows, uids = pictures.read(0, 22)[::-1], pictures.uids(np.arange(22))[::-1]
    other = open_stored(write_stored(tmp_path / "other", rows, uids, [1, 21]))

    def tags_of(stored, out):
        made = tag(stored, concepts, tmp_path / out, TagPlan())
        return {
            (line["uid"], line["concept"], line["score"])
            for path in made
            for line in pq.read_table(path).to_pylist()
        }

    assert tags_of(pictures, "a") == tags_of(other, "b")


@pytest.mark.parametrize("workers", [2, 7])
def test_any_number_of_workers_gives_the_same_bytes(pictures, concepts, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(tagger, "_PICTURES_AT_ONCE", 4)
    one = tag(pictures, concepts, tmp_path / "one", TagPlan())
    more = tag(pictures, concepts, tmp_path / "more", TagPlan(), workers=workers)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in more]


@pytest.mark.parametrize("value", [np.nan, 0, 0.9], ids=["38-nan", "39-zero", "47-not-normalised"])
def test_a_bad_row_is_refused_by_its_place(concepts, tmp_path, value):
    rows = np.eye(8)
    rows[5] *= value
    stored = open_stored(write_stored(tmp_path / "embeddings", rows, list("abcdefgh"), [4, 4]))
    with pytest.raises(Refusal, match=r"img_emb_0001\.npy row 1 has length"):
        tag(stored, concepts, tmp_path / "out", TagPlan())


def test_embeddings_that_change_meanwhile_are_refused(pictures, concepts, tmp_path):
    manifest = files.read_json(pictures.folder / "manifest.json")
    files.write_json(pictures.folder / "manifest.json", {**manifest, "encoder_sha256": "00" * 32})
    with pytest.raises(Refusal, match="embeddings has changed since the run began"):
        tag(pictures, concepts, tmp_path / "out", TagPlan())


class Words:
    """Knows three words, each a direction; a text is the sum of its words, made a unit row."""

    words = ("cat", "dog", "photo")

    def encode_texts(self, texts, *, after):
        rows = np.array([[text.count(word) for word in self.words] for text in texts], np.float32)
        rows -= np.array([["anticat" in text] for text in texts]) * 2 * rows
        after(len(set(texts)))
        return unit(rows, np.float32)


def test_a_concept_is_the_mean_of_its_templates_made_a_unit_row():
    rows = embed_concepts(cast(Encoder, Words()), ["cat", "dog"], ["{}", "photo {}"])
    half = np.array([1 + 2**-0.5, 2**-0.5])
    one, other = half / np.linalg.norm(half)
    np.testing.assert_allclose(rows, [[one, 0, other], [0, one, other]], atol=1e-7)
    assert rows.dtype == np.float32


def test_templates_that_cancel_out_are_refused():
    with pytest.raises(Refusal, match="the texts of concept 'cat' cancel out"):
        embed_concepts(cast(Encoder, Words()), ["dog", "cat"], ["{}", "anti{}"])


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"templates": ()}, "no template is given"),
        ({"templates": ("{}", "a photo")}, r"template 'a photo' has 0 times \{\}, needed once"),
        ({"templates": ("{} {}",)}, r"template '\{\} \{\}' has 2 times"),
        ({"per_image": 0}, "0 concepts a picture, needed 1 or more"),
        ({"threshold": 1.0}, "threshold 1, needed a cosine similarity"),
        ({"threshold": float("nan")}, "threshold nan, needed a cosine similarity"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(values, line):
    with pytest.raises(Refusal, match=line):
        TagPlan(**values)


def test_templates_are_read_a_line_each(tmp_path):
    (tmp_path / "t.txt").write_text("\ufeffa {}.\n\n  the {} \r\n", encoding="utf-8")
    assert load_templates(tmp_path / "t.txt") == ("a {}.", "the {}")
    (tmp_path / "t.txt").write_bytes(b"\xff {}")
    with pytest.raises(Refusal, match=r"t\.txt cannot be read \(it is not UTF-8\)"):
        load_templates(tmp_path / "t.txt")
    with pytest.raises(Refusal, match=r"none\.txt cannot be read \(No such file"):
        load_templates(tmp_path / "none.txt")
