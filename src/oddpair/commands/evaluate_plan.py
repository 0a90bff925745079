"""What an evaluation will ask: benchmarks by name, their sets where the user says they lie, splits that limit them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oddpair.benchmarks.benchmark import Benchmark, SetPlace, Task
from oddpair.benchmarks.benchmark_file import benchmark_of_set, load_benchmark, shipped
from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.benchmarks.questions import with_templates
from oddpair.benchmarks.sets.open_set import open_set
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest
from oddpair.splits.manifest import MANIFEST_FILE, read_manifest

_LONGEST_NAME = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planned:
    """One task to score.

    Attributes:
        benchmark: Its benchmark.
        task: The task, with its templates.
        found: Its set.
        members: Uids of the split that limits it; ``None`` for none.
    """

    benchmark: Benchmark
    task: Task
    found: EvaluationSet
    members: frozenset[str] | None

    @property
    def name(self) -> str:
        """Benchmark and task, as users write it."""
        return f"{self.benchmark.name}.{self.task.name}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Tasks to score, and those for which something is not there.

    Attributes:
        tasks: In the order of their benchmarks.
        skipped: Each other task by name, and what it lacks.
    """

    tasks: tuple[Planned, ...]
    skipped: Mapping[str, str]

    @property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """The benchmarks of the tasks, each once."""
        return tuple({planned.benchmark.name: planned.benchmark for planned in self.tasks}.values())


def make_plan(
    suites: Sequence[str], data: Mapping[str, Path], splits: Mapping[str, Path], only: Sequence[str] = ()
) -> Plan:
    """Open the sets of some benchmarks and list what can be asked of them.

    Args:
        suites: Each the name of a shipped benchmark, a YAML file, or the folder of an evaluation set.
        data: Folder by benchmark, or by ``benchmark.set``; the folder of a YAML file is its benchmark's by itself.
        splits: Folder of a split's manifest by the name that tasks know it by.
        only: Tasks to keep, as ``benchmark.task`` or ``task``; empty for all.

    Returns:
        The plan, with at least one task.

    Raises:
        Refusal: If a name is unknown, a set cannot be read, or nothing can be asked.
    """
    if not suites:
        raise Refusal(
            "no benchmark to score on: give --suite with a name of oddpair ls, a YAML file or a folder"
        )
    places = dict(data)
    sets: dict[tuple[str, str], EvaluationSet | None] = {}
    benchmarks = [_find_benchmark(suite, places, sets) for suite in suites]
    _need_known(places, benchmarks, only)
    members: dict[str, frozenset[str]] = {}
    tasks: list[Planned] = []
    skipped: dict[str, str] = {}
    for benchmark in benchmarks:
        for task in benchmark.tasks:
            name = f"{benchmark.name}.{task.name}"
            if only and task.name not in only and name not in only:
                continue
            if task.split and task.split not in splits:
                skipped[name] = f"no --split {task.split}=FOLDER is given"
                continue
            where = (benchmark.name, task.set)
            if where not in sets:
                sets[where] = _open(benchmark, benchmark.sets[task.set], places)
            found = sets[where]
            if found is None:
                skipped[name] = _tell_missing(benchmark, benchmark.sets[task.set], places)
                continue
            if task.split and task.split not in members:
                members[task.split] = frozenset(read_manifest(splits[task.split]).uids.to_pylist())
            tasks.append(
                Planned(
                    benchmark=benchmark,
                    task=with_templates(task, found),
                    found=found,
                    members=members[task.split] if task.split else None,
                )
            )
    if not tasks:
        lacking = next(iter(skipped.items()), None)
        raise Refusal("nothing can be scored" + (f": {lacking[0]}: {lacking[1]}" if lacking else ""))
    return Plan(tasks=tuple(tasks), skipped=skipped)


def read_places(values: Iterable[str], option: str) -> dict[str, Path]:
    """Read ``NAME=FOLDER`` options.

    >>> read_places(["imagenet=/data/imagenet"], "--data")
    {'imagenet': PosixPath('/data/imagenet')}
    """
    found: dict[str, Path] = {}
    for value in values:
        name, sign, path = value.partition("=")
        if not sign or not name or not path:
            raise Refusal(f"{option} {value}: needed is NAME=FOLDER")
        if name in found:
            raise Refusal(f"{option}: {name} is given twice: leave one out")
        found[name] = Path(path)
    return found


