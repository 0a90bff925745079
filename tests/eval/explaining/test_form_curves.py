import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from oddpair.eval.explaining.form_curves import Floor, Line, Logistic, Spline, Steps, natural_basis

KNOTS = np.array([0.0, 1.0, 2.5, 4.0])


def test_the_spline_basis_spans_natural_cubic_splines():
    levels = np.array([0.1, 0.5, 0.3, 0.8])
    found = Spline(knots=KNOTS, coefficients=np.linalg.solve(natural_basis(KNOTS, KNOTS), levels))
    inside = np.linspace(0, 4, 33)
    np.testing.assert_allclose(
        found(inside), CubicSpline(KNOTS, levels, bc_type="natural")(inside), atol=1e-12
    )


def test_a_spline_is_straight_beyond_its_outer_knots():
    found = Spline(knots=KNOTS, coefficients=np.array([0.2, 0.1, -0.3, 0.4]))
    for beyond in (np.array([-3.0, -2.0, -1.0]), np.array([4.0, 6.0, 8.0])):
        assert np.diff(found(beyond), 2) == pytest.approx([0], abs=1e-12)


def test_curves_at_points_worked_by_hand():
    x = np.array([0.0, 2.0, 4.0])
    assert Line(intercept=0.1, slope=0.2)(x) == pytest.approx([0.1, 0.5, 0.9])
    assert Floor(floor=0.3, knot=3.0, slope=0.2)(x) == pytest.approx([0.3, 0.3, 0.5])
    assert Logistic(floor=0.2, ceiling=0.8, middle=2.0, width=0.1)(x) == pytest.approx(
        [0.2, 0.5, 0.8], abs=1e-8
    )
    assert Steps(at=np.array([1.0, 3.0]), levels=np.array([0.2, 0.6]))(x) == pytest.approx([0.2, 0.4, 0.6])


def test_only_curves_that_cannot_fall_say_that_they_rise():
    assert Line(intercept=0, slope=0).rises
    assert not Line(intercept=0, slope=-0.1).rises
    assert Floor(floor=0, knot=1, slope=0).rises
    assert not Spline(knots=KNOTS, coefficients=np.zeros(4)).rises
