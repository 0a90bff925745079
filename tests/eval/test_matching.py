import numpy as np
import pytest

from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.matching import match_on_counts


def rows_of(*rows):
    target, partner, log_target, log_partner, pair_count, hits = zip(*rows, strict=True)
    return ConceptRows(
        group=np.full(len(rows), "w"),
        target=np.array(target),
        partner=np.array(partner),
        successes=np.array(hits),
        trials=np.full(len(rows), 10),
        count=np.round(10 ** np.array(log_target) - 1).astype(np.int64),
        partner_count=np.round(10 ** np.array(log_partner) - 1).astype(np.int64),
        pair_count=np.array(pair_count),
        expected=np.ones(len(rows)),
    )


def test_the_nearest_couple_is_matched_first_and_nobody_twice():
    rows = rows_of(
        ("a", "b", 3.00, 3.0, 0, 2),  # 0 unseen: nearest to 2, which 1 is nearer to
        ("c", "d", 3.04, 3.0, 0, 4),  # 1 unseen
        ("e", "f", 3.03, 3.0, 5, 6),  # 2 seen
        ("g", "h", 2.93, 3.0, 5, 5),  # 3 seen
        ("i", "j", 3.00, 3.5, 5, 9),  # 4 seen: the target count fits, the partner count does not
        ("k", "l", 2.00, 2.0, 0, 9),  # 5 unseen: nobody near
    )
    found = match_on_counts(rows, np.random.default_rng(0))
    assert list(zip(found.unseen_rows.tolist(), found.seen_rows.tolist(), strict=True)) == [(0, 3), (1, 2)]
    assert (found.n_matched, found.n_unmatched) == (2, 1)
    assert found.difference.value == pytest.approx(100 * ((0.2 - 0.5) + (0.4 - 0.6)) / 2)
    assert (found.difference.low, found.difference.high) == pytest.approx((-30, -20))
    assert found.target_imbalance == pytest.approx((0.07 + 0.01) / 2, abs=1e-3)
    assert found.partner_imbalance == 0


def test_a_couple_exactly_one_caliper_apart_is_near_enough_on_both_counts():
    near = (("a", "b", 2.0, 2.0, 0, 1), ("c", "d", 3.0, 3.0, 0, 1), ("e", "f", 3.0, 3.0, 1, 1))
    rows = rows_of(*near, ("g", "h", 2.1, 1.9, 1, 1))
    wide = float(np.abs(rows.feature("log count")[3] - rows.feature("log count")[0]))
    assert match_on_counts(rows, np.random.default_rng(0), caliper=wide + 0.01).n_matched == 2
    with pytest.raises(ValueError, match=r"1 of 2 unseen rows have a seen row within 0\.05 decades"):
        match_on_counts(rows, np.random.default_rng(0), caliper=0.05)


def test_ties_go_to_the_names_and_not_to_the_order_of_the_rows(planted):
    rows = rows_of(
        ("b", "x", 3.0, 3.0, 0, 1), ("a", "x", 3.0, 3.0, 0, 2), ("d", "x", 3.0, 3.0, 4, 3), ("c", "x", 3.0, 3.0, 4, 4)
    )  # fmt: skip
    for order in ([0, 1, 2, 3], [3, 1, 2, 0], [2, 3, 1, 0]):
        shuffled = rows.take(np.array(order))
        found = match_on_counts(shuffled, np.random.default_rng(0))
        names = zip(shuffled.target[found.unseen_rows], shuffled.target[found.seen_rows], strict=True)
        assert [(str(a), str(b)) for a, b in names] == [("a", "c"), ("b", "d")]


def test_the_matches_are_those_of_a_slow_greedy_search(planted):
    rows = planted(5, concepts=14)
    counts = np.column_stack([rows.feature("log count"), rows.feature("log partner count")])
    couples = sorted(
        (round(float(np.hypot(*(counts[u] - counts[s]))), 12), str(rows.target[u]), str(rows.partner[u]),
         str(rows.target[s]), str(rows.partner[s]), u, s)
        for u in np.flatnonzero(rows.unseen).tolist()
        for s in np.flatnonzero(~rows.unseen).tolist()
        if np.abs(counts[u] - counts[s]).max() <= 0.1
    )  # fmt: skip
    taken: set[tuple[str, int]] = set()
    expected = set()
    for *_, u, s in couples:
        if ("u", u) not in taken and ("s", s) not in taken:
            taken |= {("u", u), ("s", s)}
            expected.add((u, s))
    found = match_on_counts(rows, np.random.default_rng(0))
    assert set(zip(found.unseen_rows.tolist(), found.seen_rows.tolist(), strict=True)) == expected


def test_the_two_orders_of_a_pair_are_drawn_together():
    # Two unordered pairs of two orders each: draws of pairs give -10, -30 or -50 and nothing else.
    rows = rows_of(
        ("a", "b", 3.0, 2.0, 0, 1), ("b", "a", 2.0, 3.0, 0, 1), ("c", "d", 3.5, 2.5, 0, 5), ("d", "c", 2.5, 3.5, 0, 5),
        ("e", "f", 3.0, 2.0, 9, 2), ("f", "e", 2.0, 3.0, 9, 2), ("g", "h", 3.5, 2.5, 9, 10), ("h", "g", 2.5, 3.5, 9, 10),
    )  # fmt: skip
    found = match_on_counts(rows, np.random.default_rng(0)).difference
    assert (found.value, found.low, found.high, found.n) == pytest.approx((-30, -50, -10, 2))


def test_a_planted_penalty_is_found_and_none_is_covered(planted):
    rng = np.random.default_rng(0)
    hurt = [match_on_counts(planted(seed, concepts=30, unseen=-0.8), rng).difference for seed in range(5)]
    assert all(each.high < 0 for each in hurt)
    null = [match_on_counts(planted(seed), rng).difference for seed in range(40)]
    assert 33 <= sum(each.low <= 0 <= each.high for each in null) <= 40
