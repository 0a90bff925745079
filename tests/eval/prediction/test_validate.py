from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from tests.eval.prediction.planted_models import plant_table

from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.validate import OTHER_MODELS, WITHOUT_CORPUS, WITHOUT_COUNTS, validate

CORPORA = "aabbcd"
KINDS = ("concepts", "datasets", "model")


def check(table: AccuracyTable, **told: Any) -> Any:
    return validate(table, table.n, **told)


@pytest.fixture(scope="module")
def table():
    return plant_table(CORPORA, classes=20)


@pytest.fixture(scope="module")
def found(table):
    return check(table)


def predictions(validation):
    return {
        (name, kind): getattr(one, kind).prediction
        for name, one in validation.models.items()
        for kind in KINDS
    }


def test_one_worker_and_two_find_the_same_bytes(table, found):
    again = check(table, workers=2)
    alone, together = predictions(found), predictions(again)
    for key, one in alone.items():
        other = together[key]
        for a, b in ((one.mean, other.mean), *zip(one.interval, other.interval, strict=True)):
            assert a.tobytes() == b.tobytes(), key
    for name, one in found.models.items():
        other = again.models[name]
        for kind in KINDS:
            assert getattr(one, kind).score == getattr(other, kind).score
            assert getattr(one, kind).baselines == getattr(other, kind).baselines
    assert again.counts_gain == found.counts_gain


def test_every_model_is_predicted_in_three_ways_on_all_its_rows(table, found):
    assert found.anchor == "anchor"
    assert tuple(found.models) == table.models
    for name, one in found.models.items():
        assert np.array_equal(one.rows, np.flatnonzero(table.model == name))
        for kind in KINDS:
            held_out = getattr(one, kind)
            assert held_out.score.n == len(one.rows)
            assert np.isfinite(held_out.prediction.mean).all()


def test_r2_and_error_are_those_of_their_definitions(table, found):
    for (name, kind), prediction in predictions(found).items():
        y = table.accuracy[found.models[name].rows]
        told = getattr(found.models[name], kind).score
        left = y - prediction.mean
        assert told.r2 == pytest.approx(1 - (left @ left) / ((y - y.mean()) @ (y - y.mean())))
        assert told.mae == pytest.approx(np.abs(left).mean())


def test_where_accuracy_follows_counts_predictions_do_better_than_plain_ones(found):
    for one in found.models.values():
        assert one.concepts.score.r2 > one.concepts.baselines["dataset mean"].r2 + 0.1
        assert one.model.score.r2 > one.model.baselines[OTHER_MODELS].r2
    assert found.counts_gain.value > 0


