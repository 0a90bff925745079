"""Predictions of a submission: decoded under guard, held against the answer key, checked row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.benchmarks.answer_keys import AnswerKey
from oddpair.errors import Refusal
from oddpair.eval.scoring.ranking import LISTED
from oddpair.eval.scoring.records import ASKED, SCHEMAS, check_records
from oddpair.eval.submission.bundle import BundleFile
from oddpair.eval.submission.decoder import decode_table
from oddpair.eval.submission.submission import MOST_PREDICTION_BYTES
from oddpair.eval.submission.words import show

# So many rows too many are still read, to name what is asked twice or not at all.
_ROOM = 2
# Levels, dictionaries and headers of pages, of small files.
_SLACK = 64 << 10
_NAMED = 3
_REMEDY = "give the file that oddpair eval wrote"


def read_predictions(file: BundleFile, key: AnswerKey) -> pa.Table:
    """Read the predictions of a task.

    Everything that is not the model's answer must be what the key says: each question answered once, and no other, about
    the same picture, style, right answer and number of candidates. Whether the answers can be a model's is looked at by
    `oddpair.eval.submission.possible.find_impossible`.

    Args:
        file: The file, of a stranger.
        key: What was asked.

    Returns:
        Records as `oddpair.eval.scoring.records.read_records`, in the order of the key.

    Raises:
        Refusal: With what is wrong, in a line that names the file.
    """
    if file.size > MOST_PREDICTION_BYTES:
        raise Refusal(
            f"{file.path} has {file.size:,} bytes, at most {MOST_PREDICTION_BYTES:,} are needed: {_REMEDY}"
        )
    schema, n = SCHEMAS[key.kind], key.table.num_rows
    width = _widest_list(key)
    own = [field for field in schema if field.name not in key.table.column_names]
    row = sum(4 * width + 8 if pa.types.is_list(field.type) else 8 for field in own)
    try:
        table = decode_table(
            file.read(),
            schema,
            most_rows=_ROOM * n,
            most_bytes=_ROOM * (key.table.nbytes + n * row) + _SLACK,
            most_values=_ROOM * n * width,
        )
    except ValueError as problem:
        raise Refusal(
            f"{file.path}: {problem}; {n:,} records of {key.name} are needed: {_REMEDY}"
        ) from problem
    # First of all the key: what else is told of a row then names a question of ours.
    _check_questions(table, key, file.path)
    table = table.sort_by([(name, "ascending") for name in ASKED[key.kind]]).combine_chunks()
    _check_truth(table, key, file.path)
    return check_records(table, key.kind, file.path)


def _widest_list(key: AnswerKey) -> int:
    if key.kind == "multilabel":
        return len(key.class_keys)
    if key.kind == "choice":
        return int(pc.max(pc.multiply(key.table["n_images"], key.table["n_captions"])).as_py())
    return LISTED


def _check_questions(table: pa.Table, key: AnswerKey, path: str) -> None:
    asked = ASKED[key.kind]
    needed, found = _questions(key.table, asked), _questions(table, asked)
    times, known = Counter(found), frozenset(needed)
    missing = [question for question in needed if question not in times]
    extra = [question for question in times if question not in known]
    twice = [question for question, n in times.items() if n > 1]
    for questions, what in (
        (missing, "are not answered"),
        (extra, "were never asked"),
        (twice, "are answered more than once"),
    ):
        if questions:
            raise Refusal(
                f"{path}: {len(questions):,} questions {what} ({_name(questions, asked)}), needed each of the "
                f"{len(needed):,} of {key.name} once: {_REMEDY}"
            )


def _questions(table: pa.Table, names: Iterable[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def _check_truth(table: pa.Table, key: AnswerKey, path: str) -> None:
    asked = _questions(key.table, ASKED[key.kind])
    for name in key.table.column_names:
        needed, found = key.table[name].to_pylist(), table[name].to_pylist()
        wrong = np.flatnonzero([one != other for one, other in zip(needed, found, strict=True)]).tolist()
        if wrong:
            first = wrong[0]
            raise Refusal(
                f"{path}: {len(wrong):,} rows have another {name} than was asked ({_name([asked[first]], ASKED[key.kind])} "
                f"has {_tell(found[first])}, needed {_tell(needed[first])}): {_REMEDY}"
            )


def _name(questions: list[tuple[Any, ...]], names: Iterable[str]) -> str:
    named = [
        " ".join(f"{name} {_tell(value)}" for name, value in zip(names, question, strict=True))
        for question in questions[:_NAMED]
    ]
    return "; ".join(named) + ("; ..." if len(questions) > _NAMED else "")


def _tell(value: object) -> str:
    # A stranger's text may hold what a terminal or a log takes for a command.
    told = show(value) if isinstance(value, str) else ascii(value)
    return told if len(told) <= 60 else f"{told[:57]}..."
