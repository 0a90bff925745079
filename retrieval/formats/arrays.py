"""Arrays of embeddings on disk, ``.npy`` or in ``.npz``: checked before memory is taken, then read some rows at a time."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import UNIT_TOLERANCE

FloatRows = NDArray[np.float32]

# No encoder of pictures and captions gives rows that are nearly as wide.
WIDEST = 1 << 16
_BYTES_AT_ONCE = 64 << 20

_LONGEST_HEADER = 10_000
_SIZE = r"(?:0|[1-9]\d{0,17})L?"
_VALUE = rf"'[^']*'|\[[^\]]*\]|True|False|\((?:{_SIZE} ?(?:, ?|(?=\))))*\)"
_FIELD = rf"'(\w+)': ?({_VALUE})(?:, ?|(?=\}}))"
_HEADER = re.compile(rf"\{{((?:{_FIELD}){{3}})\}} *\n?")
# Deflate cannot make more of a byte than this.
_LARGEST_RATIO = 1032
_FLOATS = re.compile(r"'[<>=]f[248]'")
# What zipfile raises on archives that are damaged, or not as numpy writes them.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, struct.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFile:
    """A two-dimensional array of floats that was looked at, with nothing of it in memory.

    Attributes:
        path: The file, local or remote.
        member: Name of the array in an ``.npz`` file, without ``.npy``; ``None`` for an ``.npy`` file.
        shape: Rows and dimension.
        dtype: As stored: 2, 4 or 8 bytes, of either byte order.
        fortran: Whether columns, not rows, lie together.
        offset: Byte that the numbers begin at, in the file or member.
    """

    path: Path
    member: str | None
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @contextmanager
    def reading(self) -> Iterator[Callable[[int, int], FloatRows]]:
        """Open the array for reading batch after batch; members of an ``.npz`` are fastest read in order.

        Yields:
            ``read(start, stop)``, which gives these rows as C-ordered float32 of shape ``(stop - start, d)``.
        """
        with _open(self.path, self.member) as (file, _):

            def read(start: int, stop: int) -> FloatRows:
                if not 0 <= start <= stop <= self.shape[0]:
                    raise ValueError(f"rows {start} to {stop}, needed 0 <= start <= stop <= {self.shape[0]}")
                with _refusing(self.path, self.member):
                    return self._read(file, start, stop)

            yield read

    def rows(self, start: int, stop: int) -> FloatRows:
        """Read rows ``start`` to ``stop`` as C-ordered float32 of shape ``(stop - start, d)``.

        Raises:
            ValueError: If there are no such rows.
            Refusal: If the file is not what it was when it was opened, or a checksum does not agree.
        """
        with self.reading() as read:
            return read(start, stop)

    def _read(self, file: IO[bytes], start: int, stop: int) -> FloatRows:
        rows, width = self.shape
        # Numbers too large for float32 become infinite, and their rows bad.
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.fortran:
                flat = self._numbers(file, start * width, (stop - start) * width)
                return flat.reshape(stop - start, width).astype(np.float32)
            found = np.empty((stop - start, width), dtype=np.float32)
            for column in range(width):
                found[:, column] = self._numbers(file, column * rows + start, stop - start)
            return found

    def _numbers(self, file: IO[bytes], first: int, count: int) -> NDArray[Any]:
        file.seek(self.offset + first * self.dtype.itemsize)
        data = file.read(count * self.dtype.itemsize)
        if len(data) < count * self.dtype.itemsize:
            raise Refusal(f"{_name(self.path, self.member)} was cut short while it was read: fetch it again")
        return np.frombuffer(data, dtype=self.dtype)


def open_array(path: Path, member: str | None = None) -> ArrayFile:
    """Look at the header of an array of embeddings and at the size of its file; nothing else is read.

    Args:
        path: An ``.npy`` file, or an ``.npz`` file with ``member``.
        member: Name of an array in the ``.npz`` file.

    Returns:
        What can be read, row by row.

    Raises:
        Refusal: If there is no such file or member, it is truncated or longer than its header says, or it
            holds anything but rows of float16, float32 or float64. Pickled objects are not touched.
    """
    with _refusing(path, member), _open(path, member) as (file, size):
        descr, fortran, shape = _read_header(file, _name(path, member))
        offset = file.tell()
    name = _name(path, member)
    if "O" in descr:
        raise Refusal(
            f"{name} holds pickled Python objects, needed plain numbers: save a float array, "
            "with allow_pickle=False"
        )
    if not _FLOATS.fullmatch(descr):
        raise Refusal(
            f"{name} holds {descr}, needed float16, float32 or float64: save the model's own output"
        )
    if len(shape) != 2 or shape[1] == 0:
        raise Refusal(f"{name} has shape {shape}, needed (rows, dimension): save one row a sample")
    if shape[1] > WIDEST:
        raise Refusal(
            f"{name} has rows of dimension {shape[1]:,}, needed at most {WIDEST:,}: save one row a sample"
        )
    dtype = np.dtype(descr.strip("'"))
    needed = shape[0] * shape[1] * dtype.itemsize
    if size - offset != needed:
        raise Refusal(
            f"{name} holds {max(size - offset, 0):,} bytes of data, its header (shape {shape}, {dtype}) needs "
            f"{needed:,}: fetch or make it again"
        )
    return ArrayFile(
        path=path, member=member, shape=(shape[0], shape[1]), dtype=dtype, fortran=fortran, offset=offset
    )


def rows_at_once(width: int) -> int:
    """Return how many rows of float32 of dimension ``width`` may be in memory at a time: 64 MiB, at least one.

    >>> rows_at_once(1024), rows_at_once(65_536)
    (16384, 256)
    """
    return max(1, _BYTES_AT_ONCE // (4 * width))


def unit_rows(rows: FloatRows) -> tuple[FloatRows, dict[int, str]]:
    """Divide rows by their Euclidean norms; lengths are summed in float64, so large rows do not overflow.

    Args:
        rows: Shape ``(n, d)``.

    Returns:
        Unit rows of the same shape, with 0 in those that have no direction; and the reason by row for
        these, which hold NaN or an infinity or are 0 throughout.

    >>> unit, bad = unit_rows(np.array([[3, 4], [0, 0]], dtype=np.float32))
    >>> unit.tolist(), bad
    ([[0.6000000238418579, 0.800000011920929], [0.0, 0.0]], {1: 'embedding is 0 throughout'})
    """
    norms = _norms(rows)
    finite = np.isfinite(norms)
    none = ~finite | (norms == 0)
    unit = np.empty_like(rows)
    with np.errstate(invalid="ignore"):
        np.divide(rows, np.where(none, 1, norms)[:, None], out=unit, casting="same_kind")
    unit[none] = 0
    return unit, {
        int(row): "embedding is 0 throughout" if finite[row] else "embedding holds NaN or an infinity"
        for row in np.flatnonzero(none)
    }


def require_unit(rows: FloatRows, name: object) -> None:
    """Refuse a file whose rows were not normalised, by its first batch: more than half of it is not unit.

    Args:
        rows: Rows as stored, shape ``(n, d)``; those that ``unit_rows`` calls bad do not count.
        name: What to call the file.

    Raises:
        Refusal: If they were not normalised.
    """
    norms = _norms(rows)
    norms = norms[np.isfinite(norms) & (norms > 0)]
    off = np.abs(norms - 1) > UNIT_TOLERANCE
    if 2 * off.sum() > len(norms):
        raise Refusal(
            f"{name} holds rows that are not of length 1 ({off.sum():,} of the first {len(norms):,}, one of length "
            f"{norms[off][0]:.4g}): needed are the model's normalised features, as encode_image(…, normalize=True) "
            "of open_clip gives them"
        )


def _norms(rows: FloatRows) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        norms: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return norms


def _read_header(file: IO[bytes], name: str) -> tuple[str, bool, tuple[int, ...]]:
    """Read type, order and shape by pattern; numpy's reader evaluates the text and follows what it says."""
    damaged = Refusal(f"{name} is no .npy file, or damaged at its head: fetch or make it again")
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise damaged
    form = "<H" if start[6] == 1 else "<I"
    raw = file.read(struct.calcsize(form))
    length = struct.unpack(form, raw)[0] if len(raw) == struct.calcsize(form) else 0
    text = file.read(length).decode("latin1") if 0 < length <= _LONGEST_HEADER else ""
    found = _HEADER.fullmatch(text)
    fields: dict[str, str] = dict(re.findall(_FIELD, found[1] + "}")) if found else {}
    descr, order, shape = (fields.get(name, "") for name in ("descr", "fortran_order", "shape"))
    if (
        len(text) < length
        or descr[:1] not in ("'", "[")
        or order not in ("True", "False")
        or shape[:1] != "("
    ):
        raise damaged
    return descr, order == "True", tuple(int(size) for size in re.findall(r"\d+", shape))


