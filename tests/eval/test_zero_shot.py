import numpy as np
import pytest

from oddpair.eval.zero_shot import class_vectors


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
