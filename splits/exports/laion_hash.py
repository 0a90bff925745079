"""LAION's id of a row: MurmurHash3 of address and caption, 64 bits, for many rows at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import compiled

_FIRST = np.uint64(0x87C37B91114253D5)
_SECOND = np.uint64(0x4CF5AD432745937F)
_ONE_MIX = np.uint64(0x52DCE729)
_TWO_MIX = np.uint64(0x38495AB5)
_FINAL_ONE = np.uint64(0xFF51AFD7ED558CCD)
_FINAL_TWO = np.uint64(0xC4CEB9FE1A85EC53)


def hash_laion(urls: pa.Array | pa.ChunkedArray, captions: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Make the ids that LAION gave its rows: ``mmh3.hash64(url + caption)[0]``, null counted as no text.

    They are the column ``hash`` of LAION-2B and of sets made from it, the only id that copies of it share.

    Args:
        urls: Addresses, shape ``(n,)``.
        captions: Captions as LAION has them, shape ``(n,)``.

    Returns:
        ``int64``, shape ``(n,)``.

    References:
        Appleby, MurmurHash3_x64_128, public domain.

    >>> hash_laion(pa.array(["http://a", None]), pa.array(["a cat", None])).to_pylist()
    [-2964523561582484526, 0]
    """
    large = pa.large_string()
    joined = pc.binary_join_element_wise(
        urls.cast(large),
        captions.cast(large),
        pa.scalar("", large),
        null_handling="replace",
        null_replacement="",
    )
    texts = joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
    if not len(texts):
        return pa.array([], pa.int64())
    _, ends, data = texts.buffers()
    bounds = np.frombuffer(ends, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data or b"", dtype=np.uint8)
    return pa.array(_hash_all(letters, bounds).view(np.int64))


@compiled()
def _hash_all(letters: NDArray[np.uint8], bounds: NDArray[np.int64]) -> NDArray[np.uint64]:
    found = np.empty(len(bounds) - 1, dtype=np.uint64)
    for row in range(len(found)):
        found[row] = _hash(letters[bounds[row] : bounds[row + 1]])
    return found


@compiled()
def _hash(text: NDArray[np.uint8]) -> np.uint64:
    """First half of MurmurHash3_x64_128 with seed 0."""
    one, two = np.uint64(0), np.uint64(0)
    whole = len(text) // 16 * 16
    for start in range(0, whole, 16):
        one ^= _turn(_word(text, start, 8) * _FIRST, 31) * _SECOND
        one = (_turn(one, 27) + two) * np.uint64(5) + _ONE_MIX
        two ^= _turn(_word(text, start + 8, 8) * _SECOND, 33) * _FIRST
        two = (_turn(two, 31) + one) * np.uint64(5) + _TWO_MIX
    rest = len(text) - whole
    if rest > 8:
        two ^= _turn(_word(text, whole + 8, rest - 8) * _SECOND, 33) * _FIRST
    if rest > 0:
        one ^= _turn(_word(text, whole, min(rest, 8)) * _FIRST, 31) * _SECOND
    one ^= np.uint64(len(text))
    two ^= np.uint64(len(text))
    one += two
    two += one
    return _finish(one) + _finish(two)


@compiled()
def _word(text: NDArray[np.uint8], start: int, size: int) -> np.uint64:
    found = np.uint64(0)
    for place in range(size):
        found |= np.uint64(text[start + place]) << np.uint64(8 * place)
    return found


@compiled()
def _turn(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@compiled()
def _finish(value: np.uint64) -> np.uint64:
    value ^= value >> np.uint64(33)
    value *= _FINAL_ONE
    value ^= value >> np.uint64(33)
    value *= _FINAL_TWO
    return value ^ (value >> np.uint64(33))
