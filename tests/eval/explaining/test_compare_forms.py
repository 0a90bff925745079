from dataclasses import replace

import numpy as np
import pytest
from tests.eval.explaining.planted_accuracies import floor, line, plant

from oddpair.eval.explaining.compare_forms import (
    LEAST_PROBABILITY,
    compare_forms,
    predict_held_out,
    show_forms,
)
from oddpair.eval.explaining.forms import DATASET_MEAN, FLOOR, FORMS, LOG_LINEAR, fit
from oddpair.eval.prediction.table import AccuracyTable


def compare(table, seed=0, draws=300):
    return compare_forms(table, np.random.default_rng(seed), draws=draws)


def score_of(model, form):
    return next(score for score in model.scores if score.form == form)


def join(*tables):
    return AccuracyTable(
        **{name: np.concatenate([table.columns()[name] for table in tables]) for name in tables[0].columns()}
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_floor_is_told_from_a_line_with_enough_concepts_and_its_knot_is_found(seed):
    (model,) = compare(plant(floor, seed=seed, concepts=3000)).models
    assert score_of(model, FLOOR).standing == "better"
    assert LOG_LINEAR not in model.tied
    assert model.fits[FLOOR].curve.knot == pytest.approx(3, abs=0.25)


def test_a_line_is_not_called_a_floor():
    better = []
    for seed in range(12):
        (model,) = compare(plant(line, seed=seed, concepts=500)).models
        assert score_of(model, DATASET_MEAN).standing == "worse"
        better += [score.form for score in model.scores if score.standing == "better"]
    assert len(better) <= 1


def test_few_concepts_leave_a_tie():
    (model,) = compare(plant(lambda x: 0.3 + 0.05 * np.maximum(x - 3, 0), concepts=60, noise=0.2)).models
    assert score_of(model, FLOOR).standing == "tie"
    assert {LOG_LINEAR, FLOOR} - {model.best} <= set(model.tied)


def test_counts_that_say_nothing_gain_nothing_over_the_mean_of_the_dataset():
    (model,) = compare(plant(lambda x: 0.5 + 0 * x, concepts=600)).models
    assert all(
        score.standing in ("tie", "reference", "worse")
        for score in model.scores
        if score.form != DATASET_MEAN
    )
    assert score_of(model, LOG_LINEAR).r2.value <= score_of(model, DATASET_MEAN).r2.value + 0.002


def test_held_out_predictions_do_not_read_the_accuracies_of_their_fold():
    table = plant(floor, concepts=200)
    x, fold = np.log10(1 + table.count_joint), table.fold
    before = predict_held_out(x, table.accuracy, table.dataset, fold)
    changed = np.where(fold == 3, np.random.default_rng(0).random(len(table)), table.accuracy)
    after = predict_held_out(x, changed, table.dataset, fold)
    for form in FORMS:
        assert before[form][fold == 3].tolist() == after[form][fold == 3].tolist()
        assert before[form][fold == 4].tolist() != after[form][fold == 4].tolist()


def test_scores_are_those_of_a_plain_loop_over_folds():
    table = plant(line, concepts=150)
    (model,) = compare(table).models
    x, held = np.log10(1 + table.count_joint), np.empty(len(table))
    for k in range(10):
        train, test = table.take(table.fold != k), table.fold == k
        fitted = fit(LOG_LINEAR, x[~test], train.accuracy, np.ones(len(train)), train.dataset)
        held[test] = fitted(x[test], table.dataset[test])
    y, score = table.accuracy, score_of(model, LOG_LINEAR)
    assert score.r2.value == pytest.approx(1 - ((y - held) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert score.mae.value == pytest.approx(np.abs(y - held).mean())
    sure = np.clip(held, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    assert score.log_score.value == pytest.approx(np.mean(y * np.log(sure) + (1 - y) * np.log(1 - sure)))
    assert score.r2.low < score.r2.value < score.r2.high
    assert (model.n_rows, model.n_concepts, model.n_datasets) == (len(table), 150, 8)


def test_other_datasets_are_a_wider_claim_than_other_concepts_and_none_with_one_dataset():
    (model,) = compare(plant(floor, concepts=800)).models
    here, elsewhere = score_of(model, DATASET_MEAN).gain, score_of(model, DATASET_MEAN).gain_elsewhere
    assert elsewhere.high - elsewhere.low > here.high - here.low
    assert elsewhere.value == here.value
    (alone,) = compare(plant(floor, concepts=300, datasets=1)).models
    assert score_of(alone, FLOOR).gain_elsewhere is None
    assert score_of(alone, FLOOR).standing_elsewhere == "unknown"


def test_rows_without_accuracy_or_count_are_left_out_and_models_without_rows_are_told():
    table = plant(line, concepts=120)
    bare = replace(table, model=np.full(len(table), "bare"), count_joint=np.full(len(table), np.nan))
    same = replace(table, model=np.full(len(table), "same"), count_joint=np.full(len(table), 7.0))
    found = compare(join(table, bare, same))
    assert [model.model for model in found.models] == ["m"]
    assert found.left_out[0].startswith("bare: 0 rows with accuracy and joint count")
    assert found.left_out[1].startswith(f"same: {len(table)} rows")
    accuracy, count = table.accuracy.copy(), table.count_joint.copy()
    accuracy[::5], count[::7] = np.nan, np.nan
    holes = replace(table, accuracy=accuracy, count_joint=count)
    left = holes.take(~np.isnan(accuracy) & ~np.isnan(count))
    assert list(show_forms(compare(holes))) == list(show_forms(compare(left)))


def test_lines_for_people_name_the_best_form_what_it_ties_with_and_how_it_goes_on():
    lines = list(show_forms(compare(plant(line, concepts=150))))
    assert lines[0].startswith("m: accuracy against joint count,")
    assert [shown.split("R2")[0].strip() for shown in lines[1:7]] == list(FORMS)
    assert "over log-linear" not in lines[2]
    assert lines[7].startswith("  best: ")
    assert "not told from" in lines[7]
    assert "above the largest count:" in lines[7]
