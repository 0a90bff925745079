import numpy as np
import pytest
from scipy.stats import norm, t
from statsmodels.api import OLS
from statsmodels.stats.meta_analysis import combine_effects
from tests.eval.explaining.planted_slopes import plant

from oddpair.eval.explaining.bootstrap import draw_levels
from oddpair.eval.explaining.within_slopes import fit_dataset_slopes


def fit(rows):
    draws = draw_levels(rows.dataset, rows.concept, np.random.default_rng(0), draws=5)
    return fit_dataset_slopes(rows.x, rows.y, draws)


def refit(rows, name):
    mine = rows.dataset == name
    design = np.column_stack([np.ones(mine.sum()), rows.x[mine]])
    return OLS(rows.y[mine], design).fit(cov_type="HC3", use_t=True)


def test_own_slopes_are_least_squares_with_errors_for_noise_that_changes():
    rows = plant(np.random.default_rng(0), sizes=(30, 12, 50, 8))
    for slope in fit(rows).slopes:
        slow = refit(rows, slope.dataset)
        assert slope.own.value == pytest.approx(slow.params[1])
        assert (slope.own.low, slope.own.high) == pytest.approx(slow.conf_int()[1])
        assert slope.own.n == slow.nobs


def test_mean_and_spread_are_those_of_a_random_effects_pool():
    rows = plant(np.random.default_rng(1), sizes=(60, 40, 30, 80, 25, 50), slopes_spread=0.04)
    found = fit(rows).together
    fits = [refit(rows, name) for name in np.unique(rows.dataset)]
    slow = combine_effects(
        np.array([one.params[1] for one in fits]),
        np.array([one.bse[1] ** 2 for one in fits]),
        method_re="pm",
        use_t=True,
    )
    assert slow.tau2 > 0
    assert found.spread.value == pytest.approx(np.sqrt(slow.tau2), rel=1e-4)
    assert found.mean.value == pytest.approx(slow.mean_effect_re, rel=1e-5)
    # At one spread alone the interval is that of the pool; averaged over all that are possible it is wider.
    low, high = slow.conf_int(use_t=False)[1]
    assert 1 < (found.mean.high - found.mean.low) / (high - low) < 2


def test_slopes_that_agree_have_a_spread_of_0_and_one_more_slope_the_range_of_the_mean():
    rows = plant(np.random.default_rng(0), sizes=(40,) * 6)
    together = fit(rows).together
    assert together.spread.low == together.spread.value == 0.0 < together.spread.high
    assert together.new_dataset.low < together.mean.low
    assert together.new_dataset.high > together.mean.high


def test_a_slope_is_drawn_to_the_mean_the_more_the_less_it_knows():
    rows = plant(np.random.default_rng(2), sizes=(400, 400, 400, 400, 8, 8), slopes_spread=0.04)
    found = fit(rows)
    mean = found.together.mean.value
    kept = [(one.shrunk.value - mean) / (one.own.value - mean) for one in found.slopes]
    assert all(0 < share < 1 for share in kept)
    assert min(kept[:4]) > 0.85 > 0.5 > max(kept[4:])
    assert all(one.shrunk.high - one.shrunk.low < one.own.high - one.own.low for one in found.slopes[4:])


def test_four_copies_of_a_dataset_say_no_more_than_one():
    rng = np.random.default_rng(0)
    x, y = np.tile(rng.uniform(0, 5, 12), 4), np.tile(rng.uniform(size=12), 4)
    draws = draw_levels(np.repeat(list("abcd"), 12), np.tile(np.arange(12), 4), rng, draws=5)
    found = fit_dataset_slopes(x, y, draws)
    own = found.slopes[0].own
    assert found.together is not None
    assert found.together.spread.value == 0.0
    assert found.together.mean.value == pytest.approx(own.value)
    normal = (own.high - own.low) / t.ppf(0.975, 10) * norm.ppf(0.975)
    assert found.together.mean.high - found.together.mean.low == pytest.approx(normal)


def test_three_slopes_are_not_pooled():
    found = fit(plant(np.random.default_rng(0), sizes=(20, 20, 20)))
    assert found.together is None
    assert [one.shrunk for one in found.slopes] == [None] * 3


def test_datasets_that_show_no_slope_are_named():
    dataset = np.repeat(["few", "flat", "one apart", "one accuracy", "good"], [4, 6, 6, 6, 6])
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 5, 28), rng.uniform(size=28)
    x[4:10] = 0.1
    x[10:16] = [0, 0, 0, 0, 0, 3]
    y[16:22] = 0.0
    found = fit_dataset_slopes(x, y, draw_levels(dataset, np.arange(28), rng, draws=5))
    assert [one.dataset for one in found.slopes] == ["good"]
    assert found.left_out == ("few", "flat", "one accuracy", "one apart")


def test_columns_that_do_not_fit_are_refused():
    draws = draw_levels(np.full(3, "a"), np.arange(3), np.random.default_rng(0), draws=5)
    with pytest.raises(
        ValueError, match=r"log counts have shape \(2,\), accuracies \(2,\), draws are of 3 rows"
    ):
        fit_dataset_slopes([1.0, 2.0], [0.1, 0.2], draws)
