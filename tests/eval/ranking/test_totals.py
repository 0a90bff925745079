import dataclasses

import numpy as np
import pytest
from tests.eval.ranking.ranked_models import answer, answer_all

from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import Answers
from oddpair.eval.comparing.draws import code_clusters, draw_means
from oddpair.eval.ranking.totals import average, draw, total

TASKS = ("near", "far", "farther")


def test_means_are_those_of_the_answers():
    models = list(answer_all([0, 1], seed=0).values())
    for task, found in total(models, TASKS).items():
        np.testing.assert_allclose(found.means, [model[task].credit.mean() for model in models])
        assert (found.n, found.n_clusters) == (len(models[0][task]), len(set(models[0][task].clusters)))


def test_draws_are_those_that_compare_one_model_over_tasks():
    models = list(answer_all([0, 1], seed=0).values())
    drawn = draw(total(models, TASKS), seed=7, draws=2000)
    for number, model in enumerate(models):
        sides = [model[task] for task in TASKS]
        codes, n_clusters = code_clusters(sides)
        expected = draw_means([side.credit for side in sides], codes, n_clusters, 7)
        found = np.stack([drawn[task].samples[:, number] for task in TASKS], axis=1)
        np.testing.assert_allclose(found, expected)


def test_a_class_that_two_tasks_share_is_drawn_in_both():
    difficulty = np.random.default_rng(0).random(40)
    model = {"near": answer(difficulty, range(40), "n"), "far": answer(difficulty / 2, range(40), "f")}
    drawn = draw(total([model], ("near", "far")), seed=0)
    np.testing.assert_allclose(drawn["near"].samples, 2 * drawn["far"].samples)
    gap = average(drawn, {"near": 1.0, "far": -2.0})
    np.testing.assert_allclose([gap.values[0], *gap.samples[:, 0]], 0, atol=1e-12)


def test_answers_in_another_order_are_put_in_order_and_other_questions_refused():
    model = answer([1, 0, 0.5], "abc")
    turned = Answers(
        questions=model.questions[::-1], clusters=model.clusters[::-1], credit=model.credit[::-1]
    )
    found = total([{"task": model}, {"task": turned}], ("task",))["task"]
    np.testing.assert_array_equal(found.earned[:, 0], found.earned[:, 1])
    other = dataclasses.replace(model, questions=["q0", "q1", "q9"])
    with pytest.raises(Refusal, match="task: the models were not asked the same: of 3 and 3 questions 1"):
        total([{"task": model}, {"task": other}], ("task",))


def test_a_task_of_one_cluster_shows_no_spread():
    model = {"one": answer([1, 0], "aa", "o"), "many": answer([1, 0, 1], "abc", "m")}
    drawn = draw(total([model], ("one", "many")), seed=0, draws=50)
    assert np.isnan(drawn["one"].samples).all()
    assert not np.isnan(drawn["many"].samples).all()
    assert np.isnan(draw(total([model], ("one",)), seed=0, draws=50)["one"].samples).all()
