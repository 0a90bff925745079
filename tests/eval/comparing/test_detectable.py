import numpy as np
import pytest

from oddpair.eval.comparing.answers import Answers
from oddpair.eval.comparing.detectable import detect, detect_by_answers
from oddpair.eval.comparing.power import detect_paired, detect_unpaired


def answers(credit, clusters):
    names = [str(number) for number in range(len(credit))]
    return Answers(
        questions=names, clusters=[str(name) for name in clusters], credit=np.asarray(credit, float)
    )


def test_questions_that_go_alike_are_worth_fewer():
    found = detect(1000, 0.6, 0.1, effects=(4.0, 2.0))
    assert found.unpaired == detect_unpaired(n=250, accuracy=0.6)
    assert found.paired == detect_paired(n=500, discordant=0.1)


def test_two_models_tell_how_many_answers_are_discordant():
    rng = np.random.default_rng(0)
    a, b = rng.random(500) < 0.7, rng.random(500) < 0.6
    found = detect_by_answers(answers(a, range(500)), answers(b, range(500)))
    assert (found.n, found.accuracy, found.discordant) == (500, a.mean(), np.mean(a != b))
    assert (found.design_effect, found.paired_effect) == pytest.approx((1, 1))
    assert found.paired == pytest.approx(need(detect_paired(n=500, discordant=np.mean(a != b))), rel=0.01)


def need(difference):
    assert difference is not None
    return difference


def test_what_concepts_share_costs_less_on_the_same_questions():
    rng = np.random.default_rng(0)
    easy, clusters = np.repeat(rng.random(50), 20), np.repeat(np.arange(50), 20)
    a, b = rng.random(1000) < easy, rng.random(1000) < easy
    found = detect_by_answers(answers(a, clusters), answers(b, clusters))
    assert found.design_effect > 4
    assert found.paired_effect < 1.5
    assert need(found.paired) < need(found.unpaired)


def test_one_model_alone_says_nothing_of_the_same_questions_unless_told():
    a = answers([1, 0] * 200, range(400))
    assert detect_by_answers(a).paired is None
    assert detect_by_answers(a, discordant=0.2).paired == detect(400, 0.5, 0.2).paired


def test_a_single_cluster_is_worth_one_question_and_tells_nothing():
    found = detect_by_answers(answers([1, 0, 1, 1], "aaaa"))
    assert (found.design_effect, found.unpaired) == (4, None)
