"""Files of pictures with several captions each, as retrieval sets come.

Seen in readers of their authors or of the field: Karpathy's splits, COCO's captions, lists of ``image`` and ``caption``
(ALBEF, BLIP), Flickr30k's ``results_20130124.token``, and CLIP_benchmark's ``image,caption`` tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oddpair.benchmarks.sets.annotations import (
    NUMBERED,
    Entry,
    as_entries,
    clean,
    read_json,
    read_table,
)
from oddpair.benchmarks.sets.picture_files import require_inside
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest
from oddpair.retrieval.vocabulary_file import read_lines

ENDINGS = (".json", ".csv", ".tsv", ".token")
DEFAULT_SPLIT = "test"

# Columns of the picture and of the caption.
_COLUMNS = (("image", "caption"), ("file", "caption"), ("filepath", "title"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """A picture and all its captions.

    Attributes:
        where: Where the file says so, for errors.
        spellings: Ways to write its name, as many as others of the file have; the fullest first.
        captions: Its captions with their white space cleaned, in the order of the file; some may be empty.
    """

    where: str
    spellings: tuple[str, ...]
    captions: tuple[str, ...]


def read_captioned(path: Path, split: str | None) -> tuple[Captioned, ...]:
    """Read the pictures of a file and their captions, each picture once.

    Args:
        path: The file.
        split: The split to keep, where the file has splits; ``None`` for ``test``.

    Returns:
        At least one.

    Raises:
        Refusal: If the file is of no known kind, damaged, names a picture twice or one outside the folder of
            pictures, or has no such split.
    """
    if path.suffix.lower() == ".json":
        value = read_json(path)
        images = value.get("images") if isinstance(value, dict) else None
        if images is not None and isinstance(value.get("annotations"), list):
            found = _read_coco(path, as_entries(images, f"{path}: 'images'"), value["annotations"])
        elif images is not None:
            return _read_karpathy(path, as_entries(images, f"{path}: 'images'"), split)
        elif isinstance(value, list):
            found = _group(
                (entry, entry.text("image"), entry.texts("caption")) for entry in as_entries(value, str(path))
            )
        else:
            raise Refusal(
                f"{path} is no JSON of captions: needed 'images' with 'sentences' or beside 'annotations', or a list "
                "of 'image' and 'caption'"
            )
    else:
        lines = read_lines(path, remedy="name a file of captions")
        found = _read_token(path, lines) if NUMBERED.fullmatch(lines[0]) else _read_columns(path)
    if split is not None:
        raise Refusal(f"{path} has no splits: leave out 'split: {split}', or name a file of that split")
    if not found:
        raise Refusal(f"{path} lists no picture: check that it is whole")
    return found


def _read_karpathy(path: Path, images: tuple[Entry, ...], split: str | None) -> tuple[Captioned, ...]:
    asked = split or DEFAULT_SPLIT
    sizes = Counter(image.text("split") for image in images)
    if asked not in sizes:
        raise Refusal(f"{path} has no split {asked!r}{suggest(asked, sorted(sizes))}")
    found: dict[str, Captioned] = {}
    for image in images:
        if image.text("split") != asked:
            continue
        bare = require_inside(image.text("filename"), image.where)
        # Only COCO's pictures lie in several folders.
        full = (
            require_inside(f"{image.text('filepath')}/{bare}", image.where)
            if "filepath" in image.fields
            else bare
        )
        _require_new(full, found, image)
        captions = tuple(
            clean(sentence.fields.get("raw"), f"{sentence.where}: 'raw'")
            for sentence in image.entries("sentences")
        )
        found[full] = Captioned(where=image.where, spellings=(full, bare), captions=captions)
    return tuple(found.values())


def _read_coco(path: Path, images: tuple[Entry, ...], annotations: list[object]) -> tuple[Captioned, ...]:
    captions: dict[int, list[str]] = {}
    names: dict[str, Entry] = {}
    for image in images:
        number = image.integer("id")
        if number in captions:
            raise Refusal(f"{image.where} has the id {number} of an earlier picture: mend it")
        captions[number] = []
        name = require_inside(image.text("file_name"), image.where)
        _require_new(name, names, image)
        names[name] = image
    for annotation in as_entries(annotations, f"{path}: 'annotations'"):
        number = annotation.integer("image_id")
        if number not in captions:
            raise Refusal(f"{annotation.where} is of picture {number}, which 'images' does not list: mend it")
        captions[number] += annotation.texts("caption")
    return tuple(
        Captioned(where=image.where, spellings=(name,), captions=tuple(captions[image.integer("id")]))
        for name, image in names.items()
    )


def _read_token(path: Path, lines: Sequence[str]) -> tuple[Captioned, ...]:
    entries = [
        Entry(where=f"{path} line {number}", key=str(number), fields={"line": line})
        for number, line in enumerate(lines, 1)
        if line
    ]
    rows = []
    for entry in entries:
        parts = NUMBERED.fullmatch(entry.fields["line"])
        if parts is None:
            raise Refusal(f"{entry.where} is not NAME#NUMBER, a tab and a caption: mend it")
        rows.append((entry, parts[1], (clean(parts[2], entry.where),)))
    return _group(rows)


def _read_columns(path: Path) -> tuple[Captioned, ...]:
    entries = read_table(path)
    header = entries[0].fields if entries else {}
    columns = next((pair for pair in _COLUMNS if header.keys() >= set(pair)), None)
    if columns is None:
        raise Refusal(
            f"{path} has the columns {', '.join(header) or 'of an empty table'}, needed 'image' and 'caption': name "
            "them in line 1"
        )
    return _group((entry, entry.text(columns[0]), entry.texts(columns[1])) for entry in entries)


def _group(rows: Iterable[tuple[Entry, str, tuple[str, ...]]]) -> tuple[Captioned, ...]:
    """Join the captions of rows with the same picture, in the order of the rows."""
    first: dict[str, Entry] = {}
    captions: dict[str, list[str]] = {}
    for entry, name, texts in rows:
        plain = require_inside(name, entry.where)
        first.setdefault(plain, entry)
        captions.setdefault(plain, []).extend(texts)
    return tuple(
        Captioned(where=entry.where, spellings=(name,), captions=tuple(captions[name]))
        for name, entry in first.items()
    )


def _require_new(name: str, earlier: Iterable[str], entry: Entry) -> None:
    if name in earlier:
        raise Refusal(
            f"{entry.where} names the picture {name!r}, as an earlier entry does: remove one of them"
        )
