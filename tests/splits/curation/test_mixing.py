from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.splits.curation.mixing import (
    apportion,
    as_fraction,
    check_draw,
    claim_draw,
    count_by_pool,
    find_common,
    find_largest,
    join_parts,
    open_drawers,
)
from oddpair.splits.manifest import Manifest, as_uids

WEIGHTS = st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any)


def split(name, uids):
    return Manifest(name=name, recipe="whole", uids=tuple(sorted(uids)))


def uids_of(n, prefix):
    return [f"{prefix}{number:03}" for number in np.random.default_rng(n).permutation(n)]


def apportion_slowly(total, shares):
    """Give the rows out one by one, each to the part that is most due by Webster's quotient."""
    parts = [0] * len(shares)
    for _ in range(total):
        due = [share / (2 * part + 1) for share, part in zip(shares, parts, strict=True)]
        parts[due.index(max(due))] += 1
    return parts


@given(total=st.integers(0, 200), weights=WEIGHTS)
@settings(max_examples=150, deadline=None)
def test_rows_are_divided_as_if_given_out_one_by_one(total, weights):
    shares = [Fraction(weight) for weight in weights]
    found = apportion(total, shares)
    assert found == apportion_slowly(total, shares)
    assert sum(found) == total
    assert all(part == 0 for part, share in zip(found, shares, strict=True) if not share)


@given(total=st.integers(0, 10**9), weights=WEIGHTS)
@settings(max_examples=100, deadline=None)
def test_no_part_of_a_larger_total_is_smaller(total, weights):
    shares = [Fraction(weight) for weight in weights]
    both = zip(apportion(total, shares), apportion(total + 1, shares), strict=True)
    assert all(smaller <= larger for smaller, larger in both)


@given(total=st.integers(0, 10**6), ratio=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_two_parts_are_rounded_to_the_nearest_row(total, ratio):
    share = Fraction(ratio, 1000)
    first, second = apportion(total, [1 - share, share])
    assert abs(second - total * share) <= Fraction(1, 2)
    assert first + second == total


def by_largest_remainders(total, shares):
    quotas = [total * share / sum(shares) for share in shares]
    parts = [int(quota) for quota in quotas]
    for place in sorted(range(len(shares)), key=lambda place: parts[place] - quotas[place])[
        : total - sum(parts)
    ]:
        parts[place] += 1
    return parts


def test_largest_remainders_would_take_a_row_from_a_part_of_a_larger_total():
    shares = [Fraction(6), Fraction(6), Fraction(2)]
    assert [by_largest_remainders(total, shares) for total in (10, 11)] == [[4, 4, 2], [5, 5, 1]]
    assert [apportion(total, shares) for total in (10, 11)] == [[5, 4, 1], [5, 5, 1]]


def test_shares_that_say_nothing_are_an_error():
    with pytest.raises(ValueError, match="needed some above 0"):
        apportion(3, [Fraction(0)])
    with pytest.raises(ValueError, match="needed some above 0"):
        apportion(-1, [Fraction(1)])


@given(
    sizes=st.lists(st.integers(0, 60), min_size=3, max_size=3), weights=st.tuples(*[st.integers(1, 9)] * 3)
)
@settings(max_examples=60, deadline=None)
def test_the_largest_mix_is_the_last_that_the_pools_allow(sizes, weights):
    shares = [Fraction(weight) for weight in weights]

    def fits(total):
        return all(part <= size for part, size in zip(apportion(total, shares), sizes, strict=True))

    found = find_largest(sizes, shares)
    assert found == max(total for total in range(sum(sizes) + 1) if fits(total))


def test_designs_that_differ_in_shares_alone_have_one_total():
    half, all_of_b = {"a": Fraction(1, 2), "b": Fraction(1, 2)}, {"b": Fraction(1)}
    assert find_common({"a": 5, "b": 30}, [half, all_of_b]) == 10
    with pytest.raises(Refusal, match="for want of rows of its own in a: leave it out"):
        find_common({"a": 0, "b": 30}, [{"a": Fraction(1)}])


@pytest.mark.parametrize("share", [0.1, 0.3, 1e-7, 1 / 3])
def test_a_share_is_taken_as_it_is_written(share):
    assert float(as_fraction(share)) == share
    assert as_fraction(0.3) + as_fraction(0.7) == 1


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), smaller=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_smaller_draws_lie_inside_larger_ones_whatever_the_order_and_the_other_pools(seed, n, smaller):
    uids, other = uids_of(40, "a"), uids_of(7, "b")
    pools = {"a": split("a", uids), "b": split("b", other)}
    drawers = open_drawers(pools, ["a", "b"], seed=seed, overlap="refuse")
    drawn = drawers["a"].draw(n).to_pylist()
    assert drawn == sorted(set(drawn))
    assert len(drawn) == n
    assert set(drawers["a"].draw(min(n, smaller)).to_pylist()) <= set(drawn)
    alone = open_drawers({"a": split("a", reversed(uids))}, ["a"], seed=seed, overlap="refuse")
    assert alone["a"].draw(n).to_pylist() == drawn


