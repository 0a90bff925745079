"""A task joined with its set: which pictures are asked about, and what the answers may be."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oddpair.benchmarks.benchmark import ClassList, Task
from oddpair.benchmarks.evaluation_set import COLUMNS, EvaluationSet
from oddpair.errors import Refusal
from oddpair.files import digest

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """What a task asks of the pictures of its set that can be read.

    Attributes:
        task: The task.
        rows: Rows of the set's table: one a question; for ``retrieval`` the whole gallery, shape ``(n,)``.
        keys: Their keys, or ids of the questions for ``choice``.
        uids: Ids of their pictures; for ``choice`` of all pictures of each question, a space between.
        styles: Their styles, ``""`` where unknown.
        classes: The candidates; empty for ``retrieval`` and ``choice``.
        target: Index of the right class, shape ``(n,)``; -1 throughout where there is no such.
        partner: For ``pairs``, index of the class that is given, shape ``(n,)``.
        labels: For ``multilabel``, indices of the right classes of each picture.
        captions: For ``retrieval``, the captions of each picture; for ``choice``, those of each question.
        asking: For ``retrieval``, which pictures of the gallery ask, shape ``(n,)``.
        images: For ``choice``, rows of the set's table of the pictures of each question.
        categories: For ``choice``, the category of each.
    """

    task: Task
    rows: IntArray
    keys: tuple[str, ...]
    uids: tuple[str, ...]
    styles: tuple[str, ...]
    classes: ClassList
    target: IntArray
    partner: IntArray
    labels: tuple[tuple[int, ...], ...] = ()
    captions: tuple[tuple[str, ...], ...] = ()
    asking: BoolArray | None = None
    images: tuple[IntArray, ...] = ()
    categories: tuple[str, ...] = ()

    def identify(self) -> str:
        """Return a hash of what is asked and of the right answers, in any order of the questions.

        Prompts and names of classes are no part of it.
        """
        keys = self.classes.keys
        answers: list[object] = [[]] * len(self.keys)
        if self.task.kind in ("classification", "pairs"):
            wanted = zip(self.target.tolist(), self.partner.tolist(), strict=True)
            answers = [[keys[a], keys[b] if b >= 0 else ""] for a, b in wanted]
        elif self.task.kind == "multilabel":
            answers = [[keys[label] for label in labels] for labels in self.labels]
        elif self.task.kind == "choice":
            answers = list(self.categories)
        asking = [True] * len(self.keys) if self.asking is None else self.asking.tolist()
        captions = self.captions or [()] * len(self.keys)
        rows = zip(self.keys, self.uids, self.styles, answers, captions, asking, strict=True)
        return digest(sorted(json.dumps(row) for row in rows))

    @property
    def n_pictures(self) -> int:
        """Different pictures that are looked at."""
        return len(np.unique(np.concatenate([self.rows, *self.images])))

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class, in their order; for ``pairs``, those of one class alone."""
        if self.classes.prompts:
            return self.classes.prompts
        return tuple(
            tuple(fill(template, name) for template in self.task.templates) for name in self.classes.names
        )

    def pair_prompts(self, first: int, second: int) -> tuple[str, ...]:
        """Return the prompts of two classes together, each template in both orders."""
        names = self.classes.names[first], self.classes.names[second]
        return tuple(
            fill(template, *order) for template in self.task.templates for order in (names, names[::-1])
        )


def fill(template: str, *names: str) -> str:
    """Put names where a template has ``{}``; other braces are letters like any other.

    >>> fill("a photo of {} in {braces}", "a cat")
    'a photo of a cat in {braces}'
    """
    parts = template.split("{}")
    if len(parts) != len(names) + 1:
        raise ValueError(f"template {template!r} has {len(parts) - 1} places, {len(names)} names")
    return parts[0] + "".join(name + part for name, part in zip(names, parts[1:], strict=True))


