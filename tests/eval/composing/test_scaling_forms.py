import numpy as np
import pytest

from oddpair.eval.composing.scaling_forms import PowerLaw, fit_power_law

DATA = np.logspace(0, 6, 20)


@pytest.mark.parametrize(
    ("offset", "floor"),
    [(0.0, 0.0), (30.0, 0.0), (0.0, 0.15), (30.0, 0.15)],
    ids=["plain", "offset", "floor", "both"],
)
def test_a_planted_law_is_found_again(offset, floor):
    error = 0.8 * (1 + DATA + offset) ** -0.3 + floor
    found = fit_power_law(1 + DATA, 1 - error, np.ones(20), has_offset=offset > 0, has_floor=floor > 0)
    assert found.exponent == pytest.approx(-0.3, rel=1e-3)
    assert found.offset == pytest.approx(offset, abs=0.1)
    assert found.floor == pytest.approx(floor, abs=1e-3)
    beyond = np.array([1e8])
    expected = 1 - 0.8 * (beyond + offset) ** -0.3 - floor
    assert found.predict(beyond) == pytest.approx(expected, abs=1e-3)


def test_points_count_by_their_weight():
    accuracy = np.array([0.2, 0.4, 0.9])
    heavy = fit_power_law(
        np.array([1.0, 10.0, 100.0]), accuracy, np.array([1e6, 1e6, 1.0]), has_offset=False, has_floor=False
    )
    assert heavy.predict(np.array([1.0, 10.0])) == pytest.approx([0.2, 0.4], abs=1e-3)
    assert heavy.predict(np.array([100.0]))[0] < 0.6


def test_predictions_stay_accuracies():
    law = PowerLaw(amplitude=2.0, offset=0.0, exponent=-1.0, floor=0.0, unit=1.0)
    assert law.predict(np.array([1.0, 2.0, 4.0])).tolist() == [0.0, 0.0, 0.5]


def test_accuracy_that_falls_with_data_gets_the_flattest_law():
    found = fit_power_law(
        np.array([1.0, 10.0, 100.0]), np.array([0.6, 0.5, 0.4]), np.ones(3), has_offset=False, has_floor=False
    )
    assert found.exponent == pytest.approx(-1e-4)
    assert found.predict(np.array([1.0])) == pytest.approx([0.5], abs=1e-2)


def test_a_start_elsewhere_ends_at_the_same_law():
    error = 0.7 * DATA**-0.2 + 0.1
    first = fit_power_law(DATA, 1 - error, np.ones(20), has_offset=False, has_floor=True)
    far = PowerLaw(amplitude=0.4, offset=0.0, exponent=-0.5, floor=0.0, unit=10.0)
    again = fit_power_law(DATA, 1 - error, np.ones(20), has_offset=False, has_floor=True, start=far)
    assert (again.exponent, again.floor) == pytest.approx((first.exponent, first.floor), rel=1e-3)


def test_too_few_points_and_no_data_are_refused():
    with pytest.raises(ValueError, match="3 points for 4 parameters"):
        fit_power_law(DATA[:3], np.ones(3) / 2, np.ones(3), has_offset=True, has_floor=True)
    with pytest.raises(ValueError, match="a point without data"):
        fit_power_law(np.array([0.0, 1.0]), np.ones(2) / 2, np.ones(2), has_offset=False, has_floor=False)
