"""What a model earned for each question of a task: the form in which models and tasks are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files
from oddpair.benchmarks.evaluation_set import Kind
from oddpair.errors import Refusal
from oddpair.eval.intervals import FloatArray
from oddpair.eval.results import Found
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.scoring.records import read_records


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a model earned for each question of a task.

    Attributes:
        questions: Their ids, unique; the same question has the same id whatever the model, shape ``(n,)``.
        clusters: Name of what each question goes alike with; the same name in another task is the same thing,
            shape ``(n,)``.
        credit: From 0 to 1, of which the mean is the task's main metric, shape ``(n,)``.
    """

    questions: Sequence[str]
    clusters: Sequence[str]
    credit: FloatArray

    def __post_init__(self) -> None:
        """Refuse columns that do not fit each other."""
        n = len(self.questions)
        if not n or len(self.clusters) != n or self.credit.shape != (n,):
            raise ValueError(
                f"{n} questions, {len(self.clusters)} clusters, credit {self.credit.shape}: needed as many, 1 or more"
            )
        if len(set(self.questions)) != n:
            raise ValueError(f"{n} questions, of which only {len(set(self.questions))} differ")
        if not ((self.credit >= 0) & (self.credit <= 1)).all():
            raise ValueError("a question's credit is not between 0 and 1")

    def __len__(self) -> int:
        """Questions."""
        return len(self.questions)


def answers_of(table: pa.Table, kind: Kind, *, cluster: str, class_keys: Sequence[str]) -> Answers:
    """Take the answers from records.

    Of retrieval these are the captions' queries, whose recall at 1 is its main metric.

    Args:
        table: Records of a task.
        kind: What was asked; not ``multilabel``, whose main metric is no mean over questions.
        cluster: What goes alike: ``image``, ``class`` or ``pair``.
        class_keys: Keys of the candidates, by which classes and pairs are known in other tasks; empty for
            retrieval and choice.

    Returns:
        The answers, in the order of the records.

    Raises:
        Refusal: If the kind is ``multilabel``.
    """
    if kind == "multilabel":
        raise Refusal(
            "mean average precision is no mean over questions: tasks of kind multilabel cannot be compared"
        )
    if kind == "retrieval":
        table = table.filter(pc.equal(table["direction"], "text_to_image"))
    told: list[Sequence[str]] = [table["key"].to_pylist(), table["uid"].to_pylist()]
    classes = (
        [[class_keys[number] for number in table["target"].to_pylist()]]
        if "target" in table.column_names
        else []
    )
    if kind == "pairs":
        classes.append([class_keys[number] for number in table["partner"].to_pylist()])
    if kind == "retrieval":
        told.append([str(number) for number in table["caption"].to_pylist()])
    return Answers(
        questions=_join([*told, *classes]),
        clusters=_name_clusters(table, cluster, classes),
        credit=credit(table, kind),
    )


def read_answers(found: Found) -> Answers:
    """Read the answers of a result from its records.

    Raises:
        Refusal: If the records are missing, are not those of the result, or are damaged.
    """
    result = found.result
    table = read_records(found.record_path, result.kind)
    if files.sha256(found.record_path) != result.records:
        raise Refusal(f"{found.record_path} is not what {found.path} was made from: score the model again")
    return answers_of(table, result.kind, cluster=result.cluster, class_keys=result.class_keys)


def align(a: Answers, b: Answers, task: str) -> FloatArray:
    """Return the credit of a second model in the order of the first's questions, shape ``(n,)``.

    Raises:
        Refusal: If they were not asked the same questions.
    """
    place = {question: row for row, question in enumerate(b.questions)}
    rows = [place[question] for question in a.questions if question in place]
    only_a, only_b = len(a) - len(rows), len(b) - len(rows)
    if only_a or only_b:
        raise Refusal(
            f"{task}: the models were not asked the same: of {len(a):,} and {len(b):,} questions {only_a:,} are of the first "
            f"alone and {only_b:,} of the second: score both on the same pictures"
        )
    return b.credit[rows]


def make_seed(sides: Iterable[Answers]) -> int:
    """Return the seed of draws from some tasks' questions, which all models that are asked them share."""
    return int(files.digest([sorted(side.questions) for side in sides])[:16], 16)


def _name_clusters(table: pa.Table, cluster: str, classes: Sequence[Sequence[str]]) -> list[str]:
    if cluster == "image":
        return _join([["image"] * table.num_rows, table["uid"].to_pylist()])
    if cluster == "class" and classes:
        return _join([["class"] * table.num_rows, classes[0]])
    if cluster == "pair" and len(classes) == 2:
        pairs = [sorted(pair) for pair in zip(*classes, strict=True)]
        return _join(
            [["pair"] * table.num_rows, [first for first, _ in pairs], [second for _, second in pairs]]
        )
    raise ValueError(f"records of {table.column_names} know no cluster {cluster!r}")


def _join(columns: Sequence[Sequence[str]]) -> list[str]:
    # No key, uid or class holds a newline.
    return ["\n".join(parts) for parts in zip(*columns, strict=True)]
