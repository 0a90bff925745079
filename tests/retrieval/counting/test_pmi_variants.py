import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.pmi import pmi
from oddpair.retrieval.counting.pmi_variants import (
    marginal_pmi,
    normalised_pmi,
    pair_marginals,
    published_pmi,
    smoothed_pmi,
)
from oddpair.retrieval.mentions.find import find_mentions

# Forms over captions, and forms over sums of pair counts; the latter are given the total where they take one.
OVER_CAPTIONS = {"textbook": pmi, "smoothed": smoothed_pmi, "normalised": normalised_pmi}
FORMS = {
    **OVER_CAPTIONS,
    "marginal": marginal_pmi,
    "published": lambda pair, first, second, total: published_pmi(pair, first, second),
}
every_form = pytest.mark.parametrize("name", FORMS)
quick = configure(max_examples=60, deadline=None)

# Captions with both concepts, with the first alone, with the second alone, with neither: both concepts occur.
cells = st.tuples(*[st.integers(0, 10**6)] * 4).filter(lambda n: n[0] + n[1] > 0 and n[0] + n[2] > 0)


def numbers(*values):
    return [np.array([value]) for value in values]


def value(form, both, only_first, only_second, neither):
    n = both + only_first + only_second + neither
    return form(*numbers(both, both + only_first, both + only_second), n)[0]


@every_form
@quick
@given(cells)
def test_pmi_does_not_depend_on_which_concept_comes_first(name, table):
    both, first, second, neither = table
    assert value(FORMS[name], *table) == pytest.approx(value(FORMS[name], both, second, first, neither))


@every_form
@quick
@given(cells, st.integers(1, 10**5))
def test_pmi_rises_with_the_pair_and_falls_with_each_concept(name, table, more):
    both, first, second, neither = table
    low = value(FORMS[name], *table)
    # As many captions and mentions of each, but more of both.
    moved = min(more, first, second)
    if moved:
        assert value(FORMS[name], both + moved, first - moved, second - moved, neither + moved) > low
    if neither and both:
        # The first concept in captions that had neither.
        moved = min(more, neither)
        assert value(FORMS[name], both, first + moved, second, neither - moved) < low


@pytest.mark.parametrize("name", ["smoothed", "normalised", "published"])
@quick
@given(cells)
def test_smoothed_normalised_and_published_pmi_are_finite_also_at_zero(name, table):
    assert np.isfinite(value(FORMS[name], *table))
    assert np.isfinite(value(FORMS[name], 0, *table[1:]) if table[1] and table[2] else 0.0)


@pytest.mark.parametrize("name", ["textbook", "marginal"])
def test_textbook_and_marginal_pmi_of_a_pair_that_never_meets_are_minus_infinity(name):
    assert value(FORMS[name], 0, 3, 4, 5) == -np.inf


def apart(values, tolerance=1e-9):
    """Signs of the differences of every two values; those that are equal but for rounding are 0."""
    gap = values[:, None] - values[None, :]
    return np.where(np.abs(gap) <= tolerance, 0, np.sign(gap))


tables = st.lists(
    st.tuples(*[st.integers(1, 10**6)] * 3).map(lambda n: (n[0], n[0] + n[1], n[0] + n[2])),
    min_size=2,
    max_size=12,
)


@quick
@given(tables, st.integers(2, 1000))
def test_the_order_of_pairs_depends_neither_on_the_number_of_captions_nor_on_the_base(rows, factor):
    pair, first, second = np.array(rows).T
    n = int((first + second).max())
    ranks = apart(pmi(pair, first, second, n))
    assert np.array_equal(apart(pmi(pair, first, second, n * factor)), ranks)
    assert np.array_equal(apart(pmi(pair, first, second, n) / np.log(2), 1e-9 / np.log(2)), ranks)
    published = [published_pmi(pair, first, second, tokens=tokens) for tokens in (3.2e9, 3.2e9 / factor)]
    assert np.array_equal(apart(published[0]), apart(published[1]))


@pytest.mark.parametrize("name", ["textbook", "normalised", "marginal"])
@quick
@given(cells, st.integers(2, 1000))
def test_unsmoothed_pmi_stays_when_all_counts_grow_alike(name, table, factor):
    scaled = value(FORMS[name], *(factor * n for n in table))
    assert scaled == pytest.approx(value(FORMS[name], *table), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["smoothed", "published"])
def test_smoothed_and_published_pmi_move_when_all_counts_grow_alike(name):
    assert value(FORMS[name], 10, 40, 40, 10) != pytest.approx(value(FORMS[name], 20, 80, 80, 20), abs=0.01)


# --- each form by hand ---------------------------------------------------------------------------------------------


def test_smoothed_pmi_is_zero_without_evidence_and_textbook_with_much():
    pair, first, second = (
        np.array(part) for part in ([0, 0, 0, 40_000], [0, 7, 10, 200_000], [9, 0, 10, 100_000])
    )
    found = smoothed_pmi(pair, first, second, 1_000_000)
    assert found[:2].tolist() == [0.0, 0.0]
    assert found[2] == pytest.approx(-np.log1p(1e-4 / 0.5))
    assert found[3] == pytest.approx(np.log(2), abs=1e-4)


