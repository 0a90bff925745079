import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.scoring.scored import classes as score
from tests.eval.scoring.scored import names, units

from oddpair.errors import Refusal
from oddpair.eval.scoring import ranking
from oddpair.eval.scoring.classification import score_classification
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.zero_shot import class_vectors


# Few different directions, so that ties are common.
@st.composite
def grids(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(2, 8)), draw(st.integers(2, 9))
    images = rng.integers(-1, 2, (n, 4)).astype(np.float32) + np.float32(0.5)
    vectors = rng.integers(-1, 2, (k, 4)).astype(np.float32) + np.float32(0.25)
    images[0], images[1] = 1.5, [1, -1, 1, -1]
    vectors[0], vectors[1] = 1.25, [1, 1, -1, -1]
    return images, vectors, rng.integers(k, size=n), rng


@settings(max_examples=60, deadline=None)
@given(grids())
def test_counts_lists_and_sums_are_those_of_a_sort_row_by_row(grid):
    images, vectors, target, _ = grid
    table = score(images, vectors, target, logit_scale=3.0).to_pylist()
    for row, found in enumerate(table):
        exact = [float(np.dot(images[row].astype(float), vector.astype(float))) for vector in vectors]
        own = exact[target[row]]
        assert found["n_greater"] == sum(value > own for value in exact)
        assert found["n_tied"] == sum(value == own for value in exact) - 1
        assert found["n_candidates"] == len(vectors)
        assert found["top_scores"] == sorted(exact, reverse=True)[:5]
        assert [exact[place] for place in found["top_classes"]] == found["top_scores"]
        assert len(set(found["top_classes"])) == min(5, len(vectors))
        assert found["logsumexp"] == pytest.approx(np.log(np.exp(3.0 * np.array(exact)).sum()), rel=1e-6)
        assert found["target_score"] == own
        assert found["partner"] == -1


@settings(max_examples=40, deadline=None)
@given(grids(), st.integers(1, 40))
def test_records_are_the_same_for_any_batch_size(grid, at_once):
    images, vectors, target, _ = grid
    whole = score(images, vectors, target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_SCORES_AT_ONCE", at_once)
        assert score(images, vectors, target).equals(whole)


@settings(max_examples=40, deadline=None)
@given(grids())
def test_another_order_of_the_classes_changes_no_count(grid):
    images, vectors, target, rng = grid
    order = rng.permutation(len(vectors))
    place = np.argsort(order)
    before, after = score(images, vectors, target), score(images, vectors[order], place[target])
    for name in ("n_greater", "n_tied", "n_candidates", "target_score", "top_scores"):
        assert before[name].equals(after[name])


def test_another_order_of_the_classes_permutes_the_lists(rng):
    images, vectors, target = units(rng, 50, 16), units(rng, 20, 16), rng.integers(20, size=50)
    order = rng.permutation(20)
    before = score(images, vectors, target)["top_classes"].to_pylist()
    after = score(images, vectors[order], np.argsort(order)[target])["top_classes"].to_pylist()
    assert [[int(order[place]) for place in row] for row in after] == before


def test_another_order_of_the_pictures_permutes_the_records(rng):
    images, vectors, target = units(rng, 30, 8), units(rng, 7, 8), rng.integers(7, size=30)
    order = rng.permutation(30)
    moved = {name: [column[row] for row in order] for name, column in names(30).items()}
    mixed = score(images[order], vectors, target[order], **moved)
    assert mixed.to_pylist() == [score(images, vectors, target).to_pylist()[row] for row in order]


def test_correct_answers_of_the_classes_sum_to_those_of_all(rng):
    images, vectors, target = units(rng, 200, 8), units(rng, 6, 8), rng.integers(6, size=200)
    earned = credit(score(images, vectors, target), "classification")
    by_class = [earned[target == number].sum() for number in range(6)]
    assert sum(by_class) == earned.sum() == (images @ vectors.T).argmax(1).__eq__(target).sum()


def test_one_template_gives_the_records_of_its_own_embeddings(rng):
    images, texts, target = units(rng, 40, 8), units(rng, 6, 8), rng.integers(6, size=40)
    alone = score(images, class_vectors(texts[:, np.newaxis]), target)
    simple = score(
        images,
        texts.astype(np.float64) / np.linalg.norm(texts.astype(np.float64), axis=1, keepdims=True),
        target,
    )
    assert alone.equals(simple)


def test_classes_within_rounding_of_each_other_are_tied():
    near = np.array([[1.0, 0.0], [1.0 - 1e-13, 0.0], [0.0, 1.0]])
    table = score(np.array([[1.0, 0.0], [0.0, 1.0]]), near, [1, 2])
    assert table["n_tied"].to_pylist() == [1, 0]
    assert table["n_greater"].to_pylist() == [0, 0]
    assert table["top_scores"].to_pylist()[0] == [1.0, 1.0, 0.0]


def test_no_place_in_the_list_of_classes_is_favoured_among_ties():
    # Ten twins of one vector and one other: each twin should come first in about a tenth of 2,000 rows.
    images = np.tile(np.array([[1.0, 0.0]]), (2000, 1))
    images[0] = [0.0, 1.0]
    vectors = np.array([[1.0, 0.0]] * 10 + [[0.0, 1.0]])
    table = score(images, vectors, np.zeros(2000, dtype=int))
    firsts = [row[0] for row in table["top_classes"].to_pylist()[1:]]
    counts = np.bincount(firsts, minlength=10)[:10]
    assert counts.sum() == 1999
    # Chi-square of nine degrees of freedom: 27.9 is exceeded once in a thousand.
    assert ((counts - 199.9) ** 2 / 199.9).sum() < 27.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": [0, 5]}, "target 5 at row 1 is not one of 3 classes"),
        ({"target": [0]}, "1 target, 2 questions"),
        ({"keys": ["a"]}, "1 keys, 2 questions"),
        ({"uids": ["a"]}, "1 uids, 2 embeddings"),
        ({"vectors": np.eye(4)}, "dimension 3, those of classes 4"),
        ({"vectors": np.eye(3)[:1]}, "1 class, a decision needs at least 2"),
        ({"images": np.zeros((0, 3))}, r"have shape \(0, 3\)"),
        ({"logit_scale": 0.0}, "logit scale is 0.0, needed above 0"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_an_error(change, message):
    asked = {"images": np.eye(3)[:2], "vectors": np.eye(3), "target": [0, 1], **change}
    names = {"keys": ["a", "b"], "uids": ["c", "d"], "styles": ["", ""], "logit_scale": 100.0}
    with pytest.raises(ValueError, match=message):
        score_classification(**{**names, **asked})


def test_a_picture_asked_about_twice_is_no_constant_model():
    images = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert score(images, np.eye(2), [0, 1], uids=["same", "same"]).num_rows == 2
    with pytest.raises(Refusal, match="degenerate model: every picture has the same embedding"):
        score(images, np.eye(2), [0, 1])
