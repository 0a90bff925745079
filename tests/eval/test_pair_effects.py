import time

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.intervals import pool_worlds
from oddpair.eval.pair_effects import unseen_penalty


def columns_of(rows):
    targets, partners = np.unique(rows.target), np.unique(rows.partner)
    dummies = [*(rows.target == name for name in targets), *(rows.partner == name for name in partners[1:])]
    return np.column_stack([rows.unseen, *dummies]).astype(float)


def statsmodels_fit(rows):
    hits = np.column_stack([rows.successes, rows.trials - rows.successes])
    model = sm.GLM(hits, columns_of(rows), family=sm.families.Binomial())
    return model.fit(cov_type="cluster", cov_kwds={"groups": rows.pair}, tol=1e-14)


def test_beta_and_its_error_are_those_of_statsmodels_with_the_same_dummies(planted):
    rows = planted(0, concepts=10, unseen=-0.5)
    reference = statsmodels_fit(rows)
    found = unseen_penalty(rows)
    assert found.dropped.n_rows == 0
    assert found.beta.value == pytest.approx(reference.params[0], abs=1e-5)
    assert found.beta_error == pytest.approx(reference.bse[0], rel=1e-4)
    assert found.beta.n == 45


def test_points_are_the_mean_change_of_the_fitted_probability(planted):
    rows = planted(0, concepts=10, unseen=-0.5)
    reference = statsmodels_fit(rows)
    dummies = columns_of(rows)[:, 1:]

    def points(coefficients):
        base = dummies @ coefficients[1:]
        return 100 * (expit(base + coefficients[0]) - expit(base)).mean()

    found = unseen_penalty(rows)
    assert found.points.value == pytest.approx(points(reference.params), abs=1e-4)
    nudges = 1e-5 * np.eye(len(reference.params))
    slope = np.array([points(reference.params + h) - points(reference.params - h) for h in nudges]) / 2e-5
    assert found.points_error == pytest.approx(np.sqrt(slope @ reference.cov_params() @ slope), rel=1e-3)
    assert found.points.high - found.points.low == pytest.approx(2 * 1.959964 * found.points_error)


def test_a_planted_penalty_is_found_again(planted):
    found = [unseen_penalty(planted(seed, unseen=-0.6)) for seed in range(100, 106)]
    plain, weighted = pool_worlds(
        [each.beta.value for each in found], [each.beta_error for each in found], what="beta"
    )
    for each in found:
        assert abs(each.beta.value + 0.6) < 3 * each.beta_error
        assert each.points.high < 0
    assert plain.low <= -0.6 <= plain.high
    assert weighted.low <= -0.6 <= weighted.high


def test_no_penalty_is_covered_in_most_worlds(planted):
    found = [unseen_penalty(planted(seed, concepts=18)) for seed in range(40)]
    covered = sum(each.beta.low <= 0 <= each.beta.high for each in found)
    assert 34 <= covered <= 40
    covered = sum(each.points.low <= 0 <= each.points.high for each in found)
    assert 34 <= covered <= 40


def test_hardness_of_rare_concepts_is_not_taken_for_a_penalty(planted):
    # Unseen pairs hold the rare concepts, so the plain gap is wide where the penalty is nil.
    rows = planted(3)
    gap = rows.accuracy[rows.unseen].mean() - rows.accuracy[~rows.unseen].mean()
    assert gap < -0.1
    found = unseen_penalty(rows)
    assert found.points.low <= 0 <= found.points.high


def test_concepts_without_information_are_dropped_counted_and_do_not_move_beta(planted):
    rows = planted(1, concepts=12, unseen=-0.5)
    never = rows.target == "c003"
    silenced = ConceptRows(
        **{
            name: getattr(rows, name)
            for name in (
                "group",
                "target",
                "partner",
                "trials",
                "count",
                "partner_count",
                "pair_count",
                "expected",
            )
        },
        successes=np.where(never, 0, rows.successes),
    )
    found, without = unseen_penalty(silenced), unseen_penalty(rows.take(~never))
    assert found.dropped.targets == ("c003",)
    assert found.dropped.n_rows == 11
    assert found.beta == without.beta
    assert found.n_unseen + found.n_seen == len(rows) - 11


def test_the_order_of_rows_does_not_matter(planted):
    rows = planted(2, concepts=10)
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    assert unseen_penalty(shuffled).beta.value == pytest.approx(unseen_penalty(rows).beta.value, abs=1e-9)


def test_two_thousand_rows_and_ninety_dummies_take_less_than_5_seconds(planted):
    rows = planted(0, concepts=46)
    assert len(rows) == 2070
    start = time.perf_counter()
    unseen_penalty(rows)
    assert time.perf_counter() - start < 5


def test_rows_of_two_worlds_or_of_one_kind_are_refused(planted):
    rows = planted(0, concepts=10)
    with pytest.raises(ValueError, match="rows are of 2 worlds"):
        unseen_penalty(
            ConceptRows(
                group=np.where(np.arange(len(rows)) < 5, "v", "w"),
                target=rows.target,
                partner=rows.partner,
                successes=rows.successes,
                trials=rows.trials,
                count=rows.count,
                pair_count=rows.pair_count,
            )
        )
    with pytest.raises(ValueError, match="no rows tell them apart"):
        unseen_penalty(rows.take(~rows.unseen))
