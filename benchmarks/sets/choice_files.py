"""Files of questions with one or two pictures and several captions, as compositional benchmarks come.

Seen in the readers of their authors: SugarCrepe (its files too), ARO's relations and attributions, Winoground's
``examples.jsonl``. Not seen as files: ARO's orders, whose reader draws them anew at every start, so that they must be
written down first, as ``image`` and ``caption_options``; and Winoground as a table of the same fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oddpair.benchmarks.sets.annotations import Entry, find_annotations, read_entries
from oddpair.benchmarks.sets.picture_files import require_inside
from oddpair.errors import Refusal

ENDINGS = (".json", ".jsonl", ".csv", ".tsv")

_WINOGROUND = "examples.jsonl"
_CAPTION = re.compile(r"caption_\d+")
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One question.

    Attributes:
        where: File and entry, for errors.
        question: Its id.
        images: Names of its pictures, one or two.
        captions: Its captions, at least two; the first is right for the first picture, the second for the second.
        category: What it is about; ``""`` where the file does not say.
        box: The part of the picture that is asked about, as left, top, width and height in pixels; ``None`` for all.
    """

    where: str
    question: str
    images: tuple[str, ...]
    captions: tuple[str, ...]
    category: str
    box: tuple[int, int, int, int] | None = None


def read_choices(path: Path) -> tuple[Choice, ...]:
    """Read the questions of a file, or of a folder of SugarCrepe's or with Winoground's ``examples.jsonl``.

    Returns:
        At least one; ids are unique.

    Raises:
        Refusal: If the files are of no known kind or damaged, name a picture outside the folder of pictures, or
            give an id twice.
    """
    files = find_annotations(path, ENDINGS)
    if path / _WINOGROUND in files:
        files = (path / _WINOGROUND,)
    found: dict[str, Choice] = {}
    for file in files:
        entries = read_entries(file)
        read = _choose_reader(file, entries[0])
        if len(files) > 1 and read is not _read_sugar_crepe:
            raise Refusal(
                f"{path} holds {len(files)} files, and {file.name} is none of SugarCrepe's: name one file"
            )
        for entry in entries:
            choice = read(entry, file.stem)
            earlier = found.setdefault(choice.question, choice)
            if earlier is not choice:
                raise Refusal(
                    f"{entry.where} has the id {choice.question!r} of {earlier.where}: give it another"
                )
            _require_answerable(choice)
    return tuple(found.values())


def _choose_reader(file: Path, entry: Entry) -> Callable[[Entry, str], Choice]:
    readers: dict[str, Callable[[Entry, str], Choice]] = {
        "negative_caption": _read_sugar_crepe,
        "true_caption": _read_aro,
        "caption_options": _read_order,
        "image_0": _read_winoground,
        "question": _read_own,
    }
    read = next((readers[name] for name in readers if name in entry.fields), None)
    if read is None:
        have = ", ".join(list(entry.fields)[:8])
        raise Refusal(
            f"{file} has {have}, needed 'question', 'images', captions and 'category', or the fields of SugarCrepe, "
            "Winoground or ARO"
        )
    return read


def _read_sugar_crepe(entry: Entry, stem: str) -> Choice:
    return Choice(
        where=entry.where,
        question=f"{stem}/{entry.key}",
        images=(_read_name(entry, "filename"),),
        captions=(entry.text("caption"), entry.text("negative_caption")),
        category=stem,
    )


def _read_aro(entry: Entry, stem: str) -> Choice:
    fields = entry.fields
    name = _read_name(entry, "image_path") if "image_path" in fields else f"{entry.integer('image_id')}.jpg"
    left, top, width, height = (entry.integer(side) for side in _BOX)
    if width < 1 or height < 1:
        raise Refusal(f"{entry.where} has a box of {width} x {height} pixels: mend it")
    # ARO averages over relations, or over pairs of attributes; its reader joins them so.
    category = (
        entry.text("relation_name") if "relation_name" in fields else "_".join(entry.texts("attributes"))
    )
    return Choice(
        where=entry.where,
        question=f"{stem}/{entry.key}",
        images=(name,),
        captions=(entry.text("true_caption"), entry.text("false_caption")),
        category=category,
        box=(left, top, width, height),
    )


def _read_order(entry: Entry, stem: str) -> Choice:
    return Choice(
        where=entry.where,
        question=f"{stem}/{entry.key}",
        images=(_read_name(entry, "image"),),
        captions=entry.texts("caption_options"),
        category="",
    )


def _read_winoground(entry: Entry, stem: str) -> Choice:
    names = (_read_name(entry, "image_0"), _read_name(entry, "image_1"))
    return Choice(
        where=entry.where,
        question=entry.identity("id"),
        # The authors' file leaves the ending to their reader.
        images=tuple(name if Path(name).suffix else f"{name}.png" for name in names),
        captions=(entry.text("caption_0"), entry.text("caption_1")),
        category=entry.text("collapsed_tag") if "collapsed_tag" in entry.fields else "",
    )


def _read_own(entry: Entry, stem: str) -> Choice:
    names = [name for text in entry.texts("images") for name in text.split("|")]
    if "captions" in entry.fields:
        captions = entry.texts("captions")
    else:
        columns = sorted(filter(_CAPTION.fullmatch, entry.fields), key=lambda column: int(column[8:]))
        captions = tuple(text for column in columns for text in entry.texts(column))
        # A question with fewer captions than others leaves the last cells of its row empty.
        while captions and not captions[-1]:
            captions = captions[:-1]
    return Choice(
        where=entry.where,
        question=entry.identity("question"),
        images=tuple(require_inside(name.strip(), entry.where) for name in names),
        captions=captions,
        category="".join(entry.texts("category")) if "category" in entry.fields else "",
    )


def _read_name(entry: Entry, field: str) -> str:
    return require_inside(entry.text(field), entry.where)


def _require_answerable(choice: Choice) -> None:
    images, captions = choice.images, choice.captions
    if len(images) not in (1, 2) or len(set(images)) < len(images):
        raise Refusal(
            f"{choice.where} shows {', '.join(images) or 'nothing'}: needed one picture, or two different ones"
        )
    if len(captions) < 2 or "" in captions:
        empty = ", an empty one among them" if "" in captions else ""
        raise Refusal(
            f"{choice.where} has {len(captions)} captions{empty}: needed two or more, each with text"
        )
