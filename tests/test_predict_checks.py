"""Calibration, coverage and residual leaders, against hand arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
from tests.predict_reports import predictions

from oddpair.commands.predict_checks import find_coverage, find_deciles, find_leaders
from oddpair.commands.predict_report import Predictions


def rows_of(observed, predicted, **columns):
    n = len(observed)
    predicted = np.array(predicted, dtype=np.float64)
    return Predictions(
        **{
            "model": np.array(["m"] * n),
            "dataset": np.array(["d"] * n),
            "concept": np.array([f"c{row}" for row in range(n)]),
            "observed": np.array(observed, dtype=np.float64),
            "predicted": predicted,
            "low": predicted - 0.1,
            "high": predicted + 0.1,
            "n": np.full(n, 10.0),
            "count": np.arange(n, dtype=np.float64),
            "outside": np.zeros(n, np.bool_),
            **columns,
        }
    )


def test_bins_are_equally_filled_and_average_predictions_and_observations():
    predicted = np.linspace(0.1, 0.9, 50)
    bins = find_deciles(rows_of(predicted**2, predicted), np.random.default_rng(0))
    assert len(bins) == 10
    for place, found in enumerate(bins):
        members = predicted[5 * place : 5 * place + 5]
        assert found.at == pytest.approx(members.mean())
        assert found.observed.value == pytest.approx((members**2).mean())
        assert found.observed.n == 5


def test_few_rows_make_few_bins_and_one_row_makes_one_that_says_little():
    assert len(find_deciles(rows_of([0.2] * 12, [0.3] * 12), np.random.default_rng(0))) == 2
    (found,) = find_deciles(rows_of([0.5], [0.3]), np.random.default_rng(0))
    assert (found.observed.low, found.observed.high) == (0.0, 1.0)


def test_bins_do_not_depend_on_the_order_of_the_table():
    rows = predictions(("a", "b"))
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    one, other = (find_deciles(each, np.random.default_rng(0)) for each in (rows, shuffled))
    assert [point.at for point in one] == pytest.approx([point.at for point in other])
    values = [[point.observed.value for point in bins] for bins in (one, other)]
    assert values[0] == pytest.approx(values[1])


def test_coverage_counts_rows_within_their_intervals_ends_included():
    observed = [0.5, 0.6, 0.7, 0.2]
    rows = rows_of(
        observed,
        [0.5] * 4,
        low=np.full(4, 0.4),
        high=np.full(4, 0.6),
        dataset=np.array(["x", "x", "y", "y"]),
        count=np.array([0.0, 5.0, 50.0, np.nan]),
    )
    overall, datasets, decades = find_coverage(rows)
    assert overall.share.value == 0.5
    assert [(part.name, part.share.value, part.n_concepts) for part in datasets] == [("x", 1, 2), ("y", 0, 2)]
    assert [(part.name, part.share.value) for part in decades] == [
        ("count 0", 1),
        ("count 1 to 10¹", 1),
        ("count 10¹ to 10²", 0),
        ("not counted", 0),
    ]
    # Two concepts, both within: the exact one-sided bound of 2 of 2.
    assert datasets[0].share.low == pytest.approx(0.025 ** (1 / 2))
    assert datasets[0].share.high == 1


def test_rows_of_one_concept_go_alike_and_widen_the_interval_of_coverage():
    observed = np.tile([0.5, 0.5, 0.5, 0.9], 10)
    apart = rows_of(observed, np.full(40, 0.5))
    alike = replace(apart, concept=np.array(["a", "b", "c", "d"] * 10))
    shares = [find_coverage(each)[0].share for each in (apart, alike)]
    assert shares[0].value == shares[1].value == 0.75
    assert shares[1].high - shares[1].low > 1.5 * (shares[0].high - shares[0].low)


def test_leaders_lie_furthest_beyond_their_intervals_not_from_their_predictions():
    # The second is further from its prediction, but its interval is wide.
    rows = rows_of(
        [0.7, 0.9, 0.5, 0.1],
        [0.5, 0.5, 0.5, 0.5],
        low=np.array([0.45, 0.05, 0.4, 0.3]),
        high=np.array([0.55, 0.85, 0.6, 0.7]),
    )
    found = find_leaders(rows, 5)
    assert [(leader.concept, round(leader.beyond, 9)) for leader in found.better] == [
        ("c0", 0.15),
        ("c1", 0.05),
    ]
    assert [(leader.concept, round(leader.beyond, 9)) for leader in found.worse] == [("c3", -0.2)]
    assert found.n_classes == 4


def test_leaders_are_means_over_models_of_a_class_of_one_dataset():
    rows = rows_of(
        [0.9, 0.5, 0.5],
        [0.5, 0.5, 0.5],
        model=np.array(["m", "o", "m"]),
        dataset=np.array(["d", "d", "e"]),
        concept=np.array(["owl", "owl", "owl"]),
        count=np.array([10.0, 30.0, np.nan]),
    )
    (leader,) = find_leaders(rows, 5).better
    assert (leader.dataset, leader.n_models, leader.n_beyond, leader.count) == ("d", 2, 1, 20)
    assert leader.observed == pytest.approx(0.7)
    # 0.3 beyond for one model, within for the other.
    assert leader.beyond == pytest.approx(0.15)


@pytest.mark.parametrize("find", [find_coverage, lambda rows: find_leaders(rows, 3)])
def test_accuracies_that_are_not_known_cannot_be_checked(find):
    with pytest.raises(ValueError, match="2 predictions, 1 of them of unknown accuracy"):
        find(rows_of([0.5, np.nan], [0.5, 0.5]))
