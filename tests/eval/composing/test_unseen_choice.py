import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from tests.eval.composing.object_worlds import draw_world

from oddpair.eval.composing.object_features import MEAN_LOG, MIN_LOG, SIZE, make_design
from oddpair.eval.composing.unseen_choice import choose_features, log_loss, predict_held_out, share_out
from oddpair.eval.logistic import fit
from oddpair.eval.prediction.table import fold_of


def seen_of(samples):
    return samples.take(samples.seen)


def test_a_prediction_is_of_a_fit_that_never_saw_the_set():
    seen = seen_of(draw_world(3, n_sets=150, models=("a", "b")))
    fold = share_out(seen)
    found = predict_held_out(seen, (MEAN_LOG,), fold)
    row = 17
    assert fold[row] == fold_of(seen.key[row])
    assert len(np.unique(fold[seen.key == seen.key[row]])) == 1
    design = make_design(seen, (MEAN_LOG,), ("a", "b"))
    known = fold != fold[row]
    coefficients = fit(seen.correct[known], np.ones(known.sum()), design[known]).coefficients
    assert found[row] == pytest.approx(expit(design[row] @ coefficients))


def test_what_the_accuracy_follows_is_chosen():
    assert choose_features(seen_of(draw_world(0, n_sets=3000, slope=2.0, level=-6.0))).columns[0] == MEAN_LOG


def test_every_candidate_is_scored_beside_the_chosen_one():
    choice = choose_features(seen_of(draw_world(0)))
    losses = {score.columns: score.log_loss for score in choice.scores}
    assert min(losses, key=lambda columns: losses[columns]) == choice.columns
    assert all(score.worse.value >= 0 for score in choice.scores)
    assert all(score.worse.low <= score.worse.value <= score.worse.high for score in choice.scores)


def test_of_equal_candidates_the_simplest_is_chosen():
    seen = seen_of(draw_world(0, sizes=(2,)))
    candidates = {"one": (MEAN_LOG,), "the same": (MEAN_LOG,), "size": (SIZE,)}
    choice = choose_features(seen, candidates)
    assert [score.name for score in choice.scores] == ["one", "the same"]
    assert choice.columns == (MEAN_LOG,)
    with pytest.raises(ValueError, match=r"none of \['size'\] varies over \d+ seen samples"):
        choose_features(seen, {"size": (SIZE,)})


def test_pmi_is_scored_where_it_is_known_and_never_chosen():
    world = draw_world(0)
    rng = np.random.default_rng(0)
    pmi = np.where(world.seen, rng.normal(size=len(world)), np.nan)
    correct = (rng.random(len(world)) < expit(3 * np.nan_to_num(pmi))).astype(float)

    seen = seen_of(dataclasses.replace(world, pmi=pmi, correct=correct))
    choice = choose_features(seen)
    assert choice.pmi is not None
    assert choice.pmi.worse.high < 0
    assert "PMI" not in choice.columns
    assert choose_features(seen_of(world)).pmi is None


def test_a_fold_that_holds_all_of_a_model_is_refused():
    seen = seen_of(draw_world(3, n_sets=30))
    with pytest.raises(ValueError, match="fold 4 holds all seen samples of 'm'"):
        predict_held_out(seen, (MIN_LOG,), np.full(len(seen), 4))


def test_a_certain_and_wrong_prediction_has_a_finite_loss():
    assert log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx([6 * np.log(10)], rel=1e-4)
