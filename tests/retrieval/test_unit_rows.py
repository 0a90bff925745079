import numpy as np
import pytest

from oddpair.retrieval.unit_rows import HeldRows


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_rows_are_read_as_they_are_held_one_after_the_other(kind):
    rows = np.arange(12, dtype=kind).reshape(3, 4).T
    held = HeldRows(rows, ["d", "c", "b", "a"])
    assert held.shape == (4, 3)
    read = held.read(1, 3)
    assert read.dtype == kind
    assert read.flags.c_contiguous
    assert read.tolist() == rows[1:3].tolist()
    assert held.read(4, 4).shape == (0, 3)


def test_uids_come_in_the_order_asked_for_and_places_are_named():
    held = HeldRows(np.zeros((3, 1), np.float16), ["x", "y", "z"], name="test picture")
    assert held.uids(np.array([2, 0, 2])) == ["z", "x", "z"]
    assert held.uids(np.array([], dtype=np.int64)) == []
    assert held.tell_place(2) == "test picture 2"


@pytest.mark.parametrize("rows", [np.zeros(3, np.float32), np.zeros((3, 2)), np.zeros((3, 2), ">f4")])
def test_other_numbers_or_shapes_are_an_error_with_both(rows):
    with pytest.raises(ValueError, match=r"rows are .*needed float16 or float32 of \(n, d\)"):
        HeldRows(rows, ["a", "b", "c"])


def test_too_few_uids_are_an_error_with_both_numbers():
    with pytest.raises(ValueError, match="found 2 rows and 1 uids"):
        HeldRows(np.zeros((2, 1), np.float32), ["a"])
