"""DataComp's metadata: ``<32 hex>.parquet``, with CLIP's embeddings of the same rows in ``<32 hex>.npz``."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.files import atomic, write_table
from oddpair.retrieval.formats.arrays import FloatRows, open_array, require_unit, rows_at_once, unit_rows
from oddpair.retrieval.formats.metadata import MetadataSource, read_metadata
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import Bad, Batch, Vectors
from oddpair.retrieval.stores import identify_file, list_folder, store_errors, unreadable

# The larger model first: it is the one that DataComp's own baselines use.
MODELS = ("l14", "b32")

_TYPES = {
    "uid": pa.string(),
    "url": pa.string(),
    "text": pa.string(),
    "original_width": pa.int64(),
    "original_height": pa.int64(),
    "clip_b32_similarity_score": pa.float32(),
    "clip_l14_similarity_score": pa.float32(),
    "face_bboxes": pa.list_(pa.list_(pa.float64())),
    "sha256": pa.string(),
}
_NAME = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(rf"(?:.*/)?{_NAME.pattern}\.(parquet|npz)")
_OPENED_AT_ONCE = 16
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DatacompSource(MetadataSource):
    """DataComp's metadata with embeddings; an ``EmbeddedSource``.

    Attributes:
        arrays: Name and dimension of each array of embeddings in every ``.npz`` file.
        encoder: ``""``: the release names its models, and no hash of their weights.
    """

    arrays: tuple[tuple[str, int], ...]
    encoder: str = ""

    def vectors(self, shard: str, *, width: int | None = None) -> Iterator[Vectors]:
        """Read unit rows of pictures and captions in batches.

        Args:
            shard: One of ``shards``.
            width: Dimension that chooses the model, 512 for ViT-B/32 and 768 for ViT-L/14; ``None`` takes
                the larger.

        Yields:
            The rows that are good in table and arrays; the others as bad.

        Raises:
            Refusal: If there are no embeddings of that dimension, or they were not normalised.
        """
        names = self._choose_arrays(width)
        path, start = self.root / f"{shard}.npz", 0
        with ExitStack() as stack:
            readers = [
                None if name is None else stack.enter_context(open_array(path, name).reading())
                for name in names
            ]
            most = rows_at_once(max(dict(self.arrays)[name] for name in names if name is not None))
            for batch in self._read(shard, (), most):
                stop = start + batch.table.num_rows + sum(bad.rows for bad in batch.bad)
                skipped = {bad.row for bad in batch.bad}
                good = [row for row in range(start, stop) if row not in skipped][: batch.table.num_rows]
                read = [_read_rows(reader, start, stop, good) for reader in readers]
                if start == 0:
                    for name, rows in zip(names, read, strict=True):
                        require_unit(rows, f"{path} ({name})")
                yield _join(batch, f"{shard}.npz", names, read, good)
                start = stop

    def identify(self, shard: str) -> dict[str, str]:
        """Name both files of a shard, each with what changes when its content does."""
        files = (f"{shard}.parquet", f"{shard}.npz")
        return {file: identify_file(self.root / file) for file in files}

    def _choose_arrays(self, width: int | None) -> tuple[str | None, str | None]:
        dimensions = dict(self.arrays)
        for model in MODELS:
            image, text = f"{model}_img", f"{model}_txt"
            found = dimensions.get(image, dimensions.get(text))
            if found is not None and width in (None, found):
                return image if image in dimensions else None, text if text in dimensions else None
        raise Refusal(
            f"{self.root} holds embeddings of dimension {' and '.join(map(str, sorted(set(dimensions.values()))))}, "
            f"needed {width}: give the model that made them with --model and --pretrained, or embed the pictures again"
        )


def open_datacomp(place: Place) -> MetadataSource:
    """Open DataComp's metadata, right in a folder or in ``part_*`` folders, with embeddings where there are any.

    Raises:
        Refusal: If the files do not agree on their columns, a table lacks its embeddings or has another
            number of rows, or there are other parquet files between them.
    """
    tables, arrays = _list_files(place)
    source = read_metadata(place.root, tables, layout="datacomp")
    if not arrays:
        return source
    missing = sorted(set(source.shards) ^ arrays)
    if missing:
        lost = [f"{shard}.{'parquet' if shard in arrays else 'npz'}" for shard in missing]
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise Refusal(f"{place.root} lacks {', '.join(lost[:_NAMED])}{more}: fetch what is missing")
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        found = list(pool.map(partial(_read_headers, source), range(len(source.shards))))
    for shard, (_, held) in zip(source.shards, found, strict=True):
        if held != found[0][1]:
            raise Refusal(
                f"{place.root / shard}.npz holds {_tell(held)}, {source.shards[0]}.npz {_tell(found[0][1])}: "
                "give files of one release"
            )
    known = {field.name: getattr(source, field.name) for field in fields(source)}
    known |= {"embedded": True, "sizes": tuple(size for size, _ in found)}
    return DatacompSource(**known, arrays=found[0][1])


def write_datacomp(
    folder: Path, name: str, table: pa.Table, vectors: Mapping[str, NDArray[np.floating[Any]]] | None = None
) -> None:
    """Write metadata as DataComp does: nine columns, and embeddings of the same rows in an ``.npz`` file beside it.

    Args:
        folder: Where to write.
        name: Of the files, 32 hex digits.
        table: ``uid``, ``caption`` and any others; those of DataComp that are not there become null, those
            that DataComp does not have come last.
        vectors: Arrays by name, such as ``l14_img``, shape ``(n, d)`` each; ``None`` writes none.

    Raises:
        ValueError: If ``name`` is malformed, a table lacks ``uid`` or ``caption``, or an array has another
            number of rows.
        Refusal: If a column cannot have the type that it has in DataComp's files.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r}, needed 32 hex digits")
    for needed in ("uid", "caption"):
        if needed not in table.column_names:
            raise ValueError(f"no column {needed!r}, only {table.column_names}")
    for key, array in (vectors or {}).items():
        if len(array) != table.num_rows:
            raise ValueError(f"{len(array)} rows in {key!r}, {table.num_rows} in the table")
    table = table.rename_columns(["text" if one == "caption" else one for one in table.column_names])
    columns = {key: _typed(table, key, kind) for key, kind in _TYPES.items()}
    rest = {key: table[key] for key in table.column_names if key not in columns}
    if vectors:
        _write_arrays(folder / f"{name}.npz", vectors)
    write_table(folder / f"{name}.parquet", pa.table({**columns, **rest}))


