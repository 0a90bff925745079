"""Every durable read and write of the suite: a file is whole or it is not there.

A file is written under a temporary name in its own folder, forced to disk and then renamed, so that
a run killed at any moment leaves the old content or the new one.
"""

import errno
import fcntl
import functools
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddpair.errors import Refusal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import DTypeLike, NDArray

_ROWS_PER_GROUP = 1 << 16
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
_MAKE_AGAIN = "delete it and run again"
_KEPT = "and run again, everything finished so far is kept"
_REMEDIES = {
    errno.ENOSPC: ("no space left to write {}", f"free some space {_KEPT}"),
    errno.EDQUOT: ("disk quota used up while writing {}", f"free some space {_KEPT}"),
    errno.EFBIG: ("{} is larger than this file system allows", "choose another --out"),
    errno.EIO: ("the disk failed while writing {}", "check the disk or choose another --out"),
    errno.EROFS: ("{} is on a read-only file system", "choose another --out"),
    errno.EACCES: ("no permission to write {}", "choose another --out or change the folder's permissions"),
    errno.EPERM: ("no permission to write {}", "choose another --out or change the folder's permissions"),
    errno.ENOTDIR: ("a part of {} is a file, not a folder", "choose another --out"),
    errno.EEXIST: ("a part of {} is a file, not a folder", "choose another --out"),
    errno.EISDIR: ("{} is a folder, a file was to be written there", "choose another --out"),
    errno.ENAMETOOLONG: ("the name {} is too long for this file system", "choose another --out"),
    errno.ENOLCK: ("{} is on a file system without locks", "choose an --out on a local disk"),
    errno.EOPNOTSUPP: ("{} is on a file system without locks", "choose an --out on a local disk"),
}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose file becomes ``path`` when the block ends without an error.

    Missing parent folders are made. On any error the temporary file is removed and the old content
    of ``path`` stays as it was.

    Args:
        path: File to write; tarfile, numpy, pyarrow or safetensors may write the temporary one.

    Yields:
        A path in the same folder, named ``.<name>.<process id>.tmp``.

    Raises:
        Refusal: If the file system refuses the write (full, read-only, no permission).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _force_to_disk(temporary)
        os.replace(temporary, path)  # noqa: PTH105  the tests of a full disk stop it here
        _force_to_disk(path.parent)
    except OSError as error:
        if _is_about_writing(error, path, temporary):
            raise _write_refusal(path, error) from error
        raise
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, in UTF-8 and with line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write ``value`` to ``path`` atomically as ASCII JSON with sorted keys and a final newline.

    Raises:
        ValueError: If ``value`` holds NaN or an infinity.
    """
    write_text(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n")


def write_table(path: Path, table: "pa.Table") -> None:
    """Write ``table`` to ``path`` atomically as parquet; equal tables give equal bytes.

    Chunks are joined first, row groups hold 65,536 rows, pages are zstd and carry a checksum that
    ``read_table`` checks.
    """
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(
            table.combine_chunks(),
            temporary,
            version="2.6",
            compression="zstd",
            compression_level=3,
            row_group_size=_ROWS_PER_GROUP,
            write_page_checksum=True,
        )


def write_array(path: Path, array: "NDArray[Any]") -> None:
    """Write ``array`` to ``path`` atomically as a C-ordered ``.npy`` file.

    Raises:
        ValueError: If the array holds Python objects, which only a pickle could store.
    """
    import numpy as np

    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)


@contextmanager
def array_writer(path: Path, width: int, dtype: "DTypeLike") -> "Iterator[Callable[[NDArray[Any]], None]]":
    """Write a two-dimensional ``.npy`` file some rows at a time, atomically; the bytes are ``write_array``'s.

    Args:
        path: File to write.
        width: Length of a row.
        dtype: Type of the numbers, as stored.

    Yields:
        A function that appends rows of shape ``(n, width)``.
    """
    import numpy as np

    def header(rows: int) -> bytes:
        described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {**described, "shape": (rows, width)})
        return buffer.getvalue()

    with atomic(path) as temporary, temporary.open("wb") as file:
        written = 0
        # numpy leaves room in the header for the number of rows to grow.
        file.write(header(0))

        def append(rows: "NDArray[Any]") -> None:
            nonlocal written
            if rows.ndim != 2 or rows.shape[1] != width:
                raise ValueError(f"rows of shape {rows.shape}, needed (n, {width})")
            file.write(np.ascontiguousarray(rows, dtype=dtype).tobytes())
            written += len(rows)

        yield append
        file.seek(0)
        file.write(header(written))


def read_json(path: Path) -> Any:
    """Read strict JSON: no duplicate key, NaN, infinity or nesting deeper than Python's stack.

    Raises:
        Refusal: If the file is missing or not such JSON.
    """
    try:
        return parse_json(_read_bytes(path))
    except ValueError as error:
        raise Refusal(
            f"{path} is not valid JSON ({_first_line(error)}): mend it, or {_MAKE_AGAIN}"
        ) from error


def parse_json(data: bytes, *, of_strangers: bool = False) -> Any:
    """Parse strict JSON, so that it says one thing only.

    Args:
        data: The text in UTF-8.
        of_strangers: Whether NaN and the infinities, which Python and pandas write, are null, and whether messages
            leave out what the text says.

    Raises:
        ValueError: If it is no UTF-8 or JSON, gives a key twice, nests deeper than Python's stack, or holds a
            number of thousands of digits or beyond a double.
    """
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=functools.partial(_unique_keys, is_told=not of_strangers),
            parse_constant=_as_null if of_strangers else _refuse_constant,
            parse_float=_finite_float,
        )
    except RecursionError as error:
        raise ValueError("nested too deep for JSON") from error


def read_table(path: Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """Read a parquet file, or only ``columns`` of it in the order asked for.

    Raises:
        Refusal: If the file is missing, truncated, damaged or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require_file(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            missing = [name for name in columns or () if name not in names]
            if missing:
                raise Refusal(
                    f"{path} has no column {missing[0]!r}, only {', '.join(map(repr, names))}: "
                    "give a file that has it"
                )
            table = file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise Refusal(f"{path} is truncated or damaged ({_first_line(error)}): {_MAKE_AGAIN}") from error
    return table if columns is None else table.select(list(columns))


def read_array(path: Path) -> "NDArray[Any]":
    """Read a ``.npy`` file; its header is compared with the size of the file before memory is taken.

    Raises:
        Refusal: If the file is missing, truncated, longer than its header says, or holds objects.
    """
    import numpy as np

    _require_file(path)
    try:
        with Path(path).open("rb") as file:
            shape, fortran_order, dtype = _array_header(file)
            found = os.fstat(file.fileno()).st_size - file.tell()
            if dtype.hasobject:
                raise Refusal(f"{path} holds pickled Python objects, needed plain numbers: {_MAKE_AGAIN}")
            needed = math.prod(shape) * dtype.itemsize
            if found != needed:
                raise Refusal(
                    f"{path} holds {found:,} bytes of data, its header (shape {shape}, {dtype}) "
                    f"needs {needed:,}: {_MAKE_AGAIN}"
                )
            flat: NDArray[Any] = np.fromfile(file, dtype=dtype, count=math.prod(shape))
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({_first_line(error)}): check its permissions") from error
    except ValueError as error:
        raise Refusal(f"{path} is not a whole .npy file ({_first_line(error)}): {_MAKE_AGAIN}") from error
    return flat.reshape(shape, order="F" if fortran_order else "C")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        Refusal: If the file is missing or unreadable.
    """
    _require_file(path)
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({_first_line(error)}): check its permissions") from error


def digest(value: object) -> str:
    """Return the SHA-256 of ``value`` as canonical JSON (sorted keys, no spaces), 64 hex digits.

    >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    True
    >>> digest({"a": 1})[:8]
    '015abd7f'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Hold ``folder`` (made if missing) for this process alone, cleared of temporary files before and after.

    The kernel lets the lock go with the process, so the ``.lock`` of a killed run is no obstacle.

    Args:
        folder: Output folder of a run.

    Yields:
        The folder.

    Raises:
        Refusal: If another process holds the folder, or it cannot be written.
    """
    folder = Path(folder)
    with _open_lock(folder) as file:
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        _remove_temporaries(folder)
        try:
            yield folder
        finally:
            # Workers that were stopped in the middle of a write could not do it themselves.
            _remove_temporaries(folder)
            file.truncate(0)


def _open_lock(folder: Path) -> io.FileIO:
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o666), "r+")
    except OSError as error:
        raise _write_refusal(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = file.read().decode("ascii", "replace") or "unknown"
        file.close()
        raise Refusal(
            f"{folder} is in use by process {holder}: wait for it to end or choose another --out"
        ) from None
    except OSError as error:
        file.close()
        raise _write_refusal(folder, error) from error
    return file


def _remove_temporaries(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                Path(parent, name).unlink(missing_ok=True)


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_about_writing(error: OSError, path: Path, temporary: Path) -> bool:
    # The block may also read: a missing input must not be told as a failed write. Writes to an open file
    # carry no name, and numpy reports a short write without a number.
    if error.filename is None:
        return error.errno in {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
    return Path(os.fsdecode(error.filename)) in {temporary, path, *path.parents}


def _write_refusal(path: Path, error: OSError) -> Refusal:
    default = (
        "could not write {}" + f" ({_first_line(error)})",
        f"free some space or choose another --out {_KEPT}",
    )
    found, remedy = _REMEDIES.get(error.errno or 0, default)
    return Refusal(f"{found.format(path)}: {remedy}")


def _require_file(path: Path) -> None:
    if not Path(path).is_file():
        found = "is a folder, needed a file" if Path(path).is_dir() else "does not exist"
        raise Refusal(f"{path} {found}: check the path, or run the step that writes it")


def _read_bytes(path: Path) -> bytes:
    _require_file(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({_first_line(error)}): check its permissions") from error


def _array_header(file: io.BufferedReader) -> "tuple[tuple[int, ...], bool, np.dtype[Any]]":
    import numpy as np

    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format version {version}, needed (1, 0) or (2, 0)")


def _unique_keys(pairs: list[tuple[str, Any]], *, is_told: bool) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is given twice" if is_told else "a key is given twice")
    return found


def _as_null(_: str) -> None:
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:20]} is out of range")
    return value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
