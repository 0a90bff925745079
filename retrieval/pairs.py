"""Scored pairs of a test and a corpus row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of a test and a corpus row, by their numbers, with their scores; all of shape ``(p,)``.

    ``test`` and ``row`` are int64, ``score`` is float32.
    """

    test: NDArray[np.int64]
    row: NDArray[np.int64]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.score)

    def take(self, places: NDArray[np.int64]) -> Pairs:
        """Return the pairs at some places."""
        return Pairs(test=self.test[places], row=self.row[places], score=self.score[places])


def join(parts: Sequence[Pairs]) -> Pairs:
    """Return the pairs of all parts in one; no parts give no pairs.

    >>> len(join([]))
    0
    """
    return Pairs(
        test=np.concatenate([np.empty(0, np.int64), *(part.test for part in parts)]),
        row=np.concatenate([np.empty(0, np.int64), *(part.row for part in parts)]),
        score=np.concatenate([np.empty(0, np.float32), *(part.score for part in parts)]),
    )
