"""Tables of a task: accuracy by style, class, concept, pair or category, each with its support and interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.eval.scoring.metrics import credit, score_matrix
from oddpair.eval.scoring.precision import average_precision, average_precision_interval
from oddpair.retrieval.proportion import clopper_pearson_interval

FloatArray = NDArray[np.float64]


def break_down(table: pa.Table, kind: Kind, class_names: Sequence[str]) -> dict[str, pa.Table]:
    """Break the main metric of a task down.

    Each row has ``n``, ``value``, ``low`` and ``high``: mean credit of the group's questions with Clopper and Pearson's
    interval at 95 %, which takes them as independent, and for ``multilabel`` a class's average precision, whose ``n`` is
    the pictures that show it. Groups without a question are left out.

    Args:
        table: Records of the kind.
        kind: What was asked.
        class_names: Names of the classes, in the task's order; not looked at for retrieval and choice.

    Returns:
        Tables by name, rows sorted by group: ``by-style`` (``style``, and ``direction`` for retrieval) where a style is
        known; ``by-class`` (``class``) for classification and multilabel; ``by-concept`` (``concept``, the one asked
        for) and ``by-pair`` (``first``, ``second``) for pairs; ``by-category`` (``category``) for choice.

    Raises:
        ValueError: If the records name more classes than there are names.
    """
    if kind == "multilabel":
        return {"by-class": _break_down_labels(table, class_names)}
    earned = credit(table, kind)
    style = {"style": _strings(table, "style")}
    found: dict[str, pa.Table] = {}
    if kind == "retrieval":
        found["by-style"] = _group({"direction": _strings(table, "direction"), **style}, earned)
    elif kind == "choice":
        found["by-style"] = _group(style, earned)
        found["by-category"] = _group({"category": _strings(table, "category")}, earned)
    else:
        found["by-style"] = _group(style, earned)
        numbers = np.stack([table["target"].to_numpy(), table["partner"].to_numpy()])
        if numbers.max() >= len(class_names):
            raise ValueError(f"records name class {numbers.max()}, there are names of {len(class_names)}")
        names = np.asarray(class_names, dtype=str)
        target = names[numbers[0]]
        if kind == "classification":
            found["by-class"] = _group({"class": target}, earned)
        else:
            pair = np.sort(np.stack([target, names[numbers[1]]]), axis=0)
            found["by-concept"] = _group({"concept": target}, earned)
            found["by-pair"] = _group({"first": pair[0], "second": pair[1]}, earned)
    if not style["style"].astype(bool).any():
        del found["by-style"]
    return found


def _group(columns: dict[str, NDArray[np.str_]], earned: FloatArray) -> pa.Table:
    stacked = np.stack(list(columns.values()), axis=1)
    groups, places = np.unique(stacked, axis=0, return_inverse=True)
    places = places.ravel()
    n, total = np.bincount(places), np.bincount(places, weights=earned)
    # A sum of parts such as thirds may miss a whole number by its last bits.
    ends = [
        clopper_pearson_interval(min(round(float(right), 9), int(asked)), int(asked))
        for right, asked in zip(total, n, strict=True)
    ]
    named = {name: groups[:, place] for place, name in enumerate(columns)}
    return _as_table(named, n, total / n, ends)


def _break_down_labels(table: pa.Table, class_names: Sequence[str]) -> pa.Table:
    scores, is_right = score_matrix(table)
    if scores.shape[1] != len(class_names):
        raise ValueError(f"records score {scores.shape[1]} classes, there are names of {len(class_names)}")
    shown = [k for k in range(scores.shape[1]) if is_right[:, k].any()]
    shown.sort(key=lambda k: class_names[k])
    n = is_right[:, shown].sum(axis=0)
    values = np.array([average_precision(scores[:, k], is_right[:, k])[0] for k in shown])
    ends = [
        average_precision_interval(float(value), int(right)) for value, right in zip(values, n, strict=True)
    ]
    return _as_table({"class": np.array([class_names[k] for k in shown])}, n, values, ends)


def _as_table(
    named: dict[str, NDArray[Any]], n: NDArray[Any], values: FloatArray, ends: list[tuple[float, float]]
) -> pa.Table:
    return pa.table(
        {
            **{name: pa.array(column.tolist(), pa.string()) for name, column in named.items()},
            "n": pa.array(n.astype(np.int64)),
            "value": pa.array(values, pa.float64()),
            "low": pa.array([low for low, _ in ends], pa.float64()),
            "high": pa.array([high for _, high in ends], pa.float64()),
        }
    )


def _strings(table: pa.Table, name: str) -> NDArray[np.str_]:
    return np.asarray(table[name].to_pylist(), dtype=str)
