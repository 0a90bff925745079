from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.explaining.planted_slopes import plant

from oddpair.eval.explaining.permutation import permute_counts, shuffle_rows


def permute(rows, rng, shuffles):
    shuffled = shuffle_rows(rows.dataset, rows.concept, rng, shuffles)
    return permute_counts(rows.x, rows.y, rows.dataset, rows.concept % 10, shuffled)


def test_two_hundred_tables_without_an_effect_have_even_ps_and_nothing_held_out():
    rng = np.random.default_rng(3)
    ps, held_out = [], []
    for _ in range(200):
        rows = plant(rng, sizes=(60, 60, 40, 20, 10), slope=0.0, shared=40)
        found = permute(rows, rng, 199)
        ps.append(found.p)
        held_out.append(found.held_out_shuffled.value)
    assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.09
    assert np.mean(ps) == pytest.approx(0.5, abs=0.06)
    assert np.mean(held_out) <= 0
    assert np.max(held_out) < 0.02


def test_a_planted_slope_has_the_least_p_there_is_and_is_held_out():
    rows = plant(np.random.default_rng(0))
    found = permute(rows, np.random.default_rng(1), 99)
    assert found.p == 1 / 100
    assert found.shuffles == 99
    assert found.movable == len(rows.x)
    assert found.held_out > 0.1 > found.held_out_shuffled.high


def test_p_counts_the_data_among_the_shuffles_that_are_as_far():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 1.0])
    shuffled = np.array([[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
    found = permute_counts(x, y, np.full(3, "a"), np.arange(3), shuffled)
    assert found is not None
    assert found.r == pytest.approx(1.0)
    assert found.p == pytest.approx((2 + 1) / (4 + 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=25), st.integers(0, 99))
def test_shuffles_keep_datasets_and_the_rows_of_a_name_together(pairs, seed):
    dataset, concept = (np.array(column) for column in zip(*pairs, strict=True))
    for rows in shuffle_rows(dataset, concept, np.random.default_rng(seed), shuffles=5):
        assert sorted(rows) == list(range(len(pairs)))
        assert (dataset[rows] == dataset).all()
        for name in set(concept.tolist()):
            mine = concept == name
            (giver,) = set(concept[rows[mine]].tolist())
            assert Counter(dataset[concept == giver].tolist()) == Counter(dataset[mine].tolist())


def test_shuffles_deal_every_order_alike():
    dealt = shuffle_rows(np.full(3, "a"), np.arange(3), np.random.default_rng(0), shuffles=3000)
    times = Counter(map(tuple, dealt.tolist()))
    assert len(times) == 6
    assert max(abs(number - 500) for number in times.values()) < 4 * np.sqrt(500)


def test_names_that_none_matches_stay_and_are_told():
    dataset, concept = np.array(["a", "a", "b", "a"]), np.array(["x", "y", "y", "z"])
    shuffled = shuffle_rows(dataset, concept, np.random.default_rng(0), shuffles=50)
    assert (shuffled[:, 1:3] == [1, 2]).all()
    found = permute_counts([1.0, 2.0, 2.0, 4.0], [0.1, 0.2, 0.3, 0.9], dataset, np.arange(4), shuffled)
    assert found is not None
    assert found.movable == 2


@pytest.mark.parametrize(("x", "y"), [([1, 1, 2, 2], [0, 1, 0, 1]), ([0, 1, 2, 3], [0.3, 0.3, 0.7, 0.7])])
def test_nothing_that_varies_within_a_dataset_is_no_test(x, y):
    dataset = np.array(["a", "a", "b", "b"])
    shuffled = shuffle_rows(dataset, np.arange(4), np.random.default_rng(0), shuffles=5)
    assert permute_counts(x, y, dataset, np.arange(4), shuffled) is None


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"datasets have shape \(2,\), concepts \(3,\)"):
        shuffle_rows(np.array(["a", "b"]), np.arange(3), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"have shapes \[\(2,\), \(2,\), \(2,\), \(3,\), \(4, 2\)\]"):
        permute_counts([1, 2], [0, 1], np.array(["a", "a"]), np.arange(3), np.zeros((4, 2), dtype=int))