def need_splits(plan: Plan, values: Iterable[str]) -> None:
    """Refuse a split that was given by its name and that no task of the plan wants."""
    known = {task.split for benchmark in plan.benchmarks for task in benchmark.tasks if task.split}
    _refuse_strangers("--split", (value.partition("=")[0] for value in values if "=" in value), known)


def read_splits(values: Iterable[str]) -> dict[str, Path]:
    """Read ``--split`` options: ``NAME=FOLDER`` of a manifest, or a folder of such folders, each by its own name."""
    found: dict[str, Path] = {}
    for value in values:
        name, sign, path = value.partition("=")
        if sign:
            here = {name: Path(path)}
        else:
            folder = Path(value)
            paths = (
                [folder]
                if (folder / MANIFEST_FILE).is_file()
                else [each.parent for each in sorted(folder.glob(f"*/{MANIFEST_FILE}"))]
            )
            if not paths:
                raise Refusal(
                    f"--split {value}: holds no split: give NAME=FOLDER, or what oddpair split wrote"
                )
            here = {each.name: each for each in paths}
        for each in here.keys() & found.keys():
            raise Refusal(f"--split: {each} is given twice: leave one out")
        found |= here
    return found


def _find_benchmark(
    suite: str, places: dict[str, Path], sets: dict[tuple[str, str], EvaluationSet | None]
) -> Benchmark:
    """Find a benchmark; where it is a folder, the set in it is opened with it, and noted."""
    if not suite:
        raise Refusal("--suite is empty: give a name of oddpair ls, a YAML file or a folder")
    if suite in shipped():
        return load_benchmark(suite)
    path = Path(suite)
    if path.is_dir():
        name = _name_set(path)
        found = open_set(SetPlace(name=name, layout="", path=""), path)
        benchmark = benchmark_of_set(found, name)
        places.setdefault(name, path)
        sets |= {(name, place): found for place in benchmark.sets}
        return benchmark
    if path.suffix in (".yaml", ".yml") and path.is_file():
        benchmark = load_benchmark(suite)
        places.setdefault(benchmark.name, path.parent)
        return benchmark
    raise Refusal(
        f"no benchmark '{suite}', and no folder or YAML file of that name{suggest(suite, shipped())}"
    )


def _name_set(folder: Path) -> str:
    """Name a benchmark after the folder of its set; one that ships keeps its name for itself."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-_")[:_LONGEST_NAME] or "set"
    return f"{name}-folder" if name in shipped() else name


def _open(benchmark: Benchmark, place: SetPlace, places: Mapping[str, Path]) -> EvaluationSet | None:
    named = places.get(f"{benchmark.name}.{place.name}")
    if named is not None:
        return open_set(replace(place, path=""), named)
    root = places.get(benchmark.name)
    if root is None or not (root / place.path).exists():
        return None
    return open_set(place, root)


def _tell_missing(benchmark: Benchmark, place: SetPlace, places: Mapping[str, Path]) -> str:
    root = places.get(benchmark.name)
    if root is None:
        return f"no --data {benchmark.name}=FOLDER or {benchmark.name}.{place.name}=FOLDER is given"
    return f"{root / place.path} does not exist"


def _need_known(places: Mapping[str, Path], benchmarks: Sequence[Benchmark], only: Sequence[str]) -> None:
    known = {benchmark.name for benchmark in benchmarks}
    known |= {f"{benchmark.name}.{name}" for benchmark in benchmarks for name in benchmark.sets}
    _refuse_strangers("--data", places, known)
    tasks = {task.name for benchmark in benchmarks for task in benchmark.tasks}
    tasks |= {f"{benchmark.name}.{task.name}" for benchmark in benchmarks for task in benchmark.tasks}
    _refuse_strangers("--task", only, tasks)
    if len({benchmark.name for benchmark in benchmarks}) < len(benchmarks):
        raise Refusal("--suite: two benchmarks have the same name: leave one out")


def _refuse_strangers(option: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise Refusal(f"{option} {name}: the benchmarks have no such name{suggest(name, sorted(known))}")
