"""What broken, blind and perfect models score: refused, chance, and all."""

import numpy as np
import pytest
from scipy.stats import binom
from tests.eval.scoring.scored import SCALE, choice, classes, labels, pairs, retrieval, units

from oddpair.benchmarks.evaluation_set import KINDS
from oddpair.errors import Refusal
from oddpair.eval.scoring.metrics import measure

N = 300
K = 6


def show(kind, images, texts_of, rng):
    """Score a model of given pictures; ``texts_of`` gives embeddings of a shape, of the right one where told."""
    target = np.arange(N) % K
    if kind == "classification":
        return classes(images, texts_of(K), target), K
    if kind == "pairs":
        return pairs(images, texts_of(K, K), target, (target + 1 + np.arange(N) // K % (K - 1)) % K), K
    if kind == "retrieval":
        return retrieval(images, texts_of(N), np.arange(N)), 0
    if kind == "multilabel":
        return labels(images, texts_of(K), [[number] for number in target]), K
    captions = texts_of(N, 2)
    return choice([row[np.newaxis] for row in images], list(captions)), 0


def main_of(kind, table, n_classes):
    return measure(table, kind, cluster="image", n_classes=n_classes, seed=1, logit_scale=SCALE)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["picture", "text"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("constant", "has the same embedding"),
        ("zero", "has no direction, it is zero"),
        ("nan", "holds NaN or infinity"),
        ("inf", "holds NaN or infinity"),
    ],
)
def test_58_a_degenerate_model_is_refused(kind, side, fault, message, rng):
    def spoil(rows):
        rows = rows.copy()
        flat = rows.reshape(-1, rows.shape[-1])
        if fault == "constant":
            flat[:] = flat[0] + rng.uniform(-4e-7, 4e-7, flat.shape)
        else:
            flat[1] = {"zero": 0.0, "nan": np.nan, "inf": np.inf}[fault]
        return rows

    images = units(rng, N, 8)
    texts = lambda *shape: units(rng, *shape, 8)  # noqa: E731
    if side == "picture":
        images = spoil(images)
    else:
        texts = lambda *shape: spoil(units(rng, *shape, 8))  # noqa: E731
    with pytest.raises(Refusal, match=f"degenerate model: .*{message}"):
        show(kind, images, texts, rng)


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_model_scores_chance(kind, rng):
    table, n_classes = show(kind, units(rng, N, 64), lambda *shape: units(rng, *shape, 64), rng)
    metric = main_of(kind, table, n_classes)
    if kind == "multilabel":
        assert metric.chance == pytest.approx(1 / K)
        # The mean over classes of drawn rankings lies within five of its deviations, about 0.01 each.
        assert abs(metric.estimate.value - metric.chance) < 0.05
        return
    assert metric.chance == pytest.approx(
        {"classification": 1 / K, "pairs": 1 / (K - 1), "retrieval": 1 / N, "choice": 1 / 2}[kind]
    )
    low, high = (binom.ppf(tail, N, metric.chance) for tail in (1e-6, 1 - 1e-6))
    assert low <= metric.estimate.value * N <= high


@pytest.mark.parametrize("kind", KINDS)
def test_an_oracle_scores_everything(kind, rng):
    basis = np.eye(N, dtype=np.float32)
    images = basis[np.arange(N) % K] if kind not in ("retrieval", "choice") else basis

    def texts_of(*shape):
        if kind == "pairs":
            return np.broadcast_to(basis[:K, np.newaxis], (K, K, N))
        if kind == "choice":
            return np.stack([basis, np.roll(basis, 1, axis=0)], axis=1)
        return basis[: shape[0]]

    metric = main_of(kind, *show(kind, images, texts_of, rng))
    assert metric.estimate.value == metric.estimate.high == 1
    assert 0.97 < metric.estimate.low < 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_cannot_tell_the_answers_apart_and_is_not_caught_scores_chance(kind, rng):
    # All that counts is the first axis, which is the same throughout; the others keep it from being refused.
    images = np.zeros((N, 8), dtype=np.float32)
    images[:, 0], images[np.arange(N), 1 + np.arange(N) % 3] = 0.6, 0.8

    def texts_of(*shape):
        rows = np.zeros((*shape, 8), dtype=np.float32)
        rows[..., 0] = 0.6
        flat = rows.reshape(-1, 8)
        flat[np.arange(len(flat)), 4 + np.arange(len(flat)) // (shape[-1] if kind == "pairs" else 1) % 4] = (
            0.8
        )
        if kind == "pairs":
            rows[:] = 0
            rows[..., 0] = 0.6
            rows[np.arange(K), :, 4 + np.arange(K) % 4] = 0.8
        return rows

    table, n_classes = show(kind, images, texts_of, rng)
    metric = main_of(kind, table, n_classes)
    assert metric.estimate.value == pytest.approx(metric.chance, abs=1e-12)


def test_a_constant_model_scores_half_of_a_choice_of_two(rng):
    # Every caption of a question has the same embedding; first place for the first of equals would score 100 %.
    images = units(rng, N, 1, 8)
    captions = np.repeat(units(rng, N, 1, 8), 2, axis=1)
    table = choice(list(images), list(captions))
    metric = main_of("choice", table, 0)
    assert (metric.estimate.value, metric.chance) == (0.5, 0.5)


def test_a_constant_model_scores_what_guessing_does_of_two_pictures(rng):
    images, captions = np.repeat(units(rng, N, 1, 8), 2, axis=1), np.repeat(units(rng, N, 1, 8), 2, axis=1)
    table = choice(list(images), list(captions))
    found = {
        metric.name: metric
        for metric in measure(table, "choice", cluster="image", n_classes=0, seed=1, logit_scale=SCALE)
    }
    for name, chance in {"text_score": 1 / 4, "image_score": 1 / 4, "group_score": 1 / 6}.items():
        assert found[name].chance == chance
        assert found[name].estimate.value == pytest.approx(chance, abs=1e-12)