def ask(
    task: Task, found: EvaluationSet, uids: Sequence[str | None], members: Collection[str] | None
) -> Questions:
    """Join a task with its set.

    Args:
        task: The task.
        found: Its set.
        uids: Id of each picture of the set's table; ``None`` where it cannot be read.
        members: Ids of the split that the task is limited to; ``None`` for none.

    Returns:
        The questions, at least one.

    Raises:
        Refusal: If the set is of another kind, a label is no class of the task, or nothing is left to ask.
    """
    if found.kind != task.kind:
        raise Refusal(
            f"task {task.name} asks for {task.kind}, the set {found.root} is for {found.kind}: give another set"
        )
    good = np.array([uid is not None and (members is None or uid in members) for uid in uids], dtype=np.bool_)
    styles = found.table["style"].to_pylist()
    if task.styles:
        good &= np.array([style in task.styles for style in styles], dtype=np.bool_)
    if task.kind == "choice":
        return _ask_choices(task, found, uids, good, styles)
    values = found.table[COLUMNS[task.kind][0]].to_pylist()
    if task.kind == "retrieval":
        return _ask_retrieval(task, found, uids, good, styles, values)
    classes = _classes_of(task, found)
    return _ask_labels(task, found, uids, good, styles, values, classes)


def with_templates(task: Task, found: EvaluationSet) -> Task:
    """Return a task with the set's own templates where it has none.

    Raises:
        Refusal: If the set has none either.
    """
    if task.templates or task.kind in ("retrieval", "choice") or (task.classes and task.classes.prompts):
        return task
    if not found.templates:
        raise Refusal(
            f"task {task.name}: neither it nor {found.root} has templates: name some in the benchmark"
        )
    return replace(task, templates=found.templates)


def _classes_of(task: Task, found: EvaluationSet) -> ClassList:
    if task.classes is not None:
        return task.classes
    names = found.class_names or tuple(key.replace("_", " ") for key in found.classes)
    return ClassList(name="own", keys=found.classes, names=names)


def _ask_labels(
    task: Task,
    found: EvaluationSet,
    uids: Sequence[str | None],
    good: BoolArray,
    styles: list[str],
    values: list[object],
    classes: ClassList,
) -> Questions:
    known = set(classes.keys)
    labels = [_as_list(value) for value in values]
    if task.only:
        chosen = set(task.only)
        if not chosen <= known:
            raise Refusal(
                f"task {task.name}: {sorted(chosen - known)[0]!r} of 'only' is no class of {classes.name}"
            )
        good = good & np.array([any(key in chosen for key in keys) for keys in labels], dtype=np.bool_)
        classes = _keep(classes, chosen)
        known = chosen
    if task.kind == "classification":
        stranger = next((row for row in np.flatnonzero(good).tolist() if labels[row][0] not in known), None)
        if stranger is not None:
            raise Refusal(
                f"{found.root}: {found.table['key'][stranger].as_py()} is labelled {labels[stranger][0]!r}, which is no class "
                f"of {classes.name}: give the set that task {task.name} was made for"
            )
    rows = np.flatnonzero(good)
    _need_some(task, found, len(rows))
    if task.present_only:
        present = {key for row in rows.tolist() for key in labels[row]}
        classes = _keep(classes, present)
    least = 3 if task.kind == "pairs" else 2
    if len(classes.keys) < least:
        raise Refusal(
            f"task {task.name}: {len(classes.keys)} classes of {classes.name} are left as candidates, a decision needs "
            f"{least} or more: give it a wider limit, or leave the limit out"
        )
    place = {key: index for index, key in enumerate(classes.keys)}
    keys = found.table["key"].to_pylist()
    target = np.full(len(rows), -1, dtype=np.int64)
    partner = target.copy()
    many: tuple[tuple[int, ...], ...] = ()
    if task.kind == "classification":
        target = np.array([place[labels[row][0]] for row in rows.tolist()], dtype=np.int64)
    elif task.kind == "multilabel":
        many = tuple(
            tuple(sorted(place[key] for key in labels[row] if key in place)) for row in rows.tolist()
        )
    else:
        for row in rows.tolist():
            if len(labels[row]) != 2 or not known.issuperset(labels[row]):
                raise Refusal(
                    f"{found.root}: {keys[row]} shows {labels[row]}, task {task.name} needs two classes of {classes.name}"
                )
        pairs = np.array([[place[key] for key in labels[row]] for row in rows.tolist()], dtype=np.int64)
        # Each of the two is asked for, given the other.
        rows, target, partner = np.repeat(rows, 2), pairs.ravel(), pairs[:, ::-1].ravel()
    return Questions(
        task=task,
        rows=rows,
        keys=tuple(keys[row] for row in rows.tolist()),
        uids=tuple(uids[row] or "" for row in rows.tolist()),
        styles=tuple(styles[row] for row in rows.tolist()),
        classes=classes,
        target=target,
        partner=partner,
        labels=many,
    )


