import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st
from scipy import sparse
from tests.retrieval.counting.counted import (
    FIELDS,
    PAIRS,
    VOCABULARY,
    N,
    assert_equal,
    counted,
    counted_among,
    requests,
    sources_of,
    tables,
)

from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts import merge, most_frequent
from oddpair.retrieval.counting.counts_file import read_counts, write_counts
from oddpair.retrieval.counting.pmi import expect_pairs, pmi
from oddpair.retrieval.mentions.find import find_mentions


@configure(max_examples=150, deadline=None)
@given(tables)
def test_counts_equal_those_made_row_by_row(table):
    mentions, tags = table
    found = counted(mentions, tags)
    sources = sources_of(mentions, tags)
    pairs = [
        (a, b, *(int(np.sum(source[:, a] & source[:, b])) for source in sources))
        for a, b in itertools.combinations(range(N), 2)
        if (a, b) not in nested_pairs(VOCABULARY)
    ]
    pairs = [pair for pair in pairs if any(pair[2:])]
    assert found.text.tolist() == mentions.sum(axis=0).tolist()
    columns = [found.a, found.b, found.pair_text, found.pair_image, found.pair_joint][: 2 + len(sources)]
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == pairs
    if tags is None:
        assert found.image is found.joint is found.pair_image is found.pair_joint is None
    else:
        assert found.image.tolist() == tags.sum(axis=0).tolist()
        assert found.joint.tolist() == (mentions & tags).sum(axis=0).tolist()


@configure(max_examples=100, deadline=None)
@given(tables, st.lists(st.integers(0, 12), max_size=3), st.randoms(use_true_random=False))
def test_counts_of_any_parts_in_any_order_add_up_to_the_whole(table, cuts, random):
    mentions, tags = table
    edges = [0, *sorted(min(cut, len(mentions)) for cut in cuts), len(mentions)]
    parts = [
        counted(mentions[start:end], None if tags is None else tags[start:end])
        for start, end in itertools.pairwise(edges)
    ]
    random.shuffle(parts)
    assert_equal(merge(*parts), counted(mentions, tags))


