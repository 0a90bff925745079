import numpy as np
import pytest
from tests.eval.explaining.planted_slopes import plant

from oddpair.eval.explaining.bootstrap import draw_levels
from oddpair.eval.explaining.simpson import find_simpson
from oddpair.eval.explaining.within import split_effects


def effects_of(rows):
    return split_effects(
        rows.x, rows.y, draw_levels(rows.dataset, rows.concept, np.random.default_rng(0), draws=500)
    )


@pytest.mark.parametrize(
    "sizes", [(80,) * 6, (400, 200, *(60,) * 10, 10, 10)], ids=["6-sets", "14-unequal-sets"]
)
def test_a_trend_between_datasets_alone_has_no_r_within_them_and_both_warnings(sizes):
    rows = plant(np.random.default_rng(0), sizes=sizes, slope=0.0, between=0.15, level_spread=0.02)
    effects = effects_of(rows)
    assert abs(effects.within.r.value) < 0.1 < 0.4 < effects.pooled.r.value
    assert effects.within.r.low < 0 < effects.within.r.high
    means, slopes = find_simpson(effects)
    assert "dataset means explain" in means.text
    assert f"{effects.shares.datasets.value:.0%} of the variance" in means.text
    assert slopes.text.startswith("counts explain nothing within datasets that chance would not")
    assert f"{effects.within.slope.value:+.3f}" in slopes.text
    assert slopes.difference.low > 0


def test_a_trend_that_turns_within_datasets_is_said_to_have_the_wrong_sign():
    rows = plant(np.random.default_rng(0), sizes=(150,) * 8, slope=-0.06, between=0.15, level_spread=0.02)
    effects = effects_of(rows)
    assert effects.within.r.value < 0 < effects.pooled.r.value
    assert find_simpson(effects)[1].text.startswith("the pooled slope has the wrong sign: per decade")


def test_a_steeper_trend_between_datasets_is_said_to_be_so_many_times_the_one_within():
    rows = plant(np.random.default_rng(0), sizes=(150,) * 8, slope=0.04, between=0.15, level_spread=0.02)
    effects = effects_of(rows)
    times = effects.pooled.slope.value / effects.within.slope.value
    assert f"the pooled slope is {times:.1f} times the one within" in find_simpson(effects)[1].text


@pytest.mark.parametrize(
    "world",
    [
        {"sizes": (80,) * 6},
        {"sizes": (300, 100, 80, 60, 40, 20), "slopes_spread": 0.02},
        {"sizes": (300, 300, *(60,) * 10), "slopes_spread": 0.02, "shared": 200},
    ],
    ids=["6-sets", "6-unequal-sets", "12-unequal-sets-names-shared"],
)
def test_clean_tables_are_warned_of_at_their_error_rate_alone(world):
    rng = np.random.default_rng(11)
    warned = 0
    for _ in range(100):
        rows = plant(rng, **world, slope=0.1, level_spread=0.04, noise=0.05)
        draws = draw_levels(rows.dataset, rows.concept, rng, draws=200)
        warned += bool(find_simpson(split_effects(rows.x, rows.y, draws)))
    assert warned <= 7


def test_a_table_without_a_slope_calls_for_no_warning():
    draws = draw_levels(np.repeat(["a", "b"], 5), np.arange(10), np.random.default_rng(0), draws=50)
    assert find_simpson(split_effects(np.zeros(10), np.linspace(0, 1, 10), draws)) == ()
