"""Finding the concepts of a vocabulary in captions, whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.arrow import ArrowMatcher
from oddpair.retrieval.mentions.characters import Characters, fold_characters
from oddpair.retrieval.mentions.columns import read_buffers
from oddpair.retrieval.mentions.incidence import Incidence, join
from oddpair.retrieval.mentions.tables import make_tables
from oddpair.retrieval.words import find_words

Overlap = Literal["all", "longest"]


def _no_characters(entries: int) -> Characters:
    return Characters(
        start=np.zeros(1, np.int32), forms=np.zeros(0, np.uint8), alone=np.zeros(entries, np.bool_)
    )


# Text that is words and spaces already, and text that was seen to be ASCII.
_FOLDED, _ASCII = _no_characters(0), _no_characters(1)


class Finder(Protocol):
    """What finds concepts in captions: the matcher below, or one that counts as a paper did."""

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions; a null mentions none."""
        ...


class Matcher:
    """Finds where captions mention the concepts of a vocabulary, in one compiled pass over their bytes.

    A concept is mentioned when the words of one of its forms follow each other. Of forms that overlap all count with
    ``all``; with ``longest`` those do not that lie inside a longer one. Threads may share a matcher: it is not changed.
    Where numba is missing, Arrow finds the same.
    """

    def __init__(self, vocabulary: Vocabulary, overlap: Overlap = "all") -> None:
        self.vocabulary = vocabulary
        self.overlap = overlap
        self._scan_captions = load_scan()
        if self._scan_captions is None:
            self._arrow = ArrowMatcher(vocabulary, overlap)
        else:
            self._tables = make_tables(vocabulary)

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions.

        Args:
            captions: Text of any Arrow type, in UTF-8; a null mentions nothing.

        Returns:
            A row for each caption.

        >>> from oddpair.retrieval.concepts import build_vocabulary
        >>> Matcher(build_vocabulary(["tree", "pine tree"])).find(pa.array(["two pine trees", None])).ends.tolist()
        [0, 2, 2]
        """
        if self._scan_captions is None:
            return self._arrow.find(captions)
        chunks = captions.chunks if isinstance(captions, pa.ChunkedArray) else [captions]
        return join([self._find_in_chunk(chunk) for chunk in chunks], len(self.vocabulary))

    def _find_in_chunk(self, captions: pa.Array) -> Incidence:
        values, offsets = read_buffers(captions)
        text = values[offsets[0] : offsets[-1]]
        other = len(text) > 0 and int(text.max()) >= 0x80
        found, hard = self._scan(values, offsets, fold_characters() if other else _ASCII)
        if not len(hard):
            return found
        texts = (values[offsets[row] : offsets[row + 1]].tobytes().decode() for row in hard.tolist())
        words = [" ".join(find_words(text)) for text in texts]
        whole, _ = self._scan(*read_buffers(pa.array(words, pa.large_string())), _FOLDED)
        return _put(found, hard, whole)

    def _scan(
        self, values: NDArray[np.uint8], offsets: NDArray[np.int64], characters: Characters
    ) -> tuple[Incidence, NDArray[np.int64]]:
        assert self._scan_captions is not None
        ends, concepts, hard = self._scan_captions(
            values, offsets, self._tables, characters, self.overlap == "longest"
        )
        return Incidence(ends=ends, concepts=concepts, n_concepts=len(self.vocabulary)), hard


def load_scan() -> Callable[..., Any] | None:
    """Return the compiled pass over captions; ``None`` where numba is missing."""
    try:
        from oddpair.retrieval.mentions.scan import scan_captions
    except ImportError:
        return None
    return scan_captions


def _put(found: Incidence, rows: NDArray[np.int64], theirs: Incidence) -> Incidence:
    """Put the concepts of some rows, which have none so far, into their places."""
    lengths = np.diff(found.ends)
    lengths[rows] = np.diff(theirs.ends)
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    chosen = np.zeros(len(lengths), np.bool_)
    chosen[rows] = True
    put = np.repeat(chosen, lengths)
    concepts = np.empty(len(put), np.int32)
    concepts[put], concepts[~put] = theirs.concepts, found.concepts
    return Incidence(ends=ends, concepts=concepts, n_concepts=found.n_concepts)
