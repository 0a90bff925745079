"""The suite: which tasks of the benchmarks that ship make a family, and which of them a ranked entry must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oddpair.benchmarks.benchmark_file import SHIPPED, SUITE, load_benchmark, shipped
from oddpair.benchmarks.sections import Section, read_section
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tasks as ``benchmark.task``.

    Attributes:
        families: Tasks by family, each task in one.
        required: What a ranked entry must have.
    """

    families: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]


def read_suite(path: Path = SHIPPED / f"{SUITE}.yaml") -> Suite:
    """Read the suite that ships, or another.

    Args:
        path: YAML file of ``families`` (name and list of tasks) and ``required`` (list of tasks).

    Raises:
        Refusal: If a task is of no benchmark that ships, stands in two families, or is required and in none.

    >>> "miniature.natural" in read_suite().required
    True
    """
    section = read_section(path)
    section.expect("families", "required")
    listed = section.section("families")
    families = {name: listed.texts(name) for name in listed}
    home: dict[str, str] = {}
    for family, tasks in families.items():
        if not tasks:
            raise Refusal(f"{listed.where}: {family} has no task: name one, or leave the family out")
        for task in tasks:
            _need_task(listed, family, task)
            if home.setdefault(task, family) != family:
                raise Refusal(f"{listed.where}: {task} is in {home[task]} and in {family}: leave one out")
    required = section.texts("required")
    for task in required:
        if task not in home:
            raise Refusal(
                f"{section.where}: required has '{task}', which is in no family{suggest(task, home)}"
            )
    return Suite(families=families, required=required)


def _need_task(listed: Section, family: str, task: str) -> None:
    benchmark, _, name = task.partition(".")
    if benchmark not in shipped():
        raise Refusal(
            f"{listed.where}: {family} has '{task}', of no benchmark that ships{suggest(benchmark, shipped())}"
        )
    known = [each.name for each in load_benchmark(benchmark).tasks]
    if name not in known:
        raise Refusal(
            f"{listed.where}: {family} has '{task}', {benchmark} has no such task{suggest(name, known)}"
        )
