import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.benchmarks.suite import read_suite
from oddpair.eval.ranking.macro import macro_score, required_families, task_weights


def test_the_required_tasks_of_the_suite_that_ships_are_all_weighed():
    suite = read_suite()
    families = required_families(suite)
    assert sorted(task for tasks in families.values() for task in tasks) == sorted(suite.required)
    assert list(families) == [name for name in suite.families if name in families]
    assert sum(task_weights(families).values()) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_score_is_the_mean_over_families_of_the_mean_over_tasks(scores):
    families = {
        str(row): tuple(f"{row}.{task}" for task in range(len(own))) for row, own in enumerate(scores)
    }
    means = {f"{row}.{task}": value for row, own in enumerate(scores) for task, value in enumerate(own)}
    expected = sum(sum(own) / len(own) for own in scores) / len(scores)
    assert macro_score({**means, "other": 0.0}, families) == pytest.approx(expected)
    assert all(macro_score({t: v for t, v in means.items() if t != left}, families) is None for left in means)


@pytest.mark.parametrize(
    "families", [{}, {"a": ()}, {"a": ("x",), "b": ("x",)}], ids=["none", "empty", "twice"]
)
def test_families_without_a_task_of_their_own_are_told(families):
    with pytest.raises(ValueError, match="each of tasks that are in no other"):
        macro_score({"x": 0.5}, families)
