import numpy as np
import pytest

from oddpair.eval.explaining.bootstrap import draw_levels

FIVE = np.repeat([f"set {index}" for index in range(5)], 4)


def test_sums_of_draws_are_those_of_the_rows_that_were_drawn():
    rng = np.random.default_rng(0)
    concept = np.arange(20)
    concept[4:8] = concept[:4]
    columns = rng.normal(size=(20, 3))
    shuffled = rng.permutation(20)
    draws = draw_levels(FIVE[shuffled], concept[shuffled], np.random.default_rng(1), draws=30)
    found = draws.sum_draws(columns)
    for draw in range(30):
        times = draws.dataset_weights[draw, draws.codes].copy()
        times[draws.redrawn] *= draws.row_weights[draw]
        for code in range(5):
            slow = sum(times[row] * columns[row] for row in range(20) if draws.codes[row] == code)
            np.testing.assert_allclose(found[draw, code], slow, atol=1e-12)


def test_datasets_are_drawn_whole_and_only_shared_concepts_again():
    concept = np.array([f"thing {index}" for index in range(20)])
    concept[4:7] = concept[:3]
    draws = draw_levels(FIVE, concept, np.random.default_rng(0), draws=100)
    assert draws.of_datasets
    assert draws.redrawn.tolist() == [0, 1, 2, 4, 5, 6]
    assert (draws.dataset_weights.sum(axis=1) == 5).all()
    assert (draws.row_weights[:, :3] == draws.row_weights[:, 3:]).all()
    assert (draws.row_weights[:, :3].sum(axis=1) == 3).all()


def test_four_datasets_stay_as_they_are_and_all_concepts_are_drawn():
    draws = draw_levels(FIVE[:16], np.arange(16), np.random.default_rng(0), draws=100)
    assert not draws.of_datasets
    assert (draws.dataset_weights == 1).all()
    assert draws.redrawn.tolist() == list(range(16))


def test_sums_of_many_rows_are_those_of_all_of_them():
    draws = draw_levels(np.full(9000, "a"), np.arange(9000), np.random.default_rng(0), draws=3)
    assert draws.sum_draws(np.ones((9000, 1))).tolist() == [[[9000.0]]] * 3


def test_one_shared_concept_alone_is_not_redrawn():
    concept = np.arange(20)
    concept[4] = concept[0]
    assert len(draw_levels(FIVE, concept, np.random.default_rng(0), draws=10).redrawn) == 0


def test_leaving_out_a_concept_takes_its_rows_out_of_every_dataset():
    draws = draw_levels(FIVE, np.tile([0, 1, 2, 3], 5), np.random.default_rng(0), draws=10)
    columns = np.arange(20.0)[:, None]
    found = draws.leave_out_concepts(columns)
    assert found.shape == (4, 5, 1)
    assert found[1, :, 0].tolist() == [0 + 2 + 3, 4 + 6 + 7, 8 + 10 + 11, 12 + 14 + 15, 16 + 18 + 19]


def test_an_interval_is_wider_where_one_dataset_holds_most():
    draws = draw_levels(FIVE, np.arange(20), np.random.default_rng(0))
    samples = np.random.default_rng(1).normal(size=2000)
    even = draws.interval(0.0, samples, np.ones(5), what="slope")
    uneven = draws.interval(0.0, samples, np.array([10.0, 10.0, 1.0, 1.0, 1.0]), what="slope")
    assert uneven.high - uneven.low > even.high - even.low > 2 * 1.96
    assert draws.interval(0.0, samples, np.ones(5), what="r", bounds=(-1.0, 1.0)).high == 1.0


def test_draws_that_say_nothing_open_the_interval():
    draws = draw_levels(FIVE, np.arange(20), np.random.default_rng(0), draws=200)
    samples = np.where(np.arange(200) < 10, np.nan, 0.5)
    found = draws.interval(0.5, samples, np.ones(5), what="slope")
    assert (found.low, found.high, found.n) == (-np.inf, np.inf, 20)


def test_one_concept_is_refused():
    with pytest.raises(ValueError, match="1 concepts, a bootstrap needs at least 2"):
        draw_levels(FIVE, ["cat"] * 20, np.random.default_rng(0))


def test_datasets_and_concepts_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"datasets have shape \(20,\), concepts \(3,\)"):
        draw_levels(FIVE, ["cat"] * 3, np.random.default_rng(0))
