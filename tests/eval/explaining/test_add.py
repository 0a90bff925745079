import numpy as np
import pytest

from oddpair.eval.explaining.add import plan_additions
from oddpair.eval.explaining.add_targets import Targets


def targets(count, dataset=None, weight=None):
    size = len(count)
    return Targets(
        concept=np.array([f"c{index}" for index in range(size)]),
        dataset=np.array(["s"] * size) if dataset is None else np.array(dataset),
        count=np.array(count, dtype=float),
        weight=np.ones(size) if weight is None else np.array(weight, dtype=float),
    )


def log_line(x, dataset):
    return np.clip(0.1 + 0.1 * x, 0, 1)


def way(plan, name):
    return next(scenario for scenario in plan.scenarios if scenario.way == name)


def test_every_way_spends_the_budget_as_its_name_says():
    plan = plan_additions(targets([0, 10, 90]), log_line, 50)
    assert way(plan, "balanced").added.tolist() == [30, 20, 0]
    assert way(plan, "balanced").level == 30
    assert way(plan, "even").added == pytest.approx([50 / 3] * 3)
    assert way(plan, "proportional").added == pytest.approx([0, 5, 45])
    assert all(scenario.spent == pytest.approx(50) for scenario in plan.scenarios)
    assert plan.before == pytest.approx(np.mean(log_line(np.log10([1, 11, 91]), None)))
    for scenario in plan.scenarios:
        after = np.mean(log_line(np.log10(np.array([1, 11, 91]) + scenario.added), None))
        assert scenario.accuracy == pytest.approx(after)
        assert scenario.gain.value == pytest.approx(after - plan.before)


def test_of_a_concave_curve_with_equal_weights_the_plan_is_the_balanced_one():
    plan = plan_additions(targets([0, 3, 10, 90, 2000]), log_line, 107)
    balanced, planned = way(plan, "balanced"), way(plan, "planned")
    assert planned.gain.value == pytest.approx(balanced.gain.value, rel=2e-3)
    assert planned.gain.value > way(plan, "even").gain.value > way(plan, "proportional").gain.value


def test_a_concept_far_below_the_knot_is_passed_over_for_one_above_it():
    def floor(x, dataset):
        return 0.2 + 0.1 * np.maximum(x - 3, 0)

    plan = plan_additions(targets([0, 2000]), floor, 500, bends=[3.0])
    assert [found.concept for found in plan.concepts] == ["c1"]
    assert way(plan, "balanced").gain.value == 0


def test_weight_moves_samples_and_a_dataset_at_its_ceiling_gets_none():
    light = plan_additions(targets([50, 50], weight=[1, 9]), log_line, 40)
    assert light.concepts[0].concept == "c1"
    full = plan_additions(
        targets([5, 50], dataset=["done", "open"]),
        lambda x, dataset: np.clip(0.1 * x + np.where(dataset == "done", 0.99, 0), 0, 1),
        40,
    )
    assert [found.concept for found in full.concepts] == ["c1"]


def test_concepts_are_ranked_by_gain_with_their_accuracies_before_and_after():
    plan = plan_additions(targets([9, 99, 9], weight=[1, 1, 2]), log_line, 90)
    gains = [found.gain.value for found in plan.concepts]
    assert gains == sorted(gains, reverse=True)
    assert sum(gains) == pytest.approx(way(plan, "planned").gain.value)
    first = plan.concepts[0]
    assert (first.concept, first.count) == ("c2", 9)
    assert first.before == pytest.approx(0.2)
    assert first.after == pytest.approx(0.1 + 0.1 * np.log10(10 + first.added))


def test_intervals_are_those_of_the_draws_and_without_draws_there_are_none():
    draws = [lambda x, dataset, slope=slope: 0.1 + slope * x for slope in np.linspace(0.05, 0.15, 41)]
    plan = plan_additions(targets([9]), lambda x, dataset: 0.1 + 0.1 * x, 90, draws=draws)
    gain = way(plan, "planned").gain
    assert (gain.low, gain.value, gain.high) == pytest.approx((0.0525, 0.1, 0.1475), abs=0.003)
    assert plan.concepts[0].gain.low == gain.low
    bare = plan_additions(targets([9]), log_line, 90)
    assert way(bare, "planned").gain.low == -np.inf


def test_concepts_that_lie_or_end_beyond_the_fitted_counts_are_flagged():
    plan = plan_additions(targets([0, 9, 500]), log_line, 1000, fitted=(0.5, 2.6))
    flags = {found.concept: found.outside for found in plan.concepts}
    assert flags["c0"]
    assert flags["c1"] == (np.log10(10 + way(plan, "planned").added[1]) > 2.6)
    inside = plan_additions(targets([9, 20]), log_line, 10, fitted=(0.5, 2.6))
    assert not any(found.outside for found in inside.concepts)


def test_a_corpus_that_holds_none_of_the_concepts_has_nothing_to_be_proportional_to():
    plan = plan_additions(targets([0, 0]), log_line, 10)
    assert way(plan, "proportional").added.tolist() == [5, 5]


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a budget of 0 samples adds nothing"):
        plan_additions(targets([1]), log_line, 0)
