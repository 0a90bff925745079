from dataclasses import replace

import numpy as np
import pytest
from tests.eval.prediction.accuracy_tables import make_table
from tests.eval.prediction.planted_models import plant_table

from oddpair.eval.prediction.cells import drop_counts, find_anchor, find_cells

NAN = np.nan
ROWS = [
    {
        "model": "b",
        "corpus": "y",
        "dataset": "d",
        "concept": "owl",
        "accuracy": 0.2,
        "n": 10,
        "count_text": 99,
    },
    {
        "model": "a",
        "corpus": "x",
        "dataset": "d",
        "concept": "cat",
        "accuracy": 0.6,
        "n": 50,
        "count_text": 9,
    },
    {
        "model": "a",
        "corpus": "x",
        "dataset": "e",
        "concept": "cat",
        "accuracy": 1.0,
        "n": 4,
        "count_text": 999,
    },
    {
        "model": "b",
        "corpus": "y",
        "dataset": "d",
        "concept": "cat",
        "accuracy": 0.4,
        "n": 20,
        "count_text": 0,
    },
    {"model": "a", "corpus": "x", "dataset": "d", "concept": "owl", "n": 10},
]


@pytest.fixture
def cells():
    table = make_table(ROWS)
    return find_cells(table, table.n, "d")


def liken_slowly(table):
    """Cosine of departures of centred log counts from the mean over corpora, one pair of models at a time."""
    models = list(table.models)
    keys = sorted(set(zip(table.dataset.tolist(), table.concept.tolist(), strict=True)))
    corpus, vectors = {}, {}
    for model in models:
        rows = table.take(table.model == model)
        corpus[model] = str(rows.corpus[0])
        at = {
            key: row for row, key in enumerate(zip(rows.dataset.tolist(), rows.concept.tolist(), strict=True))
        }
        logs = [
            [np.log10(1 + column[at[key]]) for key in keys]
            for column in (rows.count_text, rows.count_image, rows.count_joint)
        ]
        vectors[model] = np.concatenate([np.array(one) - np.mean(one) for one in logs])
    one_of_each = {corpus[model]: model for model in reversed(models)}
    mean = np.mean([vectors[model] for model in one_of_each.values()], axis=0)
    found = np.ones((len(models), len(models)))
    for i, one in enumerate(models):
        for j, other in enumerate(models):
            a, b = vectors[one] - mean, vectors[other] - mean
            if corpus[one] != corpus[other]:
                found[i, j] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return found


def test_models_stand_side_by_side_and_have_nan_where_they_have_no_row(cells):
    assert cells.models.tolist() == ["a", "b"]
    assert cells.names.tolist() == ["cat", "owl", "cat"]
    assert cells.dataset.tolist() == [0, 0, 1]
    assert np.array_equal(cells.accuracy, [[0.6, 0.4], [NAN, 0.2], [1.0, NAN]], equal_nan=True)


def test_a_cell_has_the_most_samples_that_any_of_its_rows_has(cells):
    assert cells.support.tolist() == [50, 10, 4]


def test_log_counts_are_told_from_the_mean_of_their_corpus_and_are_nan_where_there_is_no_count(cells):
    text = cells.log_counts[:, :, 0]
    assert text == pytest.approx(np.array([[-1.0, -1.0], [NAN, 1.0], [1.0, NAN]]), nan_ok=True)
    assert np.isnan(cells.log_counts[:, :, 1:]).all()


def test_skill_is_the_logit_of_the_mean_over_the_known_rows_of_the_anchor(cells):
    assert cells.skill == pytest.approx([np.log(0.6 / 0.4), np.log(0.3 / 0.7)])
    assert cells.anchor == 0


def test_a_model_that_has_all_of_the_anchor_right_has_a_finite_skill():
    table = make_table(ROWS)
    assert find_cells(table, table.n, "e", {"b": 0.0}).skill == pytest.approx([np.log(199), -np.log(199)])


def test_a_top1_that_is_told_stands_before_the_rows():
    table = make_table(ROWS)
    assert find_cells(table, table.n, "d", {"a": 0.5}).skill[0] == 0


