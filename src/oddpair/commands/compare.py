"""``oddpair compare`` and ``oddpair power``: results of two models, joined by task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import read_answers
from oddpair.eval.comparing.detectable import Detectable, detect_by_answers
from oddpair.eval.comparing.paired import Comparison, adjust, compare_answers
from oddpair.eval.results import Found, TaskResult, find_results

# With fewer clusters no exchange of models' answers is rare enough for the level of 0.05.
_FEW = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two models on all tasks that both have.

    Attributes:
        a: Name of the first model.
        b: Name of the second.
        tasks: Their common tasks, in the order of names.
        only_a: Tasks that the first alone has.
        only_b: Tasks that the second alone has.
        notes: What a reader should know before believing a row, a sentence each.
    """

    a: str
    b: str
    tasks: tuple[Comparison, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    notes: tuple[str, ...]


def compare_models(a: Path, b: Path) -> Compared:
    """Compare two models on every task that both were scored on.

    Args:
        a: Folder of a model that ``oddpair eval`` wrote, or one result in it.
        b: Likewise.

    Returns:
        The comparisons, their p values adjusted for the number of tasks.

    Raises:
        Refusal: If a folder has no result or those of several models, no task is common, or a task did not ask both
            the same.
    """
    first, second = read_model(a), read_model(b)
    pairs = {name: (first[name], second[name]) for name in first if name in second}
    if not pairs:
        raise Refusal(
            f"{a} and {b} have no task in common ({_some(first)}; {_some(second)}): score both on the same"
        )
    notes: list[str] = []
    compared = []
    for name, (one, other) in pairs.items():
        notes += _differing(name, one.result, other.result)
        if one.result.kind == "multilabel":
            notes.append(f"{name} is left out: mean average precision is no mean over questions")
            continue
        found = compare_answers(read_answers(one), read_answers(other), task=name)
        if found.n_clusters < _FEW:
            notes.append(
                f"{name}: {found.n_clusters} of what goes alike ({one.result.cluster}), with which p cannot be below "
                f"{2.0 ** (1 - found.n_clusters):.3g}, and the interval is a rough one"
            )
        compared.append(found)
    return Compared(
        a=_name(next(iter(first.values())).result),
        b=_name(next(iter(second.values())).result),
        tasks=adjust(compared),
        only_a=tuple(name for name in first if name not in second),
        only_b=tuple(name for name in second if name not in first),
        notes=tuple(notes),
    )


def detect_by_models(
    a: Path, b: Path | None, *, discordant: float | None, power: float, alpha: float
) -> dict[str, Detectable]:
    """Find the smallest differences that the tasks of a model could tell.

    Args:
        a: Folder of a model that ``oddpair eval`` wrote, or one result in it.
        b: That of another, to tell how much two models' answers have in common; ``None`` for none.
        discordant: Share of questions that exactly one of two models has right, where ``b`` does not tell.
        power: Chance that a difference is told.
        alpha: Level of the test.

    Returns:
        What can be told, by task.

    Raises:
        Refusal: As `compare_models`, or if no task can be compared.
    """
    first = read_model(a)
    second: Mapping[str, Found] = read_model(b) if b is not None else {}
    names = [
        name
        for name, found in first.items()
        if found.result.kind != "multilabel" and (not b or name in second)
    ]
    if not names:
        common = "" if b is None else f" that {b} has too"
        raise Refusal(f"{a} has no task with records to compare{common} ({_some(first)}): score more tasks")
    return {
        name: detect_by_answers(
            read_answers(first[name]),
            read_answers(second[name]) if b else None,
            discordant=discordant,
            task=name,
            power=power,
            alpha=alpha,
        )
        for name in names
    }


def read_model(path: Path) -> dict[str, Found]:
    """Read the results of one model by ``benchmark.task``.

    Args:
        path: Its folder, or one result in it.

    Raises:
        Refusal: If there is none, or there are several models.
    """
    found = find_results([path])
    slugs = sorted({one.result.slug for one in found})
    if len(slugs) > 1:
        raise Refusal(
            f"{path} holds {len(slugs)} models ({', '.join(slugs[:5])}): give the folder of one of them"
        )
    return {f"{one.result.benchmark}.{one.result.task}": one for one in found}


def _differing(name: str, a: TaskResult, b: TaskResult) -> list[str]:
    if (a.kind, a.cluster) != (b.kind, b.cluster):
        raise Refusal(
            f"{name} is {a.kind} by {a.cluster} for one model and {b.kind} by {b.cluster} for the other: score both alike"
        )
    notes = []
    if a.version != b.version:
        notes.append(f"{name}: versions {a.version} and {b.version} of the benchmark")
    if a.hashes.get("classes") != b.hashes.get("classes"):
        notes.append(
            f"{name}: the models chose among other classes ({len(a.class_keys):,} and {len(b.class_keys):,}): "
            "the difference is not theirs alone"
        )
    elif a.hashes.get("prompts") != b.hashes.get("prompts"):
        notes.append(f"{name}: the models were asked in other words: the difference is not theirs alone")
    return notes


def _name(result: TaskResult) -> str:
    return " ".join(filter(None, (result.model, result.pretrained)))


def _some(found: Mapping[str, Found]) -> str:
    names = list(found)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