def test_every_row_of_a_pool_is_drawn_equally_often():
    hits = dict.fromkeys(uids_of(10, "a"), 0)
    for seed in range(400):
        drawer = open_drawers({"a": split("a", hits)}, ["a"], seed=seed, overlap="refuse")["a"]
        for uid in drawer.draw(3).to_pylist():
            hits[uid] += 1
    assert max(abs(n - 120) for n in hits.values()) < 4.5 * np.sqrt(400 * 0.3 * 0.7)


def test_a_row_of_two_pools_is_refused_or_belongs_to_the_first():
    pools = {"a": split("a", "uvw"), "b": split("b", "vwxyz"), "c": split("c", "az")}
    with pytest.raises(Refusal, match=r"'a' and 'b' share rows \(2 of 'b' .* the first is uid v\)"):
        open_drawers(pools, ["a", "b", "c"], seed=0, overlap="refuse")
    found = open_drawers(pools, ["a", "b", "c"], seed=0, overlap="first")
    assert {name: (drawer.uids.to_pylist(), drawer.shared) for name, drawer in found.items()} == {
        "a": (["u", "v", "w"], 0),
        "b": (["x", "y", "z"], 2),
        "c": (["a"], 1),
    }
    assert count_by_pool(as_uids(["q", "v", "x"]), found) == {"a": 1, "b": 1, "c": 0, "": 1}


def test_a_pool_that_is_too_small_is_refused_with_the_rows_that_are_missing():
    pools = {"a": split("a", "uvw"), "b": split("b", "vwxyz")}
    drawer = open_drawers(pools, ["a", "b"], seed=0, overlap="first")["b"]
    with pytest.raises(
        Refusal,
        match=r"pool 'b' has 3 rows that are in no pool before it \(2 are\), the mix takes 5: 2 are missing",
    ):
        drawer.draw(5)


def test_a_pool_whose_name_cannot_be_part_of_a_files_is_refused():
    with pytest.raises(Refusal, match=r"pool 'my pool': splits are named after it"):
        open_drawers({"my pool": split("a", "uvw")}, ["my pool"], seed=0, overlap="refuse")


def test_a_draw_is_compared_with_one_made_again():
    pools = {"a": split("a", uids_of(20, "a")), "b": split("b", uids_of(20, "b"))}
    drawers = open_drawers(pools, ["a", "b"], seed=4, overlap="refuse")
    rows, claim = {"a": 5, "b": 3}, claim_draw(4)
    drawn = join_parts([drawers["a"].draw(5), drawers["b"].draw(3)])
    assert drawn.to_pylist() == sorted(drawn.to_pylist())
    assert check_draw(drawn, drawers, rows, claim).holds
    other = next(uid for uid in pools["a"].uids.to_pylist() if uid not in drawn.to_pylist())
    forged = check_draw(as_uids(sorted([other, *drawn.to_pylist()[1:]])), drawers, rows, claim)
    assert (forged.holds, forged.found) == (False, f"1 of 8 rows were not drawn, the first {other}")
    fewer = check_draw(drawn[1:], drawers, rows, claim)
    assert (fewer.holds, fewer.found) == (False, "8 were drawn")
    assert check_draw(drawn, drawers, {"a": 21}, claim).found == "pool a has 20 rows"
