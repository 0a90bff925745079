import math

import numpy as np
import pytest

from oddpair.eval.shares import clustered_share, wilson


def test_the_clustered_interval_is_wilsons_at_the_effective_number_of_trials():
    # Four clusters of 4 trials, two all hits and two none: share .5, binomial variance .25 / 16.
    found = clustered_share([4, 0, 4, 0], [4, 4, 4, 4], list("abcd"))
    variance = 4 / 3 * (4 * 2**2) / 16**2
    effect = variance / (0.25 / 16)
    worth = 16 / effect * (1.959964 / 3.182446) ** 2
    z = 1.959964
    half = z * math.sqrt(0.25 / worth + z * z / (4 * worth**2)) / (1 + z * z / worth)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)
    assert (found.value, found.n) == (0.5, 16)


def test_it_is_never_narrower_than_that_of_independent_trials():
    rng = np.random.default_rng(0)
    for _ in range(50):
        hits = rng.binomial(5, rng.beta(2, 2, 12))
        found, plain = clustered_share(hits, np.full(12, 5), np.arange(12)), wilson(int(hits.sum()), 60)
        assert found.low <= plain.low <= plain.high <= found.high


@pytest.mark.parametrize("hit", [0, 5])
def test_where_no_spread_is_seen_it_is_wilsons(hit):
    found, plain = clustered_share([hit] * 6, [5] * 6, range(6)), wilson(6 * hit, 30)
    assert (found.low, found.high) == (plain.low, plain.high)


def test_it_covers_the_true_share_where_wilson_does_not():
    rng = np.random.default_rng(1)
    covered = {"clustered": 0, "independent": 0}
    for _ in range(400):
        hits = rng.binomial(20, rng.beta(0.6, 0.9, 40))
        for name, found in (
            ("clustered", clustered_share(hits, np.full(40, 20), np.arange(40))),
            ("independent", wilson(int(hits.sum()), 800)),
        ):
            covered[name] += found.low <= 0.4 <= found.high
    assert covered["clustered"] / 400 > 0.92
    assert covered["independent"] / 400 < 0.7


def test_rows_of_one_cluster_may_be_split_without_a_change():
    whole = clustered_share([3, 1, 6], [8, 8, 8], ["a", "b", "c"])
    split = clustered_share([1, 2, 1, 6], [4, 4, 8, 8], ["a", "a", "b", "c"])
    assert (whole.low, whole.high) == pytest.approx((split.low, split.high))


def test_one_cluster_has_no_spread_and_is_refused():
    with pytest.raises(ValueError, match="1 cluster, a spread over clusters needs 2"):
        clustered_share([1, 2], [3, 3], ["a", "a"])


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="differ"):
        clustered_share([1, 2], [3, 3], ["a", "b", "c"])
