"""No held-out prediction reads what it must not: barred accuracies are set to NaN, and nothing moves by a bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oddpair.eval.prediction.held_out import Prediction
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.validate import HeldOut, Validation, validate

MODELS = 6
DATASETS = ("anchor", "birds", "cars", "dishes")
WORDS = ("red", "blue", "small", "large", "old", "wild", "great", "common")


@pytest.fixture(scope="module")
def table():
    """Accuracies that rise with counts and skill; models 0 and 1 share a corpus, as do 2 and 3."""
    rng = np.random.default_rng(7)
    columns: dict[str, list[Any]] = {}
    corpus_counts = {name: 10 ** rng.uniform(0, 5, (len(DATASETS), 40)) for name in "abcd"}
    for model in range(MODELS):
        corpus = "aabbcd"[model]
        for number, dataset in enumerate(DATASETS):
            for concept in range(40):
                count = np.floor(corpus_counts[corpus][number, concept])
                logit = -2 + 0.5 * np.log10(1 + count) + 0.4 * model + rng.normal(0, 0.5)
                row = {
                    "model": f"m{model}",
                    "corpus": corpus,
                    "dataset": dataset,
                    "concept": f"{WORDS[concept % 8]} {dataset} {concept}",
                    "accuracy": rng.binomial(50, 1 / (1 + np.exp(-logit))) / 50,
                    "n": 50.0,
                    "count_text": count,
                    "count_image": np.floor(count * rng.uniform(0.5, 2)),
                    "count_joint": np.floor(count / 3),
                    "pmi": np.nan,
                }
                for name, value in row.items():
                    columns.setdefault(name, []).append(value)
    return AccuracyTable(**{name: np.array(values) for name, values in columns.items()})


@pytest.fixture(scope="module")
def found(table):
    return validate(table, table.n, anchor="anchor")


def bar(table, rows):
    return replace(table, accuracy=np.where(rows, np.nan, table.accuracy))


def predicted(found: Validation, model: str, kind: str) -> Prediction:
    held_out: HeldOut | None = getattr(found.models[model], kind)
    assert held_out is not None
    return held_out.prediction


def assert_equal(one: Prediction, other: Prediction, rows: np.ndarray) -> None:
    assert rows.any()
    assert np.array_equal(one.mean[rows], other.mean[rows])
    assert np.array_equal(one.interval.low[rows], other.interval.low[rows])
    assert np.array_equal(one.interval.high[rows], other.interval.high[rows])


@pytest.mark.parametrize("fold", [0, 4, 9])
def test_held_out_concepts_read_no_accuracy_of_theirs_and_no_other_model(table, found, fold):
    barred = bar(table, (table.fold == fold) | (table.model != "m2"))
    again = validate(barred, table.n, anchor="anchor", top1=dict.fromkeys(table.models, 0.5))
    rows = table.fold[table.model == "m2"] == fold
    assert_equal(predicted(found, "m2", "concepts"), predicted(again, "m2", "concepts"), rows)


@pytest.mark.parametrize("dataset", ["birds", "dishes"])
def test_a_held_out_dataset_reads_no_accuracy_of_its_and_no_other_model(table, found, dataset):
    barred = bar(table, (table.dataset == dataset) | (table.model != "m2"))
    again = validate(barred, table.n, anchor="anchor", top1=dict.fromkeys(table.models, 0.5))
    rows = table.dataset[table.model == "m2"] == dataset
    assert_equal(predicted(found, "m2", "datasets"), predicted(again, "m2", "datasets"), rows)


def test_a_held_out_model_reads_of_itself_its_counts_and_its_anchor_accuracy_alone(table, found):
    mine = table.model == "m2"
    top1 = float(table.accuracy[mine & (table.dataset == "anchor")].mean())
    again = validate(bar(table, mine), table.n, anchor="anchor", top1={"m2": top1})
    everything = np.ones(int(mine.sum()), dtype=bool)
    assert_equal(predicted(found, "m2", "model"), predicted(again, "m2", "model"), everything)


def test_what_is_not_barred_is_read(table, found):
    mine = table.model == "m2"
    rows = table.fold[mine] == 0
    scrambled = table.accuracy.copy()
    scrambled[mine & (table.fold == 5)] = 1 - scrambled[mine & (table.fold == 5)]
    again = validate(replace(table, accuracy=scrambled), table.n, anchor="anchor")
    before, after = predicted(found, "m2", "concepts"), predicted(again, "m2", "concepts")
    assert not np.array_equal(before.mean[rows], after.mean[rows])


def test_names_of_models_datasets_and_corpora_group_and_are_nothing_else(table, found):
    renamed = replace(
        table,
        model=np.char.add("x", table.model),
        dataset=np.char.add("imagenet", table.dataset),
        corpus=np.char.add("laion", table.corpus),
    )
    again = validate(renamed, table.n, anchor="imagenetanchor")
    for name in found.models:
        for kind in ("concepts", "datasets", "model"):
            a, b = predicted(found, name, kind), predicted(again, f"x{name}", kind)
            assert_equal(a, b, np.ones(len(a.mean), dtype=bool))