@contextmanager
def _open(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """Open an ``.npy`` file or a member of an ``.npz`` file, with the number of its bytes."""
    with _refusing(path, None):
        file = path.open("rb")
    with file:
        if member is None:
            size = file.seek(0, 2)
            file.seek(0)
            yield file, size
            return
        with _refusing(path, member):
            archive = zipfile.ZipFile(file)
            info = _find_member(archive, path, member)
            stream = archive.open(info)
        with archive, stream:
            yield stream, info.file_size


def _find_member(archive: zipfile.ZipFile, path: Path, member: str) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if info.filename == f"{member}.npy"]
    if len(found) != 1:
        names = ", ".join(info.filename.removesuffix(".npy") for info in archive.infolist()[:8])
        times = "twice" if found else "nowhere"
        raise Refusal(f"{path} holds array {member!r} {times}, only {names}: give a file that has it once")
    info = found[0]
    plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not info.flag_bits & 1
    if not plain or info.file_size > _LARGEST_RATIO * info.compress_size + 64:
        raise Refusal(
            f"{_name(path, member)} is {info.compress_size:,} bytes that claim to be {info.file_size:,}, or not "
            "as numpy packs them: write it with numpy.savez"
        )
    return info


@contextmanager
def _refusing(path: Path, member: str | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Refusal(f"{path} does not exist: check the path, or fetch it again") from error
    except _DAMAGED as error:
        raise Refusal(f"{_name(path, member)} is damaged ({_first_line(error)}): fetch it again") from error
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({_first_line(error)}): check its permissions") from error


def _name(path: Path, member: str | None) -> str:
    return str(path) if member is None else f"{path} ({member})"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
