import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from tests.eval.ranking.ranked_models import answer, answer_all, known

from oddpair.eval.ranking.concurrence import concur, kendall_tau
from oddpair.retrieval.proportion import clopper_pearson

TASKS = ("near", "far", "farther")


def correlate(first, second, draws=300):
    """Tau of two tasks of 60 questions, of which as many shares are right, the same ones for all models."""
    at = (np.arange(60) * 7 % 60 + 0.5) / 60
    models = {
        f"m{number:02d}": {"a": answer(at < x, range(60), "a"), "b": answer(at < y, range(60), "b")}
        for number, (x, y) in enumerate(zip(first, second, strict=True))
    }
    (found,) = concur(models, ("a", "b"), seed=0, draws=draws)
    return found.tau


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 12).flatmap(
        lambda n: st.lists(st.tuples(*[st.integers(0, 4)] * 2), min_size=n, max_size=n)
    )
)
def test_tau_b_is_scipys(points):
    x, y = np.array(points, dtype=float).T
    with np.errstate(invalid="ignore"):
        expected = kendalltau(x, y, variant="b").statistic
    np.testing.assert_allclose(kendall_tau(x[None], y[None]), [expected], atol=1e-12)


def test_every_two_tasks_are_correlated_over_the_models_that_have_both():
    models = answer_all(np.linspace(0, 2, 8), seed=0)
    del models["m7"]["near"]
    found = concur(models, TASKS, seed=0, draws=200)
    assert [(one.first, one.second) for one in found] == [
        ("near", "far"),
        ("near", "farther"),
        ("far", "farther"),
    ]
    assert [known(one.tau).n for one in found] == [7, 7, 8]
    for one in found:
        both = [model for model in models.values() if one.first in model and one.second in model]
        means = [[model[task].credit.mean() for model in both] for task in (one.first, one.second)]
        tau = known(one.tau)
        assert tau.value == pytest.approx(kendalltau(*means).statistic)
        assert -1 <= tau.low <= tau.value <= tau.high <= 1


@pytest.mark.parametrize("n", [0, 3])
def test_fewer_than_four_models_have_no_tau(n):
    assert [one.tau for one in concur(answer_all(np.zeros(n), seed=0), TASKS, seed=0)] == [None] * 3


def test_a_task_that_scores_all_models_alike_has_no_tau():
    assert correlate([0.5] * 6, np.arange(6) / 6) is None


def test_perfect_agreement_is_no_surer_than_as_many_models_make_it():
    few, many = (correlate(np.linspace(0, 1, n), np.linspace(0, 1, n)) for n in (8, 40))
    assert (few.value, few.high, many.value, many.high) == (1, 1, 1, 1)
    assert few.low <= 1 - 2 * clopper_pearson(0, 4, 0.975, "upper") < 0
    assert 0.5 < many.low <= 1 - 2 * clopper_pearson(0, 20, 0.975, "upper")
    against = correlate(np.linspace(0, 1, 40), np.linspace(1, 0, 40))
    assert (against.value, against.low) == (-1, -1)
    assert against.high == pytest.approx(-many.low, abs=0.02)


def test_unrelated_tasks_hold_nothing_and_related_ones_do_not():
    rng = np.random.default_rng(0)
    skill = rng.random(30)
    unrelated, related = (
        correlate(skill, rng.random(30)),
        correlate(skill, (skill + 0.1 * rng.random(30)) / 1.1),
    )
    assert unrelated.low < 0 < unrelated.high
    assert 0.5 < related.low < related.value < related.high
    assert related.high - related.low < unrelated.high - unrelated.low


def test_models_that_differ_by_chance_alone_leave_the_interval_wide():
    models = answer_all(np.zeros(12), seed=0)
    for one in concur(models, TASKS, seed=0, draws=300):
        assert known(one.tau).high - known(one.tau).low > 0.6
