import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import draw_sets, plain_rows

from oddpair.eval.composing.pmi_gap_adjusted import adjust, make_controls


def test_what_is_left_has_nothing_to_do_with_controls_and_keeps_its_mean():
    rows, _ = draw_sets(0, effect=0.5, n_sets=60)
    pmi, accuracy, cost = adjust(rows)
    controls = make_controls(rows)
    assert cost == np.linalg.matrix_rank(controls) == 5
    for before, after in ((rows.pmi, pmi), (rows.accuracy, accuracy)):
        mean = np.average(before, weights=rows.samples)
        assert np.average(after, weights=rows.samples) == pytest.approx(mean)
        assert np.abs(controls.T @ (rows.samples * (after - mean))).max() < 1e-8


def test_a_row_of_three_samples_counts_as_three_rows_of_one():
    rng = np.random.default_rng(0)
    pmi, count, correct = rng.normal(size=9), rng.normal(size=9), rng.integers(0, 2, 9)
    repeats = np.array([3, 1, 1, 2, 1, 1, 1, 1, 1])
    once = plain_rows(correct, pmi, controls=count[:, None], samples=repeats)
    apart = plain_rows(
        np.repeat(correct, repeats),
        np.repeat(pmi, repeats) + np.concatenate([1e-12 * np.arange(each) for each in repeats]),
        cluster=np.repeat(np.arange(9), repeats),
        controls=np.repeat(count, repeats)[:, None],
    )
    assert len(apart) == 12
    expected = np.repeat(adjust(once)[0], repeats)
    assert adjust(apart)[0] == pytest.approx(expected, abs=1e-9)


def test_test_sets_are_held_equal_and_a_control_that_never_varies_costs_nothing():
    group = np.repeat([0, 1], 10)
    pmi = np.tile(np.arange(10.0), 2) + 5 * group
    rows = plain_rows(np.tile([0, 1], 10), pmi, controls=np.full((20, 1), 7.0), group=group)
    left, _, cost = adjust(rows)
    assert cost == 2
    assert left[:10] == pytest.approx(left[10:])


@pytest.mark.parametrize(
    ("n", "pmi", "told"),
    [
        (20, lambda count: 3 - count, "fix the PMI"),
        (5, lambda count: np.sin(7 * count), "5 sets of concepts are too few for 3 columns"),
    ],
    ids=["fixed", "few"],
)
def test_what_cannot_be_told_apart_is_refused(n, pmi, told):
    count = np.linspace(0, 1, n)
    rows = plain_rows(np.arange(n) % 2, pmi(count), controls=count[:, None])
    with pytest.raises(ValueError, match=told):
        adjust(rows)
