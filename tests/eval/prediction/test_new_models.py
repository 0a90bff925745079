from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from tests.eval.prediction.planted_models import lay, others, plant_table

from oddpair.eval.prediction.cells import drop_counts
from oddpair.eval.prediction.new_models import move_to_mean, predict_model
from oddpair.eval.prediction.transfer_features import find_shared

CORPORA = "aabbccdd"
MODEL = 2


@pytest.fixture(scope="module")
def table():
    return plant_table(CORPORA, classes=30)


@pytest.fixture(scope="module")
def cells(table):
    return lay(table)[0]


@pytest.fixture(scope="module")
def predicted(cells):
    return predict(cells, MODEL, others(cells, MODEL))


def predict(cells, model, donors):
    return predict_model(cells, find_shared(cells), model, donors)


def strangers(cells, model):
    return np.flatnonzero(cells.corpora != cells.corpora[model])


def squared_error(cells, prediction, model):
    return float(np.nanmean((prediction.mean - cells.accuracy[:, model]) ** 2))


def assert_same(one, other):
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.interval.low, other.interval.low)
    assert np.array_equal(one.interval.high, other.interval.high)


def assert_sane(prediction, n):
    assert prediction.mean.shape == (n,)
    assert ((prediction.mean >= 0) & (prediction.mean <= 1)).all()
    low, high = prediction.interval
    assert ((low >= 0) & (low <= high) & (high <= 1)).all()
    assert (high - low).mean() < 1


def test_where_accuracy_follows_counts_a_new_corpus_is_predicted_better_with_them(cells):
    plain = drop_counts(cells)
    gains = []
    for model in range(0, len(CORPORA), 2):
        donors = strangers(cells, model)
        told, untold = (squared_error(cells, predict(one, model, donors), model) for one in (cells, plain))
        gains.append(1 - told / untold)
    assert np.mean(gains) > 0.25
    assert min(gains) > 0


def test_a_model_is_predicted_better_than_by_the_mean_of_the_others(cells, predicted):
    donors = others(cells, MODEL)
    plainly = replace(predicted, mean=cells.accuracy[:, donors].mean(axis=1))
    assert squared_error(cells, predicted, MODEL) < 0.5 * squared_error(cells, plainly, MODEL)


@pytest.mark.parametrize(
    ("slope", "most"), [(0.0, 0.95), (0.8, 1.0)], ids=["counts do nothing", "counts matter"]
)
def test_intervals_hold_about_nine_in_ten_and_more_where_counts_tell_much(slope, most):
    # Scatter is measured about the weighed mean of donors, before what counts teach.
    cells, _ = lay(plant_table(CORPORA, classes=40, slope=slope))
    inside = []
    for model in range(0, len(CORPORA), 2):
        low, high = predict(cells, model, others(cells, model)).interval
        inside.append((cells.accuracy[:, model] >= low - 1e-9) & (cells.accuracy[:, model] <= high + 1e-9))
    assert 0.86 < np.mean(inside) < most


@pytest.mark.parametrize("top1", [0.05, 0.9])
def test_predictions_of_the_anchor_average_to_the_accuracy_that_is_told(table, top1):
    cells, _ = lay(table, {"m02": top1})
    mean = predict(cells, MODEL, others(cells, MODEL)).mean
    assert mean[cells.dataset == cells.anchor].mean() == pytest.approx(top1, abs=1e-9)


def test_a_model_of_which_one_accuracy_is_told_is_predicted_the_same_to_the_bit(table, cells, predicted):
    mine = table.model == "m02"
    top1 = float(table.accuracy[mine & (table.dataset == "anchor")].mean())
    untested, _ = lay(replace(table, accuracy=np.where(mine, np.nan, table.accuracy)), {"m02": top1})
    assert np.isnan(untested.accuracy[:, MODEL]).all()
    assert_same(predict(untested, MODEL, others(cells, MODEL)), predicted)


def test_models_that_are_no_donors_are_not_read(table, cells):
    donors = strangers(cells, MODEL)
    kin = (table.corpus == "b") & (table.model != "m02")
    top1 = {"m03": float(expit(cells.skill[3]))}
    barred, _ = lay(replace(table, accuracy=np.where(kin, np.nan, table.accuracy)), top1)
    one, other = predict(cells, MODEL, donors), predict(barred, MODEL, donors)
    assert other.mean == pytest.approx(one.mean, abs=1e-9)
    kept = replace(barred, skill=cells.skill)
    assert_same(one, predict(kept, MODEL, donors))


def test_the_order_of_donors_does_not_matter(cells, predicted):
    donors = np.random.default_rng(0).permutation(others(cells, MODEL))
    turned = predict(cells, MODEL, donors)
    # Sums in another order differ in the last digit, which may put a value in the next bin of a tree.
    assert np.abs(turned.mean - predicted.mean).mean() < 2e-3
    assert np.corrcoef(turned.mean, predicted.mean)[0, 1] > 0.9995


@pytest.mark.parametrize(
    "corpora",
    ["aabbc", "aaaaaa", "aaabbb", "abcdef", "aaaaab"],
    ids=["four donors", "one corpus", "two corpora", "a corpus each", "a corpus of its own"],
)
def test_small_worlds_are_predicted(corpora):
    cells, _ = lay(plant_table(corpora, classes=20))
    for model in (0, len(corpora) - 1):
        assert_sane(predict(cells, model, others(cells, model)), len(cells.names))


def test_models_with_different_rows_are_predicted_on_every_row():
    table = plant_table(CORPORA, classes=25)
    kept = np.random.default_rng(0).uniform(size=len(table)) < 0.7
    kept &= ~((table.model == "m05") & (table.dataset == "cars"))
    cells, _ = lay(table.take(kept))
    assert np.isnan(cells.accuracy).any()
    prediction = predict(cells, MODEL, others(cells, MODEL))
    assert_sane(prediction, len(cells.names))
    assert squared_error(cells, prediction, MODEL) < 0.7 * np.nanvar(cells.accuracy[:, MODEL])


def test_without_any_counts_other_models_still_tell():
    bare = plant_table(CORPORA, classes=25)
    none = np.full(len(bare), np.nan)
    cells, _ = lay(replace(bare, count_text=none, count_image=none, count_joint=none))
    prediction = predict(cells, MODEL, others(cells, MODEL))
    assert_sane(prediction, len(cells.names))
    assert squared_error(cells, prediction, MODEL) < 0.7 * np.nanvar(cells.accuracy[:, MODEL])


@pytest.mark.parametrize(
    ("donors", "n"), [([0, 1, 3], 3), ([0, 1, 2, 3], 4)], ids=["three", "itself among them"]
)
def test_too_few_donors_and_the_model_as_its_own_are_refused(cells, donors, n):
    with pytest.raises(ValueError, match=f"{n} donors, at least 4 other models are needed"):
        predict(cells, MODEL, np.array(donors))


@pytest.mark.parametrize("wanted", [0.001, 0.3, 0.999])
def test_moved_logits_have_the_mean_that_is_wanted(wanted):
    logits = np.random.default_rng(0).normal(size=100)
    assert expit(logits + move_to_mean(logits, wanted)).mean() == pytest.approx(wanted, abs=1e-9)
