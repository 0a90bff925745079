import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.prediction.names import find_rivals, split_name, weigh_words

NAMES = np.array(
    ["golden warbler", "Black_Warbler", "747-400", "golden eagle", "747-200", "...", "golden warbler", "boat"]
)
ALPHABET = st.sampled_from(list("aAbB71_- "))


def split_slowly(name):
    """One character at a time: a change of kind, or a capital after a small letter, begins a piece."""
    pieces = [""]
    for before, now in zip(" " + name, name, strict=False):
        if now.isalnum():
            if before.isdigit() != now.isdigit() or (before.islower() and now.isupper()):
                pieces.append("")
            pieces[-1] += now.lower()
        else:
            pieces.append("")
    return tuple(piece for piece in pieces if piece)


def weigh_slowly(names):
    unique = sorted(set(names))
    words = sorted({word for name in unique for word in split_name(name)})
    rows = []
    for name in names:
        row = []
        for word in words:
            holders = sum(word in split_name(other) for other in unique)
            rarity = 1 + math.log((1 + len(unique)) / (1 + holders))
            row.append(rarity if word in split_name(name) else 0.0)
        length = math.sqrt(sum(weight**2 for weight in row)) or 1.0
        rows.append([weight / length for weight in row])
    return np.array(rows)


def find_rivals_slowly(dataset, names, log_counts):
    n, k = log_counts.shape
    found = np.zeros((n, 2 + 2 * k))
    for i in range(n):
        mine = set(split_name(names[i]))
        same = [j for j in range(n) if dataset[j] == dataset[i]]
        rivals = [j for j in same if j != i and mine & set(split_name(names[j]))]
        found[i, 0] = math.log(1 + len(rivals))
        found[i, 1] = len(split_name(names[i]))
        for c in range(k):
            if rivals:
                found[i, 2 + c] = log_counts[i, c] - max(log_counts[j, c] for j in rivals)
            found[i, 2 + k + c] = sum(log_counts[j, c] < log_counts[i, c] for j in same) / len(same)
    return found


def draw_rows(seed):
    rng = np.random.default_rng(seed)
    n = 30
    words = np.array(["red", "blue", "fox", "owl", "car"])
    names = np.array([" ".join(rng.choice(words, rng.integers(1, 3))) + f" {row}x" for row in range(n)])
    return rng.integers(0, 3, n), names, rng.integers(0, 5, (n, 3)).astype(float)


@settings(max_examples=150, deadline=None)
@given(st.text(ALPHABET, max_size=12))
def test_a_name_is_split_as_one_character_at_a_time_splits_it(name):
    assert split_name(name) == split_slowly(name)


def test_weights_are_those_of_the_slow_formula():
    weights = weigh_words(NAMES)
    expected = weigh_slowly(NAMES.tolist())
    np.testing.assert_allclose((weights @ weights.T).toarray(), expected @ expected.T, atol=1e-12)


def test_names_share_all_of_themselves_nothing_with_strangers_and_more_by_a_rarer_word():
    weights = weigh_words(NAMES)
    shared = (weights @ weights.T).toarray()
    assert shared[0, 0] == pytest.approx(1)
    assert shared[0, 6] == pytest.approx(1)
    assert shared[0, 7] == 0
    assert shared[5].max() == 0
    common = weigh_words(np.array(["a x", "a y", "a z", "b p", "b q"]))
    products = (common @ common.T).toarray()
    assert products[3, 4] > products[0, 1] > 0


def test_a_repeated_name_makes_no_word_commoner():
    once, twice = weigh_words(NAMES[:6]), weigh_words(np.concatenate([NAMES[:6], NAMES[:3]]))
    np.testing.assert_allclose(twice[:6].toarray(), once.toarray(), atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_rivals_are_those_that_brute_force_finds(seed):
    dataset, names, log_counts = draw_rows(seed)
    np.testing.assert_allclose(
        find_rivals(dataset, names, log_counts), find_rivals_slowly(dataset, names, log_counts), atol=1e-12
    )


def test_a_concept_alone_in_its_dataset_has_no_rivals_whatever_it_shares_elsewhere():
    found = find_rivals(np.array([0, 1]), np.array(["red fox", "red owl"]), np.array([[3.0], [1.0]]))
    assert found.tolist() == [[0, 2, 0, 0], [0, 2, 0, 0]]


def test_rows_in_another_order_find_the_same():
    dataset, names, log_counts = draw_rows(9)
    order = np.random.default_rng(1).permutation(len(names))
    found = find_rivals(dataset, names, log_counts)
    assert np.array_equal(find_rivals(dataset[order], names[order], log_counts[order]), found[order])
    weights, moved = weigh_words(names), weigh_words(names[order])
    assert np.array_equal(moved.toarray(), weights.toarray()[order])