def test_smoothed_pmi_of_a_pair_that_is_missed_falls_with_the_number_that_was_expected():
    expected = np.array([10, 100, 1000])
    found = smoothed_pmi(np.zeros(3, np.int64), expected * 100, np.full(3, 10_000), 1_000_000, shrinkage=2.0)
    assert found == pytest.approx(-np.log1p(expected / 2))


@quick
@given(cells, st.floats(0.01, 10))
def test_smoothed_pmi_lies_between_chance_level_and_the_textbook(table, shrinkage):
    smooth = value(lambda pair, a, b, n: smoothed_pmi(pair, a, b, n, shrinkage=shrinkage), *table)
    textbook = value(pmi, *table)
    assert min(0.0, textbook) - 1e-9 <= smooth <= max(0.0, textbook) + 1e-9


@pytest.mark.parametrize("shrinkage", [0.0, -1.0, np.nan, np.inf])
def test_smoothed_pmi_needs_a_shrinkage_above_zero(shrinkage):
    with pytest.raises(ValueError, match=r"shrinkage is .*, needed a finite number above 0"):
        smoothed_pmi(np.array([1]), np.array([2]), np.array([2]), 10, shrinkage=shrinkage)


@quick
@given(cells)
def test_normalised_pmi_lies_between_minus_one_and_one(table):
    assert -1 <= value(normalised_pmi, *table) <= 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param((0, 3, 4, 5), -1.0, id="never-together"),
        pytest.param((7, 0, 0, 5), 1.0, id="always-together"),
        pytest.param((7, 0, 0, 0), 1.0, id="both-in-every-caption"),
        pytest.param((7, 5, 0, 0), 0.0, id="one-in-every-caption"),
        pytest.param((2, 2, 3, 3), 0.0, id="chance"),
        pytest.param((4, 4, 4, 20), np.log(2) / np.log(8), id="by-hand"),
    ],
)
def test_normalised_pmi_at_its_edges(table, expected):
    assert value(normalised_pmi, *table) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pair", "first", "second", "expected"), [(10, 100_000, 200_000, -21.336041), (0, 0, 0, -13.815511)]
)
def test_published_pmi_gives_the_values_of_the_published_code(pair, first, second, expected):
    found = published_pmi(*numbers(pair, first, second))[0]
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(
        np.log(1.0000000003 * (pair + 1) / ((first + 1e3) * (second + 1e3))), abs=1e-9
    )


@quick
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_published_pmi_is_highest_where_998_captions_hold_both_words_and_none_one(pair, first, second):
    highest = published_pmi(*numbers(998, 998, 998))[0]
    assert highest == pytest.approx(np.log(1 / 3996))
    assert published_pmi(*numbers(pair, pair + first, pair + second))[0] <= highest + 1e-12


@pytest.mark.parametrize(
    ("pair", "marginal", "expected"), [(998, 998, -8.2930), (1000, 1000, -8.2930), (10**9, 10**12, -34.5388)]
)
def test_published_pmi_has_no_lowest_value(pair, marginal, expected):
    assert published_pmi(*numbers(pair, marginal, marginal))[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("counts", [(-1, 4, 6), (0, -4, 6), (-2, -1, -1)])
def test_a_negative_count_is_an_error(name, counts):
    pair, first, second = (np.array([1, count]) for count in counts)
    pair[0], first[0], second[0] = 1, 2, 2
    with pytest.raises(ValueError, match="pair 1 has a negative count"):
        FORMS[name](pair, first, second, 10)


@pytest.mark.parametrize("name", [name for name in FORMS if name != "published"])
def test_concepts_that_need_more_captions_than_there_are_are_an_error(name):
    with pytest.raises(ValueError, match=r"pair 1 leaves 1 \+ 6 \+ 5 captions .*, the corpus has 10"):
        FORMS[name](np.array([2, 1]), np.array([7, 7]), np.array([5, 6]), 10)


def test_published_pmi_needs_more_than_one_token():
    with pytest.raises(ValueError, match=r"tokens is 1\.0, needed a finite number above 1"):
        published_pmi(*numbers(1, 2, 2), tokens=1.0)


@pytest.mark.parametrize("name", FORMS)
def test_a_pair_that_is_counted_more_often_than_one_of_its_concepts_is_an_error(name):
    with pytest.raises(ValueError, match="pair 0 is counted 5 times, its concepts only 4 and 6 times"):
        FORMS[name](np.array([5]), np.array([4]), np.array([6]), 10)


def test_marginals_are_the_sums_of_pair_counts_over_partners():
    vocabulary = build_vocabulary(["cat", "dog", "tree", "hat"])
    captions = ["cat dog", "cat dog tree", "cat tree", "hat", "dog dog cat", "tree"]
    counts = count(find_mentions(vocabulary, captions), vocabulary=vocabulary)
    mentioned = [[word for word in vocabulary.names if word in caption.split()] for caption in captions]
    pairs = [pair for words in mentioned for pair in itertools.combinations(words, 2)]
    expected = [sum(name in pair for pair in pairs) for name in vocabulary.names]
    marginals = pair_marginals(counts)
    assert marginals.tolist() == expected == [5, 4, 3, 0]
    assert marginals.sum() == 2 * counts.pair_text.sum()
    # The chance of a pair among all pairs over the chances of its words, by hand for cat and dog.
    found = marginal_pmi(
        counts.pair_text, marginals[counts.a], marginals[counts.b], total=int(marginals.sum())
    )
    assert found[0] == pytest.approx(np.log((3 / 12) / ((5 / 12) * (4 / 12))))