def test_the_mean_of_the_other_models_is_that_of_a_loop(table, found):
    mine = table.model == "m04"
    mean = np.mean([table.accuracy[table.model == name] for name in table.models if name != "m04"], axis=0)
    y = table.accuracy[mine]
    assert found.models["m04"].model.baselines[OTHER_MODELS].r2 == pytest.approx(
        1 - ((y - mean) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    )


def test_without_the_models_of_its_corpus_reads_none_of_them(table, found):
    kin = table.model == "m01"
    assert (table.corpus[kin] == "a").all()
    top1 = float(table.accuracy[kin & (table.dataset == "anchor")].mean())
    barred = check(replace(table, accuracy=np.where(kin, np.nan, table.accuracy)), top1={"m01": top1})
    # With its kin barred, the model is of a corpus that no donor has.
    alone = barred.models["m00"].model
    assert alone.score == found.models["m00"].model.baselines[WITHOUT_CORPUS]
    assert alone.score != found.models["m00"].model.score
    assert barred.models["m01"].model.score is None


def test_rows_of_unknown_accuracy_are_predicted_and_train_nothing(table, found):
    rows = np.flatnonzero((table.model == "m02") & (table.dataset == "birds"))[:5]
    accuracy = table.accuracy.copy()
    accuracy[rows] = np.nan
    holed = check(replace(table, accuracy=accuracy)).models["m02"]
    at = np.isin(holed.rows, rows)
    for kind in KINDS:
        held_out = getattr(holed, kind)
        assert np.isfinite(held_out.prediction.mean[at]).all()
        assert (held_out.prediction.interval.low[at] < held_out.prediction.interval.high[at]).all()
        assert held_out.score.n == len(holed.rows) - 5
    # The dataset's own rows train none of its predictions, known or not.
    birds = (table.dataset[holed.rows] == "birds") & ~at
    before = found.models["m02"].datasets.prediction.mean
    assert np.array_equal(holed.model.prediction.mean[at], found.models["m02"].model.prediction.mean[at])
    assert np.abs(holed.datasets.prediction.mean[birds] - before[birds]).max() < 0.1


def test_unknown_rows_of_a_known_dataset_are_predicted_by_what_is_known_of_it(table):
    alone = table.take(table.model == "m02")
    birds = alone.dataset == "birds"
    unknown = birds & (np.cumsum(birds) <= 5)
    found = []
    for value in (0.1, 0.9):
        accuracy = np.where(birds, value, alone.accuracy)
        holed = check(replace(alone, accuracy=np.where(unknown, np.nan, accuracy))).models["m02"]
        found.append(holed.concepts.prediction.mean[unknown])
    assert (found[1] > found[0] + 0.3).all()


def test_a_model_that_nobody_has_tested_is_predicted_from_the_others(table):
    mine = table.model == "m03"
    validation = check(replace(table, accuracy=np.where(mine, np.nan, table.accuracy)), top1={"m03": 0.4})
    one = validation.models["m03"]
    assert one.concepts is None
    assert one.datasets is None
    assert one.model.score is None
    at_anchor = table.dataset[one.rows] == "anchor"
    assert one.model.prediction.mean[at_anchor].mean() == pytest.approx(0.4, abs=1e-9)


@pytest.mark.parametrize(
    ("keep", "none"),
    [
        (lambda table: np.isin(table.model, ["m00", "m01", "m02", "m03"]), {"model"}),
        (lambda table: table.dataset != "cars", {"datasets"}),
        (lambda table: table.dataset == "anchor", {"concepts", "datasets"}),
    ],
    ids=["four models", "two datasets", "one small dataset"],
)
def test_what_a_table_is_too_small_for_is_none(table, keep, none):
    small = table.take(keep(table))
    validation = check(small)
    for one in validation.models.values():
        assert {kind for kind in KINDS if getattr(one, kind) is None} == none
    # A gain needs held-out models, and datasets to draw.
    assert (validation.counts_gain is None) == ("model" in none or len(small.datasets) < 2)


def test_models_of_one_corpus_have_no_strangers_to_be_predicted_from():
    table = plant_table("aaaaaa", classes=15)
    for one in check(table).models.values():
        assert WITHOUT_CORPUS not in one.model.baselines
        assert WITHOUT_COUNTS in one.model.baselines


@pytest.mark.parametrize(
    ("corpora", "skills"),
    [("aaaaab", "drawn"), ("a" * 9 + "bc", "far apart")],
    ids=["others of one", "few far others"],
)
def test_a_model_of_a_corpus_of_its_own_is_predicted_from_models_of_one_corpus(corpora, skills):
    table = plant_table(corpora, classes=12)
    top1 = {"m10": 0.05, "m09": 0.99} if skills == "far apart" else {}
    one = check(table, top1=top1).models[table.models[-1]]
    assert one.model.score.n == len(one.rows)
    assert WITHOUT_CORPUS in one.model.baselines or skills == "drawn"


def test_progress_is_told_for_each_model_and_way(table):
    small = table.take(table.dataset == "anchor")
    steps: list[None] = []
    check(small, advance=lambda: steps.append(None))
    assert len(steps) == 2 * len(CORPORA)


def test_an_anchor_that_no_row_has_and_a_model_without_its_accuracy_are_refused(table):
    with pytest.raises(ValueError, match="no dataset 'imagenet'; there are anchor, birds, cars"):
        check(table, anchor="imagenet")
    barred = np.where((table.model == "m01") & (table.dataset == "anchor"), np.nan, table.accuracy)
    with pytest.raises(ValueError, match="model 'm01' has no accuracy on 'anchor'"):
        check(replace(table, accuracy=barred))


def test_the_anchor_accuracy_that_is_told_is_the_one_that_is_used(table):
    validation = check(table, top1={"m05": 0.2})
    one = validation.models["m05"]
    at_anchor = table.dataset[one.rows] == "anchor"
    assert one.model.prediction.mean[at_anchor].mean() == pytest.approx(float(expit(np.log(0.25))), abs=1e-9)
