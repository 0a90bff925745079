"""How many samples are behind an accuracy: known sizes of test sets are found from accuracies alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.prediction.accuracy_tables import make_table

from oddpair.errors import Refusal
from oddpair.eval.prediction.frequency import read_frequency
from oddpair.eval.prediction.support import find_support, successes

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"


def scored(hits, n, dataset="d"):
    """Rows of classes (rows of hits) and models (columns), as a published table rounds them."""
    return [
        {
            "model": f"m{column}",
            "dataset": dataset,
            "concept": f"x{row}",
            "accuracy": round(100 * hit / n, 4) / 100,
        }
        for row, of_class in enumerate(hits)
        for column, hit in enumerate(of_class)
    ]


def slowly(accuracies, most=2000):
    """The smallest n of which all are whole multiples, tried one by one."""
    for n in range(1, most + 1):
        if all(abs(round(value * n) - value * n) < 0.6e-6 * n for value in accuracies):
            return n
    return None


@given(
    st.integers(2, 400).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n - 1), min_size=1, max_size=5))
    )
)
@settings(max_examples=60, deadline=None)
def test_a_class_alone_has_the_smallest_number_that_explains_it(drawn):
    n, hits = drawn
    rows = scored([hits], n)
    assert set(find_support(make_table(rows)).tolist()) == {slowly([row["accuracy"] for row in rows])}


@pytest.mark.parametrize("n", [10, 33, 50, 100, 1000])
@pytest.mark.parametrize("models", [1, 2, 18])
def test_a_test_set_of_one_size_is_found(n, models):
    rng = np.random.default_rng(n + models)
    hits = rng.binomial(n, rng.beta(1.5, 1.5, (200, 1)), (200, models))
    found = find_support(make_table(scored(hits, n)))
    # Of one or two models a few classes stay with a divisor.
    assert np.mean(found == n) >= (1 if models == 18 else 0.95)


def test_coarse_accuracies_take_the_multiple_that_their_dataset_has():
    fine = [[11, 17], [21, 33], [7, 49], [3, 27]]
    table = make_table([*scored(fine, 50), *scored([[1, 2]], 5, dataset="alone")])
    assert set(find_support(table)[table.dataset == "d"].tolist()) == {50}
    coarse = make_table([*scored(fine, 50), {"concept": "y", "model": "m0", "accuracy": 0.2}])
    assert find_support(coarse)[-1] == 50
    assert set(find_support(table)[table.dataset == "alone"].tolist()) == {5}


def test_many_coarse_accuracies_are_no_chance():
    fine = [[11, 17, 21, 33, 7, 49, 3, 27]] * 5
    coarse = [{"concept": "y", "model": f"m{column}", "accuracy": column / 10} for column in range(1, 9)]
    assert find_support(make_table([*scored(fine, 50), *coarse]))[-1] == 10


def test_what_says_nothing_takes_the_median_of_its_dataset():
    rows = [
        {"concept": "a", "accuracy": 0.03125},
        {"concept": "b", "accuracy": 0.3},
        {"concept": "c", "accuracy": 1 / 7},
        {"concept": "right", "accuracy": 1.0},
        {"concept": "wrong", "accuracy": 0.0},
        {"concept": "fine", "accuracy": 0.7071067811},
        {"concept": "fine", "accuracy": 0.3141592653, "model": "k"},
        {"concept": "unknown"},
        {"concept": "other", "dataset": "elsewhere"},
    ]
    assert find_support(make_table(rows)).tolist() == [32, 10, 7, 10, 10, 10, 10, 10, 10]


def test_models_that_were_scored_on_different_samples_do_not_multiply():
    # 11/50 beside 24/51, which is 8/17, fit 850 samples: more than any single accuracy needs.
    rows = scored([[23, 29], [11, 17], [21, 33], [3, 27]], 50)
    odd = [
        {"concept": "y", "model": "m0", "accuracy": 0.22},
        {"concept": "y", "model": "m1", "accuracy": 24 / 51},
    ]
    assert set(find_support(make_table([*rows, *odd])).tolist()) == {50}
    assert set(find_support(make_table(odd)).tolist()) == {850}


def test_a_given_number_stands_and_says_that_of_its_class():
    rows = [
        {"model": "m", "accuracy": 0.5, "n": 40},
        {"model": "k", "accuracy": 0.333333},
        {"model": "k", "concept": "y", "accuracy": 0.0},
    ]
    assert find_support(make_table(rows)).tolist() == [40, 40, 40]


def test_rows_to_be_predicted_change_nothing():
    rows = scored([[11, 17], [21, 33], [5, 10]], 50)
    blank = [{**row, "model": "new", "accuracy": np.nan} for row in rows[::2]]
    plain, more = find_support(make_table(rows)), find_support(make_table([*rows, *blank]))
    np.testing.assert_array_equal(more[: len(rows)], plain)
    np.testing.assert_array_equal(more[len(rows) :], plain[::2])


def test_a_table_of_which_no_class_says_its_number_is_told():
    with pytest.raises(Refusal, match=r"^no number of samples up to 2,000 explains .*: give the column n$"):
        find_support(
            make_table(
                [
                    {"accuracy": 0.3141592653},
                    {"accuracy": 0.7071067811, "model": "k"},
                    {"concept": "y", "accuracy": 1.0},
                ]
            )
        )


def test_successes_are_whole_numbers_up_to_the_support():
    table = make_table([{"concept": name, "accuracy": share} for name, share in (("a", 0.333333), ("b", 1))])
    assert successes(table, np.array([3.0, 50.0])).tolist() == [1, 50]
    with pytest.raises(ValueError, match="row 0 has no accuracy"):
        successes(make_table([{}]), np.array([3.0]))
    with pytest.raises(ValueError, match=r"support has shape \(2,\), the table 1 rows"):
        successes(make_table([{"accuracy": 1}]), np.array([3.0, 4.0]))


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published tables are not at hand")
def test_the_sizes_of_published_test_sets_are_found():
    table = read_frequency(PUBLISHED).table
    support = find_support(table)
    sizes = {name: set(support[table.dataset == name].tolist()) for name in table.datasets}
    constant = {
        "cifar10": 1000,
        "cifar100": 100,
        "imagenet": 50,
        "country211": 100,
        "food101": 300,
        "dtd": 36,
    }
    assert {name: sizes[name] for name in constant} == {name: {n} for name, n in constant.items()}
    assert sizes["fgvcaircraft"] == {33, 34}
    assert sizes["imagenet-sketch"] == {50, 51}
    assert sizes["eurosat"] == {600, 750, 900}
    # Its models were scored on samples of 48 to 52 pictures.
    assert sizes["sun397"] == {48, 49, 50}
    whole = np.abs(table.accuracy * support - successes(table, support)) < 1e-3
    assert whole[table.dataset != "sun397"].all()
