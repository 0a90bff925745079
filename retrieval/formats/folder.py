"""Folders of pictures: listed by a table of files and captions, or bare, with ``NAME.txt`` beside each or none."""

from __future__ import annotations

import zlib

from oddpair.errors import Refusal
from oddpair.retrieval.formats.folder_source import FolderSource
from oddpair.retrieval.formats.listing import ROWS_PER_BLOCK, open_listing, read_block
from oddpair.retrieval.formats.loose import LooseFiles
from oddpair.retrieval.places import Place
from oddpair.retrieval.stores import list_folder

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_LISTINGS = (".csv", ".tsv")


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
