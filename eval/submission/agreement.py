"""How far two sets of predictions agree: those that were submitted, and those of the same weights run again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.errors import Refusal
from oddpair.eval.scoring.record_checks import as_matrix, lengths_of
from oddpair.eval.scoring.records import ASKED

# The number of each kind of record that both runs must have computed alike.
_SCORE: dict[Kind, str] = {
    "classification": "target_score",
    "pairs": "target_score",
    "multilabel": "scores",
    "retrieval": "best_score",
    "choice": "scores",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two runs on the same questions.

    Attributes:
        n: Questions.
        agree: Share of them that both answer alike, 0 to 1.
        largest_difference: Largest difference of a score, on the scale of cosines.
    """

    n: int
    agree: float
    largest_difference: float


def find_agreement(submitted: pa.Table, again: pa.Table, kind: Kind) -> Agreement:
    """Compare submitted predictions with those of a second run on some of the same questions.

    Answers are those of `best_answers`.

    Args:
        submitted: Records of the submission.
        again: Records of the second run, of the same questions or fewer, at least one.
        kind: What was asked.

    Returns:
        The agreement.

    Raises:
        Refusal: If the second run was asked what the submission does not answer, or of other pictures.
    """
    asked = ASKED[kind]
    place = {row: number for number, row in enumerate(zip(*_columns(submitted, asked), strict=True))}
    wanted = list(zip(*_columns(again, asked), strict=True))
    strangers = [row for row in wanted if row not in place]
    if strangers or not wanted:
        told = " ".join(map(str, strangers[0])) if strangers else "nothing"
        raise Refusal(
            f"{len(strangers):,} of {len(wanted):,} questions of the second run are not in the submission, the first "
            f"{told}: give the set that the benchmark was made of"
        )
    same = submitted.take(pa.array([place[row] for row in wanted], pa.int64()))
    if same["uid"].to_pylist() != again["uid"].to_pylist():
        raise Refusal(
            "the second run was asked of other pictures of the same keys: give the set of this version"
        )
    equal = best_answers(same, kind) == best_answers(again, kind)
    ours, theirs = (_flat(table[_SCORE[kind]]) for table in (same, again))
    if len(ours) != len(theirs):
        raise Refusal("the second run scored another number of candidates: give the classes of this version")
    return Agreement(
        n=len(wanted), agree=float(equal.mean()), largest_difference=float(np.abs(ours - theirs).max())
    )


def best_answers(records: pa.Table, kind: Kind) -> NDArray[np.int64]:
    """Return what a model answers to each question, as a number that equal answers share.

    That is the first of the best classes, of a choice and of multilabel the place of the highest score, and of retrieval,
    whose records name no answer, how many candidates stand before the right ones.

    Args:
        records: Records of the kind.
        kind: What was asked.

    Returns:
        Shape ``(n,)``.

    >>> best_answers(pa.table({"top_classes": [[3, 1], [2, 0]]}), "classification")
    array([3, 2])
    """
    if kind == "retrieval":
        column = records["n_greater"].to_numpy()
    elif kind in ("classification", "pairs"):
        column = pc.list_element(records["top_classes"], 0).to_numpy()
    else:
        width = int(lengths_of(records["scores"]).max())
        column = np.argmax(as_matrix(records["scores"], width, -np.inf), axis=1)
    answers: NDArray[np.int64] = column.astype(np.int64)
    return answers


def _columns(table: pa.Table, names: tuple[str, ...]) -> list[list[object]]:
    return [table[name].to_pylist() for name in names]


def _flat(column: pa.ChunkedArray) -> NDArray[np.float64]:
    whole = column.combine_chunks()
    values = whole.flatten() if pa.types.is_list(whole.type) else whole
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
