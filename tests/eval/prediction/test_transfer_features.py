from dataclasses import replace

import numpy as np
import pytest
from tests.eval.prediction.planted_models import lay, others, plant_table

from oddpair.eval.prediction.cells import drop_counts
from oddpair.eval.prediction.transfer_features import find_shared, find_transfer

MODEL = 3


@pytest.fixture(scope="module")
def cells():
    return lay(plant_table("aabbcd", classes=20))[0]


def with_accuracy(cells, model, values):
    accuracy = cells.accuracy.copy()
    accuracy[:, model] = values
    return replace(cells, accuracy=accuracy)


def find(cells, model, donors):
    return find_transfer(cells, find_shared(cells), model, donors)


@pytest.mark.parametrize("values", [np.nan, 0.0, 1.0])
def test_no_accuracy_of_the_model_itself_is_read(cells, values):
    found, barred = (
        find(one, MODEL, others(cells, MODEL)) for one in (cells, with_accuracy(cells, MODEL, values))
    )
    assert np.array_equal(found.features, barred.features)
    assert np.array_equal(found.mean, barred.mean)


def test_no_accuracy_of_a_model_that_is_no_donor_is_read(cells):
    donors = np.array([0, 1, 4, 5])
    found, barred = (find(one, MODEL, donors) for one in (cells, with_accuracy(cells, 2, np.nan)))
    assert np.array_equal(found.features, barred.features)
    assert np.array_equal(found.mean, barred.mean)


def test_accuracies_of_donors_are_read(cells):
    donors = others(cells, MODEL)
    changed = find(with_accuracy(cells, 0, 1 - cells.accuracy[:, 0]), MODEL, donors)
    assert not np.array_equal(find(cells, MODEL, donors).mean, changed.mean)


def test_counts_of_the_models_corpus_are_features(cells):
    turned = cells.log_counts.copy()
    turned[:, MODEL] = turned[::-1, MODEL]
    # The likeness is kept as it was, so that nothing but the features of single concepts can move.
    one, other = (
        find(each, MODEL, others(cells, MODEL)) for each in (cells, replace(cells, log_counts=turned))
    )
    assert np.array_equal(one.mean, other.mean)
    assert not np.array_equal(one.features, other.features)


@pytest.mark.parametrize("donors", [[0, 1], [0, 1, 2], [0, 1, 2, 4, 5]], ids=len)
def test_few_donors_give_as_many_finite_features_as_many_do(cells, donors):
    found = find(cells, MODEL, np.array(donors))
    assert found.features.shape == find(cells, MODEL, others(cells, MODEL)).features.shape
    assert np.isfinite(found.features).all()
    assert ((found.mean >= 0) & (found.mean <= 1)).all()


def test_without_counts_all_features_are_finite(cells):
    assert np.isfinite(find(drop_counts(cells), MODEL, others(cells, MODEL)).features).all()


def test_donors_that_agree_are_believed(cells):
    agreed = cells.accuracy[:, :1] * np.ones(len(cells.models))
    found = find(replace(cells, accuracy=agreed), MODEL, others(cells, MODEL))
    assert found.mean == pytest.approx(cells.accuracy[:, 0])


def test_the_order_of_donors_does_not_matter(cells):
    donors = others(cells, MODEL)
    one, other = find(cells, MODEL, donors), find(cells, MODEL, donors[::-1])
    assert other.features == pytest.approx(one.features, abs=1e-5)
    assert other.mean == pytest.approx(one.mean, abs=1e-12)


def test_kin_share_a_word_within_the_dataset_or_without_and_nobody_is_its_own(cells):
    shared = find_shared(cells)
    words = [set(name.split()) for name in cells.names.tolist()]
    common = np.array([[bool(one & other) for other in words] for one in words])
    same = cells.dataset[:, None] == cells.dataset[None, :]
    inside, elsewhere = shared.kin_inside.toarray(), shared.kin_elsewhere.toarray()
    assert np.array_equal(inside > 0, common & same & ~np.eye(len(words), dtype=bool))
    assert np.array_equal(elsewhere > 0, common & ~same)


def test_kin_by_name_never_weigh_1_so_that_few_are_believed_less(cells):
    shared = find_shared(cells)
    totals = np.asarray(shared.kin_elsewhere.sum(axis=1)).reshape(-1)
    assert totals.max() < 1
    unlike = replace(cells, names=np.array([chr(0x4E00 + row) for row in range(len(cells.names))]))
    assert find_shared(unlike).kin_inside.count_nonzero() == 0
