"""The number that ranks: the mean over families of the mean over the tasks that a ranked entry must have."""

from __future__ import annotations

from collections.abc import Mapping

from oddpair.benchmarks.suite import Suite

Families = Mapping[str, tuple[str, ...]]


def required_families(suite: Suite) -> dict[str, tuple[str, ...]]:
    """Return the required tasks of each family that has any, both in the order of the suite.

    >>> suite = Suite(families={"far": ("b.x", "b.y"), "near": ("b.z",), "other": ("b.w",)}, required=("b.z", "b.y"))
    >>> required_families(suite)
    {'far': ('b.y',), 'near': ('b.z',)}
    """
    required = frozenset(suite.required)
    cut = {
        family: tuple(task for task in tasks if task in required) for family, tasks in suite.families.items()
    }
    return {family: tasks for family, tasks in cut.items() if tasks}


def macro_score(means: Mapping[str, float], families: Families) -> float | None:
    """Mean over families of the mean over a family's tasks: neither many tasks nor long ones weigh more.

    Args:
        means: Main metric by task, 0 to 1; tasks of no family are left out.
        families: Tasks by family, as `required_families`.

    Returns:
        The score, 0 to 1; ``None`` where a task is missing, which is never averaged over.

    Raises:
        ValueError: If there is no task at all.

    >>> families = {"near": ("a",), "far": ("b", "c")}
    >>> macro_score({"a": 0.5, "b": 0.25, "c": 0.0}, families), macro_score({"a": 0.5, "b": 0.25}, families)
    (0.3125, None)
    """
    weights = task_weights(families)
    if any(task not in means for task in weights):
        return None
    return float(sum(weight * means[task] for task, weight in weights.items()))


def task_weights(families: Families) -> dict[str, float]:
    """Return what each task counts in the score, which together make 1.

    Raises:
        ValueError: If there is no family, one has no task, or a task stands in two.

    >>> task_weights({"near": ("a",), "far": ("b", "c")})
    {'a': 0.5, 'b': 0.25, 'c': 0.25}
    """
    weights = {task: 1 / (len(families) * len(tasks)) for tasks in families.values() for task in tasks}
    if not families or not all(families.values()) or len(weights) != sum(map(len, families.values())):
        raise ValueError(f"families {dict(families)}: needed one or more, each of tasks that are in no other")
    return weights
