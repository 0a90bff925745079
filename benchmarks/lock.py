"""Locks: hashes of what a benchmark asks, so that a number of one version always means the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.benchmarks.benchmark import Benchmark, ClassList, Task
from oddpair.benchmarks.questions import fill
from oddpair.errors import Refusal

LOCKS = Path(__file__).resolve().parent / "locks"
# The exact transform of each model, as open_clip makes it.
PREPROCESSING = "open_clip"
_FORMAT = 1


def lock_of(benchmark: Benchmark) -> dict[str, Any]:
    """Return the hashes of what a benchmark asks; what only describes it (`about`) is in none of them.

    Returns:
        JSON: for each task ``prompts`` (every prompt of every class), ``classes`` (keys and names in their order; null
        where the set's own are taken), ``asked`` (everything else that the task says), ``uids`` (null: pictures are the
        user's, see `lock_uids`) and ``preprocessing``; of the benchmark ``sets`` and ``reports`` (gaps and axes of
        robustness); and ``sha256`` over all.
    """
    lock: dict[str, Any] = {
        "format": _FORMAT,
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "sets": files.digest([[p.name, p.layout, p.path, dict(p.settings)] for p in benchmark.sets.values()]),
        "reports": files.digest(
            [
                [[gap.name, gap.first, gap.second] for gap in benchmark.gaps],
                [
                    [each.name, each.x, each.y, each.same_classes, _plain(each.baseline)]
                    for each in benchmark.robustness
                ],
            ]
        ),
        "tasks": {task.name: {**_lock_task(task), "uids": None} for task in benchmark.tasks},
        "order": [task.name for task in benchmark.tasks],
    }
    return {**lock, "sha256": files.digest(lock)}


def lock_path(benchmark: Benchmark) -> Path:
    """Return where the lock of a benchmark that ships lies, for its version."""
    return LOCKS / f"{benchmark.name}-v{benchmark.version}.json"


def check_lock(benchmark: Benchmark) -> None:
    """Compare a benchmark that ships with the lock of its version.

    Raises:
        Refusal: If it has none, or what it asks is not what the lock says.
    """
    path = lock_path(benchmark)
    if not path.is_file():
        raise Refusal(
            f"benchmark {benchmark.name} has no lock of version {benchmark.version} ({path}): install oddpair again"
        )
    locked, found = files.read_json(path), lock_of(benchmark)
    if locked != found:
        raise Refusal(
            f"benchmark {benchmark.name}: {_tell(locked, found)} changed without a new version (lock {path.name}): give it "
            f"version {benchmark.version + 1}; if you changed nothing, the installed open_clip has other class names or "
            "templates than the lock: install oddpair and open_clip again"
        )


def hash_uids(keys: Sequence[str], uids: Sequence[str]) -> str:
    """Return the SHA-256 of which pictures were asked about, in any order.

    Args:
        keys: Key of each question.
        uids: Id of its picture.

    >>> hash_uids(["a", "b"], ["1", "2"]) == hash_uids(["b", "a"], ["2", "1"])
    True
    """
    return files.digest(sorted([key, uid] for key, uid in zip(keys, uids, strict=True)))


def lock_uids(path: Path, benchmark: Benchmark, task: Task, uids: str, *, n: int | None = None) -> None:
    """Lock what a task asks, and of which pictures, when it is first asked; later it must be the same.

    Args:
        path: File of locks, written if it is missing.
        benchmark: The benchmark; each of its versions is locked by itself.
        task: The task as it is asked.
        uids: Result of `hash_uids`.
        n: Number of questions, for the message.

    Raises:
        Refusal: If the task was asked of other pictures, or otherwise, before.
    """
    stored: dict[str, Any] = files.read_json(path) if path.is_file() else {}
    version = f"version {benchmark.version}"
    if not isinstance(stored, dict) or not isinstance(stored.get(version, {}), dict):
        raise Refusal(f"{path} is no file of locks: delete it where no score of this folder is to be kept")
    tasks: dict[str, Any] = stored.setdefault(version, {})
    found = {**_lock_task(task), "uids": uids, "n": n}
    locked = tasks.setdefault(task.name, found)
    if locked == found:
        files.write_json(path, stored)
        return
    name = f"task {benchmark.name}.{task.name}"
    if locked.get("uids") != uids:
        before, now = (f"{each:,}" if each is not None else "some" for each in (locked.get("n"), n))
        raise Refusal(
            f"{name} was first asked of {before} pictures, now of {now} that are not the same, or have other "
            f"labels ({path}): give the set that it was, or choose another --out"
        )
    what = next((part for part in found if locked.get(part) != found[part]), "entry")
    raise Refusal(
        f"{name}: its {what} changed since it was first asked ({path}): give {benchmark.name} a new version, or choose "
        "another --out"
    )


def _lock_task(task: Task) -> dict[str, str | None]:
    asked = [
        task.set,
        task.kind,
        task.family,
        task.only,
        task.present_only,
        task.styles,
        task.split,
        task.cluster,
    ]
    classes = task.classes
    return {
        "asked": files.digest(asked),
        "classes": files.digest([classes.keys, classes.names]) if classes else None,
        "prompts": _hash_prompts(classes, task.templates, task.kind == "pairs"),
        "preprocessing": PREPROCESSING,
    }


@lru_cache(maxsize=64)
def _hash_prompts(classes: ClassList | None, templates: tuple[str, ...], pairs: bool) -> str:
    if classes is None:
        return files.digest(templates)
    if classes.prompts:
        return files.digest(classes.prompts)
    if pairs:
        # All pairs would be many; each class with the next one says the same of names and templates.
        beside = zip(classes.names, (*classes.names[1:], *classes.names[:1]), strict=True)
        return files.digest([[fill(each, *names) for each in templates] for names in beside])
    return files.digest([[fill(each, name) for each in templates] for name in classes.names])


def _plain(value: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {name: dict(axes) for name, axes in value.items()}


def _tell(locked: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Name the first part of a lock that differs."""
    before, now = locked.get("tasks", {}), found["tasks"]
    for name in now:
        if name not in before:
            return f"the list of tasks ({name} is new)"
        for part in now[name]:
            if now[name][part] != before[name].get(part):
                return f"{'settings' if part == 'asked' else part} of task {name}"
    return next(
        (part for part in ("order", "sets", "reports") if found[part] != locked.get(part)), "its lock"
    )
