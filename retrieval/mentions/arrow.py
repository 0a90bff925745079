"""Finding concepts with numpy and Arrow alone: what the compiled matcher finds, where nothing can be compiled."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.columns import read_buffers
from oddpair.retrieval.mentions.form_tree import plant_forms
from oddpair.retrieval.mentions.incidence import Incidence, join
from oddpair.retrieval.words import find_words

if TYPE_CHECKING:
    from oddpair.retrieval.mentions.matcher import Overlap

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

# Text that is worked on at once: its arrays nearly fit the processor's cache, and Arrow hashes the words once in each.
BLOCK_BYTES = 1 << 22
# Words outside ASCII up to this many characters are spelled out once, as long as there is room to remember them.
REMEMBERED = 40

_LETTERS_AND_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
_APOSTROPHE = ord("'")
_UNKNOWN = pa.scalar(-1, pa.int32())


def _make_table() -> bytes:
    table = bytearray(128) + bytearray(range(128, 256))
    for code in (*_LETTERS_AND_DIGITS, _APOSTROPHE):
        table[code] = code
    for code in range(ord("A"), ord("Z") + 1):
        table[code] = code + 32
    return bytes(table)


# What separates words becomes 0. Bytes outside ASCII stay: by then they belong to words that `find_words` made.
_TABLE = _make_table()


class ArrowMatcher:
    """Finds where captions mention concepts, in whole columns, with nothing compiled for it.

    Attributes:
        vocabulary: The concepts.
        overlap: What counts where forms overlap.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> matcher = ArrowMatcher(build_vocabulary(["tree", "pine tree"]))
    >>> matcher.find(pa.array(["The pine-tree's leaf", None, "TREES"])).to_csr().toarray()
    array([[ True,  True],
           [False, False],
           [ True, False]])
    """

    __slots__ = ("_tree", "_words", "overlap", "vocabulary")

    def __init__(self, vocabulary: Vocabulary, overlap: Overlap = "all") -> None:
        self.vocabulary = vocabulary
        self.overlap = overlap
        self._tree, words = plant_forms(vocabulary)
        self._words = pa.array([word.encode() for word in words], pa.large_binary())

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions; a null mentions none.

        Args:
            captions: Text of any of Arrow's kinds, ``n`` rows.

        Returns:
            The concepts of each of the ``n`` captions.
        """
        chunks = captions.chunks if isinstance(captions, pa.ChunkedArray) else [captions]
        found = [self._find_block(block) for chunk in chunks for block in _cut_blocks(chunk)]
        return join(found, len(self.vocabulary))

    def _find_block(self, block: pa.LargeStringArray) -> Incidence:
        words = _cut_words(_spell_out(block))
        options = pc.SetLookupOptions(value_set=self._words)
        ids = pc.fill_null(pc.index_in(words.texts, options=options), _UNKNOWN).to_numpy()
        starts, ends, nodes = self._tree.walk(ids, words.rows)
        if self.overlap == "longest":
            kept = _stand_alone(starts, ends, len(ids))
            starts, nodes = starts[kept], nodes[kept]
        places, concepts = self._tree.name(nodes)
        # Sorted and made unique as one number: the row, then the concept.
        n_concepts = len(self.vocabulary)
        cells = np.sort(words.rows[starts[places]] * n_concepts + concepts)
        cells = cells[np.diff(cells, prepend=-1) != 0]
        rows = cells // n_concepts
        ends = np.zeros(len(block) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(block)), out=ends[1:])
        return Incidence(
            ends=ends, concepts=(cells - rows * n_concepts).astype(np.int32), n_concepts=n_concepts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The words of some captions in order: what they are, and the row of each."""

    texts: pa.LargeBinaryArray
    rows: Places


def _cut_blocks(captions: pa.Array) -> Iterator[pa.LargeStringArray]:
    texts = captions.cast(pa.large_string())
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    _, offsets = read_buffers(texts)
    start = 0
    while start < len(texts):
        stop = int(np.searchsorted(offsets, offsets[start] + BLOCK_BYTES, "right")) - 1
        stop = max(stop, start + 1)
        yield texts[start:stop]
        start = stop


def _spell_out(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Replace what is not ASCII in captions, from space to space, by its words."""
    values, offsets = read_buffers(texts)
    values = values[offsets[0] : offsets[-1]]
    foreign = np.flatnonzero(values >= 128)
    if not len(foreign):
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[np.searchsorted(offsets - offsets[0], foreign, "right") - 1] = True
    spelled = [
        # No character joins another across a space, so that pieces can be spelled out by themselves.
        " ".join([piece if piece.isascii() else _spell(piece) for piece in text.split(" ")])
        for text in texts.filter(pa.array(mask)).to_pylist()
    ]
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(spelled, pa.large_string()))


