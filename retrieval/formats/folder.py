"""Folders of pictures: listed by a table of files and captions, or bare, with ``NAME.txt`` beside each or none."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.retrieval.formats.folder_source import FolderSource
from oddpair.retrieval.formats.listing import ROWS_PER_BLOCK, open_listing, read_block
from oddpair.retrieval.formats.loose import LooseFiles
from oddpair.retrieval.places import Place
from oddpair.retrieval.stores import list_folder

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_LISTINGS = (".csv", ".tsv")
_LISTED_AT_ONCE = 16
_NAMED = 3


def open_folder(place: Place) -> FolderSource:
    """Open pictures that are listed by a table of files and captions, or that lie bare in a folder.

    A listing is a ``.csv`` of ``file`` and ``caption`` or open_clip's of ``filepath`` and ``title``, with tabs or
    commas. Without one, all pictures in the folder, however deep, are the corpus, each with the caption
    ``NAME.txt`` beside it; if not one picture has a caption, the corpus has none. Hidden folders and links to
    folders are passed over.

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
    below, linked = _list_below(place)
    every = sorted([*place.names, *below])
    names = [name for name in every if name.lower().endswith(_PICTURES)]
    if not names:
        raise Refusal(_nothing_in(place))
    texts = {name for name in every if name.endswith(".txt")}
    captions = {name.rpartition(".")[0] + ".txt" for name in names}
    files = LooseFiles(place.root, outside=place.explicit)
    # Of files that the user named, captions need not be named too.
    captioned = not captions.isdisjoint(texts) or (
        place.explicit and any(not isinstance(files.check(name), str) for name in sorted(captions))
    )
    others = len(every) - len(names) - len(captions & texts)
    notes = [f"{others:,} files that are no pictures are passed over"] if others else []
    if linked:
        notes.append(f"links to folders are not followed: {', '.join(sorted(linked)[:_NAMED])}")
    return FolderSource(
        root=place.root,
        shards=_number(len(names)),
        sizes=_divide(len(names)),
        captioned=captioned,
        outside=place.explicit,
        notes=tuple(notes),
        names=tuple(
            zlib.compress("\0".join(names[row : row + ROWS_PER_BLOCK]).encode("utf-8", "surrogateescape"))
            for row in range(0, len(names), ROWS_PER_BLOCK)
        ),
    )


def _list_below(place: Place) -> tuple[list[str], list[str]]:
    """List all files below the folders of a place, and the links to folders, which might lead round in a circle."""
    files: list[str] = []
    linked: list[str] = []
    folders = list(place.folders)
    with ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
        while folders:
            links = [isinstance(place.root, Path) and (place.root / name).is_symlink() for name in folders]
            linked += [name for name, link in zip(folders, links, strict=True) if link]
            folders = [name for name, link in zip(folders, links, strict=True) if not link]
            listed = list(pool.map(lambda name: list_folder(place.root / name), folders))
            files += [
                f"{folder}/{name}"
                for folder, (names, _) in zip(folders, listed, strict=True)
                for name in names
            ]
            folders = [
                f"{folder}/{name}"
                for folder, (_, names) in zip(folders, listed, strict=True)
                for name in names
            ]
    return files, linked


def _nothing_in(place: Place) -> str:
    if place.explicit:
        return f"{place.root / place.names[0]} is no tar, parquet, listing (.csv) or picture: give one, or a folder"
    # The folder above a corpus, or above several, is given more often than one without anything.
    held = f"; is the corpus in its folder {' or '.join(place.folders[:3])}?" if place.folders else ""
    return f"{place.root} holds no picture ({', '.join(_PICTURES)}) and no .csv of file and caption: add one{held}"


def _number(rows: int) -> tuple[str, ...]:
    return tuple(f"{block:05d}" for block in range(-(-rows // ROWS_PER_BLOCK)))


def _divide(rows: int) -> tuple[int, ...]:
    return tuple(min(ROWS_PER_BLOCK, rows - first) for first in range(0, rows, ROWS_PER_BLOCK))
