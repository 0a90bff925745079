from typing import Any

import numpy as np
import pytest

from oddpair.retrieval.counting.pmi import check_pairs, pmi


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_table_of_a_small_corpus_is_right_or_wrong_as_its_four_cells_say(monkeypatch, size):
    monkeypatch.setattr("oddpair.retrieval.counting.pmi._BLOCK", size)
    n = 3
    good = (1, 2, 2)
    for c in range(-1, 6):
        for a in range(-1, 6):
            for b in range(-1, 6):
                possible = min(c, a - c, b - c, n - a - b + c) >= 0
                one, two, three = (
                    np.array(column) for column in zip(good, good, (c, a, b), good, strict=True)
                )
                if possible:
                    check_pairs(one, two, three, n)
                else:
                    with pytest.raises(ValueError, match=r"^pair 2[ :]"):
                        check_pairs(one, two, three, n)


def test_counts_near_the_largest_numbers_are_checked_without_overflow():
    big: Any = np.array([2**31 - 1], np.int32)
    check_pairs(big, big, big, 2**31 - 1)
    none: Any = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="pair 0 leaves"):
        check_pairs(none, big, big, 2**31 - 1)


def test_a_pair_that_must_be_seen_but_is_not_has_no_pmi():
    with pytest.raises(
        ValueError, match=r"pair 0 leaves 0 \+ 6 \+ 5 captions with one of its concepts, the corpus has 10"
    ):
        pmi(np.array([0]), np.array([6]), np.array([5]), n_captions=10)
