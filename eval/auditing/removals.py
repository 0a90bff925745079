"""Corpus rows that would have to go, and the recipe by which ``oddpair split`` makes the split of those that stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.eval.auditing.found import Removal
from oddpair.splits.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemovalFound:
    """A removal with its rows and its recipe.

    Attributes:
        removal: What is told of it.
        rows: ``uid``, sorted, each once, and ``reason``, the first that applies.
        recipe: Settings of the recipe that keeps the other rows, JSON values, without its kind and inputs.
        inputs: Which inputs the recipe is given, of ``tests``, ``reference``, ``labels``, ``counts``, ``vocabulary``,
            ``tags`` and ``embeddings``; the corpus always is.
    """

    removal: Removal
    rows: pa.Table
    recipe: Mapping[str, Any]
    inputs: tuple[str, ...]


def make_removal(
    name: str, split: str, kind: str, pool: Pool, reasons: Mapping[str, NDArray[np.bool_]]
) -> tuple[Removal, pa.Table]:
    """Put together what goes, by reasons that may overlap: a row goes for the first that applies.

    Args:
        name: Of the removal.
        split: Of the split that is left.
        kind: Of its recipe.
        pool: Rows of the corpus.
        reasons: Masks over the pool, by reason, in reading order.

    Returns:
        What is told of it, and its rows: ``uid`` and ``reason``.

    >>> pool = Pool(uids=pa.array(["a", "b", "c"], pa.large_string()), rows=np.arange(3))
    >>> first, second = np.array([True, False, False]), np.array([True, True, False])
    >>> removal, rows = make_removal("far", "far-1", "similarity", pool, {"near": first, "alike": second})
    >>> removal.why, removal.left, rows.to_pylist()
    ((('near', 1), ('alike', 1)), 1, [{'uid': 'a', 'reason': 'near'}, {'uid': 'b', 'reason': 'alike'}])
    """
    gone, why = np.zeros(len(pool), dtype=np.bool_), list[tuple[str, int]]()
    place = np.full(len(pool), -1, dtype=np.int8)
    for number, (reason, mask) in enumerate(reasons.items()):
        new = mask & ~gone
        place[new] = number
        gone |= new
        why.append((reason, int(new.sum())))
    names = pa.array(list(reasons), pa.string())
    rows = pa.table({"uid": pool.keep(gone), "reason": names.take(pa.array(place[gone]))})
    total = int(gone.sum())
    removal = Removal(
        name=name,
        split=split,
        kind=kind,
        rows=len(pool),
        gone=total,
        left=len(pool) - total,
        why=tuple(why),
    )
    return removal, rows
