"""What a recipe makes: splits, tables beside them, and what the page of the splits shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.splits.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts per bin of some groups of rows, such as similarity before and after.

    Attributes:
        title: What is shown.
        label: Name of the axis, with its unit.
        edges: Ascending, shape ``(n_bins + 1,)``.
        counts: Name of each group and its counts, shape ``(n_bins,)``.
        marks: Values to mark, such as a threshold, by name.
    """

    title: str
    label: str
    edges: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Rows of each category in some groups, such as styles before and after.

    Attributes:
        title: What is shown.
        counts: Name of each group and its rows by category.
    """

    title: str
    counts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A table to read.

    Attributes:
        title: What is listed.
        columns: Heads.
        rows: Cells, one sequence a line.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]


Panel = Histogram | Composition | Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a recipe made.

    Attributes:
        splits: The splits, in reading order.
        tables: Further tables by file name, such as ``pairs.parquet``.
        panels: What the page shows, by the name of a split; under ``""`` what concerns all.
    """

    splits: tuple[Manifest, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    panels: Mapping[str, Sequence[Panel]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim of a split, computed again.

    Attributes:
        text: The claim.
        holds: Whether it holds.
        found: What was found, in words.
    """

    text: str
    holds: bool
    found: str
