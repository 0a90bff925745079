"""DataComp's subset files: which uids a training set takes, and how often each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.files import read_array, write_array

# A uid of 32 hex digits as two numbers of 64 bits, the upper first.
UID_TYPE = np.dtype([("f0", "<u8"), ("f1", "<u8")])

UidArray = NDArray[np.void]

_MAGIC = b"\x93NUMPY"
_DIGITS = 32
_NO_DIGIT = 255
_VALUES = np.full(256, _NO_DIGIT, dtype=np.uint8)
_VALUES[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subset:
    """The samples that a subset file takes.

    Attributes:
        uids: Each uid once, sorted, ``UID_TYPE``, shape ``(n,)``.
        copies: How often each is taken, at least once, shape ``(n,)``.
    """

    uids: UidArray
    copies: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def sha256(self) -> str:
        """SHA-256 of uids and copies, whatever order and kind of file they were read from."""
        found = hashlib.sha256(np.ascontiguousarray(self.uids).view(np.uint8).data)
        found.update(np.ascontiguousarray(self.copies, dtype="<i8").view(np.uint8).data)
        return found.hexdigest()

    def find(self, uids: Any) -> NDArray[np.int64]:
        """Say how often samples are taken.

        Args:
            uids: Ids of 32 lower-case hex digits, ``n`` strings or an Arrow array of them.

        Returns:
            Copies of each, 0 for those that are not in the subset, shape ``(n,)``.

        Raises:
            Refusal: If one is something else, so that no subset file could name it.
        """
        wanted = parse_uids(uids)
        found = np.zeros(len(wanted), dtype=np.int64)
        if not len(self.uids):
            return found
        upper = self.uids["f0"]
        # In order, neighbours end in places that are still in the processor's cache.
        left = np.argsort(wanted["f0"])
        places = np.empty(len(wanted), dtype=np.int64)
        places[left] = np.searchsorted(upper, wanted["f0"][left])
        # Two uids seldom share their upper half; the few that do are stepped over one by one.
        while len(left):
            inside = places[left] < len(self.uids)
            left = left[inside]
            left = left[upper[places[left]] == wanted["f0"][left]]
            same = self.uids["f1"][places[left]] == wanted["f1"][left]
            found[left[same]] = self.copies[places[left[same]]]
            left = left[~same]
            places[left] += 1
        return found


def parse_uids(uids: Any) -> UidArray:
    """Turn ids of 32 lower-case hex digits into pairs of numbers, in their order.

    Args:
        uids: ``n`` strings, or an Arrow array of them.

    Returns:
        ``UID_TYPE``, shape ``(n,)``.

    Raises:
        Refusal: If one is something else.

    >>> parse_uids(["0000000000000001" "00000000000000ff"]).tolist()
    [(1, 255)]
    """
    texts = pa.array(uids, pa.string()) if not isinstance(uids, pa.Array | pa.ChunkedArray) else uids
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not len(texts):
        return np.zeros(0, dtype=UID_TYPE)
    wrong = pc.indices_nonzero(pc.not_equal(pc.fill_null(pc.binary_length(texts), -1), _DIGITS)).to_numpy()
    if not len(wrong):
        large = texts.cast(pa.large_string())
        _, ends, data = large.buffers()
        first = int(np.frombuffer(ends, dtype=np.int64)[large.offset])
        letters = np.frombuffer(data, dtype=np.uint8)[first : first + _DIGITS * len(texts)]
        digits = _VALUES[letters]
        wrong = np.flatnonzero((digits == _NO_DIGIT).reshape(-1, _DIGITS).any(axis=1))
    if len(wrong):
        raise Refusal(
            f"uid {texts[int(wrong[0])].as_py()!r} is not 32 lower-case hex digits, and a DataComp subset can name "
            "no other: leave --subset out"
        )
    octets = digits[0::2] << 4 | digits[1::2]
    return octets.view(">u8").astype("<u8").view(UID_TYPE)


def load_subset(path: Path) -> Subset:
    """Read a subset file: ``.npy``, or the same numbers without a header; a uid that repeats is upsampled.

    Args:
        path: The file; its rows may be in any order.

    Returns:
        The subset.

    Raises:
        Refusal: If the file is missing, cut short, empty, or holds anything but pairs of 64-bit numbers.
    """
    pairs = _read_pairs(path)
    if not len(pairs):
        raise Refusal(f"{path} holds no uid: give a subset of at least one sample")
    upper, lower = pairs["f0"], pairs["f1"]
    rises = (upper[1:] > upper[:-1]) | ((upper[1:] == upper[:-1]) & (lower[1:] >= lower[:-1]))
    if not rises.all():
        pairs = pairs[np.lexsort((lower, upper))]
    fresh = np.concatenate([[True], pairs[1:] != pairs[:-1]])
    starts = np.flatnonzero(fresh)
    copies = np.diff(starts, append=len(pairs)).astype(np.int64)
    return Subset(uids=pairs if len(starts) == len(pairs) else pairs[starts], copies=copies)


def write_subset(path: Path, uids: Any, copies: Sequence[int] | NDArray[np.int64] | None = None) -> None:
    """Write a subset file as DataComp does: sorted pairs of the uids' upper and lower 64 bits.

    Args:
        path: The ``.npy`` file.
        uids: ``n`` ids of 32 lower-case hex digits, in any order.
        copies: How often each is written, ``n`` numbers of 0 or more; ``None`` for once each.

    Raises:
        Refusal: If a uid is something else.
        ValueError: If the lengths differ, or a number is negative.
    """
    pairs = parse_uids(uids)
    if copies is not None:
        times = np.asarray(copies, dtype=np.int64)
        if len(times) != len(pairs) or (times < 0).any():
            raise ValueError(
                f"{len(times)} numbers of copies for {len(pairs)} uids, needed one of 0 or more each"
            )
        pairs = np.repeat(pairs, times)
    write_array(path, pairs[np.lexsort((pairs["f1"], pairs["f0"]))])


def _read_pairs(path: Path) -> UidArray:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
        if magic == _MAGIC:
            found = read_array(path)
            if found.ndim != 1 or [kind.str[1:] for kind, *_ in (found.dtype.fields or {}).values()] != [
                "u8",
                "u8",
            ]:
                raise Refusal(
                    f"{path} holds {found.dtype} of shape {found.shape}, needed pairs of 64-bit numbers "
                    "[('f0', '<u8'), ('f1', '<u8')]: write it as DataComp does"
                )
            return found.astype(UID_TYPE)
        size = path.stat().st_size
        if size % UID_TYPE.itemsize:
            raise Refusal(
                f"{path} holds {size:,} bytes, needed 16 for each uid: it is cut short or no subset"
            )
        return np.fromfile(path, dtype=UID_TYPE)
    except OSError as error:
        raise Refusal(
            f"{path} cannot be read ({error.strerror}): check the path and its permissions"
        ) from error