@configure(max_examples=100, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_the_captions_changes_nothing(table, random):
    mentions, tags = table
    order = list(range(len(mentions)))
    random.shuffle(order)
    assert_equal(counted(mentions[order], None if tags is None else tags[order]), counted(mentions, tags))


@configure(max_examples=100, deadline=None)
@given(tables)
def test_counts_stay_within_the_bounds_of_sets(table):
    mentions, tags = table
    found = counted(mentions, tags)
    assert np.all(found.text <= found.n_captions)
    first, second = found.text[found.a], found.text[found.b]
    assert np.all(found.pair_text <= np.minimum(first, second))
    assert np.all(found.pair_text >= first + second - found.n_captions)
    if tags is not None:
        assert np.all(found.joint <= np.minimum(found.text, found.image))
        assert np.all(found.pair_joint <= np.minimum(found.pair_text, found.pair_image))


def test_a_name_of_two_words_is_counted_no_more_often_than_each_of_them():
    vocabulary = build_vocabulary(["ice", "cream", "ice cream"])
    captions = ["ice cream", "ice, cream", "cream ice", "ice", "ice creams", "creams"]
    found = count(find_mentions(vocabulary, captions), vocabulary=vocabulary)
    assert found.text.tolist() == [5, 5, 3]
    assert (found.a.tolist(), found.b.tolist(), found.pair_text.tolist()) == ([0], [1], [4])


def test_a_caption_counts_once_however_often_it_says_a_word():
    found = count(find_mentions(VOCABULARY, ["cat cat dogs cat", "dog, a dog"]), vocabulary=VOCABULARY)
    assert (found.text.tolist(), found.pair_text.tolist()) == ([1, 0, 0, 2, 0], [1])


def test_spellings_of_a_vocabulary_give_one_count():
    captions = ["a pine-tree", "Pine Trees", "pine_tree's", "a pine", "trees"]
    found = [
        count(find_mentions(vocabulary, captions), vocabulary=vocabulary).text.tolist()
        for vocabulary in (build_vocabulary([name]) for name in ("pine tree", "Pine_Tree", "PINE-TREE"))
    ]
    assert found == [[3]] * 3


def test_a_pair_is_joint_only_where_one_row_holds_both_in_text_and_in_tags():
    cat, dog = [True, False, False, False, False], [False, False, False, True, False]
    both = [True, False, False, True, False]
    found = counted(np.array([both, both, cat]), np.array([both, cat, dog]))
    assert (found.pair_text.tolist(), found.pair_image.tolist(), found.pair_joint.tolist()) == ([2], [1], [1])
    assert found.joint.tolist() == [2, 0, 0, 1, 0]


def test_counts_beyond_32_bits_are_added_exactly():
    part = counted(np.ones((1, N), bool))
    huge = dataclasses.replace(
        part, n_captions=3 * 2**31, text=part.text * (3 * 2**31), pair_text=part.pair_text * (3 * 2**31)
    )
    assert merge(huge, huge).pair_text.tolist() == [6 * 2**31] * len(part.a)


def test_tables_that_do_not_fit_are_an_error():
    mentions = sparse.csr_array(np.ones((2, N), bool))
    with pytest.raises(ValueError, match="mentions have 5 concepts, the vocabulary has 1"):
        count(mentions, vocabulary=build_vocabulary(["cat"]))
    with pytest.raises(ValueError, match=r"tags have shape \(1, 5\), mentions have \(2, 5\)"):
        count(mentions, mentions[:1], vocabulary=VOCABULARY)
    other = count(mentions[:, :1], vocabulary=build_vocabulary(["cat"]))
    with pytest.raises(ValueError, match="different vocabularies"):
        merge(count(mentions, vocabulary=VOCABULARY), other)
    with pytest.raises(ValueError, match="some parts have image counts"):
        merge(count(mentions, vocabulary=VOCABULARY), count(mentions, mentions, vocabulary=VOCABULARY))


PART = counted(np.ones((2, N), bool), np.ones((2, N), bool))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "given together or not at all"),
        ({"text": PART.text[1:]}, r"shape \(4,\) and int64, needed int64 for 5 concepts"),
        ({"text": PART.text.astype(np.int32)}, "int32, needed int64 for 5 concepts"),
        ({"text": -PART.text}, "a count or an id of concepts is below 0"),
        ({"n_captions": 1}, "a count of concepts is above 1 captions"),
        ({"a": PART.b, "b": PART.a}, "ids a < b < 5"),
        ({"b": PART.b + 1}, "ids a < b < 5"),
        ({field: getattr(PART, field)[::-1] for field in FIELDS[3:]}, "not sorted"),
        ({"pair_image": PART.pair_image + 1}, "pair 0 is counted 3 times, its concepts only 2 and 2 times"),
        ({"image": PART.image - 1, "pair_image": PART.pair_image - 1}, "a joint count exceeds"),
        ({"joint": PART.joint + 1, "n_captions": 3}, "a joint count exceeds"),
        (
            {name: getattr(PART, name) - (np.arange(9) == 4) for name in ("pair_text", "pair_joint")},
            "pair 4 is counted 1 times, its concepts 2 and 2 times, which takes more than 2 captions",
        ),
        (
            {name: getattr(PART, name) - (np.arange(9) == 8) for name in ("pair_image", "pair_joint")},
            "pair 8 is counted 1 times, its concepts 2 and 2 times, which takes more than 2 captions",
        ),
        ({"members": np.array([1, 0])}, "members need ascending ids below 5"),
        ({"members": np.array([1, 1])}, "members need ascending ids below 5"),
        ({"members": np.array([5])}, "members need ascending ids below 5"),
        ({"members": np.array([-1, 2])}, "an id of members is below 0"),
    ],
)
def test_counts_that_contradict_themselves_are_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PART, **changes)


def keys_of(found):
    return set(zip(found.a.tolist(), found.b.tolist(), strict=True))


