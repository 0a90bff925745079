from itertools import product

import numpy as np
import pytest
from tests.eval.composing.object_worlds import draw_world

from oddpair.eval.composing.unseen_errors import tie


def slow_variance(keys, influence):
    sets = [set(key.split(";")) for key in keys]
    total = 0.0
    for (place, one), (other_place, other) in product(enumerate(sets), repeat=2):
        together = 1 if place == other_place else len(one & other)
        total += together * influence[place] * influence[other_place]
    return total


def test_the_error_is_that_of_sets_that_go_together_by_the_objects_they_share():
    samples = draw_world(0, n_sets=40, n_objects=12)
    shared = tie(samples)
    keys = np.unique(samples.key).tolist()
    rng = np.random.default_rng(1)
    # Sets with the hard object of their own fall together.
    influence = np.array(["thing03" in key for key in keys]) + 0.1 * rng.normal(size=len(keys))
    n_objects = shared.members.shape[1]
    expected = slow_variance(keys, influence) * n_objects / (n_objects - 1)
    assert shared.error(influence) ** 2 == pytest.approx(expected)


def test_the_error_is_never_below_that_of_independent_sets():
    samples = draw_world(0, n_sets=40, n_objects=12)
    shared = tie(samples)
    # Neighbours in the order of names share objects, and are moved against each other.
    influence = np.where(np.arange(shared.members.shape[0]) % 2 == 0, 1.0, -1.0)
    assert slow_variance(np.unique(samples.key).tolist(), influence) < influence @ influence
    n_objects = shared.members.shape[1]
    assert shared.error(influence) ** 2 == pytest.approx(influence @ influence * n_objects / (n_objects - 1))


def test_a_mean_of_some_rows_has_their_support():
    samples = draw_world(0, n_sets=40, n_objects=12)
    rows = np.arange(10)
    found = tie(samples).mean(samples.correct[rows], what="accuracy", rows=rows)
    assert (found.value, found.n, found.what) == (samples.correct[rows].mean(), 10, "accuracy")
    assert found.low < found.value < found.high
