import numpy as np
import pytest

from oddpair.eval.logistic import fit, predict
from oddpair.eval.transfer import seen_to_unseen


def test_predictions_come_from_a_fit_that_never_saw_the_unseen_rows(planted):
    rows = planted(0)
    found = seen_to_unseen(rows, np.random.default_rng(0))
    seen, unseen = rows.take(~rows.unseen), rows.take(rows.unseen)

    def design(table):
        own, other = np.log10(1.0 + table.count), np.log10(1.0 + table.partner_count)
        return np.column_stack([np.ones(len(table)), own, own**2, other])

    expected = predict(fit(seen.successes, seen.trials, design(seen)), design(unseen)).probability
    assert found.predicted == pytest.approx(expected.mean())
    assert found.observed == pytest.approx(unseen.successes.sum() / unseen.trials.sum())
    assert found.bias.value == pytest.approx(100 * (found.predicted - found.observed))
    assert found.r is not None
    assert found.r.value == pytest.approx(np.corrcoef(expected, unseen.accuracy)[0, 1])
    assert found.n_pairs == len(unseen) / 2
    assert found.n_seen_pairs == len(seen) / 2


def test_the_binned_r_is_that_of_equally_filled_bins(planted):
    found = seen_to_unseen(planted(0), np.random.default_rng(0))
    assert found.r is not None
    assert found.r_binned is not None
    assert found.r_binned.n == 12
    assert found.r_binned.value > found.r.value


def test_a_fit_on_fewer_seen_pairs_leaves_a_wider_interval(planted):
    rows = planted(0)
    few = np.random.default_rng(0).random(rows.pair.max() + 1) < 0.1
    rng = np.random.default_rng(0)
    wide, narrow = (
        seen_to_unseen(rows.take(rows.unseen | few[rows.pair]), rng).bias,
        seen_to_unseen(rows, rng).bias,
    )
    assert wide.high - wide.low > 1.4 * (narrow.high - narrow.low)


def test_neither_the_order_of_rows_nor_equal_counts_move_the_result(planted):
    rows = planted(0)
    rows.count[:] = np.where(rows.count > 300, 1000, 100)
    rows.partner_count[:] = np.where(rows.partner_count > 300, 1000, 100)
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    first, again = (seen_to_unseen(table, np.random.default_rng(0)) for table in (rows, shuffled))
    for name in ("bias", "r", "r_binned"):
        one, other = getattr(first, name), getattr(again, name)
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-7)


def test_the_bias_covers_0_where_unseen_pairs_obey_the_same_law(planted):
    rng = np.random.default_rng(0)
    found = [seen_to_unseen(planted(seed), rng).bias for seed in range(40)]
    assert 34 <= sum(each.low <= 0 <= each.high for each in found) <= 40


def test_a_planted_penalty_shows_as_a_prediction_that_is_too_high(planted):
    rng = np.random.default_rng(0)
    found = [seen_to_unseen(planted(seed, unseen=-1.0), rng).bias for seed in range(5)]
    assert all(each.low > 0 for each in found)


def test_pmi_among_the_seen_pairs_is_no_part_of_the_prediction(planted):
    rows = planted(0)
    changed = planted(0)
    changed.pair_count[~changed.unseen] += 100
    assert seen_to_unseen(changed, np.random.default_rng(0)) == seen_to_unseen(rows, np.random.default_rng(0))


def test_rows_beyond_the_counts_of_the_fit_are_counted(planted):
    rows = planted(0)
    assert seen_to_unseen(rows, np.random.default_rng(0)).n_outside == 0
    rarest = np.unique(rows.count)[1]
    seen_common = rows.take(rows.unseen | ((rows.count > rarest) & (rows.partner_count > rarest)))
    expected = ((seen_common.count <= rarest) | (seen_common.partner_count <= rarest)).sum()
    assert seen_to_unseen(seen_common, np.random.default_rng(0)).n_outside == expected > 0


def test_one_kind_of_rows_is_refused(planted):
    rows = planted(0, concepts=10)
    with pytest.raises(ValueError, match="0 of 72 rows are unseen"):
        seen_to_unseen(rows.take(~rows.unseen), np.random.default_rng(0))
    with pytest.raises(ValueError, match="18 of 18 rows are unseen"):
        seen_to_unseen(rows.take(rows.unseen), np.random.default_rng(0))
    with pytest.raises(ValueError, match="1 unseen pair"):
        seen_to_unseen(
            rows.take(~rows.unseen | (rows.pair == rows.pair[rows.unseen][0])), np.random.default_rng(0)
        )