def _ask_retrieval(
    task: Task,
    found: EvaluationSet,
    uids: Sequence[str | None],
    good: BoolArray,
    styles: list[str],
    values: list[list[str]],
) -> Questions:
    # The gallery stays whole, whoever asks: recall in a smaller one is another number.
    rows = np.array([row for row, uid in enumerate(uids) if uid is not None], dtype=np.int64)
    # A picture without a caption is found by none, but stands in the way of others.
    good = good & np.array([len(captions) > 0 for captions in values], dtype=np.bool_)
    _need_some(task, found, int(good.sum()))
    keys = found.table["key"].to_pylist()
    return Questions(
        task=task,
        rows=rows,
        keys=tuple(keys[row] for row in rows.tolist()),
        uids=tuple(uids[row] or "" for row in rows.tolist()),
        styles=tuple(styles[row] for row in rows.tolist()),
        classes=_NO_CLASSES,
        target=np.full(len(rows), -1, dtype=np.int64),
        partner=np.full(len(rows), -1, dtype=np.int64),
        captions=tuple(tuple(values[row]) for row in rows.tolist()),
        asking=good[rows],
    )


def _ask_choices(
    task: Task, found: EvaluationSet, uids: Sequence[str | None], good: BoolArray, styles: list[str]
) -> Questions:
    assert found.questions is not None
    place = {key: row for row, key in enumerate(found.table["key"].to_pylist())}
    asked = [
        (question, np.array([place[key] for key in question["images"]], dtype=np.int64))
        for question in found.questions.to_pylist()
    ]
    asked = [(question, rows) for question, rows in asked if good[rows].all()]
    _need_some(task, found, len(asked))
    return Questions(
        task=task,
        rows=np.array([rows[0] for _, rows in asked], dtype=np.int64),
        keys=tuple(question["question"] for question, _ in asked),
        uids=tuple(" ".join(uids[row] or "" for row in rows.tolist()) for _, rows in asked),
        styles=tuple(styles[rows[0]] for _, rows in asked),
        classes=_NO_CLASSES,
        target=np.full(len(asked), -1, dtype=np.int64),
        partner=np.full(len(asked), -1, dtype=np.int64),
        captions=tuple(tuple(question["captions"]) for question, _ in asked),
        images=tuple(rows for _, rows in asked),
        categories=tuple(question["category"] for question, _ in asked),
    )


_NO_CLASSES = ClassList(name="none", keys=(), names=())


def _as_list(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def _keep(classes: ClassList, chosen: Collection[str]) -> ClassList:
    places = [place for place, key in enumerate(classes.keys) if key in chosen]
    return ClassList(
        name=classes.name,
        keys=tuple(classes.keys[place] for place in places),
        names=tuple(classes.names[place] for place in places),
        prompts=tuple(classes.prompts[place] for place in places) if classes.prompts else (),
    )


def _need_some(task: Task, found: EvaluationSet, n: int) -> None:
    if not n:
        limits = [
            name
            for name, limit in (("split", task.split), ("styles", task.styles), ("classes", task.only))
            if limit
        ]
        why = f" after its limits ({', '.join(limits)})" if limits else ""
        raise Refusal(
            f"task {task.name}: no picture of {found.root} is left{why}: check that they are of this set"
        )
