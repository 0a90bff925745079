import csv
from pathlib import Path

import numpy as np
import pytest

from oddpair.eval.explaining.decades import decade_of, find_decades, show_decades

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"{PUBLISHED} is absent")
METHODS = {
    "rampp0.7": "rampp0.7",
    "lemmatized": "lemmatized",
    "integrated_rampp0.7": "integrated_tlemmatized_i0.7",
}


def test_powers_of_ten_start_a_decade():
    counts = [0, *(10**k for k in range(15)), *(10**k - 1 for k in range(1, 16))]
    assert decade_of(counts).tolist() == [0, *range(1, 16), *range(1, 16)]


def test_means_supports_shares_and_baselines_are_those_worked_by_hand():
    found = find_decades(
        [0, 3, 4, 1000, 0],
        [0.0, 0.2, 0.6, 0.9, 0.5],
        np.array(["birds", "birds", "cars", "cars", "cars"]),
        np.array(["owl", "tit", "kia", "vw", "owl"]),
        np.random.default_rng(0),
    )
    assert [decade.label for decade in found] == ["0", "[1,10)", "[1000,10000)"]
    assert [(decade.low, decade.high) for decade in found] == [(0, 0), (1, 10), (1000, 10000)]
    assert [decade.accuracy.value for decade in found] == pytest.approx([0.25, 0.4, 0.9])
    assert [(decade.accuracy.n, decade.n_concepts) for decade in found] == [(2, 1), (2, 2), (1, 1)]
    # Birds average 0.1 and cars two thirds.
    assert [decade.baseline for decade in found] == pytest.approx([23 / 60, 23 / 60, 2 / 3])
    assert found[1].shares == (("birds", 0.5), ("cars", 0.5))
    assert "mean of their datasets 0.383 (birds 50%, cars 50%)" in list(show_decades(found))[1]


def test_one_concept_sets_no_bounds_and_concepts_that_agree_set_those_of_a_share():
    names = np.array(["a", "b", "c", "d"])
    found = find_decades([0, 5, 6, 7], [0.4, 0, 0, 0], np.array(["s"] * 4), names, np.random.default_rng(0))
    assert (found[0].accuracy.low, found[0].accuracy.high) == (0, 1)
    # 0 of 3 by Clopper and Pearson.
    assert found[1].accuracy.low == 0
    assert found[1].accuracy.high == pytest.approx(0.7076, abs=1e-4)


def test_the_mean_of_concepts_that_come_in_many_datasets_is_covered_as_often_as_it_says():
    rng = np.random.default_rng(0)
    concept, dataset = np.repeat(np.arange(30).astype(str), 4), np.tile(list("abcd"), 30)
    covered = 0
    for _ in range(60):
        accuracy = np.clip(0.5 + np.repeat(0.15 * rng.normal(size=30), 4), 0, 1)
        (found,) = find_decades(np.full(120, 5), accuracy, dataset, concept, rng)
        covered += found.accuracy.low <= 0.5 <= found.accuracy.high
    assert covered >= 53


@pytest.mark.parametrize(
    ("count", "accuracy", "message"),
    [
        ([], [], "no rows"),
        ([0.5], [0.1], "row 0: count 0.5"),
        ([-1], [0.1], "row 0: count -1"),
        ([np.nan], [0.1], "row 0: count nan"),
        ([np.inf], [0.1], "row 0: count inf"),
        ([1], [np.nan], "accuracy nan"),
        ([1, 2], [0.1], r"counts have shape \(2,\)"),
    ],
)
def test_counts_that_lie_in_no_decade_are_refused(count, accuracy, message):
    names = np.array(["a"] * len(count))
    with pytest.raises(ValueError, match=message):
        find_decades(count, accuracy, names, names, np.random.default_rng(0))


@needs_published
def test_all_186_published_decades_have_their_rows_and_means():
    def read(name):
        with (PUBLISHED / name).open(newline="") as file:
            return list(csv.DictReader(file))

    # The 17 sets of the published text fits: the two others hold ImageNet's names again.
    accuracies = [
        row
        for row in read("zeroshot_acc_per_class_ensemble.csv")
        if row["downstream"] not in ("imagenet-sketch", "imagenet-r")
    ]
    counts = {(row["downstream"], row["concept"]): row for row in read("concept_counts.csv")}
    published: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
    for row in read("acc_by_frequency_decade.csv"):
        published.setdefault((row["model"], row["pretrain"], row["counttype"]), {})[row["freq_bin"]] = row
    compared = 0
    for (model, corpus, method), expected in published.items():
        column = f"{corpus}|{METHODS[method]}"
        found = find_decades(
            [float(counts[row["downstream"], row["concept"]][column]) for row in accuracies],
            [float(row[f"{model}|{corpus}"]) / 100 for row in accuracies],
            np.array([row["downstream"] for row in accuracies]),
            np.array([row["concept"] for row in accuracies]),
            np.random.default_rng(0),
        )
        assert {decade.label for decade in found} == set(expected)
        for decade in found:
            assert decade.accuracy.n == int(expected[decade.label]["n"])
            assert 100 * decade.accuracy.value == pytest.approx(
                float(expected[decade.label]["mean_acc"]), abs=6e-4
            )
            compared += 1
    assert compared == 186
