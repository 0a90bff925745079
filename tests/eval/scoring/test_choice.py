import numpy as np
import pytest
from tests.eval.scoring.scored import choice, units

from oddpair.eval.scoring.choice import score_choice


def test_scores_are_kept_row_by_row_pictures_by_captions(rng):
    images, captions = units(rng, 3, 2, 4), units(rng, 3, 2, 4)
    table = choice([images[0], images[1][:1], images[2]], [captions[0], units(rng, 5, 4), captions[2]])
    assert table["n_images"].to_pylist() == [2, 1, 2]
    assert table["n_captions"].to_pylist() == [2, 5, 2]
    exact = images[0].astype(float) @ captions[0].astype(float).T
    assert table["scores"].to_pylist()[0] == exact.ravel().astype(np.float32).tolist()
    assert [len(row) for row in table["scores"].to_pylist()] == [4, 5, 4]


def test_scores_within_rounding_of_each_other_are_kept_as_equal():
    # Midway between two float32 numbers, where a last bit of float64 decides the rounding.
    middle = (np.float64(np.float32(0.3)) + np.float64(np.nextafter(np.float32(0.3), np.float32(1)))) / 2
    captions = np.array([[middle - 1e-14, 1.0], [middle + 1e-14, -1.0]])
    assert len(set(captions[:, 0].astype(np.float32).tolist())) == 2
    (scores,) = choice([np.array([[1.0, 0.0]])], [captions])["scores"].to_pylist()
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("images", "captions", "message"),
    [
        ([np.eye(2)], [np.ones((3, 2))], "question 0 has 2 pictures and 3 captions"),
        ([np.eye(3)], [np.eye(3)], "question 0 has 3 pictures and 3 captions"),
        ([np.eye(2)[:1]], [np.eye(2)[:1]], "question 0 has 1 pictures and 1 captions"),
        ([np.eye(2)[:1]], [np.eye(3)], "dimension 2, those of captions 3"),
    ],
)
def test_questions_of_another_shape_are_an_error(images, captions, message):
    with pytest.raises(ValueError, match=message):
        choice(images, captions)


def test_no_question_is_an_error():
    with pytest.raises(ValueError, match="no question"):
        score_choice(questions=[], uids=[], categories=[], image_rows=[], caption_rows=[])