def test_a_model_without_an_accuracy_on_the_anchor_is_refused():
    table = make_table(ROWS)
    with pytest.raises(ValueError, match="model 'b' has no accuracy on 'e'"):
        find_cells(table, table.n, "e")


def test_each_row_of_the_table_is_placed_in_its_cell(cells):
    table = make_table(ROWS)
    place = cells.place_rows(table)
    assert place.tolist() == [1, 0, 2, 0, 1]
    assert (cells.names[place] == table.concept).all()


def test_the_order_of_rows_changes_nothing():
    table = plant_table("aabc", classes=12)
    shuffled = table.take(np.random.default_rng(3).permutation(len(table)))
    one, other = find_cells(table, table.n, "anchor"), find_cells(shuffled, shuffled.n, "anchor")
    for name in (
        "models",
        "corpora",
        "dataset",
        "names",
        "accuracy",
        "support",
        "log_counts",
        "skill",
        "likeness",
    ):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_means_by_dataset_are_those_of_a_loop(cells, shape):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape) ** 2
    slowly = np.stack([values[cells.dataset == number].mean(axis=0) for number in cells.dataset])
    assert np.array_equal(cells.mean_by_dataset(values), slowly)


@pytest.mark.parametrize(
    ("datasets", "asked", "anchor"),
    [
        (["cars", "cars", "ImageNet"], None, "ImageNet"),
        (["cars", "cars", "imagenet-1k"], None, "imagenet-1k"),
        (["birds", "cars", "cars"], None, "cars"),
        (["birds", "cars"], None, "birds"),
        (["cars", "imagenet"], "cars", "cars"),
    ],
)
def test_the_anchor_is_the_one_asked_for_else_imagenet_else_the_largest(datasets, asked, anchor):
    rows = [{"dataset": name, "concept": str(row)} for row, name in enumerate(datasets)]
    assert find_anchor(make_table(rows), asked) == anchor


def test_an_anchor_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match="no dataset 'f'; there are d, e"):
        find_anchor(make_table(ROWS), "f")


def test_likeness_is_that_of_a_slow_cosine_and_1_within_a_corpus():
    table = plant_table("aabcd", classes=15)
    found = find_cells(table, table.n, "anchor").likeness
    assert found == pytest.approx(liken_slowly(table))
    assert np.array_equal(found, found.T)
    assert found[0, 1] == 1
    assert np.abs(found).max() <= 1 + 1e-12


def test_corpora_of_other_names_and_equal_counts_are_wholly_alike():
    table = plant_table("abc", classes=15)
    counts = {
        name: np.where(table.model == "m01", np.roll(column, len(table) // 3), column)
        for name, column in table.columns().items()
        if name.startswith("count_")
    }
    likeness = find_cells(replace(table, **counts), table.n, "anchor").likeness
    assert likeness[0, 1] == pytest.approx(1)
    assert likeness[0, 2] < 0


def test_two_corpora_depart_from_their_mean_in_opposite_ways():
    table = plant_table("ab", classes=15)
    assert find_cells(table, table.n, "anchor").likeness == pytest.approx(np.array([[1, -1], [-1, 1]]))


def test_a_corpus_that_is_not_counted_is_like_none_but_itself():
    table = plant_table("aabc", classes=15)
    bare = {
        name: np.where(table.corpus == "a", NAN, column)
        for name, column in table.columns().items()
        if name.startswith("count_")
    }
    cells = find_cells(replace(table, **bare), table.n, "anchor")
    assert cells.counted.tolist() == [False, False, True, True]
    assert cells.likeness[0].tolist() == [1, 1, 0, 0]


def test_too_few_shared_counts_tell_no_likeness():
    table = plant_table("abc", classes=3)
    assert np.array_equal(find_cells(table, table.n, "anchor").likeness, np.eye(3))


def test_without_counts_of_corpora_only_who_shares_one_is_left():
    table = plant_table("abab", classes=15)
    cells = find_cells(table, table.n, "anchor")
    plain = drop_counts(cells)
    assert not plain.counted.any()
    assert plain.likeness.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]] * 2
    assert plain.accuracy is cells.accuracy
