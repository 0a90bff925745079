import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from tests.eval.explaining.planted_slopes import plant

from oddpair.eval.explaining.explain import explain
from oddpair.eval.prediction.table import AccuracyTable


def make_table(models=("large", "small"), **world):
    parts = []
    for index, model in enumerate(models):
        rows = plant(np.random.default_rng(index), **world)
        unknown = np.full(len(rows.x), np.nan)
        parts.append(
            {
                "model": np.full(len(rows.x), model),
                "corpus": np.full(len(rows.x), f"corpus of {model}"),
                "dataset": rows.dataset,
                "concept": np.array([f"Thing_{name}" for name in rows.concept]),
                "accuracy": rows.y,
                "n": unknown,
                "count_text": unknown,
                "count_image": unknown,
                "count_joint": np.floor(10 ** np.maximum(rows.x, 0.5)) - 1,
                "pmi": unknown,
            }
        )
    return AccuracyTable(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def test_every_model_is_explained_by_the_counts_that_it_has():
    table = make_table()
    found = explain(table, np.random.default_rng(0))
    assert [(one.model, one.corpus) for one in found.models] == [
        ("large", "corpus of large"),
        ("small", "corpus of small"),
    ]
    for model in found.models:
        assert [one.count for one in model.counts] == ["count_joint"]
        assert model.left_out == ("count_text: no count was made", "count_image: no count was made")
        (counts,) = model.counts
        assert counts.effects.within is not None
        assert counts.permutation is not None
        assert (counts.n, counts.n_datasets, counts.uncounted) == (480, 6, 0)
        assert counts.effects.within.slope.low < 0.05 < counts.effects.within.slope.high
        assert counts.permutation.p == 1 / 1000
        assert len(counts.slopes.slopes) == 6


def test_rows_without_accuracy_or_count_are_left_out_and_counts_of_0_are_not():
    table = make_table(models=("m",))
    accuracy, joint = table.accuracy.copy(), table.count_joint.copy()
    accuracy[:10], joint[5:25], joint[30:50] = np.nan, np.nan, 0.0
    holed = replace(table, accuracy=accuracy, count_joint=joint)
    (model,) = explain(holed, np.random.default_rng(0)).models
    (counts,) = model.counts
    assert (counts.n, counts.uncounted) == (455, 15)
    assert counts.zero.n_zero == 20
    assert counts.zero.n_counted == 435
    left = (
        explain(holed.take(~np.isnan(accuracy) & ~np.isnan(joint)), np.random.default_rng(0)).models[0].counts
    )
    assert replace(left[0], uncounted=15) == counts


def test_the_explanation_is_plain_data_and_the_same_for_the_same_seed():
    table = make_table(models=("m",))
    first, second = (json.dumps(asdict(explain(table, np.random.default_rng(4)))) for _ in range(2))
    assert first == second
    assert json.loads(first)["models"][0]["counts"][0]["effects"]["within"]["slope"]["n"] == 480


def test_warnings_come_with_the_counts_that_call_for_them():
    table = make_table(models=("m",), slope=0.0, between=0.15, level_spread=0.02)
    (counts,) = explain(table, np.random.default_rng(0)).models[0].counts
    assert len(counts.warnings) == 2


@pytest.mark.parametrize(
    ("accuracy", "concepts", "reason"),
    [(np.nan, 480, "no accuracy is known"), (0.5, 1, "1 concept, at least 2 are needed")],
    ids=["no-accuracy", "one-concept"],
)
def test_a_model_without_enough_rows_says_what_it_lacks(accuracy, concepts, reason):
    table = make_table(models=("m",))
    poor = replace(table, accuracy=np.full(len(table), accuracy)).take(np.arange(concepts))
    (model,) = explain(poor, np.random.default_rng(0)).models
    assert model.counts == ()
    assert model.left_out[2] == f"count_joint: {reason}"
