import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.zero_shot import class_vectors, classify, decide


def slow_class_vector(templates):
    mean = sum(row / np.sqrt((row**2).sum()) for row in templates) / len(templates)
    return mean / np.sqrt((mean**2).sum())


def test_class_vectors_are_the_unit_mean_of_unit_templates():
    texts = np.random.default_rng(0).normal(size=(4, 3, 5))
    expected = np.stack([slow_class_vector(templates) for templates in texts])
    assert class_vectors(texts) == pytest.approx(expected)


def test_the_length_of_a_text_embedding_does_not_matter():
    texts = np.random.default_rng(0).normal(size=(2, 3, 5))
    stretched = texts * np.array([1.0, 10.0, 0.1])[None, :, None]
    assert class_vectors(stretched) == pytest.approx(class_vectors(texts))


def test_one_template_gives_its_own_unit_vector():
    assert class_vectors(np.array([[[3.0, 4.0]]])) == pytest.approx(np.array([[0.6, 0.8]]))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (np.zeros((1, 1, 2)), "degenerate text embedding at 0, 0: length 0.0"),
        (np.array([[[1.0, 0.0], [-1.0, 0.0]]]), "degenerate mean text embedding of class at 0"),
        (np.array([[[0.6, 0.8], [-0.3, -0.4]]]), "degenerate mean text embedding of class at 0"),
        (np.full((2, 1, 2), np.nan), "degenerate text embedding at 0, 0: length nan"),
        (np.zeros((0, 1, 2)), "have shape"),
        (np.ones((2, 2)), "have shape"),
    ],
)
def test_text_without_a_direction_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        class_vectors(texts)


def test_a_decision_is_the_nearest_class_with_its_lead_over_the_next():
    found = classify(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]]))
    assert found.classes.tolist() == [0, 1]
    assert found.classes.dtype == np.int64
    assert found.scores == pytest.approx(np.array([1.0, 0.8]))
    assert found.margins == pytest.approx(np.array([0.4, 0.8]))


@given(st.integers(0, 1000), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_the_decision_is_the_same_for_any_batch_size(seed, batch):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(7, 33)).astype(np.float32)
    # Twins: a matrix product may round them apart, the decision may not.
    vectors[5] = vectors[2]
    images = rng.normal(size=(20, 33)).astype(np.float32)
    whole = classify(images, vectors)
    parts = [classify(images[start : start + batch], vectors) for start in range(0, 20, batch)]
    assert np.concatenate([part.classes for part in parts]).tolist() == whole.classes.tolist()
    assert 5 not in whole.classes
    assert (whole.margins[whole.classes == 2] == 0).all()


def test_scores_that_rounding_holds_apart_are_a_tie_without_a_lead():
    found = decide(1, lambda start, stop: np.array([[0.1, 0.5, 0.5 + 2e-16, 0.5 - 1e-9]]))
    assert (found.classes[0], found.margins[0]) == (1, 0.0)


def test_more_images_than_fit_one_block_are_all_decided():
    images = np.eye(3)[np.arange(10_000) % 3]
    assert (classify(images, np.eye(3)).classes == np.arange(10_000) % 3).all()


@given(st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_permuting_the_classes_permutes_the_decisions(order):
    rng = np.random.default_rng(1)
    images, vectors = rng.normal(size=(12, 4)), rng.normal(size=(5, 4))
    permuted = classify(images, vectors[list(order)])
    assert [order[index] for index in permuted.classes] == classify(images, vectors).classes.tolist()


@pytest.mark.parametrize(
    ("images", "vectors", "message"),
    [
        (np.array([[np.nan, 1.0]]), np.eye(2), "degenerate image embedding at row 0"),
        (np.eye(2), np.array([[1.0, 0.0], [np.inf, 0.0]]), "degenerate class vector at row 1"),
        (np.eye(2), np.ones((3, 2)), "degenerate classes: all 3 vectors are the same"),
        (np.eye(3), np.eye(2), "images have dimension 3, classes have 2"),
        (np.eye(2), np.eye(2)[:1], "1 class, a decision needs at least 2"),
        (np.zeros((0, 2)), np.eye(2), "at least one row"),
    ],
)
def test_a_model_that_says_nothing_gets_no_score(images, vectors, message):
    with pytest.raises(ValueError, match=message):
        classify(images, vectors)
