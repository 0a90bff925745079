import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.scoring.scored import names, retrieval, units

from oddpair.eval.scoring import retrieval as module
from oddpair.eval.scoring.metrics import credit


@st.composite
def galleries(draw):
    """Few different scores, so that ties are common; captions in any order, some pictures without one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(2, 7)), draw(st.integers(2, 12))
    images = rng.integers(-1, 2, (n, 4)).astype(np.float32) + np.float32(0.5)
    texts = rng.integers(-1, 2, (m, 4)).astype(np.float32) + np.float32(0.25)
    images[0], images[1] = 1.5, [1, -1, 1, -1]
    texts[0], texts[1] = 1.25, [1, 1, -1, -1]
    owner = rng.integers(n, size=m)
    queries = rng.random(n) < draw(st.sampled_from([0.3, 1.0]))
    queries[owner[0]] = True
    return images, texts, owner, queries


def rank_slowly(images, texts, owner, queries):
    """One query at a time, by looking at every other answer."""
    scores = images.astype(float) @ texts.astype(float).T
    rows = []
    for image in range(len(images)):
        right = owner == image
        if queries[image] and right.any():
            best = scores[image, right].max()
            wrong = scores[image, ~right]
            rows.append(("image_to_text", image, -1, best, (wrong > best).sum(), (wrong == best).sum(),
                         (scores[image, right] == best).sum(), len(texts)))  # fmt: skip
    for text in range(len(texts)):
        if queries[owner[text]]:
            best = scores[owner[text], text]
            wrong = np.delete(scores[:, text], owner[text])
            number = (owner[:text] == owner[text]).sum()
            rows.append(("text_to_image", owner[text], number, best, (wrong > best).sum(), (wrong == best).sum(),
                         1, len(images)))  # fmt: skip
    return rows


@settings(max_examples=80, deadline=None)
@given(galleries(), st.integers(1, 8), st.integers(1, 8))
def test_counts_are_those_of_a_look_at_every_answer_for_any_block_size(
    gallery, images_at_once, texts_at_once
):
    images, texts, owner, queries = gallery
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_IMAGES_AT_ONCE", images_at_once)
        patch.setattr(module, "_TEXTS_AT_ONCE", texts_at_once)
        table = retrieval(images, texts, owner, queries=queries)
    columns = (
        "direction",
        "key",
        "caption",
        "best_score",
        "n_greater",
        "n_tied",
        "n_positives_tied",
        "n_candidates",
    )
    found = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
    keys = names(len(images))["keys"]
    wanted = rank_slowly(images, texts, owner, queries)
    assert found == [(row[0], keys[row[1]], *row[2:]) for row in wanted]


def test_blocks_change_no_count_of_drawn_embeddings(rng):
    images, texts, owner = (
        units(rng, 50, 16),
        units(rng, 150, 16),
        rng.permutation(np.repeat(np.arange(50), 3)),
    )
    whole = retrieval(images, texts, owner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_IMAGES_AT_ONCE", 7)
        patch.setattr(module, "_TEXTS_AT_ONCE", 11)
        assert retrieval(images, texts, owner).equals(whole)


@settings(max_examples=30, deadline=None)
@given(galleries(), st.integers(0, 2**32 - 1))
def test_another_order_of_the_gallery_changes_no_count(gallery, seed):
    images, texts, owner, queries = gallery
    rng = np.random.default_rng(seed)
    order, mixed = rng.permutation(len(images)), np.arange(len(texts))
    # Captions keep their order within a picture, which gives them their numbers.
    mixed = np.argsort(rng.random(len(images))[owner], kind="stable")
    moved = {name: [column[row] for row in order] for name, column in names(len(images)).items()}
    after = retrieval(
        images[order], texts[mixed], np.argsort(order)[owner[mixed]], queries=queries[order], **moved
    )
    by = [(name, "ascending") for name in ("direction", "key", "caption")]
    assert after.sort_by(by).equals(retrieval(images, texts, owner, queries=queries).sort_by(by))


def test_some_queries_are_answered_as_among_all_against_the_whole_gallery(rng):
    images, texts, owner = units(rng, 40, 8), units(rng, 80, 8), np.repeat(np.arange(40), 2)
    asks = rng.random(40) < 0.3
    whole = retrieval(images, texts, owner)
    asked = [key for key, is_asking in zip(names(40)["keys"], asks, strict=True) if is_asking]
    some = retrieval(images, texts, owner, queries=asks)
    assert some.equals(whole.filter(pc.is_in(whole["key"], value_set=some["key"].unique())))
    assert some["key"].unique().to_pylist() == asked
    assert set(some["n_candidates"].to_pylist()) == {40, 80}


@settings(max_examples=30, deadline=None)
@given(galleries())
def test_recall_does_not_fall_in_k_and_is_1_at_the_gallerys_size(gallery):
    images, texts, owner, queries = gallery
    table = retrieval(images, texts, owner, queries=queries)
    recalls = np.stack([credit(table, "retrieval", k) for k in range(1, 13)])
    assert (np.diff(recalls, axis=0) >= -1e-12).all()
    sizes = table["n_candidates"].to_numpy()
    for row, size in enumerate(sizes):
        assert credit(table.slice(row, 1), "retrieval", int(size))[0] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"owner": [0, 2]}, "owner 2 of caption 1 is not one of 2 pictures"),
        ({"owner": [0]}, "1 owner, 2 questions"),
        ({"texts": np.eye(3)[:2]}, "dimension 2, those of captions 3"),
        ({"queries": np.zeros(2, dtype=bool)}, "no picture with a caption asks"),
    ],
)
def test_arguments_that_do_not_fit_are_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        retrieval(**{"images": np.eye(2), "texts": np.eye(2), "owner": [0, 1], **change})
