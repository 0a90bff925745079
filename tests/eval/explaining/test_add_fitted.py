from dataclasses import replace

import numpy as np
import pytest
from tests.eval.explaining.planted_accuracies import floor, line, plant

from oddpair.errors import Refusal
from oddpair.eval.explaining.add_fitted import CAVEAT, PLANNED_ON, find_additions, show_additions


def find(table, budget=10_000, model="m", **given):
    return find_additions(table, model, budget, np.random.default_rng(0), draws=40, **given)


def gain(found, name):
    return next(scenario for scenario in found.found.scenarios if scenario.way == name).gain


def test_a_planted_line_has_the_gain_of_its_slope_within_the_interval():
    table = plant(line, concepts=600, spread=0.03)
    found = find(table)
    assert found.form in PLANNED_ON
    count, key = table.count_joint, table.key
    added = dict(zip(np.unique(key).tolist(), found.found.scenarios[0].added.tolist(), strict=True))
    after = count + np.array([added[name] for name in key.tolist()])
    true = np.mean(line(np.log10(1 + after)) - line(np.log10(1 + count)))
    planned = gain(found, "planned")
    assert planned.low < true < planned.high
    assert planned.low > 0
    assert planned.value > gain(found, "even").value > gain(found, "proportional").value


def test_a_planted_floor_is_planned_past_its_rarest_concepts():
    found = find(plant(floor, concepts=1500, spread=0.03), budget=3000)
    assert gain(found, "planned").value > 2 * gain(found, "balanced").value
    assert all(concept.count > 100 for concept in found.found.concepts[:5])


def test_classes_whose_accuracy_is_unknown_are_planned_for():
    table = plant(line, concepts=300)
    accuracy = table.accuracy.copy()
    accuracy[table.key == "thing 7"] = np.nan
    rare = replace(
        table, accuracy=accuracy, count_joint=np.where(table.key == "thing 7", 0, table.count_joint)
    )
    assert "thing 7" in {concept.concept for concept in find(rare).found.concepts}


def test_counts_that_say_nothing_are_told_so():
    notes = find(plant(lambda x: 0.5 - 0.02 * x, concepts=400)).notes
    assert notes[0] == CAVEAT
    assert any("rests on nothing" in note for note in notes)
    assert any("not told from none" in note for note in notes)


def test_one_dataset_is_enough_and_the_same_generator_gives_the_same_plan():
    table = plant(line, concepts=200, datasets=1)
    first, second = find(table), find(table)
    assert list(show_additions(first)) == list(show_additions(second))


def test_lines_for_people_show_the_ways_the_concepts_and_the_caveat():
    found = find(plant(line, concepts=200))
    lines = list(show_additions(found, most=3))
    assert lines[0].startswith("m: 10,000 samples by joint count,")
    assert [shown.split()[0] for shown in lines[1:5]] == ["planned", "balanced", "even", "proportional"]
    assert f"and {len(found.found.concepts) - 3} concepts more" in lines[8]
    assert any("Observational" in shown for shown in lines)


def test_a_model_that_the_table_lacks_or_without_counts_is_refused_with_its_name():
    table = plant(line, concepts=100)
    with pytest.raises(Refusal, match="the table has no model 'x'; it has m"):
        find(table, model="x")
    with pytest.raises(
        Refusal, match="no curve to plan additions on: m: 0 rows with accuracy and text count"
    ):
        find(table, count="text")
