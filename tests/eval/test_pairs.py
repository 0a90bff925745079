import numpy as np
import pytest

from oddpair.eval.pairs import both_orders, chance, conditional_hits


def slow_answer(image, target, partner, vectors, nested):
    best, answer = -np.inf, -1
    for x in range(len(vectors)):
        other_truth = x != target and (nested[x, target] or nested[x, partner])
        if x == partner or other_truth:
            continue
        if image @ vectors[x, partner] > best:
            best, answer = image @ vectors[x, partner], x
    return answer, best


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 6, 8))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    first, second = np.triu_indices(6, 1)
    images = rng.normal(size=(len(first), 8)) + 3 * vectors[first, second] + 3 * vectors[second, first]
    rows, target, partner = both_orders(first, second)
    return images[rows], target, partner, vectors


def test_the_answer_is_that_of_a_loop_over_all_candidates(world):
    images, target, partner, vectors = world
    found = conditional_hits(images, target, partner, vectors)
    none = np.zeros((6, 6), dtype=bool)
    for row in range(len(images)):
        answer, score = slow_answer(images[row], target[row], partner[row], vectors, none)
        assert found.classes[row] == answer
        assert found.scores[row] == pytest.approx(score)
        assert found.hits[row] == (answer == target[row])
    assert 0 < found.hits.mean() < 1
    assert (found.margins > 0).all()


def test_nested_concepts_are_no_candidates_but_the_target_stays_one(world):
    images, target, partner, vectors = world
    nested = np.zeros((6, 6), dtype=bool)
    nested[0, 1] = nested[1, 0] = True
    nested[2, 3] = nested[3, 2] = True
    pairs = ~nested[target, partner]
    images, target, partner = images[pairs], target[pairs], partner[pairs]
    found = conditional_hits(images, target, partner, vectors, nested)
    expected = [slow_answer(*row, vectors, nested)[0] for row in zip(images, target, partner, strict=True)]
    assert found.classes.tolist() == expected
    others = found.classes[found.classes != target], target[found.classes != target]
    assert not nested[others].any()


def test_the_partner_is_never_the_answer_even_where_its_own_row_is_garbage(world):
    images, target, partner, vectors = world
    spoilt = vectors.copy()
    spoilt[np.arange(6), np.arange(6)] = np.nan
    found = conditional_hits(images, target, partner, spoilt)
    assert (found.classes != partner).all()
    assert found.classes.tolist() == conditional_hits(images, target, partner, vectors).classes.tolist()


def test_a_function_of_the_partner_answers_like_the_array(world):
    images, target, partner, vectors = world
    by_array = conditional_hits(images, target, partner, vectors)
    by_call = conditional_hits(images, target, partner, lambda concept: vectors[:, concept])
    assert by_array.classes.tolist() == by_call.classes.tolist()


def test_the_answer_does_not_depend_on_which_rows_are_asked_together(world):
    images, target, partner, vectors = world
    whole = conditional_hits(images, target, partner, vectors)
    single = [
        conditional_hits(images[i : i + 1], target[i : i + 1], partner[i : i + 1], vectors).classes[0]
        for i in range(len(images))
    ]
    assert single == whole.classes.tolist()


def test_a_tie_goes_to_the_lowest_concept():
    vectors = np.ones((4, 4, 2))
    found = conditional_hits(np.ones((2, 2)), [2, 1], [3, 0], vectors)
    assert found.classes.tolist() == [0, 1]
    assert found.hits.tolist() == [False, True]
    assert found.margins.tolist() == [0.0, 0.0]


def test_blind_guessing_hits_at_the_rate_of_chance():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 5, 16))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    images = rng.normal(size=(4000, 16))
    target = rng.integers(5, size=4000)
    partner = (target + 1 + rng.integers(4, size=4000)) % 5
    assert conditional_hits(images, target, partner, vectors).hits.mean() == pytest.approx(
        chance(5), abs=0.03
    )


@pytest.mark.parametrize(
    ("target", "partner", "message"),
    [
        ([0], [0], "target 0 and partner 0 at row 0 are the same or nested"),
        ([0], [1], "target 0 and partner 1 at row 0 are the same or nested"),
        ([9], [1], "target 9 at row 0 is not one of 4 concepts"),
        ([0], [9], "partner 9 is not one of 4 concepts"),
        ([0, 1], [2, 3], "1 images, targets"),
    ],
)
def test_a_question_that_is_no_pair_is_refused(target, partner, message):
    nested = np.zeros((4, 4), dtype=bool)
    nested[0, 1] = nested[1, 0] = True
    with pytest.raises(ValueError, match=message):
        conditional_hits(np.ones((1, 2)), target, partner, np.ones((4, 4, 2)), nested)


@pytest.mark.parametrize(
    ("images", "vectors", "message"),
    [
        (np.ones((1, 3)), np.ones((4, 4, 2)), "images have dimension 3, pair vectors have 2"),
        (np.full((1, 2), np.nan), np.ones((4, 4, 2)), "degenerate image embedding"),
        (np.ones((1, 2)), np.full((4, 4, 2), np.nan), "degenerate pair vector beside concept 1"),
        (np.ones((1, 2)), np.ones((4, 3, 2)), "need \\(K, K, d\\)"),
        (np.ones((1, 2)), np.ones((2, 2, 2)), "fewer than 2 candidates"),
        (np.zeros((0, 2)), np.ones((4, 4, 2)), "at least one row"),
    ],
)
def test_embeddings_that_cannot_answer_are_refused(images, vectors, message):
    with pytest.raises(ValueError, match=message):
        conditional_hits(images, [0], [1], vectors)


def test_a_nested_mask_of_another_vocabulary_is_refused():
    with pytest.raises(ValueError, match="nested mask has shape"):
        conditional_hits(np.ones((1, 2)), [0], [1], np.ones((4, 4, 2)), np.zeros((3, 3), dtype=bool))


def test_each_image_is_asked_in_both_orders():
    rows, target, partner = both_orders([1, 2], [5, 6])
    assert rows.tolist() == [0, 0, 1, 1]
    assert list(zip(target.tolist(), partner.tolist(), strict=True)) == [(1, 5), (5, 1), (2, 6), (6, 2)]
    with pytest.raises(ValueError, match="n >= 1"):
        both_orders([], [])
    with pytest.raises(ValueError, match="2 concepts"):
        chance(2)