def _spell(piece: str) -> str:
    return _spell_short(piece) if len(piece) <= REMEMBERED else " ".join(find_words(piece))


@functools.lru_cache(maxsize=1 << 16)
def _spell_short(piece: str) -> str:
    return " ".join(find_words(piece))


def _cut_words(texts: pa.LargeStringArray) -> _Words:
    """Cut captions into words: runs of letters and digits, and of all bytes outside ASCII."""
    values, offsets = read_buffers(texts)
    values, offsets = values[offsets[0] : offsets[-1]], offsets - offsets[0]
    clean = np.frombuffer(bytearray(values.data).translate(_TABLE), np.uint8)
    left_out = _settle_apostrophes(clean, offsets)
    inside = clean != 0
    # A word begins where the byte before is none of a word, or of another caption.
    first, last = inside.copy(), inside.copy()
    first[1:] &= ~inside[:-1]
    last[:-1] &= ~inside[1:]
    edges = offsets[1:-1]
    edges = edges[(edges > 0) & (edges < len(clean))]
    first[edges] = inside[edges]
    last[edges - 1] = inside[edges - 1]
    starts = np.flatnonzero(first)
    lengths = np.flatnonzero(last) + 1 - starts
    if len(left_out):
        np.subtract.at(lengths, np.searchsorted(starts, left_out, "right") - 1, 1)
    bounds = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    letters = clean.tobytes().translate(None, b"\0'")
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(letters)]
    words_before = np.searchsorted(starts, offsets)
    return _Words(
        texts=pa.Array.from_buffers(pa.large_binary(), len(starts), buffers),
        rows=np.repeat(np.arange(len(texts)), np.diff(words_before)),
    )


def _settle_apostrophes(clean: Bytes, offsets: Places) -> Places:
    """Blank what is no apostrophe inside a word and what is a possessive ``'s``; return the places of the rest."""
    places = np.flatnonzero(clean == _APOSTROPHE)
    if not len(places):
        return places
    row = np.searchsorted(offsets, places, "right") - 1
    begin, end = offsets[row], offsets[row + 1]

    def is_letter(at: Places) -> NDArray[np.bool_]:
        byte = clean[np.clip(at, 0, len(clean) - 1)]
        found: NDArray[np.bool_] = (begin <= at) & (at < end) & (byte != 0) & (byte != _APOSTROPHE)
        return found

    inside = is_letter(places - 1) & is_letter(places + 1)
    clean[places[~inside]] = 0
    # The word goes on after an s that a letter follows, or another apostrophe inside the word.
    another = np.isin(places + 2, places[inside])
    final_s = inside & (clean[np.minimum(places + 1, len(clean) - 1)] == ord("s"))
    possessive = final_s & ~is_letter(places + 2) & ~another
    clean[places[possessive]] = 0
    clean[places[possessive] + 1] = 0
    kept: Places = places[inside & ~possessive]
    return kept


def _stand_alone(starts: Places, ends: Places, n_words: int) -> NDArray[np.bool_]:
    """Say which runs of words lie in no longer one."""
    reach = np.zeros(n_words + 1, np.int64)
    np.maximum.at(reach, starts, ends)
    before = np.zeros(n_words + 1, np.int64)
    np.maximum.accumulate(reach[:-1], out=before[1:])
    kept: NDArray[np.bool_] = (ends == reach[starts]) & (ends > before[starts])
    return kept
