from itertools import permutations
from math import comb

import numpy as np
import pyarrow as pa
import pytest

from oddpair.eval.scoring.credits import credit_choice, share_within


@pytest.mark.parametrize("n_greater", [0, 1, 3])
@pytest.mark.parametrize("n_tied", [0, 1, 2, 4])
@pytest.mark.parametrize("n_right", [1, 2, 3])
def test_the_share_is_that_of_all_orders_of_the_tied(n_greater, n_tied, n_right):
    tied = [True] * n_right + [False] * n_tied
    orders = list(permutations(range(len(tied))))
    for k in range(1, 9):
        places = max(k - n_greater, 0)
        within = sum(any(tied[place] for place in order[:places]) for order in orders)
        found = share_within(k, [n_greater], [n_tied], [n_right])[0]
        assert found == pytest.approx(within / len(orders), abs=1e-12)


def test_many_ties_do_not_overflow():
    found = share_within(10, [0], [1_000_000], [5])[0]
    assert found == pytest.approx(1 - comb(1_000_000, 10) / comb(1_000_005, 10), rel=1e-6)


def test_no_place_is_an_error():
    with pytest.raises(ValueError, match="0 places"):
        share_within(0, [0], [0])


def ask(*scores, n_images=2, n_captions=2):
    n = len(scores)
    return pa.table(
        {
            "n_images": [n_images] * n,
            "n_captions": [n_captions] * n,
            "scores": [list(map(float, row)) for row in scores],
        }
    )


def test_two_pictures_score_as_winoground_defines():
    # Scores of picture 0 with both captions, then of picture 1.
    caption, picture, group = credit_choice(ask([9, 1, 2, 8], [9, 1, 9.5, 10], [3, 2, 2, 1], [1, 9, 9, 1]))
    assert caption.tolist() == [1, 1, 0, 0]
    assert picture.tolist() == [1, 0, 0, 0]
    assert group.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    "scores",
    [
        *([1, 1, 1, 1], [2, 1, 1, 1], [1, 1, 0, 1], [1, 1, 0, 2]),
        *([2, 2, 2, 3], [1, 0, 1, 1], [1, 2, 0, 1], [2, 0, 1, 2]),
    ],
)
def test_the_group_earns_the_share_of_all_orders_of_tied_scores(scores):
    def hits(order):
        # Ties are broken by one order of the four scores.
        (a, b, c, d) = ((value, order[place]) for place, value in enumerate(scores))
        return a > b and d > c, a > c and d > b, min(a, d) > max(b, c)

    shares = np.mean([hits(order) for order in permutations(range(4))], axis=0)
    np.testing.assert_allclose(np.concatenate(credit_choice(ask(scores))), shares, rtol=1e-12)


def test_one_picture_earns_a_share_of_the_captions_tied_for_the_first_place():
    caption, _, _ = credit_choice(ask([2, 1, 0], [2, 2, 0], [1, 1, 1], [1, 2, 0], n_images=1, n_captions=3))
    assert caption.tolist() == [1, 1 / 2, 1 / 3, 0]


def test_questions_of_one_and_of_two_pictures_stand_side_by_side():
    table = pa.table({"n_images": [1, 2], "n_captions": [2, 2], "scores": [[1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]})
    assert [part.tolist() for part in credit_choice(table)] == [[1, 0], [1, 0], [1, 0]]
