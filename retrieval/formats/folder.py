"""Folders of pictures: listed by a table of files and captions, or bare, with ``NAME.txt`` beside each or none."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

from oddpair.errors import Refusal
from oddpair.files import atomic, write_bytes
from oddpair.retrieval.formats.folder_source import FolderSource
from oddpair.retrieval.formats.listing import ROWS_PER_BLOCK, open_listing, read_block
from oddpair.retrieval.formats.loose import LooseFiles
from oddpair.retrieval.pictures import FORMATS
from oddpair.retrieval.places import Place
from oddpair.retrieval.stores import list_folder

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_LISTINGS = (".csv", ".tsv")
# Columns of a listing that are made anew when it is written.
_MADE = ("file", "caption", "sha256", "key", "shard")
_KEY = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")
_SUFFIXES = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "AVIF": "avif",
}


def open_folder(place: Place) -> FolderSource:
    """Open pictures that are listed by a table of files and captions, or that lie bare in a folder.

    A listing is a ``.csv`` of ``file`` and ``caption`` or open_clip's of ``filepath`` and ``title``, with tabs or
    commas. Without one, all pictures right in the folder and in its folders are the corpus, each with the
    caption ``NAME.txt`` beside it; if not one picture has a caption, the corpus has none.

    Args:
        place: The folder, or the listing or pictures that the user named, which may lie outside the folder.

    Returns:
        The source; the listing has been read through, pictures have not.

    Raises:
        Refusal: If there is no picture, or the listing is malformed.
    """
    tables = [name for name in place.names if name.lower().endswith(_LISTINGS)]
    if len(tables) > 1:
        raise Refusal(
            f"{place.root} holds {len(tables)} csv files ({', '.join(tables[:3])}): leave only one, or name it"
        )
    return _open_listed(place, tables[0]) if tables else _open_bare(place)


def write_folder(
    folder: Path, *, keys: Sequence[str], captions: Sequence[str], images: Iterable[bytes], columns: pa.Table
) -> None:
    """Write samples as a folder that ``open_folder`` reads: ``images/KEY.jpg`` and so on, and ``list.csv``.

    The listing has the columns ``file``, ``caption``, ``sha256`` and then the others; nested values are JSON
    there and null is empty. It appears last: without it the folder is not complete. Pictures that are there
    already with the same bytes are left.

    Args:
        folder: Where to write; made if missing.
        keys: Names for the pictures, without suffix; length ``n``.
        captions: Captions, length ``n``.
        images: Encoded files, ``n`` of them; taken one by one.
        columns: Other columns, ``n`` rows; with ``uid`` the ids stay as they are, without it they are made
            from the pictures. Its ``file``, ``caption``, ``sha256``, ``key`` and ``shard`` are left out.

    Raises:
        Refusal: If a picture cannot be read, or a column holds bytes.
        ValueError: If a key is no plain file name or given twice, or lengths differ.
    """
    wrong = next((key for key in keys if not _KEY.fullmatch(key)), None)
    if wrong is not None:
        raise ValueError(f"key {wrong!r} is no plain file name")
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys)} keys, of which {len(set(keys))} differ: each names one picture")
    names = [name for name in columns.column_names if name not in _MADE]
    cells = (
        zip(*(_as_text(name, columns[name]) for name in names), strict=True) if names else [()] * len(keys)
    )
    with atomic(folder / "list.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption", "sha256", *names])
        for key, caption, image, others in zip(keys, captions, images, cells, strict=True):
            name = f"images/{key}.{_find_suffix(key, image)}"
            path = folder / name
            if not path.is_file() or path.read_bytes() != image:
                write_bytes(path, image)
            writer.writerow([name, caption, hashlib.sha256(image).hexdigest(), *others])


def _find_suffix(key: str, image: bytes) -> str:
    try:
        with Image.open(io.BytesIO(image), formats=FORMATS) as picture:
            return _SUFFIXES[picture.format or ""]
    except (OSError, ValueError, KeyError, Image.DecompressionBombError) as error:
        raise Refusal(f"the picture with key {key} cannot be read: leave it out") from error


def _as_text(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise Refusal(f"column {name!r} holds bytes, which a listing cannot: leave it out")
    for value in column:
        plain = value.as_py()
        if plain is None:
            yield ""
        else:
            yield plain if isinstance(plain, str) else json.dumps(plain, default=str)


def _open_listed(place: Place, table: str) -> FolderSource:
    path = place.root / table
    listing = open_listing(path, outside=place.explicit)
    files = LooseFiles(place.root, outside=place.explicit)
    first = list(read_block(path, listing, 0))
    key = listing.header.index(listing.file)
    if all(isinstance(files.check(row.cells[key]), str) for row in first):
        others = f", nor is there one of the {len(first):,} pictures listed first" if len(first) > 1 else ""
        name = first[0].cells[key]
        raise Refusal(
            f"{path} line {first[0].line} names {name!r}, and {place.root / name} is no file{others}: paths are "
            "relative to the listing"
        )
    return FolderSource(
        root=place.root,
        shards=_number(listing.rows),
        sizes=_divide(listing.rows),
        captioned=True,
        outside=place.explicit,
        table=table,
        listing=listing,
    )


def _open_bare(place: Place) -> FolderSource:
    below = [f"{name}/{file}" for name in place.folders for file in list_folder(place.root / name)[0]]
    every = sorted([*place.names, *below])
    names = [name for name in every if name.lower().endswith(_PICTURES)]
    if not names:
        raise Refusal(
            f"{place.root} holds no picture ({', '.join(_PICTURES)}) and no .csv of file and caption: add one"
        )
    texts = {name for name in every if name.endswith(".txt")}
    captions = {name.rpartition(".")[0] + ".txt" for name in names}
    files = LooseFiles(place.root, outside=place.explicit)
    # Of files that the user named, captions need not be named too.
    captioned = not captions.isdisjoint(texts) or (
        place.explicit and any(not isinstance(files.check(name), str) for name in sorted(captions))
    )
    others = len(every) - len(names) - len(captions & texts)
    return FolderSource(
        root=place.root,
        shards=_number(len(names)),
        sizes=_divide(len(names)),
        captioned=captioned,
        outside=place.explicit,
        notes=(f"{others:,} files that are no pictures are passed over",) if others else (),
        names=tuple(
            zlib.compress("\0".join(names[row : row + ROWS_PER_BLOCK]).encode("utf-8", "surrogateescape"))
            for row in range(0, len(names), ROWS_PER_BLOCK)
        ),
    )


def _number(rows: int) -> tuple[str, ...]:
    return tuple(f"{block:05d}" for block in range(-(-rows // ROWS_PER_BLOCK)))


def _divide(rows: int) -> tuple[int, ...]:
    return tuple(min(ROWS_PER_BLOCK, rows - first) for first in range(0, rows, ROWS_PER_BLOCK))
