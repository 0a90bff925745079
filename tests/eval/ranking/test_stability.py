import itertools

import numpy as np
import pytest
from tests.eval.ranking.ranked_models import FAMILIES, answer, answer_all, known

from oddpair.eval.ranking.stability import split_halves

ONE_TASK = {"family": ("task",)}


def halve(*columns, clusters=None, **settings):
    models = {
        name: {"task": answer(credit, range(len(credit)) if clusters is None else clusters)}
        for name, credit in zip("abcdefgh", columns, strict=False)
    }
    return split_halves(models, ONE_TASK, seed=0, **settings)


def test_the_share_is_that_of_all_halvings():
    columns = np.array([[3, 0, 1, 2, 4, 0], [1, 2, 1, 1, 1, 1], [0, 2, 1, 4, 1, 1]]) / 4
    same = []
    for half in itertools.combinations(range(6), 3):
        other = [each for each in range(6) if each not in half]
        leaders = [np.argmax(columns[:, list(each)].mean(axis=1)) for each in (half, other)]
        same.append(leaders[0] == leaders[1])
    expected = np.mean(same)
    assert 0 < expected < 1
    found = halve(*columns, halvings=4000)
    assert found.share == pytest.approx(expected, abs=3 * (expected * (1 - expected) / 4000) ** 0.5)
    assert (found.by_chance, found.halvings) == (1 / 3, 4000)


def test_a_model_ahead_in_every_cluster_is_always_first_and_copies_are_told_apart_by_the_alphabet():
    worse = np.arange(20) / 40
    assert halve(worse, worse + 0.5).share == 1
    assert halve(worse, worse).share == 1


def test_equal_models_agree_about_as_often_as_chance_lets_them():
    shares = [
        known(split_halves(answer_all(np.zeros(4), seed=seed), FAMILIES, seed=0, halvings=50)).share
        for seed in range(40)
    ]
    # Shares of one world lie anywhere; their mean over 40 worlds has a standard error of some .04.
    assert np.mean(shares) == pytest.approx(1 / 4, abs=0.12)


def test_each_half_asks_every_task_as_evenly_as_its_clusters_allow():
    # Ten clusters of one task and two of another: were all twelve mixed, a half would often lack the second.
    right = {"near": answer(np.ones(10), range(10), "n"), "far": answer([1, 1], "xy", "f")}
    wrong = {task: answer(0 * one.credit, one.clusters, one.questions[0][0]) for task, one in right.items()}
    found = split_halves({"a": wrong, "b": right}, {"near": ("near",), "far": ("far",)}, seed=0, halvings=200)
    assert known(found).share == 1


def test_a_half_without_a_question_of_some_task_never_agrees():
    assert halve([1, 1], [0, 0], clusters="aa").share == 0


def test_fewer_than_two_models_have_no_stability():
    assert halve([1, 0]) is None
