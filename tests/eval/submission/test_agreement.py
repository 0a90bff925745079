"""Two runs of the same weights: how many answers are the same, and how far scores lie apart."""

import numpy as np
import pyarrow as pa
import pytest

from oddpair.errors import Refusal
from oddpair.eval.scoring.records import SCHEMAS
from oddpair.eval.submission.agreement import find_agreement

KEYS = ["a", "b", "c", "d"]


def ranked(best, scores, keys=KEYS, uids=KEYS):
    n = len(keys)
    return pa.table(
        {
            "key": keys,
            "uid": uids,
            "style": [""] * n,
            "target": [0] * n,
            "partner": [-1] * n,
            "top_classes": [[first, 1 - first] for first in best],
            "top_scores": [[0.3, 0.1]] * n,
            "target_score": scores,
            "logsumexp": [3.0] * n,
            "n_greater": best,
            "n_tied": [0] * n,
            "n_candidates": [2] * n,
        }
    ).cast(SCHEMAS["classification"])


def test_answers_are_joined_by_question_and_not_by_place():
    submitted = ranked([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    again = ranked([1, 0, 1], [0.4, 0.1, 0.25], keys=["d", "a", "b"], uids=["d", "a", "b"])
    found = find_agreement(submitted, again, "classification")
    assert (found.n, found.agree) == (3, 1.0)
    assert found.largest_difference == pytest.approx(0.05, abs=1e-6)


def test_another_best_class_is_another_answer():
    found = find_agreement(ranked([0, 1, 0, 1], [0.1] * 4), ranked([0, 1, 1, 1], [0.1] * 4), "classification")
    assert found.agree == 0.75


def test_an_answer_of_a_choice_is_the_highest_of_its_scores():
    def choice(scores):
        n = len(scores)
        columns = {"key": KEYS[:n], "uid": KEYS[:n], "style": [""] * n, "category": [""] * n}
        numbers = {"n_images": [1] * n, "n_captions": [2] * n, "scores": scores}
        return pa.table({**columns, **numbers}).cast(SCHEMAS["choice"])

    found = find_agreement(choice([[0.1, 0.2], [0.5, 0.3]]), choice([[0.1, 0.2], [0.2, 0.3]]), "choice")
    assert (found.n, found.agree) == (2, 0.5)
    assert found.largest_difference == pytest.approx(0.3)


def test_a_question_that_the_submission_does_not_answer_is_refused():
    with pytest.raises(
        Refusal, match="1 of 1 questions of the second run are not in the submission, the first z"
    ):
        find_agreement(ranked([0] * 4, [0.0] * 4), ranked([0], [0.0], ["z"], ["z"]), "classification")


def test_another_picture_under_the_same_key_is_refused():
    with pytest.raises(Refusal, match="other pictures of the same keys"):
        find_agreement(ranked([0] * 4, [0.0] * 4), ranked([0], [0.0], ["a"], ["other"]), "classification")


def test_a_run_without_questions_attests_nothing():
    empty = ranked([], np.zeros(0), [], [])
    with pytest.raises(Refusal, match="the first nothing"):
        find_agreement(ranked([0] * 4, [0.0] * 4), empty, "classification")