@configure(max_examples=120, deadline=None)
@given(tables, st.integers(0, N), requests)
def test_pairs_are_counted_among_the_most_frequent_and_where_they_were_asked_for(table, n, requested):
    mentions, tags = table
    by_count = sorted(range(N), key=lambda concept: (-int(mentions[:, concept].sum()), concept))[:n]
    members = most_frequent(mentions.sum(axis=0, dtype=np.int64), n)
    found = counted_among(mentions, tags, members, requested)
    assert np.flatnonzero(found.paired).tolist() == sorted(by_count)
    assert found.pair_concepts == (None if n == N else n)
    sources = sources_of(mentions, tags)
    known = {pair for pair in PAIRS if set(pair) <= set(by_count) or pair in requested}
    first, second = np.array(PAIRS).T
    # The order of the two says nothing.
    assert found.counted(second, first).tolist() == [pair in known for pair in PAIRS]
    for a, b in PAIRS:
        if (a, b) not in known:
            with pytest.raises(ValueError, match="was not counted: all pairs were among the"):
                found.look_up(np.array([a]), np.array([b]))
            continue
        values = found.look_up(np.array([b]), np.array([a]))
        exact = [[int(np.sum(source[:, a] & source[:, b]))] for source in sources]
        columns = [values.text, values.image, values.joint]
        assert [column if column is None else column.tolist() for column in columns[: len(sources)]] == exact
        assert (values.image is None) == (tags is None)
        assert ((a, b) in keys_of(found)) == ((a, b) in requested or any(count[0] for count in exact))


@configure(max_examples=100, deadline=None)
@given(tables, st.integers(0, N), requests, st.lists(st.integers(0, 12), max_size=3), st.randoms())
def test_parts_that_counted_some_pairs_add_up_to_the_whole(table, n, requested, cuts, random):
    mentions, tags = table
    members = most_frequent(mentions.sum(axis=0, dtype=np.int64), n)
    edges = [0, *sorted(min(cut, len(mentions)) for cut in cuts), len(mentions)]
    parts = [
        counted_among(mentions[start:end], None if tags is None else tags[start:end], members, requested)
        for start, end in itertools.pairwise(edges)
    ]
    random.shuffle(parts)
    assert_equal(merge(*parts), counted_among(mentions, tags, members, requested))


@configure(max_examples=60, deadline=None)
@given(tables, st.integers(1, 4))
def test_rows_that_come_k_times_count_k_times(table, times):
    mentions, tags = table
    often = counted(mentions.repeat(times, axis=0), None if tags is None else tags.repeat(times, axis=0))
    assert_equal(often, merge(*[counted(mentions, tags)] * times))


@configure(max_examples=60, deadline=None)
@given(tables, st.integers(0, 12))
def test_more_captions_never_make_a_pair_unseen(table, cut):
    mentions, _ = table
    assert keys_of(counted(mentions[:cut])) <= keys_of(counted(mentions))


@configure(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=8), st.none() | st.integers(0, 9))
def test_the_most_frequent_come_with_ties_to_the_smaller_id(text, n):
    found = most_frequent(np.array(text, np.int64), n)
    if n is None or n >= len(text):
        assert found is None
    else:
        assert found is not None
        assert found.tolist() == sorted(sorted(range(len(text)), key=lambda i: (-text[i], i))[:n])


def test_a_pair_that_is_none_cannot_be_looked_up():
    found = counted(np.ones((1, N), bool))
    for first, second in ((1, 1), (-1, 2), (0, 5)):
        with pytest.raises(ValueError, match="a pair needs two different ids from 0 to 4"):
            found.look_up(np.array([first]), np.array([second]))
        with pytest.raises(ValueError, match="a pair needs two different ids from 0 to 4"):
            found.counted(np.array([first]), np.array([second]))


def test_a_pair_that_was_not_counted_is_named():
    found = counted_among(np.ones((1, N), bool), None, np.array([0, 1]), [])
    line = (
        "the pair of 'cat' and 'dog' was not counted: all pairs were among the 2 most frequent concepts only"
    )
    with pytest.raises(ValueError, match=line):
        found.look_up(np.array([0, 0]), np.array([1, 3]))


