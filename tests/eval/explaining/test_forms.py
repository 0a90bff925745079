import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.explaining.forms import BEYOND, DATASET_MEAN, FORMS, ISOTONIC, LOG_LINEAR, fit

RISING = tuple(form for form in FORMS if form != "spline")


@st.composite
def rows(draw):
    size = draw(st.integers(4, 30))
    count = draw(
        st.lists(st.integers(0, 10**6), min_size=size, max_size=size).filter(lambda c: len(set(c)) > 1)
    )
    accuracy = draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    dataset = draw(st.lists(st.sampled_from("abc"), min_size=size, max_size=size))
    return np.log10(1.0 + np.array(count)), np.array(accuracy) / 20, np.array(dataset)


@given(rows(), st.sampled_from(list(FORMS)))
@settings(max_examples=60, deadline=None)
def test_predictions_are_accuracies_and_monotone_forms_are_monotone_far_beyond_the_counts(data, form):
    x, y, dataset = data
    found = fit(form, x, y, np.ones(len(x)), dataset)
    at = np.linspace(-1, 12, 60)
    for name in ("a", "b", "of nobody"):
        predicted = found(at, np.full(60, name))
        assert ((predicted >= 0) & (predicted <= 1)).all()
        if found.curve.rises:
            assert (np.diff(predicted) >= -1e-12).all()
    assert found.outside([found.low - 0.01, found.low, found.high, found.high + 0.01]).tolist() == [
        1,
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("form", FORMS)
def test_the_scale_of_weights_and_the_order_of_rows_change_nothing(form):
    rng = np.random.default_rng(0)
    x, y, dataset = rng.uniform(0, 5, 80), rng.random(80), rng.choice(["a", "b", "c"], 80)
    weights = rng.uniform(0.5, 2, 80)
    order = rng.permutation(80)
    first = fit(form, x, y, weights, dataset)(x, dataset)
    second = fit(form, x[order], y[order], 7 * weights[order], dataset[order])(x, dataset)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_dataset_of_few_rows_is_drawn_towards_the_average_one_and_an_unknown_one_is_the_average():
    x = np.tile([0.0, 1.0], 51)
    dataset = np.array(["large"] * 100 + ["small"] * 2)
    rng = np.random.default_rng(0)
    y = np.where(dataset == "large", 0.3, 0.7) + 0.1 * rng.normal(size=102)
    found = fit(LOG_LINEAR, x, y, np.ones(102), dataset)
    large, small, unknown = found(np.full(3, 0.5), np.array(["large", "small", "of nobody"]))
    assert large == pytest.approx(0.3, abs=0.03)
    assert large < unknown < small < y[-2:].mean() + 0.01


def test_an_isotonic_fit_is_held_flat_and_a_line_continued_as_they_say():
    x, y, dataset = np.arange(6.0), np.linspace(0.1, 0.3, 6), np.array(["a"] * 6)
    held, continued = (
        fit(form, x, y, np.ones(6), dataset)(np.array([5.0, 7.0]), dataset[:2])
        for form in (ISOTONIC, LOG_LINEAR)
    )
    assert BEYOND[ISOTONIC] == "held flat"
    assert held[0] == held[1]
    assert continued[1] - continued[0] == pytest.approx(0.08)
    assert set(BEYOND) == set(FORMS)


def test_columns_of_log_counts_may_have_rows_of_scenarios():
    found = fit(LOG_LINEAR, [0, 1, 2], [0.1, 0.2, 0.3], np.ones(3), np.array(["a", "a", "a"]))
    many = found(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array(["a", "b"]))
    assert many == pytest.approx(np.array([[0.1, 0.2], [0.3, 0.4]]))


def test_a_form_that_there_is_not_is_named_beside_those_that_there_are():
    with pytest.raises(ValueError, match=f"no form 'cubic'; there are {DATASET_MEAN}, {LOG_LINEAR}"):
        fit("cubic", [0, 1], [0, 1], [1, 1], np.array(["a", "a"]))
