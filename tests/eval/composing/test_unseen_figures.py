import numpy as np
import pytest
from tests.eval.composing.object_worlds import draw_world

from oddpair.eval.composing.unseen_errors import tie
from oddpair.eval.composing.unseen_figures import SEEN_MEAN, SEEN_MEAN_BY_SIZE, explain, predict_baselines


def test_r2_is_that_of_the_formula_over_samples_and_over_bins():
    world = draw_world(0, n_sets=400)
    # Every set comes once, so that equal bins can be cut.
    world = world.take(np.arange(len(world) // 10 * 10))
    rng = np.random.default_rng(0)
    predicted = rng.random(len(world))
    found = explain(world.correct, predicted, tie(world), np.arange(len(world)))
    assert found is not None
    spread = ((world.correct - world.correct.mean()) ** 2).sum()
    assert found.r2_samples.value == pytest.approx(1 - ((world.correct - predicted) ** 2).sum() / spread)
    order = np.argsort(predicted)
    bins = order.reshape(10, -1)
    means, guesses = world.correct[bins].mean(axis=1), predicted[bins].mean(axis=1)
    expected = 1 - ((means - guesses) ** 2).sum() / ((means - world.correct.mean()) ** 2).sum()
    assert found.r2_bins is not None
    assert found.r2_bins.value == pytest.approx(expected)
    assert [each.observed.value for each in found.bins] == pytest.approx(means.tolist())
    assert [each.predicted for each in found.bins] == pytest.approx(guesses.tolist())
    assert sum(each.observed.n for each in found.bins) == len(world)


def test_true_probabilities_reach_the_ceiling_over_bins_on_the_average():
    found, ceilings = [], []
    for seed in range(15):
        world = draw_world(seed, n_sets=600, level=-6.0, slope=2.0)
        rng = np.random.default_rng(seed)
        share = np.linspace(0.1, 0.9, len(world))
        correct = (rng.random(len(world)) < share).astype(float)
        each = explain(correct, share, tie(world), np.arange(len(world)))
        assert each is not None
        assert each.r2_bins is not None
        assert each.ceiling_bins is not None
        found.append(each.r2_bins.value)
        ceilings.append(each.ceiling_bins)
    assert np.mean(found) == pytest.approx(np.mean(ceilings), abs=0.015)


def test_samples_of_one_set_lie_in_one_bin_and_few_samples_in_few():
    world = draw_world(0, n_sets=300, models=("a", "b"))
    predicted = np.linspace(0, 1, len(world))
    found = explain(world.correct, predicted, tie(world), np.arange(len(world)))
    assert found is not None
    assert all(each.observed.n % 2 == 0 for each in found.bins)
    rows = np.arange(50)
    few = explain(world.correct[rows], predicted[rows], tie(world), rows)
    assert few is not None
    assert (len(few.bins), few.r2_bins, few.ceiling_bins) == (2, None, None)


def test_an_accuracy_that_does_not_vary_is_not_explained():
    world = draw_world(0, n_sets=30)
    assert explain(np.ones(len(world)), np.full(len(world), 0.5), tie(world), np.arange(len(world))) is None


def test_baselines_are_means_of_the_models_own_seen_samples():
    world = draw_world(0, n_sets=200, models=("a", "b"), sizes=(2, 3))
    seen, unseen = world.take(world.seen), world.take(world.unseen)
    found = predict_baselines(seen, unseen)
    row = int(np.flatnonzero((unseen.model == "b") & (unseen.size == 3))[0])
    of_model = seen.model == "b"
    assert found[SEEN_MEAN][row] == seen.correct[of_model].mean()
    assert found[SEEN_MEAN_BY_SIZE][row] == seen.correct[of_model & (seen.size == 3)].mean()
    # Where no seen sample is of that size, the nearest size stands in.
    pairs = seen.take(seen.size == 2)
    assert (
        predict_baselines(pairs, unseen)[SEEN_MEAN_BY_SIZE][row] == pairs.correct[pairs.model == "b"].mean()
    )
