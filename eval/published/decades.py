"""The published means of accuracy by decade of the count, made again."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.intervals import FloatArray
from oddpair.eval.prediction.table_cells import read_cells
from oddpair.eval.published.agreement import Agreement, compare_column
from oddpair.eval.published.layout import CLASSIFICATION, DECADES, ZERO_SHOT, Published, join

# Published to three decimals of a per cent.
TOLERANCE = 6e-4
BoolArray = NDArray[np.bool_]
_DECADE = re.compile(r"\[(\d+),(\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDecade:
    """Mean accuracy of the concepts whose counts lie in one decade, in per cent.

    Attributes:
        model: Backbone.
        corpus: Its pretraining corpus.
        method: How concepts were counted in it.
        label: ``0``, or such as ``[1,10)``.
        n: Concepts.
        mean: Their mean accuracy, ensemble prompts, the 17 sets.
        error: Standard deviation with n degrees of freedom over the root of n, as published: too small by the root of
            (n - 1) / n and blind to concepts that stand in several sets.
    """

    model: str
    corpus: str
    method: str
    label: str
    n: int
    mean: float
    error: float


def reproduce_decades(published: Published) -> tuple[tuple[PublishedDecade, ...], tuple[Agreement, ...]]:
    """Make the published decades again.

    Args:
        published: The tables.

    Returns:
        The decades in the order of their table, and how far each column lies from the published one.

    Raises:
        Refusal: If a row names what is not there or a decade that holds nothing, or leaves concepts out.
    """
    cells = read_cells(published.folder / DECADES)
    names = (cells.text(name) for name in ("model", "pretrain", "counttype", "freq_bin"))
    found = []
    for row, (model, corpus, method, label) in enumerate(zip(*names, strict=True)):
        concepts = join(published, (ZERO_SHOT, "ensemble"), model, corpus, method, CLASSIFICATION)
        if isinstance(concepts, str):
            raise Refusal(f"{cells.where(row)}: {concepts}: leave the row out")
        inside = concepts.score[_lies_in(concepts.count, label, cells.where(row))]
        if len(inside) == 0:
            raise Refusal(f"{cells.where(row)}: no concept has a count in {label}: leave the row out")
        found.append(
            PublishedDecade(
                model=model,
                corpus=corpus,
                method=method,
                label=label,
                n=len(inside),
                mean=float(inside.mean()),
                error=float(inside.std() / np.sqrt(len(inside))),
            )
        )
    rows = [f"{one.model} {one.corpus}, {one.method}, {one.label}" for one in found]
    columns: dict[str, list[float]] = {
        "n": [one.n for one in found],
        "mean_acc": [one.mean for one in found],
        "sem": [one.error for one in found],
    }
    return tuple(found), tuple(
        compare_column(
            DECADES,
            column,
            cells.numbers(column),
            ours,
            tolerance=0.0 if column == "n" else TOLERANCE,
            rows=rows,
        )
        for column, ours in columns.items()
    )


def _lies_in(count: FloatArray, label: str, where: str) -> BoolArray:
    if label == "0":
        never: BoolArray = count == 0
        return never
    ends = _DECADE.fullmatch(label)
    if ends is None:
        raise Refusal(f"{where}: freq_bin is {label!r}, needed 0 or one such as [10,100): mend the table")
    inside: BoolArray = (count >= int(ends[1])) & (count < int(ends[2]))
    return inside
