"""Consecutive shards that one job takes together, and how the files of its findings are called."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path


def group_shards(sizes: Sequence[int], rows: int) -> list[tuple[int, int]]:
    """Join consecutive shards until they have ``rows`` rows: the first of each group and the one behind its last.

    What is left at the end joins the last group, so that none is small unless all are together.

    >>> group_shards([3, 1, 5, 0, 2], rows=4)
    [(0, 2), (2, 5)]
    """
    ends, held = [0], 0
    for shard, size in enumerate(sizes):
        held += size
        if held >= rows:
            ends.append(shard + 1)
            held = 0
    ends[max(1, len(ends) - 1) :] = [len(sizes)]
    return list(itertools.pairwise(ends))


def numbered(out: Path, name: str, index: int, count: int, *, ending: str = "parquet") -> Path:
    """Return where one of ``count`` parts lies, with as many digits as sort them by name, at least four.

    >>> numbered(Path("n"), "rows", 3, 12).as_posix()
    'n/rows/rows_0003.parquet'
    """
    return out / name / f"{name}_{index:0{max(4, len(str(count - 1)))}d}.{ending}"