def _list_files(place: Place) -> tuple[list[str], set[str]]:
    names = [*place.names]
    for folder in place.folders:
        if folder.startswith("part_"):
            names += [f"{folder}/{name}" for name in list_folder(place.root / folder)[0]]
    tables = [name for name in names if name.endswith(".parquet")]
    other = next((name for name in tables if not _FILE.fullmatch(name)), None)
    if other is not None:
        raise Refusal(f"{place.root} holds {other} between files named by 32 hex digits: move it elsewhere")
    if not tables:
        raise Refusal(f"{place.root} holds no .parquet file named by 32 hex digits: give DataComp's metadata")
    if place.explicit:
        stems = [name.removesuffix(".parquet") for name in tables]
        return tables, {stem for stem in stems if (place.root / f"{stem}.npz").is_file()}
    return tables, {
        name.removesuffix(".npz") for name in names if _FILE.fullmatch(name) and name.endswith(".npz")
    }


def _read_headers(source: MetadataSource, index: int) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Read the rows and dimensions of a shard's arrays, and compare the rows with those of its table."""
    path, size = source.root / f"{source.shards[index]}.npz", source.sizes[index]
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            held = {info.filename.removesuffix(".npy") for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is no .npz file, or damaged ({error}): fetch it again") from error
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    names = [f"{model}_{kind}" for model in MODELS for kind in ("img", "txt")]
    shapes = {name: open_array(path, name).shape for name in names if name in held}
    if not shapes:
        raise Refusal(f"{path} holds none of the arrays {', '.join(names)}: fetch it again, or move it away")
    if source.damaged[index]:
        size = next(iter(shapes.values()))[0]
    for name, (rows, _) in shapes.items():
        if rows != size:
            raise Refusal(
                f"{path} holds {rows:,} rows in {name!r}, {source.shards[index]}.parquet {size:,}: fetch both again"
            )
    return size, tuple((name, width) for name, (_, width) in shapes.items())


def _tell(headers: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} of dimension {width}" for name, width in headers)


def _read_rows(
    reader: Callable[[int, int], FloatRows] | None, start: int, stop: int, rows: Sequence[int]
) -> FloatRows:
    if reader is None:
        return np.zeros((len(rows), 0), dtype=np.float32)
    return reader(start, stop if rows else start)[[row - start for row in rows]]


def _join(
    batch: Batch, file: str, names: Sequence[str | None], read: Sequence[FloatRows], numbers: Sequence[int]
) -> Vectors:
    """Normalise the rows of a batch and set those aside that have no direction in one of the arrays."""
    uids, keys, captions = (batch.table[name].to_pylist() for name in ("uid", "key", "caption"))
    reasons: dict[int, str] = {}
    units = []
    for name, rows in zip(names, read, strict=True):
        unit, bad = unit_rows(rows) if name is not None else (rows, {})
        units.append(unit)
        for row, reason in bad.items():
            reasons.setdefault(row, f"{name}: {reason}")
    kept = [row for row in range(len(uids)) if row not in reasons]
    lost = [Bad(file=file, row=numbers[row], uid=uids[row], reason=reasons[row]) for row in sorted(reasons)]
    return Vectors(
        uids=tuple(uids[row] for row in kept),
        keys=tuple(keys[row] for row in kept),
        captions=tuple(captions[row] for row in kept),
        image=units[0][kept],
        text=units[1][kept],
        bad=(*batch.bad, *lost),
    )


def _typed(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, kind)])
    try:
        return table[name].cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal(
            f"column {name!r} is {table[name].type}, which cannot be DataComp's {kind}: leave it out"
        ) from error


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[np.floating[Any]]]) -> None:
    # As numpy.savez writes them, which can be told not to pickle in new versions only.
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy")
            info.external_attr = 0o600 << 16
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(arrays[name], order="C"), allow_pickle=False)
