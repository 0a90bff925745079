import math
from dataclasses import replace

import numpy as np
import pytest
from tests.eval.prediction.accuracy_tables import make_table

from oddpair.eval.prediction.features import find_features
from oddpair.eval.prediction.held_out import CONCEPTS, DATASETS
from oddpair.eval.prediction.kernel import make_basis, make_kernel

WORDS = ("red", "blue", "fox", "owl")


def draw_features(n=60):
    rng = np.random.default_rng(5)
    rows = []
    for number in range(n):
        text, image, joint = np.floor(10 ** rng.uniform(0, 5, 3)).tolist()
        told = {"count_text": text, "count_image": image}
        if number % 7:
            told["count_joint"] = joint
        concept = f"{WORDS[number % 4]} {number}"
        rows.append({"concept": concept, "dataset": "abc"[number % 3], **told})
    return find_features(make_table(rows))


def make_slowly(features, pooling):
    n = len(features.dataset)
    words = features.words.toarray()
    kernel = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            squared = 0.0
            for c in range(3):
                squared += (features.counts[i, c] - features.counts[j, c]) ** 2
                squared += float(features.missing[i, c] != features.missing[j, c])
                rivals = features.standing[i, 2 + c] - features.standing[j, 2 + c]
                ranks = features.standing[i, 5 + c] - features.standing[j, 5 + c]
                squared += (0.5 * rivals) ** 2 + (pooling.rank * ranks) ** 2
            squared += ((features.standing[i, :2] - features.standing[j, :2]) ** 2).sum()
            same = float(features.dataset[i] == features.dataset[j])
            curve = pooling.curve + same * pooling.curve_in_dataset
            word = pooling.word + same * pooling.word_in_dataset
            kernel[i, j] = 0.3 + same * pooling.dataset + word * float(words[i] @ words[j])
            kernel[i, j] += curve * math.exp(-squared / (2 * pooling.length**2))
    return kernel


@pytest.mark.parametrize("pooling", [CONCEPTS, DATASETS], ids=["concepts", "datasets"])
def test_the_kernel_is_that_of_the_slow_formula(pooling):
    features = draw_features(25)
    np.testing.assert_allclose(make_kernel(features, pooling), make_slowly(features, pooling), atol=3e-5)


@pytest.mark.parametrize("pooling", [CONCEPTS, DATASETS], ids=["concepts", "datasets"])
def test_the_kernel_is_a_covariance(pooling):
    kernel = make_kernel(draw_features(), pooling).astype(np.float64)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    assert np.linalg.eigvalsh(kernel).min() > -1e-4


def test_what_is_not_pooled_leaves_the_constant_alone():
    nothing = replace(CONCEPTS, dataset=0.0, curve=0.0, curve_in_dataset=0.0, word=0.0, word_in_dataset=0.0)
    np.testing.assert_allclose(make_kernel(draw_features(), nothing), 0.3, rtol=1e-6)


def test_the_basis_makes_the_kernel_again():
    kernel = make_kernel(draw_features(), CONCEPTS)
    basis = make_basis(kernel)
    np.testing.assert_allclose(basis @ basis.T, kernel, atol=2e-4 * kernel.max())


def test_a_cut_basis_leaves_a_remainder_that_shrinks_with_every_column():
    kernel = make_kernel(draw_features(), CONCEPTS)
    left = []
    for most in (1, 5, 20, 40):
        basis = make_basis(kernel, most)
        assert basis.shape == (60, most)
        remainder = kernel.astype(np.float64) - basis.astype(np.float64) @ basis.T.astype(np.float64)
        assert np.linalg.eigvalsh(remainder).min() > -1e-4
        left.append(np.trace(remainder))
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0] / 4


def test_rows_that_are_alike_take_one_column():
    factor = np.array([[1.0], [1.0], [2.0]], dtype=np.float32)
    assert np.allclose(np.abs(make_basis(factor @ factor.T)), factor)
