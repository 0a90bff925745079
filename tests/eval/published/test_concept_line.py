import numpy as np
import pytest

from oddpair.eval.intervals import pearson_bootstrap
from oddpair.eval.published.concept_line import N_DRAWS, fit_concept_line


def test_r_and_its_interval_are_those_of_the_plain_bootstrap():
    rng = np.random.default_rng(3)
    x, key = rng.normal(size=60), np.repeat([f"c{row:02d}" for row in range(30)], 2)
    y = x + rng.normal(size=60)
    r, slope = fit_concept_line(x, y, key)
    # The plain one draws twice as often; the ends differ by the noise of the draws alone.
    plain = pearson_bootstrap(x, y, key, np.random.default_rng(0), what="r")
    assert r.value == pytest.approx(plain.value)
    assert (r.low, r.high) == pytest.approx((plain.low, plain.high), abs=0.05)
    assert slope.value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert slope.n == 60
    assert N_DRAWS >= 1000


def test_concepts_that_stand_twice_widen_the_interval_as_half_as_many_would():
    rng = np.random.default_rng(4)
    x = rng.normal(size=200)
    y = x + rng.normal(size=200)
    once = fit_concept_line(x, y, np.array([f"c{row}" for row in range(200)]))[1]
    names = np.array([f"c{row % 200}" for row in range(400)])
    twice = fit_concept_line(np.tile(x, 2), np.tile(y, 2), names)[1]
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=1e-6)
    apart = fit_concept_line(np.tile(x, 2), np.tile(y, 2), np.array([f"c{row}" for row in range(400)]))[1]
    assert apart.high - apart.low < 0.85 * (twice.high - twice.low)


@pytest.mark.parametrize(
    ("x", "y", "key", "message"),
    [
        ([1, 2, 3], [1, 2], ["a", "b", "c"], "all need one shape"),
        ([1, 2, 3], [1, 2, 3], ["a", "b", "a"], "2 concepts, a line needs 3"),
        ([1, 1, 1], [1, 2, 3], ["a", "b", "c"], "differ in x and y"),
        ([], [], [], "0 concepts"),
    ],
)
def test_what_has_no_line_is_an_error(x, y, key, message):
    with pytest.raises(ValueError, match=message):
        fit_concept_line(
            np.array(x, dtype=np.float64), np.array(y, dtype=np.float64), np.array(key, dtype=np.str_)
        )