def test_parts_of_other_plans_do_not_add_up():
    mentions = np.ones((1, N), bool)
    part = counted_among(mentions, None, np.array([0, 1]), [(0, 3)])
    with pytest.raises(ValueError, match="among other concepts in some parts than in others"):
        merge(part, counted_among(mentions, None, np.array([0, 3]), [(0, 3)]))
    with pytest.raises(ValueError, match="a pair of rare concepts that was not counted in others"):
        merge(part, counted_among(mentions, None, np.array([0, 1]), []))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_contradictions_are_found_wherever_pairs_are_cut_into_blocks(monkeypatch, size):
    monkeypatch.setattr("oddpair.retrieval.counting.counts._BLOCK", size)
    last = len(PART.a) - 1
    wrong = PART.pair_text.copy()
    wrong[last] += 1
    with pytest.raises(ValueError, match=f"pair {last} is counted 3 times, its concepts only 2 and 2 times"):
        dataclasses.replace(PART, pair_text=wrong)
    for place in range(last):
        swapped = np.arange(last + 1)
        swapped[[place, place + 1]] = place + 1, place
        with pytest.raises(ValueError, match="not sorted"):
            dataclasses.replace(PART, a=PART.a[swapped], b=PART.b[swapped])


def test_pmi_is_the_logarithm_of_the_ratio_to_chance_and_minus_infinity_at_no_pair():
    values = pmi(np.array([2, 1, 0, 4]), np.array([4, 2, 1, 4]), np.array([5, 2, 1, 4]), n_captions=10)
    assert values.tolist() == pytest.approx([0.0, np.log(2.5), -np.inf, np.log(2.5)])


@configure(max_examples=100, deadline=None)
@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 100), st.integers(2, 1000))
def test_pmi_is_symmetric_and_rises_with_the_pair_and_ignores_scale(pair, more_a, more_b, rest, scale):
    first, second = pair + more_a, pair + more_b
    n = first + second + rest

    def value(c, a, b, total):
        return pmi(np.array([c]), np.array([a]), np.array([b]), n_captions=total)[0]

    assert value(pair, first, second, n) == value(pair, second, first, n)
    assert value(pair, first, second, n) == pytest.approx(
        value(pair * scale, first * scale, second * scale, n * scale), abs=1e-12
    )
    assert value(pair - 1, first, second, n) < value(pair, first, second, n)
    assert value(pair, first + 1, second, n + 1) < value(pair, first, second, n + 1)


def test_independent_concepts_co_occur_as_often_as_expected():
    mentions = np.random.default_rng(0).random((20_000, N)) < np.array([0.3, 0.2, 0.1, 0.05, 0.4])
    found = counted(mentions)
    expected = expect_pairs(found.text[found.a], found.text[found.b], found.n_captions)
    assert abs(found.pair_text.sum() / expected.sum() - 1) < 3 / np.sqrt(expected.sum())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3], [2], [5], 10), "pair 0 is counted 3 times, its concepts only 2 and 5 times"),
        (([0, 0], [4, 0], [5, 5], 10), "pair 1 has a concept that is absent from the corpus"),
        (([1], [4], [5], 4), "a concept is counted in 5 of 4 captions"),
        (([], [], [], 0), "a concept is counted in 0 of 0 captions"),
        (([1], [4, 4], [5], 10), r"pairs have shape \(1,\), their concepts \(2,\) and \(1,\)"),
    ],
)
def test_pmi_that_is_undefined_is_an_error(arguments, message):
    pair, first, second = (np.array(values, np.int64) for values in arguments[:3])
    with pytest.raises(ValueError, match=message):
        pmi(pair, first, second, n_captions=arguments[3])


def test_a_nested_pair_is_not_counted_rather_than_seen_in_no_caption(tmp_path):
    vocabulary = build_vocabulary(["tree", "pine tree", "cat"])
    found = count(find_mentions(vocabulary, ["a pine tree", "a cat"]), vocabulary=vocabulary)
    write_counts(tmp_path, found)
    for counts in (found, merge(found, found), read_counts(tmp_path)):
        assert counts.nested.tolist() == [1]
        assert counts.counted(np.array([0, 0]), np.array([1, 2])).tolist() == [False, True]
        with pytest.raises(
            ValueError, match="'pine tree' and 'tree' was not counted: they are mentioned together by"
        ):
            counts.look_up(np.array([1]), np.array([0]))
