import numpy as np
import pytest

from oddpair.eval.explaining.form_draws import draw_rows


def test_rows_of_one_concept_are_drawn_together():
    concept = np.array(["a", "b", "a", "c"])
    drawn = np.concatenate(list(draw_rows([concept], np.random.default_rng(0), 130)))
    assert drawn.shape == (130, 4)
    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_a_row_comes_as_often_as_its_concept_times_its_dataset():
    concept = np.repeat([f"c{index}" for index in range(40)], 2)
    dataset = np.tile(["x", "y"], 40)
    drawn = np.concatenate(list(draw_rows([concept, dataset], np.random.default_rng(0), 50)))
    # A concept in both datasets: two draws of two datasets share its own number of draws.
    for weights in drawn:
        of_concept = weights.reshape(40, 2).sum(axis=1)
        assert (of_concept % 2 == 0).all()
        assert of_concept.sum() == 80


def test_the_spread_of_a_mean_over_crossed_rows_is_covered():
    rng = np.random.default_rng(1)
    concepts, datasets = np.meshgrid(np.arange(60), np.arange(30), indexing="ij")
    covered = 0
    for _ in range(40):
        values = (rng.normal(size=60)[concepts] + rng.normal(size=30)[datasets]).ravel()
        drawn = np.concatenate(list(draw_rows([concepts.ravel(), datasets.ravel()], rng, 300)))
        low, high = np.quantile(drawn @ values / drawn.sum(axis=1), [0.025, 0.975])
        covered += low <= 0 <= high
    assert covered >= 35


def test_draws_are_those_of_the_generator():
    concept = np.array(["a", "b", "c"])
    first, second = (next(draw_rows([concept], np.random.default_rng(7), 3)) for _ in range(2))
    assert first.tolist() == second.tolist()
    with pytest.raises(StopIteration):
        next(draw_rows([concept], np.random.default_rng(7), 0))
