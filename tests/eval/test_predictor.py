from dataclasses import fields

import numpy as np
import pytest

from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.logistic import fit, predict
from oddpair.eval.predictor import MODELS, cross_validate


def joined(first, second):
    columns = {
        field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        for field in fields(ConceptRows)
    }
    return ConceptRows(**columns)


def by_name(found):
    return {score.model: score for score in found.scores}


def test_a_row_is_predicted_by_rows_that_share_neither_concept_with_its_fold(planted):
    # With as many folds as concepts, a fold is one concept, so the split is known without the draw.
    rows = planted(0, concepts=8)
    found = cross_validate(rows, np.random.default_rng(0), folds=8)
    for concept in np.unique(rows.target):
        test = rows.target == concept
        train = rows.take(~test & (rows.partner != concept))
        for name, features in MODELS.items():
            fitted = fit(train.successes, train.trials, train.design(features, ["w"]))
            expected = predict(fitted, rows.take(test).design(features, ["w"])).probability
            assert found.predictions[name][test] == pytest.approx(expected, abs=1e-9)
    assert (found.n_rows, found.n_concepts, found.folds) == (56, 8, 8)


def test_hits_of_a_held_out_concept_do_not_reach_its_own_prediction(planted):
    rows = planted(0, concepts=10)
    changed = planted(0, concepts=10)
    held = (changed.target == "c004") | (changed.partner == "c004")
    changed.successes[held] = changed.trials[held] - changed.successes[held]
    before = cross_validate(rows, np.random.default_rng(0), folds=10).predictions
    after = cross_validate(changed, np.random.default_rng(0), folds=10).predictions
    own = rows.target == "c004"
    for name in MODELS:
        assert after[name][own] == pytest.approx(before[name][own])
        assert not np.allclose(after[name][~own], before[name][~own])


def test_losses_are_those_of_their_formulas(planted):
    rows = planted(0, concepts=12)
    # Rows of unequal weight, so that means over rows and over trials differ.
    rows.successes[::3] *= 7
    rows.trials[::3] *= 7
    found = cross_validate(rows, np.random.default_rng(0), folds=4)
    mean, own = found.predictions["mean"], found.predictions["both log counts + PMI"]
    score = by_name(found)["both log counts + PMI"]
    asked, accuracy = rows.trials, rows.accuracy
    r2 = 1 - (asked * (accuracy - own) ** 2).sum() / (asked * (accuracy - mean) ** 2).sum()
    nats = -(rows.successes * np.log(own) + (asked - rows.successes) * np.log(1 - own)).sum() / asked.sum()
    assert score.r2.value == pytest.approx(r2)
    assert score.log_loss.value == pytest.approx(nats)
    assert score.absolute_error.value == pytest.approx(
        100 * np.average(np.abs(accuracy - own), weights=asked)
    )
    assert score.r2.n == 12


def test_the_mean_explains_nothing_and_gains_are_differences_of_scores(planted):
    scores = by_name(cross_validate(planted(0), np.random.default_rng(0)))
    assert (scores["mean"].r2.value, scores["mean"].r2.low, scores["mean"].r2.high) == (0.0, 0.0, 0.0)
    count, full = scores["log count"], scores["both log counts + PMI"]
    assert full.r2_gain["log count"].value == pytest.approx(full.r2.value - count.r2.value)
    assert full.log_loss_gain["log count"].value == pytest.approx(count.log_loss.value - full.log_loss.value)
    assert list(count.r2_gain) == ["mean"]
    assert list(full.r2_gain) == ["mean", "log count", "both log counts"]
    assert list(scores["mean"].r2_gain) == []


def test_planted_counts_and_pmi_are_worth_predicting_from(planted):
    found = cross_validate(planted(0, concepts=40, pmi=0.6), np.random.default_rng(0))
    scores = by_name(found)
    assert scores["log count"].r2.low > 0.2
    assert scores["both log counts + PMI"].r2_gain["log count"].low > 0
    assert scores["both log counts + PMI"].log_loss_gain["log count"].low > 0
    assert found.ceiling is not None
    assert scores["both log counts + PMI"].r2.value < found.ceiling < 1


def test_shuffled_counts_predict_nothing(planted):
    gains = []
    for seed in range(10):
        rows = planted(seed)
        rng = np.random.default_rng(seed)
        names = np.unique(rows.target)
        other = dict(zip(names.tolist(), rng.permutation(names).tolist(), strict=True))
        count_of = dict(zip(rows.target.tolist(), rows.count.tolist(), strict=True))
        rows.count[:] = [count_of[other[name]] for name in rows.target.tolist()]
        gains.append(by_name(cross_validate(rows, rng))["log count"].r2.value)
    assert np.mean(gains) < 0.03


def test_the_ceiling_is_what_the_noise_of_finite_trials_leaves(planted):
    # With many trials the noise goes away and only it: the ceiling comes near 1.
    few = cross_validate(planted(0, trials=5), np.random.default_rng(0)).ceiling
    many = cross_validate(planted(0, trials=500), np.random.default_rng(0)).ceiling
    assert few is not None
    assert many is not None
    assert few < 0.8 < 0.97 < many < 1
    assert cross_validate(planted(0, trials=1), np.random.default_rng(0)).ceiling is None


def test_a_concept_is_held_out_of_every_world_at_once(planted):
    rows = joined(planted(0, concepts=8, group="v"), planted(1, concepts=8, group="w"))
    found = cross_validate(rows, np.random.default_rng(0), folds=8)
    test = rows.target == "c002"
    train = rows.take(~test & (rows.partner != "c002"))
    for world in ("v", "w"):
        mean = train.successes[train.group == world].sum() / train.trials[train.group == world].sum()
        predicted = found.predictions["mean"][test & (rows.group == world)]
        assert predicted == pytest.approx(np.full(7, mean), abs=1e-6)
    assert found.n_concepts == 8
    assert by_name(found)["log count"].r2.n == 8


def test_one_object_rows_are_cross_validated_on_counts_alone(planted):
    pairs = planted(0)
    first = np.unique(pairs.target, return_index=True)[1]
    rows = ConceptRows(
        group=pairs.group[first],
        target=pairs.target[first],
        partner=np.full(len(first), ""),
        successes=pairs.successes[first],
        trials=pairs.trials[first],
        count=pairs.count[first],
    )
    models = {"mean": (), "log count": ("log count",)}
    assert by_name(cross_validate(rows, np.random.default_rng(0), models=models))["log count"].r2.value > 0.2
    with pytest.raises(ValueError, match="which only pairs have"):
        cross_validate(rows, np.random.default_rng(0))


def test_the_same_generator_gives_the_same_scores(planted):
    first = cross_validate(planted(0), np.random.default_rng(5))
    again = cross_validate(planted(0), np.random.default_rng(5))
    assert first.scores == again.scores


def test_a_cross_validation_that_cannot_be_is_refused(planted):
    rows = planted(0, concepts=8)
    with pytest.raises(ValueError, match="9 folds for 8 concepts"):
        cross_validate(rows, np.random.default_rng(0), folds=9)
    with pytest.raises(ValueError, match="lack the baseline 'log count'"):
        cross_validate(rows, np.random.default_rng(0), models={"mean": ()})
    with pytest.raises(ValueError, match="leaves no training rows"):
        cross_validate(rows.take(rows.target == "c001"), np.random.default_rng(0), folds=2)
