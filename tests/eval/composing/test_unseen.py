import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from tests.eval.composing.object_worlds import draw_world

from oddpair.eval.composing.object_features import MEAN_LOG, make_design, measure
from oddpair.eval.composing.unseen import find_obstacle, predict_unseen
from oddpair.eval.logistic import fit

MEAN_ALONE = {MEAN_LOG: (MEAN_LOG,)}
WORLDS = 100


@pytest.mark.parametrize("spread", [0.0, 0.7], ids=["objects-alike", "objects-of-their-own-difficulty"])
def test_planted_coefficients_are_recovered_and_no_bias_is_found_where_there_is_none(spread):
    slopes, biases = 0, 0
    for seed in range(WORLDS):
        found = predict_unseen(draw_world(seed, n_sets=250, spread=spread), MEAN_ALONE)
        slope = found.coefficients[MEAN_LOG]
        slopes += slope.low <= 0.8 <= slope.high
        biases += found.bias.low <= 0 <= found.bias.high
    assert slopes >= 0.9 * WORLDS
    assert biases >= 0.9 * WORLDS
    # Intervals that always cover would be too wide to say anything: see the next test for their power.


def test_a_planted_penalty_of_unseen_sets_shows_as_bias():
    found = predict_unseen(draw_world(1, n_sets=1500, penalty=-1.0))
    assert found.bias.low > 0
    share = np.mean(
        [predict_unseen(draw_world(s, n_sets=400, penalty=-1.0), MEAN_ALONE).bias.low > 0 for s in range(20)]
    )
    assert share > 0.8


def test_unseen_samples_have_no_part_in_the_fit():
    world = draw_world(0)
    found = predict_unseen(world)
    flipped = dataclasses.replace(world, correct=np.where(world.unseen, 1 - world.correct, world.correct))
    again = predict_unseen(flipped)
    assert np.array_equal(found.predictions, again.predictions)
    assert found.coefficients == again.coefficients
    assert found.choice == again.choice
    assert found.bias != again.bias


def test_predictions_are_those_of_the_fit_on_seen_samples():
    world = draw_world(0, models=("a", "b"))
    found = predict_unseen(world, MEAN_ALONE)
    seen, unseen = world.take(world.seen), world.take(world.unseen)
    fitted = fit(seen.correct, np.ones(len(seen)), make_design(seen, (MEAN_LOG,), ("a", "b")))
    expected = expit(make_design(unseen, (MEAN_LOG,), ("a", "b")) @ fitted.coefficients)
    assert found.predictions == pytest.approx(expected)
    assert np.array_equal(np.flatnonzero(world.unseen), found.rows)
    assert found.bias.value == pytest.approx(100 * (expected.mean() - unseen.correct.mean()))
    assert (found.models, found.corpus) == (("a", "b"), "c")


def test_every_sample_is_accounted_for():
    world = draw_world(0, n_sets=300, sizes=(1, 2, 3))
    count_set = world.count_set.copy()
    several = np.flatnonzero(world.size > 1)[:7]
    count_set[several] = np.nan
    world = dataclasses.replace(world, count_set=count_set)
    samples = predict_unseen(world).samples
    assert samples.unknown == 7
    assert samples.single == (world.size == 1).sum()
    assert samples.seen + samples.unseen + samples.single + samples.unknown == len(world)


def test_extrapolation_is_counted_and_objects_that_the_corpus_lacks_are_kept():
    world = draw_world(0, n_sets=300)
    rare = int(np.flatnonzero(world.unseen)[0])
    counts = world.counts.copy()
    counts[world.ends[rare] : world.ends[rare + 1]] = 0
    before = predict_unseen(world, MEAN_ALONE)
    after = predict_unseen(dataclasses.replace(world, counts=counts), MEAN_ALONE)
    assert after.samples.absent == 1
    assert after.samples.unseen == before.samples.unseen
    known = measure(world, MEAN_LOG)[world.seen]
    asked = measure(world, MEAN_LOG)[world.unseen]
    outside = ((asked < known.min()) | (asked > known.max())).sum()
    was = (asked[0] < known.min()) | (asked[0] > known.max())
    assert before.samples.outside == outside
    assert after.samples.outside == outside - was + 1
    assert after.bias_inside is not None
    assert after.bias_inside.n == after.samples.unseen - after.samples.outside


def test_counts_that_say_something_save_log_loss_over_the_baselines():
    found = predict_unseen(draw_world(0, n_sets=2000, slope=1.5, level=-4.0))
    assert all(baseline.saved.low > 0 for baseline in found.baselines)
    assert found.explained is not None
    assert found.explained.r2_bins is not None
    assert found.explained.r2_bins.value > 0.8
    nothing = predict_unseen(draw_world(0, n_sets=2000, slope=0.0, level=0.0))
    assert all(baseline.saved.low < 0 for baseline in nothing.baselines)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (lambda world: ~world.unseen, "0 sets of objects are unseen, needed 2 or more"),
        (lambda world: world.unseen, "m has samples of 0 seen sets of objects, needed 20 or more"),
    ],
)
def test_what_allows_no_prediction_is_said(chosen, message):
    world = draw_world(0, n_sets=100)
    part = world.take(chosen(world))
    assert find_obstacle(part) == message
    with pytest.raises(ValueError, match=f"no prediction of unseen sets: {message}"):
        predict_unseen(part)


def test_sets_that_are_equally_frequent_allow_no_prediction():
    world = draw_world(0, n_sets=100)
    alike = dataclasses.replace(
        world, counts=np.full(len(world.counts), 50.0), count_set=np.minimum(world.count_set, 1)
    )
    assert (
        find_obstacle(alike) == "the objects of all seen sets are equally frequent, needed counts that differ"
    )


def test_models_of_two_corpora_are_not_predicted_together():
    world = draw_world(0, n_sets=100, models=("a", "b"))
    two = dataclasses.replace(world, corpus=np.where(world.model == "a", "c", "d"))
    assert find_obstacle(two) == "they are of 2 corpora, what is unseen is so in one"
