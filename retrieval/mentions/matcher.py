"""Finding the concepts of a vocabulary in captions, whole columns at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.incidence import Incidence
from oddpair.retrieval.mentions.slow import find_slowly

Overlap = Literal["all", "longest"]


class Finder(Protocol):
    """What finds concepts in captions: the matcher below, or one that counts as a paper did."""

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions; a null mentions none."""
        ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """Finds where captions mention concepts (stand-in: slow)."""

    vocabulary: Vocabulary
    overlap: Overlap = "all"

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions; a null mentions none."""
        return find_slowly(self.vocabulary, captions.to_pylist(), overlap=self.overlap)
