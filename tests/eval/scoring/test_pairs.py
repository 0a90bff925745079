import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.scoring.scored import pairs, units

from oddpair.errors import Refusal
from oddpair.eval.scoring import ranking
from oddpair.eval.scoring.pairs import chance


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 8), st.integers(1, 30))
def test_counts_are_those_of_a_loop_over_the_candidates(seed, n_concepts, at_once):
    rng = np.random.default_rng(seed)
    n = 12
    images, vectors = units(rng, n, 4), units(rng, n_concepts, n_concepts, 4)
    vectors[2] = vectors[3]  # twins, tied wherever both are candidates
    nested = np.zeros((n_concepts, n_concepts), dtype=bool)
    nested[0, 1] = nested[1, 0] = True
    target, partner = rng.integers(n_concepts, size=(2, n))
    partner = np.where((partner == target) | nested[target, partner], (target + 2) % n_concepts, partner)
    partner = np.where(nested[target, partner] | (partner == target), (target + 3) % n_concepts, partner)
    if (nested[target, partner] | (target == partner)).any():
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_SCORES_AT_ONCE", at_once)
        table = pairs(images, vectors, target, partner, nested=nested).to_pylist()
    for row, found in enumerate(table):
        a, b = target[row], partner[row]
        candidates = [x for x in range(n_concepts) if x == a or not (x == b or nested[x, a] or nested[x, b])]
        exact = {x: images[row].astype(float) @ vectors[x, b].astype(float) for x in candidates}
        assert found["n_candidates"] == len(candidates)
        assert found["n_greater"] == sum(value > exact[a] + 1e-12 for value in exact.values())
        assert found["n_tied"] == sum(abs(value - exact[a]) <= 1e-12 for value in exact.values()) - 1
        assert set(found["top_classes"]) <= set(candidates)
        assert len(found["top_classes"]) == min(5, len(candidates))


def test_a_function_of_the_partner_answers_like_the_array(rng):
    images, vectors = units(rng, 80, 8), units(rng, 6, 6, 8)
    target = rng.integers(6, size=80)
    partner = (target + rng.integers(1, 6, size=80)) % 6
    table = pairs(images, lambda concept: vectors[:, concept], target, partner)
    assert table.equals(pairs(images, vectors, target, partner))


def test_the_row_of_the_partner_itself_is_never_looked_at(rng):
    images, vectors = units(rng, 4, 8), units(rng, 5, 5, 8)
    target, partner = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    before = pairs(images, vectors, target, partner)
    vectors[np.arange(5), np.arange(5)] = np.nan
    assert pairs(images, vectors, target, partner).equals(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": [0, 9]}, "target 9 at row 1 is not one of 4 concepts"),
        ({"target": [0, 1]}, "target 1 and partner 1 at row 1 are the same or nested"),
        ({"vectors": np.ones((4, 3, 2))}, r"shape \(4, 3, 2\), need \(K, K, d\)"),
        ({"nested": np.zeros((2, 2), dtype=bool)}, r"nested mask has shape \(2, 2\), need \(4, 4\)"),
        ({"vectors": lambda _: np.eye(4)[:, :3] + 1}, "dimension 2, those of pairs 3"),
        (
            {"vectors": lambda given: np.eye(4)[: 5 - given, :2] + 1, "partner": [1, 2]},
            "3 vectors beside concept 2, needed 4",
        ),
    ],
)
def test_questions_that_do_not_fit_are_an_error(change, message):
    vectors = np.random.default_rng(0).standard_normal((4, 4, 2))
    asked = {"images": np.eye(2), "vectors": vectors, "target": [0, 0], "partner": [1, 1], **change}
    with pytest.raises(ValueError, match=message):
        pairs(**asked)


def test_concepts_nested_with_the_target_or_the_partner_are_no_candidates():
    nested = np.zeros((5, 5), dtype=bool)
    nested[2, 3] = nested[3, 2] = True
    vectors = np.random.default_rng(0).standard_normal((5, 5, 2))
    found = pairs(np.eye(2), vectors, [2, 0], [0, 2], nested=nested)
    assert found["n_candidates"].to_pylist() == [3, 3]
    assert [sorted(row) for row in found["top_classes"].to_pylist()] == [[1, 2, 4], [0, 1, 4]]


def test_fewer_than_two_candidates_are_no_question():
    nested = np.zeros((3, 3), dtype=bool)
    nested[0, 1] = nested[1, 0] = True
    vectors = np.random.default_rng(0).standard_normal((3, 3, 2))
    with pytest.raises(ValueError, match="fewer than 2 candidates are left beside concept 2"):
        pairs(np.eye(2), vectors, [0, 0], [2, 2], nested=nested)


def test_vectors_that_are_all_the_same_beside_a_concept_are_degenerate():
    vectors = np.random.default_rng(0).standard_normal((3, 3, 2))
    vectors[:, 2] = 1.0
    with pytest.raises(
        Refusal, match="degenerate model: every concept beside concept 2 has the same embedding"
    ):
        pairs(np.eye(2), vectors, [0, 0], [2, 2])


def test_blind_guessing_hits_at_the_rate_of_chance():
    rng = np.random.default_rng(0)
    target = rng.integers(5, size=4000)
    partner = (target + 1 + rng.integers(4, size=4000)) % 5
    records = pairs(units(rng, 4000, 16), units(rng, 5, 5, 16), target, partner)
    assert np.mean(records["n_greater"].to_numpy() == 0) == pytest.approx(chance(5), abs=0.03)


def test_two_concepts_leave_nothing_to_guess():
    with pytest.raises(ValueError, match="2 concepts, the pair metric needs at least 3"):
        chance(2)
