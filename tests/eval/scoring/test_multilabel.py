import numpy as np
import pytest
from tests.eval.scoring.scored import labels, units

from oddpair.eval.scoring import multilabel as module


def test_every_score_is_kept_and_labels_are_sorted(rng):
    images, vectors = units(rng, 4, 8), units(rng, 3, 8)
    table = labels(images, vectors, [[2, 0], [], [1], [0]])
    exact = (images.astype(float) @ vectors.astype(float).T).astype(np.float32)
    assert table["scores"].to_pylist() == exact.tolist()
    assert table["labels"].to_pylist() == [[0, 2], [], [1], [0]]


def test_blocks_change_no_score(rng, monkeypatch):
    images, vectors, found = units(rng, 30, 8), units(rng, 3, 8), [[0]] * 30
    whole = labels(images, vectors, found)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    assert labels(images, vectors, found).equals(whole)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([[0], [3]], r"labels \[3\] at row 1, needed different ones of 3 classes"),
        ([[0], [1, 1]], r"labels \[1, 1\] at row 1"),
        ([[0]], "1 labels, 2 questions"),
    ],
)
def test_labels_that_do_not_fit_are_an_error(found, message):
    with pytest.raises(ValueError, match=message):
        labels(np.eye(3)[:2], np.eye(3), found)
