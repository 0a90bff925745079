"""Unit rows with ids, read some at a time: what every exact search runs over."""

# ruff: noqa: D102  The methods of a protocol are told in its docstring.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# What rounding to 16 bits, and sums in them, can do to the length of a unit row.
UNIT_TOLERANCE = 2e-3

IntArray = NDArray[np.int64]


class UnitRows(Protocol):
    """Rows of length 1 of one corpus, numbered from 0; several threads may read at once.

    ``read(start, stop)`` gives rows as C-ordered float16 or float32 of shape ``(stop - start, d)``,
    ``uids(rows)`` their ids in the order asked for, and ``tell_place(row)`` the file and row, for an error.
    """

    @property
    def shape(self) -> tuple[int, int]: ...
    def read(self, start: int, stop: int) -> NDArray[Any]: ...
    def uids(self, rows: IntArray) -> list[str]: ...
    def tell_place(self, row: int) -> str: ...


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Unit rows in memory, float16 or float32 of shape ``(n, d)``, with ``n`` ids.

    >>> held = HeldRows(np.eye(2, dtype=np.float32), ["a", "b"])
    >>> held.uids(np.array([1, 0]))
    ['b', 'a']
    """

    rows: NDArray[Any]
    ids: Sequence[str]
    name: str = "row"

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.dtype not in (np.float16, np.float32):
            raise ValueError(
                f"rows are {self.rows.dtype} of shape {self.rows.shape}, needed float16 or float32 of (n, d)"
            )
        if len(self.rows) != len(self.ids):
            raise ValueError(f"found {len(self.rows)} rows and {len(self.ids)} uids, needed as many")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimension."""
        return self.rows.shape[0], self.rows.shape[1]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows ``start`` to ``stop``."""
        return np.ascontiguousarray(self.rows[start:stop])

    def uids(self, rows: IntArray) -> list[str]:
        """Return the ids of rows."""
        return [self.ids[row] for row in rows.tolist()]

    def tell_place(self, row: int) -> str:
        """Name a row in an error."""
        return f"{self.name} {row}"


def find_bad_row(rows: NDArray[np.float32]) -> tuple[int, float] | None:
    """Return the first row whose length is not 1, with that length, which is NaN where a number is.

    Args:
        rows: C-ordered, shape ``(n, d)``.

    Returns:
        The row and its length; ``None`` if all are unit rows.

    >>> find_bad_row(np.array([[1, 0], [3, 4]], dtype=np.float32))
    (1, 5.0)
    """
    from oddpair.retrieval.kernel.quantise import squared_lengths

    lengths = np.sqrt(squared_lengths(rows))
    # NaN is no good length either.
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE))
    return (int(bad[0]), float(lengths[bad[0]])) if len(bad) else None
