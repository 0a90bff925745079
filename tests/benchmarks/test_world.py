import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.words import concepts_inside
from oddpair.benchmarks.miniature.world import make_world, planted_pmi

UPPER = np.triu_indices(len(CONCEPTS), 1)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    decades=st.floats(0, 3.7),
    held_out=st.floats(0, 0.3),
    association=st.floats(0, 2),
)
def test_pairs_keep_every_frequency_and_leave_out_exactly_the_held_out_and_the_nested(
    seed, decades, held_out, association
):
    world = make_world(seed, decades=decades, held_out=held_out, association=association)
    np.testing.assert_allclose(world.joint.sum(axis=1), world.frequency, rtol=1e-9)
    assert world.frequency.sum() == pytest.approx(1)
    for table in (world.joint, world.theta, world.held_out, world.nested):
        np.testing.assert_array_equal(table, table.T)
    never = world.held_out | world.nested | np.eye(len(CONCEPTS), dtype=bool)
    np.testing.assert_array_equal(world.joint == 0, never)
    assert not (world.held_out & world.nested).any()
    assert np.log10(world.frequency.max() / world.frequency.min()) == pytest.approx(decades)


def test_log_frequencies_are_evenly_spaced():
    steps = np.diff(np.sort(np.log10(make_world(4).frequency)))
    np.testing.assert_allclose(steps, 3 / (len(CONCEPTS) - 1))


def test_a_world_of_no_decades_and_nothing_held_out_shows_every_pair_but_nested_ones():
    world = make_world(1, decades=0.0, held_out=0.0, association=0.0)
    np.testing.assert_allclose(world.frequency, 1 / len(CONCEPTS))
    assert not world.held_out.any()
    assert (np.triu(world.joint, 1) > 0).sum() == len(UPPER[0]) - np.triu(world.nested, 1).sum()


def test_one_seed_gives_one_world_and_another_gives_another():
    one, same, other = make_world(7), make_world(7), make_world(8)
    for name in ("frequency", "joint", "theta", "held_out"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert (getattr(one, name) != getattr(other, name)).any()


def test_settings_do_not_shift_each_others_random_numbers():
    one, other = make_world(7), make_world(7, decades=1.0, held_out=0.3, association=3.0)
    np.testing.assert_array_equal(np.argsort(one.frequency), np.argsort(other.frequency))
    np.testing.assert_allclose(2 * one.theta, other.theta)
    assert (other.held_out >= one.held_out).all()
    assert other.held_out.sum() > one.held_out.sum()


def test_association_is_planted_independently_of_frequency():
    correlations = []
    for seed in range(40):
        world = make_world(seed)
        log_frequency = np.log(world.frequency)
        product = (log_frequency[:, None] + log_frequency)[UPPER]
        correlations.append(np.corrcoef(world.theta[UPPER], product)[0, 1])
    # One correlation over 3,741 pairs that share 87 concepts has a standard deviation near 0.016.
    assert abs(np.mean(correlations)) < 0.01
    assert np.abs(correlations).max() < 0.08


def test_pairs_are_held_out_independently_of_frequency_at_the_asked_share():
    shares, gaps = [], []
    for seed in range(40):
        world = make_world(seed)
        held = world.held_out[UPPER]
        log_frequency = np.log10(world.frequency)
        mean = (log_frequency[:, None] + log_frequency)[UPPER] / 2
        shares.append(held.mean())
        gaps.append(mean[held].mean() - mean[~held].mean())
    assert 0.20 <= np.mean(shares) < 0.22
    assert abs(np.mean(gaps)) < 0.02


def test_no_concept_is_frequent_in_every_world():
    ranks = np.array([np.argsort(np.argsort(make_world(seed).frequency)) for seed in range(60)])
    mean = ranks.mean(axis=0)
    middle, error = (len(CONCEPTS) - 1) / 2, len(CONCEPTS) / np.sqrt(12 * 60)
    assert np.abs(mean - middle).max() < 4 * error


def test_a_pair_is_held_out_wherever_its_caption_would_name_a_held_out_pair():
    inside = concepts_inside(CONCEPTS)
    assert any(inside.values())
    world = make_world(3)
    place = {name: i for i, name in enumerate(CONCEPTS)}
    for a in CONCEPTS:
        for b in CONCEPTS:
            if world.joint[place[a], place[b]] == 0:
                continue
            for in_a in (a, *inside[a]):
                for in_b in (b, *inside[b]):
                    assert not world.held_out[place[in_a], place[in_b]], (a, b)


def test_a_tree_in_a_pine_tree_is_nested_and_not_held_out():
    names = ("cat", "dog", "fox", "glasses", "pine tree", "tree", "wine glass")
    world = make_world(0, names=names, decades=0.0, held_out=0.0)
    pairs = {(names[a], names[b]) for a, b in np.argwhere(np.triu(world.nested))}
    assert pairs == {("glasses", "wine glass"), ("pine tree", "tree")}
    assert not world.held_out.any()


def test_two_concepts_whose_words_a_third_holds_are_not_held_out_from_each_other():
    names = tuple(sorted({*CONCEPTS, "tree house"}))
    house, tree, both = (names.index(name) for name in ("house", "tree", "tree house"))
    for seed in range(20):
        world = make_world(seed, names=names, held_out=0.3)
        assert not world.held_out[house, tree]
        np.testing.assert_array_equal(np.flatnonzero(world.nested[both]), [house, tree])
        assert not world.held_out.diagonal().any()


def test_planted_pmi_is_minus_infinity_exactly_where_nothing_is_drawn_and_follows_theta_elsewhere():
    world = make_world(5)
    pmi = planted_pmi(world)
    np.testing.assert_array_equal(np.isneginf(pmi), world.joint == 0)
    drawn = world.joint[UPPER] > 0
    assert np.corrcoef(pmi[UPPER][drawn], world.theta[UPPER][drawn])[0, 1] > 0.85


def test_planted_pmi_is_the_log_ratio_to_chance_by_hand():
    names = ("apple", "bell", "cat", "drum")
    world = make_world(0, names=names, decades=0.0, held_out=0.0, association=0.0)
    # Four equal concepts: each of twelve ordered pairs has 1/12, chance is 1/16.
    np.testing.assert_allclose(planted_pmi(world)[0, 1:], np.log(16 / 12))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_could_meet_another_stream_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}, needed 0 to 4294967295"):
        make_world(seed)


def test_names_out_of_order_or_twice_are_refused():
    with pytest.raises(ValueError, match="alphabetical and each given once"):
        make_world(0, names=("bell", "apple", "cat"))
    with pytest.raises(ValueError, match="alphabetical and each given once"):
        make_world(0, names=("apple", "apple", "cat"))


def test_frequencies_that_no_pair_table_fits_are_refused():
    with pytest.raises(ValueError, match="no pair table fits the frequencies of 3 concepts"):
        make_world(0, names=("apple", "bell", "cat"), decades=3.0)
    with pytest.raises(ValueError, match="no pair table fits the frequencies of 1 concepts"):
        make_world(0, names=("apple",))
