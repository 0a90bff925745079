import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.eval.scoring import rows as module
from oddpair.eval.scoring.rows import check_pictures, check_rows, refuse_alike, snap


def test_a_broken_row_is_named_in_any_block(monkeypatch):
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    rows = np.ones((10, 2))
    rows[9] = 0
    with pytest.raises(Refusal, match="the embedding of picture 9 has no direction, it is zero"):
        check_rows(rows, "picture")
    rows[7, 1] = np.nan
    with pytest.raises(Refusal, match="the embedding of picture 7 has no direction, it holds NaN"):
        check_rows(rows, "picture")


def test_rows_that_differ_in_the_last_block_are_not_alike(monkeypatch):
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    rows = np.ones((10, 2))
    with pytest.raises(Refusal, match="every class has the same embedding"):
        refuse_alike(rows, "class")
    rows[9, 0] += 1e-5
    refuse_alike(rows, "class")
    refuse_alike(rows[:1], "class")


def test_a_matrix_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"embeddings of class have shape \(3,\)"):
        check_rows(np.ones(3), "class")
    with pytest.raises(ValueError, match="1 uids, 2 embeddings of pictures"):
        check_pictures(np.eye(2), ["a"])


def test_snapped_scores_keep_their_order_and_others_their_value(rng):
    values = rng.random(500)
    np.testing.assert_array_equal(snap(values, 1e-12), values.astype(np.float32))
    twins = np.concatenate([values, values + 1e-14])
    snapped = snap(twins, 1e-12)
    np.testing.assert_array_equal(snapped[:500], snapped[500:])
